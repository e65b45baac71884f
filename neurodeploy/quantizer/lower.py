"""A float model seen as stages, each a neuron layer with its weights, matched with the kinds that a chip has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.chips import Chip, ConnectionKind, NeuronKind
from neurodeploy.chips.compile import DELAY
from neurodeploy.errors import Fault, raise_if
from neurodeploy.layers import IAF, LIF, Delay, Neuron, SparseLinear
from neurodeploy.step import FLOAT, FORMULA, evaluate
from neurodeploy.step.language import parse_expression

Floats = npt.NDArray[np.float64]
_PASS = (torch.nn.Identity, torch.nn.Dropout, torch.nn.Flatten)


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
    linear_name, delay = "", None
    for name, module in _flat(model):
        where = f"layer {name!r} ({type(module).__name__})"
        if isinstance(module, Delay):
            delay = (delay or 0) + module.steps
        elif isinstance(module, torch.nn.Linear | SparseLinear):
            if linear is not None:
                was, must = f"follows {linear_name!r} without neurons between", "a neuron layer after each linear layer"
                faults.append(Fault("ND1603", where, was, must, "multiply the two matrices, or add a neuron layer"))
            linear, linear_name = module, name
        elif isinstance(module, Neuron):
            if linear is None:
                must = "a Linear or SparseLinear layer before each neuron layer"
                faults.append(
                    Fault("ND1603", where, "no weights before it", must, "insert torch.nn.Linear(..., bias=False)")
                )
            else:
                found.append(Piece(name, module, linear_name, linear, delay))
            linear, delay = None, None
        elif not isinstance(module, _PASS):
            must = "Linear, SparseLinear, LIF, IAF, Delay, Flatten, Dropout, Identity"
            faults.append(Fault("ND1603", where, "a module that no synapse or neuron of the chip computes", must))
    if linear is not None:
        must = "the last layer is a neuron layer: what leaves the chip are spikes"
        faults.append(Fault("ND1603", f"layer {linear_name!r}", "no neurons after it", must, "append an LIF layer"))
    if not found and not faults:
        faults.append(Fault("ND1603", "model", "no neuron layer", "Linear and neuron layers in turn"))
    return found, faults


def _flat(model: torch.nn.Module, prefix: str = "") -> Iterator[tuple[str, torch.nn.Module]]:
    if isinstance(model, torch.nn.Sequential):
        for name, child in model.named_children():
            yield from _flat(child, f"{prefix}.{name}" if prefix else name)
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
    source_kind, source_name, stages = input_kind, input_kind.name, list[Stage]()
    given = parts[0].linear.in_features
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        kind, more = choose_kind(chip, source_kind, part, last=last)
        faults += more
        if kind is None:
            break
        faults += neuron_faults(chip, kind, part)
        wanted, where = part.linear.in_features, f"{chip.name}, layer {part.linear_name!r}"
        if wanted != given:
            was, must = f"it takes {wanted} values, {source_name!r} gives {given}", "both must be equal"
            faults.append(Fault("ND1602", where, was, must))
        given = part.linear.out_features
        stage, more = _stage(chip, kind, part, source_kind, source_name)
        faults += more
        if stage is not None:
            stages.append(stage)
        source_kind, source_name = kind, part.name
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
    constrain = "nd.constrain(model, chip) sets it; train or evaluate the constrained model"

    def fault(was: str, must: str, todo: str, **values: object) -> None:
        faults.append(Fault("ND1701", where, was, must, todo, values))

    if not isinstance(module, LIF | IAF):
        fault(f"a {type(module).__name__} neuron", f"{kind.name} neurons compute {deploy.model}", f"use {deploy.model}")
        return faults
    if isinstance(module, IAF) and deploy.model != "IAF":
        todo = "use LIF with a long tau_mem"
        fault("an IAF neuron, which never leaks", f"the membrane of {kind.name} neurons always decays", todo)
    options = module.options
    for name, allowed in (("reset", deploy.reset), ("comparison", deploy.comparison)):
        if options[name] not in allowed:
            fault(
                f"{name} = {options[name]!r}",
                f"{kind.name} neurons have {' or '.join(map(repr, allowed))}",
                "train with it",
            )
    if options["max_spikes"] != deploy.max_spikes:
        must = f"{kind.name} neurons fire at most {deploy.max_spikes} times in a step"
        fault(f"max_spikes = {options['max_spikes']}", must, constrain, max_spikes=deploy.max_spikes)
    if options["v_min"] is not None and not deploy.lower_bound:
        fault(f"v_min = {options['v_min']}", f"{kind.name} neurons have no lower bound", "set v_min=None and train so")
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


def _stage(
    chip: Chip, kind: NeuronKind, part: Piece, source: NeuronKind, source_name: str
) -> tuple[Stage | None, list[Fault]]:
    module, where = part.neuron, f"{chip.name}, layer {part.name!r}"
    size, faults = int(np.prod(module.shape)), list[Fault]()
    deploy = kind.deploy
    if part.linear.out_features != size:
        was = f"{part.linear_name!r} gives {part.linear.out_features} values for {size} neurons"
        return None, [Fault("ND1602", where, was, "both must be equal")]
    connection = chip.between(source.name, kind.name)[0]
    edges = [Edge(connection, source_name, weight_of(part.linear).T, part.delay)]
    if module.rec_connect is not None:
        recurrent = chip.between(kind.name, kind.name)
        if not recurrent:
            was, must = "recurrent weights", f"{kind.name} neurons have no connection among themselves"
            faults.append(Fault("ND1701", where, was, must, "drop rec_connect in this layer"))
        elif not isinstance(module.rec_connect, torch.nn.Linear | SparseLinear) or _has_bias(module.rec_connect):
            was = f"rec_connect is {type(module.rec_connect).__name__}" + (
                " with a bias" if _has_bias(module.rec_connect) else ""
            )
            faults.append(Fault("ND1603", where, was, "Linear(..., bias=False) or SparseLinear"))
        elif weight_of(module.rec_connect).shape != (size, size):
            found = " to ".join(map(str, weight_of(module.rec_connect).T.shape))
            faults.append(Fault("ND1602", where, f"rec_connect from {found} values", f"{size} to {size} values"))
        else:
            edges.append(Edge(recurrent[0], part.name, weight_of(module.rec_connect).T, 1))
    for edge in edges:
        faults += delay_faults(where, chip, edge, source if edge.source == source_name else kind)
        bad = int((~np.isfinite(edge.weight)).sum())
        if bad:
            was = f"{bad} of {edge.weight.size} weights are NaN or infinite"
            faults.append(Fault("ND1604", where, was, "finite weights", "look at the training", {"count": bad}))
    if deploy is None or not isinstance(module, LIF | IAF) or faults:
        return None, faults
    alphas: dict[str, torch.Tensor | None] = {"alpha_mem": module.alpha_mem, "alpha_syn": module.alpha_syn}
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
    todo = "nd.constrain(model, chip) sets it; train or evaluate the constrained model"
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
    return np.asarray(_tensor(weight).detach().cpu().double().numpy())


def _tensor(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.as_tensor(value)


def _per_neuron(value: Any, size: int) -> Floats:
    array = _tensor(value).detach().cpu().double().numpy()
    return np.broadcast_to(array.reshape(-1) if array.ndim else array, (size,)).copy()


def decay_register(kind: NeuronKind, name: str, keep: float) -> int | None:
    """Register value of a decay fraction, None if the chip's grid does not reach it."""
    deploy = kind.deploy
    if deploy is None:
        return None
    decay = deploy.decay[name]
    formula = parse_expression(decay.to_register, operators=FLOAT, where=f"{kind.name}.{name}")
    value = float(evaluate(formula, {"keep": keep}, FORMULA))
    allowed = kind.parameters[decay.param].allowed
    return int(value) if np.isfinite(value) and allowed.low <= value <= allowed.high else None


