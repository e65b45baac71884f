"""Widths of weights on chips that leave them to the user: what the quantizer makes of them, the search on a model."""

import copy
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from command_line import run
from float_models import linear

import neurodeploy as nd
from neurodeploy import chips
from neurodeploy.approximation.measure import spikes_of
from neurodeploy.chips import target_folders
from neurodeploy.errors import Refusal
from neurodeploy.layers import LIF
from neurodeploy.quantizer.grids import grid_of, reach, round_weights

torch.set_num_threads(1)


def registers(chip):
    """Connection kinds of a chip with a register of the width of their weights."""
    kinds = chip.connections.values()
    return [kind for kind in kinds if kind.entry.grid is not None and kind.entry.grid.bits]


CHIPS = {name: nd.chip(name) for name in target_folders()}
FREE = [name for name, chip in CHIPS.items() if registers(chip)]
KINDS = [(name, kind.name) for name in FREE for kind in registers(CHIPS[name])]
DT_S = 1e-3


def bare(name):
    """The chip without its ranges of agreement, whose proofs take most of the time and concern no width."""
    raw = copy.deepcopy(CHIPS[name].raw)
    raw.pop("agreement")
    return chips.from_raw(raw)


FAST = bare(FREE[0])


def lif(size):
    return LIF(size, tau_mem=8.0, tau_syn=4.0, norm_input=False, reset="zero", comparison=">", max_spikes=1)


def model(*sizes, seed=1):
    """Layers that are driven at about their threshold; weights of both signs."""
    rng = np.random.default_rng(seed)
    layers = []
    for fan_in, size in pairwise(sizes):
        layers += [linear(rng.normal(0.3, 0.5, (size, fan_in)) * 2 / fan_in), lif(size)]
    return torch.nn.Sequential(*layers)


def counts(inputs, steps=30, samples=3):
    return (np.random.default_rng(2).random((steps, samples, inputs)) < 0.5).astype(np.int64)


def data(inputs, **options):
    label = np.arange(options.get("samples", 3)) % 2
    return nd.data(counts(inputs, **options), layout="time,batch,channel", dt_s=DT_S, label=label)


# --- weights in fewer bits


SIGNS = {
    "mixed": (-1, 1),
    "positive": (0.1, 1),
    "zero or more": (0, 1),
    "negative": (-1, -0.1),
    "zero or less": (-1, 0),
}


@pytest.mark.parametrize("signs", SIGNS)
@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_weights_take_no_more_bits_than_allowed_and_none_is_cut(name, kind, signs):
    kind, rng, seen = CHIPS[name].connections[kind], np.random.default_rng(4), set()
    grid = kind.entry.grid
    widths = kind.parameters[grid.bits].interval
    for bits in range(widths.low + 1, widths.high + 1):
        for size in (1.0, 0.7, 0.06, 0.02):
            drawn = rng.uniform(*SIGNS[signs], (20, 6)) * (rng.random((20, 6)) < 0.8 if "zero" in signs else 1)
            drawn[0, :2] = [end or SIGNS[signs][1] for end in SIGNS[signs]]  # as large as they can be
            exact = drawn * reach(kind, drawn, bits) * size
            made, (_, _, step) = round_weights(kind, exact, bits=bits), grid_of(kind, exact, bits)
            assert made.parameters[grid.bits] <= bits
            assert made.clipped == 0 or bits == widths.high  # where a 0 takes a bit, the last step
            assert np.abs(made.worth - exact).max() <= step / 2
            stored = made.stored
            assert np.array_equal(stored * 2.0 ** made.parameters[grid.exponent], made.worth)
            cut = widths.high - made.parameters[grid.bits] + (made.parameters[grid.sign] == grid.mixed.code)
            assert np.array_equal(stored >> cut << cut, stored) or (stored <= 0).all()
            seen.add(made.parameters[grid.bits])
    assert len(seen) >= widths.high - widths.low - 1


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_one_bit_more_halves_the_distance_and_all_bits_are_what_there_was(name, kind):
    kind = CHIPS[name].connections[kind]
    exact = np.linspace(-1, 1, 41) * reach(kind, np.array([-1.0, 1.0]))
    widths = kind.parameters[kind.entry.grid.bits].interval
    steps = [grid_of(kind, exact * 0.7, bits)[2] for bits in range(widths.low + 1, widths.high + 1)]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > steps[1] > steps[-1] == grid_of(kind, exact * 0.7)[2]
    assert np.array_equal(round_weights(kind, exact, bits=widths.high).stored, round_weights(kind, exact).stored)


