"""Simulation: check what is asked for, choose an executor, run."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.chips.compile import DELAY
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Network
from neurodeploy.simulator.engine import Observer
from neurodeploy.simulator.event_engine import ORDERS
from neurodeploy.simulator.executors import Executor
from neurodeploy.simulator.footprints import EventMachine, Scan, SideBySide, assemble_events
from neurodeploy.simulator.machine import Ints, Machine, assemble, stored_fields
from neurodeploy.simulator.registry import AUTO, EXECUTORS, choose, names
from neurodeploy.simulator.run import Run, Snapshot
from neurodeploy.simulator.stepwise import run_steps
from neurodeploy.simulator.stimulus import Stimulus
from neurodeploy.simulator.task import Progress, Task


def simulate(
    network: Network,
    counts: npt.ArrayLike | Mapping[str, npt.ArrayLike] | Stimulus,
    *,
    record: Collection[str] = (),
    state: Snapshot | None = None,
    executor: str | Executor = AUTO,
    device: str | None = None,
    drain: int | None = None,
    raw: bool = False,
    observer: Observer | None = None,
    progress: Progress | None = None,
    scan: Scan | SideBySide | None = None,
    order: str | None = None,
) -> Run:
    """Simulate a placed network bit for bit.

    counts : (time, batch, channel) whole numbers, or one such array for each input group; a group that has a shape
        takes (time, batch, *shape) as well. Where events drive the chip
        they are expanded to single events, in the order that ``expand`` states, or a Stimulus gives the events
    record : states to keep at every step ("v", or "hidden.v" for one kind or group); event counts are always kept
    state : where to go on; None starts from reset
    executor : a name of EXECUTORS, all of which are equal in every bit: "reference" is the definition, and slow;
        "auto" takes the one that suits, and the result says which and why. Or an Executor that observes more
    device : where an executor that has a choice computes: "cpu", "cuda" or another device of torch
    drain : silent steps to append; None appends the latency of the network, so that the last input can reach the output
    raw : take whatever the chip's registers hold, without the check against the chip's event cap
    scan, order : where events drive the chip, another scan order than the chip file states (see ``scan`` of a
        connection there; one for each connection kind, or a mapping), and "breadth" or "depth" instead of its queue
    Raises Refusal: ND13xx for the input, ND1204 for a network without hardware ids; TextAtFault (ND1005) where a text
    of the chip file leaves the width of a register.
    """
    if isinstance(executor, str) and executor not in names():
        must = f"one of {', '.join(names())}"
        raise Refusal(Fault("ND1303", "simulate", f"executor = {executor!r}", must))
    if drain is not None and (type(drain) is not int or drain < 0):
        raise Refusal(Fault("ND1303", "simulate", f"drain = {drain!r}", "a number of steps, 0 or more, or None"))
    raise_if(list(_option_faults(network, counts, executor, scan, order)))
    machine = assemble_events(network, scan) if network.chip.event_driven else assemble(network)
    latency = latency_of(network)
    external, steps, batch = external_counts(network, machine, counts, raw=raw)
    given = {g.name: external[g.kind][:, :, machine.lanes[g.kind].slices[g.name]] for g in network.inputs()}
    task = Task(
        network,
        machine,
        external,
        given,
        steps + (latency if drain is None else drain),
        batch,
        latency,
        _wanted(network, record),
        state,
        raw,
        counts if isinstance(counts, Stimulus) else None,
        order,
        observer,
        progress,
        device,
    )
    if not isinstance(executor, str):
        return run_steps(task, executor)
    name, why = choose(task, executor)
    run = EXECUTORS[name].run(task)
    return replace(run, how=replace(run.how, why=why))


def _option_faults(
    network: Network, counts: object, executor: str | Executor, scan: object, order: str | None
) -> Iterator[Fault]:
    """Options that belong to the other sort of chip, and unknown ones."""
    name = network.chip.name
    if not network.chip.event_driven:
        stated = {"scan": scan is not None, "order": order is not None, "a Stimulus": isinstance(counts, Stimulus)}
        for option in (n for n, given in stated.items() if given):
            yield Fault("ND1303", f"simulate, {name}", f"{option} for a clocked chip", "a chip that events drive")
        return
    if order is not None and order not in ORDERS:
        yield Fault("ND1303", "simulate", f"order = {order!r}", f"one of {', '.join(ORDERS)}")
    if not isinstance(executor, str):
        was = f"an executor of one's own ({executor.name})"
        yield Fault("ND1303", f"simulate, {name}", was, f"one of {', '.join(names())}: events drive this chip")


def latency_of(network: Network) -> int:
    """Steps from an input event to the first output that it can influence, along the fastest path.

    Of several output groups the one that lags most counts. Periods of phases are not added.
    """
    distance = {g.name: 0 for g in network.inputs()}
    hops = []
    for p in network.projections:
        if p.geometry is not None or p.sources.size:
            kept = stored_fields(network.chip.connections[p.kind], p.fields, p.parameters)
            added = int(kept[DELAY].min()) if DELAY in kept else 0
            hops.append((p.source, p.target, network.chip.delay(p.kind, network.group(p.source).kind) + added))
    for _ in network.groups:
        for source, target, delay in hops:
            if source in distance:
                distance[target] = min(distance.get(target, distance[source] + delay), distance[source] + delay)
    return max((distance.get(g.name, 0) for g in network.outputs()), default=0)


def _wanted(network: Network, record: Collection[str]) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for item in (record,) if isinstance(record, str) else record:
        place, _, name = item.rpartition(".")
        hits = [
            g.name
            for g in network.groups
            if place in {"", g.name, g.kind} and name in network.chip.neurons[g.kind].states
        ]
        if not hits:
            known = sorted({f"{g.name}.{s}" for g in network.groups for s in network.chip.neurons[g.kind].states})
            raise Refusal(Fault("ND1303", "simulate", f"record = {item!r}", f"one of {', '.join(known)}"))
        for hit in hits:
            wanted.setdefault(hit, []).append(name)
    return wanted


def external_counts(
    network: Network,
    machine: Machine | EventMachine,
    counts: npt.ArrayLike | Mapping[str, npt.ArrayLike] | Stimulus,
    *,
    raw: bool,
) -> tuple[dict[str, Ints], int, int]:
    """Input by neuron kind, (time, batch, neuron) in the order of hardware ids, checked."""
    groups = network.inputs()
    counts = counts.counts(groups) if isinstance(counts, Stimulus) else counts
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
    external = {}
    for name in {g.kind for g in groups}:
        lane = machine.lanes[name]
        joined = np.zeros((steps, batch, lane.size), np.int64)
        for g in network.of_kind(name):
            joined[:, :, lane.slices[g.name]] = arrays[g.name]
        external[name] = joined
    return external, steps, batch


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
