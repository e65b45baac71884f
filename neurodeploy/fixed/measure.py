"""What a float neuron's names reach on calibration data, and beyond which bound a value decides nothing more."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from neurodeploy.fixed.floats import FLOATS, Floats
from neurodeploy.fixed.plain import INPUT, SPIKE, Plain
from neurodeploy.step import Assign, Call, Const, Guard, Name, assigned, evaluate
from neurodeploy.step.language import Expression, Statement
from neurodeploy.step.operators import CONDITIONS

#: A name has a tail where its largest value is so many times larger than nearly all of them.
TAIL, NEARLY_ALL = 4.0, 0.99
#: It has one, too, where its largest value is so many times larger than the one in the middle: often need not be rare
#: where any of many neurons counts.
VAST = 2.0**12
#: Candidates for a bound: powers of two below the largest value.
CANDIDATES = 60
#: Operators that compare their first two operands, and those that take one of them.
COMPARED = CONDITIONS - {"and", "or", "not"} | {"above", "at_or_above", "count", "count_above", "min", "max"}
#: Steps, and values a step, on which bounds are tried.
TRIED_STEPS, TRIED_VALUES = 1000, 50_000
#: What stands for infinity.
LARGEST = 1e300

#: (batch, neuron) spikes of the step before -> what they add to the input.
Feedback = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Reach:
    """Ranges of a name on the calibration data."""

    low: float
    high: float

    @property
    def largest(self) -> float:
        """Largest magnitude."""
        return max(-self.low, self.high, 0.0)


@dataclass(frozen=True)
class Course:
    """A run of a float neuron.

    spikes, states : (time, batch, neuron), states after each step
    reach : name -> its range over all moments, states and input included
    """

    spikes: Floats
    states: Mapping[str, Floats]
    reach: Mapping[str, Reach]


@dataclass
class _Watch:
    """Ranges of names, and bounds that are laid on them."""

    bounds: Mapping[str, Floats] = field(default_factory=dict)
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    typical: dict[str, list[float]] = field(default_factory=dict)
    middle: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str, value: Floats) -> Floats:
        bound = self.bounds.get(name)
        if bound is not None:
            value = np.minimum(np.maximum(value, -bound), bound)
        low, high = float(value.min()), float(value.max())
        if not (low > -LARGEST and high < LARGEST):  # what is not finite counts as large, what is no number as 0
            value = np.nan_to_num(value, nan=0.0, posinf=LARGEST, neginf=-LARGEST)
            low, high = float(value.min()), float(value.max())
        self.low[name] = min(self.low.get(name, low), low)
        self.high[name] = max(self.high.get(name, high), high)
        self.typical.setdefault(name, []).append(max(-low, high))
        self.middle.setdefault(name, []).append(float(np.median(np.abs(value))))
        return value

    def tail(self, name: str) -> float:
        """Magnitude beyond which the values of a name are a tail."""
        middle = [value for value in self.middle[name] if value]
        vast = VAST * float(np.median(middle)) if middle else np.inf
        return min(TAIL * max(float(np.quantile(self.typical[name], NEARLY_ALL)), 1e-300), vast)

    def block(self, statements: tuple[Statement, ...], environment: dict[str, Floats]) -> None:
        for statement in statements:
            if isinstance(statement, Assign):
                value = np.asarray(evaluate(statement.value, environment, FLOATS), np.float64)
                environment[statement.name] = self.note(statement.name, value)
                continue
            held = np.asarray(evaluate(statement.condition, environment, FLOATS), bool)
            inside = dict(environment)
            self.block(statement.body, inside)
            for name in {a.name for a in assigned(statement.body)} & set(environment):
                environment[name] = np.where(held, inside[name], environment[name])


def follow(
    neuron: Plain, x: Floats, feedback: Feedback | None = None, bounds: Mapping[str, Floats] | None = None
) -> Course:
    """Run a float neuron in double precision.

    x : (time, batch, neuron)
    bounds : name -> (batch, neuron) or (batch, 1) magnitudes at which its values are cut
    """
    course, _ = _followed(neuron, x, feedback, bounds or {})
    return course


def _followed(
    neuron: Plain, x: Floats, feedback: Feedback | None, bounds: Mapping[str, Floats]
) -> tuple[Course, set[str]]:
    """The run, and the names with a tail."""
    watch = _Watch(bounds)
    shape = x.shape[1:]
    environment = {name: value[None] for name, value in neuron.constants.items()}
    for name, start in neuron.states.items():
        environment[name] = watch.note(name, np.broadcast_to(start, shape).copy())
    spikes, states = np.zeros(x.shape), {name: np.zeros(x.shape) for name in neuron.states}
    before = environment.get(SPIKE, np.zeros(shape))
    with np.errstate(all="ignore"):
        for t, row in enumerate(x):
            silent = feedback is None or SPIKE not in environment  # nothing comes back before a spike could
            total = row if silent or feedback is None else row + feedback(np.broadcast_to(before, shape))
            environment[INPUT] = watch.note(INPUT, total)
            watch.block(neuron.statements, environment)
            before = spikes[t] = environment[SPIKE]
            for name, rows in states.items():
                rows[t] = environment[name]
    reach = {name: Reach(watch.low[name], watch.high[name]) for name in watch.low}
    tails = {name for name, found in reach.items() if found.largest > watch.tail(name)}
    return Course(spikes, states, reach), tails


def measure(neuron: Plain, x: Floats, feedback: Feedback | None = None) -> tuple[Course, Mapping[str, float]]:
    """Run on calibration data; for each name with a tail the smallest bound that changes no spike and no state.

    A name whose largest values are rare may need bits that decide nothing: what a membrane would be long after it has
    passed the threshold. Such a name is cut at powers of two, and the smallest one that leaves the spikes of all
    steps, and all states at the ends of the steps, as they are is its bound: magnitudes beyond it may saturate.
    Returns the run and name -> largest magnitude that counts.
    """
    course, largest = _bounded(neuron, x, feedback)
    return course, _with_compared(neuron, largest)


def _with_compared(neuron: Plain, largest: Mapping[str, float]) -> dict[str, float]:
    """Magnitudes that also hold what a name is compared with, as a threshold that calibration never reached."""
    constants = {name: float(np.abs(value).max()) for name, value in neuron.constants.items()}
    found = dict(largest)
    for a, b in compared(neuron.statements):
        for name, other in ((a, b), (b, a)):
            if isinstance(name, Name) and name.id in largest:
                reach = abs(float(other.value)) if isinstance(other, Const) else 0.0
                reach = {**constants, **largest}.get(other.id, 0.0) if isinstance(other, Name) else reach
                found[name.id] = max(found[name.id], reach)
    return found


def compared(statements: tuple[Statement, ...]) -> Iterator[tuple[Expression, Expression]]:
    """Both sides of every comparison."""
    for statement in statements:
        yield from _compared(statement.condition if isinstance(statement, Guard) else statement.value)
        if isinstance(statement, Guard):
            yield from compared(statement.body)


def _compared(expression: Expression) -> Iterator[tuple[Expression, Expression]]:
    if isinstance(expression, Call):
        if expression.op in COMPARED:
            yield expression.args[0], expression.args[1]
        for argument in expression.args:
            yield from _compared(argument)


def _bounded(neuron: Plain, x: Floats, feedback: Feedback | None) -> tuple[Course, dict[str, float]]:
    course, tails = _followed(neuron, x, feedback, {})
    largest = {name: reach.largest for name, reach in course.reach.items()}
    order = [name for name in dict.fromkeys(a.name for a in _assigned(neuron.statements)) if name != SPIKE]
    bounds: dict[str, float] = {}
    few = x[:TRIED_STEPS, : max(TRIED_VALUES // (CANDIDATES * x.shape[2]), 1)]
    for name in order:
        if name in tails:
            found = _bound(neuron, few, feedback, bounds, name, largest[name])
            if found < largest[name]:
                bounds[name] = found
    while bounds:
        laid = {name: np.full((1, 1), bound) for name, bound in bounds.items()}
        bounded = follow(neuron, x, feedback, laid)
        if _same(bounded, course, slice(None)):
            largest |= bounds  # names that follow from a bounded one reach less, too
            return course, {name: min(value, bounded.reach[name].largest) for name, value in largest.items()}
        # other samples or later steps need what these do not
        bounds = {name: 2 * bound for name, bound in bounds.items() if 2 * bound < largest[name]}
    return course, largest


def _assigned(statements: tuple[Statement, ...]) -> list[Assign]:
    found: list[Assign] = []
    for statement in statements:
        found += _assigned(statement.body) if isinstance(statement, Guard) else [statement]
    return found


def _bound(
    neuron: Plain, x: Floats, feedback: Feedback | None, known: Mapping[str, float], name: str, largest: float
) -> float:
    """Smallest power of two that can cut a name without a trace; all candidates run beside each other."""
    top = int(np.ceil(np.log2(min(largest, 1e300))))
    candidates = np.exp2(np.concatenate([[top], np.arange(min(top, 40), min(top, 40) - CANDIDATES, -1.0)]))
    samples = x.shape[1]
    many = np.tile(x, (1, len(candidates), 1))
    laid = {n: np.full((len(candidates) * samples, 1), bound) for n, bound in known.items()}
    course = follow(neuron, many, feedback, laid | {name: np.repeat(candidates, samples)[:, None]})
    found = largest
    for index, candidate in enumerate(candidates):
        if not _same(course, course, slice(index * samples, (index + 1) * samples), slice(0, samples)):
            break
        found = min(found, float(candidate))
    return found


def _same(a: Course, b: Course, of: slice, to: slice | None = None) -> bool:
    other = of if to is None else to
    if not np.array_equal(a.spikes[:, of], b.spikes[:, other]):
        return False
    return all(np.array_equal(rows[:, of], b.states[name][:, other]) for name, rows in a.states.items())
