"""Comparison of a network's simulation with oracles, by name: what a bundle, a test and the command line share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from neurodeploy.bundles.content import all_states
from neurodeploy.bundles.recorded import compare_recording
from neurodeploy.chips import Chip
from neurodeploy.devices import driver_of, load_recording, open_device, record
from neurodeploy.errors import Fault, Missing, Refusal, raise_if
from neurodeploy.network import Network
from neurodeploy.simulator import EXECUTORS, Run, Trace, simulate
from neurodeploy.simulator.registry import AUTO
from neurodeploy.verifier import Comparison, compare

Ints = npt.NDArray[np.int64]

ALL = "all"  # every oracle that is here and takes the network
REFERENCE = "reference"
RECORDING = ".npz"  # how the name of a recording ends
#: texts that the reference may run where it was asked for: some ten seconds
ASKED_BUDGET = 400_000
#: "it cannot run this network", of all that an oracle may refuse
UNABLE = "ND2003"


class Oracle(Protocol):
    """What is needed of an entry of the table of ``neurodeploy.oracles``."""

    @property
    def grade(self) -> str:
        """How much its answer is worth, as in chip files."""

    def available(self) -> str | None:
        """Version of the installed package, None where there is none."""

    def missing(self, purpose: str) -> Missing:
        """Refusal that says how to make it available."""

    def faults(self, network: Network) -> list[Fault]:
        """Why it cannot run a network."""

    def samples(self, chip: Chip) -> int | None:
        """How many samples it is asked for; None is all."""

    def run(self, network: Network, counts: Any) -> Trace:
        """Observe a placed network from reset, one step for each step of the counts."""


@dataclass(frozen=True)
class Check:
    """One comparison of a verification.

    oracle, version : what the simulation was compared with, and who made it
    kind : "live" if it was computed just now, "golden" if it stood in the bundle, "configuration" if what is written
        for the chip was read back, "recording" of a device
    grade : how much it is worth, as in chip files
    executor : what computed the simulation
    part : how much of the input it got, where that was not all; what the comparison left open
    """

    oracle: str
    version: str
    kind: str
    grade: str
    comparison: Comparison
    executor: str = ""
    part: str = ""

    def __str__(self) -> str:
        part = f"; {self.part}" if self.part else ""
        head = f"{self.oracle} ({self.version}, {self.kind}, {self.grade})"
        return f"{head}: {self.comparison}; executor {self.executor}{part}"

    def to_json(self) -> dict[str, object]:
        """Plain data, without the comparison."""
        shown: dict[str, object] = {
            "oracle": self.oracle,
            "version": self.version,
            "kind": self.kind,
            "values_compared": self.comparison.compared,
            "spikes": self.comparison.spikes,
            "grade": self.grade,
            "executor": self.executor,
        }
        return shown | ({"part": self.part} if self.part else {})


@dataclass(frozen=True)
class Answers:
    """What came of asking several oracles.

    checks : comparisons that were made
    faults : why an oracle that was named could not be asked
    missing : what is not installed here, of those that were named
    left_out : with "all", the oracles that were not asked, and why
    """

    checks: tuple[Check, ...] = ()
    faults: tuple[Fault, ...] = ()
    missing: tuple[Fault, ...] = ()
    left_out: tuple[Fault, ...] = ()


def names_of(against: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names as they were given: one, several with commas between them, or a sequence; each once."""
    given = [] if against is None else [against] if isinstance(against, str) else list(against)
    return tuple(dict.fromkeys(name.strip() for text in given for name in text.split(",") if name.strip()))


def ask(
    network: Network, given: Mapping[str, Ints], against: str | Sequence[str] | None, *, executor: str = AUTO
) -> Answers:
    """Simulate a placed network on an input, and compare with every oracle that is named.

    given : input group -> (time, batch, channel); nothing is appended
    against : names of oracles, or "all": whatever is here and takes the network; the rest is named in ``left_out``.
        A name that ends in .npz is a recording, "csv:FOLDER" or "samna:BOARD:NUMBER" a device that is asked now
    executor : as in simulate; an executor is never compared with itself
    Raises nothing for an oracle that refuses, is missing or differs: the result says so.
    """
    known: Mapping[str, Oracle] = import_module("neurodeploy.oracles").table()
    checks, faults, missing, left_out = list[Check](), list[Fault](), list[Fault](), list[Fault]()
    for name in _chosen(known, names_of(against), faults):
        whole = ALL in names_of(against) and name not in names_of(against)
        try:
            if name in known:
                checks.append(_check(network, given, name, known[name], executor))
            else:
                checks.append(_device_check(network, given, name, executor))
        except Missing as refusal:
            (left_out if whole else missing).extend(refusal.faults)
        except Refusal as refusal:
            unable = all(f.code == UNABLE for f in refusal.faults)
            (left_out if whole and unable else faults).extend(refusal.faults)
    return Answers(tuple(checks), tuple(faults), tuple(missing), tuple(left_out))


