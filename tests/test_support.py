"""The support matrix: every registered neuron and option, asked of the quantizer; the README shows what it finds."""

import copy
import itertools
import re
from functools import cache

import numpy as np
import pytest
import torch
from command_line import ROOT, run
from test_float_integer import quantized_run

import neurodeploy as nd
from neurodeploy.chips import from_raw, target_folders
from neurodeploy.errors import Refusal
from neurodeploy.layers import LIF, Neuron
from neurodeploy.layers.parameters import Choice, Compat
from neurodeploy.layers.registry import LAYERS
from neurodeploy.quantizer import constrain
from neurodeploy.quantizer.explain import arriving, bracket
from neurodeploy.quantizer.pieces import neuron_layers
from neurodeploy.support import BEGIN, END, ROLES, Variant, markdown, neuron_classes, support_matrix, variants
from neurodeploy.support.matrix import _arithmetic, as_the_chip, sample_counts, sample_model
from neurodeploy.support.matrix import tested as layer_of

torch.set_num_threads(1)
CHIPS = sorted(name for name in target_folders() if nd.chip(name).file.programmable is None)
#: Chips whose rounding ``bracket`` explains: reset by subtraction, in steps.
EXPLAINED = [name for name in CHIPS if "xylosim" in nd.chip(name).oracles]
OURS = [
    name for name, kind in LAYERS.items() if issubclass(kind, Neuron) and kind.__module__.startswith("neurodeploy.")
]


#: One chip. The second stage of .ci/run asks about all of them, as the README shows.
SOME = ("xylo_imu",)


@cache
def matrix_of(names):
    """Without the integer networks: what the README shows."""
    return support_matrix(map(nd.chip, names), integer=False)


@pytest.fixture(
    params=[SOME, pytest.param(tuple(CHIPS), marks=pytest.mark.slow)],
    ids=lambda names: str(len(names)),
)
def matrix(request):
    return matrix_of(request.param)


def chips_of(matrix):
    return list(dict.fromkeys(row.chip for row in matrix))


# the rows


@pytest.mark.parametrize("name", OURS)
def test_every_registered_neuron_has_rows(matrix, name):
    assert {(row.chip, row.role) for row in matrix if row.neuron == name} == set(
        itertools.product(chips_of(matrix), ROLES)
    )


def test_every_row_stands_once_for_every_chip_and_role(matrix):
    expected = [(c, v.neuron, v.name, role) for c in chips_of(matrix) for v in variants() for role in ROLES]
    assert [(row.chip, row.neuron, row.variant, row.role) for row in matrix] == expected
    assert len(set(expected)) == len(expected)


@pytest.mark.parametrize("name", OURS)
def test_every_word_and_every_mode_of_an_option_has_a_row(name):
    shown = {variant.name for variant in variants() if variant.neuron == name}
    for option, kind in LAYERS[name].arguments.items():
        words = kind.flags if isinstance(kind, Choice) else kind.modes if isinstance(kind, Compat) else ()
        assert {f"{option} = {word}" for word in words} <= shown


def test_a_new_neuron_gets_rows_and_is_refused_until_somebody_translates_it(monkeypatch):
    class Stranger(LIF):
        pass

    monkeypatch.setitem(LAYERS, "Stranger", Stranger)
    assert "Stranger" not in neuron_classes()  # a class of the user's own is none of the product
    Stranger.__module__ = "neurodeploy.layers.stranger"
    (row,) = [v for v in variants() if v.title == "Stranger, defaults"]
    for found in support_matrix([nd.chip(CHIPS[0])], [row]):
        assert (found.support, found.reasons) == (
            "refused",
            ("nothing is known about how its text could be written as LIF or IAF",),
        )


# the cells


def test_all_three_answers_occur_and_each_says_what_it_must(matrix):
    assert {row.support for row in matrix} == {"exact", "approximated", "refused"}
    for row in matrix:
        assert bool(row.reasons) == (row.support == "refused")
        assert bool(row.errors) == (row.support == "approximated")
        assert any(not step.exact for step in row.substitutions) == (row.support == "approximated")


def test_what_is_measured_fires(matrix):
    measured = [row for row in matrix if row.error is not None]
    assert len(measured) > 20
    for row in measured:
        assert 0.02 < row.error.rate_given < 1, row
        assert row.error.rate_found > 0.02, row
        assert 0 <= row.error.time_error <= 1


