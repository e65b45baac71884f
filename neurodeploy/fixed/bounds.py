"""How far rounding can carry a neuron from its float text: errors that travel along the text, one more executor.

Every value is a float, the slopes by which the errors of the states before the step enter it, and what is added to
them: a line that rounds adds half a unit of its last place, a constant what its register rounds off, a product and a
curve also their terms of second order. At the end of a step the error of a state is the sum of all that. This holds
as long as no spike and no branch differs. For a leak ``v = keep * v + x`` it is the known bound: half a unit, and the
error of ``keep`` times the largest v, over ``1 - keep``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurodeploy.fixed.floats import FLOATS, Floats
from neurodeploy.fixed.kind import Kind
from neurodeploy.fixed.measure import Feedback
from neurodeploy.fixed.plain import INPUT, SPIKE
from neurodeploy.step import Assign, Table, assigned, evaluate
from neurodeploy.step.language import Statement

#: Relative errors: of a product whose factors were rounded to fit, and of a power from its table.
PRODUCT, POWER = 2.0**-28, 1e-6
#: Where a bound says nothing any more.
FAR = 1e30
#: Share of a unit of the last place that a line can lose.
LOST = {"nearest": 0.5, "floor": 1.0, "to_zero": 1.0}


@dataclass(frozen=True)
class Carried:
    """A value with its error.

    slopes : state before the step -> how its error enters
    rest : all other error, at most
    """

    value: Floats
    slopes: Mapping[str, Floats] = field(default_factory=dict)
    rest: Floats = field(default_factory=lambda: np.zeros(()))


def _mixed(value: Floats, rest: Floats, *parts: tuple[Carried, Floats | float]) -> Carried:
    """A value whose slopes are sums of the slopes of its parts, each with a factor."""
    names = dict.fromkeys(name for part, _ in parts for name in part.slopes)
    slopes = {n: sum((p.slopes[n] * factor for p, factor in parts if n in p.slopes), np.zeros(())) for n in names}
    return Carried(value, slopes, rest + sum((p.rest * np.abs(factor) for p, factor in parts), np.zeros(())))


@dataclass
class _Errors:
    """The executor; ``states`` are the errors at the beginning of the step."""

    states: dict[str, Floats] = field(default_factory=dict)

    def of(self, a: Carried) -> Floats:
        """How far a value can be off."""
        return np.asarray(a.rest + sum((np.abs(k) * self.states[n] for n, k in a.slopes.items()), np.zeros(())))

    def flat(self, value: Floats, *parts: Carried) -> Carried:
        """A value whose error is at most the largest of its parts'."""
        error = self.of(parts[0])
        for part in parts[1:]:
            error = np.maximum(error, self.of(part))
        return Carried(value, {}, error)

    def mul(self, a: Carried, b: Carried) -> Carried:
        value = a.value * b.value
        small = np.abs(value) * PRODUCT
        if not b.slopes:  # b is off by its rest, wherever a is
            reach = np.abs(a.value) + self.of(a)
            return _mixed(value, small + reach * b.rest, (a, b.value))
        if not a.slopes:
            return self.mul(b, a)
        return _mixed(value, small + self.of(a) * self.of(b), (a, b.value), (b, a.value))

    def div(self, a: Carried, b: Carried) -> Carried:
        value, off = a.value / b.value, self.of(b)
        room = np.maximum(np.abs(b.value) - off, 1e-300)
        second = (self.of(a) + np.abs(value) * off) * off / (np.abs(b.value) * room)
        small = np.abs(value) * PRODUCT
        return _mixed(value, small + second, (a, 1 / b.value), (b, -value / b.value))

    def power(self, op: str) -> Callable[[Carried], Carried]:
        def power(a: Carried) -> Carried:
            value, slope = FLOATS[op](a.value), FLOATS["exp2" if op == "exp2" else "exp"](a.value)
            off = self.of(a)
            return _mixed(value, slope * (np.expm1(off) - off + POWER), (a, slope))

        return power

    def either(self, op: str) -> Callable[..., Carried]:
        def either(*parts: Carried) -> Carried:
            found = parts[0]
            for other in parts[1:]:
                value = FLOATS[op](found.value, other.value)
                apart = np.abs(found.value - other.value) > self.of(found) + self.of(other)
                first = value == found.value
                sure = self.select(first, found, other)
                both = self.flat(value, found, other)
                found = self.select(apart, sure, both)
            return found

        return either

    def select(self, condition: Any, a: Carried, b: Carried) -> Carried:
        zero = np.zeros(())
        slopes = {
            n: np.where(condition, a.slopes.get(n, zero), b.slopes.get(n, zero)) for n in {**a.slopes, **b.slopes}
        }
        return Carried(np.where(condition, a.value, b.value), slopes, np.where(condition, a.rest, b.rest))

    def literal(self, x: float) -> Carried:
        off = 0.0 if float(x).is_integer() else abs(x) * PRODUCT
        return Carried(np.full((), float(x)), {}, np.full((), off))

    def table(self) -> Table:
        """What each operator of a float text does."""
        made: dict[str, Callable[..., Any]] = {
            **FLOATS,
            "literal": self.literal,
            "add": lambda a, b: _mixed(a.value + b.value, np.zeros(()), (a, 1.0), (b, 1.0)),
            "sub": lambda a, b: _mixed(a.value - b.value, np.zeros(()), (a, 1.0), (b, -1.0)),
            "neg": lambda a: _mixed(-a.value, np.zeros(()), (a, -1.0)),
            "abs": lambda a: self.flat(np.abs(a.value), a),
            "mul": self.mul,
            "div": self.div,
            "select": self.select,
            "clip": lambda x, low, high: self.either("min")(self.either("max")(x, low), high),
        }
        made |= {op: self.either(op) for op in ("min", "max")}
        made |= {op: self.power(op) for op in ("exp", "exp2", "expm1")}
        made |= {op: _fired(op) for op in ("above", "at_or_above", "count", "count_above")}
        made |= {op: _asked(op) for op in ("lt", "le", "gt", "ge", "eq", "ne")}
        return made


