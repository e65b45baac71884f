"""Scales: how many integer steps stand for 1.0 in each neuron, and the registers that follow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from neurodeploy.chips import ConnectionKind
from neurodeploy.quantizer.decays import Floats
from neurodeploy.quantizer.grids import magnitude, reach, round_weights
from neurodeploy.quantizer.stages import Stage
from neurodeploy.step import NUMPY, Interval, evaluate

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
    shrink : layer -> factor on the whole scale, at most 1
    parity : whose integers are wanted, "" for our own
    """

    shifts: Mapping[str, int] = field(default_factory=dict)
    full: Mapping[str, float] = field(default_factory=dict)
    reach: Mapping[str, float] = field(default_factory=dict)
    shrink: Mapping[str, float] = field(default_factory=dict)
    parity: str = ""


@dataclass(frozen=True)
class Room:
    """Upper ends of a stage's scale.

    registers : (neuron,) what thresholds and biases allow
    states : (neuron,) what keeps the states off their rails
    """

    registers: Floats
    states: Floats


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
    kept = {deploy.threshold: stage.threshold, deploy.bias: stage.bias, deploy.lower_bound: stage.low}
    highs = [
        _room(stage.kind.parameters[name].allowed, values)
        for name, values in kept.items()
        if name is not None and values is not None
    ]
    states = []
    for name, state in deploy.states.items():
        rail = stage.kind.states[state].interval.high / deploy.unit
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


def _room(allowed: Interval, values: Floats) -> Floats:
    """Largest scales that keep values inside a register; a sign that it does not take is a fault, and no limit here."""
    end = np.where(values > 0, allowed.high, allowed.low)
    return np.divide(end, values, out=np.full_like(values, np.inf), where=end * values > 0)


def _over(a: float, b: Floats) -> Floats:
    return np.divide(a, b, out=np.full_like(b, np.inf), where=b > 0)


def scale_of(stage: Stage, choice: Choice, room: Room) -> Floats:
    """(neuron,) scale: the weights of a neuron fill their registers, unless its states then leave theirs."""
    scale = np.minimum(room.registers, room.states * choice.reach.get(stage.name, 1.0))
    for edge in stage.edges:
        most = reach(edge.kind, stage.together(edge), edge.bits) * 2.0 ** choice.shifts.get(edge.kind.name, 0)
        scale = np.minimum(scale, _over(most / choice.full.get(stage.name, 1.0), edge.largest))
    scale = scale * choice.shrink.get(stage.name, 1.0)
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


def limit_of(stage: Stage, choice: Choice, room: Room, scale: Floats) -> str:
    """What keeps the scale of a layer from being larger."""
    at = int(np.argmin(scale * stage.threshold))
    if stage.name in choice.shrink:
        return "agreement of dialects"
    states = room.states[at] * choice.reach.get(stage.name, 1.0)
    if scale[at] < min(room.registers[at], states) * (1 - 1e-9):
        return "weight"
    return "threshold, bias or lower bound" if room.registers[at] <= states else "state"


def unit_of(stage: Stage) -> int:
    """Steps of the membrane for one step of weight, threshold and bias."""
    return stage.kind.deploy.unit if stage.kind.deploy else 1


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
        each, unit = edge.spread(scale), edge.spread(stage.threshold)
        shift = choice.shifts.get(edge.kind.name, 0)
        together = stage.together(edge, scale)
        weights = round_weights(edge.kind, edge.weight * each, shift, together, edge.bits).worth / each
        errors += float((((weights - edge.weight) / unit) ** 2).sum())
        powers += float(((edge.weight / unit) ** 2).sum())
    states = 0.0
    for keep in stage.keep.values():
        # each step rounds by up to one; the error of a state settles at 1 / (1 - keep) steps; no leak, no error
        settled = np.divide(0.5, 1 - keep, out=np.zeros_like(keep), where=(keep > 0) & (keep < 1))
        states += float(np.median(settled / (stage.threshold * scale * unit_of(stage))))
    return steady((float(np.sqrt(errors / powers)) if powers else 0.0) + states)


def steady(value: float) -> float:
    """Nine digits of a sum: the last bits depend on where its array lies in memory."""
    return float(f"{value:.9g}")