def test_a_layer_gets_the_bits_that_it_is_given_and_the_others_keep_theirs():
    given, x = model(5, 6, 3), counts(5)
    whole = nd.quantize(given, FAST, calibration=x)
    narrow = nd.quantize(given, FAST, calibration=x, weight_bits={"1": 4})
    bits = [[p.parameters["bits"] for p in q.network.projections] for q in (whole, narrow)]
    assert bits == [[8, 8], [4, 8]]
    assert narrow.layers[0].weight_error > 4 * whole.layers[0].weight_error
    assert {layer.explained for layer in (*whole.layers, *narrow.layers)} == {1.0}
    converted = nd.convert(given, FAST, calibration=x, weight_bits={"1": 4})
    assert [p.parameters["bits"] for p in converted.network.projections] == [4, 8]


@pytest.mark.parametrize("bits", [{"1": 8, "3": 8}, {}, None])
def test_all_bits_are_the_same_network_as_none_stated(bits, tmp_path):
    given = model(4, 4, 2)
    for name, asked in (("a", bits), ("b", None)):
        nd.save_network(nd.quantize(given, FAST, weight_bits=asked).network, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        ({"1": 9}, "layer '1': 9 bits; a whole number of bits in 1..8"),
        ({"1": 0}, "layer '1': 0 bits"),
        ({"1": 4.0}, "layer '1': 4.0 bits"),
        ({"1": True}, "layer '1': True bits"),
        ({"2": 4}, "layer '2': no layer of that name; a layer whose weights have a width to choose: 1, 3"),
        ({"1": 1}, "1 bits hold no weight but 0 of those from 'input'"),
    ],
)
def test_widths_that_cannot_be_had_are_refused(bits, words):
    with pytest.raises(Refusal) as caught:
        nd.quantize(model(4, 4, 2), FAST, weight_bits=bits)
    assert caught.value.code == "ND1705"
    assert words in str(caught.value)


def test_every_width_that_cannot_be_had_is_said_at_once_and_a_parity_has_its_own():
    with pytest.raises(Refusal) as caught:
        nd.quantize(model(4, 4, 2), FAST, weight_bits={"1": 9, "3": 0, "5": 4})
    assert len(caught.value.faults) == 3
    with pytest.raises(Refusal, match=r"parity = 'slayer' and weight_bits; either of both.*ND1705"):
        nd.quantize(model(4, 4, 2), FAST, parity="slayer", weight_bits={"1": 4})


# --- the search on a chip


def test_the_table_of_a_model_is_that_of_brute_force():
    """Each row is what quantizing and simulating by hand gives, and the marks are those of all sets."""
    given, x = model(5, 4), data(5)
    found = nd.search(given, FAST, x, nd.Budget(error=0.1))
    assert found.complete
    assert [row.widths for row in found.rows if row.refused] == [{"1": 1}]
    assert "1 bits hold no weight but 0" in found.rows[-1].refused
    (wanted,) = spikes_of(given, x.input)
    by_hand = {}
    for bits in range(2, 9):
        converted = nd.convert(given, FAST, calibration=x.input, dt_s=DT_S, weight_bits={"1": bits})
        run = nd.simulate(converted.network, x.input)
        apart = np.abs(run.output[run.latency :].sum(axis=0) - wanted.sum(axis=0)).sum() / wanted.sum()
        (used,) = [u.asked for u in converted.placement.usage if u.limit == "bits_dense"]
        (matrix,) = converted.network.projections
        by_hand[bits] = (matrix.parameters["bits"] * 20, used, apart, nd.evaluate(run, x.label).accuracy)
    measured = {r.widths["1"]: (r.bits, r.memory_bits, r.error, r.accuracy) for r in found.rows if not r.refused}
    assert measured == by_hand
    costs = {bits: own[:3] for bits, own in by_hand.items()}
    front = [
        b for b, own in costs.items() if not any(o != own and max(np.subtract(o, own)) <= 0 for o in costs.values())
    ]
    assert sorted(r.widths["1"] for r in found.front) == front
    least = min((own[1], own[0], own[2], b) for b, own in by_hand.items() if own[2] <= 0.1)[-1]
    assert found.chosen.widths == {"1": least}
    assert least < 8
    (floats,) = spikes_of(given, x.input)
    assert found.float_accuracy == nd.evaluate(floats.astype(int), x.label).accuracy


def test_the_chip_itself_takes_what_was_found_and_the_model_is_left_as_it_was():
    given, x, chip = model(4, 3), counts(4), CHIPS[FREE[-1]]
    before = copy.deepcopy(given.state_dict())
    found = nd.search(given, chip, x, nd.Budget(error=0.2, evaluations=4))
    converted = nd.convert(given, chip, calibration=x, weight_bits=found.chosen.widths)
    assert [p.parameters["bits"] for p in converted.network.projections] == [found.chosen.widths["1"]]
    assert [row.accuracy for row in found.rows] == [None] * len(found.rows)
    assert all(torch.equal(value, before[name]) for name, value in given.state_dict().items())


