"""Placed networks that are written in samna's field names, and the chips that they are for."""

import numpy as np
import pytest

from neurodeploy.chips import chip, target_folders
from neurodeploy.emit import samna
from neurodeploy.errors import Refusal
from neurodeploy.network import Network, group, pairs, place_identity, projection

CHIPS = [name for name in target_folders() if "samna" in chip(name).file.emit]


def second(chip_):
    return "w2" in chip_.connections["in"].fields


def small_network(chip_name="xylo_audio3", hidden=4, alias=((1, 0),), **h):
    """2 inputs, one hidden layer, 3 outputs."""
    chip_ = chip(chip_name)
    i = group(chip_, "mic", "channel", 2)
    h = group(chip_, "layer", "hidden", hidden, **{"threshold": 10, "bias": np.arange(hidden) - 1} | h)
    o = group(chip_, "class", "output", 3, threshold=20, bias=[0, -3, 3])
    both = {"w2": np.full((2, hidden), 5)} if second(chip_) else {}
    links = (
        projection(chip_, "in", i, h, {"shift": 1}, w1=np.arange(2 * hidden).reshape(2, hidden) % 100 - 3, **both),
        projection(chip_, "rec", h, h, {"shift": 2}, w1=np.eye(hidden, dtype=int) * 7),
        projection(chip_, "out", h, o, {"shift": 3}, w1=np.arange(hidden * 3).reshape(hidden, 3) % 100 + 1),
        pairs(chip_, "alias", h, h, alias),
    )
    return place_identity(Network(chip_, (i, h, o), links, 0.01))


def refused(network, **options):
    with pytest.raises(Refusal) as refusal:
        samna.to_configuration(network, **options)
    return refusal.value
