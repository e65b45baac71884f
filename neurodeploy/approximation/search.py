"""Search: for each neuron of a model, the nearest that the chip computes; every step of the way is declared."""

import copy
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from neurodeploy.approximation.measure import SpikeError
from neurodeploy.approximation.table import TABLE, Substitution
from neurodeploy.approximation.translate import translate
from neurodeploy.chips import Chip, NeuronKind
from neurodeploy.errors import Fault, raise_if
from neurodeploy.layers import IAF, LIF, Neuron
from neurodeploy.quantizer.compute import most_spikes, neuron_faults
from neurodeploy.quantizer.constraint import with_modules
from neurodeploy.quantizer.wiring import wire


@dataclass(frozen=True)
class LayerLoss:
    """What became of one layer's neuron.

    loss : "faithful": computed as the model has it, up to the rounding that the quantizer reports; or "approximated"
    substitutions : in what it differs, or is only worded differently
    errors : measured on calibration data; empty without
    """

    layer: str
    loss: str
    substitutions: tuple[Substitution, ...]
    errors: tuple[SpikeError, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def layer_losses(
    names: Collection[str], substitutions: Collection[Substitution], errors: Collection[SpikeError] = ()
) -> tuple[LayerLoss, ...]:
    """Loss report: one entry for each layer of neurons."""
    result = []
    for name in names:
        own = tuple(s for s in substitutions if s.layer == name)
        loss = "faithful" if all(s.exact for s in own) else "approximated"
        result.append(LayerLoss(name, loss, own, tuple(e for e in errors if e.layer == name)))
    return tuple(result)


def substitute(
    model: torch.nn.Module, chip: Chip, *, only: Collection[str] | None = None
) -> tuple[torch.nn.Module, tuple[Substitution, ...]]:
    """Replace each neuron that the chip does not compute by the nearest that it does.

    A neuron that the chip computes is left alone. Another one is first written as LIF or IAF (``translate``); then
    every rule of TABLE in turn replaces one option that the chip does not have. The argument is not changed. Decays
    and delays are the business of ``constrain``, which comes after.

    only : names of rules; others are not applied and classes are not translated
    Raises Refusal (ND1701) for every neuron without a substitute, with the reasons, ND1603 for modules.
    """
    wiring, unwired = wire(model, chip)
    faults = list(unwired) if wiring is None else []
    replaced, declared = dict[str, torch.nn.Module](), list[Substitution]()
    for layer in wiring.layers if wiring else ():
        kind, part = layer.kind, layer.piece
        neuron, steps = part.neuron, list[Substitution]()
        if neuron_faults(chip, kind, part):
            neuron, steps, more = _nearest(chip, kind, part.name, part.neuron, only)
            # a neuron without a substitute is at fault itself; of another one, what no rule could replace
            left = neuron_faults(chip, kind, replace(part, neuron=neuron))
            faults += more or (left if only is None else [])
        replaced[part.name] = neuron
        declared += steps
    raise_if(faults)
    return with_modules(model, replaced, {}), tuple(declared)


def _nearest(
    chip: Chip, kind: NeuronKind, name: str, given: Neuron, only: Collection[str] | None
) -> tuple[Neuron, list[Substitution], list[Fault]]:
    where, steps = f"{chip.name}, layer {name!r}", list[Substitution]()
    deploy, neuron = kind.deploy, given
    if deploy is None:
        return given, [], []
    if only is None:
        found = translate(given)
        title = type(given).__name__
        if found.layer is None:
            known = " or ".join(deploy.model)
            must, todo = f"{kind.name} neurons compute {known}", f"train with {known}"
            was, values = f"{title} has no substitute: {'; '.join(found.reasons)}", {"reasons": found.reasons}
            return given, [], [Fault("ND1701", where, was, must, todo, values)]
        if found.layer is not given:
            told = f"written as {type(found.layer).__name__}"
            steps.append(Substitution(name, "class", told, exact=True))
            steps += [Substitution(name, "class", change) for change in found.changes]
        neuron = found.layer
    capable = deploy.model_copy(update={"max_spikes": most_spikes(chip, kind)})
    for rule in TABLE:
        if not isinstance(neuron, LIF | IAF) or type(neuron) not in (LIF, IAF):
            break  # a class that only translation would change
        offer = rule.apply(neuron, kind, capable) if only is None or rule.option in only else None
        if offer is not None:
            neuron = offer[0]
            steps.append(Substitution(name, rule.option, offer[1]))
    return neuron, steps, []


def swapped(model: torch.nn.Module, neurons: Mapping[str, Neuron]) -> torch.nn.Module:
    """Copy of a model with other neurons in some of its places."""
    return with_modules(model, {name: copy.deepcopy(neuron) for name, neuron in neurons.items()}, {})
