"""Networks and inputs of the workloads that simulators are timed on, drawn from what ``simulations.toml`` says."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from neurodeploy.chips import chip
from neurodeploy.network import Convolution, Group, Network, Projection, convolution, group, place_identity, projection
from neurodeploy.simulator import Stimulus

FILE = Path(__file__).with_name("simulations.toml")
SEED = 0
EVENT_TIME_US = 1_000_000
Range = int | tuple[int, int]
Ints = npt.NDArray[np.int64]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GroupTable(_Table):
    """Neurons of one kind; ``set`` are registers, each one number for all or a range to draw from."""

    name: str
    kind: str
    size: int | tuple[int, int, int]
    set: Mapping[str, Range] = {}


class ProjectionTable(_Table):
    """Synapses: a dense block, a few links of each source, or a square kernel."""

    kind: str
    source: str
    target: str
    weights: Mapping[str, tuple[int, int]]
    step: int = 1
    links: int | None = None
    nonzero: int | None = None
    kernel: int | None = None
    stride: int = 1
    padding: int = 0


class CellTable(_Table):
    """One row of the result.

    rate : share of the inputs that spike in a step
    record : all states are recorded
    states_only : nothing is kept but the states after the last step
    oracle_samples : of so many samples an oracle's time is taken, and scaled
    check_events : so many events are compared with the other executor; 0 compares all
    goal : simulator -> how many times longer it takes, at least; 0 for one without a goal
    arithmetic : operations on 32-bit numbers that a neuron needs in a step; 0 where nothing is held against them
    within : our time is at most so many times what the machine needs for these operations alone
    """

    name: str
    rate: float = 0.0
    record: bool = False
    states_only: bool = False
    oracle_samples: int | None = None
    check_events: int = 0
    goal: Mapping[str, float] = {}
    arithmetic: int = 0
    within: float = 1.0


class WorkloadTable(_Table):
    """A network and what it is given."""

    title: str
    chip: str
    steps: int
    groups: tuple[GroupTable, ...]
    projections: tuple[ProjectionTable, ...]
    cell: tuple[CellTable, ...]
    samples: int = 1
    events: int | None = None
    turns: bool = False


@dataclass(frozen=True)
class Prepared:
    """A network with its input: counts (time, batch, channel), or events."""

    network: Network
    counts: Ints
    stimulus: Stimulus | None = None

    @property
    def given(self) -> Ints | Stimulus:
        """What a simulation takes."""
        return self.counts if self.stimulus is None else self.stimulus


@cache
def workloads() -> Mapping[str, WorkloadTable]:
    """Workloads by name."""
    raw: dict[str, dict[str, Any]] = tomllib.loads(FILE.read_text(encoding="utf-8"))
    result = {}
    for name, table in raw.items():
        base = {k: v for k, v in raw[table.get("like", name)].items() if k != "cell"}
        result[name] = WorkloadTable.model_validate(base | {k: v for k, v in table.items() if k != "like"})
    return result


def network_of(workload: WorkloadTable, **sizes: int) -> Network:
    """Draw the network; ``sizes`` replace those of groups."""
    target, rng = chip(workload.chip), np.random.default_rng(SEED)
    groups: dict[str, Group] = {}
    for table in workload.groups:
        size = sizes.get(table.name, table.size)
        count = int(np.prod(size))
        registers = {n: v if isinstance(v, int) else rng.integers(v[0], v[1] + 1, count) for n, v in table.set.items()}
        groups[table.name] = group(target, table.name, table.kind, size, **registers)
    projections = [_projection(target, table, groups, rng) for table in workload.projections]
    return place_identity(Network(target, tuple(groups.values()), tuple(projections)))


def _projection(
    target: Any, table: ProjectionTable, groups: Mapping[str, Group], rng: np.random.Generator
) -> Projection:
    source, sink = groups[table.source], groups[table.target]
    drawn: Any
    if table.kernel is not None:
        sides = (table.kernel, table.kernel)
        shape = (sink.shape[0], source.shape[0], *sides)
        steps, rim = (table.stride, table.stride), (table.padding, table.padding)
        side = source.shape
        geometry = Convolution((side[0], side[1], side[2]), shape, steps, rim)
        drawn = {n: _drawn(table, ends, shape, rng) for n, ends in table.weights.items()}
        return convolution(target, table.kind, source, sink, geometry, **drawn)
    shape2 = (source.size, sink.size)
    drawn = {n: _drawn(table, ends, shape2, rng) for n, ends in table.weights.items()}
    if table.links is not None:
        kept = np.zeros(shape2, bool)
        for row in kept:
            row[rng.choice(sink.size, min(table.links, sink.size), replace=False)] = True
        drawn = {n: np.where(kept, values, 0) for n, values in drawn.items()}
    return projection(target, table.kind, source, sink, **drawn)


def _drawn(table: ProjectionTable, ends: tuple[int, int], shape: tuple[int, ...], rng: np.random.Generator) -> Ints:
    values = rng.integers(ends[0], ends[1] + 1, shape)
    if table.nonzero is not None:
        values[values == 0] = table.nonzero
    return values * table.step


def prepared(workload: WorkloadTable, cell: CellTable, **sizes: int) -> Prepared:
    """Draw the network and the input of a cell."""
    network, rng = network_of(workload, **sizes), np.random.default_rng(SEED + 1)
    (entry,) = network.inputs()
    shape = (workload.steps, workload.samples, entry.size)
    if workload.turns:
        counts = np.zeros(shape, np.int64)
        counts[np.arange(workload.steps), :, np.arange(workload.steps) % entry.size] = 1
        return Prepared(network, counts)
    if workload.events is None:
        return Prepared(network, (rng.random(shape) < cell.rate).astype(np.int64))
    t_us = np.sort(rng.integers(0, EVENT_TIME_US, workload.events))
    neuron = rng.integers(0, entry.size, workload.events)
    stimulus = stimulus_of(workload.steps, t_us, neuron)
    return Prepared(network, stimulus.counts(network.inputs())[entry.name], stimulus)


def stimulus_of(steps: int, t_us: Ints, neuron: Ints) -> Stimulus:
    """One sample whose events are spread over the steps by their times."""
    step = t_us * steps // EVENT_TIME_US
    return Stimulus(steps, 1, step, np.zeros_like(step), neuron, t_us=t_us)
