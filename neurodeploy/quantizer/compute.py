"""What a neuron layer of the model computes and a kind of the chip does not, as the chip's file states it."""

import torch

from neurodeploy.chips import Chip, NeuronKind
from neurodeploy.errors import Fault
from neurodeploy.layers import IAF, LIF
from neurodeploy.quantizer.decays import NEURON
from neurodeploy.quantizer.pieces import Piece

#: what a constant can be made of on any chip
INSTEAD = ", or give the network an input that fires in every step"


def neuron_faults(chip: Chip, kind: NeuronKind, piece: Piece) -> list[Fault]:
    """What the layer's neuron does and the chip's neuron does not."""
    deploy, module = kind.deploy, piece.neuron
    where, faults = f"{chip.name}, layer {piece.name!r}", list[Fault]()
    if deploy is None:
        return faults
    constrain = "nd.constrain(model, chip) sets it; train or evaluate the constrained model"

    def fault(was: str, must: str, todo: str, **values: object) -> None:
        faults.append(Fault(NEURON, where, was, must, todo, values))

    if not isinstance(module, LIF | IAF) or type(module) not in (LIF, IAF):
        known = " or ".join(deploy.model)
        fault(f"a {type(module).__name__} neuron", f"{kind.name} neurons compute {known}", f"use {known}")
        return faults
    if isinstance(module, IAF) and "IAF" not in deploy.model:
        todo = "use LIF with a long tau_mem"
        fault("an IAF neuron, which never leaks", f"the membrane of {kind.name} neurons always decays", todo)
    if isinstance(module, LIF) and "LIF" not in deploy.model:
        fault("an LIF neuron, which leaks", f"the membrane of {kind.name} neurons never decays", "use IAF")
    options = module.options
    for name, allowed in (("reset", deploy.reset), ("comparison", deploy.comparison)):
        if options[name] not in allowed:
            must = f"{kind.name} neurons have {' or '.join(map(repr, allowed))}"
            fault(f"{name} = {options[name]!r}", must, "train with it")
    cap = most_spikes(chip, kind)
    if options["max_spikes"] != cap:
        most = f"{kind.name} neurons fire at most {cap} times in a step"
        must = f"{kind.name} neurons fire as often in a step as events arrive" if cap is None else most
        fault(f"max_spikes = {options['max_spikes']}", must, constrain, max_spikes=cap)
    return [*faults, *_membrane_faults(where, kind, piece)]


def _membrane_faults(where: str, kind: NeuronKind, piece: Piece) -> list[Fault]:
    """Lower bound, synaptic current and constants."""
    deploy, module, faults = kind.deploy, piece.neuron, list[Fault]()
    if deploy is None or not isinstance(module, LIF | IAF):
        return faults

    def fault(was: str, must: str, todo: str) -> None:
        faults.append(Fault(NEURON, where, was, must, todo))

    low, options = deploy.lower_bound, module.options
    if options["v_min"] is not None and low is None:
        fault(f"v_min = {options['v_min']}", f"{kind.name} neurons have no lower bound", "set v_min=None and train so")
    if options["v_min"] is None and low is not None and kind.parameters[low].default is None:
        todo = "set v_min, for instance to minus the threshold, and train so"
        fault("v_min = None", f"the membrane of {kind.name} neurons ends at {low!r}", todo)
    synapse = module.alpha_syn is not None
    if deploy.synaptic_current == "required" and not synapse:
        fault("no synaptic current", f"{kind.name} neurons always have one", "set tau_syn")
    if deploy.synaptic_current == "absent" and synapse:
        fault("a synaptic current", f"{kind.name} neurons have none", "set tau_syn=None")
    if options["reset_amount"] is not None:
        must, todo = f"{kind.name} neurons subtract their threshold", "set reset_amount=None and train so"
        fault(f"reset_amount = {options['reset_amount']}", must, todo)
    if bias_of(module) is not None and deploy.bias is None:
        fault("a bias", f"{kind.name} neurons have none", f"set bias=None and train so{INSTEAD}")
    if piece.bias is not None and (piece.bias != 0).any():
        before = piece.ways[0].weights or piece.ways[0].entry
        if synapse:
            was = f"a bias in {before!r}, which would pass through the synaptic current"
            fault(
                was, "the chip adds a bias to the membrane only", "use Linear(..., bias=False) and LIF(..., bias=0.0)"
            )
        elif deploy.bias is None:
            fault(f"a bias in {before!r}", f"{kind.name} neurons have none", f"use bias=False and train so{INSTEAD}")
    return faults


def most_spikes(chip: Chip, kind: NeuronKind) -> int | None:
    """Most events of a neuron in one step; None for any number, as where each arriving event may make one."""
    return None if chip.event_driven or kind.deploy is None else kind.deploy.max_spikes


def bias_of(module: torch.nn.Module) -> torch.Tensor | None:
    """Constant of a neuron layer, None where it has none."""
    bias = getattr(module, "bias", None)
    return bias if isinstance(bias, torch.Tensor) else None
