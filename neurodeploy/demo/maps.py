"""The demo's network of maps: for chips that take a pixel's events one by one, or have no recurrent currents."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurodeploy.checker import Fit, check
from neurodeploy.chips import Chip, NeuronKind
from neurodeploy.errors import DoesNotFit
from neurodeploy.layers import IAF, LIF, Neuron, PerStep, SingleExponential

SIDE = 8
LEVELS = 16
#: Steps in which the events of an image come, and silent steps in which the network settles.
SHOWN, SILENCE = 24, 6
#: Features of the two layers of maps to try, the largest first; more add time and little accuracy.
FEATURES = ((8, 16), (8, 12), (8, 8), (4, 8), (4, 4), (1, 6))
#: Where a membrane always leaks, and where a current is always there: time constants in steps.
TAU_MEM, TAU_SYN = 20.0, 2.0
#: Factors on torch's initial weights, with which every layer fires from the start.
START = (1.0, 2.0, 1.5)
#: Wide: neurons that reset to zero and fire once in a step still learn when their membranes stand far above.
WIDE = SingleExponential(0.5)
_GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class MapShape:
    """Size of the demo network of maps.

    features : of the two layers of maps
    """

    features: tuple[int, int]
    classes: int

    @property
    def channels(self) -> int:
        """Inputs: one for each pixel."""
        return SIDE * SIDE

    @property
    def words(self) -> str:
        """What it is, in a line."""
        first, second = self.features
        half = SIDE // 2
        maps = f"{first} maps of {SIDE} x {SIDE} - {second} maps of {half} x {half}"
        return f"{SIDE} x {SIDE} inputs - {maps} - {self.classes} outputs"

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return {"classes": self.classes, "features": list(self.features)}


def encode_pixels(images: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(time, image, 64) counts of (image, 8, 8) values in 0..1: at most one event of a pixel in a step.

    A pixel of level k of 16 has k events, evenly spread; pixels begin at different phases, so that few events meet.
    """
    level = images.reshape(len(images), -1) * LEVELS / SHOWN
    phase = np.arange(SIDE * SIDE) * _GOLDEN % 1
    total = np.floor(np.arange(SHOWN + 1)[:, None, None] * level + phase)
    shown = np.diff(total, axis=0).astype(np.uint8)
    return np.concatenate([shown, np.zeros((SILENCE, *shown.shape[1:]), np.uint8)])


def build_maps(chip: Chip, shape: MapShape, seed: int) -> torch.nn.Sequential:
    """Float network: two convolutions, pooling between them, one output neuron for each class; neurons of the chip."""
    torch.manual_seed(seed)
    first, second = shape.features
    half = SIDE // 2
    hidden = next(kind for kind in chip.hidden() if kind.deploy is not None)
    output = next(kind for kind in chip.outputs() if kind.deploy is not None)
    weights: list[torch.nn.Conv2d | torch.nn.Linear] = [
        torch.nn.Conv2d(1, first, 3, padding=1, bias=False),
        torch.nn.Conv2d(first, second, 3, padding=1, bias=False),
        torch.nn.Linear(second * half * half, shape.classes, bias=False),
    ]
    with torch.no_grad():
        for layer, factor in zip(weights, START, strict=True):
            layer.weight.mul_(factor)
    layers: dict[str, torch.nn.Module] = {
        "image": torch.nn.Unflatten(2, (1, SIDE, SIDE)),
        "to_first": PerStep(weights[0]),
        "first": neurons(chip, hidden, (first, SIDE, SIDE)),
        "pool": PerStep(torch.nn.AvgPool2d(2)),
        "to_second": PerStep(weights[1]),
        "second": neurons(chip, hidden, (second, half, half)),
        "row": torch.nn.Flatten(2),
        "to_output": weights[2],
        "output": neurons(chip, output, (shape.classes,)),
    }
    return torch.nn.Sequential(OrderedDict(layers))


def neurons(chip: Chip, kind: NeuronKind, shape: tuple[int, ...]) -> Neuron:
    """Neurons that the kind computes: as its file states them, reset by subtraction and without leak where it can."""
    deploy = kind.deploy
    if deploy is None:
        raise ValueError(kind.name)
    options: dict[str, Any] = {
        "reset": "subtract" if "subtract" in deploy.reset else deploy.reset[0],
        "comparison": deploy.comparison[0],
        "max_spikes": None if chip.event_driven else deploy.max_spikes,
        "v_min": None if deploy.lower_bound is None else -1.0,
        "tau_syn": TAU_SYN if deploy.synaptic_current == "required" else None,
        "surrogate": WIDE,
    }
    if "IAF" in deploy.model:
        return IAF(shape, **options)
    return LIF(shape, TAU_MEM, norm_input=False, **options)


def largest_maps(chip: Chip, classes: int) -> tuple[MapShape, Fit]:
    """Largest network of maps that fits: classes first, then features.

    Raises DoesNotFit with the reasons of the smallest network, if not even that fits.
    """
    shape = MapShape(FEATURES[-1], 2)
    fit = check(build_maps(chip, shape, 0), chip)
    if not fit.fits:
        raise DoesNotFit(fit.faults)
    choices = [replace(shape, classes=n) for n in range(classes, 2, -1)]
    for larger in choices:
        if (tried := check(build_maps(chip, larger, 0), chip)).fits:
            shape, fit = larger, tried
            break
    for features in FEATURES:
        larger = replace(shape, features=features)
        if (tried := check(build_maps(chip, larger, 0), chip)).fits:
            return larger, tried
    return shape, fit
