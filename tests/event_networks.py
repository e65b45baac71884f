"""Random networks and inputs for chips whose connections are kernels and which events drive."""

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.network import Convolution, Network, convolution, group, place_identity

PIXEL, UNIT, CONVOLVE = "pixel", "unit", "convolve"


def layer(chip: Chip, name, shape, rng, **given):
    """A layer with one value of each parameter, biases by feature; thresholds small enough to fire."""
    chosen = {
        "threshold_high": int(rng.integers(1, 60)),
        "threshold_low": -int(rng.integers(1, 60)),
        "return_to_zero": int(rng.integers(2)),
        "bias": np.repeat(-rng.integers(0, 4, shape[0]), shape[1] * shape[2]),
        "initial": rng.integers(-20, 0, int(np.prod(shape))) * int(rng.integers(2)),
    }
    return group(chip, name, UNIT, shape, **(chosen | given))


def joined(chip, source, target, geometry, rng, low=-30):
    kernel = rng.integers(low, 60, geometry.kernel)
    kernel[rng.random(geometry.kernel) < 0.05] = rng.choice([-128, 127])
    return convolution(chip, CONVOLVE, source, target, geometry, w=kernel)


def chain(chip, rng, layers=3, *, source=None, place=True):
    """A feed-forward chain on a map that is not square; later layers see pooled maps."""
    shape = source or (int(rng.integers(1, 3)), 4 * int(rng.integers(1, 3)), 2 * int(rng.integers(1, 4)))
    groups, projections = [group(chip, "in", PIXEL, shape)], []
    for number in range(layers):
        here = groups[-1]
        _, height, width = here.shape
        pooling = (2, 2) if number and height % 2 == 0 == width % 2 and rng.random() < 0.6 else (1, 1)
        rows, columns = (
            int(rng.integers(1, min(3, s // p) + 1)) for s, p in zip((height, width), pooling, strict=True)
        )
        geometry = Convolution(
            here.shape,
            (int(rng.integers(1, 4)), here.shape[0], rows, columns),
            stride=(int(rng.integers(1, 3)), int(rng.integers(1, 3))),
            padding=(int(rng.integers(rows)), int(rng.integers(columns))),
            pooling=pooling,
        )
        groups.append(layer(chip, f"l{number}", geometry.target, rng))
        projections.append(joined(chip, here, groups[-1], geometry, rng))
    network = Network(chip, tuple(groups), tuple(projections))
    return place_identity(network) if place else network


def branches(chip, rng):
    """Two destinations of one layer, one pooled and one through a further layer, that meet again with a shift.

    The layer where they meet also sees the first layer a second time, at another shift.
    """
    a_shape = (2, 4, 6)
    source = group(chip, "in", PIXEL, (2, 4, 6))
    a = layer(chip, "a", a_shape, rng)
    b = layer(chip, "b", (3, 2, 3), rng)
    c = layer(chip, "c", (2, 2, 3), rng)
    to_a = Convolution((2, 4, 6), (2, 2, 3, 3), padding=(1, 1))
    to_b = Convolution(a_shape, (3, 2, 2, 2), stride=(2, 2))
    late = Convolution(b.shape, (2, 7, 1, 1), shift=4)
    early = Convolution(a_shape, (2, 7, 1, 1), pooling=(2, 2), shift=int(rng.integers(3)))
    again = Convolution(a_shape, (2, 7, 1, 1), pooling=(2, 2), shift=2)
    pieces = [
        joined(chip, source, a, to_a, rng),
        joined(chip, a, b, to_b, rng),
        joined(chip, b, c, late, rng),
        joined(chip, a, c, early, rng),
        joined(chip, a, c, again, rng),
    ]
    order = rng.permutation(len(pieces))
    groups = [source, *(([a, b, c], [c, a, b])[int(rng.integers(2))])]
    return place_identity(Network(chip, tuple(groups), tuple(pieces[i] for i in order)))


def looped(chip, rng):
    """A layer that inhibits itself and a neighbour that it feeds and that feeds it."""
    shape = (2, 3, 4)
    source, a, b = group(chip, "in", PIXEL, shape), layer(chip, "a", shape, rng), layer(chip, "b", shape, rng)
    same = Convolution(shape, (2, 2, 1, 1))
    pieces = [
        joined(chip, source, a, same, rng, low=0),
        convolution(chip, CONVOLVE, a, a, same, w=-rng.integers(1, 30, same.kernel)),
        joined(chip, a, b, same, rng),
        convolution(chip, CONVOLVE, b, a, same, w=-rng.integers(1, 30, same.kernel)),
    ]
    return place_identity(Network(chip, (source, a, b), tuple(pieces)))


def random_input(network, rng, steps=3, batch=2, rate=0.4):
    return {
        g.name: rng.poisson(rate * rng.random(g.size), (steps, batch, g.size)).astype(np.int64)
        for g in network.inputs()
    }


def same(a, b):
    """Counts, states, what is remembered and the order of single events."""
    return (
        all(np.array_equal(a.counts[g], b.counts[g]) for g in a.counts)
        and all(np.array_equal(a.states[g][s], b.states[g][s]) for g in a.states for s in a.states[g])
        and all(np.array_equal(a.events[g], b.events[g]) for g in a.events)
        and all(np.array_equal(v, b.final.states[k][s]) for k, m in a.final.states.items() for s, v in m.items())
        and np.array_equal(a.meetings, b.meetings)
        and np.array_equal(a.lost, b.lost)
    )


DRAWN = {"chain": chain, "branches": branches, "looped": looped}
