"""A float model seen as stages, each a neuron layer with its weights, matched with the kinds that a chip has."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from neurodeploy.chips import Chip, ConnectionKind, NeuronKind
from neurodeploy.chips.compile import DELAY
from neurodeploy.chips.schema import DeployEntry
from neurodeploy.errors import Fault, raise_if
from neurodeploy.layers import IAF, LIF, Delay, Neuron, SparseLinear, Stateful
from neurodeploy.layers.registry import children
from neurodeploy.quantizer.decays import NEURON, Floats, decay_faults

# exact classes throughout: a subclass may compute anything
_LINEAR = (torch.nn.Linear, SparseLinear)
_PASS = (torch.nn.Identity, torch.nn.Dropout)
_KNOWN = "Linear, SparseLinear, LIF, IAF, Delay, Flatten(2), Dropout, Identity"


@dataclass(frozen=True)
class Edge:
    """Float weights (source, target) of one connection kind; ``delay`` is what the model asks for, in steps."""

    kind: ConnectionKind
    source: str
    weight: Floats
    delay: int | None


@dataclass(frozen=True)
class Stage:
    """A neuron layer of the model and the kind of neuron that it becomes.

    name : of the layer in the model
    threshold, bias : (neuron,) in units of the synaptic current: divided by the input gain of the layer
    keep : decay name -> (neuron,) what remains after one step
    gain : (neuron,) factor from the synaptic current to the membrane in the model
    edges : what arrives: the feed-forward weights, then the recurrent ones
    """

    name: str
    kind: NeuronKind
    module: Neuron
    size: int
    threshold: Floats
    bias: Floats
    keep: Mapping[str, Floats]
    gain: Floats
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Lowered:
    """A float model as stages on a chip; ``input_kind`` takes the events from outside."""

    chip: Chip
    model: torch.nn.Module
    input_kind: NeuronKind
    inputs: int
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Piece:
    """A neuron module with the linear module before it and the delay between, in the model's order."""

    name: str
    neuron: Neuron
    linear_name: str
    linear: torch.nn.Linear | SparseLinear
    delay: int | None


def pieces(model: torch.nn.Module) -> tuple[list[Piece], list[Fault]]:
    """Cut a sequential model into pieces; everything that is not of that form is a fault."""
    found, faults = list[Piece](), list[Fault]()
    linear: torch.nn.Linear | SparseLinear | None = None
    linear_name, delay, delay_name, seen = "", None, "", dict[int, str]()
    for name, module in flat(model):
        where = f"layer {name!r} ({type(module).__name__})"
        if isinstance(module, Stateful) and id(module) in seen:
            was, todo = f"the same module as {seen[id(module)]!r}", "copy it with copy.deepcopy(...)"
            faults.append(Fault("ND1603", where, was, "each layer that keeps a state stands in one place", todo))
        seen.setdefault(id(module), name)
        if type(module) is Delay:
            delay, delay_name = (delay or 0) + module.steps, name
        elif type(module) in _LINEAR:
            if linear is not None:
                was, must = f"follows {linear_name!r} without neurons between", "a neuron layer after each linear layer"
                faults.append(Fault("ND1603", where, was, must, "multiply the two matrices, or add a neuron layer"))
            linear, linear_name = module, name  # type: ignore[assignment] # mypy does not narrow by a tuple of types
        elif isinstance(module, Neuron):
            if linear is None:
                must = "a Linear or SparseLinear layer before each neuron layer"
                faults.append(
                    Fault("ND1603", where, "no weights before it", must, "insert torch.nn.Linear(..., bias=False)")
                )
            else:
                found.append(Piece(name, module, linear_name, linear, delay))
            linear, delay = None, None
        elif type(module) is torch.nn.Flatten and (module.start_dim, module.end_dim) != (2, -1):
            was = f"Flatten({module.start_dim}, {module.end_dim}) of (time, batch, ...)"
            faults.append(Fault("ND1603", where, was, "time and batch stay apart", "use Flatten(2)"))
        elif type(module) not in (*_PASS, torch.nn.Flatten):
            faults.append(Fault("ND1603", where, "a module that no synapse or neuron of the chip computes", _KNOWN))
    if linear is not None:
        must = "the last layer is a neuron layer: what leaves the chip are spikes"
        faults.append(Fault("ND1603", f"layer {linear_name!r}", "no neurons after it", must, "append an LIF layer"))
    elif delay is not None:
        must = "delays stand before weights: what leaves the chip leaves it at once"
        faults.append(
            Fault("ND1603", f"layer {delay_name!r}", f"{delay} steps after the last neurons", must, "drop it")
        )
    if not found and not faults:
        faults.append(Fault("ND1603", "model", "no neuron layer", "Linear and neuron layers in turn"))
    return found, faults


