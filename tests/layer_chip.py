"""A made-up chip whose cores hold one layer each, and networks for it by their shapes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neurodeploy.chips import Chip, chip
from neurodeploy.network import Convolution, Network, convolution, group

HEAD = """
schema_version = 1
name = "layered"
evidence = "made_up"

[sources]
made_up = { source = "a test", date = 2026-11-20, grade = "inferred" }

[neuron.pixel]
role = "input"
emits = "count"
external = { holds = [0, 15] }
state.count = { unsigned = 4 }
on.step = "count = external"

[neuron.unit]
role = "hidden output"
emits = "count"
state.v = { signed = 16 }
state.count = { unsigned = 1 }
param.bias = { holds = [-9, 9], default = 0 }
on.step = '''
v = sat(v + bias, 16)
count = 1 if v >= 3 else 0
v = v - 3 * count
'''

[connection.conv]
from = ["pixel", "unit"]
to = "unit"
pattern = "conv"
synapse.w = { signed = 8 }
weights = ["w"]
on_input = "v = sat(v + arriving * w, 16)"

[schedule]
step = ["pixel.step", "conv", "unit.step"]

[layer_core]
kinds = ["unit"]
slots = 65536
destinations = 2
inputs.pixel = 2
loops = "ask"

[layer_core.memory.kernel]
value = "channels * exp2(ceil(log2(kernel_rows * kernel_columns)) + ceil(log2(features)))"
unit = "words of kernel memory"
each = KERNEL
[layer_core.memory.neuron]
value = "features * exp2(ceil(log2(output_rows)) + ceil(log2(output_columns)))"
unit = "words of neuron memory"
each = NEURON
[layer_core.memory.bias]
value = "features * set_bias"
unit = "words of bias memory"
each = BIAS

[layer_core.limit.stride]
value = "max(stride_rows, stride_columns)"
one_of = [1, 2, 4, 8]
unit = "of stride"
[layer_core.limit.pooling]
value = "max(pooling_rows, pooling_columns)"
one_of = [1, 2, 4]
unit = "of pooling"
[layer_core.limit.kernel]
value = "max(kernel_rows, kernel_columns)"
at_most = 16
unit = "rows or columns of the kernel"
todo = "use a smaller kernel"
[layer_core.limit.square]
value = "abs(kernel_rows - kernel_columns)"
at_most = 0
unit = "rows more than columns, or fewer, in the kernel"
[layer_core.limit.groups]
value = "groups"
at_most = 1
unit = "groups of the convolution"
todo = "write the kernel out, with zeros"
[layer_core.limit.readout]
of = "output"
value = "features"
at_most = 15
unit = "classes for the readout"
rule = "warn"
"""

#: Kernel, neuron and bias words of nine cores of three sizes and one small pair.
MEMORIES = {
    "KERNEL": [16, 16, 16, 32, 32, 64, 64, 16, 16],
    "NEURON": [64, 64, 64, 32, 32, 16, 16, 16, 16],
    "BIAS": [1] * 9,
}


def layer_chip(folder: Path, ki: int = 1024, more: str = "", *, cores: int = 9, **other: Sequence[int]) -> Chip:
    """Write a chip with memories of so many times ``ki`` words, and read it."""
    text = HEAD
    for name, sizes in {**MEMORIES, **other}.items():
        text = text.replace(name, str([ki * size for size in sizes[:cores]]))
    folder.mkdir(exist_ok=True)
    (folder / "chip.toml").write_text(text + more)
    return chip(folder)


@dataclass(frozen=True)
class Shape:
    """One layer of a network to be; ``size`` of the kernel 0 stands for the whole map."""

    sources: tuple[str, ...]
    features: int
    size: int = 3
    stride: int = 1
    padding: int = 1
    pooling: int = 1
    bias: int = 0


def build(target: Chip, shapes: Mapping[str, Shape], source: tuple[int, int, int] = (2, 32, 32)) -> Network:
    """Build a network: an input of a shape, and layers in the order of their names in ``shapes``."""
    groups = {"input": group(target, "input", "pixel", source)}
    geometries = {name: geometry(shapes, name, source) for name in shapes}
    for name, shape in shapes.items():
        groups[name] = group(target, name, "unit", geometries[name][0].target, bias=shape.bias)
    projections = [
        convolution(target, "conv", groups[s], groups[name], g, w=np.ones(g.kernel, np.int64))
        for name, shape in shapes.items()
        for s, g in zip(shape.sources, geometries[name], strict=True)
    ]
    return Network(target, tuple(groups.values()), tuple(projections))


def geometry(shapes: Mapping[str, Shape], name: str, source: tuple[int, int, int]) -> tuple[Convolution, ...]:
    """Convolutions that end on a layer, one for each of its sources; what comes in adds up."""
    shape = shapes[name]
    maps = [source if s == "input" else geometry(shapes, s, source)[0].target for s in shape.sources]
    channels, result = max(m[0] for m in maps), []
    for one in maps:
        pooled = one[1] // shape.pooling, one[2] // shape.pooling
        kernel = (shape.features, channels, *((shape.size, shape.size) if shape.size else pooled))
        padding = shape.padding if shape.size else 0
        sizes = {n: (getattr(shape, n),) * 2 for n in ("stride", "pooling")}
        result.append(Convolution(one, kernel, sizes["stride"], (padding, padding), sizes["pooling"]))
    return tuple(result)


def changed(shapes: Mapping[str, Shape], changes: Sequence[Mapping[str, str]]) -> tuple[dict[str, Shape], set[str]]:
    """What the changes of a way out make of a network, and which layers are to be split."""
    result, split = dict(shapes), set[str]()
    for change in changes:
        name, old = change["layer"], result[change["layer"]]
        if change["change"] == "split":
            split.add(name)
        else:
            new = {"halve": ("features", old.features // 2), "stride": ("stride", 2 * old.stride)}
            field, value = new.get(change["change"], ("pooling", 2 * old.pooling))
            result[name] = replace(old, **{field: value})
    return result, split
