"""Convolutions: a kernel stands for the same synapses that torch.nn.functional.conv2d multiplies."""

import dataclasses

import numpy as np
import pytest
import torch
from executor_names import CLOCKED
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_network import refusal
from small_chip import SOUND, write

from neurodeploy.chips import chip
from neurodeploy.network import (
    Convolution,
    convolution,
    group,
    load_network,
    place_identity,
    projection,
    save_network,
)
from neurodeploy.network.network import Network
from neurodeploy.simulator import simulate

MAPS = SOUND.replace(
    "[limit.cells]",
    """[connection.conv]
from = "channel"
to = "cell"
pattern = "conv"
weights = ["w"]
synapse.w = { signed = 6 }
on_input = "v = sat(v + arriving * w, 12)"
[limit.cells]""",
).replace('"in", "rec"', '"in", "rec", "conv"')


@pytest.fixture
def maps(tmp_path):
    return chip(write(tmp_path / "maps", MAPS))


@st.composite
def convolutions(draw):
    """A convolution that fits, non-square in everything, pooled, in groups."""
    pooling = draw(st.sampled_from([(1, 1), (2, 1), (1, 3), (2, 2)]))
    groups = draw(st.integers(1, 2))
    channels, per_group = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    source = (groups * channels, (rows + draw(st.integers(0, 2))) * pooling[0], (columns + 1) * pooling[1])
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 1)))
    stride = (draw(st.integers(1, 2)), draw(st.integers(1, 3)))
    return Convolution(source, (groups * per_group, channels, rows, columns), stride, padding, pooling, groups=groups)


@settings(deadline=None, derandomize=True)
@given(convolutions(), st.integers(0, 2**32 - 1))
def test_the_synapses_add_up_to_what_torch_computes(geometry, seed):
    rng = np.random.default_rng(seed)
    events, kernel = rng.integers(0, 4, geometry.source), rng.integers(-9, 10, geometry.kernel)
    assert not list(geometry.faults("here"))
    links = geometry.links
    summed = np.zeros(int(np.prod(geometry.target)), np.int64)
    np.add.at(summed, links.targets, events.reshape(-1)[links.sources] * kernel.reshape(-1)[links.entries])
    pooled = torch.nn.functional.avg_pool2d(torch.tensor(events).double(), geometry.pooling, divisor_override=1)
    expected = torch.nn.functional.conv2d(
        pooled[None], torch.tensor(kernel).double(), None, geometry.stride, geometry.padding, groups=geometry.groups
    )[0]
    assert geometry.target == tuple(expected.shape)
    assert np.array_equal(summed.reshape(geometry.target), expected.numpy())


def test_shifted_channels_meet_the_kernel_behind_those_of_another_source():
    whole = Convolution((3, 2, 2), (1, 3, 1, 1))
    first, second = Convolution((1, 2, 2), (1, 3, 1, 1)), Convolution((2, 2, 2), (1, 3, 1, 1), shift=1)
    parts = [(s, t, e) for s, t, e in zip(*first.links, strict=True)]
    parts += [(s + 4, t, e) for s, t, e in zip(*second.links, strict=True)]
    assert sorted(parts) == sorted(zip(*whole.links, strict=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kernel": (2, 1, 0, 3)}, "kernel = (2, 1, 0, 3) - sizes of 1 or more"),
        ({"padding": (0, -1)}, "padding = (0, -1)"),
        ({"shift": 1}, "2 channels shifted by 1 meet a kernel of 2"),
        ({"kernel": (3, 1, 1, 1), "groups": 2}, "3 features in 2 groups"),
        ({"pooling": (3, 1), "kernel": (1, 2, 1, 3)}, "a map of 4 x 4 pooled by (3, 1)"),
        ({"kernel": (1, 2, 5, 1)}, "a kernel of (5, 1) on a map of (4, 4) with padding (0, 0)"),
    ],
)
def test_what_is_no_convolution_is_said(change, words):
    sound = Convolution((2, 4, 4), (1, 2, 3, 3))
    assert not list(sound.faults("here"))
    (fault,) = dataclasses.replace(sound, **change).faults("here")
    assert words.split(" - ")[0] in fault.was
    assert all(word in fault.must for word in words.split(" - ")[1:])


def network(maps, rng):
    pixels, cells = group(maps, "pixels", "channel", (2, 4, 6)), group(maps, "cells", "cell", (3, 3, 2), threshold=9)
    geometry = Convolution((2, 4, 6), (3, 2, 2, 3), (1, 2), (0, 0))
    assert geometry.target == (3, 3, 2)
    weights = rng.integers(-20, 30, geometry.kernel)
    return Network(maps, (pixels, cells), (convolution(maps, "conv", pixels, cells, geometry, w=weights),))


def test_a_convolution_simulates_like_its_synapses_one_by_one(maps):
    rng = np.random.default_rng(3)
    compact = network(maps, rng)
    (kernel,) = compact.projections
    pairs = kernel.pairwise
    matrix = np.zeros((48, 18), np.int64)
    matrix[pairs.sources, pairs.targets] = pairs.fields["w"]
    pixels, cells = compact.groups
    spelled = Network(maps, compact.groups, (projection(maps, "in", pixels, cells, w=matrix),))
    counts = rng.integers(0, 3, (12, 2, 48))
    runs = [simulate(place_identity(n), counts, record="v", executor=e) for n in (compact, spelled) for e in CLOCKED]
    assert runs[0].output.sum() > 20
    for run in runs[1:]:
        assert np.array_equal(run.output, runs[0].output)
        assert np.array_equal(run.states["cells"]["v"], runs[0].states["cells"]["v"])


def test_a_file_keeps_shapes_and_kernels(maps, tmp_path):
    kept = place_identity(network(maps, np.random.default_rng(0)))
    save_network(kept, tmp_path / "kept.npz")
    read = load_network(tmp_path / "kept.npz")
    assert [g.shape for g in read.groups] == [(2, 4, 6), (3, 3, 2)]
    assert read.projections[0].geometry == kept.projections[0].geometry
    assert np.array_equal(read.projections[0].fields["w"], kept.projections[0].fields["w"])


def test_shapes_that_do_not_meet_are_refused(maps):
    sound = network(maps, np.random.default_rng(0))
    pixels, cells = sound.groups
    (kernel,) = sound.projections
    turned = dataclasses.replace(pixels, shape=(2, 6, 4))
    said = str(refusal(lambda: Network(maps, (turned, cells), (kernel,))))
    assert "a convolution whose source is (2, 4, 6), and 'pixels' is (2, 6, 4)" in said
    bent = dataclasses.replace(pixels, shape=(2, 6, 5))
    assert "shape (2, 6, 5) of 48 neurons" in str(refusal(lambda: Network(maps, (bent, cells), ())))


def test_a_chip_takes_kernels_exactly_where_it_stores_kernels(maps):
    sound = network(maps, np.random.default_rng(0))
    pixels, cells = sound.groups
    (kernel,) = sound.projections
    as_block = dataclasses.replace(kernel, kind="in")
    assert "'in' stores single synapses" in str(refusal(lambda: Network(maps, sound.groups, (as_block,))))
    spelled = dataclasses.replace(projection(maps, "in", pixels, cells, w=1), kind="conv")
    assert "'conv' stores kernels" in str(refusal(lambda: Network(maps, sound.groups, (spelled,))))