def _fired(op: str) -> Callable[[Carried, Carried], Carried]:
    return lambda a, b: Carried(FLOATS[op](a.value, b.value))


def _asked(op: str) -> Callable[[Carried, Carried], Any]:
    return lambda a, b: FLOATS[op](a.value, b.value)


def bound_states(
    kind: Kind, x: Floats, input_error: float, rounding: str, feedback: Feedback | None = None
) -> Mapping[str, Floats]:
    """State -> (time, batch, neuron) how far it can be from the float text while no spike differs.

    x : (time, batch, neuron) input
    input_error : how far the whole numbers of the input are from it
    """
    neuron, shape, errors = kind.plain, x.shape[1:], _Errors()
    table = errors.table()
    steps = {name: form.step * LOST[rounding] for name, form in {**kind.temporaries, **kind.states}.items()}
    lines = zip(assigned(neuron.statements), kind.lossy, strict=True)
    lost = {id(line): steps.get(line.name, 0.0) for line, lossy in lines if lossy}
    constants = {n: Carried(value[None], {}, _held(kind, n)) for n, value in neuron.constants.items()}
    environment: dict[str, Carried] = dict(constants)
    for name, start in neuron.states.items():
        held = np.ldexp(np.array(kind.starts[name], np.float64), -kind.states[name].fraction)
        environment[name] = Carried(np.broadcast_to(start, shape))
        errors.states[name] = np.broadcast_to(np.abs(held - start), shape)
    found = {name: np.zeros(x.shape) for name in neuron.states}
    spikes = environment[SPIKE].value if SPIKE in environment else np.zeros(shape)
    one = np.ones(())
    with np.errstate(all="ignore"):
        for t, row in enumerate(x):
            silent = feedback is None or SPIKE not in environment
            total = row if silent or feedback is None else row + feedback(np.broadcast_to(spikes, shape))
            environment |= {name: Carried(environment[name].value, {name: one}) for name in neuron.states}
            environment[INPUT] = Carried(total, {}, np.full(shape, input_error + steps.get(INPUT, 0.0)))
            _block(neuron.statements, environment, lost, table)
            spikes = environment[SPIKE].value
            after = {name: np.nan_to_num(errors.of(environment[name]), nan=np.inf, posinf=np.inf) for name in found}
            for name, rows in found.items():
                rows[t] = errors.states[name] = np.minimum(after[name], FAR)
    return found


def _held(kind: Kind, name: str) -> Floats:
    """What the registers of a constant round off; the coarsest counts."""
    wanted = kind.plain.constants[name]
    lost = [np.zeros(wanted.shape)]
    for register in kind.constants.values():
        if register.source == name:
            held = np.ldexp(np.array(register.values, np.float64), -register.format.fraction)
            lost.append(np.abs(held - wanted))
    return np.asarray(np.max(lost, axis=0))[None]


def _block(
    statements: tuple[Statement, ...], environment: dict[str, Carried], lost: Mapping[int, float], table: Table
) -> None:
    for statement in statements:
        if isinstance(statement, Assign):
            found = evaluate(statement.value, environment, table)
            rest = found.rest + lost.get(id(statement), 0.0)
            environment[statement.name] = Carried(found.value, found.slopes, rest)
            continue
        held = evaluate(statement.condition, environment, table)
        inside = dict(environment)
        _block(statement.body, inside, lost, table)
        for name in {a.name for a in assigned(statement.body)} & set(environment):
            environment[name] = table["select"](held, inside[name], environment[name])
