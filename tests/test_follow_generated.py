"""Chips that nobody has seen and that events drive: generated code is equal to the reference, refusals too."""

from itertools import pairwise

import pytest
from generated_event_chips import draw, generated
from plain_event_kernels import Plain
from test_follow import NUMBA, equal, outcome

BLOCKS = list(pairwise(range(0, 31, 15)))
MANY = list(pairwise(range(1000, 1601, 50)))


@pytest.fixture(autouse=True)
def soon_too_much(monkeypatch):
    """Activity that never ends is refused after little."""
    monkeypatch.setattr("neurodeploy.simulator.event_engine.SETTLED_AFTER", 400)


def differing(seeds):
    found = []
    for seed in seeds:
        network, x = generated(seed)
        found += [seed for order in ("breadth", "depth") if not equal(network, x, record="v", order=order)]
    return found


@NUMBA
@pytest.mark.parametrize(("first", "end"), BLOCKS)
def test_drawn_chips_run_as_by_the_reference(first, end):
    assert differing(range(first, end)) == []


@NUMBA
@pytest.mark.slow
@pytest.mark.parametrize(("first", "end"), MANY)
def test_many_drawn_chips_run_as_by_the_reference(first, end, monkeypatch):
    monkeypatch.setattr("neurodeploy.simulator.follow.layout._compiled", lambda code, _: Plain(code))
    assert differing(range(first, end)) == []


@NUMBA
@pytest.mark.slow
@pytest.mark.compiled
@pytest.mark.parametrize("seed", range(12))
def test_drawn_chips_compiled_run_as_by_the_reference(seed):
    assert differing([seed]) == []


def test_the_drawn_chips_fire_overflow_and_never_end():
    """Guard against empty truth: what the other tests compare happens."""
    ends = [outcome(*generated(seed), executor="numpy") for seed in range(30)]
    ran = [e for e in ends if not isinstance(e, str)]
    assert sum(bool(e.counts["cell"].any()) for e in ran) > 12
    assert sum("the queue of events is full" in e for e in ends if isinstance(e, str)) >= 1
    assert sum("more than 400 arrivals" in e for e in ends if isinstance(e, str)) >= 1
    texts = [draw(seed).text for seed in range(30)]
    bounds, decays = ("wrap(", "sat(", "clip("), ("round_half_even", "shift_to_zero")
    for part in (*bounds, *decays, "waits", "every.", "state.t", "v - threshold"):
        assert sum(part in text for text in texts) > 2, part
