"""The primitives of NIR: which fields each has, of what kind, and what a file may leave out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from neurodeploy.errors import Fault
from neurodeploy.nir.graph import Node, Value

PADDINGS = ("same", "valid")


@dataclass(frozen=True)
class Primitive:
    """One kind of node.

    needs : fields that every file has
    may : fields that some versions write
    spikes : whether it fires, so that reset, comparison and the like count
    decays : whether it has time constants, so that the integrator counts
    """

    needs: tuple[str, ...]
    may: tuple[str, ...] = ()
    spikes: bool = False
    decays: bool = False


_LIF = ("r", "v_leak", "v_threshold")
_CONV = ("weight", "bias", "stride", "padding", "dilation", "groups")
_POOL = ("kernel_size", "stride", "padding")

#: Every primitive of NIR 0.1 to 1.0.8.
PRIMITIVES: Mapping[str, Primitive] = MappingProxyType(
    {
        "Input": Primitive(("shape",)),
        "Output": Primitive(("shape",)),
        "Identity": Primitive((), ("shape", "input_type")),
        "Affine": Primitive(("weight", "bias")),
        "Linear": Primitive(("weight",)),
        "Scale": Primitive(("scale",)),
        "Conv1d": Primitive(_CONV, ("input_shape",)),
        "Conv2d": Primitive(_CONV, ("input_shape",)),
        "SumPool2d": Primitive(_POOL),
        "AvgPool2d": Primitive(_POOL),
        "Flatten": Primitive(("start_dim", "end_dim"), ("input_type",)),
        "Delay": Primitive(("delay",)),
        "Threshold": Primitive(("threshold",), spikes=True),
        "I": Primitive(("r",)),
        "IF": Primitive(("r", "v_threshold"), ("v_reset",), spikes=True),
        "LI": Primitive(("tau", "r", "v_leak"), decays=True),
        "LIF": Primitive(("tau", *_LIF), ("v_reset",), spikes=True, decays=True),
        "CubaLI": Primitive(("tau_syn", "tau_mem", "r", "v_leak"), ("w_in",), decays=True),
        "CubaLIF": Primitive(("tau_syn", "tau_mem", *_LIF), ("w_in", "v_reset"), spikes=True, decays=True),
    }
)
#: Kinds whose membrane a spike resets.
RESETS = ("IF", "LIF", "CubaLIF")
_WHOLE = {"shape", "input_shape", "input_type", "stride", "dilation", "groups", "kernel_size", "start_dim", "end_dim"}
_TEXT = {"padding"}  # may be a word
_DIMENSIONS = {"Affine": 2, "Linear": 2, "Conv1d": 3, "Conv2d": 4}
#: Largest length, stride and the like: what is longer is damaged, and arithmetic on it could overflow.
MAX_LENGTH = 1 << 31


def where(node: Node) -> str:
    """A node in the user's terms."""
    return f"node {node.name!r} ({node.kind})"


def checked(node: Node) -> tuple[Node, list[Fault]]:
    """Node with whole numbers where they belong and w_in where it was left out; and everything that is wrong with it.

    Faults: ND1603 for a kind or field that no version of NIR has, ND1601 for a missing field or a wrong value, ND1604
    for NaN and infinite values.
    """
    known = PRIMITIVES.get(node.kind)
    if known is None:
        must = f"one of {', '.join(PRIMITIVES)}"
        return node, [Fault("ND1603", f"node {node.name!r}", f"the primitive {node.kind!r}", must)]
    faults = []
    if missing := [name for name in known.needs if name not in node.fields]:
        has = ", ".join((*known.needs, *(f"{name} (optional)" for name in known.may)))
        faults.append(Fault("ND1601", where(node), f"{', '.join(missing)} missing", f"it has {has}"))
    if strange := sorted(set(node.fields) - {*known.needs, *known.may}):
        must = f"fields that some version of NIR has: {', '.join((*known.needs, *known.may)) or 'none'}"
        faults.append(Fault("ND1603", where(node), f"the field {', '.join(strange)}", must))
    fields = dict[str, Value]()
    for name, value in node.fields.items():
        fields[name] = _taken(node, name, value, faults)
    if not faults:
        if node.kind in ("CubaLI", "CubaLIF"):
            fields.setdefault("w_in", np.ones((), np.float64))
        faults += _form_faults(replace(node, fields=fields))
    return replace(node, fields=MappingProxyType(fields)), faults


