"""Time our executors and the simulators of others on the same networks, in turn, and check that they agree."""

import importlib.metadata
import importlib.util
import statistics
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from neurodeploy.bench.floats import FLOATS
from neurodeploy.bench.integers import integer_rate
from neurodeploy.bench.machine import load_of, machine_of
from neurodeploy.bench.networks import CellTable, Prepared, WorkloadTable, prepared, stimulus_of, workloads
from neurodeploy.bench.rivals import LAST_ONLY, RIVALS
from neurodeploy.errors import Fault, MissingPeer, raise_if
from neurodeploy.simulator import Run, Simulation
from neurodeploy.verifier import compare

OURS, FLOOR = "numba", "numpy"
#: The machine's time for the operations of the neurons, without memory and anything else.
ARITHMETIC = "arithmetic alone"
SHORTEST = 0.02  # seconds that are measured at least, by repeating what takes less
FLOOR_STEPS = 200  # steps that the floor is timed on, in a workload of more, and samples as an oracle's; then scaled


@dataclass(frozen=True)
class Cell:
    """One row of the result: a workload, our time, and how many times longer others take.

    milliseconds : variant -> of every round, scaled to the whole workload
    ratios : variant -> median over the rounds of its time over ours
    goals : variant -> what the ratio must reach; only those that have one
    checked : with what our result was compared, and how many values were equal
    operations : synaptic operations in all
    per_second : of one thread
    """

    workload: str
    name: str
    title: str
    milliseconds: Mapping[str, tuple[float, ...]]
    ratios: Mapping[str, float]
    goals: Mapping[str, float]
    checked: Mapping[str, int]
    operations: int
    per_second: float

    def missed(self) -> dict[str, float]:
        """Goals that the ratio does not reach; a simulator that did not run counts for nothing."""
        return {n: goal for n, goal in self.goals.items() if n in self.ratios and self.ratios[n] < goal}


@dataclass(frozen=True)
class Simulations:
    """What was measured.

    missing : simulators that could not run, with the reason
    """

    cells: tuple[Cell, ...]
    rounds: int
    threads: int
    versions: Mapping[str, str]
    missing: Mapping[str, str]
    machine: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)

    def markdown(self) -> str:
        """A table; a ratio is followed by its goal, where there is one."""
        heads = ("workload", "ours", "synaptic operations", "others: times longer (goal)", "equal values")
        lines = [f"| {' | '.join(heads)} |", "|---|--:|--:|---|---|"]
        for cell in self.cells:
            ours = statistics.median(cell.milliseconds[OURS])
            others = [f"{self._named(n)} {r:,.3g}{_goal(cell.goals, n)}" for n, r in cell.ratios.items() if n != OURS]
            equal = ", ".join(f"{count:,} with {name}" for name, count in cell.checked.items())
            rate = f"{cell.operations:,} ({cell.per_second / 1e9:.2f} G/s)" if cell.operations else ""
            title = f"{cell.workload}: {cell.title}; {cell.name}"
            lines.append(f"| {title} | {ours:.3g} ms | {rate} | {', '.join(others)} | {equal} |")
        about = f"Median of {self.rounds} rounds in turn, {self.threads} threads; {self.machine}."
        return "\n".join([about, "", *lines])

    def _named(self, name: str) -> str:
        return f"{name} {self.versions[name]}" if name in self.versions else name


def _goal(goals: Mapping[str, float], name: str) -> str:
    return f" ({goals[name]:g})" if goals.get(name) else ""