@pytest.mark.parametrize("role", ROLES)
def test_the_input_is_loud_enough_for_a_cap_of_one_to_count(role):
    from neurodeploy.approximation.measure import spikes_of

    for name in EXPLAINED:
        chip = nd.chip(name)
        free = [v for v in variants() if v.neuron in ("LIF", "IAF") and v.name == "max_spikes = None"]
        found = [spikes_of(sample_model(v, chip, role), sample_counts(chip))[ROLES.index(role)].max() for v in free]
        assert max(found) > 1


def test_every_refusal_is_that_of_a_real_approximation(matrix):
    rows = {(v.neuron, v.name): v for v in variants()}
    told = {(row.neuron, row.reasons): row for row in matrix if row.support == "refused"}
    for row in told.values():
        chip = nd.chip(row.chip)
        with pytest.raises(Refusal) as caught:
            nd.approximate(sample_model(rows[row.neuron, row.variant], chip, row.role), chip)
        assert all(part in str(caught.value) for reason in row.reasons for part in reason.split(": ", 1))


def test_exact_neurons_of_every_chip_fire_in_its_integers_as_often_as_in_floats(matrix):
    """One row of each chip and role: counts of the integer network lie near those of the float neurons."""
    found = {(row.chip, row.role): row for row in matrix if row.support == "exact"}
    assert {chip for chip, _ in found} == set(chips_of(matrix))
    for row in found.values():
        chip = nd.chip(row.chip)
        variant = next(v for v in variants() if (v.neuron, v.name) == (row.neuron, row.variant))
        result = nd.approximate(sample_model(variant, chip, row.role), chip, calibration=sample_counts(chip))
        (error,) = [
            e for loss in result.losses for e in loss.errors if (e.layer, e.of) == (layer_of(row.role), "integer")
        ]
        assert error.rate_found > 0
        assert error.count_error < 0.25, (row, error)


def test_the_matrix_follows_the_data_of_a_chip():
    raw = nd.chip("xylo_imu").raw
    hidden = raw["neuron"]["hidden"]
    other = {**hidden["deploy"], "reset": ["zero"], "comparison": [">"], "max_spikes": 1}
    changed = from_raw({**raw, "neuron": {**raw["neuron"], "hidden": {**hidden, "deploy": other}}})
    asked = [v for v in variants() if v.title in {"LIF, comparison = >", "LIF, reset = zero", "LIF, reset = subtract"}]
    rows = {(row.variant, row.role): row for row in support_matrix([changed], asked, integer=False)}
    assert rows["comparison = >", "hidden"].support == rows["reset = zero", "hidden"].support == "exact"
    assert rows["comparison = >", "output"].support == "approximated"
    assert [s.sentence for s in rows["reset = subtract", "hidden"].substitutions] == [
        "a reset by subtraction becomes a reset to zero"
    ]


# exact means exact


def inside(neuron, lowered, done, run, index):
    """Whether the running counts of the integer neurons, and of a float layer, stay within what rounding explains."""
    stage, quantized = lowered.stages[index], done[index]
    low, high = bracket(stage, quantized, run)
    layer = copy.deepcopy(neuron).double()
    layer.rec_connect = None  # what came back stands in the events that arrived
    layer.reset_states()
    drive = sum(arriving(edge, run) @ edge.weight for edge in stage.edges)
    with torch.no_grad():
        real = np.cumsum(layer(torch.as_tensor(drive)).numpy(), axis=0)
    whole = np.cumsum(run.counts[stage.name], axis=0)
    return bool(np.all((low <= whole) & (whole <= high))), bool(np.all((low - 1e-9 <= real) & (real <= high + 1e-9)))


def exact_cases():
    """Exact rows, one of each kind: chips that compute alike and rows with equal options count once."""
    seen = {}
    for name in EXPLAINED:
        chip = nd.chip(name)
        for row in variants():
            for role in ROLES:
                seen.setdefault((_arithmetic(chip), row.title, role), (name, row, role))
    return list(seen.values())


def exact_run(chip, row, role):
    chip = nd.chip(chip)
    model = sample_model(row, chip, role)
    counts = np.minimum(sample_counts(chip), 3)
    lowered, done, run, watch = quantized_run(constrain(nd.approximate(model, chip).model, chip), chip, counts)
    assert watch.hits_of(run.network, lowered.stages[ROLES.index(role)].name) == 0
    assert run.counts[lowered.stages[ROLES.index(role)].name].sum() > 0
    return model, lowered, done, run