def _chosen(known: Mapping[str, Oracle], names: Sequence[str], faults: list[Fault]) -> Iterator[str]:
    wanted = dict.fromkeys(n for name in names for n in (known if name == ALL else (name,)))
    for name in wanted:
        if name in known or name.endswith(RECORDING) or driver_of(name):
            yield name
        else:
            must = f"one of {', '.join((*known, ALL))}"
            faults.append(Fault("ND9002", f"verify, against = {name!r}", "no oracle of that name", must))


def _check(network: Network, given: Mapping[str, Ints], name: str, oracle: Oracle, executor: str) -> Check:
    if oracle.available() is None:
        raise oracle.missing(f"verify, against = {name!r}")
    raise_if(oracle.faults(network))
    whole = next(iter(given.values())).shape[:2]
    given = _affordable(network, given) if name == REFERENCE else given
    most = oracle.samples(network.chip)
    given = given if most is None else {n: v[:, :most] for n, v in given.items()}
    steps, samples = next(iter(given.values())).shape[:2]
    left = f"the first {steps:,} of {whole[0]:,} steps of {samples:,} of {whole[1]:,} samples"
    part = left if (steps, samples) != whole else ""
    trace = oracle.run(network, given)
    known_states = set(all_states(network))
    record = [f"{g}.{s}" for g, many in trace.states.items() for s in many if f"{g}.{s}" in known_states]
    run = simulate(network, given, record=record, drain=0, executor=_another(network, name, executor))
    if run.executor == name:  # "auto" took the very one that is asked
        run = simulate(network, given, record=record, drain=0, executor=_another(network, name, run.executor))
    return Check(name, trace.made_by, "live", oracle.grade, compare(run, trace), run.executor, part)


def _device_check(network: Network, given: Mapping[str, Ints], name: str, executor: str) -> Check:
    """A recording, or a device that is recorded now."""
    if name.endswith(RECORDING):
        recording, kind = load_recording(name), "recording"
    else:
        device, kind = open_device(network, name), "live"
        try:
            recording = record(network, given, device)
        finally:
            device.close()
    found, run, part = compare_recording(network, given, recording, executor=executor)
    made_by = f"{recording.about.made_by}, {recording.on.isoformat()}"
    return Check(name, made_by, kind, recording.about.grade, found, run.executor, part)


def _another(network: Network, name: str, executor: str) -> str:
    """An executor that is not the oracle itself: equality with oneself shows nothing."""
    if executor != name:
        return executor
    schedule = "event" if network.chip.event_driven else "clocked"
    others = ("numpy", "numba", REFERENCE)
    return next(n for n in others if n != name and schedule in EXECUTORS[n].schedules and EXECUTORS[n].installed)


def _affordable(network: Network, given: Mapping[str, Ints]) -> dict[str, Ints]:
    """As many samples as the reference can run in the time; of the first at least one step."""
    run = simulate(network, given, drain=0, raw=True)
    spent = np.cumsum(work(network, run.counts, met_in_a_step(run)), axis=0)
    samples = max(1, int(np.searchsorted(np.cumsum(spent[-1]), ASKED_BUDGET, "right"))) if len(spent) else 1
    steps = max(1, int(np.searchsorted(spent[:, 0], ASKED_BUDGET, "right"))) if samples == 1 else len(spent)
    return {n: v[:steps, :samples] for n, v in given.items()}


def work(network: Network, counts: Mapping[str, Ints], met: int) -> Ints:
    """(time, sample) texts that the reference runs: one for each neuron, and one for each synapse that an event meets.

    met : on a chip that events drive, synaptic operations of a step
    """
    shape = next(iter(counts.values())).shape[:2]
    spent = np.full(shape, sum(g.size for g in network.groups) + met)
    if not network.chip.event_driven:
        for p in network.projections:
            reached = np.bincount(p.pairwise.sources, minlength=network.group(p.source).size)
            spent += (counts[p.source] != 0) @ reached
    return spent


def met_in_a_step(run: Run) -> int:
    """On a chip that events drive, synaptic operations of a step in the sample that has most."""
    return int(run.meetings.max(initial=0)) // max(1, len(next(iter(run.counts.values()))))