def bench_simulation(
    names: Collection[str] | None = None,
    *,
    rounds: int = 5,
    threads: int = 2,
    require_peers: bool = False,
    floor: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Simulations:
    """Time compiled code on the workloads of ``simulations.toml`` against every simulator that is installed.

    names : workloads; None: all
    require_peers : refuse (MissingPeer) where a simulator that has a goal is not installed
    floor : time the NumPy executor, too
    Every cell is checked: against the oracles in all counts and states, else against the NumPy executor.
    """
    import torch

    known = workloads()
    faults = [
        Fault("ND1601", "bench", f"workload {n!r}", f"one of {', '.join(known)}") for n in names or () if n not in known
    ]
    faults += [
        Fault("ND1601", "bench", f"{n} = {v}", "a whole number of at least 1")
        for n, v in {"rounds": rounds, "threads": threads}.items()
        if v < 1
    ]
    raise_if(faults)
    chosen = {n: w for n, w in known.items() if not names or n in names}
    missing = _missing(chosen.values())
    if require_peers and missing:
        was = f"not installed: {', '.join(missing)} ({'; '.join(missing.values())})"
        raise MissingPeer(Fault("ND9001", "bench", was, "every peer must run", "README, Simulation speed, says how"))
    before, load = torch.get_num_threads(), load_of()
    torch.set_num_threads(threads)
    cells = []
    try:
        for name, workload in chosen.items():
            for cell in workload.cell:
                tell(f"{name}, {cell.name}")
                cells.append(_cell(name, workload, cell, rounds, missing, floor=floor))
    finally:
        torch.set_num_threads(before)
    machine = f"{machine_of()}, load {load} before and {load_of()} after"
    ran = {n for c in cells for n in c.ratios}
    return Simulations(tuple(cells), rounds, threads, _versions(ran), missing, machine)


def _missing(chosen: Collection[WorkloadTable]) -> dict[str, str]:
    wanted = dict.fromkeys(n for w in chosen for c in w.cell for n in c.goal)
    found = {}
    for name in wanted:
        if name in RIVALS:
            if RIVALS[name].available() is None:
                found[name] = RIVALS[name].install
        elif importlib.util.find_spec(name) is None:
            found[name] = f"no module named {name}"
    return found


def _versions(names: Collection[str]) -> dict[str, str]:
    result = {}
    for name in set(names) - {ARITHMETIC}:
        version = RIVALS[name].available() if name in RIVALS else None
        result[name] = version or importlib.metadata.version(name)
    return {n: v for n, v in sorted(result.items()) if v}


def _cell(
    name: str, workload: WorkloadTable, cell: CellTable, rounds: int, missing: Mapping[str, str], *, floor: bool
) -> Cell:
    task = prepared(workload, cell)
    ours = Simulation(task.network, executor=OURS)
    options: dict[str, Any] = {"drain": 0, "keep": () if cell.states_only else "outputs"}
    if cell.record:
        states = sorted({s for g in task.network.groups for s in task.network.chip.neurons[g.kind].states})
        options |= {"record": states, "keep": None}
    variants: dict[str, Callable[[], float]] = {OURS: lambda: _timed(lambda: ours.run(task.given, **options))}
    variants |= {n: _rival(n, task, cell) for n in cell.goal if n not in missing}
    if floor:
        variants[FLOOR] = _floor(task, options, cell.oracle_samples)
    goals = dict(cell.goal)
    if cell.arithmetic:
        variants[ARITHMETIC] = _arithmetic(task, cell)
        goals[ARITHMETIC] = 1 / cell.within
    checked = _checked(task, cell, ours, missing)
    for variant in variants.values():
        variant()
    times: dict[str, list[float]] = {n: [] for n in variants}
    for _ in range(rounds):
        for label, once in variants.items():
            times[label].append(once() * 1e3)
    ratios = {n: statistics.median(t / o for t, o in zip(ts, times[OURS], strict=True)) for n, ts in times.items()}
    operations = _operations(task, ours)
    rate = operations / (statistics.median(times[OURS]) / 1e3)
    found = {n: tuple(t) for n, t in times.items()}
    return Cell(name, cell.name, workload.title, found, ratios, goals, checked, operations, rate)


def _timed(once: Callable[[], object]) -> float:
    """Seconds of a run; one that is short is repeated, as the first finds what ran before it in the caches."""
    begin, runs = time.perf_counter(), 0
    while not runs or time.perf_counter() - begin < SHORTEST:
        once()
        runs += 1
    return (time.perf_counter() - begin) / runs


def _rival(name: str, task: Prepared, cell: CellTable) -> Callable[[], float]:
    """Return seconds of one run of somebody else's simulator, scaled to all samples."""
    if name in FLOATS:
        run = FLOATS[name](task)
        return lambda: _timed(run)
    few = task.counts[:, : cell.oracle_samples]
    scale: float = task.counts.shape[1] / few.shape[1]
    oracle = RIVALS[name]

    def seconds() -> float:
        process, last = oracle.process, len(few) - 1
        trace = process.observe(task.network, few, first=last) if process else oracle.run(task.network, few)
        return float(trace.seconds or 0.0) * scale

    return seconds


def _floor(task: Prepared, options: Mapping[str, Any], samples: int | None) -> Callable[[], float]:
    """Return seconds of the NumPy executor, on a part of the input, scaled."""
    plain = Simulation(task.network, executor=FLOOR)
    if task.stimulus is None:
        few: Any = task.counts[:FLOOR_STEPS, :samples]
        scale = task.counts.size / few.size
    else:
        few = _first_events(task, FLOOR_STEPS)
        scale = len(task.stimulus) / FLOOR_STEPS
    return lambda: _timed(lambda: plain.run(few, **options)) * scale


def _arithmetic(task: Prepared, cell: CellTable) -> Callable[[], float]:
    """Return seconds that the machine needs for a number of 32-bit operations of each neuron in each step."""
    import torch

    inputs = {g.name for g in task.network.inputs()}
    neurons = sum(g.size for g in task.network.groups if g.name not in inputs)
    operations = cell.arithmetic * neurons * task.counts.shape[0] * task.counts.shape[1]
    return lambda: operations / integer_rate(torch.get_num_threads())


def _first_events(task: Prepared, count: int) -> Any:
    stimulus = task.stimulus
    if stimulus is None or stimulus.t_us is None:
        return task.counts
    return stimulus_of(stimulus.steps, stimulus.t_us[:count], stimulus.neuron[:count])


def _checked(task: Prepared, cell: CellTable, ours: Simulation, missing: Mapping[str, str]) -> dict[str, int]:
    """Compare with every oracle that runs, else with the NumPy executor; values that were equal, by name.

    Raises Refusal ND1601 at the first that differs.
    """
    found: dict[str, int] = {}
    for name in (n for n in cell.goal if n in RIVALS and n not in missing):
        found[name] = _against_oracle(name, task, cell, ours)
    if not found:
        found[FLOOR] = _against_floor(task, cell, ours)
    raise_if(
        [Fault("ND1601", "bench", f"{n}: no value compared", "at least one") for n, count in found.items() if not count]
    )
    return found


def _against_oracle(name: str, task: Prepared, cell: CellTable, ours: Simulation) -> int:
    oracle, few = RIVALS[name], task.counts[:, : cell.oracle_samples]
    if (cell.states_only or name in LAST_ONLY) and oracle.process is not None:
        trace = oracle.process.observe(task.network, few, first=len(few) - 1)
        run = ours.run(few, drain=0, keep=())
        count = 0
        for group, states in trace.states.items():
            kind = task.network.group(group).kind
            at = ours.machine.lanes[kind].slices[group]
            for state, values in states.items():
                same = np.array_equal(run.final.states[kind][state][:, at], values[-1])
                _refuse_unless(name, f"{group}.{state} after the last step", equal=same)
                count += values[-1].size
        return count
    trace = oracle.run(task.network, few)
    states_of = sorted({s for many in trace.states.values() for s in many})
    run = ours.run(few, drain=0, record=states_of)
    result = compare(run, trace)
    _refuse_unless(name, str(result.difference or [f.was for f in result.faults]), equal=result.exact)
    return int(result.compared)


def _against_floor(task: Prepared, cell: CellTable, ours: Simulation) -> int:
    given = _first_events(task, cell.check_events) if cell.check_events else task.given
    keep = () if cell.states_only else None
    mine, plain = (s.run(given, drain=0, keep=keep) for s in (ours, Simulation(task.network, executor=FLOOR)))
    count = sum(int(v.size) for v in plain.counts.values())
    for group, values in plain.counts.items():
        _refuse_unless(FLOOR, f"counts of {group}", equal=np.array_equal(mine.counts[group], values))
    for kind, many in plain.final.states.items():
        for state, values in many.items():
            same = np.array_equal(mine.final.states[kind][state], values)
            _refuse_unless(FLOOR, f"final {kind}.{state}", equal=same)
            count += values.size
    return count


def _refuse_unless(name: str, what: str, *, equal: bool) -> None:
    if not equal:
        raise_if([Fault("ND1601", f"bench, {name}", f"{what} differs", "every value must be equal")])


def _operations(task: Prepared, ours: Simulation) -> int:
    """Synaptic operations: events times the synapses that they meet."""
    network = task.network
    if network.chip.event_driven:
        return int(ours.run(task.given, drain=0, keep=()).meetings.sum())
    if sum(g.size for g in network.groups) * len(task.counts) > MOST_COUNTS:
        return 0
    run: Run = ours.run(task.counts[:, :1], drain=0)
    total = 0
    for p in network.projections:
        fan = np.bincount(p.sources, minlength=network.group(p.source).size)
        total += int((run.counts[p.source].sum(axis=(0, 1)) * fan).sum())
    return total * int(task.counts.shape[1])


#: Counts above which none are kept to count operations
MOST_COUNTS = 50_000_000
