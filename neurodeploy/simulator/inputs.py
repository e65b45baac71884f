"""What a simulation is given: counts by neuron kind, checked, copied only where somebody reads them later."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Group, Network
from neurodeploy.simulator.footprints import EventMachine
from neurodeploy.simulator.machine import Ints, Machine
from neurodeploy.simulator.run import OnDemand
from neurodeploy.simulator.stimulus import Stimulus


def external_counts(
    network: Network,
    machine: Machine | EventMachine,
    counts: npt.ArrayLike | Mapping[str, npt.ArrayLike] | Stimulus,
    *,
    raw: bool,
) -> tuple[Mapping[str, Ints], int, int]:
    """Input by neuron kind, (time, batch, neuron) in the order of hardware ids, checked; not a copy where it fits."""
    groups = network.inputs()
    if isinstance(counts, Stimulus):
        counts.check(groups)
        if _few_at_once(network, counts, raw=raw):
            kinds = {g.kind for g in groups}
            makers = {k: partial(_counted, network, machine, counts, k) for k in kinds}
            return OnDemand(makers), counts.steps, counts.batch
        counts = counts.counts(groups)
    given = counts if isinstance(counts, Mapping) else {g.name: counts for g in groups[:1]}
    if set(given) != {g.name for g in groups}:
        was = f"input for {', '.join(map(str, given)) or 'no group'}"
        raise Refusal(Fault("ND1301", "simulate", was, f"one array for each of {', '.join(g.name for g in groups)}"))
    arrays, faults = {}, list[Fault]()
    for g in groups:
        try:
            array = np.asarray(given[g.name])
        except ValueError:
            must = f"(time, batch, {g.size})"
            raise Refusal(Fault("ND1301", f"input {g.name!r}", "rows of different lengths", must)) from None
        if g.shape and array.ndim == 2 + len(g.shape) and array.shape[2:] == g.shape:
            array = array.reshape(*array.shape[:2], g.size)
        faults += input_faults(network, g.name, array, raw=raw)
        arrays[g.name] = array
    raise_if(faults)
    shapes = {a.shape[:2] for a in arrays.values()}
    if not groups:
        raise Refusal(Fault("ND1301", "simulate", "a network without an input group", "at least one"))
    if len(shapes) != 1:
        raise Refusal(Fault("ND1301", "simulate", f"inputs of shapes {sorted(shapes)}", "equal time and batch"))
    steps, batch = shapes.pop()
    kinds = {g.kind for g in groups}
    external = {kind: _joined(network, machine, kind, arrays, (steps, batch)) for kind in kinds}
    return external, steps, batch


def _few_at_once(network: Network, stimulus: Stimulus, *, raw: bool) -> bool:
    """Whether no channel can get more events in a step than the chip allows, wherever they go."""
    entries = [network.chip.neurons[g.kind].entry.external for g in network.inputs()]
    allowed = [e.interval if raw else e.allowed for e in entries if e is not None]
    most = int(np.diff(stimulus.ordered[1]).max(initial=0))
    return all(ends.low <= 0 and most <= ends.high for ends in allowed)


def _counted(network: Network, machine: Machine | EventMachine, stimulus: Stimulus, kind: str) -> Ints:
    arrays = stimulus.counts(network.inputs())
    return _joined(network, machine, kind, arrays, (stimulus.steps, stimulus.batch))


def _joined(
    network: Network,
    machine: Machine | EventMachine,
    kind: str,
    arrays: Mapping[str, npt.NDArray[Any]],
    size: tuple[int, int],
) -> Ints:
    """Counts of all groups of a kind, to be read only."""
    lane, mine = machine.lanes[kind], network.of_kind(kind)
    joined = arrays[mine[0].name].view()
    part = lane.part(mine[0].name)
    if len(mine) > 1 or joined.dtype != np.int64 or not isinstance(part, slice) or part.start:
        joined = np.zeros((*size, lane.size), np.int64)
        for g in mine:
            joined[:, :, lane.part(g.name)] = arrays[g.name]
    joined.flags.writeable = False
    return joined


def by_group(network: Network, machine: Machine | EventMachine, external: Mapping[str, Ints]) -> Mapping[str, Ints]:
    """Input group -> (time, batch, neuron) in the group's own order."""

    def part(group: Group) -> Ints:
        return external[group.kind][:, :, machine.lanes[group.kind].part(group.name)]

    return OnDemand({g.name: partial(part, g) for g in network.inputs()})


def own_input(network: Network, given: Mapping[str, Ints]) -> Mapping[str, Ints]:
    """Counts by group for a result: a copy, as whoever gave them may change them, narrow until it is read."""
    held = dict[str, Callable[[], Ints]]()
    for name, counts in given.items():
        entry = network.chip.neurons[network.group(name).kind].entry.external
        ends = () if entry is None else (entry.interval.low, entry.interval.high)
        narrow = counts.astype(np.result_type(*map(np.min_scalar_type, ends)) if ends else np.int64)
        held[name] = partial(narrow.astype, np.int64)
    return OnDemand(held)


def input_faults(network: Network, name: str, array: npt.NDArray[Any], *, raw: bool) -> list[Fault]:
    """What is wrong with the input of one group."""
    group = network.group(name)
    entry = network.chip.neurons[group.kind].entry.external
    where = f"{network.chip.name}, input {name!r}"
    if array.ndim != 3 or array.shape[2] != group.size:
        must = f"(time, batch, {group.size})"
        return [
            Fault(
                "ND1301",
                where,
                f"shape {array.shape}",
                must,
                "add a batch axis: x[:, None, :]" if array.ndim == 2 else "",
            )
        ]
    if not np.issubdtype(array.dtype, np.integer) and array.dtype != bool:
        must = "whole numbers of events"
        return [Fault("ND1301", where, f"values of type {array.dtype}", must, "count the events of each step first")]
    if entry is None or not array.size:
        return []
    interval = entry.interval if raw else entry.allowed
    low, high = int(array.min()), int(array.max())
    if low >= interval.low and high <= interval.high:
        return []
    bad = np.argwhere((array < interval.low) | (array > interval.high))
    t, b, c = (int(i) for i in bad[0])
    was = f"{int(array[t, b, c])} events at step {t}, sample {b}, channel {c}, and {len(bad) - 1} more such places"
    todo = "bin the events into shorter steps, or clip them knowingly before" if high > interval.high else ""
    values = {"value": int(array[t, b, c]), "cap": interval.high, "count": len(bad)}
    return [Fault("ND1302", where, was, f"{interval} events per channel and step", todo, values)]
