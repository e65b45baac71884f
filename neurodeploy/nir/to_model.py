"""A flat graph and its contract as a float model, and what became of each node."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import torch

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.layers import Delay, Graph, PerStep, Scale, SumPool2d
from neurodeploy.layers.graph import arranged
from neurodeploy.layers.stateful import TIME_BATCH
from neurodeploy.nir.contract import Contract, Settled
from neurodeploy.nir.graph import Node
from neurodeploy.nir.names import to_layer_names
from neurodeploy.nir.neurons import Loop, delays_of, neuron_layers
from neurodeploy.nir.primitives import array, sizes, where
from neurodeploy.nir.report import Became
from neurodeploy.nir.shapes import Shape, Shapes, flattened, full
from neurodeploy.nir.wiring import Flat, through

_WEIGHTED = ("Affine", "Linear", "Conv1d", "Conv2d")


def to_model(flat: Flat, shapes: Shapes, settled: Settled) -> tuple[torch.nn.Sequential, tuple[Became, ...]]:
    """Model of a graph, and for each node the layers that it became and with what loss.

    The model takes (time, batch, channel) counts; a map is made of them inside. A chain becomes a chain, anything else
    one Graph in a Sequential. Raises Refusal (ND1601, ND1603) with every node that no layer computes.
    """
    weights = [array(node, "weight").dtype for node in flat.nodes.values() if node.kind in _WEIGHTED]
    dtype = torch.float64 if weights and all(kind == np.float64 for kind in weights) else torch.float32
    silent = {name for name, node in flat.nodes.items() if node.kind == "Identity"}
    looped = {name for inside in flat.loops.values() for name in inside}
    made, faults = dict[str, list[torch.nn.Module]](), list[Fault]()
    for name, node in flat.nodes.items():
        if name in (flat.input, flat.output) or name in silent | looped:
            continue
        try:
            loop = _loop(flat, shapes, settled, name, dtype) if name in flat.loops else None
            contract = settled.of(name)
            made[name] = _layers(node, shapes.into[name], contract, dtype, loop)
        except Refusal as refusal:
            faults += refusal.faults
    raise_if(faults)
    edges = sorted(e for e in through(flat.edges, silent) if not looped.intersection(e))
    _fold_scales(made, edges)
    became = {
        name: _told(flat.nodes[name], parts, shapes.into[name], settled.of(name), dtype, flat.loops.get(name, ()))
        for name, parts in made.items()
    }
    for name in silent:
        became[name] = Became(name, "Identity", ("no layer",), "faithful")
    for neurons, inside in flat.loops.items():
        for name in inside:
            became[name] = Became(name, flat.nodes[name].kind, (f"rec_connect of {neurons}",), "faithful")
    names = to_layer_names(sorted(made))
    layers_of = {name: _named(names[name], parts) for name, parts in made.items()}
    ends = {flat.input: ("input", "input"), flat.output: ("output", "output")}
    ends |= {name: (parts[0][0], parts[-1][0]) for name, parts in layers_of.items()}
    links = [(ends[source][1], ends[target][0]) for source, target in edges]
    for parts in layers_of.values():
        links += [(a[0], b[0]) for a, b in pairwise(parts)]
    layers = OrderedDict(part for name in flat.nodes if name in layers_of for part in layers_of[name])
    return _assembled(layers, links, shapes.into[flat.input]).eval(), tuple(
        became[name] for name in flat.nodes if name in became
    )


def _fold_scales(made: Mapping[str, list[torch.nn.Module]], edges: list[tuple[str, str]]) -> None:
    """Put a factor and a constant before neurons into the matrix that alone leads to them."""
    sources, readers = dict[str, list[str]](), Counter(source for source, _ in edges)
    for source, target in edges:
        sources.setdefault(target, []).append(source)
    for name, parts in made.items():
        into = sources.get(name, [])
        before = made.get(into[0], []) if len(into) == 1 and readers[into[0]] == 1 else []
        scale = parts[0]
        if len(parts) == 1 or not isinstance(scale, Scale) or len(before) != 1:
            continue
        if isinstance(layer := before[0], torch.nn.Linear):
            factor = scale.factor.expand(layer.out_features)
            bias = torch.zeros_like(factor) if layer.bias is None else layer.bias.data * factor
            bias = bias if scale.offset is None else bias + scale.offset
            layer.weight = torch.nn.Parameter(layer.weight.data * factor[:, None])
            layer.register_parameter("bias", torch.nn.Parameter(bias) if bool(bias.any()) else None)
            del parts[0]


def _named(name: str, parts: list[torch.nn.Module]) -> list[tuple[str, torch.nn.Module]]:
    """The last of several layers has the name of the node."""
    many = len(parts)
    return [(name if i == many - 1 else f"{name} {i + 1} of {many}", part) for i, part in enumerate(parts)]


def _assembled(
    layers: "OrderedDict[str, torch.nn.Module]", links: list[tuple[str, str]], shape: Shape
) -> torch.nn.Sequential:
    begin = OrderedDict[str, torch.nn.Module]()
    if len(shape) > 1:
        begin["input"] = torch.nn.Unflatten(TIME_BATCH, shape)
    return torch.nn.Sequential(begin | arranged(layers, sorted(links)))


def _layers(
    node: Node, shape: Shape, contract: Contract, dtype: torch.dtype, loop: Loop | None
) -> list[torch.nn.Module]:
    if node.kind in _MAKES:
        return _MAKES[node.kind](node, shape, dtype)
    if node.kind == "Delay":
        return [_delay(node, shape, contract, dtype)]
    return neuron_layers(node, shape, contract, dtype, loop)


def _told(
    node: Node,
    layers: list[torch.nn.Module],
    shape: Shape,
    contract: Contract,
    dtype: torch.dtype,
    loop: tuple[str, ...],
) -> Became:
    kinds = [type(layer.module if isinstance(layer, PerStep) else layer).__name__ for layer in layers]
    bound, note = "", ""
    if node.kind == "Delay":
        error = delays_of(node, shape, contract)[1]
        bound = f"each value comes at most {error:.3g} steps early or late: delays are whole steps" if error else ""
    wide = [name for name in node.fields if array(node, name).dtype == np.float64] if dtype == torch.float32 else []
    if wide and node.kind not in ("Flatten", "SumPool2d", "AvgPool2d"):
        note = f"{', '.join(sorted(wide))} rounded to float32"
    if loop:
        note = "; ".join([f"spikes come back through {', '.join(loop)}", *([note] if note else [])])
    return Became(node.name, node.kind, tuple(kinds), "approximated" if bound else "faithful", bound or note)


# what brings spikes back


def _loop(flat: Flat, shapes: Shapes, settled: Settled, name: str, dtype: torch.dtype) -> Loop:
    contract, node = settled.of(name), flat.nodes[name]
    if contract.recurrent_delay != 1:
        was = f"spikes that come back after {contract.recurrent_delay} steps"
        todo = "state 1 if the source computes so (--recurrent-delay 1)"
        raise Refusal(Fault("ND1603", where(node), was, "1: the next step", todo))
    module = _way_back(flat, shapes, name, dtype)
    own = contract.reset_delay == 1 or (contract.double_reset and contract.reset == "subtract")
    if own or not contract.recurrent_bias:
        # those layers hear a silent past in the first step; of the others, a bias in the module stays silent in it
        if own and not contract.recurrent_bias:
            must = "recurrent_bias=True: the bias of a recurrent connection acts in every step of such neurons"
            raise Refusal(Fault("ND1601", where(node), "recurrent_bias=False and the reset one step later", must))
        return Loop(module, np.zeros(shapes.into[name]))
    silent = torch.zeros((1, *shapes.into[name]), dtype=dtype)
    with torch.no_grad():
        constant = module(silent)[0].double().numpy()
    return Loop(_without_bias(module), constant)


def _way_back(flat: Flat, shapes: Shapes, name: str, dtype: torch.dtype) -> torch.nn.Module:
    inside, ends = flat.loops[name], [source for source, target in flat.back if target == name]
    layers = {
        other: _bare(_layers(flat.nodes[other], shapes.into[other], _NO_TIME, dtype, None)[0])
        for other in inside
        if flat.nodes[other].kind != "Identity"
    }
    edges = [(s, t) for s, t in flat.edges if t in inside and (s in inside or s == name)]
    edges += [(source, "") for source in ends]  # "" stands for the return
    kept = through(edges, {other for other in inside if other not in layers})
    if not layers:
        return torch.nn.Identity()
    if len(layers) == 1 and len(kept) == 2:
        return next(iter(layers.values()))
    names = to_layer_names(sorted(layers)) | {name: "input", "": "output"}
    return Graph(
        OrderedDict((names[o], layers[o]) for o in inside if o in layers), sorted((names[s], names[t]) for s, t in kept)
    )


def _bare(layer: torch.nn.Module) -> torch.nn.Module:
    """A recurrent connection knows (batch, ...) alone."""
    return layer.module if isinstance(layer, PerStep) else layer


def _without_bias(module: torch.nn.Module) -> torch.nn.Module:
    for part in module.modules():
        if isinstance(part, torch.nn.Linear | torch.nn.Conv2d):
            part.bias = None
    return module


# weights and shapes


def _matrix(node: Node, _shape: Shape, dtype: torch.dtype) -> list[torch.nn.Module]:
    weight = torch.as_tensor(array(node, "weight"), dtype=dtype)
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=_biased(node), dtype=dtype, device="meta")
    return [_filled(layer, node, weight)]


def _biased(node: Node) -> bool:
    return "bias" in node.fields and bool(np.any(array(node, "bias")))


def _filled(layer: torch.nn.Linear | torch.nn.Conv2d, node: Node, weight: torch.Tensor) -> torch.nn.Module:
    largest = max(np.abs(array(node, name)).max(initial=0) for name in ("weight", "bias") if name in node.fields)
    if largest > torch.finfo(weight.dtype).max:
        was, must = (
            f"a weight or bias of {largest:.3g}",
            f"numbers of {weight.dtype}, as most of the file's weights are",
        )
        raise Refusal(Fault("ND1604", where(node), was, must))
    layer.weight = torch.nn.Parameter(weight.clone())
    if layer.bias is not None:
        bias = np.broadcast_to(array(node, "bias"), (len(weight),))
        layer.bias = torch.nn.Parameter(torch.as_tensor(bias.copy(), dtype=weight.dtype))
    return layer


def _convolution(node: Node, _shape: Shape, dtype: torch.dtype) -> list[torch.nn.Module]:
    layer = _conv(node, dtype, 2)
    return [PerStep(layer)]


def _row_convolution(node: Node, shape: Shape, dtype: torch.dtype) -> list[torch.nn.Module]:
    """Conv1d as the convolution of a map with one row."""
    layer = _conv(node, dtype, 1)
    rows = torch.nn.Unflatten(2, (1, shape[1]))
    return [PerStep(torch.nn.Sequential(rows, layer, torch.nn.Flatten(2, 3)))]


def _conv(node: Node, dtype: torch.dtype, axes: int) -> torch.nn.Module:
    weight = torch.as_tensor(array(node, "weight"), dtype=dtype)
    groups = int(array(node, "groups").flat[0])
    stride, dilation = sizes(node, "stride", axes) or (), sizes(node, "dilation", axes) or ()
    padding = (0,) * axes
    if not isinstance(node.fields["padding"], str):
        padding = sizes(node, "padding", axes) or ()
    elif node.fields["padding"] == "same":
        weight, dilation = _odd(weight, dilation)
        padding = tuple(d * (k - 1) // 2 for d, k in zip(dilation, weight.shape[2:], strict=True))
    if axes == 1:
        weight, stride, dilation, padding = weight.unsqueeze(2), (1, *stride), (1, *dilation), (0, *padding)
    rows, columns = weight.shape[2:]
    layer = torch.nn.Conv2d(
        weight.shape[1] * groups,
        len(weight),
        (rows, columns),
        stride=(stride[0], stride[1]),
        padding=(padding[0], padding[1]),
        dilation=(dilation[0], dilation[1]),
        groups=groups,
        bias=_biased(node),
        dtype=dtype,
        device="meta",
    )
    return _filled(layer, node, weight)


def _odd(weight: torch.Tensor, dilation: tuple[int, ...]) -> tuple[torch.Tensor, tuple[int, ...]]:
    """The same kernel where 'same' pads more behind than before: an odd one without gaps, a zero in front."""
    for axis, step in enumerate(dilation):
        at, length = axis + 2, weight.shape[axis + 2]
        span = step * (length - 1)
        if span % 2:
            form = list(weight.shape)
            form[at] = span + 2
            wide = weight.new_zeros(form)
            wide.index_copy_(at, torch.arange(length) * step + 1, weight)
            weight, dilation = wide, (*dilation[:axis], 1, *dilation[axis + 1 :])
    return weight, dilation


def _pool(node: Node, _shape: Shape, _dtype: torch.dtype) -> list[torch.nn.Module]:
    kernel, stride, padding = _pair(node, "kernel_size"), _pair(node, "stride"), _pair(node, "padding")
    simple = len({*kernel, *stride}) == 1 and not any(padding)
    if node.kind == "SumPool2d":
        if simple:
            return [PerStep(SumPool2d(kernel[0]))]
        return [PerStep(torch.nn.AvgPool2d(kernel, stride, padding, divisor_override=1))]
    if simple:
        return [PerStep(torch.nn.AvgPool2d(kernel[0]))]
    return [PerStep(torch.nn.AvgPool2d(kernel, stride, padding))]


def _pair(node: Node, name: str) -> tuple[int, int]:
    rows, columns = sizes(node, name, 2) or (0, 0)
    return rows, columns


def _flatten(node: Node, shape: Shape, _dtype: torch.dtype) -> list[torch.nn.Module]:
    first, last = flattened(node, len(shape))
    return [torch.nn.Flatten(TIME_BATCH + first, -1 if last == len(shape) - 1 else TIME_BATCH + last)]


def _scale(node: Node, shape: Shape, dtype: torch.dtype) -> list[torch.nn.Module]:
    return [Scale(shape, torch.as_tensor(full(array(node, "scale"), shape).copy(), dtype=dtype))]


def _delay(node: Node, shape: Shape, contract: Contract, dtype: torch.dtype) -> torch.nn.Module:
    """One line, or one for each different delay, behind a mask of the neurons that have it."""
    steps = delays_of(node, shape, contract)[0]
    different = np.unique(steps)
    if different.size == 1:
        return Delay(int(different[0]))
    layers, edges = OrderedDict[str, torch.nn.Module](), list[tuple[str, str]]()
    for delay in different.tolist():
        layers[f"those {delay}"] = Scale(shape, torch.as_tensor(steps == delay, dtype=dtype))
        layers[f"later {delay}"] = Delay(delay)
        edges += [("input", f"those {delay}"), (f"those {delay}", f"later {delay}"), (f"later {delay}", "output")]
    return Graph(layers, edges)


_NO_TIME = Contract(1.0)
_MAKES: Mapping[str, Callable[[Node, Shape, torch.dtype], list[torch.nn.Module]]] = MappingProxyType(
    {
        "Affine": _matrix,
        "Linear": _matrix,
        "Conv1d": _row_convolution,
        "Conv2d": _convolution,
        "SumPool2d": _pool,
        "AvgPool2d": _pool,
        "Flatten": _flatten,
        "Scale": _scale,
    }
)
