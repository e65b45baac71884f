"""Somebody else's quantizer, integer for integer: every layer on one stated scale, whatever its weights are.

Weights and biases are rounded to multiples of a step, halves to even; a threshold is truncated. There, what is too
large is cut and a threshold may become 0, without a word. Here each of these is refused, so that what is not refused
has exactly those integers. The scale is a power of two: no floating-point operation rounds before the last one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurodeploy.chips.schema import RecipeEntry
from neurodeploy.errors import Fault
from neurodeploy.network.network import Ints
from neurodeploy.quantizer.decays import Floats
from neurodeploy.quantizer.stages import Stage


@dataclass(frozen=True)
class Recipe:
    """Integers of one layer, before anything is cut.

    weights : of each edge
    bias, threshold : (neuron,)
    """

    weights: tuple[Ints, ...]
    bias: Ints
    threshold: Ints


def recipe_integers(weights: Sequence[Floats], bias: Floats, threshold: Floats, entry: RecipeEntry) -> Recipe:
    """Integers of a layer on the stated scale; ``recipe_faults`` says where they are not those of the recipe."""
    on_grid = tuple(_rounded(weight, entry) for weight in weights)
    return Recipe(on_grid, _rounded(bias, entry), np.trunc(threshold * entry.scale).astype(np.int64))


def _rounded(values: Floats, entry: RecipeEntry) -> Ints:
    return np.asarray((entry.step * np.rint(values * (entry.scale / entry.step))).astype(np.int64))


def recipe_faults(where: str, stage: Stage, entry: RecipeEntry, name: str) -> list[Fault]:
    """What the recipe would change in silence: weights and biases that it cuts, thresholds that it truncates to 0.

    name : of the recipe in the chip's file
    """
    recipe, faults = recipe_integers([e.weight for e in stage.edges], stage.bias, stage.threshold, entry), list[Fault]()
    arriving = [
        (f"weights from {e.source!r}", w, entry.weight) for e, w in zip(stage.edges, recipe.weights, strict=True)
    ]
    for what, values, (low, high) in (*arriving, ("biases", recipe.bias, entry.bias)):
        outside = int(((values < low) | (values > high)).sum())
        if outside:
            was = f"{what} from {values.min()} to {values.max()}, {outside} of {values.size} outside {low} to {high}"
            todo = "make the layer's weights, bias and threshold smaller by one factor, or quantize without parity"
            must = f"parity: {name} cuts them there without a word"
            faults.append(Fault("ND1703", where, was, must, todo, {"count": outside}))
    lost = np.flatnonzero((recipe.threshold == 0) & (stage.threshold > 0))
    if lost.size:
        was = f"the threshold {stage.threshold[lost[0]]:g} of neuron {lost[0]} becomes 0"
        must = f"parity: {name} truncates it; at least {1 / entry.scale:g}"
        todo = "make the layer's weights, bias and threshold larger by one factor, or quantize without parity"
        faults.append(Fault("ND1703", where, was, must, todo, {"count": int(lost.size)}))
    return faults
