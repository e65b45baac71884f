"""The network of this project, as whole numbers: what its training and quantization left."""

from pathlib import Path

import numpy as np

import neurodeploy as nd
from neurodeploy.network import Network, group, projection

HERE = Path(__file__).parent
FIRST = [[34, -12, 27, 8], [-9, 41, 5, 22], [17, 13, -30, 36]]
SECOND = [[40, -25], [-18, 44], [31, 12], [-7, 38]]
DELAY = [[0, 1], [2, 0], [1, 1], [0, 3]]
THRESHOLD = 60
INPUT = (np.random.default_rng(7).random((40, 3, 3)) < 0.4).astype(np.int64)  # (time, sample, pixel)


def build() -> Network:
    """Return the network on our board, each neuron in its place."""
    chip = nd.chip(HERE / "board")
    pixel = group(chip, "pixel", "pixel", 3)
    hidden = group(chip, "hidden", "leaky", 4, threshold=THRESHOLD)
    output = group(chip, "output", "leaky", 2, threshold=THRESHOLD)
    links = (
        projection(chip, "in", pixel, hidden, w=FIRST),
        projection(chip, "on", hidden, output, w=SECOND, delay=DELAY),
    )
    return nd.place_identity(Network(chip, (pixel, hidden, output), links))
