"""Integers of a layer as somebody else's quantizer makes them, or why they are not to be had."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.chips.schema import ParityEntry, RecipeEntry
from neurodeploy.errors import Fault
from neurodeploy.network.network import Ints
from neurodeploy.quantizer.grids import Rounded, round_weights
from neurodeploy.quantizer.parity import joint_integers, parity_faults
from neurodeploy.quantizer.recipe import recipe_faults, recipe_integers
from neurodeploy.quantizer.stages import Stage


@dataclass(frozen=True)
class Given:
    """Integers of one layer.

    scale : integer steps for 1.0
    limited_by : what decided it
    weights : of each edge, in the shape of its float weights
    registers : parameter -> (neuron,)
    """

    scale: float
    limited_by: str
    weights: tuple[Ints, ...]
    registers: Mapping[str, Ints]


def given_of(chip: Chip, stage: Stage, parity: str) -> tuple[Given | None, list[Fault]]:
    """Integers of the quantizer that the chip's file has under this name; None for our own, or where they are useless.

    parity : name of the entry, "" for our own
    """
    if not parity:
        return None, []
    where, known = f"{chip.name}, layer {stage.name!r}", chip.file.parity
    if parity not in known:
        must = f"one of {', '.join(known)}" if known else "no parity: the chip's file names no other quantizer"
        return None, [Fault("ND1703", where, f"parity = {parity!r}", must)]
    entry = known[parity]
    if isinstance(entry, RecipeEntry):
        return _by_recipe(stage, entry, parity), recipe_faults(where, stage, entry, parity)
    faults = parity_faults(where, stage)
    return (None if faults else _jointly(stage, entry)), faults


def _jointly(stage: Stage, entry: ParityEntry) -> Given:
    weight, bias = stage.edges[0].weight.astype(np.float32), stage.bias.astype(np.float32)
    low = 0.0 if stage.low is None else float(stage.low[0])
    joint = joint_integers(weight, bias, float(stage.threshold[0]), low, entry)
    return Given(
        joint.scale, joint.limited_by, (joint.weight,), _registers(stage, joint.threshold, joint.bias, joint.low)
    )


def _by_recipe(stage: Stage, entry: RecipeEntry, name: str) -> Given:
    recipe = recipe_integers([edge.weight for edge in stage.edges], stage.bias, stage.threshold, entry)
    return Given(entry.scale, f"scale of {name}", recipe.weights, _registers(stage, recipe.threshold, recipe.bias, 0))


def _registers(stage: Stage, threshold: Ints | int, bias: Ints, low: int) -> dict[str, Ints]:
    deploy = stage.kind.deploy
    if deploy is None:
        return {}
    found = {deploy.threshold: threshold, deploy.bias: bias, deploy.lower_bound: low}
    return {
        name: np.broadcast_to(np.asarray(value, np.int64), (stage.size,)).copy()
        for name, value in found.items()
        if name is not None
    }


def as_stored(where: str, stage: Stage, index: int, given: Given) -> tuple[Rounded, list[Fault]]:
    """Weights of one edge as the chip's fields hold them, with the registers of their matrix; nothing is cut."""
    edges = [replace(e, weight=w.astype(np.float64)) for e, w in zip(stage.edges, given.weights, strict=True)]
    edge, weights = edges[index], given.weights[index]
    rounded = round_weights(edge.kind, edge.weight, 0, replace(stage, edges=tuple(edges)).together(edge))
    if edge.kind.entry.grid is None:
        interval = edge.kind.fields[edge.kind.entry.weights[0]].interval
        held = (weights >= interval.low) & (weights <= interval.high)
        rounded = Rounded(weights, weights.astype(np.float64), rounded.parameters, 0)
        must = f"the register holds {interval}"
    else:
        held = rounded.worth == weights
        must = "weights on the grid of the chip's matrices"
    if held.all():
        return rounded, []
    first = int(weights[~held][0])
    was = f"weights from {edge.source!r} from {weights.min()} to {weights.max()}, of which {first} has no place"
    todo = "make the layer's weights and thresholds smaller, or quantize without parity"
    values = {"value": first, "count": int((~held).sum())}
    return rounded, [Fault("ND1703", where, was, must, todo, values)]