def _taken(node: Node, name: str, value: Value, faults: list[Fault]) -> Value:
    if isinstance(value, str):
        if name not in _TEXT or value not in PADDINGS:
            must = f"one of {', '.join(map(repr, PADDINGS))}, or numbers" if name in _TEXT else "numbers"
            faults.append(Fault("ND1601", where(node), f"{name} is {value[:40]!r}", must))
        return value
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        bad = int((~np.isfinite(value)).sum())
        was = f"{name}: {bad} of {value.size} values are NaN or infinite"
        faults.append(Fault("ND1604", where(node), was, "all must be finite", "", {"count": bad}))
    elif name in _WHOLE | _TEXT:
        if value.size and (np.any(value != np.floor(value)) or np.abs(value.astype(np.float64)).max() >= MAX_LENGTH):
            was = f"{name} is {value.reshape(-1)[:4].tolist()}"
            faults.append(Fault("ND1601", where(node), was, "whole numbers of a sensible size"))
            return value
        return value.astype(np.int64)
    return value


def _form_faults(node: Node) -> list[Fault]:
    """Faults of the forms of arrays that do not depend on what arrives."""
    checks: list[Callable[[Node], str]] = []
    if node.kind in _DIMENSIONS:
        checks.append(_weights)
    if node.kind in ("Conv1d", "Conv2d"):
        checks.append(_convolution)
    if node.kind in ("SumPool2d", "AvgPool2d"):
        checks.append(_pooling)
    found = [
        Fault("ND1601", where(node), was, must) for check in checks for was, _, must in [check(node).partition("|")]
    ]
    return [fault for fault in found if fault.was]


def _weights(node: Node) -> str:
    weight, size = array(node, "weight"), _DIMENSIONS[node.kind]
    if weight.ndim != size or 0 in weight.shape:
        return f"weight of shape {weight.shape}|{size} dimensions, none of length 0"
    if "bias" in node.fields and array(node, "bias").shape not in ((len(weight),), ()):
        return f"bias of shape {array(node, 'bias').shape} for a weight of shape {weight.shape}|one value per output"
    return ""


def _convolution(node: Node) -> str:
    axes = _DIMENSIONS[node.kind] - 2
    for name, least in (("stride", 1), ("dilation", 1), ("padding", 0)):
        if not isinstance(node.fields[name], str) and (size := sizes(node, name, axes)) is not None:
            if min(size) < least:
                return f"{name} {size}|at least {least}"
        elif not isinstance(node.fields[name], str):
            return f"{name} of shape {array(node, name).shape}|one number, or {axes}"
    groups = array(node, "groups")
    if groups.size != 1 or int(groups.flat[0]) < 1 or array(node, "weight").shape[0] % int(groups.flat[0]):
        return (
            f"groups {groups.reshape(-1)[:4].tolist()}|a number that divides the {len(array(node, 'weight'))} outputs"
        )
    return ""


def _pooling(node: Node) -> str:
    for name, least in (("kernel_size", 1), ("stride", 1), ("padding", 0)):
        size = sizes(node, name, 2)
        if size is None or min(size) < least:
            return f"{name} {array(node, name).reshape(-1)[:4].tolist()}|one number or two of at least {least}"
    kernel, padding = sizes(node, "kernel_size", 2), sizes(node, "padding", 2)
    if kernel and padding and any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        return f"padding {padding} for blocks of {kernel}|at most half a block"
    return ""


def array(node: Node, name: str) -> Any:
    """Field that is an array."""
    return np.asarray(node.fields[name])


def sizes(node: Node, name: str, axes: int) -> tuple[int, ...] | None:
    """Whole numbers, one for each axis; one alone counts for all. None for another number of them."""
    value = array(node, name).reshape(-1)
    if value.size not in (1, axes):
        return None
    return tuple(int(n) for n in np.broadcast_to(value, (axes,)))


def shape_of(node: Node, name: str) -> tuple[int, ...]:
    """Shape that a field states."""
    return tuple(int(n) for n in array(node, name).reshape(-1))
