"""Neurons of Norse as ours: the meaning that the preset of its NIR files states, with the module's own step."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from neurodeploy.errors import Refusal
from neurodeploy.foreign.values import Made, Source
from neurodeploy.nir.contract import Contract
from neurodeploy.nir.graph import Node
from neurodeploy.nir.neurons import Floats, Loop, neuron_layers
from neurodeploy.nir.presets import PRESETS

#: reset functions of norse.torch.functional.reset
_RESETS = {"reset_value": "value", "reset_subtract": "subtract"}


def make_lif(source: Source) -> Made:
    """LIF, LIFCell: a current that takes its input before the membrane takes it, and decays after."""
    return _made(source, "CubaLIF", {"tau_mem", "tau_syn", "v_leak"})


def make_box(source: Source) -> Made:
    """LIFBoxCell: without a current."""
    return _made(source, "LIF", {"tau", "v_leak"})


def make_leak(source: Source) -> Made:
    """LI, LICell: the membrane is returned."""
    return _made(source, "CubaLI", {"tau_mem", "tau_syn", "v_leak"})


def make_box_leak(source: Source) -> Made:
    """LIBoxCell."""
    return _made(source, "LI", {"tau", "v_leak"})


def make_iaf(source: Source) -> Made:
    """IAF, IAFCell: membranes begin where the reset leaves them, so they are counted from there."""
    return _made(source, "IF", set())


def make_recurrent(source: Source) -> Made:
    """LIFRecurrent, LIFRecurrentCell: input weights, and spikes that come back one step later."""
    first, back = _weights(source.module.input_weights), _weights(source.module.recurrent_weights)
    if not source.module.autapses:
        source.notes.append("autapses=False: the diagonal of the recurrent weights is 0, and training here may move it")
    source.shape = (first.out_features,)
    made = _made(source, "CubaLIF", {"tau_mem", "tau_syn", "v_leak"}, back)
    return replace(made, layers=(first, *made.layers))


def make_linear_leak(source: Source) -> Made:
    """LILinearCell: input weights and a leak."""
    first = _weights(source.module.input_weights)
    source.shape = (first.out_features,)
    made = make_leak(source)
    return replace(made, layers=(first, *made.layers))


def _weights(weight: torch.Tensor) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype, device="meta")
    layer.weight = torch.nn.Parameter(weight.detach().clone())
    return layer


def _made(source: Source, kind: str, names: set[str], back: torch.nn.Module | None = None) -> Made:
    p, fields = source.module.p, {"r": np.ones(1), "w_in": np.ones(1)}
    for name in sorted(names):
        value = getattr(p, "tau_mem_inv" if name == "tau" else f"{name}_inv" if name.startswith("tau") else name)
        array = _array(value)
        if name.startswith("tau") and array.min() <= 0:
            source.fault(f"{name}_inv is {array.min():g}", "above 0")
            array = np.ones(1)
        fields[name] = 1 / array if name.startswith("tau") else array
    contract = _contract(source)
    if kind.endswith("IF"):
        fields |= {"v_threshold": _array(p.v_th), "v_reset": _array(p.v_reset)}
        source.notes.append(f"surrogate {p.method!r} of Norse is not taken over: the layer's own trains here")
    if kind == "IF":
        fields["v_threshold"] = fields["v_threshold"] - fields["v_reset"]
        fields["v_reset"] = np.zeros(1)
    fields = {
        name: np.broadcast_to(value, source.shape) if value.size == 1 else value for name, value in fields.items()
    }
    if source.faults:
        raise Refusal(source.faults)
    loop = None if back is None else Loop(back, np.zeros(source.shape))
    try:
        layers = neuron_layers(Node(source.where, kind, fields), source.shape, contract, source.dtype, loop)
    except Refusal as refusal:
        raise Refusal([replace(fault, where=source.where) for fault in refusal.faults]) from None
    return Made(tuple(layers), tuple(source.notes))


def _contract(source: Source) -> Contract:
    """The preset says what is the same in every file; the module what no file tells."""
    method = getattr(source.module.p, "reset_method", None)
    name = "reset_value" if method is None else getattr(method, "__name__", "")
    if name not in _RESETS or (method is not None and not method.__module__.startswith("norse.")):
        source.fault(f"reset_method {name or type(method).__name__}", f"one of {', '.join(_RESETS)}")
        name = "reset_value"
    own: dict[str, Any] = {"dt_s": float(source.module.dt), "time_unit": "s", "reset": _RESETS[name]}
    return Contract(**{**PRESETS["norse"].values, **own})


def _array(value: Any) -> Floats:
    found = torch.as_tensor(value).detach().double().cpu().numpy()
    return np.atleast_1d(found)
