"""Scales: how many integer steps stand for 1.0 in each neuron, and the registers that follow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from neurodeploy.chips import Chip, ConnectionKind
from neurodeploy.chips.compile import DELAY
from neurodeploy.errors import Fault
from neurodeploy.network import Group, Network, Projection
from neurodeploy.network.network import Ints
from neurodeploy.quantizer.decays import Floats, decay_keep, decay_registers
from neurodeploy.quantizer.report import DecayReport, LayerReport
from neurodeploy.quantizer.stages import Edge, Lowered, Stage
from neurodeploy.step import NUMPY, evaluate

#: Without calibration data a state is assumed to stay within this many thresholds.
ASSUMED_PEAK = 8.0
#: With calibration data, how far beyond the largest value seen the rail must lie.
PEAK_MARGIN = 1.5


@dataclass(frozen=True)
class Choice:
    """The freedom that quantization has.

    shifts : connection kind -> weight shift
    full : layer -> share of the largest weight that reaches the end of the register; below 1 the largest are clipped
    reach : layer -> factor on the scale that keeps all states off the rails; above 1 the rarest values may touch them
    """

    shifts: Mapping[str, int] = field(default_factory=dict)
    full: Mapping[str, float] = field(default_factory=dict)
    reach: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Room:
    """Upper ends of a stage's scale.

    registers : (neuron,) what thresholds and biases allow
    states : (neuron,) what keeps the states off their rails
    """

    registers: Floats
    states: Floats


@dataclass(frozen=True)
class Quantized:
    """Integer registers of one stage, with their scales."""

    group: Group
    projections: tuple[Projection, ...]
    scale: Floats
    report: LayerReport


def magnitude(kind: ConnectionKind, field: str) -> int:
    """Largest weight that fits the field with either sign."""
    return int(min(kind.fields[field].interval.high, -kind.fields[field].interval.low))


def largest_shift(kind: ConnectionKind) -> int:
    """Largest shift that keeps the largest weight inside what the chip stores without change."""
    if kind.entry.shift is None:
        return 0
    field, allowed = kind.entry.weights[0], kind.parameters[kind.entry.shift].allowed
    best = allowed.low
    for shift in range(allowed.low, allowed.high + 1):
        weights = {name: np.int64(magnitude(kind, field)) for name in kind.fields}
        registers = {name: np.int64(0) for name in kind.parameters} | {kind.entry.shift: np.int64(shift)}
        values = [int(evaluate(formula, weights | registers, NUMPY)) for formula, _ in kind.may.values()]
        if all(v in interval for v, (_, interval) in zip(values, kind.may.values(), strict=True)):
            best = shift
    return best


def room_of(stage: Stage, peaks: Mapping[str, Floats] | None) -> Room:
    """Largest scales that keep thresholds and biases, and states, inside their registers."""
    deploy = stage.kind.deploy
    if deploy is None:
        return Room(np.ones(stage.size), np.ones(stage.size))
    highs = [stage.kind.parameters[deploy.threshold].allowed.high / stage.threshold]
    if deploy.bias is not None:
        highs.append(_over(stage.kind.parameters[deploy.bias].allowed.high, np.abs(stage.bias)))
    states = []
    for name, state in deploy.states.items():
        rail = stage.kind.states[state].interval.high
        if peaks is None:
            states.append(rail / (ASSUMED_PEAK * stage.threshold))
            continue
        if name not in peaks:  # a state that the float layer does without
            continue
        # a neuron that stayed silent in the calibration data gets the room that its busier neighbours need
        busy = np.percentile(peaks[name], 90)
        peak = np.maximum(np.maximum(peaks[name], busy), stage.threshold)
        states.append(rail / (PEAK_MARGIN * peak))
    free = np.full(stage.size, np.inf)
    return Room(np.min([free, *highs], axis=0), np.min([free, *states], axis=0))


def _over(a: float, b: Floats) -> Floats:
    return np.divide(a, b, out=np.full_like(b, np.inf), where=b > 0)


def scale_of(stage: Stage, choice: Choice, room: Room) -> Floats:
    """(neuron,) scale: the weights of a neuron fill their registers, unless its states then leave theirs."""
    scale = np.minimum(room.registers, room.states * choice.reach.get(stage.name, 1.0))
    for edge in stage.edges:
        reach = magnitude(edge.kind, edge.kind.entry.weights[0]) * 2.0 ** choice.shifts.get(edge.kind.name, 0)
        scale = np.minimum(scale, _over(reach / choice.full.get(stage.name, 1.0), edge.largest))
    deploy = stage.kind.deploy
    if deploy is not None and stage.kind.parameters[deploy.threshold].per == "layer":
        # one register for all: each neuron's scale follows from its own threshold
        scale = (scale * stage.threshold).min() / stage.threshold
    return per_kernel(stage, scale)


def per_kernel(stage: Stage, values: Floats) -> Floats:
    """(neuron,) values, within each feature the smallest one: all neurons of a feature share their kernel."""
    features = [edge.geometry.features for edge in stage.edges if edge.geometry is not None]
    if not features:
        return values
    shared = values.reshape(features[0], -1)
    return np.broadcast_to(shared.min(axis=1, keepdims=True), shared.shape).reshape(-1)


def quantize_stage(
    chip: Chip, stage: Stage, sources: Mapping[str, Group], choice: Choice, room: Room
) -> tuple[Quantized, list[Fault]]:
    """Registers of one stage; weight, threshold and bias of a neuron are rounded on one grid, halves to even.

    sources : the groups that are made already, by name
    """
    deploy, where = stage.kind.deploy, f"{chip.name}, layer {stage.name!r}"
    scale = scale_of(stage, choice, room)
    parameters, decays = _parameters(stage, scale)
    faults = _register_faults(where, stage, parameters)
    group = Group(stage.name, stage.kind.name, stage.size, parameters, shape=stage.shape)
    projections, clipped, zeroed, used, error, power = [], 0, 0, 0, 0.0, 0.0
    for edge in stage.edges:
        shift = choice.shifts.get(edge.kind.name, 0)
        limit = magnitude(edge.kind, edge.kind.entry.weights[0])
        exact = edge.weight * edge.spread(scale) / 2.0**shift
        rounded = np.rint(exact)
        weights = np.clip(rounded, -limit, limit).astype(np.int64)
        clipped += int((np.abs(rounded) > limit).sum())
        given = int((edge.weight != 0).sum())
        lost = given - int((weights != 0).sum())
        zeroed, used = zeroed + lost, used + given
        if given and lost == given:
            was = f"all weights from {edge.source!r} would become 0"
            todo = "the weights are too small for the thresholds of this layer: train with smaller thresholds"
            faults.append(Fault("ND1703", where, was, "a layer keeps its weights", todo))
        # in units of the threshold, so that neurons of different scales count alike
        unit = edge.spread(stage.threshold)
        error += float((((exact - weights) * 2.0**shift / edge.spread(scale) / unit) ** 2).sum())
        power += float(((edge.weight / unit) ** 2).sum())
        origin = sources.get(edge.source, group)
        delay = 0 if edge.delay is None else edge.delay - chip.delay(edge.kind.name, origin.kind)
        projections.append(_projection(edge, origin, group, weights, shift, delay))
    threshold = parameters[deploy.threshold] if deploy else np.zeros(1, np.int64)
    report = LayerReport(
        layer=stage.name,
        kind=stage.kind.name,
        neurons=stage.size,
        scale_low=float(scale.min()),
        scale_high=float(scale.max()),
        shifts={e.kind.name: choice.shifts.get(e.kind.name, 0) for e in stage.edges},
        clipped_share=clipped / max(used, 1),
        zeroed_share=zeroed / max(used, 1),
        weight_error=steady(float(np.sqrt(error / power))) if power else 0.0,
        threshold_low=int(threshold.min()),
        threshold_high=int(threshold.max()),
        decays=tuple(decays),
    )
    return Quantized(group, tuple(projections), scale, report), faults


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
    low, thresholds = stage.kind.parameters[deploy.threshold].allowed.low, parameters[deploy.threshold]
    below = np.flatnonzero(thresholds < low)
    if below.size:
        was = f"the threshold of neuron {below[0]} becomes {thresholds[below[0]]}"
        was += f", those of {below.size - 1} more neurons too" if below.size > 1 else ""
        todo = "its weights are too large for its threshold: scale them down or prune the largest"
        faults.append(Fault("ND1703", where, was, f"at least {low}", todo, {"count": int(below.size)}))
    return faults


def _projection(edge: Edge, source: Group, target: Group, weights: Ints, shift: int, delay: int) -> Projection:
    kind = edge.kind
    first = kind.entry.weights[0]
    values = {name: np.zeros_like(weights) for name in kind.fields} | {first: weights}
    if DELAY in kind.fields:
        values[DELAY] = np.full_like(weights, delay)
    parameters = {n: p.default or 0 for n, p in kind.parameters.items()}
    if kind.entry.shift is not None:
        parameters[kind.entry.shift] = shift
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


def shift_choices(stage: Stage, fixed: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """All combinations of shifts for the connection kinds of a stage that are not settled yet."""
    kinds = list({e.kind.name: e.kind for e in stage.edges if e.kind.name not in fixed}.values())
    lowest = [k.parameters[k.entry.shift].allowed.low if k.entry.shift else 0 for k in kinds]
    ranges = [range(low, largest_shift(k) + 1) for k, low in zip(kinds, lowest, strict=True)]
    for values in np.ndindex(*(len(r) for r in ranges)):
        yield dict(fixed) | {k.name: r[v] for k, r, v in zip(kinds, ranges, values, strict=True)}


def expected_error(stage: Stage, choice: Choice, room: Room) -> float:
    """Rounding error to expect of a choice, without a simulation: that of the weights and that of the states."""
    scale = scale_of(stage, choice, room)
    errors, powers = 0.0, 0.0
    for edge in stage.edges:
        step = 2.0 ** choice.shifts.get(edge.kind.name, 0)
        limit = magnitude(edge.kind, edge.kind.entry.weights[0])
        each, unit = edge.spread(scale), edge.spread(stage.threshold)
        weights = np.clip(np.rint(edge.weight * each / step), -limit, limit) * step / each
        errors += float((((weights - edge.weight) / unit) ** 2).sum())
        powers += float(((edge.weight / unit) ** 2).sum())
    states = 0.0
    for keep in stage.keep.values():
        # each step rounds by up to one; the error of a state settles at 1 / (1 - keep) steps, and is 0 without a decay
        settled = np.divide(0.5, 1 - keep, out=np.zeros_like(keep), where=(keep > 0) & (keep < 1))
        states += float(np.median(settled / (stage.threshold * scale)))
    return steady((float(np.sqrt(errors / powers)) if powers else 0.0) + states)


def steady(value: float) -> float:
    """Nine digits of a sum: the last bits depend on where its array lies in memory."""
    return float(f"{value:.9g}")
