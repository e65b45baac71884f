"""A float model that computes as the chip will: decays on its grid, its spike caps, its delays; still float."""

import copy
from collections import OrderedDict
from collections.abc import Mapping, MutableMapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.chips import Chip, NeuronKind
from neurodeploy.errors import Fault, raise_if
from neurodeploy.layers import IAF, LIF, Delay, Neuron
from neurodeploy.quantizer.compute import most_spikes, neuron_faults
from neurodeploy.quantizer.decays import NEURON, Floats, decay_faults, decay_grid, decay_keep, decay_registers
from neurodeploy.quantizer.exact import arithmetic_of, made_exact, release
from neurodeploy.quantizer.lower import lower_layer
from neurodeploy.quantizer.nodes import INPUT, flat
from neurodeploy.quantizer.wiring import Wired, wire


def constrain(
    model: torch.nn.Module, chip: Chip, *, exact: bool = False, calibration: npt.ArrayLike | None = None
) -> torch.nn.Module:
    """Copy of a model that computes as the chip will: in float, or in the chip's own integers.

    Decays lie on the chip's grid (trained ones in every forward pass, also after an optimizer step), a neuron fires at
    most as often in a step as the chip's, and a delay stands wherever the chip's connections have one. The order of
    decay and input is that of the layers already. The argument is not changed; weights are copied; nested Sequentials
    become one, graphs and modules of the user's own keep their form. A model that is constrained already comes back
    equal; one that is exact stays so on its chip.

    exact : every forward pass quantizes the present weights, simulates the integer network from reset and returns its
        spikes, bit for bit; ``quantize`` of the model later gives that network. Every neuron layer takes the course of
        its neurons on the chip, spikes and states, and the gradient is that of its float text along this course:
        through the surrogate, at the membrane that the rounded weights make, and straight through all rounding.
        Dropout is off, and normalisation uses its running statistics. Meant for the last epochs of a model that was
        trained in float; call ``reset_states`` before every pass, as ``train`` does. What a saved model knows are its
        weights: load, constrain and calibrate it again
    calibration : (time, batch, channel) counts, for exact models: shifts and the shares of the largest weights are
        settled on them once, with the weights that the model comes with, and kept; only scales follow the weights
    Raises Refusal with everything that cannot be had by constraining: modules, resets, comparisons, delays, time
    constants outside the grid; of exact models all that ``quantize`` refuses, here and in every forward pass.
    """
    raise_if(_exact_faults(chip, exact=exact, calibrated=calibration is not None))
    if chip.file.programmable is not None:  # it computes every neuron as it is
        result = copy.deepcopy(model)
        release(result)  # from the arithmetic of another chip
        return result
    wiring, faults = wire(model, chip)
    replaced, delays = dict[str, torch.nn.Module](), dict[str, int]()
    kinds = {INPUT: wiring.input_kind} | {w.piece.name: w.kind for w in wiring.layers} if wiring else {}
    for layer in wiring.layers if wiring else ():
        piece, kind = layer.piece, layer.kind
        neuron, more = _constrained(f"{chip.name}, layer {piece.name!r}", chip, kind, piece.neuron)
        faults += more
        if neuron is not None:
            own = replace(piece, neuron=neuron)
            faults += neuron_faults(chip, kind, own)
            faults += lower_layer(chip, layer, own)[1]
            replaced[piece.name] = neuron
        faults += _note_delays(chip, layer, kinds, delays)
    raise_if(faults)
    result = with_modules(model, replaced, delays)
    known = release(result) or arithmetic_of(model)
    if known is not None and known.is_of(chip) and calibration is None:
        result.register_forward_pre_hook(known)
    return made_exact(result, chip, calibration) if exact and arithmetic_of(result) is None else result


def _exact_faults(chip: Chip, *, exact: bool, calibrated: bool) -> list[Fault]:
    faults = []
    if calibrated and not exact:
        faults.append(Fault("ND1601", "constrain", "calibration data", "exact = True, which alone reads them"))
    if exact and chip.file.programmable is not None:
        was, must = "exact = True for a machine that takes any neuron", "a chip with neurons of its own"
        faults.append(Fault("ND1701", chip.name, was, must, "train in float, then nd.derive the network"))
    return faults


