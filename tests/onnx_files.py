"""ONNX files of float networks, built with the package onnx, and what onnxruntime makes of them."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def array(rng, *shape):
    return rng.normal(0, 0.5, shape).astype(np.float32)


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], name=f"{op} of {output}", **attributes)


def model(nodes, constants, *, shape=("n", 2, 8, 8), output="y", opset=17, kind=TensorProto.FLOAT):
    """A model from x to the output; constants: name -> array."""
    given = [helper.make_tensor_value_info("x", kind, shape)]
    made = [helper.make_tensor_value_info(output, kind, None)]
    held = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "test", given, made, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def network(rng, *, reshape=False):
    """Convolution, norm, pooling, a branch that is added, two dense layers with a bias in each form."""
    constants = {
        "conv.w": array(rng, 6, 2, 3, 3),
        "conv.b": array(rng, 6),
        "norm.scale": array(rng, 6) + 1,
        "norm.shift": array(rng, 6),
        "norm.mean": array(rng, 6),
        "norm.var": np.abs(array(rng, 6)) + 0.1,
        "branch.w": array(rng, 6, 3, 3, 3),
        "dense.w": array(rng, 54, 10),
        "dense.b": array(rng, 10),
        "last.w": array(rng, 4, 10),
        "last.b": array(rng, 1, 4),
        "flat": np.array([0, -1], np.int64),
    }
    nodes = [
        node("Conv", ["x", "conv.w", "conv.b"], "c1", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1]),
        node("BatchNormalization", ["c1", "norm.scale", "norm.shift", "norm.mean", "norm.var"], "n1", epsilon=1e-3),
        node("Relu", ["n1"], "r1"),
        node("AveragePool", ["r1"], "p1", kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Conv", ["p1", "branch.w"], "c2", group=2, auto_pad="SAME_UPPER"),
        node("Add", ["c2", "p1"], "a1"),
        node("Relu", ["a1"], "r2"),
        node("AveragePool", ["r2"], "p2", kernel_shape=[3, 3]),
        node("Identity", ["p2"], "i1"),
        node("Reshape", ["i1", "flat"], "f1") if reshape else node("Flatten", ["i1"], "f1"),
        node("MatMul", ["f1", "dense.w"], "m1"),
        node("Add", ["dense.b", "m1"], "d1"),
        node("Relu", ["d1"], "r3"),
        node("Dropout", ["r3"], "o1"),
        node("Gemm", ["o1", "last.w", "last.b"], "y", transB=1, alpha=0.5, beta=2.0),
    ]
    return model(nodes, constants)


def expected(made, x):
    """What onnxruntime computes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    content = made if isinstance(made, bytes) else made.SerializeToString()
    own = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return own.run(None, {own.get_inputs()[0].name: x})[0]


def save(made, path):
    onnx.save(made, path)
    return path
