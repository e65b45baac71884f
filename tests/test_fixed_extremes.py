"""Derived neurons where calibration reaches far: what explodes is bounded, and nothing but a refusal says no."""

import numpy as np
import pytest
import torch

import neurodeploy as nd
from neurodeploy.errors import Refusal
from neurodeploy.layers import ALIF, GIF, LIF, ExpIF
from neurodeploy.network import place_identity
from neurodeploy.simulator import simulate

CHIP = nd.chip("fixed")
SIZE = 3
LAYERS = {
    "ExpIF": lambda dt: ExpIF(SIZE, dt),
    "GIF": lambda dt: GIF(SIZE, dt),
    "ALIF": lambda _: ALIF(SIZE, tau_mem=20.0, tau_adapt=30.0),
    "LIF": lambda _: LIF(SIZE, tau_mem=20.0),
}


def spikes_of(layer, x, bits):
    """(float, fixed) spikes, (time, batch, neuron)."""
    made = nd.derive(layer, CHIP, calibration=x, bits=bits)
    run = simulate(place_identity(made.network), made.encode(x), drain=0, executor="numpy")
    with torch.no_grad():
        wanted = layer(torch.tensor(x, dtype=torch.float32)).numpy()
    return wanted, made.decode("neurons", "spike", run.counts["neurons"])


QUICK = {(0.1, 5.0, 60), (1.0, 5.0, 60)}
UPSWINGS = [
    pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
    for case in [(dt, reach, steps) for dt in (0.1, 1.0) for reach in (1.0, 5.0, 40.0, 200.0) for steps in (60, 300)]
]


@pytest.mark.parametrize(("dt", "reach", "steps"), UPSWINGS)
def test_an_upswing_without_end_leaves_bits_for_the_rest(dt, reach, steps):
    x = np.random.default_rng(0).uniform(0, reach, (steps, 4, SIZE))
    wanted, found = spikes_of(ExpIF(SIZE, dt), x, 24)
    assert wanted.sum() >= 12
    assert (wanted.sum(axis=0) == found.sum(axis=0)).all()
    assert (wanted != found).sum() <= 4


@pytest.mark.parametrize("bits", [12, 16])
def test_a_factor_below_one_does_not_vanish_where_inputs_are_large(bits):
    x = np.random.default_rng(0).uniform(0, 1, (60, 2, SIZE)) * 2.0**22
    layer = ALIF(SIZE, tau_mem=20.0, tau_adapt=30.0)
    made = nd.derive(layer, CHIP, calibration=x, bits=bits)
    kind = made.layers[0].kind
    assert "* 0\n" not in kind.text
    run = simulate(place_identity(made.network), made.encode(x), drain=0, record=["v"], executor="numpy")
    found = made.decode("neurons", "v", run.states["neurons"]["v"])
    wanted = kind.course.states["v"]
    assert np.abs(found - wanted).max() <= 0.02 * np.abs(wanted).max()


def refused(make):
    """Codes of its faults where it is refused."""
    try:
        made, x = make()
    except Refusal as refusal:
        return {fault.code for fault in refusal.faults}
    simulate(place_identity(made.network), made.encode(x), drain=0, executor="numpy")
    return set()


@pytest.mark.parametrize("draws", [4, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", LAYERS)
def test_any_reach_any_width_any_step_is_derived_and_runs_or_is_refused(name, draws, count):
    rng = np.random.default_rng(7)

    def make():
        dt, bits = float(rng.choice([0.01, 0.1, 1.0])), int(rng.choice([3, 4, 8, 12, 16, 24, 32]))
        x = rng.uniform(-rng.integers(0, 2), 1, (rng.choice([5, 60]), 2, SIZE)) * 2.0 ** rng.integers(-20, 40)
        return nd.derive(LAYERS[name](dt), CHIP, calibration=x, bits=bits), x

    codes = [refused(make) for _ in range(draws)]
    assert set().union(*codes) <= {"ND1701"}
    count("derived neurons of any reach", codes.count(set()))
