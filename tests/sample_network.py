"""A small sound network of one of our chips, and its parts, for tests that change one thing of it."""

import pytest

from neurodeploy.chips import chip
from neurodeploy.errors import Refusal
from neurodeploy.network import Network, group, pairs, place_identity, projection

XYLO = chip("xylo_audio3")


def parts(w1=1, threshold=1, **options):
    x, h = group(XYLO, "x", "channel", 2), group(XYLO, "h", "hidden", 3, threshold=threshold, **options)
    return x, h, projection(XYLO, "in", x, h, w1=w1)


def sound() -> Network:
    x, h, weights = parts([[1, 2, 3], [0, 0, -4]], [10, 20, 30], bias=[-1, 0, 1])
    links = pairs(XYLO, "alias", h, h, [(0, 1), (1, 2)])
    return place_identity(Network(XYLO, (x, h), (weights, links), 0.01, {"scale": [0.5, 2.0], "who": "test"}))


def refusal(make) -> Refusal:
    with pytest.raises(Refusal) as caught:
        make()
    return caught.value
