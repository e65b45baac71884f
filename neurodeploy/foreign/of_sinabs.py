"""Layers of sinabs as ours: neurons.md 3, its corrected rules, its errata refused or named."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch

from neurodeploy.foreign.values import Made, Source, options_of, trained
from neurodeploy.layers import ALIF, IAF, LIF, ExpLeak, PeriodicExponential, SingleExponential
from neurodeploy.layers.surrogates import Gaussian, HeavisideWindow, MultiGaussian, Surrogate

_DRAWN = "sinabs draws states at random where the batch changes; here another batch is refused until reset_states()"
_SURROGATES: Mapping[str, tuple[Callable[..., Surrogate], Mapping[str, str]]] = MappingProxyType(
    {
        "SingleExponential": (SingleExponential, {"width": "grad_width", "scale": "grad_scale"}),
        "PeriodicExponential": (PeriodicExponential, {"width": "grad_width", "scale": "grad_scale"}),
        "Gaussian": (Gaussian, {"sigma": "sigma", "scale": "grad_scale"}),
        "MultiGaussian": (MultiGaussian, {"sigma": "sigma", "height": "h", "spread": "s", "scale": "grad_scale"}),
        "Heaviside": (HeavisideWindow, {"window": "window"}),
    }
)


def make_lif(source: Source) -> Made:
    """LIF and IAF, squeezed or recurrent ones too."""
    module = source.module
    if _is_integrator(module):
        return source.made(IAF, **_firing(source), **_decays(source, "tau_syn"))
    taus = _decays(source, "tau_mem", "tau_syn")
    return _exact(source, source.made(LIF, **_firing(source), **taus, norm_input=bool(module.norm_input)))


def make_leak(source: Source) -> Made:
    """ExpLeak: the membrane is returned."""
    low = source.number("min_v_mem", source.module.min_v_mem)
    options = {"norm_input": bool(source.module.norm_input), "v_min": low}
    return _exact(source, source.made(ExpLeak, **_decays(source, "tau_mem"), **options))


def make_alif(source: Source) -> Made:
    """ALIF: the synapse that keeps the normalised current is a mode of ours."""
    module = source.module
    taus = _decays(source, "tau_mem", "tau_adapt", "tau_syn")
    stored = "tau_syn" in taus and module.norm_input
    if "tau_syn" in taus:
        source.notes.append("sinabs forgets i_syn between calls; here it stays until reset_states()")
    if stored:
        source.notes.append("sinabs-alif-syn-norm: the normalised current is stored, as sinabs does")
    firing = _firing(source, module.b0)
    scale = source.tensor(module.adapt_scale)
    options = {"norm_input": bool(module.norm_input), "compat": ("sinabs-alif-syn-norm",) if stored else ()}
    return _exact(source, source.made(ALIF, **firing, **taus, adapt_scale=scale, **options))


def _is_integrator(module: Any) -> bool:
    return any(kind.__name__ in ("IAF", "IAFRecurrent") for kind in type(module).__mro__)


def _decays(source: Source, *names: str) -> dict[str, Any]:
    """Time constants in steps; trained ones as their decays."""
    module, found, learned = source.module, dict[str, Any](), False
    for name in names:
        alpha = getattr(module, name.replace("tau_", "alpha_"), None) if module.train_alphas else None
        value = getattr(module, name, None) if alpha is None else alpha
        if value is None:
            continue
        learned |= bool(trained(value=value))
        tau = source.tensor(value)
        found[name] = tau if alpha is None else -1 / torch.log(tau)
    return found | ({"train_tau": True} if learned else {})


def _exact(source: Source, made: Made) -> Made:
    """Alphas that sinabs trains are taken as they are, not by way of a time constant."""
    for name in ("mem", "syn", "adapt"):
        alpha, decay = getattr(source.module, f"alpha_{name}", None), getattr(made.layers[0], f"decay_{name}", None)
        if source.module.train_alphas and alpha is not None and decay is not None:
            decay.data.copy_(source.tensor(alpha))
    return made


def _firing(source: Source, threshold: Any = None) -> dict[str, Any]:
    module = source.module
    threshold = module.spike_threshold if threshold is None else threshold
    options: dict[str, Any] = {
        "threshold": source.tensor(threshold),
        "v_min": source.number("min_v_mem", module.min_v_mem),
        "train": trained(threshold=threshold),
    }
    spike = module.spike_fn if isinstance(module.spike_fn, type) else type(module.spike_fn)
    if not spike.__module__.startswith("sinabs.activation") or spike.__name__ not in _MOST:
        source.fault(f"spike_fn {spike.__module__}.{spike.__name__}", f"one of {', '.join(_MOST)}")
    else:
        options["max_spikes"] = _MOST[spike.__name__](module.spike_fn)
    options |= _reset(source) | _surrogate(source)
    if "rec_connect" in module._modules:  # noqa: SLF001 - torch has no public way to ask
        options["rec_connect"] = source.connection(module.rec_connect)
    source.notes.append(_DRAWN)
    return options


#: spike_fn -> most spikes of a neuron in one step
_MOST: Mapping[str, Callable[[Any], int | None]] = MappingProxyType(
    {"MultiSpike": lambda _: None, "SingleSpike": lambda _: 1, "MaxSpike": lambda fn: fn.max_num_spikes_per_bin}
)


def _reset(source: Source) -> dict[str, Any]:
    reset = source.module.reset_fn
    name = type(reset).__name__ if type(reset).__module__.startswith("sinabs.activation") else ""
    if name == "MembraneSubtract":
        amount = source.number("subtract_value", reset.subtract_value)
        return {"reset": "subtract"} if amount is None else {"reset": "subtract", "reset_amount": amount}
    if name == "MembraneReset":
        if source.number("reset_value", reset.reset_value):
            must = "reset_value 0: sinabs adds another one to every neuron in every step, also to silent ones"
            source.fault(f"MembraneReset({reset.reset_value})", must)
        return {"reset": "zero"}
    was = f"reset_fn {type(reset).__module__}.{type(reset).__qualname__}"
    source.fault(was, "MembraneSubtract or MembraneReset of sinabs")
    return {}


def _surrogate(source: Source) -> dict[str, Any]:
    given = source.module.surrogate_grad_fn
    kind = _SURROGATES.get(type(given).__name__)
    if kind is None or not type(given).__module__.startswith("sinabs.") or getattr(given, "mu", 0.0) != 0:
        source.notes.append(f"surrogate {type(given).__name__} has no counterpart: SingleExponential trains here")
        return {}
    return {"surrogate": kind[0](**options_of(given, kind[1]))}
