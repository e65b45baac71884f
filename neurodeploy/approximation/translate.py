"""Other neurons written as LIF or IAF: in equal words where they are equal, nearly so where one rule differs.

A neuron may scale its membrane: v and c v with the thresholds T and c T fire alike. So a gain in front of the membrane
becomes a factor on the threshold, and the weights before the layer stay as they are.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from neurodeploy.layers import IAF, LIF, Lapicque, Leaky, Neuron, RefractoryIF, RLeaky, RSynaptic, Synaptic

#: What a neuron needs that no text of an LIF or IAF has, by class; another class has OTHERWISE.
REASONS: Mapping[str, str] = {
    "ALIF": "its threshold rises with each spike",
    "Alpha": "its membrane is the difference of two currents and is reset by changing them",
    "ExpIF": "its membrane runs away exponentially near the threshold",
    "ExpLeak": "it never fires: its output is the membrane",
    "GIF": "its threshold follows the membrane, and each spike starts internal currents",
}
OTHERWISE = "nothing is known about how its text could be written as LIF or IAF"


@dataclass(frozen=True)
class Translation:
    """A neuron as LIF or IAF.

    layer : None where it cannot be written so
    changes : sentences about what is not the same; without any both fire alike
    reasons : why it cannot be written so
    """

    layer: LIF | IAF | None
    changes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def translate(layer: Neuron) -> Translation:
    """Write a neuron as LIF or IAF with its present parameters; a translated decay is not trained any further."""
    if isinstance(layer, LIF | IAF) and type(layer) in (LIF, IAF):
        return Translation(layer)
    known = _TRANSLATORS.get(type(layer))
    with torch.no_grad():
        return Translation(None, (), (REASONS.get(type(layer).__name__, OTHERWISE),)) if known is None else known(layer)


@dataclass(frozen=True)
class _Form:
    """What the neurons with a delayed reset have in common.

    keep, keep_syn : decay fractions of membrane and current; no current: None
    gain : factor from the input (or the current) to the membrane
    input_kept : whether a late reset to zero keeps the input of its step
    """

    keep: torch.Tensor
    keep_syn: torch.Tensor | None = None
    gain: torch.Tensor | float = 1.0
    input_kept: bool = False


def _leaky(layer: Any) -> _Form:
    return _Form(layer.beta.clip(0, 1), input_kept=type(layer) is Leaky)


def _synaptic(layer: Any) -> _Form:
    return _Form(layer.beta.clip(0, 1), layer.alpha.clip(0, 1))


def _lapicque(layer: Any) -> _Form:
    circuit = layer.derived()
    dt = layer.dt
    return _Form(1 - dt / (circuit["r"] * circuit["c"]), gain=dt / circuit["c"])


def _delayed(form_of: Callable[[Any], _Form]) -> Callable[[Any], Translation]:
    def delayed(layer: Any) -> Translation:
        form, options = form_of(layer), layer.options
        reset, late = options["reset"], options["reset_delay"]
        reasons = []
        if reset == "none":
            reasons.append("its membrane is never reset")
        if bool((layer.graded != 1).any()):
            reasons.append("its spikes have a value other than 1, which belongs into the weights behind it")
        if not bool(((form.keep > 0) & (form.keep < 1)).all() | (form.keep == 1).all()):
            reasons.append("a decay fraction of its membrane is not between 0 and 1")
        if form.keep_syn is not None and bool(((form.keep_syn <= 0) | (form.keep_syn >= 1)).any()):
            reasons.append("a decay fraction of its current is not between 0 and 1")
        if options.get("rec_weight") is not None and len(layer.shape) > 1:
            reasons.append("weights of its own spikes are translated for layers of one dimension")
        if reasons:
            return Translation(None, (), tuple(reasons))
        changes = list(_late_changes(reset, late=late, form=form))
        if "snntorch-double-reset" in options["compat"]:
            changes.append("the threshold is subtracted once, and not taken off again while the membrane exceeds it")
        # the current of LIF decays with its new input: it is keep_syn times that of the neuron
        scale = (1.0 if form.keep_syn is None else form.keep_syn) / form.gain
        made = _made(
            layer,
            None if bool((form.keep == 1).all()) else form.keep,
            form.keep_syn,
            threshold=layer.threshold * scale,
            reset=reset,
            comparison=">",
            back=_back(layer),
        )
        return Translation(made, tuple(changes))

    return delayed


def _late_changes(reset: str, *, late: bool, form: _Form) -> tuple[str, ...]:
    if not late or (reset == "zero" and form.input_kept):
        return ()  # a membrane that is zeroed before the next decay is zeroed at the end of the step as well
    if reset == "zero":
        return ("it is reset in the step of the spike, so that the input of the next step counts",)
    if bool((form.keep == 1).all()):
        return ()
    return ("it is reset in the step of the spike, so that what is subtracted decays once, too",)


def _refractory(layer: Any) -> Translation:
    reasons, options = [], layer.options
    waits = layer.tau_ref if options["compat"] else layer.tau_ref_steps  # the mode counts time, the text counts steps
    if bool((waits > 0).any()):
        reasons.append("it rests for a while after each spike")
    if options["is_inhibitory"]:
        reasons.append("its spikes have the value -1, which belongs into the weights behind it")
    height = (layer.threshold - layer.v_rest) / layer.resistance
    if bool((layer.resistance <= 0).any()) or bool((height <= 0).any()):
        reasons.append("its threshold must lie above its rest, and its resistance above 0")
    low = None
    if options["v_min"] is not None:
        lows = (options["v_min"] - layer.v_rest) / layer.resistance
        low = float(lows.flatten()[0])
        if bool((lows != low).any()):
            reasons.append("its lower bound is another one for each neuron in units of the input")
    if reasons:
        return Translation(None, (), tuple(reasons))
    made = _made(layer, None, None, threshold=height, reset="zero", comparison=">=", back=_back(layer), v_min=low)
    return Translation(made)


def _made(
    layer: Neuron,
    keep: torch.Tensor | None,
    keep_syn: torch.Tensor | None,
    *,
    back: torch.nn.Module | None,
    **same: Any,
) -> LIF | IAF:
    """LIF with these decay fractions, IAF without one of the membrane; it fires at most once in a step."""
    taus = {} if keep_syn is None else {"tau_syn": -1 / torch.log(keep_syn)}
    common = taus | same | {"max_spikes": 1, "rec_connect": back, "record_states": layer.record_states}
    if keep is None:
        return IAF(layer.shape, **common).train(layer.training)
    made = LIF(layer.shape, -1 / torch.log(keep), norm_input=False, **common)
    return made.train(layer.training)


def _back(layer: Any) -> torch.nn.Module | None:
    """Recurrent connection; a weight for each neuron's own spike becomes a diagonal matrix."""
    back: torch.nn.Module | None = copy.deepcopy(layer.rec_connect)
    if layer.options.get("rec_weight") is None:
        return back
    weight = layer.rec_weight
    (size,) = layer.shape
    own = torch.nn.Linear(size, size, bias=False, dtype=weight.dtype)
    own.weight.data = torch.diag(weight.detach().expand(size).clone())
    return own


_TRANSLATORS: Mapping[type, Callable[[Any], Translation]] = {
    Lapicque: _delayed(_lapicque),
    Leaky: _delayed(_leaky),
    RLeaky: _delayed(_leaky),
    RSynaptic: _delayed(_synaptic),
    RefractoryIF: _refractory,
    Synaptic: _delayed(_synaptic),
}
