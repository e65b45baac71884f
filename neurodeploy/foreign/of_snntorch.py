"""Neurons of snnTorch as ours: neurons.md 4, its double reset as a mode of ours."""

from collections.abc import Callable, Mapping
from inspect import getclosurevars
from types import MappingProxyType
from typing import Any

from neurodeploy.foreign.values import Made, Source, trained
from neurodeploy.layers import Alpha, Atan, FastSigmoid, Lapicque, Leaky, Neuron, RLeaky, RSynaptic, Synaptic
from neurodeploy.layers.surrogates import StraightThrough

#: Bound methods that snnTorch chooses once, when a neuron is made.
_CHOSEN = MappingProxyType({"subtract": "_base_sub", "zero": "_base_zero", "none": "_base_int"})
_TWICE = "snntorch-double-reset"
_SURROGATES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = MappingProxyType(
    {
        "atan": lambda given: Atan(float(given["alpha"])),
        "fast_sigmoid": lambda given: FastSigmoid(float(given["slope"])),
        "straight_through_estimator": lambda _: StraightThrough(),
    }
)


def make_leaky(source: Source) -> Made:
    """Leaky."""
    return _made(source, Leaky, beta=source.module.beta)


def make_lapicque(source: Source) -> Made:
    """Lapicque: R and C decide, also where beta was given."""
    module = source.module
    if trained(beta=module.beta):
        source.notes.append("beta is trained there without any effect: R and C were made of it once")
    return _made(source, Lapicque, resistance=module.R, capacitance=module.C, dt=module.time_step)


def make_synaptic(source: Source) -> Made:
    """Synaptic."""
    return _made(source, Synaptic, alpha=source.module.alpha, beta=source.module.beta)


def make_alpha(source: Source) -> Made:
    """Alpha."""
    return _made(source, Alpha, alpha=source.module.alpha, beta=source.module.beta)


def make_rleaky(source: Source) -> Made:
    """RLeaky."""
    return _made(source, RLeaky, **_recurrent(source), beta=source.module.beta)


def make_rsynaptic(source: Source) -> Made:
    """RSynaptic."""
    if not source.module.reset_delay:
        must = "reset_delay=True: snnTorch itself raises, or loses the reset"
        source.fault("an RSynaptic with reset_delay=False", must)
    return _made(source, RSynaptic, **_recurrent(source), alpha=source.module.alpha, beta=source.module.beta)


def returns_states(module: Any) -> bool:
    """Whether a call gives (spikes, states ...)."""
    return bool(getattr(module, "output", False) or not getattr(module, "init_hidden", False))


def _recurrent(source: Source) -> dict[str, Any]:
    if source.module.all_to_all:
        return {"rec_connect": source.connection(source.module.recurrent)}
    return {"rec_weight": source.module.V}


def _made(source: Source, kind: type[Neuron], **values: Any) -> Made:
    module = source.module
    values |= {"threshold": module.threshold, "graded": module.graded_spikes_factor}
    names = {name: value for name, value in values.items() if name not in ("rec_connect", "resistance", "capacitance")}
    options: dict[str, Any] = {
        name: source.tensor(value) if name != "rec_connect" else value for name, value in values.items()
    }
    options["train"] = tuple(name for name in trained(**names) if name in kind.arguments)
    mechanism = module.reset_mechanism
    chosen = getattr(module.state_function, "__name__", "")
    if chosen != _CHOSEN.get(mechanism):
        was = f"reset_mechanism {mechanism!r}, and {chosen} that was chosen when it was made"
        source.fault(was, "one reset", "state reset_mechanism in the constructor")
    options["reset"] = mechanism
    if "reset_delay" in kind.arguments:
        delay = bool(getattr(module, "reset_delay", True))
        twice = not delay and mechanism == "subtract"
        options |= {"reset_delay": delay, "compat": (_TWICE,) if twice else ()}
        if twice:
            source.notes.append(f"{_TWICE}: the threshold is taken off again before the next test, as snnTorch does")
    if module.inhibition:
        source.fault("inhibition=True", "False: which neuron wins depends on the whole layer, and a text is about one")
    if module.state_quant:
        source.fault("state_quant", "states that nothing rounds: quantize the model for a chip instead")
    return source.made(kind, **options, **_surrogate(source))


def _surrogate(source: Source) -> dict[str, Any]:
    """The firing function is what it takes for a surrogate: one from elsewhere may fire in any way."""
    given = source.module.spike_grad
    name, _, inner = getattr(given, "__qualname__", type(given).__qualname__).partition(".")
    own = getattr(given, "__module__", "") == "snntorch.surrogate" and inner == "<locals>.inner"
    if own and name in _SURROGATES:
        return {"surrogate": _SURROGATES[name](getclosurevars(given).nonlocals)}
    if not own and not bool(source.module.surrogate_disable):
        was = f"spike_grad {getattr(given, '__module__', '')}.{name}"
        source.fault(was, "a function of snntorch.surrogate: it decides the spikes, too")
    source.notes.append(f"surrogate {name} has no counterpart: Atan trains here")
    return {}
