"""Model files: bytes, round trips, and what is refused on both ways."""

import json
import pickle
import struct

import pytest
import safetensors.torch
import torch

from neurodeploy import models
from neurodeploy.errors import Refusal
from neurodeploy.layers import IAF, LIF, Delay
from neurodeploy.models import detach_states, load_model, reset_states, save_model


def make_model():
    torch.manual_seed(5)
    return torch.nn.Sequential(
        torch.nn.Linear(6, 8, bias=False),
        LIF(8, tau_mem=torch.rand(8) * 9 + 2, tau_syn=4, norm_input=False, max_spikes=31, bias=0.01, train_tau=True),
        torch.nn.Sequential(Delay(2), torch.nn.Dropout(0.5), torch.nn.Identity()),
        torch.nn.Linear(8, 3),
        LIF(3, 5.0, threshold=0.5, comparison=">", rec_connect=torch.nn.Linear(3, 3)),
    )


def make_images():
    return torch.nn.Sequential(
        torch.nn.Flatten(0, 1),
        torch.nn.Conv2d(2, 3, 3, stride=(2, 1), padding=1, groups=1),
        torch.nn.AvgPool2d(2, ceil_mode=True),
        torch.nn.Flatten(),
    )


X = torch.rand(20, 2, 6, generator=torch.Generator().manual_seed(1)) * 6


def test_a_saved_model_returns_the_same_spikes(tmp_path):
    model = make_model().eval()
    expected = model(X)
    save_model(model, tmp_path / "m.safetensors", dt_s=0.001)
    loaded, info = load_model(tmp_path / "m.safetensors")
    assert torch.equal(loaded(X), expected)
    assert expected.sum() > 0
    assert info.dt_s == 0.001
    assert info.schema_version == 1
    assert [(layer["name"], layer["class"]) for layer in info.layers] == [
        ("0", "Linear"),
        ("1", "LIF"),
        ("2", "Sequential"),
        ("3", "Linear"),
        ("4", "LIF"),
    ]


def test_a_loaded_model_is_in_evaluation_mode_and_can_be_trained(tmp_path):
    save_model(make_model(), tmp_path / "m.safetensors", dt_s=0.001)
    loaded, _ = load_model(tmp_path / "m.safetensors")
    assert not loaded[2][1].training
    loaded(X).sum().backward()
    assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in make_model().parameters()]
    assert loaded[1].decay_mem.grad.abs().sum() > 0


def test_convolutions_and_float64_return(tmp_path):
    model = make_images().double()
    save_model(model, tmp_path / "m.safetensors", dt_s=1)
    loaded, _ = load_model(tmp_path / "m.safetensors")
    x = torch.rand(2, 3, 2, 9, 9, dtype=torch.float64)
    assert torch.equal(loaded(x), model(x))


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_model(make_model(), tmp_path / f"{name}.safetensors", dt_s=0.001)
    first, second = ((tmp_path / f"{name}.safetensors").read_bytes() for name in ("a", "b"))
    assert first == second
    loaded, info = load_model(tmp_path / "a.safetensors")
    save_model(loaded, tmp_path / "c.safetensors", dt_s=info.dt_s)
    assert (tmp_path / "c.safetensors").read_bytes() == first
    save_model(loaded, tmp_path / "c.safetensors", dt_s=0.002)
    assert (tmp_path / "c.safetensors").read_bytes() != first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors", "c.safetensors"]


