"""Limits of layers, on every chip of the program whose cores hold one layer each."""

import numpy as np
import pytest

from neurodeploy.chips import chip, target_folders
from neurodeploy.mapper import fit_faults, map_network
from neurodeploy.network import Convolution, Network, convolution, group

pytest.importorskip("ortools")

LAYERED = [name for name in target_folders() if chip(name).layer_core is not None]


def on_chip(name: str, source: tuple[int, int, int], kernel: tuple[int, int, int, int], **options: object) -> Network:
    """One convolution from the pixels of a chip to a layer."""
    made = chip(name)
    i, shape = group(made, "i", "pixel", source), Convolution(source, kernel, **options)
    u = group(made, "u", "unit", shape.target, threshold_high=9, threshold_low=-9)
    (kind,) = made.connections
    return Network(made, (i, u), (convolution(made, kind, i, u, shape, w=np.ones(kernel, np.int64)),))


@pytest.mark.parametrize("name", LAYERED)
@pytest.mark.parametrize(
    ("fits", "beyond", "word"),
    [
        (
            ((1, 128, 128), (1, 1, 2, 2), {"stride": (2, 2)}),
            ((1, 130, 4), (1, 1, 4, 4), {"stride": (4, 4)}),
            "input map",
        ),
        (((1, 64, 64), (16, 1, 1, 1), {}), ((1, 65, 4), (1, 1, 1, 1), {}), "neuron map"),
        (((1024, 1, 1), (1, 1024, 1, 1), {}), ((1025, 1, 1), (1, 1025, 1, 1), {}), "features in"),
        (((1, 1, 1), (1024, 1, 1, 1), {}), ((1, 1, 1), (1025, 1, 1, 1), {}), "features out"),
        (((1, 16, 16), (1, 1, 16, 16), {}), ((1, 17, 17), (1, 1, 17, 17), {}), "rows or columns of the kernel"),
        (((1, 9, 9), (1, 1, 3, 3), {}), ((1, 9, 9), (1, 1, 3, 2), {}), "in the kernel"),
        (
            ((1, 9, 9), (1, 1, 3, 3), {"stride": (2, 1)}),
            ((1, 9, 9), (1, 1, 3, 3), {"stride": (3, 1)}),
            "rows of str",
        ),
        (
            ((1, 9, 9), (1, 1, 1, 1), {"stride": (1, 8)}),
            ((1, 9, 9), (1, 1, 1, 1), {"stride": (1, 16)}),
            "ns of stride",
        ),
        (((1, 9, 9), (1, 1, 9, 9), {"padding": (7, 0)}), ((1, 9, 9), (1, 1, 9, 9), {"padding": (0, 8)}), "of padding"),
        (((1, 8, 8), (1, 1, 2, 2), {"pooling": (4, 4)}), ((1, 9, 9), (1, 1, 3, 3), {"pooling": (3, 3)}), "pooled"),
        (
            ((1, 8, 8), (1, 1, 2, 2), {"pooling": (2, 2)}),
            ((1, 8, 8), (1, 1, 2, 2), {"pooling": (2, 4)}),
            "that are pooled",
        ),
        (((2, 4, 4), (2, 2, 1, 1), {}), ((2, 4, 4), (2, 1, 1, 1), {"groups": 2}), "groups of the convolution"),
        (((1, 64, 64), (16, 1, 1, 1), {}), ((1, 33, 33), (65, 1, 1, 1), {}), "bits of row, column and feature"),
    ],
)
def test_each_limit_of_a_layer_is_inclusive(name, fits, beyond, word):
    assert map_network(on_chip(name, fits[0], fits[1], **fits[2]))
    faults = fit_faults(on_chip(name, beyond[0], beyond[1], **beyond[2]))
    assert [word in f.was for f in faults if "layers" not in f.values] == [True], faults


@pytest.mark.parametrize("name", LAYERED)
def test_the_readout_warns_beyond_its_last_class(name):
    assert map_network(on_chip(name, (1, 1, 1), (57, 1, 1, 1))).warnings == ()
    (warning,) = map_network(on_chip(name, (1, 1, 1), (58, 1, 1, 1))).warnings
    assert warning.was == "58 features that the readout could listen to (layer 'u')"


def test_the_limits_of_layers_have_chips_to_hold_for():
    assert len(LAYERED) > 1
