"""Models as NIR files: what comes back computes the same, what NIR cannot say is told or refused."""

import json

import h5py
import nir_plain
import numpy as np
import pytest
import torch
from nir_files import DT

from neurodeploy.errors import Refusal
from neurodeploy.layers import (
    ALIF,
    IAF,
    LIF,
    Delay,
    ExpIF,
    ExpLeak,
    Graph,
    Integrator,
    Leaky,
    PerStep,
    RLeaky,
    RSynaptic,
    Scale,
    SumPool2d,
    Synaptic,
)
from neurodeploy.models import reset_states
from neurodeploy.nir import read_nir, write_nir

N, STEPS = 6, 80


def linear(into=5, out=N, *, bias=True, scale=1.0):
    layer = torch.nn.Linear(into, out, bias=bias)
    layer.weight.data *= 2.5 * scale
    return layer


def after(*layers):
    return torch.nn.Sequential(linear(), *layers)


def loop():
    return linear(N, N, bias=False, scale=0.3)


ENDS = ("input", "a"), ("input", "b", -0.5)
SPREAD = torch.linspace(0.6, 1.4, N)
MODELS = {
    "LIF": lambda: after(LIF(N, 9.0, threshold=0.2)),
    "LIF of the plain kind": lambda: after(LIF(N, 9.0, threshold=0.2, max_spikes=1, reset="zero", comparison=">")),
    "LIF, not normalised": lambda: after(LIF(N, 9.0 * SPREAD, norm_input=False, threshold=SPREAD, v_min=-0.5)),
    "LIF with a current": lambda: after(LIF(N, 9.0, tau_syn=4.0, threshold=0.4, reset="value", reset_value=0.1)),
    "LIF with a bias": lambda: after(LIF(N, 9.0, bias=0.02 * SPREAD, threshold=0.2, reset="zero", max_spikes=2)),
    "LIF, recurrent": lambda: after(LIF(N, 9.0, threshold=0.2, rec_connect=loop())),
    "LIF, recurrent with a bias": lambda: after(LIF(N, 9.0, threshold=0.2, rec_connect=linear(N, N, scale=0.3))),
    "LIF, its own spikes": lambda: after(LIF(N, 9.0, threshold=0.2, rec_connect=torch.nn.Identity())),
    "IAF": lambda: after(IAF(N, threshold=SPREAD, v_min=-1.0)),
    "IAF with a current": lambda: after(IAF(N, tau_syn=3.0)),
    "ExpLeak": lambda: after(ExpLeak(N, 7.0)),
    "ExpLeak, normalised": lambda: after(LIF(N, 9.0, threshold=0.2), linear(N, N), ExpLeak(N, 7.0, norm_input=True)),
    "Leaky": lambda: after(Leaky(N, 0.8)),
    "Leaky, zero at once": lambda: after(Leaky(N, 0.8 * torch.ones(N), reset="zero", reset_delay=False)),
    "Leaky, double reset": lambda: after(Leaky(N, 0.8, reset_delay=False, compat="snntorch-double-reset")),
    "Leaky without leak": lambda: after(Leaky(N, 1.0)),
    "threshold": lambda: after(Leaky(N, 0.0, reset="none", threshold=SPREAD)),
    "Synaptic": lambda: after(Synaptic(N, 0.5, 0.8, reset="zero")),
    "RLeaky": lambda: after(RLeaky(N, 0.8, rec_connect=linear(N, N, scale=0.3))),
    "RLeaky, its own weight": lambda: after(RLeaky(N, 0.8, rec_weight=-0.5 * SPREAD)),
    "RSynaptic": lambda: after(RSynaptic(N, 0.5, 0.8, rec_connect=loop())),
    "delay": lambda: after(IAF(N), Delay(3), linear(N, N, bias=False), IAF(N, max_spikes=3)),
    "scale and sum": lambda: after(Scale(N, SPREAD), Scale(N, 2.0, SPREAD), Integrator()),
    "graph": lambda: torch.nn.Sequential(
        Graph(
            {"a": linear(), "b": linear(bias=False), "n": LIF(N, 9.0, threshold=0.2), "m": linear(N, N)},
            [*ENDS, ("a", "n"), ("b", "n"), ("n", "m"), ("n", "output"), ("m", "output", 2)],
        )
    ),
    "map": lambda: torch.nn.Sequential(
        torch.nn.Unflatten(2, (2, 6, 6)),
        PerStep(torch.nn.Conv2d(2, 4, 3, padding=1, groups=2, bias=False)),
        IAF((4, 6, 6), threshold=0.2),
        PerStep(SumPool2d(2)),
        PerStep(torch.nn.Sequential(torch.nn.Conv2d(4, 3, (2, 1), stride=(1, 2)), torch.nn.AvgPool2d(2, 1, 1))),
        torch.nn.Dropout(0.5),
        torch.nn.Flatten(2),
        linear(27, 4),
        LIF(4, 5.0, threshold=0.05),
    ),
}  # fmt: skip