def flat(model: torch.nn.Module, prefix: str = "") -> Iterator[tuple[str, torch.nn.Module]]:
    """Layers of nested Sequentials in order, a repeated one each time, with dotted names."""
    if type(model) is torch.nn.Sequential:
        for name, child in children(model):
            yield from flat(child, f"{prefix}.{name}" if prefix else name)
    else:
        yield prefix or "model", model


def lower(model: torch.nn.Module, chip: Chip) -> Lowered:
    """Match every layer of a float model with a kind of the chip.

    Raises Refusal with all faults: ND1603 modules, ND1604 NaN, ND1701 neurons that the chip does not have, ND1702 time
    constants outside its grid.
    """
    parts, faults = pieces(model)
    raise_if(faults)
    input_kind = chip.inputs()[0]
    source_kind, source_name, given = input_kind, input_kind.name, parts[0].linear.in_features
    stages = list[Stage]()
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        kind, more = choose_kind(chip, source_kind, part, last=last)
        faults += more
        if kind is None:
            break
        faults += neuron_faults(chip, kind, part)
        stage, more = lower_piece(chip, kind, part, source_kind, source_name, given)
        faults += more
        if stage is not None:
            stages.append(stage)
        source_kind, source_name, given = kind, part.name, part.linear.out_features
    raise_if(faults)
    return Lowered(chip, model, input_kind, parts[0].linear.in_features, tuple(stages))


def choose_kind(chip: Chip, source: NeuronKind, part: Piece, *, last: bool) -> tuple[NeuronKind | None, list[Fault]]:
    """The kind that a layer becomes: an output kind for the last one, a hidden kind for the others."""
    candidates = chip.outputs() if last else chip.hidden()
    reachable = [k for k in candidates if k.deploy is not None and chip.between(source.name, k.name)]
    if reachable:
        return reachable[0], []
    wanted = "an output" if last else "a hidden"
    todo = "add a hidden layer between" if last and source.is_input() else "choose another chip"
    known = [f"{'/'.join(k.sources)} to {k.target}" for k in chip.connections.values() if k.entry.weights]
    must = f"connections that carry weights: {', '.join(known)}"
    was = f"{wanted} layer fed by {source.name!r} neurons"
    return None, [Fault("ND1701", f"{chip.name}, layer {part.name!r}", was, must, todo)]


