"""Verification of a bundle without the model: hashes, limits, vectors, configurations, other simulators."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from neurodeploy.bundles.against import Check, ask, met_in_a_step, work
from neurodeploy.bundles.content import Bundle, all_states, load_bundle
from neurodeploy.bundles.readback import check_certificate, compare_configuration
from neurodeploy.errors import Fault, Missing, Refusal
from neurodeploy.mapper import placed_faults
from neurodeploy.network import Network
from neurodeploy.notebook import show
from neurodeploy.simulator import Run, Trace, simulate
from neurodeploy.simulator.registry import AUTO
from neurodeploy.verifier import Comparison, Difference, OrderReport, compare, observe_orders

Ints = npt.NDArray[np.int64]

#: texts that the reference may run: about a second
REFERENCE_BUDGET = 40_000
#: synaptic operations that scan orders may take together, by executor: some seconds
ORDERS_BUDGET = MappingProxyType({"numpy": 60_000_000, "numba": 1_000_000_000})
VECTORS = "the golden vectors"  # how a difference calls them


@dataclass(frozen=True)
class Verification:
    """What a verification found.

    checks : all comparisons that were made
    faults : why the bundle, the option or the network was refused
    missing : what is not installed here
    limits : what is more than the chip has
    certificates : name -> number of statements that were checked again
    left_out : of "all" oracles those that were not asked, and why; it decides nothing
    orders : on a chip that events drive, what several scan orders were observed to change; it decides nothing
    """

    path: str
    checks: tuple[Check, ...]
    faults: tuple[Fault, ...] = ()
    missing: tuple[Fault, ...] = ()
    limits: tuple[Fault, ...] = ()
    certificates: Mapping[str, int] = field(default_factory=dict)
    orders: OrderReport | None = None
    left_out: tuple[Fault, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether everything that was asked for was compared, no value differs, and the chip holds the network."""
        wrong = self.faults or self.missing or self.limits
        return bool(self.checks) and not wrong and all(c.comparison.exact for c in self.checks)

    @property
    def exact_against(self) -> tuple[Check, ...]:
        """Comparisons without a difference."""
        return tuple(c for c in self.checks if c.comparison.exact)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The first difference of every comparison that has one."""
        return tuple(c.comparison.difference for c in self.checks if c.comparison.difference is not None)

    @property
    def exit_status(self) -> int:
        """0 exact, 1 differs, does not fit or compared nothing, 2 refused input, 3 oracle missing."""
        if self.faults:
            return 2
        if self.limits or not self.checks or not all(c.comparison.exact for c in self.checks):
            return 1
        return 3 if self.missing else 0

    def __str__(self) -> str:
        lines = [f"{self.path}: {'exact' if self.exact else 'not shown to be exact'}"]
        lines += [str(c) for c in self.checks]
        lines += [f"certificate {name}: {count:,} statements hold" for name, count in self.certificates.items()]
        lines += [f"not asked: {fault}" for fault in self.left_out]
        lines += [str(self.orders)] if self.orders is not None else []
        return "\n".join([*lines, *map(str, (*self.limits, *self.faults, *self.missing))])

    def _repr_html_(self) -> str:
        rows = [
            (c.oracle, c.version, c.kind, c.grade, c.comparison.exact, c.comparison.compared, c.comparison.spikes)
            for c in self.checks
        ]
        columns = ("compared with", "made by", "kind", "grade", "exact", "values", "events")
        title = f"{self.path}: {'exact' if self.exact else 'not shown to be exact'}"
        return show(title, columns, rows, (*self.differences, *self.limits, *self.faults, *self.missing))

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        failed = [c for c in self.checks if not c.comparison.exact]
        return {
            "bundle": self.path,
            "exact": self.exact,
            "exit_status": self.exit_status,
            "exact_against": [c.to_json() for c in self.exact_against],
            "differences": [c.to_json() | {"comparison": c.comparison.to_json()} for c in failed],
            "certificates": dict(self.certificates),
            "faults": [str(f) for f in (*self.limits, *self.faults, *self.missing)],
            "left_out": [str(f) for f in self.left_out],
        } | ({"orders": self.orders.to_json()} if self.orders is not None else {})


def verify(
    path: str | Path, *, against: str | Sequence[str] | None = None, orders: int = 8, executor: str = AUTO
) -> Verification:
    """Check the files of a bundle and the limits of its chip, simulate its golden vectors again, compare everything.

    Its configurations are read back and compared, its certificates checked again; no model is needed.

    against : names of oracles, each of which runs the same network on the same input: simulators that others built,
        the reference (as far as some seconds allow; the result says how far), other executors; "all" is whatever is
        here and takes the network
    orders : on a chip that events drive, scan orders to observe, 2 or more; 0 observes none. The first samples are
        taken, as many as some seconds allow; ``observe_orders`` takes all
    executor : as in simulate; the reference runs in any case
    Never raises for a bundle that is refused or differs: ``exit_status`` and ``faults`` say so.
    """
    found = Verification(str(path), ())
    try:
        loaded = load_bundle(path)
        for more in _found(str(path), loaded, orders=orders, executor=executor):
            found = more
        answers = ask(loaded.network, loaded.input, against, executor=executor)
    except Missing as refusal:
        return replace(found, missing=(*found.missing, *refusal.faults))
    except Refusal as refusal:
        return replace(found, faults=refusal.faults)
    checks, missing = (*found.checks, *answers.checks), (*found.missing, *answers.missing)
    return replace(found, checks=checks, faults=answers.faults, missing=missing, left_out=answers.left_out)


def _found(path: str, loaded: Bundle, *, orders: int, executor: str) -> Iterator[Verification]:
    """What is known after each part; what an optional package would check is named, and the rest goes on."""
    found = Verification(path, (), limits=tuple(placed_faults(loaded.network)))
    yield found
    run = simulate(loaded.network, loaded.input, drain=0, executor=executor)
    for check in _own_checks(loaded, run, executor):
        found = replace(found, checks=(*found.checks, check))
        yield found
    for name in loaded.configurations:
        try:
            check = _configuration_check(loaded, name, executor)
            found = replace(found, checks=(*found.checks, check))
        except Missing as refusal:
            found = replace(found, missing=(*found.missing, *refusal.faults))
        yield found
    for name in loaded.certificates:
        found = replace(found, certificates={**found.certificates, name: check_certificate(loaded, name)})
        yield found
    if loaded.network.chip.event_driven and orders:
        yield replace(found, orders=_observed(loaded, run, orders))


def _observed(loaded: Bundle, run: Run, orders: int) -> OrderReport:
    """What scan orders change on the first samples."""
    held = len(run.meetings)
    spent = orders * np.cumsum(run.meetings)
    budget = ORDERS_BUDGET.get(run.executor, ORDERS_BUDGET["numpy"])
    samples = max(1, int(np.searchsorted(spent, budget, "right")))
    given = {n: v[:, :samples] for n, v in loaded.input.items()}
    return replace(observe_orders(loaded.network, given, orders=orders), held=held)


def _own_checks(loaded: Bundle, run: Run, executor: str) -> Iterator[Check]:
    """The bundle's own vectors; ``run`` is the simulation of its input."""
    network, golden = loaded.network, replace(loaded.golden, made_by=VECTORS)
    made_by, grade = loaded.golden.made_by, loaded.golden.grade
    met = met_in_a_step(run)
    counts, seen = compare(run, golden), run.counts
    yield Check("golden event counts", made_by, "golden", grade, counts, run.executor)
    if loaded.samples:
        run, comparison = _stated(loaded, network, executor)
        yield Check("golden states", made_by, "golden", grade, comparison, run.executor)
    yield _reference_check(loaded, seen, met)


