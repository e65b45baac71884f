"""The support matrix is found by asking the quantizer, for every variant, chip and role."""

import pytest
import torch
from command_line import counts, run

import neurodeploy as nd
from neurodeploy.chips import from_raw
from neurodeploy.errors import Refusal
from neurodeploy.layers import IAF, LIF
from neurodeploy.support import VARIANTS, support_matrix

CHIPS = ["xylo_audio2", "xylo_audio3", "xylo_imu"]
ROLES = ("hidden", "output")


@pytest.fixture(scope="module")
def matrix():
    return support_matrix(map(nd.chip, CHIPS))


def test_every_variant_stands_once_for_every_chip_and_role(matrix):
    expected = [(name, chip, role) for chip in CHIPS for name in [*VARIANTS, "IAF"] for role in ROLES]
    assert [(row.neuron, row.chip, row.role) for row in matrix] == expected


def test_the_command_prints_what_the_function_finds(matrix):
    answer = run("targets", "matrix", "--json")
    assert (answer.status, answer.err) == (0, "")
    assert [row for row in answer.json if row["chip"] in CHIPS] == [row.to_json() for row in matrix]
    plain = run("targets", "matrix")
    assert plain.status == 0
    assert all(name in plain.out for name in VARIANTS)


def layer(name, size):
    """The neuron of a row, built here anew."""
    if name == "IAF":
        return IAF(size, tau_syn=4.0)
    options = dict(VARIANTS[name])
    if options.pop("recurrent", False):
        options["rec_connect"] = torch.nn.Linear(size, size, bias=False)
    return LIF(size, **{"tau_mem": 8.0, "tau_syn": 4.0, "norm_input": False, **options})


def whole_model(name, role):
    torch.manual_seed(1)
    plain = LIF(3, tau_mem=8.0, tau_syn=4.0, norm_input=False)
    layers = [layer(name, 3), plain] if role == "hidden" else [plain, layer(name, 3)]
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 3, bias=False), layers[0], torch.nn.Linear(3, 3, bias=False), layers[1]
    )
    with torch.no_grad():
        model[0].weight.abs_()
        model[2].weight.abs_()
    return model


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", [*VARIANTS, "IAF"])
def test_a_row_says_what_a_real_conversion_says(matrix, name, role):
    chip = nd.chip("xylo_imu")
    (row,) = [r for r in matrix if (r.neuron, r.chip, r.role) == (name, chip.name, role)]
    if row.support == "exact":
        assert row.reason == ""
        converted = nd.convert(whole_model(name, role), chip, calibration=counts())
        assert nd.simulate(converted.network, counts()).counts["1"].sum() > 0
    else:
        assert row.support == "refused"
        with pytest.raises(Refusal) as caught:
            nd.convert(whole_model(name, role), chip, calibration=counts())
        assert {fault.code for fault in caught.value.faults} <= {"ND1701", "ND1702"}
        for fault in caught.value.faults:
            assert f"{fault.was}: {fault.must}" in row.reason


def test_both_answers_occur_in_both_roles(matrix):
    assert {(row.role, row.support) for row in matrix} == {(r, s) for r in ROLES for s in ("exact", "refused")}


def test_the_matrix_follows_the_data_of_a_chip():
    raw = nd.chip("xylo_imu").raw
    hidden = raw["neuron"]["hidden"]
    strict = {**hidden, "deploy": {**hidden["deploy"], "comparison": [">"]}}
    changed = from_raw({**raw, "neuron": {**raw["neuron"], "hidden": strict}})
    rows = {(row.neuron, row.role): row for row in support_matrix([changed])}
    assert rows["LIF, strict comparison", "hidden"].support == "exact"
    assert rows["LIF, strict comparison", "output"].support == "refused"
    assert rows["LIF with bias", "hidden"].reason == "comparison = '>=': hidden neurons have '>'"
