"""Float model to bundle in one call; what is known of its exactness; rails."""

import copy
import json

import numpy as np
import pytest
import torch
from command_line import CHIP, SAMPLES, counts, model

import neurodeploy as nd
from neurodeploy import conversion
from neurodeploy.bundles import load_bundle
from neurodeploy.chips import from_raw
from neurodeploy.conversion import Exactness, convert, exact_against, write_bundle
from neurodeploy.errors import Differs, DoesNotFit, Fault, Refusal
from neurodeploy.layers import LIF, EventLinear
from neurodeploy.simulator import Trace

CHIPS = ["xylo_audio2", "xylo_audio3", "xylo_imu"]


@pytest.fixture(scope="module", params=CHIPS)
def converted(request):
    return convert(model(), nd.chip(request.param), calibration=counts(), dt_s=2e-3)


def test_a_conversion_is_placed_and_reports_every_layer_and_limit(converted):
    shown = json.loads(json.dumps(converted.to_json(), allow_nan=False))
    assert converted.network.placed
    assert shown["target"] == converted.network.chip.name
    assert [layer["layer"] for layer in shown["layers"]] == ["1", "3"]
    assert {row["limit"] for row in shown["usage"]} == set(converted.network.chip.limits)
    assert shown["figures"]["cycles"]["value"] > 0
    assert converted.network.dt_s == 2e-3
    assert shown["warnings"] == []


def test_a_conversion_is_constrain_quantize_and_map():
    chip = nd.chip(CHIP)
    quantized = nd.quantize(nd.constrain(model(), chip), chip, calibration=counts(), dt_s=1e-3)
    expected = nd.simulate(nd.map(quantized.network).network, counts())
    found = nd.simulate(convert(model(), chip, calibration=counts(), dt_s=1e-3).network, counts())
    nd.compare(found, expected).require()
    assert found.output.sum() > 0


@pytest.mark.slow  # .ci/run has it
def test_spikes_of_the_calibration_decide_where_cores_stand_on_a_mesh():
    raw, given = copy.deepcopy(nd.chip("loihi1").raw), counts()
    raw["core"]["neurons"] = 8
    chip = from_raw(raw)
    options = {"reset": "zero", "comparison": ">", "max_spikes": 1, "norm_input": False}
    torch.manual_seed(0)
    made = torch.nn.Sequential(
        torch.nn.Linear(given.shape[2], 9, bias=False),
        LIF(9, tau_mem=8, tau_syn=3, threshold=0.1, **options),
        torch.nn.Linear(9, 3, bias=False),
        LIF(3, tau_mem=8, tau_syn=3, **options),
    )
    seen = np.minimum(given, 1)
    converted, blind = (convert(made, chip, calibration=c) for c in (seen, None))
    known, unknown = converted.placement.hops, blind.placement.hops
    assert (known.spikes, unknown.spikes) == ("counted", "one for each neuron")
    spikes = nd.simulate(converted.network, seen, drain=0).counts["1"].sum(axis=(0, 1))
    assert known.messages == spikes[:8].sum() > 0  # the output stands on the second core
    assert unknown.messages == 8


def with_events():
    """The model with an EventLinear for every Linear, weights shared."""

    def replaced(old):
        new = EventLinear(old.in_features, old.out_features, bias=old.bias is not None)
        new.load_state_dict(old.state_dict())
        return new

    given = model()
    for place, layer in enumerate(given):
        if type(layer) is torch.nn.Linear:
            given[place] = replaced(layer)
        elif type(getattr(layer, "rec_connect", None)) is torch.nn.Linear:
            layer.rec_connect = replaced(layer.rec_connect)
    assert {type(module) for module in given.modules()} >= {EventLinear}
    assert torch.nn.Linear not in {type(module) for module in given.modules()}
    return given


def test_event_linear_is_checked_quantized_and_converted_as_linear():
    chip = nd.chip(CHIP)
    assert nd.check(with_events(), chip).fits
    assert nd.check(with_events(), chip).usage == nd.check(model(), chip).usage
    found = nd.quantize(nd.constrain(with_events(), chip), chip, dt_s=1e-3).network
    expected = nd.quantize(nd.constrain(model(), chip), chip, dt_s=1e-3).network
    nd.compare(nd.simulate(nd.map(found).network, counts()), nd.simulate(nd.map(expected).network, counts())).require()
    assert nd.simulate(nd.map(found).network, counts()).output.sum() > 0
    assert [layer["layer"] for layer in convert(with_events(), chip, calibration=counts()).to_json()["layers"]] == [
        "1",
        "3",
    ]


def test_a_subclass_of_event_linear_is_refused():
    class Scaled(EventLinear):
        def forward(self, x):
            return 2 * super().forward(x)

    given = with_events()
    given[0] = Scaled(given[0].in_features, given[0].out_features, bias=False)
    with pytest.raises(Refusal, match=r"layer '0' \(Scaled\): a module that no synapse or neuron of the chip computes"):
        nd.quantize(given, nd.chip(CHIP))


def test_conversion_never_changes_its_arguments():
    chip, given, array = nd.chip(CHIP), model(), counts()
    given.train()
    given(torch.as_tensor(array.astype(np.float32)))
    weights = copy.deepcopy(given.state_dict())
    states = [{n: v.clone() for n, v in module._state.items()} for module in (given[1], given[3])]
    raw, before = copy.deepcopy(chip.raw), array.copy()
    convert(given, chip, calibration=array)
    assert all(torch.equal(value, weights[name]) for name, value in given.state_dict().items())
    assert given.state_dict().keys() == weights.keys()
    assert all(module.training for module in given.modules())
    for module, kept in zip((given[1], given[3]), states, strict=True):
        assert all(torch.equal(module._state[name], value) for name, value in kept.items())
        assert kept
    assert np.array_equal(array, before)
    assert chip.raw == raw