@pytest.mark.slow  # .ci/run has it
def test_every_exact_row_computes_what_rounding_explains_in_float_and_in_integers(matrix):
    exact = {(row.chip, row.neuron, row.variant, row.role) for row in matrix if row.support == "exact"}
    cases = [case for case in exact_cases() if (case[0], case[1].neuron, case[1].name, case[2]) in exact]
    assert len(cases) > (10 if "xylo_audio3" in chips_of(matrix) else 3)
    for chip, row, role in cases:
        model, lowered, done, run = exact_run(chip, row, role)
        given = neuron_layers(model)[ROLES.index(role)][1]
        if bracket(lowered.stages[ROLES.index(role)], done[ROLES.index(role)], run) is not None:
            assert inside(given, lowered, done, run, ROLES.index(role)) == (True, True), (chip, row.title, role)


def test_a_float_neuron_of_another_rule_lies_outside_so_that_exact_says_something():
    row = next(v for v in variants() if v.title == "LIF, tau_syn = given")
    model, lowered, done, run = exact_run("xylo_imu", row, "hidden")
    options = dict(as_the_chip(row, nd.chip("xylo_imu"), nd.chip("xylo_imu").neurons["hidden"]))
    for other in ({"reset_amount": 0.75}, {"reset": "zero"}, {"max_spikes": 1, "reset_amount": 2.0}):
        wrong = LIF(neuron_layers(model)[0][1].shape, **options | other)
        assert inside(wrong, lowered, done, run, 0) == (True, False)


# what is shown


@pytest.mark.slow  # a quarter of a minute; .ci/run has it
def test_the_readme_shows_the_matrix():
    readme = (ROOT / "README.md").read_text()
    shown = readme.partition(BEGIN)[2].partition(END)[0].strip()
    assert shown == markdown(matrix_of(tuple(CHIPS))), "regenerate it: neurodeploy targets matrix --markdown"


def test_the_table_tells_chips_and_rows_apart_only_where_they_differ(matrix):
    lines = markdown(matrix).splitlines()
    assert len({line.split("|", 2)[2] for line in lines if line.startswith("| GIF")}) == 1
    for row in matrix:
        assert any(f"`{row.variant}`" in line or "every option" in line for line in lines if f"| {row.neuron}:" in line)
    numbers = {int(n) for line in lines for cell in re.findall(r"\[([\d, ]+)\]", line) for n in cell.split(",")}
    assert numbers == {int(line.split(".")[0]) for line in lines if re.match(r"\d+\. ", line)}


def test_the_command_prints_what_the_function_finds(monkeypatch):
    few = [v for v in variants() if v.title in {"LIF, tau_syn = given", "LIF, reset = zero", "GIF, defaults"}]
    monkeypatch.setattr("neurodeploy.cli.targets._chips", lambda: [nd.chip("xylo_imu")])
    monkeypatch.setattr("neurodeploy.support.matrix.variants", lambda: few)
    rows = support_matrix([nd.chip("xylo_imu")])
    answer = run("targets", "matrix", "--json")
    assert (answer.status, answer.err) == (0, "")
    assert answer.json == [nd_json(row.to_json()) for row in rows]
    assert {error["of"] for row in answer.json for error in row["errors"]} == {"substitute", "integer"}
    assert run("targets", "matrix", "--markdown").out.strip() == markdown(rows)
    plain = run("targets", "matrix").out
    assert all(word in plain for word in ("reset = zero", "approximated", "exact", "refused"))


def nd_json(value):
    """As it comes back from JSON."""
    if isinstance(value, dict):
        return {key: nd_json(part) for key, part in value.items()}
    return [nd_json(part) for part in value] if isinstance(value, list | tuple) else value


def test_a_row_that_is_given_alone_is_that_of_the_whole_matrix(matrix):
    row = Variant("LIF", "reset = zero", next(v.fixed for v in variants() if v.title == "LIF, reset = zero"))
    found = support_matrix([nd.chip("xylo_imu")], [row], integer=False)
    assert found == [r for r in matrix if (r.chip, r.neuron, r.variant) == ("xylo_imu", "LIF", "reset = zero")]
