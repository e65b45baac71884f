"""Quadratic assignment: things with traffic between them onto places with distances, and a bound from below.

The cost of a placement is the sum over ordered pairs of things of flow times distance. Distances are the same both
ways; flows need not be. There may be more places than things.
"""

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Swaps that are tried in one cooling, for each place.
SWAPS = 400
#: Coolings, each from another start, of which the best is kept: so many over the number of places, within bounds.
STARTS = 240
FEWEST, MOST = 3, 20
#: The first temperature as a share of the mean change of a swap.
HOT = 0.3
#: The last temperature as a share of the first.
COLDEST = 0.1


def cost(flow: npt.ArrayLike, distance: npt.ArrayLike, places: npt.ArrayLike) -> float:
    """Sum of flow times distance.

    flow : (thing, thing)
    distance : (place, place)
    places : (thing,) place of each
    """
    at = np.asarray(places)
    return float((np.asarray(flow) * np.asarray(distance)[np.ix_(at, at)]).sum())


def anneal(flow: npt.ArrayLike, distance: npt.ArrayLike, *, seed: int = 0) -> Ints:
    """(thing,) places of a low cost, by simulated annealing over swaps; the same seed gives the same places.

    The first start is the order given, so that the result is never worse than that.
    """
    given, d = np.asarray(flow, np.float64), np.asarray(distance, np.float64)
    things, count = len(given), len(d)
    both = np.zeros((count, count))
    both[:things, :things] = given + given.T
    np.fill_diagonal(both, 0)
    draw, best = np.random.default_rng(seed), np.arange(count)
    if things < 2 or not both.any():
        return best[:things]
    lowest = cost(given, d, best[:things])
    for start in range(min(max(FEWEST, STARTS // count), MOST)):
        places = np.arange(count) if start == 0 else draw.permutation(count)
        places = _descend(both, d, _cool(both, d, places, things, draw))
        found = cost(given, d, places[:things])
        if found < lowest:
            best, lowest = places, found
    return best[:things]


def _cool(both: Floats, d: Floats, places: Ints, things: int, draw: np.random.Generator) -> Ints:
    """One cooling: swaps that cost more are taken with the probability that the temperature allows; the best seen."""
    count, swaps = len(d), SWAPS * len(d)
    first = draw.integers(0, things, swaps)  # a place without traffic has nothing to gain by itself
    second = (first + draw.integers(1, count, swaps)) % count
    chance = draw.random(swaps)
    p = places.copy()
    sample = [abs(_delta(both, d, p, a, b)) for a, b in zip(first[:200].tolist(), second[:200].tolist(), strict=True)]
    hottest = HOT * float(np.mean(sample)) or 1.0
    cooling = COLDEST ** (1 / swaps)
    temperature, level = hottest, 0.0
    best, lowest = p.copy(), 0.0
    for a, b, luck in zip(first.tolist(), second.tolist(), chance.tolist(), strict=True):
        change = _delta(both, d, p, a, b)
        if change <= 0 or luck < math.exp(-change / temperature):
            p[a], p[b] = p[b], p[a]
            level += change
            if level < lowest:
                best, lowest = p.copy(), level
        temperature *= cooling
    return best


def _delta(both: Floats, d: Floats, p: Ints, a: int, b: int) -> float:
    """What it costs to swap the places of two things."""
    return float((both[a] - both[b]) @ (d[p[b]] - d[p[a]])[p] + 2 * both[a, b] * d[p[a], p[b]])


def _descend(both: Floats, d: Floats, places: Ints) -> Ints:
    """Take the best swap as long as one helps."""
    p = places.copy()
    while True:
        here = d[np.ix_(p, p)]
        own = (both * here).sum(axis=1)
        moved = both @ here  # (a, b): the cost of a, if it stood where b stands
        change = moved + moved.T - own[:, None] - own[None] + 2 * both * here
        a, b = divmod(int(np.argmin(change)), len(p))
        if change[a, b] >= -1e-9 * max(own.sum(), 1):
            return p
        p[a], p[b] = p[b], p[a]


def lower_bound(flow: npt.ArrayLike, distance: npt.ArrayLike) -> float:
    """Gilmore-Lawler bound: no placement costs less.

    Each thing is charged, for each place, its largest flows over the shortest ways from there; the cheapest assignment
    of things to places under these charges is a bound. Gilmore 1962, Lawler 1963.
    """
    given, d = np.asarray(flow, np.float64), np.asarray(distance, np.float64)
    things, count = len(given), len(d)
    half = np.zeros((count, count))
    half[:things, :things] = (given + given.T) / 2
    own = np.diagonal(half).copy()
    off = ~np.eye(count, dtype=bool)
    flows = np.sort(half[off].reshape(count, count - 1), axis=1)[:, ::-1]
    ways = np.sort(d[off].reshape(count, count - 1), axis=1)
    charges = flows @ ways.T + own[:, None] * np.diagonal(d)[None]
    return float(charges[np.arange(count), assign(charges)].sum())


def assign(charges: npt.ArrayLike) -> Ints:
    """(row,) the column of each row, every column once, at the lowest sum (shortest augmenting paths)."""
    c = np.asarray(charges, np.float64)
    size = len(c)
    rows, columns = np.zeros(size + 1), np.zeros(size + 1)  # prices; column ``size`` is where a path begins
    owner = np.full(size + 1, -1)
    for row in range(size):
        owner[size], at = row, size
        least, back = np.full(size, np.inf), np.full(size, size)
        used = np.zeros(size + 1, bool)
        while owner[at] >= 0:
            used[at] = True
            open_ = np.flatnonzero(~used[:size])
            slack = c[owner[at], open_] - rows[owner[at]] - columns[open_]
            better = slack < least[open_]
            least[open_[better]], back[open_[better]] = slack[better], at
            next_ = open_[int(np.argmin(least[open_]))]
            step = least[next_]
            rows[owner[np.flatnonzero(used)]] += step
            columns[np.flatnonzero(used)] -= step
            least[open_] -= step
            at = int(next_)
        while at != size:
            owner[at], at = owner[back[at]], int(back[at])
    result = np.empty(size, np.int64)
    result[owner[:size]] = np.arange(size)
    return result
