"""A placed network laid out for simulation, and its run on an input."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Network
from neurodeploy.simulator.engine import Observer, latency_of
from neurodeploy.simulator.event_engine import ORDERS
from neurodeploy.simulator.executors import Executor
from neurodeploy.simulator.footprints import EventMachine, Scan, SideBySide, assemble_events
from neurodeploy.simulator.inputs import by_group, external_counts
from neurodeploy.simulator.machine import assemble
from neurodeploy.simulator.registry import AUTO, EXECUTORS, check, choose, names
from neurodeploy.simulator.run import Run, Snapshot
from neurodeploy.simulator.stepwise import run_steps
from neurodeploy.simulator.stimulus import Stimulus
from neurodeploy.simulator.task import Progress, Task

Input = npt.ArrayLike | Mapping[str, npt.ArrayLike] | Stimulus
#: ``keep`` that means the groups whose events leave the chip
OUTPUTS = "outputs"


class Simulation:
    """A placed network laid out once, to be run on any number of inputs; no state is remembered between runs.

    ``simulate`` describes the options and the refusals.
    together : the inputs are parts of one; what "auto" chose for the first runs the others, too
    """

    def __init__(
        self,
        network: Network,
        *,
        executor: str | Executor = AUTO,
        device: str | None = None,
        scan: Scan | SideBySide | None = None,
        order: str | None = None,
        together: bool = False,
    ) -> None:
        if isinstance(executor, str):
            check(network.chip, executor)
        raise_if(list(_option_faults(network, executor, scan, order)))
        self.network, self.order, self.executor, self.device = network, order, executor, device
        self.machine = assemble_events(network, scan) if network.chip.event_driven else assemble(network)
        self.latency = latency_of(network)
        self.memo: dict[str, object] = {}
        self._together, self._chosen = together, dict[str, str]()

    def run(
        self,
        counts: Input,
        *,
        record: Collection[str] = (),
        keep: str | Collection[str] | None = None,
        state: Snapshot | None = None,
        drain: int | None = None,
        raw: bool = False,
        observer: Observer | None = None,
        progress: Progress | None = None,
    ) -> Run:
        """Run an input; see ``simulate``."""
        network, machine = self.network, self.machine
        if drain is not None and (type(drain) is not int or drain < 0):
            raise Refusal(Fault("ND1303", "simulate", f"drain = {drain!r}", "a number of steps, 0 or more, or None"))
        if isinstance(counts, Stimulus) and not isinstance(machine, EventMachine):
            raise_if([_clocked_fault(network, "a Stimulus")])
        kept, wanted = _kept(network, keep), _wanted(network, record)
        external, steps, batch = external_counts(network, machine, counts, raw=raw)
        task = Task(
            network,
            machine,
            external,
            by_group(network, machine, external),
            steps + (self.latency if drain is None else drain),
            batch,
            self.latency,
            kept,
            wanted,
            state=state,
            raw=raw,
            stimulus=counts if isinstance(counts, Stimulus) else None,
            order=self.order,
            observer=observer,
            progress=progress,
            device=self.device,
            memo=self.memo,
        )
        if not isinstance(self.executor, str):
            return run_steps(task, self.executor)
        name, why = next(((n, w) for n, w in self._chosen.items() if not EXECUTORS[n].reason(task)), ("", ""))
        if not name:
            name, why = choose(task, self.executor)
        if self._together:
            self._chosen = {name: why}
        run = EXECUTORS[name].run(task)
        return replace(run, how=replace(run.how, why=why))


def simulate(
    network: Network,
    counts: Input,
    *,
    record: Collection[str] = (),
    keep: str | Collection[str] | None = None,
    state: Snapshot | None = None,
    executor: str | Executor = AUTO,
    device: str | None = None,
    drain: int | None = None,
    raw: bool = False,
    observer: Observer | None = None,
    progress: Progress | None = None,
    scan: Scan | SideBySide | None = None,
    order: str | None = None,
    engine: str | None = None,
    jobs: int | None = None,
    address: str | None = None,
    samples: int | None = None,
) -> Run:
    """Simulate a placed network bit for bit.

    counts : (time, batch, channel) whole numbers, or one such array for each input group; a group that has a shape
        takes (time, batch, *shape) as well. Where events drive the chip
        they are expanded to single events, in the order that ``expand`` states, or a Stimulus gives the events
    record : states to keep at every step ("v", or "hidden.v" for one kind or group)
    keep : groups whose event counts are kept; "outputs" are those whose events leave the chip, None keeps all
    state : where to go on; None starts from reset
    executor : a name of EXECUTORS, all of which are equal in every bit: "reference" is the definition, and slow;
        "auto" takes the one that suits, and the result says which and why. Or an Executor that observes more
    device : where an executor that has a choice computes: "cpu", "cuda" or another device of torch
    drain : silent steps to append; None appends the latency of the network, so that the last input can reach the output
    raw : take whatever the chip's registers hold, without the check against the chip's event cap
    scan, order : where events drive the chip, another scan order than the chip file states (see ``scan`` of a
        connection there; one for each connection kind, or a mapping), and "breadth" or "depth" instead of its queue
    engine : where the samples of a large batch run: "loky", processes of this machine, or "dask", the workers of the
        cluster at ``address``; equal in every bit. None is this process, unless ``jobs`` is given
    jobs : processes of "loky"; None is one for each core
    samples : most samples that a worker takes at once; None chooses
    Raises Refusal: ND13xx for the input, ND1204 for a network without hardware ids; Missing (ND9001) where the executor
    or engine is not installed, (ND1305) where no cluster answers; TextAtFault (ND1005) where a text of the chip file
    leaves the width of a register.
    """
    if (engine, jobs, address, samples) != (None, None, None, None):
        from neurodeploy.simulator.parts import simulate_together

        refuse_single(observer, progress)
        how: dict[str, Any] = {
            "executor": executor,
            "device": device,
            "scan": scan,
            "order": order,
            "drain": drain,
            "raw": raw,
        }
        how |= {"engine": engine, "jobs": jobs, "address": address, "samples": samples}
        return simulate_together(network, counts, record=record, keep=keep, state=state, **how)
    simulation = Simulation(network, executor=executor, device=device, scan=scan, order=order)
    return simulation.run(
        counts, record=record, keep=keep, state=state, drain=drain, raw=raw, observer=observer, progress=progress
    )


def refuse_single(observer: object, progress: object) -> None:
    """Refuse (ND1303) with an engine what must be in one process."""
    stated = {"an observer": observer is not None, "progress by steps": progress is not None}
    must, todo = "what many processes can do", "leave it out; simulate_parts tells which samples are done"
    raise_if([Fault("ND1303", "simulate, engine", n, must, todo) for n, given in stated.items() if given])


def _option_faults(network: Network, executor: str | Executor, scan: object, order: str | None) -> Iterator[Fault]:
    """Options that belong to the other sort of chip, and unknown ones."""
    name = network.chip.name
    if not network.chip.event_driven:
        stated = {"scan": scan is not None, "order": order is not None}
        yield from (_clocked_fault(network, n) for n, given in stated.items() if given)
        return
    if order is not None and order not in ORDERS:
        yield Fault("ND1303", "simulate", f"order = {order!r}", f"one of {', '.join(ORDERS)}")
    if not isinstance(executor, str):
        was = f"an executor of one's own ({executor.name})"
        yield Fault("ND1303", f"simulate, {name}", was, f"one of {', '.join(names())}: events drive this chip")


def _clocked_fault(network: Network, option: str) -> Fault:
    return Fault("ND1303", f"simulate, {network.chip.name}", f"{option} for a clocked chip", "a chip that events drive")


def _kept(network: Network, keep: str | Collection[str] | None) -> tuple[str, ...]:
    """Names of the groups whose counts are kept, in the order of the network."""
    known = [g.name for g in network.groups]
    if keep is None:
        return tuple(known)
    wanted = [g.name for g in network.outputs()] if keep == OUTPUTS else [keep] if isinstance(keep, str) else keep
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        must = f"{OUTPUTS!r}, or names of {', '.join(known)}"
        raise Refusal(Fault("ND1303", "simulate", f"keep = {', '.join(map(repr, unknown))}", must))
    return tuple(n for n in known if n in wanted)


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
