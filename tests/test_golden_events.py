"""One layer against torch's convolution and sinabs' neuron: every spike of every event, and states."""

import json
from pathlib import Path

import numpy as np
import pytest

from neurodeploy.chips import chip
from neurodeploy.network import Convolution, Network, convolution, group, place_identity
from neurodeploy.simulator import scan_orders, simulate

GOLDEN = json.loads((Path(__file__).parent / "golden_events" / "sinabs.json").read_text())
CHIP = chip("speck2f")


def network_of(case):
    geometry = Convolution(*(tuple(case[n]) for n in ("source", "kernel", "stride", "padding")))
    registers = {n: case[n] for n in ("threshold_high", "threshold_low", "return_to_zero")}
    pixels, units = (
        group(CHIP, "in", "pixel", geometry.source),
        group(CHIP, "out", "unit", geometry.target, **registers),
    )
    kernel = np.array(case["weights"]).reshape(geometry.kernel)
    return place_identity(
        Network(CHIP, (pixels, units), (convolution(CHIP, "convolve", pixels, units, geometry, w=kernel),))
    )


def frames(case):
    """(time, 1, pixel) one event in each step."""
    x = np.zeros((len(case["events"]), *case["source"]), np.int64)
    for step, place in enumerate(case["events"]):
        x[(step, *place)] = 1
    return x.reshape(len(x), 1, -1)


@pytest.mark.parametrize("number", range(len(GOLDEN["cases"])))
def test_every_spike_of_one_layer_is_that_of_sinabs(number, count):
    case = GOLDEN["cases"][number]
    for scan in scan_orders(CHIP, 2):
        run = simulate(network_of(case), frames(case), record="v", scan=scan)
        assert [np.flatnonzero(row[0]).tolist() for row in run.output] == case["fired"]
        v = run.states["out"]["v"][:, 0]
        assert (v[len(v) // 2].tolist(), v[-1].tolist()) == (case["v_middle"], case["v_last"])
    count("spikes of one layer equal to sinabs", sum(map(len, case["fired"])))


def test_the_cases_reach_both_resets_the_lower_bound_and_maps_that_are_not_square():
    cases = GOLDEN["cases"]
    assert {c["return_to_zero"] for c in cases} == {0, 1}
    assert any(c["threshold_low"] in c["v_last"] for c in cases)
    assert any(c["source"][1] != c["source"][2] and c["kernel"][2] != c["kernel"][3] for c in cases)
    assert any(c["stride"][0] != c["stride"][1] for c in cases)
    assert sum(len(f) for c in cases for f in c["fired"]) > 500


@pytest.mark.slow  # .ci/run has it
def test_a_flipped_kernel_would_be_noticed():
    wrong = 0
    for case in GOLDEN["cases"]:
        kernel = np.array(case["weights"]).reshape(case["kernel"])
        turned = case | {"weights": kernel[:, :, ::-1, ::-1].ravel().tolist()}
        run = simulate(network_of(turned), frames(case))
        wrong += [np.flatnonzero(row[0]).tolist() for row in run.output] != case["fired"]
    assert wrong > 8


def test_the_file_names_its_maker_and_what_it_is_worth():
    assert GOLDEN["made_by"].startswith("sinabs 3.1.3")
    assert GOLDEN["grade"] == "inferred"
