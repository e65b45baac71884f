"""The firing patterns of a generalised integrate-and-fire neuron keep their character in fixed point; drawn, too."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.errors import Refusal
from neurodeploy.layers import Leaky
from neurodeploy.plot import plot_derived

SCRIPT = Path(__file__).parent.parent / "examples" / "fixed_patterns.py"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """What the example computed, and its picture."""
    picture = tmp_path_factory.mktemp("patterns") / "patterns.png"
    before, sys.argv = sys.argv, [str(SCRIPT), "--out", str(picture)]
    try:
        found = runpy.run_path(str(SCRIPT))
    finally:
        sys.argv = before
    return found, picture


def times(spikes):
    return [np.flatnonzero(spikes[:, 0, n]) for n in range(spikes.shape[2])]


@pytest.mark.slow  # .ci/run has it
def test_every_pattern_has_its_spikes_at_their_steps(drawn):
    found, _ = drawn
    wanted, fixed = times(found["real"]), times(found["run"].counts["neurons"])
    assert [len(t) for t in fixed] == [len(t) for t in wanted]
    assert max(int(np.abs(a - b).max()) for a, b in zip(fixed, wanted, strict=True)) <= 1


def test_every_pattern_has_the_character_of_its_name(drawn):
    found, _ = drawn
    by_name = dict(zip(found["HELD"], times(found["run"].counts["neurons"]), strict=True))
    gaps = {name: np.diff(t) for name, t in by_name.items()}
    assert np.ptp(gaps["tonic spiking"]) <= 1
    assert (np.diff(gaps["spike frequency adaptation"]) >= 0).all()
    assert gaps["spike frequency adaptation"][-1] > 1.2 * gaps["spike frequency adaptation"][0]
    assert len(by_name["phasic spiking"]) < len(by_name["tonic spiking"])
    bursts = gaps["tonic bursting"]
    assert bursts.min() * 8 < bursts.max()
    assert (bursts > 8 * bursts.min()).sum() >= 2  # several bursts
    assert by_name["rebound burst"][0] > found["HELD"]["rebound burst"][1]
    assert len(by_name["rebound burst"]) >= 4


def test_a_picture_shows_float_over_fixed(drawn):
    found, picture = drawn
    assert picture.read_bytes().startswith(b"\x89PNG")
    figure = plot_derived(found["made"], found["run"], labels=tuple(found["HELD"]))
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == list(found["HELD"])
    assert all(len(axes.lines) == 2 for axes in figure.axes)


def test_what_was_not_recorded_is_refused():
    x = np.full((5, 1, 2), 0.25)
    made = nd.derive(Leaky(2, beta=0.5), nd.chip("fixed"), calibration=x)
    placed = nd.place_identity(made.network)
    run = nd.simulate(placed, made.encode(x), drain=0)
    with pytest.raises(Refusal, match="was not recorded"):
        plot_derived(made, run)
    with pytest.raises(Refusal, match="one of neurons"):
        plot_derived(made, run, "other")
    longer = nd.simulate(placed, made.encode(x), drain=1, record=["v"])
    with pytest.raises(Refusal, match="drain=0"):
        plot_derived(made, longer)
    with pytest.raises(Refusal, match="3 labels"):
        plot_derived(made, nd.simulate(placed, made.encode(x), drain=0, record=["v"]), labels=("a", "b", "c"))
