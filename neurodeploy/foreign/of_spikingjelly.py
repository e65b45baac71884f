"""Neurons of SpikingJelly as ours: forward Euler, membranes counted from where they begin."""

import math
from typing import Any

import torch

from neurodeploy.foreign.values import Made, Source
from neurodeploy.layers import IAF, LIF, Atan, Neuron
from neurodeploy.nir.presets import PRESETS

#: What its NIR files mean holds for its neurons, too.
_FIRING = {name: PRESETS["spikingjelly"].values[name] for name in ("comparison", "max_spikes", "v_min")}


def make_if(source: Source) -> Made:
    """IFNode."""
    return _made(source, IAF)


def make_lif(source: Source) -> Made:
    """LIFNode: a membrane keeps 1 - 1 / tau; with decay_input the input counts 1 / tau."""
    tau = source.tensor(source.module.tau).double()
    norm = bool(getattr(source.module, "decay_input", True))
    return _made(source, LIF, tau_mem=_steps(source, 1 - 1 / tau), norm_input=norm)


def make_plif(source: Source) -> Made:
    """ParametricLIFNode: one tau for the layer, trained as the decay 1 - sigmoid(w)."""
    keep = 1 - torch.sigmoid(source.tensor(source.module.w).double())
    learned = source.module.w.requires_grad
    norm = bool(source.module.decay_input)
    if learned:
        source.notes.append("w is trained as the decay 1 - sigmoid(w)")
    return _made(source, LIF, tau_mem=_steps(source, keep), norm_input=norm, train_tau=learned)


def _steps(source: Source, keep: torch.Tensor) -> torch.Tensor:
    return (-1 / torch.log(keep)).to(source.dtype)


def _made(source: Source, kind: type[Neuron], **options: Any) -> Made:
    module = source.module
    rest = 0.0 if module.v_reset is None else float(module.v_reset)
    start = getattr(module, "_memories_rv", {}).get("v", rest)
    simple = any(kind.__name__ == "SimpleBaseNode" for kind in type(module).__mro__)
    if (start != rest and not simple) or (simple and rest != 0) or isinstance(start, torch.Tensor):
        source.fault(f"membranes that begin at {start!r}", f"at v_reset, {rest:g}", "leave set_reset_value out")
    if getattr(module, "_neuron_precision", None) is not None:
        source.fault("a neuron of reduced precision", "the float type of the model")
    if not math.isfinite(float(module.v_threshold)) or float(module.v_threshold) <= rest:
        source.fault(f"v_threshold {module.v_threshold} and v_reset {rest:g}", "a threshold above v_reset")
    options["threshold"] = source.tensor(float(module.v_threshold) - rest)
    options["reset"] = "subtract" if module.v_reset is None else "zero"
    return source.made(kind, **options, **_FIRING, **_surrogate(source))


def _surrogate(source: Source) -> dict[str, Any]:
    given = source.module.surrogate_function
    kind = type(given)
    if not kind.__module__.startswith("spikingjelly.activation_based.surrogate"):
        was = f"surrogate_function {kind.__module__}.{kind.__qualname__}"
        source.fault(was, "one of SpikingJelly's: it decides the spikes, too")
    elif not given.spiking:
        source.fault(f"{kind.__name__}(spiking=False)", "spiking=True: otherwise no spikes leave the neuron")
    if kind.__name__ == "ATan":
        return {"surrogate": Atan(float(given.alpha))}
    source.notes.append(f"surrogate {kind.__name__} has no counterpart: SingleExponential trains here")
    return {}
