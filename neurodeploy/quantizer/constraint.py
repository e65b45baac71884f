"""A float model that computes as the chip will: decays on its grid, its spike caps, its delays; still float."""

import copy
from collections import OrderedDict

import numpy as np
import torch

from neurodeploy.chips import Chip, NeuronKind
from neurodeploy.errors import raise_if
from neurodeploy.layers import LIF, Delay, Neuron
from neurodeploy.quantizer.lower import (
    Piece,
    choose_kind,
    decay_faults,
    decay_grid,
    decay_keep,
    decay_register,
    neuron_faults,
    pieces,
)


def constrain(model: torch.nn.Module, chip: Chip) -> torch.nn.Sequential:
    """Copy of a model that computes as the chip will, in float.

    Decays lie on the chip's grid (trained ones in every forward pass, also after an optimizer step), a neuron fires at
    most as often in a step as the chip's, and a delay stands wherever the chip's connections have one. The order of
    decay and input is that of the layers already. The argument is not changed; weights are copied.

    Raises Refusal with everything that cannot be had by constraining: modules, resets, comparisons, time constants
    outside the grid.
    """
    parts, faults = pieces(model)
    raise_if(faults)
    source, replaced, delays = chip.inputs()[0], dict[str, torch.nn.Module](), dict[str, int]()
    for index, part in enumerate(parts):
        kind, more = choose_kind(chip, source, part, last=index == len(parts) - 1)
        faults += more
        if kind is None or kind.deploy is None:
            break
        where = f"{chip.name}, layer {part.name!r}"
        capped = copy.deepcopy(part.neuron)
        if isinstance(capped, LIF):
            capped = rebuilt(capped, max_spikes=kind.deploy.max_spikes)
            faults += _on_grid(where, kind, capped)
        faults += neuron_faults(chip, kind, Piece(part.name, capped, part.linear_name, part.linear, part.delay))
        replaced[part.name] = capped
        connection = chip.between(source.name, kind.name)[0]
        if part.delay is None and chip.delay(connection.name, source.name):
            delays[part.linear_name] = chip.delay(connection.name, source.name)
        source = kind
    raise_if(faults)
    layers: OrderedDict[str, torch.nn.Module] = OrderedDict()
    for name, module in _leaves(model):
        if name in delays:
            layers[f"delay_{name}".replace(".", "_")] = Delay(delays[name])
        layers[name.replace(".", "_")] = replaced.get(name, copy.deepcopy(module))
    return torch.nn.Sequential(layers)


def _leaves(model: torch.nn.Module, prefix: str = "") -> list[tuple[str, torch.nn.Module]]:
    if not isinstance(model, torch.nn.Sequential):
        return [(prefix or "model", model)]
    found = []
    for name, child in model.named_children():
        found += _leaves(child, f"{prefix}.{name}" if prefix else name)
    return found


def rebuilt(layer: LIF, **changed: object) -> LIF:
    """The same layer with other options; weights and time constants are those of the layer."""
    options = layer.options | changed
    for name in ("tau_mem", "tau_syn", "threshold", "bias"):
        if options.get(name) is not None:
            options[name] = current(layer, name)
    result = LIF(
        **options,
        rec_connect=copy.deepcopy(layer.rec_connect),
        surrogate=layer.surrogate,
        record_states=layer.record_states,
        check_input=layer.check_input,
    )
    result.train(layer.training)
    return result


def current(layer: Neuron, name: str) -> torch.Tensor:
    """Present value of an option that is a tensor, trained time constants included."""
    decay = getattr(layer, name.replace("tau_", "decay_"), None) if name.startswith("tau_") else None
    value = -1 / torch.log(decay) if isinstance(decay, torch.Tensor) else getattr(layer, name)
    return torch.as_tensor(value).detach().clone()


def _on_grid(where: str, kind: NeuronKind, layer: LIF) -> list:  # type: ignore[type-arg]
    """Put the decays of a layer on the grid, in place; trained ones stay there."""
    faults = []
    for name in kind.deploy.decay if kind.deploy else ():
        alpha = layer.alpha_mem if name == "alpha_mem" else layer.alpha_syn
        if alpha is None:
            continue
        keep = np.atleast_1d(alpha.detach().double().cpu().numpy())
        more = decay_faults(where, kind, name, np.broadcast_to(keep, layer.shape).reshape(-1))
        faults += more
        if more:
            continue
        snapped = [decay_keep(kind, name, decay_register(kind, name, k) or 0) for k in keep.reshape(-1).tolist()]
        values = torch.as_tensor(np.reshape(snapped, keep.shape), dtype=layer.dtype).reshape(alpha.shape)
        trained = getattr(layer, name.replace("alpha_", "decay_"), None)
        if isinstance(trained, torch.nn.Parameter):
            trained.data.copy_(values)
            layer.set_grid(name.replace("alpha_", "decay_"), decay_grid(kind, name))
        else:
            getattr(layer, name.replace("alpha_", "tau_")).copy_(-1 / torch.log(values))
    return faults
