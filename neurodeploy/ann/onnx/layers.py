"""One operator of ONNX -> one torch layer, with its shapes checked; each in the forms that torch computes alike."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from neurodeploy.ann.onnx.context import Bad, Context, Value
from neurodeploy.ann.onnx.module import Wire

_FOLD = "put a constant into the bias of a layer"
#: Layers are made without numbers, and given those of the file.
_EMPTY = torch.device("meta")


def _conv(c: Context) -> Value:
    c.inputs(2, 3)
    x = c.value()
    if len(x.shape) != 3:
        raise Bad(f"a Conv of samples of shape {x.shape}", "maps: (batch, channel, row, column)", code="ND1602")
    weight, bias = _needed(c.constant(1, x.dtype, [4])), c.constant(2, x.dtype, [1])
    features, inside, *kernel = weight.shape
    if "kernel_shape" in c.node.attributes and list(c.node.attributes["kernel_shape"] or []) != kernel:
        raise Bad(
            f"kernel_shape = {c.node.attributes['kernel_shape']!r:.40} of weights {list(weight.shape)}",
            "the same",
            code="ND1602",
        )
    stride, dilation = c.pair("strides", (1, 1)), c.pair("dilations", (1, 1))
    groups = c.number("group", 1)
    if groups < 1 or min(weight.shape) < 1 or inside * groups != x.shape[0] or features % groups:
        was = f"weights {list(weight.shape)} in {groups} groups on {x.shape[0]} channels"
        raise Bad(was, "a weight for each channel", code="ND1602")
    if bias is not None and bias.shape[0] != features:
        raise Bad(f"{bias.shape[0]} biases of {features} features", "one for each", code="ND1602")
    padding = _padding(c, x.shape[1:], tuple(kernel), stride, dilation)
    size = _sizes(x.shape[1:], tuple(kernel), stride, padding, dilation)
    layer = nn.Conv2d(
        x.shape[0],
        features,
        (kernel[0], kernel[1]),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=bias is not None,
        device=_EMPTY,
    )
    return c.add(x, _filled(layer, weight=weight, bias=bias), (features, *size), affine=True)


def _gemm(c: Context) -> Value:
    c.inputs(2, 3)
    x = c.value()
    if c.number("transA", 0):
        raise Bad("a Gemm that transposes its input", "samples in rows: transA = 0")
    weight = _needed(c.constant(1, x.dtype, [2])) * c.real("alpha", 1.0)
    weight = weight if c.number("transB", 0) else weight.T
    bias = c.constant(2, x.dtype, [0, 1, 2])
    if bias is not None:
        bias = _per_feature(bias, (weight.shape[0],)) * c.real("beta", 1.0)
    return _linear(c, x, weight, bias)


def _matmul(c: Context) -> Value:
    c.inputs(2, 2)
    x = c.value()
    return _linear(c, x, _needed(c.constant(1, x.dtype, [2])).T, None)


def _linear(c: Context, x: Value, weight: torch.Tensor, bias: torch.Tensor | None) -> Value:
    if len(x.shape) != 1:
        must = "samples of one axis"
        raise Bad(f"a {c.node.op} of samples of shape {x.shape}", must, "flatten them first", "ND1602")
    features, width = weight.shape
    if width != x.shape[0] or features < 1:
        raise Bad(f"weights for {width} inputs on {x.shape[0]}", "a weight for each", code="ND1602")
    layer = nn.Linear(width, features, bias=bias is not None, device=_EMPTY)
    return c.add(x, _filled(layer, weight=weight, bias=bias), (features,), affine=True)


def _relu(c: Context) -> Value:
    c.inputs(1, 1)
    return c.add(c.value(), nn.ReLU(), c.value().shape)


def _pool(c: Context) -> Value:
    c.inputs(1, 1)
    x = c.value()
    if len(x.shape) != 3:
        raise Bad(f"an AveragePool of samples of shape {x.shape}", "maps: (batch, channel, row, column)", code="ND1602")
    kernel, stride = c.pair("kernel_shape", (0, 0)), c.pair("strides", (1, 1))
    if c.number("ceil_mode", 0):
        raise Bad("an AveragePool that rounds sizes up", "ceil_mode = 0", "choose a kernel that divides the map")
    if c.pair("dilations", (1, 1)) != (1, 1):
        raise Bad("an AveragePool with gaps", "dilations of 1")
    padding = _padding(c, x.shape[1:], kernel, stride, (1, 1))
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise Bad(f"padding {padding} around a kernel of {kernel}", "at most half the kernel")
    size = _sizes(x.shape[1:], kernel, stride, padding, (1, 1))
    counted = bool(c.number("count_include_pad", 0))
    layer = nn.AvgPool2d(kernel, stride, padding, count_include_pad=counted)
    return c.add(x, layer, (x.shape[0], *size))


def _norm(c: Context) -> Value:
    c.inputs(5, 5)
    if c.number("training_mode", 0) or len(list(filter(None, c.node.outputs))) > 1:
        raise Bad(
            "a BatchNormalization that is still trained", "one with fixed mean and variance", "export with eval()"
        )
    x = c.value()
    scale, shift, mean, variance = (_needed(c.constant(i, x.dtype, [1])) for i in range(1, 5))
    if {t.shape[0] for t in (scale, shift, mean, variance)} != {x.shape[0]}:
        raise Bad(f"{scale.shape[0]} scales on {x.shape[0]} channels", "one for each", code="ND1602")
    kind = nn.BatchNorm2d if len(x.shape) == 3 else nn.BatchNorm1d
    epsilon = c.real("epsilon", 1e-5)
    if epsilon < 0 or float(variance.min()) < 0:
        raise Bad("a negative variance or epsilon", "0 or more")
    layer = kind(x.shape[0], eps=epsilon, device=_EMPTY)
    return c.add(x, _filled(layer, weight=scale, bias=shift, running_mean=mean, running_var=variance), x.shape)


def _flatten(c: Context) -> Value:
    c.inputs(1, 1)
    x, axis = c.value(), c.number("axis", 1)
    if axis not in {1, 1 - (len(x.shape) + 1)}:
        must = "axis = 1: samples stay apart"
        raise Bad(f"a Flatten with axis = {axis}", must, "export torch.flatten(x, 1)")
    return c.add(x, nn.Flatten(1), (math.prod(x.shape),))


def _reshape(c: Context) -> Value:
    c.inputs(2, 2)
    x, target = c.value(), c.whole(1)
    must = "(batch, everything else), or the shape that it has"
    todo = "export torch.flatten(x, 1)"
    if target is None:
        raise Bad("a Reshape to a shape that is computed", must, todo)
    first, rest = target[:1], target[1:]
    samples = first == [x.batch] or (first == [0] and not c.number("allowzero", 0))
    stated = [t for t in rest if t is not None and t > 0]
    if first == [-1] and len(stated) == len(rest):
        samples = math.prod(stated) == math.prod(x.shape)
    if samples and rest in ([-1], [math.prod(x.shape)]):
        return c.add(x, nn.Flatten(1), (math.prod(x.shape),))
    if samples and rest == list(x.shape):
        return c.add(x, nn.Identity(), x.shape)
    raise Bad(f"a Reshape of samples of shape {x.shape} to {target}", must, todo)


def _add(c: Context) -> Value:
    c.inputs(2, 2)
    names = c.node.inputs
    constants = [i for i, n in enumerate(names) if n in c.tensors]
    if not constants:
        a, b = c.value(0), c.value(1)
        if a.shape != b.shape:
            raise Bad(f"an addition of shapes {a.shape} and {b.shape}", "two values of the same shape", code="ND1602")
        c.wires.append(Wire("", (a.number, b.number)))
        return Value(len(c.wires), a.shape, a.batch, a.dtype)
    x = c.value(1 - constants[0])
    layer = c.layers.get(x.layer)
    if not isinstance(layer, nn.Linear | nn.Conv2d):
        raise Bad("an addition of a constant to something else than the result of a layer", "two values", _FOLD)
    given = _needed(c.constant(constants[0], x.dtype, range(len(x.shape) + 2)))
    more = _per_feature(given, x.shape)
    twin = copy.copy(layer)  # others may read the result without the constant
    twin._parameters = dict(layer._parameters)  # noqa: SLF001 - torch has no public way to copy a layer alone
    bias = more if layer.bias is None else layer.bias.detach() + more
    _filled(twin, weight=layer.weight.detach(), bias=bias)
    source = c.wires[x.number - 1].reads[0]
    return c.add(Value(source, x.shape, x.batch, x.dtype), twin, x.shape, affine=True)


def _nothing(c: Context) -> Value:
    c.inputs(1, 3 if c.node.op == "Dropout" else 1)
    if c.node.op == "Dropout":
        mode = c.node.inputs[2] if len(c.node.inputs) > 2 else ""
        off = not mode or (mode in c.tensors and c.tensors[mode].type == "bool" and not c.tensors[mode].values().any())
        if not off or len(list(filter(None, c.node.outputs))) > 1:
            raise Bad("a Dropout that is still trained", "one that does nothing", "export with eval()")
    return c.add(c.value(), nn.Identity(), c.value().shape)


_WINDOW = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")
#: The table: what makes a layer of each operator, and the attributes that it has.
MAKERS: Mapping[str, tuple[Callable[[Context], Value], tuple[str, ...]]] = {
    "Conv": (_conv, (*_WINDOW, "group")),
    "Gemm": (_gemm, ("alpha", "beta", "transA", "transB")),
    "MatMul": (_matmul, ()),
    "Relu": (_relu, ()),
    "AveragePool": (_pool, (*_WINDOW, "ceil_mode", "count_include_pad")),
    "BatchNormalization": (_norm, ("epsilon", "momentum", "training_mode")),
    "Flatten": (_flatten, ("axis",)),
    "Reshape": (_reshape, ("allowzero",)),
    "Add": (_add, ()),
    "Dropout": (_nothing, ("ratio", "seed")),
    "Identity": (_nothing, ()),
}


def _needed(tensor: torch.Tensor | None) -> torch.Tensor:
    if tensor is None:
        raise Bad("an input is missing", "all inputs", code="ND1401")
    return tensor


def _per_feature(given: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """A constant that is added to samples of a shape, as one number for each feature."""
    wanted = (shape[0], *([1] * (len(shape) - 1)))
    sizes = (1,) * max(0, len(shape) + 1 - given.dim()) + tuple(given.shape)
    if sizes[0] != 1 or any(s not in {1, w} for s, w in zip(sizes[1:], wanted, strict=True)):
        was = f"a constant of shape {list(given.shape)} added to samples of shape {shape}"
        raise Bad(was, "one number, or one for each feature", _FOLD, "ND1602")
    return given.reshape(-1).expand(shape[0])


def _padding(
    c: Context, size: Sequence[int], kernel: tuple[int, ...], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[int, int]:
    """Rows and columns of zeros on each side; the same on both."""
    mode = c.node.attributes.get("auto_pad", "NOTSET")
    if mode == "VALID":
        return 0, 0
    if mode == "NOTSET":
        pads = c.node.attributes.get("pads", [0, 0, 0, 0])
        good = isinstance(pads, list) and len(pads) == 4 and all(type(p) is int and 0 <= p < 1 << 31 for p in pads)
        if not good:
            raise Bad(f"pads = {pads!r:.60}", "four sizes of 0 or more")
    elif mode in {"SAME_UPPER", "SAME_LOWER"}:
        whole = [
            max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
            for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
        ]
        odd = [w % 2 for w in whole]
        low = [w // 2 + (o if mode == "SAME_LOWER" else 0) for w, o in zip(whole, odd, strict=True)]
        pads = [*low, *(w - b for w, b in zip(whole, low, strict=True))]
    else:
        raise Bad(f"auto_pad = {mode!r:.40}", "NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    if pads[:2] != pads[2:]:
        raise Bad(f"{c.node.op} with pads = {pads}", "as many rows and columns on both sides", "pad the input yourself")
    return pads[0], pads[1]


def _sizes(
    size: Sequence[int],
    kernel: tuple[int, ...],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[int, ...]:
    found = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    if min(found) < 1:
        raise Bad(f"a kernel of {kernel} on a map of {tuple(size)}", "a kernel that fits the padded map", code="ND1602")
    return found


def _filled(layer: nn.Module, **values: torch.Tensor | None) -> nn.Module:
    """Give a layer its numbers."""
    for name, value in values.items():
        if value is None:
            continue
        if name in layer._buffers:  # noqa: SLF001 - register_buffer would refuse a name that is taken
            setattr(layer, name, value)
        else:
            layer.register_parameter(name, nn.Parameter(value.contiguous()))
    if "num_batches_tracked" in layer._buffers:  # noqa: SLF001 - as above
        layer.num_batches_tracked = torch.tensor(0)
    return layer
