"""Float networks from ONNX files: onnxruntime's numbers, everything else refused by name, bad files with bounds."""

import resource
import time
import tracemalloc
from itertools import pairwise

import numpy as np
import onnx
import pytest
import torch
from command_line import run as command
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx_files import array, expected, model, network, node, save

import neurodeploy as nd
from neurodeploy.ann.onnx import OnnxModule, file, read_onnx
from neurodeploy.ann.onnx.layers import MAKERS
from neurodeploy.errors import Refusal

RNG = np.random.default_rng
SECONDS, KIB = 10, 2 << 20  # what no file may take


def read(made, folder):
    return read_onnx(save(made, folder / "net.onnx"))


def refused(made, folder):
    """Faults of a model that is refused."""
    path = folder / "net.onnx"
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    with pytest.raises(Refusal) as caught:
        read_onnx(path)
    return caught.value.faults


def close(made, folder, shape=(2, 8, 8)):
    """Whether the module computes what onnxruntime does."""
    x = RNG(1).normal(0, 1, (3, *shape)).astype(np.float32)
    with torch.no_grad():
        got = read(made, folder)(torch.from_numpy(x)).numpy()
    return np.allclose(got, expected(made, x), rtol=1e-4, atol=1e-5)


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reshape", [False, True], ids=["Flatten", "Reshape"])
def test_a_network_of_all_operators_computes_what_onnxruntime_does(tmp_path, reshape):
    made = network(RNG(0), reshape=reshape)
    assert {n.op_type for n in made.graph.node} | {"Flatten", "Reshape"} == set(MAKERS)
    assert close(made, tmp_path)


def test_convert_ann_takes_the_module_and_the_rates_approach_the_network(tmp_path):
    module = read(network(RNG(0)), tmp_path)
    x = torch.from_numpy(RNG(2).random((8, *module.input_shape), np.float32))
    spiking, report = nd.convert_ann(module, x, steps=64)
    assert [layer.layer for layer in report.layers] == ["layers_r1", "layers_r2", "layers_r3"]
    assert report.output_error < 0.1
    assert isinstance(spiking, torch.nn.Sequential)


CONV = {"w": array(RNG(3), 4, 2, 3, 3), "b": array(RNG(4), 4), "c": array(RNG(5), 1, 4, 1, 1), "s": array(RNG(6))}


@pytest.mark.parametrize(
    ("inputs", "attributes"),
    [
        (["x", "w"], {}),
        (["x", "w", "b"], {"strides": [2, 1], "pads": [1, 2, 1, 2]}),
        (["x", "w"], {"dilations": [2, 1]}),
        (["x", "w"], {"auto_pad": "SAME_LOWER"}),
        (["x", "w"], {"auto_pad": "VALID", "strides": [3, 3]}),
    ],
)
def test_forms_of_a_convolution(tmp_path, inputs, attributes):
    assert close(model([node("Conv", inputs, "y", **attributes)], CONV), tmp_path)


@pytest.mark.parametrize("constant", ["c", "s"])
@pytest.mark.parametrize("inputs", [["x", "w"], ["x", "w", "b"]])
def test_a_constant_is_added_to_the_bias_and_others_still_read_the_layer_without_it(tmp_path, inputs, constant):
    nodes = [node("Conv", inputs, "h"), node("Add", ["h", constant], "k"), node("Add", ["h", "k"], "y")]
    assert close(model(nodes, CONV), tmp_path)
    alone = read(model(nodes[:2], CONV, output="k"), tmp_path)
    assert list(alone.layers) == ["k"]


@pytest.mark.parametrize("attributes", [{}, {"count_include_pad": 1}, {"strides": [2, 3]}])
def test_forms_of_pooling(tmp_path, attributes):
    made = model([node("AveragePool", ["x"], "y", kernel_shape=[3, 2], pads=[1, 1, 1, 1], **attributes)], {})
    assert close(made, tmp_path)


