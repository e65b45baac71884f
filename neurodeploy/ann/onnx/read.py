"""ONNX graph -> torch module: the operators that a spiking network can compute with rates, the rest refused by name."""

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from neurodeploy.ann.onnx.context import Bad, Context, Value
from neurodeploy.ann.onnx.file import OnnxFile, OnnxNode, Tensor, read_file
from neurodeploy.ann.onnx.layers import MAKERS
from neurodeploy.ann.onnx.module import OnnxModule, Wire
from neurodeploy.ann.onnx.sizes import Known, Sizes, sizes_of
from neurodeploy.ann.onnx.wire import BrokenError
from neurodeploy.ann.trace import INSTEAD
from neurodeploy.errors import Fault, Refusal, raise_if

_FLOATS = {1: torch.float32, 11: torch.float64}
#: what somebody may do about operators of other names than torch's
_TODO = {
    "MaxPool": INSTEAD["MaxPool2d"],
    "GlobalAveragePool": INSTEAD["AdaptiveAvgPool2d"],
    "Clip": INSTEAD["ReLU6"],
    "LeakyRelu": INSTEAD["LeakyReLU"],
} | dict.fromkeys(("Shape", "Gather", "Unsqueeze", "Concat"), "export torch.flatten(x, 1) instead of view or reshape")


def read_onnx(path: str | Path) -> OnnxModule:
    """Read a float network of ReLU layers as a torch module, for ``convert_ann``.

    Conv (of maps), Gemm, MatMul, Relu, AveragePool, BatchNormalization, Flatten, Reshape, Add, Dropout, Identity and
    Constant, and Shape, Gather, Unsqueeze and Concat where they make the shape of a Reshape; opset 9 to 28, one input
    (batch, feature) or (batch, channel, row, column), one output. Data beside the file is read from its own folder
    only.
    Raises Refusal with everything that is wrong: ND1401 a file that is no model, is damaged or too large, ND1603
    operators, and forms of them, that cannot be converted, ND1602 shapes that do not fit, ND1604 NaN or infinite
    weights.
    """
    file = read_file(path)
    return _Builder(file).module()