def test_a_model_that_does_not_fit_is_refused_with_every_reason():
    with pytest.raises(DoesNotFit) as caught:
        convert(model(hidden=129, classes=17), nd.chip(CHIP))
    for reason in ("17 output neurons; at most 16", "129 hidden neurons with input weights; at most 128"):
        assert reason in str(caught.value)


def test_the_bundle_holds_network_configuration_report_and_few_states(converted, tmp_path):
    write_bundle(converted, counts(), tmp_path / "b.nd")
    read = load_bundle(tmp_path / "b.nd")
    assert read.report == json.loads(json.dumps(converted.to_json()))
    assert read.samples == (0, 1, 2, 3)
    assert read.golden.counts["3"].shape[1] == SAMPLES
    assert "samna" in read.configurations
    assert nd.verify(tmp_path / "b.nd").exact


def test_a_bundle_of_fewer_samples_keeps_the_states_of_all(tmp_path):
    write_bundle(convert(model(), nd.chip(CHIP)), counts()[:, :2], tmp_path / "b.nd")
    assert load_bundle(tmp_path / "b.nd").samples == (0, 1)


def test_a_chip_without_an_emitter_gives_a_bundle_without_a_configuration(tmp_path):
    raw = {k: v for k, v in nd.chip(CHIP).raw.items() if k != "emit"}
    write_bundle(convert(model(), from_raw(raw)), counts(), tmp_path / "b.nd")
    assert load_bundle(tmp_path / "b.nd").configurations == {}
    assert nd.verify(tmp_path / "b.nd").exact


# exact against


class Oracle:
    """Somebody else's simulator that gives our own answer, or one spike more."""

    name, extra, grade = "stranger", "oracles", "rtl"

    def __init__(self, *, installed=True, wrong=False, lacks=()):
        self.installed, self.wrong, self.lacks = installed, wrong, lacks

    def available(self):
        return "2.1" if self.installed else None

    def faults(self, _network):
        return list(self.lacks)

    def samples(self, _chip):
        return None

    def run(self, network, given):
        found = dict(nd.simulate(network, given, drain=0).counts)
        if self.wrong:
            found["3"] = found["3"].copy()
            found["3"][5, 1, 0] += 1
        return Trace("stranger 2.1", found, {}, self.grade)


@pytest.fixture
def made(tmp_path):
    write_bundle(convert(model(), nd.chip(CHIP)), counts(), tmp_path / "b.nd")
    return tmp_path / "b.nd"


def only(monkeypatch, **options):
    """Let there be this oracle and no other."""
    monkeypatch.setattr("neurodeploy.oracles.ORACLES", {"stranger": Oracle(**options)})
    monkeypatch.setattr(conversion, "oracles_of", lambda _: (Oracle(**options),))


def test_golden_vectors_and_live_oracles_are_told_apart(made, monkeypatch):
    only(monkeypatch)
    golden, live = exact_against(made, nd.chip(CHIP)).rows
    assert (golden["oracle"], golden["version"], golden["kind"]) == ("xylosim", "0.1.3", "golden")
    values = nd.simulate(nd.load_network(made / "network.npz"), counts()).counts
    compared = sum(v.size for v in values.values())
    expected = {"oracle": "stranger", "version": "2.1", "kind": "live", "values_compared": compared, "grade": "rtl"}
    assert live == expected


def test_an_oracle_that_is_not_installed_is_not_claimed(made, monkeypatch):
    only(monkeypatch, installed=False)
    assert [row["kind"] for row in exact_against(made, nd.chip(CHIP)).rows] == ["golden"]


def test_an_oracle_that_differs_is_not_left_out_but_raised(made, monkeypatch):
    only(monkeypatch, wrong=True)
    with pytest.raises(Differs, match=r"neuron 0 .hardware id 0., sample 1, step 5") as caught:
        exact_against(made, nd.chip(CHIP))
    assert caught.value.code == "ND2002"


def test_an_oracle_that_cannot_run_the_network_is_named_with_its_reasons(made, monkeypatch):
    lacks = Fault("ND2003", "oracle stranger, group '3'", "neuron kind 'output'", "neurons that stranger has: hidden")
    only(monkeypatch, lacks=[lacks])
    found = exact_against(made, nd.chip(CHIP))
    assert [row["kind"] for row in found.rows] == ["golden"]
    assert found.unable == (lacks,)


def test_a_broken_table_of_an_oracle_is_no_excuse(made, monkeypatch):
    only(monkeypatch, lacks=[Fault("ND1102", "oracle stranger", "no dialect", "a dialect of the chip")])
    with pytest.raises(Refusal, match="oracle stranger: no dialect"):
        exact_against(made, nd.chip(CHIP))


def test_where_there_is_nothing_to_compare_with_nothing_is_claimed(made):
    raw = {k: v for k, v in nd.chip(CHIP).raw.items() if k != "oracle"}
    assert exact_against(made, from_raw(raw)) == Exactness((), ())


@pytest.mark.parametrize("installed", [True, False])
def test_a_damaged_bundle_is_refused_with_and_without_an_oracle(made, monkeypatch, installed):
    only(monkeypatch, installed=installed)
    (made / "golden.npz").write_bytes(b"")
    with pytest.raises(Refusal) as caught:
        exact_against(made, nd.chip(CHIP))
    assert caught.value.code == "ND1403"
