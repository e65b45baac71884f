"""A batch in parts of its samples, each run somewhere else; put together in the order of the samples."""

import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Network
from neurodeploy.simulator.footprints import EventMachine, Scan, SideBySide
from neurodeploy.simulator.inputs import by_group, external_counts, own_input
from neurodeploy.simulator.joins import join_samples, part_of
from neurodeploy.simulator.pools import Pool, opened, refuse_engine
from neurodeploy.simulator.registry import AUTO
from neurodeploy.simulator.run import Run, Snapshot
from neurodeploy.simulator.simulation import Input, Simulation
from neurodeploy.simulator.stimulus import Stimulus, expand

#: parts for each process: enough that none waits long for the last
_PARTS = 4
#: bytes of 64-bit counts of a part at most
_AT_ONCE = 1 << 26


Given = Mapping[str, npt.NDArray[Any]] | Stimulus


@dataclass(frozen=True)
class Part:
    """What a worker is sent. token : the same for all parts of a call, so that a worker lays the network out once."""

    token: str
    network: Network
    laid_out: Mapping[str, Any]
    options: Mapping[str, Any]
    given: Given
    state: Snapshot | None
    samples: tuple[int, int]


#: the simulation that this process ran last; one, because each holds a whole network
_LAST: dict[str, Simulation] = {}


def work(part: Part) -> dict[str, Any] | tuple[type[Refusal], tuple[Fault, ...]]:
    """Run a part; a refusal comes back as its faults, which travel between processes."""
    try:
        if part.token not in _LAST:
            _LAST.clear()
            _LAST[part.token] = Simulation(part.network, **part.laid_out)
        run = _LAST[part.token].run(part.given, state=part.state, **part.options)
    except Refusal as refusal:
        first, last = part.samples[0], part.samples[1] - 1
        faults = (replace(f, where=f"{f.where} (of samples {first} to {last})") for f in refusal.faults)
        return type(refusal), tuple(faults)
    return {
        "counts": {g: _narrow(v) for g, v in run.counts.items()},
        "states": {g: {s: _narrow(v) for s, v in many.items()} for g, many in run.states.items()},
        "final": run.final,
        "executor": run.executor,
        "how": run.how,
        "events": run.events,
        "order": run.order,
        "scans": run.scans,
        "meetings": run.meetings,
        "lost": run.lost,
    }


def simulate_parts(
    network: Network,
    counts: Input,
    *,
    record: Collection[str] = (),
    keep: str | Collection[str] | None = None,
    state: Snapshot | None = None,
    executor: str = AUTO,
    device: str | None = None,
    drain: int | None = None,
    raw: bool = False,
    scan: Scan | None = None,
    order: str | None = None,
    engine: str | None = None,
    jobs: int | None = None,
    address: str | None = None,
    samples: int | None = None,
) -> Iterator[Run]:
    """Simulate the samples of a batch in parts, many at a time; one Run for each part, in the order of the samples.

    engine, jobs, address : as in ``simulate``; None for all three is "loky" with a process for each core
    samples : most samples of a part; None makes some parts for each process, none of more than about 64 MB
    Everything else is as in ``simulate``. ``join_samples`` makes one Run.
    Only parts that wait for an earlier one are held.
    Raises Refusal as ``simulate``, for input and options before anything is sent.
    """
    refuse_engine(engine or "loky", jobs, address)
    faults = []
    if samples is not None and (type(samples) is not int or samples < 1):
        faults.append(Fault("ND1303", "simulate", f"samples = {samples!r}", "samples of a part, 1 or more, or None"))
    if not isinstance(executor, str) or isinstance(scan, SideBySide):
        was = "scan orders side by side" if isinstance(scan, SideBySide) else "an executor of one's own"
        faults.append(Fault("ND1303", "simulate, engine", was, "what many processes can do", "leave it out"))
    raise_if(faults)
    laid_out: dict[str, Any] = {"executor": executor, "device": device, "scan": scan, "order": order}
    options: dict[str, Any] = {"record": record, "keep": keep, "drain": drain, "raw": raw}
    whole = Simulation(network, **laid_out)
    given, steps, batch = _checked(whole, counts, raw=raw)
    nothing = given.between(0, 0) if isinstance(given, Stimulus) else {n: a[:0] for n, a in given.items()}
    whole.run(nothing, state=state, **{**options, "drain": 0})  # options and state are refused before anything is sent
    plan = _Plan(engine or "loky", jobs, address, samples, state, laid_out, options)
    return _in_order(whole, given, plan, steps, batch)