def neuron_faults(chip: Chip, kind: NeuronKind, part: Piece) -> list[Fault]:
    """What the layer's neuron does and the chip's neuron does not."""
    deploy, module = kind.deploy, part.neuron
    where, faults = f"{chip.name}, layer {part.name!r}", list[Fault]()
    if deploy is None:
        return faults

    def fault(was: str, must: str, todo: str) -> None:
        faults.append(Fault(NEURON, where, was, must, todo))

    if not isinstance(module, LIF | IAF) or type(module) not in (LIF, IAF):
        fault(f"a {type(module).__name__} neuron", f"{kind.name} neurons compute {deploy.model}", f"use {deploy.model}")
        return faults
    if isinstance(module, IAF) and deploy.model != "IAF":
        todo = "use LIF with a long tau_mem"
        fault("an IAF neuron, which never leaks", f"the membrane of {kind.name} neurons always decays", todo)
    if isinstance(module, LIF) and deploy.model == "IAF":
        fault("an LIF neuron, which leaks", f"the membrane of {kind.name} neurons never decays", "use IAF")
    faults += _option_faults(where, kind, deploy, module.options)
    synapse = module.alpha_syn is not None
    if deploy.synaptic_current == "required" and not synapse:
        fault("no synaptic current", f"{kind.name} neurons always have one", "set tau_syn")
    if deploy.synaptic_current == "absent" and synapse:
        fault("a synaptic current", f"{kind.name} neurons have none", "set tau_syn=None")
    if _bias(module) is not None and deploy.bias is None:
        fault("a bias", f"{kind.name} neurons have none", "set bias=None and train so")
    if _has_bias(part.linear):
        was = f"a bias in {part.linear_name!r}, which would pass through the synaptic current"
        fault(was, "the chip adds a bias to the membrane only", "use Linear(..., bias=False) and LIF(..., bias=0.0)")
    return faults


def _option_faults(where: str, kind: NeuronKind, deploy: DeployEntry, options: Mapping[str, Any]) -> list[Fault]:
    """Resets, comparisons, caps and bounds that the chip's neuron does not have."""
    faults, constrain = list[Fault](), "nd.constrain(model, chip) sets it; train or evaluate the constrained model"
    for name, allowed in (("reset", deploy.reset), ("comparison", deploy.comparison)):
        if options[name] not in allowed:
            must = f"{kind.name} neurons have {' or '.join(map(repr, allowed))}"
            faults.append(Fault(NEURON, where, f"{name} = {options[name]!r}", must, "train with it"))
    if options["max_spikes"] != deploy.max_spikes:
        must = f"{kind.name} neurons fire at most {deploy.max_spikes} times in a step"
        values = {"max_spikes": deploy.max_spikes}
        faults.append(Fault(NEURON, where, f"max_spikes = {options['max_spikes']}", must, constrain, values))
    for name, has, words in (
        ("reset_amount", False, "subtract their threshold"),
        ("v_min", deploy.lower_bound, "have no lower bound"),
    ):
        if options[name] is not None and not has:
            todo = f"set {name}=None and train so"
            faults.append(Fault(NEURON, where, f"{name} = {options[name]}", f"{kind.name} neurons {words}", todo))
    return faults


