"""Which network and which encoding the demo uses on a chip: asked of its file, never of its name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurodeploy.chips import Chip
from neurodeploy.demo.digits import CHANNELS, MAX_COUNT, encode
from neurodeploy.demo.maps import MapShape, build_maps, encode_pixels, largest_maps
from neurodeploy.demo.network import Shape, build, largest_shape
from neurodeploy.quantizer.grids import magnitude

#: Steps of a weight on each side of 0; with fewer, a network is also trained on the chip's own arithmetic.
FEW_STEPS = 16
EXACT_EPOCHS = 6


@dataclass(frozen=True)
class Design:
    """The demo's network for a chip.

    encode : (image, 8, 8) values in 0..1 -> (time, image, channel) counts
    build : seed -> float network
    epochs, learning_rate, sharpness, moved : how it is trained; ``moved`` is the share of images shifted by a pixel
    exact_epochs, exact_rate : how it is then trained on the chip's own arithmetic; 0 epochs where that is not worth it
    """

    shape: Shape | MapShape
    encode: Callable[[NDArray[Any]], NDArray[np.uint8]]
    build: Callable[[int], torch.nn.Sequential]
    epochs: int
    learning_rate: float
    sharpness: float
    moved: float
    exact_epochs: int = 0
    exact_rate: float = 2e-3


def keeps_time(chip: Chip) -> bool:
    """Whether a chip has what the recurrent network needs, which reads an image row by row.

    Steps, several events of an input in one of them, a matrix among hidden neurons, synaptic currents.
    """
    allowed = chip.inputs()[0].entry.external
    if chip.event_driven or allowed is None or allowed.allowed.high < MAX_COUNT:
        return False
    for kind in chip.hidden():
        back = [c for c in chip.between(kind.name, kind.name) if c.entry.pattern != "conv"]
        if kind.deploy is not None and back and kind.deploy.synaptic_current != "absent":
            return True
    return False


def rounds_coarsely(chip: Chip) -> bool:
    """Whether the weights of a chip have so few steps that rounding a trained network costs accuracy."""
    hidden = next(kind for kind in chip.hidden() if kind.deploy is not None)
    kinds = chip.between(chip.inputs()[0].name, hidden.name)
    return min(magnitude(kind, kind.entry.weights[0]) for kind in kinds) < FEW_STEPS


def design_for(chip: Chip, classes: int) -> Design:
    """Largest network that fits, of the sort that the chip has the means for; raises DoesNotFit if none does."""
    if keeps_time(chip):
        rows, _ = largest_shape(chip, CHANNELS, classes)
        return Design(rows, encode, lambda seed: build(rows, seed), 60, 4e-3, 0.3, 0.5)
    maps, _ = largest_maps(chip, classes)
    exact = EXACT_EPOCHS if rounds_coarsely(chip) else 0
    return Design(maps, encode_pixels, lambda seed: build_maps(chip, maps, seed), 30, 8e-3, 0.6, 0.2, exact)
