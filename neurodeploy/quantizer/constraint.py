"""A float model that computes as the chip will: decays on its grid, its spike caps, its delays; still float."""

import copy
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import torch

from neurodeploy.chips import Chip, NeuronKind
from neurodeploy.errors import Fault, raise_if
from neurodeploy.layers import IAF, LIF, Delay, Neuron
from neurodeploy.quantizer.decays import Floats, decay_faults, decay_grid, decay_keep, decay_registers
from neurodeploy.quantizer.lower import choose_kind, flat, lower_piece, neuron_faults, pieces


def constrain(model: torch.nn.Module, chip: Chip) -> torch.nn.Sequential:
    """Copy of a model that computes as the chip will, in float.

    Decays lie on the chip's grid (trained ones in every forward pass, also after an optimizer step), a neuron fires at
    most as often in a step as the chip's, and a delay stands wherever the chip's connections have one. The order of
    decay and input is that of the layers already. The argument is not changed; weights are copied; nested Sequentials
    become one. A model that is constrained already comes back equal.

    Raises Refusal with everything that cannot be had by constraining: modules, resets, comparisons, delays, time
    constants outside the grid.
    """
    parts, faults = pieces(model)
    raise_if(faults)
    source, source_name, given = chip.inputs()[0], chip.inputs()[0].name, parts[0].linear.in_features
    replaced, delays = dict[str, torch.nn.Module](), dict[str, int]()
    for index, part in enumerate(parts):
        kind, more = choose_kind(chip, source, part, last=index == len(parts) - 1)
        faults += more
        if kind is None or kind.deploy is None:
            break
        neuron, more = _constrained(f"{chip.name}, layer {part.name!r}", kind, part.neuron)
        faults += more
        if neuron is not None:
            own = replace(part, neuron=neuron)
            faults += neuron_faults(chip, kind, own)
            faults += lower_piece(chip, kind, own, source, source_name, given)[1]
            replaced[part.name] = neuron
        base = chip.delay(chip.between(source.name, kind.name)[0].name, source.name)
        if part.delay is None and base:
            delays[part.linear_name] = base
        source, source_name, given = kind, part.name, part.linear.out_features
    raise_if(faults)
    layers: OrderedDict[str, torch.nn.Module] = OrderedDict()
    for name, module in flat(model):
        if name in delays:
            layers[_free(f"delay_{name}", layers)] = Delay(delays[name]).train(model.training)
        layers[_free(name, layers)] = replaced[name] if name in replaced else copy.deepcopy(module)
    result = torch.nn.Sequential(layers)
    result.training = model.training
    return result


def _free(name: str, taken: OrderedDict[str, torch.nn.Module]) -> str:
    """Name of a layer without dots, and not taken."""
    name = name.replace(".", "_")
    while name in taken:
        name += "_"
    return name


def _constrained(where: str, kind: NeuronKind, layer: Neuron) -> tuple[Neuron | None, list[Fault]]:
    """The layer with the chip's cap and decays; None where its decays have no place on the chip."""
    if not isinstance(layer, LIF | IAF) or type(layer) not in (LIF, IAF) or kind.deploy is None:
        return layer, []
    faults = [replace(fault, where=where) for fault in layer.faults()]
    keeps = {}
    for name in kind.deploy.decay:
        alpha = _alpha(layer, name)
        if alpha is not None and not faults:
            keeps[name] = alpha.detach().double().cpu().numpy()
            faults += decay_faults(where, kind, name, np.broadcast_to(keeps[name], layer.shape).reshape(-1))
    if faults:
        return None, faults
    capped = rebuilt(layer, max_spikes=kind.deploy.max_spikes)
    for name, keep in keeps.items():
        _set_decay(capped, kind, name, keep)
    return capped, []


def rebuilt(layer: LIF | IAF, *, into: type[LIF | IAF] | None = None, **changed: object) -> LIF | IAF:
    """The same layer with other options and no state; weights and time constants are those of the layer.

    into : another class; its options are those of the layer and the changed ones together
    """
    options = layer.options | changed
    for name in ("tau_mem", "tau_syn", "threshold", "bias"):
        if options.get(name) is not None and name not in changed:
            options[name] = current(layer, name)
    result = (into or type(layer))(
        **options,
        rec_connect=copy.deepcopy(layer.rec_connect),
        surrogate=layer.surrogate,
        record_states=layer.record_states,
        check_input=layer.check_input,
        executor=layer.executor,
    )
    for name, parameter in layer.named_parameters(recurse=False):
        getattr(result, name).requires_grad_(parameter.requires_grad)
    result.train(layer.training)
    return result


def current(layer: LIF | IAF, name: str) -> torch.Tensor:
    """Present value of an option that is a tensor; of a trained time constant, what its decay stands for."""
    trained = isinstance(getattr(layer, name.replace("tau_", "decay_"), None), torch.nn.Parameter)
    alpha = _alpha(layer, name.replace("tau_", "alpha_")) if name.startswith("tau_") and trained else None
    value = getattr(layer, name) if alpha is None else -1 / torch.log(alpha)
    return torch.as_tensor(value).detach().clone()


def _alpha(layer: LIF | IAF, name: str) -> torch.Tensor | None:
    if name == "alpha_mem":
        return None if isinstance(layer, IAF) else layer.alpha_mem
    return layer.alpha_syn


def _set_decay(layer: LIF | IAF, kind: NeuronKind, name: str, keep: Floats) -> None:
    """Put a decay of our own copy of a layer on the grid; a trained one stays there."""
    registers = decay_registers(kind, name, keep.reshape(-1))
    snapped = [decay_keep(kind, name, register or 0) for register in registers]
    trained = getattr(layer, name.replace("alpha_", "decay_"), None)
    tensor = trained if trained is not None else getattr(layer, name.replace("alpha_", "tau_"))
    values = torch.as_tensor(np.reshape(snapped, tensor.shape), dtype=layer.dtype, device=tensor.device)
    if isinstance(trained, torch.nn.Parameter):
        trained.data.copy_(values)
        layer.set_grid(name.replace("alpha_", "decay_"), decay_grid(kind, name))
    else:
        tensor.copy_(-1 / torch.log(values))