@pytest.mark.parametrize("transposed", [0, 1])
def test_forms_of_a_dense_layer(tmp_path, transposed):
    w = array(RNG(0), *((5, 7) if transposed else (7, 5)))
    for c in (array(RNG(1), 5), array(RNG(1)), array(RNG(1), 1, 5), None):
        inputs = ["x", "w"] + (["c"] if c is not None else [])
        gemm = node("Gemm", inputs, "y", transB=transposed, alpha=-1.5, beta=0.25)
        made = model([gemm], {"w": w} | ({} if c is None else {"c": c}), shape=(3, 7))
        assert close(made, tmp_path, (7,))


def test_double_precision_norms_of_features_and_constants_in_nodes_are_read(tmp_path):
    one = np.abs(RNG(0).normal(1, 0.2, 3))
    nodes = [
        helper.make_node("Constant", [], ["v"], value=numpy_helper.from_array(one)),
        node("BatchNormalization", ["x", "v", "v", "v", "v"], "y"),
    ]
    made = model(nodes, {}, shape=("n", 3), kind=TensorProto.DOUBLE)
    x = RNG(1).normal(0, 1, (4, 3))
    module = read(made, tmp_path)
    assert isinstance(module.layers["y"], torch.nn.BatchNorm1d)
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach().numpy(), expected(made, x))


@pytest.mark.parametrize("target", [[0, -1], [-1, 128], [0, 128], [0, 2, 8, 8]])
def test_reshapes_that_keep_samples_apart_are_read(tmp_path, target):
    assert close(model([node("Reshape", ["x", "to"], "y")], {"to": np.array(target)}), tmp_path)


def test_a_fixed_batch_may_stand_in_a_reshape_only_where_it_is_the_inputs(tmp_path):
    fixed = model([node("Reshape", ["x", "to"], "y")], {"to": np.array([3, 128])}, shape=(3, 2, 8, 8))
    assert close(fixed, tmp_path)
    open_ = model([node("Reshape", ["x", "to"], "y")], {"to": np.array([3, 128])})
    (fault,) = refused(open_, tmp_path)
    assert "a Reshape of samples of shape (2, 8, 8) to [3, 128]" in str(fault)


def test_numbers_that_stand_in_typed_fields_are_read_like_raw_ones(tmp_path):
    made = model([node("Conv", ["x", "w"], "y")], {})
    w = CONV["w"]
    made.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, w.shape, w.reshape(-1).tolist()))
    assert made.graph.initializer[0].float_data
    assert close(made, tmp_path)


def test_nodes_that_nothing_reads_are_left_aside(tmp_path):
    made = model([node("Softmax", ["x"], "aside"), node("Relu", ["x"], "y")], {})
    assert [type(m) for m in read(made, tmp_path).layers.values()] == [torch.nn.ReLU]


def test_reading_draws_no_random_numbers(tmp_path):
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    read(network(RNG(0)), tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())


# --- what is refused --------------------------------------------------------------------------------------------------


def test_every_operator_that_is_not_taken_is_named_at_once(tmp_path):
    nodes = [
        node("MaxPool", ["x"], "a", kernel_shape=[2, 2]),
        node("Sigmoid", ["a"], "b"),
        helper.make_node("Special", ["b"], ["c"], domain="com.somebody"),
        node("Shape", ["c"], "d"),
        node("Reshape", ["c", "d"], "y"),
    ]
    faults = refused(model(nodes, {}), tmp_path)
    assert [f.was for f in faults] == [
        "the operator MaxPool",
        "the operator Sigmoid",
        "the operator com.somebody.Special",
        "the operator Shape",
    ]
    assert {f.code for f in faults} == {"ND1603"}
    assert "use AvgPool2d and train again" in faults[0].todo
    assert "'MaxPool of a'" in faults[0].where


