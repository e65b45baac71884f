"""NIR files (HDF5) as float models. What the format does not say, the caller states: nothing is guessed.

Read so far: Input, Output, Conv2d, Affine, Linear, IF, SumPool2d, AvgPool2d, Flatten.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from neurodeploy.errors import Fault, Refusal, missing_extra, raise_if
from neurodeploy.layers import IAF, Graph, PerStep, SumPool2d

RESETS = ("subtract", "zero")
COMPARISONS = (">=", ">")
CHARGES = ("per second", "per step")
_Fields = Mapping[str, Any]


@dataclass(frozen=True)
class NirModel:
    """A model from a file, and what was stated about it.

    model : takes (time, batch, channel) counts; maps are made of them inside
    dt_s : duration of a step in seconds
    contract : what the file does not say and the caller stated
    """

    model: torch.nn.Sequential
    dt_s: float
    contract: Mapping[str, object]


@dataclass(frozen=True)
class _Contract:
    dt_s: float
    reset: str
    comparison: str
    charge: str
    v_min: float | None
    max_spikes: int | None

    def faults(self) -> list[Fault]:
        found = []
        for name, allowed in (("reset", RESETS), ("comparison", COMPARISONS), ("charge", CHARGES)):
            value = getattr(self, name)
            if value not in allowed:
                must = f"one of {', '.join(map(repr, allowed))}: the file does not say it"
                found.append(Fault("ND1601", "read_nir", f"{name} = {value!r}", must))
        if isinstance(self.dt_s, bool) or not isinstance(self.dt_s, int | float) or not 0 < self.dt_s < float("inf"):
            found.append(Fault("ND1601", "read_nir", f"dt_s = {self.dt_s!r}", "seconds above 0: the file has none"))
        return found


def read_nir(
    path: str | Path,
    *,
    dt_s: float,
    reset: str,
    comparison: str,
    charge: str,
    v_min: float | None,
    max_spikes: int | None,
) -> NirModel:
    """Read a NIR graph as a float model.

    dt_s : duration of a step in seconds
    reset : "subtract" the threshold or to "zero". Files without v_reset do not say which
    comparison : ">=" or ">" the threshold. The specification says ">", sinabs computes ">="
    charge : what a spike of weight w adds to an IF: "per step" r * w, as sinabs and snnTorch mean it; "per second"
        r * w * dt, as the equation v' = r I with I = w during one step says
    v_min : lowest membrane in the file's unit, None for no bound: no file says it
    max_spikes : most spikes of a neuron in one step, None for no bound: no file says it

    Raises Refusal with everything at once: ND1401 for what is no such file, ND1603 for nodes that are not read yet or
    not read so, by name, ND1601 for values; Missing where h5py is not installed.
    """
    contract = _Contract(dt_s, reset, comparison, charge, v_min, max_spikes)
    raise_if(contract.faults())
    nodes, edges = _graph(Path(path))
    faults = [fault for name, fields in nodes.items() for fault in _unread(name, fields)]
    raise_if(faults)
    layers, ends = OrderedDict[str, torch.nn.Module](), dict[str, str]()
    for name, fields in nodes.items():
        kind = fields["type"]
        if kind in ("Input", "Output"):
            ends[name] = kind.lower()
            continue
        try:
            layers[name.replace(".", "_")] = _MAKES[kind](f"node {name!r} ({kind})", fields, contract)
        except Refusal as refusal:
            faults += refusal.faults
    faults += _graph_faults(nodes, edges, list(ends.values()))
    raise_if(faults)
    shape = next(tuple(map(int, f["shape"])) for f in nodes.values() if f["type"] == "Input")
    links = sorted((ends.get(s, s.replace(".", "_")), ends.get(t, t.replace(".", "_"))) for s, t in edges)
    model = _model(layers, links, shape)
    stated = {n: getattr(contract, n) for n in ("reset", "comparison", "charge", "v_min", "max_spikes")}
    return NirModel(model.eval(), float(dt_s), MappingProxyType(stated))


def _graph(path: Path) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str]]]:
    """Nodes with their fields in the order of their names, and edges."""
    try:
        import h5py
    except ImportError:
        raise missing_extra("h5py", "nir", "NIR files") from None
    must = "a NIR file: HDF5 with the groups node and node/nodes and the dataset node/edges"
    try:
        with h5py.File(path, "r") as file:
            found = {
                name: {field: _plain(value[()]) for field, value in group.items() if isinstance(value, h5py.Dataset)}
                for name, group in file["node/nodes"].items()
            }
            edges = [(_plain(a), _plain(b)) for a, b in file["node/edges"][()]]
    except (OSError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise Refusal(Fault("ND1401", str(path), f"it cannot be read ({error})", must)) from None
    return found, edges


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode().rstrip("\0")
    return value


def _unread(name: str, fields: _Fields) -> list[Fault]:
    kind = fields.get("type", "a group without type, such as a graph in the graph")
    if kind in _NEEDS and not (missing := [field for field in _NEEDS[kind] if field not in fields]):
        return []
    if kind in _NEEDS:
        was = f"{', '.join(missing)} missing"
        return [Fault("ND1601", f"node {name!r} ({kind})", was, f"it has {', '.join(_NEEDS[kind])}")]
    return [Fault("ND1603", f"node {name!r}", f"{kind}", f"one of {', '.join(_NEEDS)}: others are not read yet")]


def _graph_faults(nodes: Mapping[str, _Fields], edges: list[tuple[str, str]], ends: list[str]) -> list[Fault]:
    found = []
    if sorted(ends) != ["input", "output"]:
        found.append(Fault("ND1603", "graph", f"ends: {', '.join(ends) or 'none'}", "one Input and one Output"))
    plain = [name.replace(".", "_") for name in nodes]
    twice = sorted({n for n in plain if plain.count(n) > 1})
    found += [Fault("ND1601", "graph", f"two nodes named {n!r}, '.' read as '_'", "names that differ") for n in twice]
    unknown = [(edge, name) for edge in sorted(edges) for name in edge if name not in nodes]
    must = f"one of {', '.join(nodes)}"
    found += [Fault("ND1601", f"edge {edge}", f"no node {name!r}", must) for edge, name in unknown]
    return found


def _model(
    layers: OrderedDict[str, torch.nn.Module], links: list[tuple[str, str]], shape: tuple[int, ...]
) -> torch.nn.Sequential:
    """A chain where the graph is one, else a Graph."""
    begin = OrderedDict[str, torch.nn.Module]()
    if len(shape) > 1:
        begin["input"] = torch.nn.Unflatten(2, shape)
    onward: dict[str, list[str]] = {}
    for source, target in links:
        onward.setdefault(source, []).append(target)
    chain, at = list[str](), "input"
    while len(onward.get(at, [])) == 1 and (at := onward[at][0]) != "output" and at not in chain:
        chain.append(at)
    if at == "output" and len(chain) == len(layers) == len(links) - 1:
        return torch.nn.Sequential(begin | OrderedDict((name, layers[name]) for name in chain))
    return torch.nn.Sequential(begin | OrderedDict(graph=Graph(layers, links)))


def _convolution(where: str, fields: _Fields, _contract: _Contract) -> torch.nn.Module:
    weight = torch.as_tensor(fields["weight"])
    if isinstance(fields["padding"], str):
        raise Refusal(Fault("ND1601", where, f"padding {fields['padding']!r}", "numbers of rows and columns"))
    groups = int(fields["groups"])
    features, channels, rows, columns = weight.shape
    layer = torch.nn.Conv2d(
        channels * groups,
        features,
        (rows, columns),
        stride=_pair(fields["stride"]),
        padding=_pair(fields["padding"]),
        dilation=_pair(fields["dilation"]),
        groups=groups,
        bias=bool(np.any(fields["bias"])),
        dtype=weight.dtype,
    )
    return PerStep(_filled(layer, weight, fields["bias"]))


def _matrix(_where: str, fields: _Fields, _contract: _Contract) -> torch.nn.Module:
    weight, bias = torch.as_tensor(fields["weight"]), fields.get("bias")
    biased = bias is not None and bool(np.any(bias))
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=biased, dtype=weight.dtype)
    return _filled(layer, weight, bias)


def _filled(layer: torch.nn.Conv2d | torch.nn.Linear, weight: torch.Tensor, bias: Any) -> torch.nn.Module:
    layer.weight.data = weight.clone()
    if layer.bias is not None:
        layer.bias.data = torch.as_tensor(bias, dtype=weight.dtype).clone()
    return layer


def _neurons(where: str, fields: _Fields, contract: _Contract) -> torch.nn.Module:
    threshold, resistance = np.asarray(fields["v_threshold"]), np.asarray(fields["r"])
    zero = contract.reset == "zero"
    if "v_reset" in fields and (not zero or np.any(fields["v_reset"])):
        was = f"v_reset {np.unique(fields['v_reset'])[:3].tolist()} with reset = {contract.reset!r}"
        must = 'v_reset 0 and reset = "zero": the file states the value'
        raise Refusal(Fault("ND1601", where, was, must))
    gain = resistance * (contract.dt_s if contract.charge == "per second" else 1.0)
    if not (np.isfinite(gain).all() and (gain > 0).all()):
        raise Refusal(Fault("ND1601", where, "r at or below 0, NaN or infinite", "a finite gain above 0"))
    low = contract.v_min
    if low is not None and np.unique(gain).size > 1:
        raise Refusal(Fault("ND1601", where, "a v_min and different r", "one r for the layer, or v_min=None"))
    # the gain enters threshold and bound, so that a weight is a membrane step
    scaled = np.unique(threshold / gain)
    level = torch.as_tensor(scaled[0] if scaled.size == 1 else threshold / gain, dtype=torch.float32)
    return IAF(
        tuple(threshold.shape),
        threshold=level,
        reset=contract.reset,
        comparison=contract.comparison,
        v_min=None if low is None else float(low / gain.flat[0]),
        max_spikes=contract.max_spikes,
    )


def _pool(where: str, fields: _Fields, _contract: _Contract) -> torch.nn.Module:
    size = {*_pair(fields["kernel_size"]), *_pair(fields["stride"])}
    if len(size) > 1 or np.any(fields["padding"]):
        was = f"kernel {_pair(fields['kernel_size'])}, stride {_pair(fields['stride'])}, padding {fields['padding']}"
        raise Refusal(Fault("ND1601", where, was, "square blocks side by side, without padding"))
    block = size.pop()
    return PerStep(SumPool2d(block) if fields["type"] == "SumPool2d" else torch.nn.AvgPool2d(block))


def _flatten(where: str, fields: _Fields, _contract: _Contract) -> torch.nn.Module:
    start, end = int(fields["start_dim"]), int(fields["end_dim"])
    last = len(fields["input_type"]) - 1 if "input_type" in fields else -1
    if start != 0 or end not in (-1, last):
        was, must = f"start_dim {start}, end_dim {end}", "start_dim 0 and end_dim -1: programs read others differently"
        raise Refusal(Fault("ND1601", where, was, must))
    return torch.nn.Flatten(2)


def _pair(value: Any) -> tuple[int, int]:
    both = np.broadcast_to(np.asarray(value, np.int64).reshape(-1), (2,))
    return int(both[0]), int(both[1])


_NEEDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Input": ("shape",),
        "Output": ("shape",),
        "Conv2d": ("weight", "stride", "padding", "dilation", "groups", "bias"),
        "Affine": ("weight", "bias"),
        "Linear": ("weight",),
        "IF": ("r", "v_threshold"),
        "SumPool2d": ("kernel_size", "stride", "padding"),
        "AvgPool2d": ("kernel_size", "stride", "padding"),
        "Flatten": ("start_dim", "end_dim"),
    }
)
_MAKES: Mapping[str, Callable[[str, _Fields, _Contract], torch.nn.Module]] = MappingProxyType(
    {
        "Conv2d": _convolution,
        "Affine": _matrix,
        "Linear": _matrix,
        "IF": _neurons,
        "SumPool2d": _pool,
        "AvgPool2d": _pool,
        "Flatten": _flatten,
    }
)
