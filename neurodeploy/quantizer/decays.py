"""Decay fractions on a chip's grid: what remains of a state after one step, as a register, and back."""

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import NeuronKind
from neurodeploy.errors import Fault
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


def tau_of(keep: float) -> float:
    """Time constant of a decay fraction, in steps."""
    if not 0 < keep < 1:
        return 0.0 if keep <= 0 else math.inf
    return -1 / math.log(keep)
