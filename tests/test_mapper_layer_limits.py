"""Limits of layers, on every chip of the program whose cores hold one layer each."""

from dataclasses import replace

import numpy as np
import pytest
from layer_chip import Shape, build, layer_chip
from xylo_networks import small

from neurodeploy.chips import chip, target_folders
from neurodeploy.emit.samna import layers
from neurodeploy.errors import DoesNotFit, Refusal
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
    assert map_network(on_chip(name, (1, 1, 1), (15, 1, 1, 1))).warnings == ()
    (warning,) = map_network(on_chip(name, (1, 1, 1), (16, 1, 1, 1))).warnings
    assert warning.was == "16 classes that the readout could tell apart (layer 'u')"


@pytest.mark.parametrize("name", LAYERED)
def test_a_layer_for_the_readout_gets_a_core_with_room_for_its_silent_features(name):
    network = on_chip(name, (64, 4, 4), (15, 64, 4, 4))  # 57 features: 64 * 2 ** (4 + 6) words of kernel memory
    plain, counted = map_network(network), map_network(network, readout="u")
    needs = [(c.number, c.usage[0].asked) for p in (plain, counted) for c in p.cores]
    assert needs == [(7, 16 * 1024), (5, 64 * 1024)]
    assert counted.cores[0].holds == (("u", 0, 15),)
    written = layers.to_configuration(counted.network, layers.Setup(readout=layers.Readout("u")))
    assert written["cnn_layers"][5]["dimensions"]["output_shape"]["feature_count"] == 57
    with pytest.raises(Refusal, match="57 features, which the readout wants; core 7 has 16,384"):
        layers.to_configuration(plain.network, layers.Setup(readout=layers.Readout("u")))
    more = on_chip(name, (65, 4, 4), (15, 65, 4, 4))
    assert map_network(more)
    with pytest.raises(DoesNotFit, match="layer 'u' needs 65 Ki words of kernel memory; the largest core has 64 Ki"):
        map_network(more, readout="u")


@pytest.mark.parametrize(
    ("kernel", "options", "words"),
    [
        ((16, 1, 1, 1), {"readout": "u"}, r"layer 'u' of shape \(16, 1, 1\); \(classes, 1, 1\), at most 15 classes"),
        ((2, 1, 1, 1), {"readout": "z"}, "readout: layer 'z'; one of u"),
        ((2, 1, 1, 1), {"readout": "u", "split": ["u"]}, "layer 'u', which is split; a layer on one core"),
    ],
)
def test_what_the_readout_cannot_count_is_refused(kernel, options, words):
    assert map_network(on_chip(LAYERED[0], (1, 1, 1), (15, 1, 1, 1)), readout="u")
    with pytest.raises(Refusal, match=words):
        map_network(on_chip(LAYERED[0], (1, 1, 1), kernel), **options)


def test_the_readout_is_a_destination_of_its_layer():
    network = on_chip(LAYERED[0], (1, 1, 1), (2, 1, 1, 1))
    u, back = network.group("u"), Convolution((2, 1, 1), (2, 2, 1, 1))
    behind = [replace(u, name=name) for name in "ab"]
    links = [
        convolution(network.chip, network.projections[0].kind, u, b, back, w=np.ones(back.kernel, np.int64))
        for b in behind
    ]
    for count in (1, 2):
        wider = replace(
            network, groups=(*network.groups, *behind[:count]), projections=(*network.projections, *links[:count])
        )
        assert map_network(wider)
        if count == 1:
            assert map_network(wider, readout="u")
            continue
        with pytest.raises(DoesNotFit, match="layer 'u' feeds 3: 'a', 'b', the readout; at most 2 destinations"):
            map_network(wider, readout="u")


def test_chips_without_a_readout_refuse_one(tmp_path):
    with pytest.raises(Refusal, match="layer 'l0'; none: the cores of this chip have no readout behind them"):
        map_network(build(layer_chip(tmp_path), {"l0": Shape(("input",), 2)}), readout="l0")
    other = small()
    assert map_network(other)
    for options in ({"readout": "hidden"}, {"split": ["hidden"]}):
        with pytest.raises(Refusal, match="none: no core of this chip holds a layer of its own"):
            map_network(other, **options)


def test_the_limits_of_layers_have_chips_to_hold_for():
    assert len(LAYERED) > 1