def made(name):
    torch.manual_seed(3)
    return MODELS[name]().eval()


def run(model, width):
    x = torch.as_tensor(np.random.default_rng(1).poisson(0.8, (STEPS, 2, width)), dtype=torch.float32)
    reset_states(model)
    with torch.no_grad():
        return model(x).numpy()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_and_computes_the_same(tmp_path, name):
    model, path = made(name), tmp_path / "a.nir"
    report = write_nir(model, path, dt_s=DT)
    found = read_nir(path)
    width = 72 if name == "map" else 5
    ours, again = run(model, width), run(found.model, width)
    assert ours.any()
    assert ours.shape == again.shape
    assert np.abs(ours - again).max() <= 1e-4 * np.abs(ours).max()
    assert found.dt_s == DT
    assert set(report.contract) >= set(found.report.contract)
    assert set(found.report.origins.values()) == {"metadata"}


@pytest.mark.parametrize("name", ["LIF of the plain kind", "map", "Synaptic", "graph"])
def test_what_came_back_is_written_with_the_same_bytes(tmp_path, name):
    write_nir(made(name), tmp_path / "a.nir", dt_s=DT)
    write_nir(made(name), tmp_path / "b.nir", dt_s=DT)
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()


def test_a_plain_reading_of_the_file_computes_what_the_model_does(tmp_path):
    model = made("LIF of the plain kind")
    write_nir(model, tmp_path / "a.nir", dt_s=DT, plain=True)
    x = np.random.default_rng(1).poisson(0.8, (STEPS, 2, 5)).astype(float)
    contract = {"dt": DT, "integrator": "euler", "comparison": ">", "max_spikes": 1, "v_min": None, "reset": "value"}
    theirs = nir_plain.Run(nir_plain.read(tmp_path / "a.nir"), contract)(x[:, 0])
    assert theirs.any()
    assert np.array_equal(run(model, 5)[:, 0], theirs)
    with h5py.File(tmp_path / "a.nir") as file:
        assert "metadata" not in file["node"]


def test_what_only_our_metadata_says_is_named_and_refused_where_none_is_wanted(tmp_path):
    model = made("LIF, not normalised")
    report = write_nir(model, tmp_path / "a.nir", dt_s=DT)
    (neurons,) = [became for became in report.nodes if became.kind == "LIF"]
    assert neurons.loss == "in our metadata"
    assert neurons.note == "comparison = '>='; max_spikes = None; v_min = -0.5; reset by subtraction"
    assert not report.faithful
    with pytest.raises(Refusal) as caught:
        write_nir(model, tmp_path / "b.nir", dt_s=DT, plain=True)
    assert [fault.was for fault in caught.value.faults] == neurons.note.split("; ")
    assert not (tmp_path / "b.nir").exists()


