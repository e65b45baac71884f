"""A float model seen as stages, each a neuron layer with its weights, matched with the kinds that a chip has."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from neurodeploy.chips import Chip
from neurodeploy.errors import Fault, raise_if
from neurodeploy.layers import IAF, LIF
from neurodeploy.quantizer.compute import bias_of, neuron_faults
from neurodeploy.quantizer.decays import Floats, decay_faults
from neurodeploy.quantizer.pieces import Piece
from neurodeploy.quantizer.sharing import arriving_edges
from neurodeploy.quantizer.stages import Lowered, Stage
from neurodeploy.quantizer.ways import numbers
from neurodeploy.quantizer.wiring import Wired, wire


def lower(model: torch.nn.Module, chip: Chip) -> Lowered:
    """Match every layer of a float model with a kind of the chip.

    model : a Sequential, Graphs in it, or a module of the user's own that torch.fx can trace. What stands between two
        neuron layers - Linear, Conv2d, AvgPool2d, SumPool2d, BatchNorm, Flatten, additions - becomes one linear map.
        A model whose first weights are a convolution begins with torch.nn.Unflatten(2, (channels, rows, columns))

    Raises Refusal with all faults: ND1602 shapes, ND1603 modules, ND1604 NaN, ND1605 forwards that cannot be traced,
    ND1701 neurons that the chip does not have, ND1702 time constants outside its grid.
    """
    wiring, faults = wire(model, chip)
    stages = list[Stage]()
    for layer in wiring.layers if wiring else ():
        faults += neuron_faults(chip, layer.kind, layer.piece)
        stage, more = lower_layer(chip, layer, layer.piece)
        faults += more
        if stage is not None:
            stages.append(stage)
    raise_if(faults)
    if wiring is None:
        raise RuntimeError("a wiring is missing only where there are faults")
    return Lowered(chip, model, wiring.input_kind, wiring.cut.inputs, tuple(stages), wiring.shape)


def lower_layer(chip: Chip, layer: Wired, piece: Piece) -> tuple[Stage | None, list[Fault]]:
    """Weights and constants of a layer as a stage of the chip; None where they have faults.

    piece : the layer's own, or one with another neuron of the same shape
    """
    module, kind, size = piece.neuron, layer.kind, piece.size
    deploy, where = kind.deploy, f"{chip.name}, layer {piece.name!r}"
    faults = [replace(fault, where=where) for fault in module.faults()]
    edges = arriving_edges(chip, layer)
    for edge in edges:
        bad = int((~np.isfinite(edge.weight)).sum())
        if bad:
            was = f"{bad} of {edge.weight.size} weights are NaN or infinite"
            faults.append(Fault("ND1604", where, was, "finite weights", "look at the training", {"count": bad}))
    if deploy is None or not isinstance(module, LIF | IAF) or faults:
        return None, faults
    keep = _kept(layer, module, size)
    norm = bool(module.options.get("norm_input"))
    gain = 1 - _per_neuron(module.alpha_mem, size) if norm else np.ones(size)
    constant = bias_of(module)
    bias = np.zeros(size) if constant is None else _per_neuron(constant, size) / gain
    if piece.bias is not None:
        bias = bias + piece.bias.reshape(-1)
    if deploy.input == "after decay" and module.alpha_syn is not None:
        # i = keep * (i + x) is keep times j = keep * j + x, which the chip computes
        current = np.maximum(keep["alpha_syn"], np.finfo(float).tiny)
        gain, bias = gain * current, bias / current
    for name, values in keep.items():
        faults += decay_faults(where, kind, name, values)
    threshold = _per_neuron(module.threshold, size) / gain
    low = module.options["v_min"]
    lowest = None if low is None else _per_neuron(low, size) / gain
    stage = Stage(piece.name, kind, module, size, threshold, bias, keep, gain, edges, layer.shape, lowest, layer.late)
    return stage, faults


def _kept(layer: Wired, module: LIF | IAF, size: int) -> dict[str, Floats]:
    """What remains of each state that the chip's neuron has; neuron_faults says whether it may be that."""
    deploy = layer.kind.deploy
    alphas: dict[str, torch.Tensor | None] = {"alpha_mem": None, "alpha_syn": module.alpha_syn}
    if not isinstance(module, IAF):
        alphas["alpha_mem"] = module.alpha_mem
    keep = dict[str, Floats]()
    for name in deploy.decay if deploy else ():
        alpha = alphas.get(name)
        if alpha is not None:
            keep[name] = _per_neuron(alpha, size)
        elif name == "alpha_mem" and deploy is not None and "IAF" in deploy.model:
            keep[name] = np.ones(size)
        elif name == "alpha_syn" and deploy is not None and deploy.synaptic_current == "optional":
            keep[name] = np.zeros(size)
    return keep


def _per_neuron(value: Any, size: int) -> Floats:
    array = numbers(value)
    shape = array.reshape(-1) if array.size in (1, size) else array
    return np.broadcast_to(shape, (size,)).copy()
