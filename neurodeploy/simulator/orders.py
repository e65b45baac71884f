"""The same input through several scan orders at once."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import Chip
from neurodeploy.chips.event_driven import BACKWARDS
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Network
from neurodeploy.simulator.footprints import Scan, SideBySide
from neurodeploy.simulator.registry import AUTO
from neurodeploy.simulator.run import Run, Snapshot
from neurodeploy.simulator.simulation import simulate
from neurodeploy.simulator.stimulus import Stimulus


def scan_orders(chip: Chip, number: int) -> tuple[Mapping[str, tuple[str, ...]], ...]:
    """Different scan orders of a chip's connections: the one of the chip file first, then the most unlike.

    number : most orders; fewer where the chip has fewer
    Raises Refusal ND1303 for a clocked chip.
    """
    if not chip.event_driven:
        raise Refusal(Fault("ND1303", chip.name, "scan orders of a clocked chip", "a chip that events drive"))
    choices = {name: list(_orders(kind.entry.scan)) for name, kind in chip.connections.items()}
    most = max(len(c) for c in choices.values())
    if number < 1:
        raise Refusal(Fault("ND1303", f"{chip.name}, scan orders", f"{number} orders", "1 or more"))
    return tuple({name: c[i % len(c)] for name, c in choices.items()} for i in range(min(number, most)))


def _orders(scan: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Every order of the axes in either direction: all backwards, then the permutations, then mixed directions."""
    seen = set()
    signs = sorted(product(("", BACKWARDS), repeat=len(scan)), key=lambda s: (len(set(s)) > 1, s))
    for axes in permutations(scan):
        for flips in signs[:2]:
            seen.add(_flipped(axes, flips))
            yield _flipped(axes, flips)
    for axes, flips in product(permutations(scan), signs):
        if _flipped(axes, flips) not in seen:
            yield _flipped(axes, flips)


def _flipped(axes: Sequence[str], flips: Sequence[str]) -> tuple[str, ...]:
    """Axes with some of their directions turned round."""
    turned = [a.removeprefix(BACKWARDS) if a.startswith(BACKWARDS) else BACKWARDS + a for a in axes]
    return tuple(t if f else a for a, t, f in zip(axes, turned, flips, strict=True))


def simulate_orders(
    network: Network,
    counts: npt.ArrayLike | Mapping[str, npt.ArrayLike] | Stimulus,
    scans: Sequence[Scan],
    *,
    record: Collection[str] = (),
    order: str | None = None,
    executor: str = AUTO,
    raw: bool = False,
) -> tuple[Run, ...]:
    """Simulate once for each scan order; equal to single simulations in every bit, and several times as fast.

    Raises Refusal as simulate does.
    """
    if not scans:
        raise Refusal(Fault("ND1303", "simulate_orders", "no scan order", "at least one"))
    number = len(scans)
    tiled: Stimulus | dict[str, npt.NDArray[np.generic]] | npt.NDArray[np.generic]
    if isinstance(counts, Stimulus):
        tiled = _tiled(counts, number)
    elif isinstance(counts, Mapping):
        tiled = {n: np.concatenate([np.asarray(v)] * number, axis=1) for n, v in counts.items()}
    else:
        tiled = np.concatenate([np.asarray(counts)] * number, axis=1)
    run = simulate(
        network, tiled, record=record, order=order, executor=executor, raw=raw, scan=SideBySide(tuple(scans))
    )
    return tuple(_block(run, i, number) for i in range(number))


def _tiled(stimulus: Stimulus, number: int) -> Stimulus:
    blocks = np.repeat(np.arange(number), len(stimulus)) * stimulus.batch

    def repeated(values: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int64] | None:
        return None if values is None else np.tile(values, number)

    step, sample, neuron = (np.tile(v, number) for v in (stimulus.step, stimulus.sample, stimulus.neuron))
    group, t_us = repeated(stimulus.group), repeated(stimulus.t_us)
    return Stimulus(stimulus.steps, stimulus.batch * number, step, sample + blocks, neuron, group, t_us)


def _block(run: Run, number: int, blocks: int) -> Run:
    """The run of one scan order."""
    stimulus = run.stimulus or Stimulus(0, blocks, *(np.zeros(0, np.int64) for _ in range(3)))
    size = stimulus.batch // blocks
    begin, part = number * size, slice(number * size, (number + 1) * size)
    own = np.flatnonzero((stimulus.sample >= begin) & (stimulus.sample < begin + size))
    columns = (None if c is None else c[own] for c in (stimulus.group, stimulus.t_us))
    sample = stimulus.sample[own] - begin
    events = {}
    for group, spikes in run.events.items():
        mine = spikes[(spikes["sample"] >= begin) & (spikes["sample"] < begin + size)]
        mine["sample"] -= begin
        by_input = mine["cause"] >= 0
        mine["cause"][by_input] = np.searchsorted(own, mine["cause"][by_input])
        events[group] = mine
    final = {n: {s: v[part] for s, v in many.items()} for n, many in run.final.states.items()}
    return replace(
        run,
        counts={g: v[:, part] for g, v in run.counts.items()},
        states={g: {s: v[:, part] for s, v in many.items()} for g, many in run.states.items()},
        final=Snapshot(final, run.final.history, run.final.step),
        input={g: v[:, part] for g, v in run.input.items()},
        events=events,
        stimulus=Stimulus(stimulus.steps, size, stimulus.step[own], sample, stimulus.neuron[own], *columns),
        scans=(run.scans[number],),
        meetings=run.meetings[part],
        lost=run.lost[part],
    )
