"""Decay fractions on a chip's grid: what remains of a state after one step, as a register, and back.

A decay that is computed toward zero takes away a little more than its fraction, about half a step of the state in each
step. Nothing is added to the register to make up for it: how much it matters depends on the states of each neuron, the
states have many steps for one of the weights (``unit``), and the report counts the rounding of every step among what
explains the counts.
"""

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import NeuronKind
from neurodeploy.errors import Fault, raise_if
from neurodeploy.step import FLOAT, FORMULA, evaluate
from neurodeploy.step.language import Expression, parse_expression

Floats = npt.NDArray[np.float64]
#: Code of a neuron that the chip does not have.
NEURON = "ND1701"


@cache
def _formula(text: str) -> Expression:
    return parse_expression(text, operators=FLOAT, where="decay")


def decay_register(kind: NeuronKind, name: str, keep: float) -> int | None:
    """Register value of a decay fraction, None if the chip's grid does not reach it."""
    deploy = kind.deploy
    if deploy is None:
        return None
    decay = deploy.decay[name]
    value = float(evaluate(_formula(decay.to_register), {"keep": keep}, FORMULA))
    allowed = kind.parameters[decay.param].allowed
    return int(value) if np.isfinite(value) and allowed.low <= value <= allowed.high else None


def decay_keep(kind: NeuronKind, name: str, register: int) -> float:
    """Decay fraction of a register value."""
    deploy = kind.deploy
    if deploy is None:
        return 1.0
    return float(evaluate(_formula(deploy.decay[name].from_register), {"value": register}, FORMULA))


def decay_grid(kind: NeuronKind, name: str) -> tuple[float, ...]:
    """All decay fractions that may be written, ascending."""
    deploy = kind.deploy
    if deploy is None:
        return ()
    allowed = kind.parameters[deploy.decay[name].param].allowed
    return tuple(sorted(decay_keep(kind, name, value) for value in range(allowed.low, allowed.high + 1)))


def decay_registers(kind: NeuronKind, name: str, keep: Floats) -> list[int | None]:
    """Register value of each neuron's decay fraction."""
    known = {k: decay_register(kind, name, k) for k in set(keep.tolist())}
    return [known[k] for k in keep.tolist()]


def decay_faults(where: str, kind: NeuronKind, name: str, keep: Floats) -> list[Fault]:
    """Time constants that the chip's grid does not reach, or that differ where a layer has one for all."""
    registers = decay_registers(kind, name, keep)
    outside = [i for i, register in enumerate(registers) if register is None]
    tau_name = name.replace("alpha", "tau")
    if not outside:
        entry = kind.parameters[kind.deploy.decay[name].param] if kind.deploy else None
        if entry is None or entry.per != "layer" or len(set(registers)) == 1:
            return []
        was = f"{tau_name}: {len(set(registers))} different ones on the chip's grid"
        return [Fault(NEURON, where, was, f"one for all {kind.name} neurons of a layer", "use one tau, or more layers")]
    grid = decay_grid(kind, name)
    first = float(keep[outside[0]])
    shown = f"tau = {tau_of(first):.4g} steps" if 0 < first < 1 else f"a decay fraction of {first:.4g}"
    was = f"{tau_name}: {shown} in {len(outside)} of {len(keep)} neurons"
    must = f"{tau_of(grid[0]):.3g} to {tau_of(grid[-1]):.5g} steps can be had"
    todo = "choose a time constant in that range, or a shorter or longer step dt"
    values = {"keep": first, "lowest": grid[0], "highest": grid[-1]}
    return [Fault("ND1702", where, was, must, todo, values)]


def whole_registers(kind: NeuronKind, **fractions: float) -> dict[str, int]:
    """Registers of parameters that the chip holds as fractions of 1 in so many parts.

    fractions : parameter -> fraction, for instance a decay of 0.25
    Raises Refusal with all faults: ND1203 for a parameter that is no such fraction, ND1702 for one that is no whole
    number of parts, with the two that are next to it: rounding it would give another neuron than the one asked for.
    """
    faults, found, known = list[Fault](), dict[str, int](), {n: p for n, p in kind.parameters.items() if p.parts}
    for name, fraction in fractions.items():
        if name not in known:
            must = f"one of {', '.join(known)}" if known else "none: no parameter is a fraction"
            faults.append(Fault("ND1203", f"{kind.name} neurons", f"a fraction {name!r}", must))
            continue
        parts, allowed = known[name].parts or 1, known[name].allowed
        exact = fraction * parts
        below = math.floor(exact) if math.isfinite(exact) else 0
        if exact != below or below not in allowed:
            must = f"a whole number of {parts} parts, {allowed.low} to {allowed.high} of them"
            near = [n for n in (below, below + 1) if n in allowed] or [allowed.low if exact < 0 else allowed.high]
            todo = f"for instance {' or '.join(f'{n}/{parts}' for n in near)}"
            values = {"value": fraction, "parts": parts}
            faults.append(Fault("ND1702", f"{kind.name} neurons", f"{name} = {fraction:.9g}", must, todo, values))
            continue
        found[name] = below
    raise_if(faults)
    return found


def tau_of(keep: float) -> float:
    """Time constant of a decay fraction, in steps."""
    if not 0 < keep < 1:
        return 0.0 if keep <= 0 else math.inf
    return -1 / math.log(keep)