@pytest.mark.parametrize("name", [n for n, c in CHIPS.items() if n not in FREE and c.file.programmable is None])
def test_a_chip_with_nothing_to_choose_is_refused_whatever_the_model_is(name):
    with pytest.raises(Refusal, match=f"{name}: nothing to choose: its weights have one width;.*ND1705"):
        nd.search(model(4, 2), CHIPS[name], counts(4), nd.Budget(error=0.1))


def test_data_without_what_is_asked_of_them_are_refused():
    for x, words in (
        (counts(4), "ND2401"),
        (nd.data(counts(4), layout="time,batch,channel", dt_s=DT_S), "counts without labels; a label for each sample"),
    ):
        with pytest.raises(Refusal, match=words):
            nd.search(model(4, 2), FAST, x, nd.Budget(accuracy=0.9))
    for x, words in (
        (counts(5), "ND1704"),
        (counts(4) / 2, "ND1704"),
        (np.zeros((5, 2, 4), int), "no output of the float model fires"),
        (counts(4) * 2, "ND1302"),
    ):
        with pytest.raises(Refusal, match=words):
            nd.search(model(4, 2), FAST, x, nd.Budget(error=0.9))
    wrong = nd.data(counts(4), layout="time,batch,channel", dt_s=DT_S, label=[0, 1, 2])
    with pytest.raises(Refusal, match="ND1504"):
        nd.search(model(4, 2), FAST, wrong, nd.Budget(error=0.9))


def test_results_of_another_model_calibration_or_chip_are_refused(tmp_path):
    path, x, budget = tmp_path / "widths.json", data(4), nd.Budget(error=0.1, evaluations=1)
    nd.search(model(4, 2), FAST, x, budget, results=path)
    nd.search(model(4, 2), FAST, x, budget, results=path)
    relabelled = replace(x, label=1 - x.label)
    other = bare(FREE[-1])
    cases = [
        (model(4, 2, seed=2), FAST, x, "model"),
        (model(4, 2), FAST, data(4, steps=31), "calibration, model"),
        (model(4, 2), FAST, relabelled, "calibration"),
        (model(4, 2), other, x, "target"),
    ]
    for given, chip, calibration, parts in cases:
        with pytest.raises(Refusal, match=f"another search: another {parts};.*ND2402"):
            nd.search(given, chip, calibration, budget, results=path)
    with pytest.raises(Refusal, match="another options"):
        nd.search(model(4, 2), FAST, x, budget, dt_s=2e-3, results=path)


# --- the command


def test_the_command_writes_results_goes_on_from_them_and_says_what_to_do_next(tmp_path):
    nd.save_model(model(4, 2), tmp_path / "model.safetensors", dt_s=DT_S)
    nd.save_data(tmp_path / "train.npz", data(4))
    place = ("search", tmp_path / "model.safetensors", "--target", FREE[0], "--calibration", tmp_path / "train.npz")
    place += ("--evaluations", 3, "--out", tmp_path / "widths.json")
    first = run(*place, "--error", 0.9, "--json")
    assert first.status == 0
    assert first.json["target"] == FREE[0]
    assert first.json["spent"]
    held = json.loads((tmp_path / "widths.json").read_text())
    assert sorted(str(e["widths"]) for e in held["evaluations"]) == sorted(str(r["widths"]) for r in first.json["rows"])
    shown = run(*place, "--error", 0.9, "--progress")
    assert f"--target {FREE[0]} --bits 1={first.json['chosen']['widths']['1']} ..." in shown.out
    assert "evaluations" in shown.err
    assert run(*place, "--error", 0.9).err == ""
    assert run(*place, "--error", 0, "--accuracy", 1).status == 1
    answer = run(*place, "--json")
    assert (answer.status, answer.codes) == (2, ["ND2401"])


def test_convert_takes_the_widths_of_layers(tmp_path):
    nd.save_model(model(4, 2), tmp_path / "model.safetensors", dt_s=DT_S)
    nd.save_data(tmp_path / "data.npz", data(4))
    place = ("convert", tmp_path / "model.safetensors", "--target", FREE[0], "--data", tmp_path / "data.npz")
    assert run(*place, "--out", tmp_path / "a.nd", "--bits", "1=4", "--json").status == 0
    network = nd.load_network(tmp_path / "a.nd" / "network.npz")
    assert [p.parameters["bits"] for p in network.projections] == [4]
    for bits, words in (("1:4", "is not LAYER=BITS"), ("=4", "is not LAYER=BITS"), ("1=x", "is not LAYER=BITS")):
        answer = run(*place, "--out", tmp_path / "b.nd", "--bits", bits)
        assert answer.status == 2
        assert words in answer.err
    assert "has two widths" in run(*place, "--out", tmp_path / "b.nd", "--bits", "1=4", "--bits", "1=5").err
    assert "[ND1705]" in run(*place, "--out", tmp_path / "b.nd", "--bits", "1=9").err
