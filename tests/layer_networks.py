"""Networks for chips whose cores hold a layer each, placed by hand: branches, merges, split layers, oblong maps."""

from dataclasses import replace

import numpy as np

from neurodeploy.chips import chip
from neurodeploy.network import Convolution, Network, convolution, group


def layer(chip_, name, shape, rng):
    """A layer with registers drawn at random, one for each register of the core."""
    bias = np.repeat(rng.integers(-3, 1, shape[0]), shape[1] * shape[2]) * int(rng.random() < 0.5)
    high = int(rng.integers(20, 200))
    return group(
        chip_,
        name,
        "unit",
        shape,
        threshold_high=high,
        threshold_low=-int(rng.integers(1, 200)),
        return_to_zero=int(rng.random() < 0.5),
        bias=bias,
        initial=rng.integers(-5, high, shape).reshape(-1),
    )


def kernel(rng, geometry):
    return rng.integers(-128, 128, geometry.kernel)


def placed(network, cores):
    """Hardware ids from layer -> [(core, features), ...]; inputs one after the other."""
    slots, groups, first = network.chip.layer_core.slots, [], 0
    for g in network.groups:
        if g.name in cores:
            spots = g.shape[1] * g.shape[2]
            ids = np.concatenate([core * slots + np.arange(features * spots) for core, features in cores[g.name]])
        else:
            ids, first = np.arange(first, first + g.size), first + g.size
        groups.append(replace(g, ids=ids))
    return replace(network, groups=tuple(groups))


def chain(name="speck2f", seed=0, *, split=False, channels=2):
    """Input, three layers, the last of them a readout; every map is oblong until the last."""
    rng, c = np.random.default_rng(seed), chip(name)
    pixels = group(c, "pixels", "pixel", (channels, 12, 20))
    g1 = Convolution(pixels.shape, (5, channels, 3, 3), (1, 2), (1, 0), (2, 2))
    a = layer(c, "a", g1.target, rng)
    g2 = Convolution(a.shape, (6, 5, 2, 2), (2, 1), (0, 1), (2, 2))
    b = layer(c, "b", g2.target, rng)
    g3 = Convolution(b.shape, (4, 6, max(b.shape[1:]), max(b.shape[1:])), padding=(1, 0))
    o = layer(c, "o", g3.target, rng)
    links = [
        convolution(c, "convolve", s, t, g, w=kernel(rng, g)) for s, t, g in ((pixels, a, g1), (a, b, g2), (b, o, g3))
    ]
    free = rng.permutation(9).tolist()
    cores = {"a": [(free[0], 5)], "b": [(free[1], 6)], "o": [(free[2], 4)]}
    if split:
        cores = {"a": [(free[0], 2), (free[3], 3)], "b": [(free[1], 6)], "o": [(free[2], 1), (free[4], 3)]}
        cores = cores if rng.random() < 0.5 else {**cores, "b": [(free[1], 5), (free[5], 1)], "a": [(free[0], 5)]}
        cores["o"] = [(free[2], 4)] if len(cores["b"]) == 2 else cores["o"]
    return placed(Network(c, (pixels, a, b, o), tuple(links), 0.001), cores)


def merge(name="speck2f", seed=0):
    """Two inputs, a branch, a concatenation by shift and a sum of two; some projections hold only their channels."""
    rng, c = np.random.default_rng(seed), chip(name)
    one, two = group(c, "one", "pixel", (3, 6, 4)), group(c, "two", "pixel", (1, 12, 16))
    ga, gb = Convolution(one.shape, (2, 3, 3, 3), padding=(1, 1)), Convolution(two.shape, (3, 1, 1, 1), pooling=(2, 4))
    a, b = layer(c, "a", ga.target, rng), layer(c, "b", gb.target, rng)
    base = Convolution(a.shape, (4, 5, 3, 3), padding=(1, 1))
    late = Convolution(b.shape, (4, 5, 3, 3), padding=(1, 1), shift=2)
    whole = kernel(rng, base)
    m = layer(c, "m", base.target, rng)
    own = [
        np.where((np.arange(5) < 2)[:, None, None], whole, 0),
        np.where((np.arange(5) >= 2)[:, None, None], whole, 0),
    ]
    kernels = own if rng.random() < 0.5 else [whole, whole]
    gs = Convolution(m.shape, (2, 4, 1, 1))
    again = Convolution(a.shape, (2, 4, 1, 1), shift=1)
    shared = kernel(rng, gs)
    links = [
        convolution(c, "convolve", one, a, ga, w=kernel(rng, ga)),
        convolution(c, "convolve", two, b, gb, w=kernel(rng, gb)),
        convolution(c, "convolve", b, m, late, w=kernels[1]),
        convolution(c, "convolve", a, m, base, w=kernels[0]),
    ]
    groups = [two, one, a, b, m]
    s = layer(c, "s", gs.target, rng)
    links += [convolution(c, "convolve", x, s, g, w=shared) for x, g in ((m, gs), (a, again))]
    groups.append(s)
    cores = {g.name: [(int(core), g.shape[0])] for g, core in zip(groups[2:], rng.permutation(9), strict=False)}
    return placed(Network(c, tuple(groups), tuple(links)), cores)