def simulate_together(network: Network, counts: Input, *, state: Snapshot | None, raw: bool, **how: Any) -> Run:
    """All parts of ``simulate_parts`` as the one run that they are."""
    runs = list(simulate_parts(network, counts, state=state, raw=raw, **how))
    stimulus = None
    if network.chip.event_driven:
        whole = Simulation(network)
        given, _, _ = _checked(whole, counts, raw=raw)
        stimulus = given if isinstance(given, Stimulus) else None
    return join_samples(runs, stimulus, state)


@dataclass(frozen=True)
class _Plan:
    engine: str
    jobs: int | None
    address: str | None
    samples: int | None
    state: Snapshot | None
    laid_out: Mapping[str, Any]
    options: Mapping[str, Any]


def _in_order(whole: Simulation, given: Given, plan: _Plan, steps: int, batch: int) -> Iterator[Run]:
    with opened(plan.engine, plan.jobs, plan.address) as pool:
        size = plan.samples or _size(whole.network, pool, steps, batch)
        token, state = secrets.token_hex(8), plan.state
        tasks = []
        for begin in range(0, max(batch, 1), size):
            cut = slice(begin, min(begin + size, batch))
            own = given.part(cut) if isinstance(given, Stimulus) else {n: a[:, cut] for n, a in given.items()}
            before = None if state is None else part_of(state, cut)
            tasks.append(Part(token, whole.network, plan.laid_out, plan.options, own, before, (cut.start, cut.stop)))
        waiting: dict[int, Run] = {}
        following = 0
        for number, result in pool.run(work, tasks):
            if isinstance(result, tuple):
                refusal, faults = result
                raise refusal(faults)
            waiting[number] = _run(whole, tasks[number], result)
            while following in waiting:
                yield waiting.pop(following)
                following += 1


def _checked(whole: Simulation, counts: Input, *, raw: bool) -> tuple[Given, int, int]:
    """The input by group, or single events; its steps and samples.

    Raises Refusal ND13xx for an input that the simulation would not take.
    """
    external, steps, batch = external_counts(whole.network, whole.machine, counts, raw=raw)
    if isinstance(counts, Stimulus):
        return counts, steps, batch
    groups = whole.network.inputs()
    if isinstance(whole.machine, EventMachine):
        return expand(by_group(whole.network, whole.machine, external), groups), steps, batch
    named = counts if isinstance(counts, Mapping) else {groups[0].name: counts}
    return {n: _narrow(np.asarray(v)) for n, v in named.items()}, steps, batch


def _size(network: Network, pool: Pool, steps: int, batch: int) -> int:
    """Samples of a part."""
    sample = 8 * steps * sum(g.size for g in network.groups)
    return max(min(-(-batch // (_PARTS * pool.size)), _AT_ONCE // max(sample, 1)), 1)


def _run(whole: Simulation, part: Part, result: Mapping[str, Any]) -> Run:
    """The run of a part, as if it had been simulated here."""
    network, machine = whole.network, whole.machine
    external, _, _ = external_counts(network, machine, part.given, raw=True)
    wide = {"counts": {g: v.astype(np.int64) for g, v in result["counts"].items()}}
    given = by_group(network, machine, external)
    wide |= {"states": {g: {s: v.astype(np.int64) for s, v in many.items()} for g, many in result["states"].items()}}
    return Run(
        network=network,
        latency=whole.latency,
        unchecked=bool(part.options.get("raw")),
        input=given if isinstance(part.given, Stimulus) else own_input(network, given),
        initial=part.state,
        stimulus=part.given if isinstance(part.given, Stimulus) else None,
        **{**result, **wide},
    )


def _narrow(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same numbers in the smallest type, for the way between processes."""
    if not values.size or values.dtype.itemsize == 1:
        return values
    low, high = np.min_scalar_type(int(values.min())), np.min_scalar_type(int(values.max()))
    return values.astype(np.promote_types(low, high))