def test_tied_and_transposed_weights_are_written_by_value(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight = torch.nn.Parameter(torch.rand(3, 3).T)
    save_model(model, tmp_path / "m.safetensors", dt_s=0.001)
    loaded, _ = load_model(tmp_path / "m.safetensors")
    assert torch.equal(loaded[0].weight, model[0].weight)
    assert torch.equal(loaded[1].weight, model[0].weight)


def test_running_a_model_does_not_change_its_file(tmp_path):
    model = make_model()
    save_model(model, tmp_path / "a.safetensors", dt_s=0.001)
    model(X)
    save_model(model, tmp_path / "b.safetensors", dt_s=0.001)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    save_model(make_model(), path, dt_s=0.001)
    before = path.read_bytes()

    def full(_self, _target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(models.Path, "replace", full)
    with pytest.raises(Refusal, match="No space left on device"):
        save_model(make_model(), path, dt_s=0.002)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.safetensors"]


def test_helpers_reach_every_layer_with_a_state():
    model = make_model().eval()
    first = model(X)
    second = model(X)
    reset_states(model)
    assert torch.equal(model(X), first)
    assert not torch.equal(first, second)
    detach_states(model)
    model(X).sum().backward()
    assert model[0].weight.grad is not None


# refusals on saving


def test_every_unknown_module_is_named(tmp_path):
    class Custom(torch.nn.Linear):
        pass

    shared = IAF(4)
    model = torch.nn.Sequential(
        torch.nn.ReLU(),
        torch.nn.Sequential(torch.nn.BatchNorm1d(3), shared),
        Custom(3, 3),
        shared,
        IAF(3, rec_connect=torch.nn.Tanh()),
    )
    with pytest.raises(Refusal) as caught:
        save_model(model, tmp_path / "m.safetensors", dt_s=0.001)
    text = str(caught.value)
    assert [fault.code for fault in caught.value.faults] == ["ND1603"] * 5
    for words in (
        "module 0: a torch.nn.modules.activation.ReLU; it must be one of ALIF, ",
        "module 1.0: a torch.nn.modules.batchnorm.BatchNorm1d",
        "Custom; it must be one of",
        "module 3: the same module stands in the model twice; each place needs a module of its own",
        "module 4.rec_connect: a torch.nn.modules.activation.Tanh",
    ):
        assert words in text
    assert list(tmp_path.iterdir()) == []


def test_a_parameter_that_is_not_finite_is_named_with_its_count(tmp_path):
    model = make_model()
    with torch.no_grad():
        model[0].weight[0, :2] = float("nan")
        model[4].threshold.fill_(float("inf"))
    with pytest.raises(Refusal) as caught:
        save_model(model, tmp_path / "m.safetensors", dt_s=0.001)
    assert [fault.code for fault in caught.value.faults] == ["ND1604"] * 2
    assert "parameter 0.weight: 2 of 48 values are NaN or infinite" in str(caught.value)
    assert "parameter 4.threshold: 1 of 1 values" in str(caught.value)


def test_a_threshold_below_zero_is_refused(tmp_path):
    model = make_model()
    model[4].threshold.fill_(-1)
    with pytest.raises(Refusal, match=r"layer 4 \(LIF\): threshold is -1; it must be finite and above 0") as caught:
        save_model(model, tmp_path / "m.safetensors", dt_s=0.001)
    assert caught.value.code == "ND1601"


@pytest.mark.parametrize("dt_s", [0, -1.0, float("nan"), float("inf"), "1", True, 10**400])
def test_a_wrong_duration_is_refused(tmp_path, dt_s):
    with pytest.raises(Refusal, match=r"dt_s is .*it must be a finite number of seconds above 0"):
        save_model(make_model(), tmp_path / "m.safetensors", dt_s=dt_s)


def test_only_sequential_and_only_safetensors_are_written(tmp_path):
    with pytest.raises(Refusal) as caught:
        save_model(IAF(3), tmp_path / "m.pt", dt_s=0.001)
    assert "model: a IAF; it must be a torch.nn.Sequential; put the layers into one" in str(caught.value)
    assert "suffix '.pt'; the name must end in .safetensors" in str(caught.value)


# refusals on loading


class Explosive:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was executed",))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".bin", ".safetensors"])
@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_content_is_refused_with_the_lines_that_convert(tmp_path, suffix, zipped):
    path = tmp_path / f"net{suffix}"
    if zipped:
        torch.save({"weight": Explosive()}, path)
    else:
        path.write_bytes(pickle.dumps(Explosive()))
    with pytest.raises(Refusal) as caught:
        load_model(path)
    assert caught.value.code == "ND1402"
    assert f'model.load_state_dict(torch.load("net{suffix}", weights_only=True))' in str(caught.value)
    assert 'save_model(model, "net.safetensors", dt_s=DT_S)' in str(caught.value)


def saved(tmp_path):
    path = tmp_path / "m.safetensors"
    save_model(make_model(), path, dt_s=0.001)
    return path, path.read_bytes()


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 9, 100, -1])
def test_truncated_files_are_refused(tmp_path, keep):
    path, content = saved(tmp_path)
    path.write_bytes(content[:keep])
    with pytest.raises(Refusal, match="truncated or of another format") as caught:
        load_model(path)
    assert caught.value.code == "ND1401"


