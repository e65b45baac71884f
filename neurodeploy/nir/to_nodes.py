"""Layers with time as nodes of NIR: decays become time constants by the Euler rule, the rest a contract."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.layers import (
    IAF,
    LIF,
    Delay,
    ExpLeak,
    Integrator,
    Leaky,
    Neuron,
    RLeaky,
    RSynaptic,
    Synaptic,
)
from neurodeploy.nir.contract import Contract
from neurodeploy.nir.graph import Value
from neurodeploy.nir.shapes import Shape

_LATE = (Leaky, Synaptic, RLeaky, RSynaptic)


@dataclass(frozen=True)
class NodeOf:
    """A node that a layer becomes.

    suffix : after the layer's name, where it becomes several
    contract : of a node that fires
    back : what brings its spikes back: a module, or a weight for each neuron; None where nothing does
    """

    kind: str
    fields: Mapping[str, Value]
    shape: Shape
    suffix: str = ""
    contract: Contract | None = None
    back: torch.nn.Module | NDArray[Any] | None = None


def node_of(layer: Any, shape: Shape, dt_s: float) -> list[NodeOf]:
    """Nodes of a layer that keeps a state, one after the other.

    Raises Refusal: ND1603 for a layer that NIR has no primitive for, ND1601 for options that it cannot say.
    """
    if isinstance(layer, Delay):
        return [NodeOf("Delay", {"delay": np.full(shape, layer.steps * dt_s)}, shape)] if layer.steps else []
    if isinstance(layer, Integrator):
        return [NodeOf("I", {"r": np.full(shape, 1 / dt_s)}, shape)]
    if type(layer) in (IAF, LIF):
        return _firing(layer, dt_s)
    if type(layer) in _LATE:
        return _late(layer, dt_s)
    if type(layer) is ExpLeak:
        return [_leak(layer, dt_s)]
    must = "a layer that NIR has a primitive for: LIF, IAF, Leaky, Synaptic, RLeaky, RSynaptic, ExpLeak, and weights"
    raise Refusal(Fault("ND1603", "", f"a {type(layer).__name__}", must, "approximate it first (nd.approximate)"))


def _full(layer: Neuron, value: Any) -> Any:
    numbers = value.detach().cpu().double().numpy() if isinstance(value, torch.Tensor) else np.asarray(value, float)
    return np.broadcast_to(numbers, layer.shape).copy()


def _leak(layer: ExpLeak, dt_s: float) -> NodeOf:
    faults = _set(layer, {"v_min": None, "compat": ()})
    raise_if(faults)
    share = 1 - _full(layer, layer.alpha_mem)
    r = np.ones(layer.shape) if layer.options["norm_input"] else 1 / share
    return NodeOf("LI", {"tau": dt_s / share, "r": r, "v_leak": np.zeros(layer.shape)}, layer.shape)


def _set(layer: Neuron, allowed: Mapping[str, object]) -> list[Fault]:
    """Faults of options that differ from the only value that a file or a contract can say."""
    return [
        Fault("ND1601", "", f"{name} = {layer.options[name]!r}", f"{value!r}: neither NIR nor a contract says it")
        for name, value in allowed.items()
        if layer.options.get(name, value) != value
    ]


def _firing(layer: Any, dt_s: float) -> list[NodeOf]:
    """IAF and LIF."""
    options, shape = layer.options, layer.shape
    faults = _set(layer, {"reset_amount": None})
    bias = np.zeros(shape) if layer.options["bias"] is None else _full(layer, layer.bias)
    leaks, synapse = isinstance(layer, LIF), layer.alpha_syn is not None
    if not leaks and bias.any():
        faults.append(Fault("ND1601", "", "a bias of neurons without leak", "one in the weights before: IF has none"))
    if not leaks and synapse and layer.rec_connect is not None:
        must = "one of both: NIR has no IF with a current"
        faults.append(Fault("ND1601", "", "neurons without leak, with a current and recurrent", must))
    raise_if(faults)
    contract = Contract(
        dt_s,
        reset="value" if options["reset"] != "subtract" else "subtract",
        comparison=options["comparison"],
        max_spikes=options["max_spikes"],
        v_min=options["v_min"],
        recurrent_bias=not _has_bias(layer.rec_connect),
    )
    fields: dict[str, Value] = {"v_threshold": _full(layer, layer.threshold)}
    if options["reset"] != "subtract":
        fields["v_reset"] = np.full(shape, float(options["reset_value"]))
    syn = 1 - _full(layer, layer.alpha_syn) if synapse else np.ones(shape)
    back = layer.rec_connect
    if not leaks:
        fields["r"] = np.full(shape, 1 / dt_s)
        found = [NodeOf("IF", fields, shape, "", contract, back)]
        if synapse:
            current = {"tau": dt_s / syn, "r": (1 - syn) / syn, "v_leak": np.zeros(shape)}
            found.insert(0, NodeOf("LI", current, shape, "current"))
        return found
    share = 1 - _full(layer, layer.alpha_mem)
    fields |= {
        "r": np.ones(shape) if options["norm_input"] else 1 / share,
        "v_leak": bias / share,
    }
    if not synapse:
        return [NodeOf("LIF", fields | {"tau": dt_s / share}, shape, "", contract, back)]
    fields |= {"tau_mem": dt_s / share, "tau_syn": dt_s / syn, "w_in": (1 - syn) / syn}
    return [NodeOf("CubaLIF", fields, shape, "", contract, back)]


def _late(layer: Any, dt_s: float) -> list[NodeOf]:
    """Leaky, Synaptic, RLeaky, RSynaptic."""
    options, shape = layer.options, layer.shape
    keep = np.clip(_full(layer, layer.beta), 0, 1)
    level = _full(layer, layer.threshold)
    if options["reset"] == "none" and type(layer) is Leaky and not keep.any():
        return [NodeOf("Threshold", {"threshold": level}, shape, "", Contract(dt_s))]
    faults = []
    if options["reset"] == "none":
        faults.append(Fault("ND1601", "", "reset = 'none'", "subtract or zero: neurons of NIR are reset"))
    if np.any(_full(layer, layer.graded) != 1):
        faults.append(Fault("ND1601", "", "graded spikes", "1: spikes of NIR have no value"))
    summing = bool(np.all(keep == 1)) and isinstance(layer, Leaky | RLeaky)
    if not summing and np.any(keep == 1):
        faults.append(
            Fault("ND1601", "", "beta = 1 for some neurons", "below 1, or 1 for a whole layer without current")
        )
    raise_if(faults)
    double = bool(options["compat"])
    back = layer.rec_connect
    if options.get("rec_weight") is not None:
        back = _full(layer, layer.rec_weight)
    # only where the reset is late do the two kinds of layers differ in what a bias does first
    contract = Contract(
        dt_s,
        reset="zero" if options["reset"] == "zero" else "subtract",
        reset_delay=int(options["reset_delay"]),
        double_reset=double,
    )
    fields: dict[str, Value] = {"v_threshold": level}
    if options["reset"] == "zero":
        fields["v_reset"] = np.zeros(shape)
    if summing:
        return [NodeOf("IF", fields | {"r": np.full(shape, 1 / dt_s)}, shape, "", contract, back)]
    share = 1 - keep
    fields |= {"r": 1 / share, "v_leak": np.zeros(shape)}
    if isinstance(layer, Leaky | RLeaky):
        return [NodeOf("LIF", fields | {"tau": dt_s / share}, shape, "", contract, back)]
    syn = 1 - np.clip(_full(layer, layer.alpha), 0, 1)
    if not syn.all():
        raise Refusal(Fault("ND1601", "", "alpha = 1", "below 1: a current of NIR decays"))
    fields |= {"tau_mem": dt_s / share, "tau_syn": dt_s / syn, "w_in": 1 / syn}
    return [NodeOf("CubaLIF", fields, shape, "", contract, back)]


def _has_bias(module: torch.nn.Module | None) -> bool:
    parts = module.modules() if module is not None else ()
    return any(getattr(part, "bias", None) is not None or getattr(part, "offset", None) is not None for part in parts)