def lower_piece(
    chip: Chip, kind: NeuronKind, part: Piece, source: NeuronKind, source_name: str, given: int
) -> tuple[Stage | None, list[Fault]]:
    """Weights and constants of a layer as a stage of the chip; None where they have faults.

    given : how many neurons the source has
    """
    module, where = part.neuron, f"{chip.name}, layer {part.name!r}"
    deploy, size, wanted = kind.deploy, part.linear.out_features, part.linear.in_features
    if wanted != given:
        was, place = (
            f"it takes {wanted} values, {source_name!r} gives {given}",
            f"{chip.name}, layer {part.linear_name!r}",
        )
        return None, [Fault("ND1602", place, was, "both must be equal")]
    if module.shape != (size,):
        many, shaped = math.prod(module.shape), f" of shape {module.shape}" if len(module.shape) > 1 else ""
        was = f"{part.linear_name!r} gives {size} values for {many} neurons{shaped}"
        return None, [Fault("ND1602", where, was, "both must be equal")]
    faults = [replace(fault, where=where) for fault in module.faults()]
    connection = chip.between(source.name, kind.name)[0]
    edges = [Edge(connection, source_name, weight_of(part.linear).T, part.delay)]
    if module.rec_connect is not None:
        recurrent, back = chip.between(kind.name, kind.name), module.rec_connect
        if not recurrent:
            was, must = "recurrent weights", f"{kind.name} neurons have no connection among themselves"
            faults.append(Fault(NEURON, where, was, must, "drop rec_connect in this layer"))
        elif type(back) not in _LINEAR or _has_bias(back):
            was = f"rec_connect is {type(back).__name__}" + (" with a bias" if _has_bias(back) else "")
            faults.append(Fault("ND1603", where, was, "Linear(..., bias=False) or SparseLinear"))
        elif weight_of(back).shape != (size, size):
            found = " to ".join(map(str, weight_of(back).T.shape))
            faults.append(Fault("ND1602", where, f"rec_connect from {found} values", f"{size} to {size} values"))
        else:
            edges.append(Edge(recurrent[0], part.name, weight_of(back).T, 1))
    for edge in edges:
        faults += delay_faults(where, chip, edge, source if edge.source == source_name else kind)
        bad = int((~np.isfinite(edge.weight)).sum())
        if bad:
            was = f"{bad} of {edge.weight.size} weights are NaN or infinite"
            faults.append(Fault("ND1604", where, was, "finite weights", "look at the training", {"count": bad}))
    if deploy is None or not isinstance(module, LIF | IAF) or faults:
        return None, faults
    # a membrane that never decays has no register; whether the chip has such neurons, neuron_faults says
    alpha_mem = None if isinstance(module, IAF) else module.alpha_mem
    alphas: dict[str, torch.Tensor | None] = {"alpha_mem": alpha_mem, "alpha_syn": module.alpha_syn}
    keep = {name: _per_neuron(alphas[name], size) for name in deploy.decay if alphas.get(name) is not None}
    norm = bool(module.options.get("norm_input"))
    gain = 1 - _per_neuron(module.alpha_mem, size) if norm else np.ones(size)
    for name, values in keep.items():
        faults += decay_faults(where, kind, name, values)
    threshold = _per_neuron(module.threshold, size) / gain
    constant = _bias(module)
    bias = (np.zeros(size) if constant is None else _per_neuron(constant, size)) / gain
    return Stage(part.name, kind, module, size, threshold, bias, keep, gain, tuple(edges)), faults


def delay_faults(where: str, chip: Chip, edge: Edge, source: NeuronKind) -> list[Fault]:
    """A delay in the model that the connection cannot have."""
    base = chip.delay(edge.kind.name, source.name)
    spare = edge.kind.fields[DELAY].interval.high if DELAY in edge.kind.fields else 0
    # None: the model states no delay; the chip's own then shifts the whole layer in time and changes nothing else
    if edge.delay is None or base <= edge.delay <= base + spare:
        return []
    can = f"{base} to {base + spare}" if spare else f"exactly {base}"
    todo = f"use Delay({base}), or no Delay: nd.constrain(model, chip) inserts it"
    was = f"a delay of {edge.delay} steps from {edge.source!r}"
    return [Fault("ND1701", where, was, f"{edge.kind.name!r} delays {can} steps", todo, {"delay": edge.delay})]


def _bias(module: torch.nn.Module) -> torch.Tensor | None:
    bias = getattr(module, "bias", None)
    return bias if isinstance(bias, torch.Tensor) else None


def _has_bias(linear: torch.nn.Module) -> bool:
    bias = _bias(linear)
    return bias is not None and bool(torch.any(bias != 0))


def weight_of(linear: torch.nn.Module) -> Floats:
    """(out, in) weights as they count in the forward pass."""
    weight = linear.effective_weight() if isinstance(linear, SparseLinear) else linear.weight
    return np.array(_tensor(weight).detach().cpu().double().numpy())  # a copy: never a view of the parameter


def _tensor(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.as_tensor(value)


def _per_neuron(value: Any, size: int) -> Floats:
    array = _tensor(value).detach().cpu().double().numpy()
    return np.broadcast_to(array.reshape(-1) if array.ndim else array, (size,)).copy()