def test_layers_of_different_contracts_keep_theirs(tmp_path):
    torch.manual_seed(0)
    model = after(
        LIF(N, 9.0, threshold=0.2), linear(N, N), Leaky(N, 0.8), linear(N, 4), IAF(4, v_min=-0.3, reset="zero")
    )
    write_nir(model, tmp_path / "a.nir", dt_s=DT)
    back = read_nir(tmp_path / "a.nir").model
    assert [type(layer) for layer in back][1::2] == [LIF, Leaky, IAF]
    assert np.array_equal(run(model, 5), run(back, 5))


REFUSED = {
    "ALIF": (lambda: after(ALIF(N, 9.0, 20.0)), "ND1603", "a ALIF"),
    "ExpIF": (lambda: after(ExpIF(N, 0.1)), "ND1603", "a ExpIF"),
    "v_min of a membrane": (lambda: after(ExpLeak(N, 7.0, v_min=0.0)), "ND1601", "v_min = 0.0"),
    "no reset": (lambda: after(Leaky(N, 0.5, reset="none")), "ND1601", "reset = 'none'"),
    "graded": (lambda: after(Leaky(N, 0.5, graded=0.5)), "ND1601", "graded spikes"),
    "reset amount": (lambda: after(LIF(N, 5.0, reset_amount=0.3)), "ND1601", "reset_amount = 0.3"),
    "bias": (lambda: after(IAF(N, bias=0.1)), "ND1601", "a bias of neurons without leak"),
    "batch": (lambda: after(torch.nn.Flatten(1)), "ND1603", "joins time or batch"),
    "Unflatten": (lambda: after(torch.nn.Unflatten(2, (2, 3))), "ND1603", "a Unflatten"),
    "shape": (lambda: torch.nn.Sequential(PerStep(torch.nn.Conv2d(1, 1, 3))), "ND1602", "whose shape no layer tells"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_node_says_is_refused_by_name(tmp_path, name):
    make, code, words = REFUSED[name]
    with pytest.raises(Refusal) as caught:
        write_nir(make(), tmp_path / "a.nir", dt_s=DT)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_all_refusals_come_at_once(tmp_path):
    with pytest.raises(Refusal) as caught:
        write_nir(after(ALIF(N, 9.0, 20.0), linear(N, N), Leaky(N, 0.5, graded=2.0)), tmp_path / "a.nir", dt_s=DT)
    assert [fault.where for fault in caught.value.faults] == ["layer '1'", "layer '3'"]


DAMAGED = {
    "no document": ("{", "ND1401"),
    "no table": (json.dumps({"schema_version": 1, "contract": 3}), "ND1401"),
    "version": (json.dumps({"schema_version": 2, "contract": {}}), "ND1404"),
    "field": (json.dumps({"schema_version": 1, "contract": {"speed": 1}}), "ND1601"),
    "value": (json.dumps({"schema_version": 1, "contract": {"reset": "maybe"}}), "ND1601"),
    "node": (json.dumps({"schema_version": 1, "contract": {}, "nodes": {"x": {}}}), "ND1401"),
    "nested": ("[" * 100_000, "ND1401"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_metadata_are_refused(tmp_path, name):
    write_nir(made("LIF"), tmp_path / "a.nir", dt_s=DT)
    read_nir(tmp_path / "a.nir")
    text, code = DAMAGED[name]
    with h5py.File(tmp_path / "a.nir", "r+") as file:
        del file["node/metadata/neurodeploy"]
        file["node/metadata/neurodeploy"] = text
    with pytest.raises(Refusal) as caught:
        read_nir(tmp_path / "a.nir")
    assert caught.value.code == code


def test_what_is_stated_counts_before_the_metadata_and_is_told(tmp_path):
    write_nir(made("LIF"), tmp_path / "a.nir", dt_s=DT)
    found = read_nir(tmp_path / "a.nir", comparison=">")
    assert found.contract.comparison == ">"
    assert "comparison: '>' is stated and counts, the file's metadata say '>='" in found.report.notes