@pytest.mark.parametrize("content", [b"hello, this is text", b"\x00" * 64, b'{"a": 1}', b"\xff" * 64])
def test_foreign_files_are_refused(tmp_path, content):
    (tmp_path / "m.safetensors").write_bytes(content)
    with pytest.raises(Refusal, match="a complete safetensors file") as caught:
        load_model(tmp_path / "m.safetensors")
    assert caught.value.code == "ND1401"


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path, words in ((tmp_path / "none.safetensors", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(Refusal, match=words) as caught:
            load_model(path)
        assert caught.value.code == "ND1401"


def test_safetensors_of_another_program_are_refused(tmp_path):
    safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "m.safetensors", metadata={"format": "pt"})
    with pytest.raises(Refusal, match="describes no layers; it must be a header with the key 'neurodeploy'"):
        load_model(tmp_path / "m.safetensors")


def rewrite(path, *, header=None, tensors=None):
    """Change what a model file says, with the library that wrote it."""
    with safetensors.safe_open(path, framework="pt") as opened:
        told = json.loads(opened.metadata()["neurodeploy"])
        held = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 - no mapping
    if header is not None:
        header(told)
    if tensors is not None:
        tensors(held)
    safetensors.torch.save_file(held, path, metadata={"neurodeploy": json.dumps(told)})


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda h: h.update(schema_version=2), "ND1404", "schema version 2; this version of neurodeploy reads 1"),
        (lambda h: h.update(schema_version=True), "ND1404", "schema version True"),
        (lambda h: h.pop("schema_version"), "ND1404", "schema version None"),
        (lambda h: h.pop("dt_s"), "ND1401", "a description of layers, schema_version"),
        (lambda h: h.update(dt_s=-1), "ND1401", "dt_s -1"),
        (lambda h: h.update(dt_s=float("nan")), "ND1401", "the constant NaN"),
        (lambda h: h["layers"][0].update({"class": "eval"}), "ND1603", r"m.safetensors, model\.0: class 'eval'"),
        (lambda h: h["layers"][0].pop("name"), "ND1401", "a layer without a name"),
        (lambda h: h["layers"][0].update(name="1"), "ND1401", "model: two layers named '1'"),
        (lambda h: h["layers"][0].update(name="forward"), "ND1401", "attribute 'forward' already exists"),
        (lambda h: h["layers"][0]["options"].update(in_features=7), "ND1401", r"its layer has .* of shape \(8, 7\)"),
        (lambda h: h["layers"][0]["options"].update(in_features=10**30), "ND1401", "options cannot be taken"),
        (lambda h: h["layers"][0]["options"].update(in_features=10**9), "ND1401", r"of shape \(8, 1000000000\)"),
        (lambda h: h["layers"][0]["options"].update(bias=True), "ND1401", "tensor 0.bias is missing"),
        (lambda h: h["layers"][0].update(dtype="float64"), "ND1401", "0.weight is torch.float32"),
        (lambda h: h["layers"][1]["options"].update(comparison="<"), "ND1601", "comparison is '<'"),
        (
            lambda h: h["layers"][1]["options"].pop("comparison"),
            "ND1401",
            "missing, unknown or of another meaning here: comparison",
        ),
        (lambda h: h["layers"].pop(), "ND1401", "tensor 4.rec_connect.bias belongs to no layer"),
        (lambda h: h.update(layers=[3]), "ND1401", "a layer without a name"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(tmp_path, change, code, words):
    path, _ = saved(tmp_path)
    rewrite(path, header=change)
    with pytest.raises(Refusal, match=words) as caught:
        load_model(path)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda t: t.pop("0.weight"), "ND1401", "tensor 0.weight is missing"),
        (lambda t: t.update(more=torch.ones(1)), "ND1401", "tensor more belongs to no layer"),
        (lambda t: t["3.bias"].fill_(float("nan")), "ND1604", "parameter 3.bias: 3 of 3 values are NaN or infinite"),
        (lambda t: t["4.tau_mem"].fill_(0.0), "ND1601", r"layer 4 \(LIF\): tau_mem is 0"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path, change, code, words):
    path, _ = saved(tmp_path)
    rewrite(path, tensors=change)
    with pytest.raises(Refusal, match=words) as caught:
        load_model(path)
    assert caught.value.code == code


@pytest.mark.parametrize("text", ["", "[", "[]", "3", "{}", "[" * 5000 + "]" * 5000, '{"schema_version": 1}'])
def test_headers_that_are_no_description_are_refused(tmp_path, text):
    path = tmp_path / "m.safetensors"
    safetensors.torch.save_file({"w": torch.ones(2)}, path, metadata={"neurodeploy": text})
    with pytest.raises(Refusal) as caught:
        load_model(path)
    assert caught.value.code in ("ND1401", "ND1404")


def test_layers_nested_without_end_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    opening = '[{"name": "0", "class": "Sequential", "dtype": null, "options": {"layers": '
    text = f'{{"schema_version": 1, "dt_s": 0.001, "layers": {opening * 240}[]{"}}]" * 240}}}'
    safetensors.torch.save_file({"w": torch.ones(2)}, path, metadata={"neurodeploy": text})
    with pytest.raises(Refusal, match="nested too deeply") as caught:
        load_model(path)
    assert caught.value.code == "ND1401"
    model = torch.nn.Sequential(torch.nn.Identity())
    for _ in range(10):
        model = torch.nn.Sequential(model)
    save_model(model, path, dt_s=0.001)
    assert load_model(path)[0](torch.ones(1)) == 1
    for _ in range(20):
        model = torch.nn.Sequential(model)
    with pytest.raises(Refusal, match="nested too deeply"):
        save_model(model, path, dt_s=0.001)


def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path):
    path, content = saved(tmp_path)
    (length,) = struct.unpack("<Q", content[:8])
    wanted = (length // 0x10000 + 1) * 0x10000 + 0x0280  # first bytes 80 02, as of a pickle; blanks may pad a header
    path.write_bytes(struct.pack("<Q", wanted) + content[8 : 8 + length].ljust(wanted) + content[8 + length :])
    assert path.read_bytes()[:2] == b"\x80\x02"
    load_model(path)