REFUSALS = {
    "weights of another number of channels": (node("Conv", ["x", "w3"], "y"), "on 2 channels"),
    "padding on one side": (node("Conv", ["x", "w"], "y", pads=[0, 0, 1, 1]), "pads = [0, 0, 1, 1]"),
    "uneven padding by name": (node("Conv", ["x", "w"], "y", auto_pad="SAME_UPPER", strides=[2, 2]), "[0, 0, 1, 1]"),
    "another kernel than its weights": (node("Conv", ["x", "w"], "y", kernel_shape=[1, 1]), "kernel_shape = [1, 1]"),
    "weights that are computed": (node("Conv", ["x", "x"], "y"), "is computed"),
    "a kernel that does not fit": (node("Conv", ["x", "w"], "y", dilations=[9, 9]), "a kernel of (3, 3)"),
    "no stride": (node("Conv", ["x", "w"], "y", strides=[0, 1]), "strides = [0, 1]"),
    "maps into a dense layer": (node("MatMul", ["x", "m"], "y"), "samples of shape (2, 8, 8)"),
    "sizes rounded up": (node("AveragePool", ["x"], "y", kernel_shape=[3, 3], ceil_mode=1), "rounds sizes up"),
    "no kernel": (node("AveragePool", ["x"], "y", kernel_shape=[0, 3]), "kernel_shape = [0, 3]"),
    "a flattening of samples": (node("Flatten", ["x"], "y", axis=0), "axis = 0"),
    "a constant added to the input": (node("Add", ["x", "b"], "y"), "to something else than the result of a layer"),
    "a constant of the wrong type": (node("Conv", ["x", "w", "to"], "y"), "'to' is of int64"),
    "a shape that is computed": (node("Reshape", ["x", "x"], "y"), "a shape that is computed"),
    "a norm that is trained": (node("BatchNormalization", ["x", "b", "b", "b", "b"], "y", training_mode=1), "trained"),
    "a norm of other channels": (node("BatchNormalization", ["x", "b", "b", "b", "b"], "y"), "4 scales on 2 channels"),
    "too few inputs": (node("Conv", ["x"], "y"), "Conv with 1 inputs"),
    "an attribute that it has not": (node("Conv", ["x", "w"], "y", pad=[1, 1]), "an attribute 'pad'"),
    "a name that nothing makes": (node("Relu", ["nobody"], "y"), "reads 'nobody'"),
    "an attribute of another type": (node("Flatten", ["x"], "y", axis=1.0), "axis = 1.0"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_form_that_cannot_be_converted_is_refused_with_its_node(tmp_path, name):
    made, words = REFUSALS[name]
    constants = CONV | {"w3": array(RNG(0), 4, 3, 3, 3), "m": array(RNG(0), 8, 8), "to": np.array([1])}
    (fault,) = refused(model([made], constants), tmp_path)
    assert words in str(fault)
    assert made.name in fault.where


def test_what_follows_from_a_fault_is_not_reported_again(tmp_path):
    nodes = [node("MatMul", ["x", "b"], "a"), node("Relu", ["a"], "r"), node("Flatten", ["r"], "y")]
    assert len(refused(model(nodes, CONV), tmp_path)) == 1


def test_infinite_weights_are_refused_by_name(tmp_path):
    w = CONV["w"].copy()
    w[0, 0, 0, :2] = np.inf, np.nan
    (fault,) = refused(model([node("Conv", ["x", "w"], "y")], {"w": w}), tmp_path)
    assert (fault.code, fault.was) == ("ND1604", "2 of 72 numbers are NaN or infinite")
    assert fault.where.endswith("y.weight")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.graph.input.append(helper.make_tensor_value_info("z", 1, (1,))), "2 inputs: x, z"),
        (lambda m: m.graph.output.append(helper.make_tensor_value_info("z", 1, (1,))), "2 outputs: y, z"),
        (lambda m: m.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", 7, (1, 4))), "'x' of type 7"),
        (lambda m: m.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", 1, (1, 4, 4))), "3 axes"),
        (lambda m: m.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", 1, (1, "n"))), "of shape [1, None]"),
        (lambda m: m.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", 1, (1, 2**40))), "of shape"),
        (lambda m: m.graph.output[0].CopyFrom(helper.make_tensor_value_info("q", 1, (1,))), "'q', which no layer"),
        (lambda m: m.opset_import.pop(), "that is not stated"),
        (lambda m: setattr(m.opset_import[0], "version", 8), "operators of version 8"),
        (lambda m: setattr(m.opset_import[0], "version", 99), "operators of version 99"),
        (lambda m: m.functions.append(onnx.FunctionProto(name="Relu")), "1 functions of its own"),
        (lambda m: m.graph.sparse_initializer.append(onnx.SparseTensorProto()), "1 sparse constants"),
        (lambda m: m.graph.node.append(node("Relu", ["x"], "y")), "makes 'y' a second time"),
        (lambda m: m.graph.initializer.append(m.graph.initializer[0]), "two constants of the name 'b'"),
        (lambda m: m.ClearField("graph"), "it has no graph"),
    ],
)
def test_a_graph_of_another_form_is_refused(tmp_path, change, words):
    made = model([node("Relu", ["x"], "y")], {"b": CONV["b"]})
    assert isinstance(read(made, tmp_path), OnnxModule)
    change(made)
    assert words in " ".join(map(str, refused(made, tmp_path)))


# --- bad files --------------------------------------------------------------------------------------------------------


def outside(made, **told):
    """The model with its weights in another file."""
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in told.items():
        tensor.external_data.add(key=key, value=str(value))
    return made


def convolution():
    return model([node("Conv", ["x", "w"], "y")], {"w": CONV["w"]})


def test_external_data_is_read_from_the_folder_of_the_model(tmp_path):
    w = CONV["w"]
    (tmp_path / "weights.bin").write_bytes(b"12345678" + w.tobytes() + b"9")
    module = read(outside(convolution(), location="weights.bin", offset=8, length=w.nbytes), tmp_path)
    np.testing.assert_array_equal(module.layers["y"].weight.detach().numpy(), w)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"location": "../weights.bin"}, "leaves the folder"),
        ({"location": "link.bin"}, "leaves the folder"),
        ({"location": "a/../../weights.bin"}, "leaves the folder"),
        ({"location": "/etc/passwd"}, "leaves the folder"),
        ({"location": "."}, "no such file"),
        ({"location": "nothing.bin"}, "no such file"),
        ({}, "without a location"),
        ({"location": "own.bin", "offset": 1}, "no 288 bytes at 1"),
        ({"location": "own.bin", "offset": "-1"}, "external data with"),
        ({"location": "own.bin", "offset": "1e3"}, "external data with"),
        ({"location": "own.bin", "length": 10**17}, "no 288 bytes at 0"),
    ],
)
def test_external_data_that_is_not_there_or_leaves_the_folder_is_refused(tmp_path, told, words):
    folder = tmp_path / "model"
    folder.mkdir()
    for place in (tmp_path / "weights.bin", folder / "own.bin"):
        place.write_bytes(CONV["w"].tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    (fault,) = refused(outside(convolution(), **told), folder)
    assert words in str(fault)
    assert fault.code == "ND1401"


def huge(dims):
    made = convolution()
    made.graph.initializer[0].dims[:] = dims
    return made


def many_nodes(number):
    """A file of empty nodes, two bytes each."""
    inner = b"\x0a\x00" * number
    length, size = b"", len(inner)
    while size:
        length += bytes([size & 127 | (128 if size > 127 else 0)])
        size >>= 7
    return b"\x42\x04\x0a\x00\x10\x11" + b"\x3a" + length + inner


def nested(depth):
    content = b""
    for _ in range(depth):
        content = b"\x3a" + bytes([len(content)]) + content if len(content) < 100 else content
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (huge([2**40, 2, 3, 3]), "constants of more than"),
        (huge([2**62, 2**62, 2**62, 2**62]), "constants of more than"),
        (huge([4, 2, 3, 4]), "288 bytes where the shape"),
        (huge([-4, 2, 3, -3]), "a shape of [-4, 2, 3, -3]"),
        (huge([1] * 3 + [72]), "on 2 channels"),
        (many_nodes(3_000_000), "more than 10,000 times graph.node"),
        (b"\x28\x00" * 300_000, "more than 200,000 fields"),
        (b"\x42\x00" * 300_000, "more than 1,000 times model.opset_import"),
        (b"\x3a\xff\xff\xff\xff\x07", "bytes are announced where 0 follow"),
        (b"\x3a", "it ends inside a number"),
        (b"\xff" * 11, "a number of more than ten bytes"),
        (b"\x00\x00", "field number 0"),
        (b"\x3b", "a field of wire type 3"),
        (b"\x3a\x00\x3a\x00", "model.graph stands twice"),
        (b"\x38\x00", "model.graph has wire type 0"),
        (b"\x3a\x03\x52\x01\x00", "that is not stated"),
        (b"nothing of the kind", "it cannot be read"),
        (b"", "0 bytes"),
    ],
)  # fmt: skip
def test_a_damaged_or_hostile_file_is_refused_before_memory_is_taken(tmp_path, content, words):
    tracemalloc.start()
    faults = refused(content, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert words in " ".join(map(str, faults))
    assert peak < 200 * 2**20


def test_a_constant_counts_for_every_layer_that_reads_it(tmp_path, monkeypatch):
    nodes = [node("Gemm", [a, "w"], b) for a, b in pairwise(["x", *"abcdefgh", "y"])]
    made = model(nodes, {"w": array(RNG(0), 8, 8)}, shape=("n", 8))
    assert len(read(made, tmp_path).layers) == 9
    monkeypatch.setattr(file, "MOST_BYTES", 8 * 256 + save(made, tmp_path / "a.onnx").stat().st_size - 2000)
    assert "constants of more than" in str(refused(made, tmp_path)[0])


def test_no_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "nothing.onnx", tmp_path):
        with pytest.raises(Refusal) as caught:
            read_onnx(path)
        assert caught.value.code == "ND1401"


