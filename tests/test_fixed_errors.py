"""How far neurons in fixed point are from their float layers: the table of the README, and the bound that holds."""

from pathlib import Path

import numpy as np
import pytest
import torch

import neurodeploy as nd
from neurodeploy.fixed.bounds import bound_states
from neurodeploy.fixed.fidelity import BEGIN, END, WIDTHS, compare_runs, markdown
from neurodeploy.fixed.recorded import recorded_runs
from neurodeploy.layers import LIF, Leaky

torch.set_num_threads(1)
ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden_neurons"
CHIP = nd.chip("fixed")
#: Rows that are computed in every run; the slow test has all.
SOME = ("IAF", "ALIF with a synapse", "Alpha", "RSynaptic")


def shown():
    return (ROOT / "README.md").read_text().partition(BEGIN)[2].partition(END)[0].strip()


@pytest.fixture(scope="module")
def rows():
    return compare_runs(GOLDEN, CHIP, only=SOME)


def test_no_state_leaves_its_bound_before_a_spike_differs(rows):
    assert {row.name for row in rows} == set(SOME)
    assert min(row.spikes for row in rows) > 0
    assert [row for row in rows if not row.within] == []


def test_spikes_in_24_bits_are_those_of_the_float_layers_but_for_ties(rows):
    wide = [row for row in rows if row.bits == max(WIDTHS)]
    assert sum(row.counts_apart for row in wide) <= 1  # a sum of 0.03 that meets a threshold of 1
    assert {row.steps_apart for row in wide} == {0}


def test_the_readme_shows_these_rows(rows):
    lines = markdown(rows).splitlines()
    assert len(lines) == 2 + len(SOME) * len(WIDTHS)
    assert [line for line in lines if line not in shown().splitlines()] == []


@pytest.mark.long  # three minutes
def test_the_readme_shows_the_table():
    found = compare_runs(GOLDEN, CHIP)
    assert shown() == markdown(found), "regenerate it: neurodeploy targets errors tests/golden_neurons --markdown"
    assert [row for row in found if not row.within] == []


def test_the_table_has_every_neuron_that_is_recorded():
    assert {run.neuron for run in recorded_runs(GOLDEN)} == {
        line.split("|")[1].strip() for line in shown().splitlines()[2:]
    }


def bound(layer, steps=400, bits=16):
    x = np.full((steps, 1, 1), 0.03)
    made = nd.derive(layer, CHIP, calibration=x, bits=bits)
    kind = made.layers[0].kind
    return bound_states(kind, x, 0.0, "nearest")["v"] / kind.states["v"].step, kind


@pytest.mark.parametrize("tau", [5.0, 20.0])
def test_the_bound_of_a_leak_is_half_a_unit_over_what_leaks(tau):
    found, kind = bound(LIF(1, tau_mem=tau, norm_input=False, threshold=9.0).double())
    keep = float(kind.plain.constants["alpha_mem"][0])
    register = kind.constants["alpha_mem"]
    off = abs(register.values[0] * register.format.step - keep) / kind.states["v"].step
    largest = 0.03 * keep / (1 - keep) + 0.03
    assert np.isclose(found[-1, 0, 0], (0.5 + off * largest) / (1 - keep), rtol=0.02)


def test_a_bound_is_smaller_where_registers_round_nothing():
    found, _ = bound(Leaky(1, beta=0.5, threshold=9.0).double())
    assert found.max() <= 1.001  # half a unit a step, of which half is forgotten


def test_a_neuron_that_breaks_its_bound_would_be_seen():
    run = next(r for r in recorded_runs(GOLDEN) if r.neuron == "Leaky")
    made = nd.derive(run.layer, CHIP, calibration=run.x, bits=16)
    kind = made.layers[0].kind
    bounds = bound_states(kind, run.x, 0.0, "nearest")["v"]
    moved = kind.course.states["v"] + 64 * kind.states["v"].step
    assert (np.abs(moved - kind.course.states["v"]) > bounds).any()
