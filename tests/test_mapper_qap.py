"""Quadratic assignment: annealing against known optima and brute force, the bound against both."""

from itertools import permutations

import numpy as np
import pytest

from neurodeploy.mapper.qap import anneal, assign, cost, lower_bound

# Nug12 of QAPLIB (Burkard, Karisch, Rendl, J. Global Optimization 10, 1997; by Nugent, Vollmann and Ruml 1968): flows
# between 12 departments, which stand on a grid of 3 x 4. Optimum 578; Gilmore-Lawler bound 493.
NUG12 = np.array([
    [0, 5, 2, 4, 1, 0, 0, 6, 2, 1, 1, 1],
    [5, 0, 3, 0, 2, 2, 2, 0, 4, 5, 0, 0],
    [2, 3, 0, 0, 0, 0, 0, 5, 5, 2, 2, 2],
    [4, 0, 0, 0, 5, 2, 2, 10, 0, 0, 5, 5],
    [1, 2, 0, 5, 0, 10, 0, 0, 0, 5, 1, 1],
    [0, 2, 0, 2, 10, 0, 5, 1, 1, 5, 4, 0],
    [0, 2, 0, 2, 0, 5, 0, 10, 5, 2, 3, 3],
    [6, 0, 5, 10, 0, 1, 10, 0, 0, 0, 5, 0],
    [2, 4, 5, 0, 0, 1, 5, 0, 0, 0, 10, 10],
    [1, 5, 2, 0, 5, 5, 2, 0, 0, 0, 5, 0],
    [1, 0, 2, 5, 1, 4, 3, 5, 10, 5, 0, 2],
    [1, 0, 2, 5, 1, 0, 3, 0, 10, 0, 2, 0],
])  # fmt: skip


def grid(rows: int, columns: int) -> np.ndarray:
    y, x = np.divmod(np.arange(rows * columns), columns)
    return abs(y[:, None] - y) + abs(x[:, None] - x)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_optimum_of_nug12_is_reached(seed):
    places = anneal(NUG12, grid(3, 4), seed=seed)
    assert sorted(places.tolist()) == list(range(12))
    assert cost(NUG12, grid(3, 4), places) == 578


def test_the_bound_of_nug12_is_the_published_one():
    assert lower_bound(NUG12, grid(3, 4)) == pytest.approx(493)


@pytest.mark.slow  # .ci/run has it
def test_small_placements_are_optimal_and_no_bound_is_above_them():
    draw, tight = np.random.default_rng(0), 0
    for _ in range(6):
        things, d = int(draw.integers(2, 6)), grid(2, 3)
        flow = draw.integers(0, 9, (things, things)) * (draw.random((things, things)) < 0.6)
        best = min(cost(flow, d, p) for p in permutations(range(6), things))
        assert cost(flow, d, anneal(flow, d)) == best
        assert lower_bound(flow, d) <= best + 1e-9
        tight += lower_bound(flow, d) > 0.8 * best
    assert tight > 2, "a bound of 0 would prove nothing"


def test_rows_get_columns_at_the_lowest_sum():
    draw = np.random.default_rng(1)
    for _ in range(60):
        size = int(draw.integers(1, 7))
        charges = draw.integers(0, 20, (size, size)) * 0.5
        columns = assign(charges)
        assert sorted(columns.tolist()) == list(range(size))
        best = min(charges[np.arange(size), list(p)].sum() for p in permutations(range(size)))
        assert charges[np.arange(size), columns].sum() == pytest.approx(best)


@pytest.mark.slow  # .ci/run has it
def test_the_same_seed_gives_the_same_places():
    flow = np.random.default_rng(2).integers(0, 9, (9, 9))
    first, again = (anneal(flow, grid(3, 4), seed=5) for _ in range(2))
    assert first.tolist() == again.tolist()
    assert cost(flow, grid(3, 4), first) <= cost(flow, grid(3, 4), np.arange(9))
    assert anneal(np.zeros((3, 3)), grid(2, 2)).tolist() == [0, 1, 2], "no traffic, nothing to move"
    assert anneal([[4]], grid(2, 2)).tolist() == [0]
