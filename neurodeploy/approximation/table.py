"""The substitutions: an option of a neuron, what stands for it on a chip that has no such option, and the sentence.

The chip's declared capabilities decide (``DeployEntry``: model, reset, comparison, max_spikes, lower_bound,
synaptic_current, decays), never its name. A rule gives None where it has nothing to do, or nothing to offer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from neurodeploy.chips import NeuronKind
from neurodeploy.chips.schema import DeployEntry
from neurodeploy.layers import IAF, LIF
from neurodeploy.quantizer.constraint import current, rebuilt
from neurodeploy.quantizer.decays import decay_grid, tau_of

#: Resets that may stand for another one, the nearest first: the first that the chip has is taken.
NEAREST_RESET = {"value": ("zero", "subtract"), "zero": ("subtract",), "subtract": ("zero",)}


@dataclass(frozen=True)
class Substitution:
    """One declared difference between a neuron of the model and what stands for it.

    layer : of the model
    option : what differs, a name of TABLE
    sentence : what was asked and what is computed in its place
    exact : both compute the same; only the words differ
    """

    layer: str
    option: str
    sentence: str
    exact: bool = False


Offer = tuple[LIF | IAF, str]


@dataclass(frozen=True)
class Rule:
    """A line of the table.

    option : what may have to be replaced
    offers : what the chip must declare
    apply : (layer, kind, its capabilities in a step) -> the substitute and the sentence; None: nothing to do, or no
        offer
    """

    option: str
    offers: str
    apply: Callable[[LIF | IAF, NeuronKind, DeployEntry], Offer | None]


def _model(layer: LIF | IAF, kind: NeuronKind, deploy: DeployEntry) -> Offer | None:
    if isinstance(layer, LIF) and "LIF" not in deploy.model and "IAF" in deploy.model:
        told = "a membrane that decays becomes one that never leaks"
        gain = (1 - layer.alpha_mem.detach()) if layer.options["norm_input"] else torch.ones((), dtype=layer.dtype)
        made = rebuilt(layer, into=IAF, **_scaled(layer, 1 / gain))
        return made, told + _scale_told(1 / gain)
    if not isinstance(layer, IAF) or "IAF" in deploy.model or "alpha_mem" not in deploy.decay:
        return None
    keep = max((k for k in decay_grid(kind, "alpha_mem") if k < 1), default=0.0)
    if keep <= 0:
        return None
    told = f"a membrane that never leaks becomes the slowest one, tau_mem = {tau_of(keep):.5g} steps"
    made = rebuilt(layer, into=LIF, tau_mem=torch.tensor(tau_of(keep), dtype=layer.dtype), norm_input=False)
    return made, told


def _scaled(layer: LIF | IAF, factor: torch.Tensor) -> dict[str, Any]:
    """Options of a layer whose membrane counts in other units, so that the same input is worth less or more."""
    result: dict[str, Any] = {}
    for name in ("threshold", "bias", "v_min", "reset_value", "reset_amount"):
        value = layer.options[name]
        if isinstance(value, float | int):
            one = float(factor.mean())
            result[name] = value * one
        elif value is not None:
            result[name] = current(layer, name) * factor
    return result


def _scale_told(factor: torch.Tensor) -> str:
    one = float(factor.mean())
    return "" if np.isclose(one, 1) else f"; the threshold is scaled by {one:.4g}"


def _reset(layer: LIF | IAF, _kind: NeuronKind, deploy: DeployEntry) -> Offer | None:
    asked = layer.options["reset"]
    nearest = next((reset for reset in NEAREST_RESET.get(asked, ()) if reset in deploy.reset), None)
    if asked in deploy.reset or nearest is None:
        return None
    words = {
        "zero": "a reset to zero",
        "subtract": "a reset by subtraction",
        "value": f"a reset to {layer.options['reset_value']}",
    }
    return rebuilt(layer, reset=nearest, reset_value=0.0, reset_amount=None), f"{words[asked]} becomes {words[nearest]}"


def _reset_amount(layer: LIF | IAF, _kind: NeuronKind, _deploy: DeployEntry) -> Offer | None:
    amount = layer.options["reset_amount"]
    if amount is None:
        return None
    return rebuilt(layer, reset_amount=None), f"a spike takes the threshold off the membrane, not {amount}"


def _comparison(layer: LIF | IAF, _kind: NeuronKind, deploy: DeployEntry) -> Offer | None:
    asked = layer.options["comparison"]
    if asked in deploy.comparison or not deploy.comparison:
        return None
    offered = deploy.comparison[0]
    return rebuilt(layer, comparison=offered), f"a spike where v {offered} threshold, not where v {asked} threshold"


def _max_spikes(layer: LIF | IAF, _kind: NeuronKind, deploy: DeployEntry) -> Offer | None:
    asked, offered = layer.options["max_spikes"], deploy.max_spikes
    if asked == offered:
        return None
    told = f"{_cap(offered)} in a step, not {_cap(asked)}"
    return rebuilt(layer, max_spikes=offered), told


def _cap(cap: int | None) -> str:
    return "any number of spikes" if cap is None else f"at most {cap} spike{'s' if cap > 1 else ''}"


def _current(layer: LIF | IAF, kind: NeuronKind, deploy: DeployEntry) -> Offer | None:
    if layer.alpha_syn is not None and deploy.synaptic_current == "absent":
        given = layer.alpha_syn.detach()
        factor = (1 - given) / given  # an event brought given + given**2 + ... in all; now it brings 1
        told = "the charge of an event arrives at once, not through a synaptic current"
        return rebuilt(layer, tau_syn=None, **_scaled(layer, factor)), told + _scale_told(factor)
    if layer.alpha_syn is not None or deploy.synaptic_current != "required" or "alpha_syn" not in deploy.decay:
        return None
    keep = min((k for k in decay_grid(kind, "alpha_syn") if 0 < k < 1), default=0.0)
    if keep <= 0:
        return None
    # an event brings keep + keep**2 + ... in all: the membrane and all that it is compared with grow by that factor
    charge = torch.tensor(keep / (1 - keep), dtype=layer.dtype)
    made = rebuilt(layer, tau_syn=torch.tensor(tau_of(keep), dtype=layer.dtype), **_scaled(layer, charge))
    told = f"input passes through the fastest current, tau_syn = {tau_of(keep):.4g} steps"
    return made, told + _scale_told(charge)


def _bound(layer: LIF | IAF, kind: NeuronKind, deploy: DeployEntry) -> Offer | None:
    low, register = layer.options["v_min"], deploy.lower_bound
    if low is not None and not register:
        return rebuilt(layer, v_min=None), f"the membrane may fall below {low}"
    if low is None and register and kind.parameters[register].default is None:
        least = -float(current(layer, "threshold").max())
        return rebuilt(layer, v_min=least), f"the membrane ends at {least:.4g}, minus the threshold"
    return None


#: In the order in which they are applied, each to what the one before it left. Before them the class is translated.
TABLE: tuple[Rule, ...] = (
    Rule("model", "a leak and a grid of decays, or none", _model),
    Rule("reset", "another reset, the nearest first", _reset),
    Rule("reset_amount", "subtraction of the threshold", _reset_amount),
    Rule("comparison", "the other comparison", _comparison),
    Rule("max_spikes", "another cap", _max_spikes),
    Rule("synaptic_current", "a current that cannot be left out and a grid of decays, or none", _current),
    Rule("lower_bound", "no lower bound, or always one", _bound),
)
