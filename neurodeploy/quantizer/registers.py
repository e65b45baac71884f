"""Registers of stages on their scales: the integer network, and a report for each layer."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.chips.compile import DELAY
from neurodeploy.errors import Fault
from neurodeploy.network import Group, Network, Projection
from neurodeploy.network.network import Ints
from neurodeploy.quantizer.decays import Floats, decay_keep, decay_registers
from neurodeploy.quantizer.given import as_stored, given_of
from neurodeploy.quantizer.grids import Rounded, round_weights
from neurodeploy.quantizer.report import DecayReport, LayerReport
from neurodeploy.quantizer.scale import Choice, Room, limit_of, scale_of, steady
from neurodeploy.quantizer.stages import Edge, Lowered, Stage


@dataclass(frozen=True)
class Quantized:
    """Integer registers of one stage, with their scales."""

    group: Group
    projections: tuple[Projection, ...]
    scale: Floats
    report: LayerReport


def quantize_stage(
    chip: Chip, stage: Stage, sources: Mapping[str, Group], choice: Choice, room: Room
) -> tuple[Quantized, list[Fault]]:
    """Registers of one stage; weight, threshold and bias of a neuron are rounded on one grid, halves to even.

    sources : the groups that are made already, by name
    """
    deploy, where = stage.kind.deploy, f"{chip.name}, layer {stage.name!r}"
    theirs, faults = given_of(chip, stage, choice.parity)
    scale = scale_of(stage, choice, room) if theirs is None else np.full(stage.size, theirs.scale)
    parameters, decays = _parameters(stage, scale)
    if theirs is not None:
        parameters |= theirs.registers
    faults += _register_faults(where, stage, parameters)
    group = Group(stage.name, stage.kind.name, stage.size, parameters, shape=stage.shape)
    projections, clipped, zeroed, used, error, power = [], 0, 0, 0, 0.0, 0.0
    for index, edge in enumerate(stage.edges):
        exact = edge.weight * edge.spread(scale)
        if theirs is None:
            shift = choice.shifts.get(edge.kind.name, 0)
            rounded = round_weights(edge.kind, exact, shift, stage.together(edge, scale), edge.bits)
        else:
            rounded, more = as_stored(where, stage, index, theirs)
            faults += more
        clipped += rounded.clipped
        given = int((edge.weight != 0).sum())
        lost = int(((rounded.worth == 0) & (edge.weight != 0)).sum())
        zeroed, used = zeroed + lost, used + given
        if given and lost == given:
            was = f"all weights from {edge.source!r} would become 0"
            todo = "the weights are too small for the thresholds of this layer: train with smaller thresholds"
            faults.append(Fault("ND1703", where, was, "a layer keeps its weights", todo))
        # in units of the threshold, so that neurons of different scales count alike
        unit = edge.spread(stage.threshold)
        error += float((((exact - rounded.worth) / edge.spread(scale) / unit) ** 2).sum())
        power += float(((edge.weight / unit) ** 2).sum())
        origin = sources.get(edge.source, group)
        delay = 0 if edge.delay is None else edge.delay - chip.delay(edge.kind.name, origin.kind)
        projections.append(_projection(edge, origin, group, rounded, delay))
    threshold = parameters[deploy.threshold] if deploy else np.zeros(1, np.int64)
    report = LayerReport(
        layer=stage.name,
        kind=stage.kind.name,
        neurons=stage.size,
        scale_low=float(scale.min()),
        scale_high=float(scale.max()),
        shifts={e.kind.name: choice.shifts.get(e.kind.name, 0) for e in stage.edges if e.kind.entry.shift},
        formats={p.source: own for p in projections if (own := _format(chip, p))},
        clipped_share=clipped / max(used, 1),
        zeroed_share=zeroed / max(used, 1),
        weight_error=steady(float(np.sqrt(error / power))) if power else 0.0,
        threshold_low=int(threshold.min()),
        threshold_high=int(threshold.max()),
        decays=tuple(decays),
        limited_by=limit_of(stage, choice, room, scale) if theirs is None else theirs.limited_by,
    )
    return Quantized(group, tuple(projections), scale, report), faults


def _format(chip: Chip, p: Projection) -> dict[str, int]:
    """Registers of a matrix of its own; a shift is that of all matrices of its kind."""
    return {n: v for n, v in p.parameters.items() if n != chip.connections[p.kind].entry.shift}


def _parameters(stage: Stage, scale: Floats) -> tuple[dict[str, Ints], list[DecayReport]]:
    parameters = {n: np.full(stage.size, p.default or 0) for n, p in stage.kind.parameters.items()}
    decays = list[DecayReport]()
    deploy = stage.kind.deploy
    if deploy is None:
        return parameters, decays
    parameters[deploy.threshold] = np.rint(stage.threshold * scale).astype(np.int64)
    if deploy.bias is not None:
        parameters[deploy.bias] = np.rint(stage.bias * scale).astype(np.int64)
    if deploy.lower_bound is not None and stage.low is not None:
        parameters[deploy.lower_bound] = np.rint(stage.low * scale).astype(np.int64)
    for name, words in deploy.chosen.items():
        chosen = [words[word] for word in stage.module.options.values() if isinstance(word, str) and word in words]
        parameters[name] = np.full(stage.size, chosen[0])
    for name, keep in stage.keep.items():
        registers = np.array([r or 0 for r in decay_registers(stage.kind, name, keep)])
        parameters[deploy.decay[name].param] = registers
        decays.append(_decay_report(stage, name, registers))
    return parameters, decays


def _register_faults(where: str, stage: Stage, parameters: Mapping[str, Ints]) -> list[Fault]:
    faults, deploy = list[Fault](), stage.kind.deploy
    for name, entry in stage.kind.parameters.items():
        values = parameters[name]
        if entry.per == "layer" and len(np.unique(values)) > 1:
            was = f"{name} from {values.min()} to {values.max()}"
            faults.append(Fault("ND1703", where, was, "one value for all neurons of a layer", "train with one for all"))
    if deploy is None:
        return faults
    for name, entry in stage.kind.parameters.items():
        outside = np.flatnonzero((parameters[name] < entry.allowed.low) | (parameters[name] > entry.allowed.high))
        if outside.size and (name != deploy.threshold or parameters[name][outside[0]] > entry.allowed.high):
            first = int(parameters[name][outside[0]])
            was = f"{name} of neuron {outside[0]} becomes {first}" + f", and {outside.size - 1} more" * (
                outside.size > 1
            )
            must = f"{entry.allowed}, which {name} may hold"
            todo = "train so that it fits, or choose another chip"
            faults.append(Fault("ND1703", where, was, must, todo, {"value": first, "count": int(outside.size)}))
    low, thresholds = stage.kind.parameters[deploy.threshold].allowed.low, parameters[deploy.threshold]
    below = np.flatnonzero(thresholds < low)
    if below.size:
        was = f"the threshold of neuron {below[0]} becomes {thresholds[below[0]]}"
        was += f", those of {below.size - 1} more neurons too" if below.size > 1 else ""
        todo = "its weights are too large for its threshold: scale them down or prune the largest"
        faults.append(Fault("ND1703", where, was, f"at least {low}", todo, {"count": int(below.size)}))
    return faults


def _projection(edge: Edge, source: Group, target: Group, rounded: Rounded, delay: int) -> Projection:
    kind, weights = edge.kind, rounded.stored
    first = kind.entry.weights[0]
    values = {name: np.zeros_like(weights) for name in kind.fields} | {first: weights}
    if DELAY in kind.fields:
        values[DELAY] = np.full_like(weights, delay)
    parameters = {n: p.default or 0 for n, p in kind.parameters.items()} | rounded.parameters
    if edge.geometry is not None:
        none = np.zeros(0, np.int64)
        fields = {n: v.reshape(-1) for n, v in values.items()}
        return Projection(kind.name, source.name, target.name, none, none, fields, parameters, edge.geometry)
    kept = weights != 0 if kind.entry.pattern == "pairs" else np.ones(weights.shape, bool)
    sources, targets = np.nonzero(kept)
    fields = {n: m[sources, targets] for n, m in values.items()}
    return Projection(kind.name, source.name, target.name, sources, targets, fields, parameters)


def _decay_report(stage: Stage, name: str, registers: Ints) -> DecayReport:
    chip = np.array([decay_keep(stage.kind, name, int(r)) for r in registers])
    worst = int(np.argmax(np.abs(chip - stage.keep[name])))
    keep = float(stage.keep[name][worst])
    return DecayReport(name, keep, float(chip[worst]), int(registers[worst]), abs(float(chip[worst]) - keep))


def build_network(
    lowered: Lowered, choice: Choice, rooms: Mapping[str, Room], *, until: int, dt_s: float | None
) -> tuple[Network | None, tuple[Quantized, ...], list[Fault]]:
    """Network of the first ``until`` stages under a choice; None where registers have faults."""
    chip = lowered.chip
    defaults = {n: np.full(lowered.inputs, p.default or 0) for n, p in lowered.input_kind.parameters.items()}
    inputs = Group(lowered.input_kind.name, lowered.input_kind.name, lowered.inputs, defaults, shape=lowered.shape)
    sources, done, faults = {inputs.name: inputs}, list[Quantized](), list[Fault]()
    for stage in lowered.stages[:until]:
        quantized, more = quantize_stage(chip, stage, sources, choice, rooms[stage.name])
        done.append(quantized)
        faults += more
        sources[stage.name] = quantized.group
    projections = tuple(p for q in done for p in q.projections)
    network = None if faults else Network(chip, (inputs, *(q.group for q in done)), projections, dt_s)
    return network, tuple(done), faults