def test_the_fields_are_those_of_the_published_messages():
    known = {"model": onnx.ModelProto, "opset": onnx.OperatorSetIdProto, "graph": onnx.GraphProto} | {
        "node": onnx.NodeProto,
        "attribute": onnx.AttributeProto,
        "tensor": onnx.TensorProto,
        "entry": onnx.StringStringEntryProto,
        "value": onnx.ValueInfoProto,
        "tensor_type": onnx.TypeProto.Tensor,
        "dim": onnx.TensorShapeProto.Dimension,
    }
    for name, message in known.items():
        fields = {f.number: f for f in message.DESCRIPTOR.fields}
        for number, ours in file.SPECS[name].items():
            theirs = fields.pop(number)
            assert (ours.name, ours.many) == (theirs.name, theirs.is_repeated)
        assert [f.name for f in fields.values() if f.message_type is not None] in ([], ["configuration"])


def test_names_that_are_no_identifiers_become_layers(tmp_path):
    names = ["x", "/a/b.c", "Ü", "3", "keys", "a b", "a.b", "y"]
    made = model([node("Relu", [a], b) for a, b in pairwise(names)], {})
    assert list(read(made, tmp_path).layers) == ["a_b_c", "step", "n3", "keys_", "a_b", "a_b_2", "y"]
    assert close(made, tmp_path)


