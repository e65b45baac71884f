"""Files of torch's two exporters: read as the networks that were exported."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import neurodeploy as nd
from neurodeploy.errors import Refusal

HERE = Path(__file__).parent / "golden_onnx"
FILES = sorted(path.name for path in HERE.glob("*.onnx"))


def test_the_files_say_who_made_them():
    made = json.loads((HERE / "made.json").read_text())
    assert set(made) == {"made_by", "on"}
    assert {name.partition("-")[2] for name in FILES} == {"dynamo.onnx", "torchscript.onnx"}
    versions = {onnx.load(HERE / name).producer_version.partition("+")[0] for name in FILES}
    assert all(f"torch {version}" in made["made_by"] for version in versions)


@pytest.mark.parametrize("name", FILES)
def test_an_exported_network_computes_what_torch_computed_and_becomes_a_spiking_one(name, count):
    with np.load(HERE / "outputs.npz") as data:
        net = name.partition("-")[0]
        given, expected = torch.from_numpy(data[f"{net}.input"]), data[f"{net}.output"]
    module = nd.read_onnx(HERE / name)
    with torch.no_grad():
        found = module(given).numpy()
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert nd.convert_ann(module, given, steps=16)[1].layers
    count("values of torch's exporters compared", found.size)


def changed(tmp_path, op, change):
    """The file of the computed shape with one node changed."""
    made = onnx.load(HERE / "dense-torchscript.onnx")
    change(next(node for node in made.graph.node if node.op_type == op))
    path = tmp_path / "changed.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def test_the_computed_shape_is_in_the_file():
    used = {node.op_type for node in onnx.load(HERE / "dense-torchscript.onnx").graph.node}
    assert used >= {"Shape", "Gather", "Unsqueeze", "Concat", "Reshape"}


@pytest.mark.parametrize(
    ("op", "change", "words"),
    [
        ("Gather", lambda node: node.attribute[0].__setattr__("i", 1), "the operator Gather"),
        (
            "Shape",
            lambda node: node.attribute.add(name="start", type=onnx.AttributeProto.INT, i=1),
            "the operator Shape",
        ),
        ("Concat", lambda node: node.input.reverse(), "a Reshape of samples of shape (3, 2, 2) to [-1, None]"),
        ("Unsqueeze", lambda node: node.input.__setitem__(0, node.input[1]), "the operator Unsqueeze"),
    ],
)
def test_shapes_that_are_computed_in_another_way_are_refused(tmp_path, op, change, words):
    with pytest.raises(Refusal) as caught:
        nd.read_onnx(changed(tmp_path, op, change))
    assert words in str(caught.value)
