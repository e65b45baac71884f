"""Ways between neuron layers: whatever stands on one - pooling, weights, normalisation - is one linear map."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch

from neurodeploy.ann.merge import gain_and_shift
from neurodeploy.layers import SparseLinear
from neurodeploy.network import Convolution
from neurodeploy.network.geometry import Pair
from neurodeploy.quantizer.decays import Floats

Map = tuple[int, int, int]


@dataclass(frozen=True)
class Way:
    """A linear map from the events of one source to a value.

    source : name of the neuron layer, or INPUT
    map : (channels, rows, columns) of the source; None for a row whose neurons lie in no map
    pooling : of the source, before the kernel meets it
    factor : of the value as long as there is no kernel
    kernel : (features, channels, rows, columns); None as long as no weights were met
    full : the kernel covers the whole map, as that of a Linear does
    delay : steps that the model states, None if it states none
    weights : name of the layer that the weights are from
    entry : path of the first module on the way
    """

    source: str
    map: Map | None = None
    pooling: Pair = (1, 1)
    factor: float = 1.0
    kernel: Floats | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1
    full: bool = False
    delay: int | None = None
    weights: str = ""
    entry: str = ""

    def lies_in(self, size: int) -> Map:
        """Map of the source; a row of ``size`` neurons is one of a single point."""
        return self.map or (size, 1, 1)

    def geometry(self, size: int) -> Convolution:
        """Convolution of the way; without weights that of a kernel which takes each channel as it is."""
        source = self.lies_in(size)
        kernel = self.kernel if self.kernel is not None else self.carried(source[0])
        form: tuple[int, ...] = kernel.shape
        return Convolution(
            source,
            (form[0], form[1], form[2], form[3]),
            self.stride,
            self.padding,
            self.pooling,
            groups=self.groups,
        )

    def carried(self, channels: int) -> Floats:
        """Kernel of a way without weights."""
        return (np.eye(channels) * self.factor)[:, :, None, None]


@dataclass(frozen=True)
class Value:
    """What a model has at one point: a sum of ways, and a constant.

    shape : of a step of one sample; None for an input whose shape nothing has told yet
    bias : constant of this shape, None for nothing
    """

    ways: tuple[Way, ...]
    shape: tuple[int, ...] | None
    bias: Floats | None = None


def total(values: Iterable[tuple[Value, float]]) -> Value:
    """Sum of values of one shape, each with a factor; ways that differ in their weights alone become one."""
    ways, shape, bias = list[Way](), None, None
    for value, factor in values:
        shape = value.shape
        scaled = None if value.bias is None else value.bias * factor
        bias = scaled if bias is None else bias if scaled is None else bias + scaled
        for way in value.ways:
            kernel = None if way.kernel is None else way.kernel * factor
            own = replace(way, kernel=kernel, factor=way.factor if kernel is not None else way.factor * factor)
            same = next((i for i, other in enumerate(ways) if _alike(own, other)), None)
            if same is None:
                ways.append(own)
            else:
                ways[same] = _joined(own, ways[same])
    return Value(tuple(ways), shape, bias)


def _alike(a: Way, b: Way) -> bool:
    if (a.kernel is None) != (b.kernel is None):
        return False
    if a.kernel is not None and b.kernel is not None and a.kernel.shape != b.kernel.shape:
        return False
    names = ("source", "map", "pooling", "stride", "padding", "groups", "full", "delay")
    return all(getattr(a, name) == getattr(b, name) for name in names)


def _joined(a: Way, b: Way) -> Way:
    if a.kernel is None or b.kernel is None:
        return replace(b, factor=a.factor + b.factor)
    return replace(b, kernel=a.kernel + b.kernel)


def pooled(value: Value, size: int, factor: float) -> Value:
    """Sum over blocks of a map, times a factor; a kernel that is there already becomes one that covers the block."""
    channels, rows, columns = value.shape or (0, 0, 0)
    ways = []
    for way in value.ways:
        if way.kernel is None:
            pooling = (way.pooling[0] * size, way.pooling[1] * size)
            ways.append(replace(way, pooling=pooling, factor=way.factor * factor))
            continue
        (high, wide), (down, right) = way.kernel.shape[2:], way.stride
        summed = np.zeros((*way.kernel.shape[:2], high + (size - 1) * down, wide + (size - 1) * right))
        for i, j in np.ndindex(size, size):
            summed[:, :, i * down : i * down + high, j * right : j * right + wide] += way.kernel * factor
        ways.append(replace(way, kernel=summed, stride=(down * size, right * size)))
    shape = (channels, rows // size, columns // size)
    bias = value.bias
    if bias is not None:
        cut = bias[:, : shape[1] * size, : shape[2] * size].reshape(channels, shape[1], size, shape[2], size)
        bias = cut.sum(axis=(2, 4)) * factor
    return Value(tuple(ways), shape, bias)


def convolved(value: Value, module: torch.nn.Conv2d, name: str) -> Value:
    """Convolution of a value that has met no weights yet."""
    weight = numbers(module.weight)
    stride, padding = pair(module.stride), pair(module.padding)
    ways = tuple(
        replace(
            way,
            kernel=weight * way.factor,
            factor=1.0,
            stride=stride,
            padding=padding,
            groups=module.groups,
            weights=name,
        )
        for way in value.ways
    )
    size = math.prod(value.shape or ())
    lengths = zip((value.shape or (0, 0, 0))[1:], padding, weight.shape[2:], stride, strict=True)
    shape = (len(weight), *((n + 2 * p - k) // s + 1 for n, p, k, s in lengths))
    bias = None
    if module.bias is not None and size:
        bias = np.broadcast_to(numbers(module.bias)[:, None, None], shape).copy()
    return Value(ways, shape, bias)


def linear(value: Value, module: torch.nn.Linear | SparseLinear, name: str) -> Value:
    """Product of a matrix with a row, wherever its neurons lie: a kernel as large as the map."""
    weight = weight_of(module)
    ways = []
    for way in value.ways:
        channels, rows, columns = way.lies_in(weight.shape[1])
        form = (len(weight), channels, rows // way.pooling[0], columns // way.pooling[1])
        ways.append(replace(way, kernel=weight.reshape(form) * way.factor, factor=1.0, full=True, weights=name))
    bias = getattr(module, "bias", None)
    return Value(tuple(ways), (len(weight),), None if bias is None else numbers(bias))


def normalised(value: Value, norm: torch.nn.Module) -> Value:
    """Normalisation by running statistics, merged into the weights before it; eps is part of it."""
    gain, shift = (numbers(part) for part in gain_and_shift(norm))
    ways = tuple(
        replace(w, kernel=None if w.kernel is None else w.kernel * gain[:, None, None, None]) for w in value.ways
    )
    form = (-1, *[1] * (len(value.shape or ()) - 1))
    bias = np.zeros(value.shape or ()) if value.bias is None else value.bias
    return Value(ways, value.shape, bias * gain.reshape(form) + shift.reshape(form))


def without_pooling(weight: Floats, geometry: Convolution) -> tuple[Floats, Convolution] | None:
    """The same map without pooling: each entry of the kernel repeated, stride and padding multiplied.

    None where padding would then reach rows or columns that fill no block and that pooling leaves out.
    """
    (down, right), (rows, columns) = geometry.pooling, geometry.pooled
    remainder = (geometry.source[1] - rows * down, geometry.source[2] - columns * right)
    ends = (
        (n - 1) * s - p + k > size and left > 0
        for n, s, p, k, size, left in zip(
            geometry.target[1:],
            geometry.stride,
            geometry.padding,
            geometry.kernel[2:],
            (rows, columns),
            remainder,
            strict=True,
        )
    )
    if any(ends):
        return None
    spread = weight.repeat(down, axis=2).repeat(right, axis=3)
    features, channels, high, wide = spread.shape
    unpooled = Convolution(
        geometry.source,
        (features, channels, high, wide),
        (geometry.stride[0] * down, geometry.stride[1] * right),
        (geometry.padding[0] * down, geometry.padding[1] * right),
        (1, 1),
        geometry.shift,
        geometry.groups,
    )
    return spread, unpooled


def weight_of(module: torch.nn.Module) -> Floats:
    """(out, in) weights as they count in the forward pass."""
    return numbers(module.effective_weight() if isinstance(module, SparseLinear) else module.weight)


def numbers(value: object) -> Floats:
    """Copy of a parameter or number as an array of float64."""
    return np.array(torch.as_tensor(value).detach().cpu().double().numpy())


def pair(value: object) -> Pair:
    """Rows and columns of an option that may be one number for both."""
    numbers_ = value if isinstance(value, tuple) else (value, value)
    return int(numbers_[0]), int(numbers_[1])