def _stated(loaded: Bundle, network: Network, executor: str) -> tuple[Run, Comparison]:
    """A network on the samples whose states the bundle holds; on all of them, events alone, where it holds none."""
    if not loaded.samples:
        run = simulate(network, loaded.input, drain=0, executor=executor)
        return run, compare(run, replace(loaded.golden, made_by=VECTORS))
    chosen = {n: v[:, list(loaded.samples)] for n, v in loaded.input.items()}
    run = simulate(network, chosen, record=all_states(network), drain=0, executor=executor)
    return run, _renumbered(compare(run, replace(loaded.stated, made_by=VECTORS)), loaded.samples)


def _configuration_check(loaded: Bundle, name: str, executor: str) -> Check:
    comparison = compare_configuration(loaded, name, lambda network: _stated(loaded, network, executor)[1])
    golden = loaded.golden
    return Check(f"configuration {name}", golden.made_by, "configuration", golden.grade, comparison, executor)


def _reference_check(loaded: Bundle, seen: Mapping[str, Ints], met: int) -> Check:
    """The reference on the beginning of one sample, as long as the budget lasts: where most neurons' events are seen.

    seen : event counts of every group, (time, batch, neuron), as they were simulated just now
    met : on a chip that events drive, synaptic operations of a step
    """
    network = loaded.network
    vectors, samples = loaded.stated, loaded.samples
    if not samples:
        vectors, samples = loaded.golden, tuple(range(next(iter(loaded.golden.counts.values())).shape[1]))
    counts = {n: v[:, list(samples)] for n, v in seen.items()}
    spent = np.cumsum(work(network, counts, met), axis=0)
    affordable = np.clip((spent <= REFERENCE_BUDGET).sum(axis=0), 1, max(1, len(spent)))
    inputs = {g.name for g in network.inputs()}
    events = sum(v.sum(axis=2) for n, v in counts.items() if n not in inputs)
    at = int(np.argmax([np.sum(events[:steps, sample]) for sample, steps in enumerate(affordable)]))
    steps = int(affordable[at])
    one = slice(at, at + 1)
    golden = Trace(
        VECTORS,
        {n: v[:steps, one] for n, v in vectors.counts.items()},
        {g: {s: v[:steps, one] for s, v in many.items()} for g, many in vectors.states.items()},
        vectors.grade,
    )
    given = {n: v[:steps, samples[at] : samples[at] + 1] for n, v in loaded.input.items()}
    run = simulate(network, given, record=all_states(network), drain=0, executor="reference")
    comparison = _renumbered(compare(run, golden), (samples[at],))
    made_by = f"neurodeploy {version('neurodeploy')} (reference)"
    return Check("reference", made_by, "live", golden.grade, comparison, run.executor)


def _renumbered(comparison: Comparison, samples: tuple[int, ...]) -> Comparison:
    """The comparison with samples numbered as in the golden vectors."""
    if comparison.difference is None:
        return comparison
    sample = samples[comparison.difference.sample]
    return replace(comparison, difference=replace(comparison.difference, sample=sample))