def decay_keep(kind: NeuronKind, name: str, register: int) -> float:
    """Decay fraction of a register value."""
    deploy = kind.deploy
    if deploy is None:
        return 1.0
    formula = parse_expression(deploy.decay[name].from_register, operators=FLOAT, where=f"{kind.name}.{name}")
    return float(evaluate(formula, {"value": register}, FORMULA))


def decay_grid(kind: NeuronKind, name: str) -> tuple[float, ...]:
    """All decay fractions that may be written, ascending."""
    deploy = kind.deploy
    if deploy is None:
        return ()
    allowed = kind.parameters[deploy.decay[name].param].allowed
    return tuple(sorted(decay_keep(kind, name, value) for value in range(allowed.low, allowed.high + 1)))


def decay_faults(where: str, kind: NeuronKind, name: str, keep: Floats) -> list[Fault]:
    """Time constants that the chip's grid does not reach."""
    outside = [i for i, k in enumerate(keep.tolist()) if decay_register(kind, name, k) is None]
    if not outside:
        return []
    grid = decay_grid(kind, name)
    tau = [-1 / np.log(k) for k in (grid[0], grid[-1])]
    first = float(keep[outside[0]])
    shown = f"tau = {-1 / np.log(first):.4g} steps" if 0 < first < 1 else f"a decay fraction of {first:.4g}"
    was = f"{name.replace('alpha', 'tau')}: {shown} in {len(outside)} of {len(keep)} neurons"
    must = f"{tau[0]:.3g} to {tau[1]:.5g} steps can be had"
    todo = "choose a time constant in that range, or a shorter or longer step dt"
    values = {"keep": first, "lowest": grid[0], "highest": grid[-1]}
    return [Fault("ND1702", where, was, must, todo, values)]
