"""How far rounding can carry a neuron from its float text: errors that travel along the text, one more executor.

Every value is a pair: what the float text computes, and how far the whole numbers can be from it as long as no spike and
no branch differs. A sum adds errors, a product weighs them, a line adds half a unit of its last place, a constant brings
what its register rounds off. For a leak ``v = keep * v + x`` that is the known bound: half a unit, and the error of
``keep`` times the largest v, over ``1 - keep``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from neurodeploy.fixed.floats import FLOATS, Floats
from neurodeploy.fixed.kind import Kind
from neurodeploy.fixed.measure import Feedback
from neurodeploy.fixed.plain import INPUT, SPIKE
from neurodeploy.step import Assign, Table, assigned, evaluate
from neurodeploy.step.language import Statement

Pair = tuple[Floats, Floats]
#: Relative errors: of a product whose factors were rounded to fit, and of a power from its table.
PRODUCT, POWER = 2.0**-28, 1e-6
#: Share of a unit of the last place that a line can lose.
LOST = {"nearest": 0.5, "floor": 1.0, "to_zero": 1.0}


def _product(a: Pair, b: Pair) -> Pair:
    value = a[0] * b[0]
    return value, np.abs(a[0]) * b[1] + np.abs(b[0]) * a[1] + a[1] * b[1] + np.abs(value) * PRODUCT


def _quotient(a: Pair, b: Pair) -> Pair:
    value = a[0] / b[0]
    room = np.maximum(np.abs(b[0]) - b[1], 1e-300)
    return value, (a[1] + np.abs(value) * b[1]) / room + np.abs(value) * PRODUCT


def _power(op: str) -> Any:
    def power(a: Pair) -> Pair:
        value, grown = FLOATS[op](a[0]), FLOATS["exp2" if op == "exp2" else "exp"](a[0])
        return value, grown * (np.expm1(a[1]) + POWER)

    return power


def _either(op: str) -> Any:
    def either(*pairs: Pair) -> Pair:
        value, error = pairs[0]
        for other, more in pairs[1:]:
            value, error = FLOATS[op](value, other), np.maximum(error, more)
        return value, error

    return either


def _fired(op: str) -> Any:
    return lambda a, b: (FLOATS[op](a[0], b[0]), np.zeros(()))


#: Values are pairs of arrays; conditions are those of the values.
BOUNDS: Table = FLOATS | {
    "literal": lambda x: (np.float64(x), np.float64(0.0 if float(x).is_integer() else abs(x) * PRODUCT)),
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[0], a[1] + b[1]),
    "mul": _product,
    "div": _quotient,
    "neg": lambda a: (-a[0], a[1]),
    "abs": lambda a: (np.abs(a[0]), a[1]),
    "clip": lambda x, low, high: _either("min")(_either("max")(x, low), high),
    "select": lambda c, a, b: (np.where(c, a[0], b[0]), np.where(c, a[1], b[1])),
    **{op: _either(op) for op in ("min", "max")},
    **{op: _power(op) for op in ("exp", "exp2", "expm1")},
    **{op: _fired(op) for op in ("above", "at_or_above", "count", "count_above")},
    **{op: (lambda a, b, op=op: FLOATS[op](a[0], b[0])) for op in ("lt", "le", "gt", "ge", "eq", "ne")},
}


def bound_states(
    kind: Kind, x: Floats, input_error: float, rounding: str, feedback: Feedback | None = None
) -> Mapping[str, Floats]:
    """State -> (time, batch, neuron) how far it can be from the float text while no spike differs.

    x : (time, batch, neuron) input
    input_error : how far the whole numbers of the input are from it
    """
    neuron, shape = kind.plain, x.shape[1:]
    units = {n: f.step * LOST[rounding] if f.fraction else 0.0 for n, f in {**kind.temporaries, **kind.states}.items()}
    environment: dict[str, Pair] = {name: (value[None], _held(kind, name)) for name, value in neuron.constants.items()}
    for name, start in neuron.states.items():
        held = np.ldexp(np.array(kind.starts[name], np.float64), -kind.states[name].fraction)
        environment[name] = np.broadcast_to(start, shape), np.broadcast_to(np.abs(held - start), shape)
    found = {name: np.zeros(x.shape) for name in neuron.states}
    spikes = environment.get(SPIKE, (np.zeros(shape), np.zeros(shape)))[0]
    with np.errstate(all="ignore"):
        for t, row in enumerate(x):
            total = row if feedback is None else row + feedback(np.broadcast_to(spikes, shape))
            environment[INPUT] = total, np.full(shape, input_error + units.get(INPUT, 0.0))
            _block(neuron.statements, environment, units)
            spikes = environment[SPIKE][0]
            for name, rows in found.items():
                rows[t] = environment[name][1]
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


def _block(statements: tuple[Statement, ...], environment: dict[str, Pair], units: Mapping[str, float]) -> None:
    for statement in statements:
        if isinstance(statement, Assign):
            value, error = evaluate(statement.value, environment, BOUNDS)
            environment[statement.name] = value, error + units.get(statement.name, 0.0)
            continue
        held = evaluate(statement.condition, environment, BOUNDS)
        inside = dict(environment)
        _block(statement.body, inside, units)
        for name in {a.name for a in assigned(statement.body)} & set(environment):
            environment[name] = BOUNDS["select"](held, inside[name], environment[name])