def small(*, computed=False):
    """A file whose structure is most of it; the shape of its Reshape is computed as exporters do, or held."""
    rng = RNG(0)
    shape = [
        node("Shape", ["p"], "s"),
        node("Gather", ["s", "first"], "n", axis=0),
        node("Unsqueeze", ["n", "front"], "u"),
        node("Concat", ["u", "rest"], "to", axis=0),
    ]
    held = {"first": np.array(0), "front": np.array([0]), "rest": np.array([-1])}
    nodes = [
        node("Conv", ["x", "w", "b"], "c", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("Relu", ["c"], "r"),
        node("AveragePool", ["r"], "p", kernel_shape=[2, 2], strides=[2, 2]),
        *(shape if computed else []),
        node("Reshape", ["p", "to"], "f"),
        node("Gemm", ["f", "d"], "g", transB=1, alpha=0.5),
        node("Add", ["g", "e"], "y"),
    ]
    constants = {"w": array(rng, 2, 1, 3, 3), "b": array(rng, 2), "d": array(rng, 3, 8), "e": array(rng, 3)}
    constants |= held if computed else {"to": np.array([0, -1])}
    return model(nodes, constants, shape=("n", 1, 4, 4)).SerializeToString()


def mutated(good, rng):
    """Bytes that are changed, removed, doubled or moved, at one place or several."""
    content = bytearray(good)
    for _ in range(int(rng.integers(1, 4))):
        at, kind = int(rng.integers(len(content))), rng.random()
        length = int(rng.integers(1, 12))
        if kind < 0.5:
            content[at] = int(rng.integers(256))
        elif kind < 0.65:
            content[at] ^= 1 << int(rng.integers(8))
        elif kind < 0.75:
            del content[at : at + length]
        elif kind < 0.85:
            content[at:at] = content[at : at + length]
        elif kind < 0.95:
            content[at:at] = rng.integers(0, 256, length).astype(np.uint8).tobytes()
        else:
            del content[at:]
        if not content:
            break
    return bytes(content)


def fuzz(folder, seeds):
    """How many mutated files were read; each of those computes what the package onnx makes of it."""
    goods, x, taken = (small(), small(computed=True)), RNG(1).normal(0, 1, (2, 1, 4, 4)).astype(np.float32), 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in seeds:
        content = mutated(goods[seed % 2], RNG(seed))
        (folder / "net.onnx").write_bytes(content)
        begun = time.perf_counter()
        try:
            module = read_onnx(folder / "net.onnx")
        except Refusal:
            continue
        finally:
            assert time.perf_counter() - begun < SECONDS, seed
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < KIB, seed
        taken += 1
        plain = onnx.ModelProto.FromString(content)
        kind = module.wires and next(iter(module.parameters()), torch.zeros(())).dtype
        given = RNG(1).normal(0, 1, (2, *module.input_shape)) if module.input_shape != (1, 4, 4) else x
        given = given.astype(np.float64 if kind == torch.float64 else np.float32)
        with np.errstate(all="ignore"):
            must = ReferenceEvaluator(plain).run(None, {plain.graph.input[0].name: given})[0]
        with torch.no_grad():
            got = module(torch.from_numpy(given)).numpy()
        assert got.shape == must.shape, seed
        if np.isfinite(must).all():
            np.testing.assert_allclose(
                got, must, rtol=1e-3, atol=1e-3 * np.abs(must).max(initial=1e-3), err_msg=str(seed)
            )
    return taken


def test_mutated_files_are_refused_or_are_what_a_plain_reading_gives(tmp_path):
    assert 5 < fuzz(tmp_path, range(100)) < 90


@pytest.mark.slow
def test_many_mutated_files_are_refused_or_are_what_a_plain_reading_gives(tmp_path):
    assert 200 < fuzz(tmp_path, range(100, 2100)) < 1800


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_reads_converts_and_writes_a_model(tmp_path):
    save(network(RNG(0)), tmp_path / "net.onnx")
    np.savez(tmp_path / "samples.npz", samples=RNG(2).random((4, 2, 8, 8), np.float32))
    options = ("--calibration", tmp_path / "samples.npz", "--dt", "0.001", "-o", tmp_path / "net.safetensors", "--json")
    done = command("import", tmp_path / "net.onnx", *options)
    assert done.status == 0
    assert [layer["layer"] for layer in done.json["layers"]] == ["layers_r1", "layers_r2", "layers_r3"]
    assert nd.load_model(tmp_path / "net.safetensors")[1].dt_s == 0.001


def test_the_command_says_all_that_it_needs_and_what_it_has_no_use_for(tmp_path):
    save(network(RNG(0)), tmp_path / "net.onnx")
    out = ("-o", tmp_path / "net.safetensors", "--json")
    done = command("import", tmp_path / "net.onnx", "--as", "norse", "--reset", "zero", *out)
    assert (done.status, done.codes) == (2, ["ND9002"] * 4)
    assert [fault["was"] for fault in done.json["error"]] == [
        "--as for a float network", "--reset for a float network", "no typical inputs", "no duration of a step"
    ]  # fmt: skip
    np.savez(tmp_path / "samples.npz", other=np.zeros(3))
    done = command("import", tmp_path / "net.onnx", "--calibration", tmp_path / "samples.npz", "--dt", "0.001", *out)
    assert (done.status, done.codes) == (2, ["ND1501"])