def with_modules(
    model: torch.nn.Module, replaced: Mapping[str, torch.nn.Module], delays: Mapping[str, int]
) -> torch.nn.Module:
    """Copy of a model with other modules in some places and delays before others; nested Sequentials become one."""
    if type(model) is torch.nn.Sequential and set(replaced) <= {name for name, _ in flat(model)}:
        return _chain(model, replaced, delays)
    return _same_form(model, replaced, delays)


def _note_delays(
    chip: Chip, layer: Wired, kinds: Mapping[str, NeuronKind], delays: MutableMapping[str, int]
) -> list[Fault]:
    """Where the model states no delay and the chip has one: module path -> steps of a Delay before it."""
    piece, faults, wanted = layer.piece, list[Fault](), dict[str, set[int]]()
    for way, edge in zip(piece.ways, layer.edges, strict=False):
        steps = chip.delay(edge.kind.name, kinds[way.source].name) if edge.delay is None else edge.delay
        wanted.setdefault(way.entry, set()).add(steps if way.delay is None else 0)
    each = {steps for several in wanted.values() for steps in several}
    if piece.name in wanted and len(each) == 1:
        wanted = {piece.name: each}  # what comes without weights meets the rest at the neurons: all wait there
    for entry, several in wanted.items():
        steps = max(several)
        if several == {0} and entry not in delays:
            continue
        if len(several) > 1 or delays.get(entry, steps) != steps or (entry == piece.name and wanted.keys() != {entry}):
            was = f"a delay of {steps} steps on a way that shares {entry!r} with a quicker one"
            todo = f"give each way weights of its own, or put Delay({steps}) where it belongs, and train so"
            faults.append(Fault(NEURON, f"{chip.name}, layer {piece.name!r}", was, "a place for a Delay", todo))
        else:
            delays[entry] = steps
    return faults


def _chain(
    model: torch.nn.Sequential, replaced: Mapping[str, torch.nn.Module], delays: Mapping[str, int]
) -> torch.nn.Sequential:
    """One Sequential of all layers in order."""
    layers: OrderedDict[str, torch.nn.Module] = OrderedDict()
    for name, module in flat(model):
        if name in delays:
            layers[_free(f"delay_{name}", layers)] = Delay(delays[name]).train(model.training)
        layers[_free(name, layers)] = replaced[name] if name in replaced else copy.deepcopy(module)
    result = torch.nn.Sequential(layers)
    result.training = model.training
    return result


def _same_form(
    model: torch.nn.Module, replaced: Mapping[str, torch.nn.Module], delays: Mapping[str, int]
) -> torch.nn.Module:
    """Copy of the model with other modules in some places; a delay and what it stands before take one place."""
    result = copy.deepcopy(model)
    for name, module in replaced.items():
        _put(result, name, module)
    for name, steps in delays.items():
        both = OrderedDict(delay=Delay(steps).train(model.training), layer=result.get_submodule(name))
        _put(result, name, torch.nn.Sequential(both))
    return result


def _put(model: torch.nn.Module, path: str, module: torch.nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    model.get_submodule(parent).add_module(name, module)


def _free(name: str, taken: OrderedDict[str, torch.nn.Module]) -> str:
    """Name of a layer without dots, and not taken."""
    name = name.replace(".", "_")
    while name in taken:
        name += "_"
    return name


def _constrained(where: str, chip: Chip, kind: NeuronKind, layer: Neuron) -> tuple[Neuron | None, list[Fault]]:
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
    capped = rebuilt(layer, max_spikes=most_spikes(chip, kind))
    for name, keep in keeps.items():
        _set_decay(capped, kind, name, keep)
    return capped, []


def rebuilt(layer: LIF | IAF, *, into: type[LIF | IAF] | None = None, **changed: object) -> LIF | IAF:
    """The same layer with other options and no state; weights and time constants are those of the layer.

    into : another class; its options are those of the layer that it has, and the changed ones
    """
    made_of = into or type(layer)
    lacking = set(layer.arguments) - set(made_of.arguments)
    options = {name: value for name, value in layer.options.items() if name not in lacking} | changed
    for name in ("tau_mem", "tau_syn", "threshold", "bias"):
        if options.get(name) is not None and name not in changed:
            options[name] = current(layer, name)
    result = made_of(
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
