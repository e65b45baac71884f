"""The measurement of training speed: what it runs, checks and refuses; and a floor under the kernels."""

import importlib.util
import json

import pytest
import torch

from neurodeploy import bench
from neurodeploy.errors import Missing, Refusal

torch.set_num_threads(1)
NUMBA = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason='numba is not installed: pip install "neurodeploy[fast]"'
)


@NUMBA
def test_kernels_beat_the_loop_and_stay_near_the_matrix_products():
    found = bench.bench_training(steps=100, threads=1, rounds=3, peers=())
    assert set(found.milliseconds) == set(bench.OURS)
    assert all(0.01 < rate < 0.1 for rate in found.hidden_rates)
    ratios = found.ratios("kernels")
    # measured on one idle thread: looped 1.9, products alone 0.93; with events looped 3.6, products alone 1.7
    assert ratios["looped"] > 1.2
    assert ratios["products alone"] > 0.6
    assert found.ratios("events")["looped"] > 1.8
    assert json.loads(json.dumps(found.as_dict()))["ratios"]["events"]["events"] == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps = 0; a whole number of at least 1"),
        ({"peers": ["torch"]}, "peer 'torch'; it must be one of snntorch, sinabs, norse, spikingjelly"),
    ],
)
def test_what_it_cannot_measure_is_refused(options, words):
    with pytest.raises(Refusal, match=words):
        bench.bench_training(**options)


def test_a_required_peer_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(Missing, match="not installed: norse; every peer must run; pip install norse"):
        bench.bench_training(peers=["norse"], require_peers=True)