class _Builder:
    def __init__(self, file: OnnxFile) -> None:
        self.file, self.faults = file, list[Fault]()
        self.values: dict[str, Value | None] = {}  # None: a fault left it unknown
        self.tensors: dict[str, Tensor] = dict(file.tensors)
        self.sizes: dict[str, Sizes] = {}
        self.layers: dict[str, nn.Module] = {}
        self.wires: list[Wire] = []

    def module(self) -> OnnxModule:
        """The module, or every fault."""
        shape = self.input()
        made = dict.fromkeys([*self.tensors, *self.values], "")
        for node in self.file.nodes:
            for name in filter(None, node.outputs):
                if name in made:
                    self.fault(
                        node.where, f"it makes {name!r} a second time", "every value is made once", code="ND1401"
                    )
                made[name] = ""
        live = self.live()
        for node in (n for n in self.file.nodes if id(n) in live):
            self.add(node)
        output = self.result()
        raise_if(self.faults)
        module = OnnxModule(*self.used(output), shape).eval()
        raise_if(list(_number_faults(module, self.file.where)))
        return module

    def used(self, output: int) -> tuple[dict[str, nn.Module], list[Wire], int]:
        """Layers, steps and output without what nothing reads: a layer whose sum with a constant became another."""
        wanted = {output}
        for number in range(len(self.wires), 0, -1):
            if number in wanted:
                wanted.update(self.wires[number - 1].reads)
        kept = [number for number in range(1, len(self.wires) + 1) if number in wanted]
        place = {0: 0} | {number: i for i, number in enumerate(kept, 1)}
        wires = [Wire(w.layer, tuple(place[r] for r in w.reads)) for w in (self.wires[n - 1] for n in kept)]
        names = {w.layer for w in wires}
        return {n: layer for n, layer in self.layers.items() if n in names}, wires, place[output]

    def fault(self, where: str, was: str, must: str, todo: str = "", *, code: str = "ND1603") -> None:
        self.faults.append(Fault(code, where, was, must, todo))

    def input(self) -> tuple[int, ...]:
        """Shape of a sample, from the one input."""
        where, inputs = f"{self.file.where}, input", self.file.inputs
        must = "one input (batch, feature) or (batch, channel, row, column) of float32 or float64, sizes stated"
        if len(inputs) != 1:
            raise Refusal(Fault("ND1603", where, f"{len(inputs)} inputs: {', '.join(sorted(inputs)[:5])}", must))
        ((name, (kind, sizes)),) = inputs.items()
        if kind not in _FLOATS or sizes is None or len(sizes) not in {2, 4}:
            was = f"{name!r} of type {kind} and {'no shape' if sizes is None else f'{len(sizes)} axes'}"
            raise Refusal(Fault("ND1602", where, was, must))
        shape = tuple(s for s in sizes[1:] if s is not None and 0 < s < 1 << 31)
        if len(shape) != len(sizes) - 1:
            raise Refusal(Fault("ND1602", where, f"{name!r} of shape {list(sizes)}", must, "export it with its sizes"))
        self.values[name] = Value(0, shape, sizes[0] or None, _FLOATS[kind])
        return shape

    def live(self) -> set[int]:
        """Nodes that the outputs depend on."""
        wanted, found = set(self.file.outputs), set[int]()
        for node in reversed(self.file.nodes):
            if wanted & set(node.outputs):
                found.add(id(node))
                wanted.update(node.inputs)
        return found

    def add(self, node: OnnxNode) -> None:
        """One node; what it makes is known afterwards, or known to be unknown."""
        self.values |= dict.fromkeys(filter(None, node.outputs))
        if node.op == "Constant":
            self.constant(node)
            return
        sizes = sizes_of(node, Known(self.values, self.tensors, self.sizes))
        if sizes is not None:
            del self.values[node.outputs[0]]
            self.sizes[node.outputs[0]] = sizes
            return
        made = (self.values, self.tensors, self.sizes)
        missing = [n for n in node.inputs if n and not any(n in names for names in made)]
        if missing:
            must = "nodes in an order in which they can be computed"
            self.fault(node.where, f"{node.op} reads {missing[0]!r}, which nothing has made", must, code="ND1401")
        if node.op not in MAKERS:
            must = f"one of {', '.join((*MAKERS, 'Constant'))}"
            todo = _TODO.get(node.op) or INSTEAD.get(node.op) or INSTEAD.get(node.op.lower(), "")
            self.fault(node.where, f"the operator {node.op or 'without a name'}", must, todo)
            return
        make, known = MAKERS[node.op]
        strange = sorted(set(node.attributes) - set(known))
        if strange:
            must = f"attributes that it has: {', '.join(known) or 'none'}"
            self.fault(node.where, f"{node.op} with an attribute {strange[0]!r:.40}", must)
        if strange or missing or any(n in self.values and self.values[n] is None for n in node.inputs):
            return  # what follows from a fault is not reported again
        try:
            sizes_made = {name: sizes.numbers for name, sizes in self.sizes.items() if not sizes.scalar}
            found = make(Context(node, self.values, self.tensors, self.layers, self.wires, sizes_made))
        except Bad as bad:
            self.faults.append(bad.fault(node.where))
            return
        except BrokenError as error:
            self.fault(node.where, str(error), "constants that are whole", code="ND1401")
            return
        self.values[node.outputs[0]] = found

    def constant(self, node: OnnxNode) -> None:
        value = node.attributes.get("value")
        if len(node.outputs) != 1 or not isinstance(value, Tensor):
            self.fault(node.where, f"a Constant with {', '.join(sorted(node.attributes)) or 'nothing'}", "a tensor")
            return
        del self.values[node.outputs[0]]
        self.tensors[node.outputs[0]] = value

    def result(self) -> int:
        outputs = self.file.outputs
        if len(outputs) != 1:
            was = f"{len(outputs)} outputs: {', '.join(outputs[:5])}"
            self.fault(f"{self.file.where}, output", was, "one output", "export the network that returns one tensor")
            return 0
        found = self.values.get(outputs[0])
        if found is None and outputs[0] not in self.values:
            was = f"{outputs[0]!r}, which no layer has made"
            self.fault(f"{self.file.where}, output", was, "what a layer makes of the input", code="ND1401")
        return 0 if found is None else found.number


def _number_faults(module: nn.Module, where: str) -> Iterator[Fault]:
    for name, values in {**dict(module.named_parameters()), **dict(module.named_buffers())}.items():
        bad = int((~torch.isfinite(values)).sum()) if values.is_floating_point() else 0
        if bad:
            was = f"{bad} of {math.prod(values.shape)} numbers are NaN or infinite"
            yield Fault("ND1604", f"{where}, {name.removeprefix('layers.')}", was, "finite numbers")
