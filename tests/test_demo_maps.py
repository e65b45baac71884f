"""The demo where a chip has no currents or no steps: maps instead of rows, chosen by what its file states."""

import copy

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.chips import from_raw
from neurodeploy.demo import digits as digits_module
from neurodeploy.demo import pipeline, run_demo
from neurodeploy.demo.design import design_for, keeps_time
from neurodeploy.demo.digits import encode, images
from neurodeploy.demo.maps import FEATURES, LEVELS, SHOWN, SILENCE, MapShape, build_maps, encode_pixels, largest_maps
from neurodeploy.demo.network import Shape
from neurodeploy.errors import DoesNotFit

ROWS, MAPS = ["xylo_audio2", "xylo_audio3", "xylo_imu"], ["speck2f", "speck2e", "loihi1", "loihi2"]


def changed(base, name, edit):
    raw = copy.deepcopy(dict(nd.chip(base).raw))
    raw["name"] = name
    edit(raw)
    return from_raw(raw)


def test_a_pixel_has_as_many_events_as_its_level_and_one_in_a_step_at_most():
    pictures, _ = images(10)
    counts = encode_pixels(pictures[:50])
    assert counts.shape == (SHOWN + SILENCE, 50, 64)
    assert counts.max() == 1
    assert np.array_equal(counts.sum(0), np.rint(pictures[:50].reshape(50, 64) * LEVELS))
    assert not counts[SHOWN:].any()


@pytest.mark.parametrize("name", [*ROWS, *MAPS])
def test_the_network_follows_from_what_the_chip_has(name):
    design = design_for(nd.chip(name), 10)
    assert isinstance(design.shape, Shape if name in ROWS else MapShape)
    assert design.encode is (encode if name in ROWS else encode_pixels)
    assert design.shape.classes == (10 if name in MAPS else min(10, nd.chip(name).limits["outputs"].entry.at_most))
    assert str(design.shape.classes) in design.shape.words


def test_the_name_of_a_chip_decides_nothing():
    for base in ("xylo_imu", "speck2f"):
        somebody = changed(base, "somebody", dict)
        assert design_for(somebody, 10).shape == design_for(nd.chip(base), 10).shape


def test_single_events_in_a_step_are_no_rows():
    def one(raw):
        raw["neuron"]["channel"]["external"]["may"] = [0, 1]

    assert keeps_time(nd.chip("xylo_imu"))
    assert not keeps_time(changed("xylo_imu", "single", one))


def test_fewer_classes_and_features_where_less_fits():
    def small(raw):
        raw["limit"]["outputs"]["at_most"], raw["limit"]["hidden"]["at_most"] = 4, 400
        raw["limit"]["inputs"]["at_most"] = 64

    shape, fit = largest_maps(changed("xylo_audio2", "small", small), 10)
    assert shape.classes == 4
    assert FEATURES[0] != shape.features in FEATURES
    assert fit.fits


def test_a_chip_that_is_too_small_is_answered_with_the_reasons():
    with pytest.raises(DoesNotFit, match="64 input channels; at most 16 fit"):
        largest_maps(nd.chip("xylo_imu"), 10)


@pytest.mark.parametrize("name", MAPS)
def test_the_neurons_are_those_that_the_chip_computes(name):
    chip = nd.chip(name)
    options = build_maps(chip, MapShape((4, 4), 3), 0)[2].options
    deploy = chip.hidden()[0].deploy
    assert options["reset"] == ("subtract" if "subtract" in deploy.reset else "zero")
    assert options["comparison"] in deploy.comparison
    assert (options["v_min"] is None) == (deploy.lower_bound is None)
    assert options["max_spikes"] == (None if chip.event_driven else deploy.max_spikes)


@pytest.mark.slow  # .ci/run has it
@pytest.mark.parametrize("name", ["speck2f", "loihi2"])
def test_the_whole_way_ends_in_a_bundle_that_verifies(name, tmp_path, monkeypatch):
    pictures, labels = images(10)
    monkeypatch.setattr(digits_module, "images", lambda _: (pictures[::12], labels[::12]))
    monkeypatch.setattr(pipeline, "CALIBRATION_SAMPLES", 16)
    demo = run_demo(nd.chip(name), tmp_path / "digits", epochs=2)
    shown = demo.to_json()
    assert shown["features"] == list(demo.shape.features)
    assert nd.verify(demo.bundle).exact
    run = nd.simulate(nd.load_network(demo.bundle / "network.npz"), nd.load_data(demo.folder / "test.npz").input[:, :4])
    assert all(counts.any() for counts in run.counts.values())
    model, _ = nd.load_model(demo.folder / "model.safetensors")
    assert nd.check(model, demo.chip).fits
    if demo.chip.event_driven:
        assert demo.exact_against == [], "our own straight-line loops are nothing independent"
    else:
        assert [row["grade"] for row in demo.exact_against][:1] == ["vendor-simulator"]
