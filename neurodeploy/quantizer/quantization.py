"""Float model -> integer Network: scales chosen by the activity that they preserve, and a report for each layer."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.chips import Chip
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.models import reset_states
from neurodeploy.network import Network, place_identity
from neurodeploy.quantizer.explain import explained_share
from neurodeploy.quantizer.lower import Floats, Lowered, Stage, lower
from neurodeploy.quantizer.report import LayerReport
from neurodeploy.quantizer.scale import Choice, Quantized, Room, build_network, expected_error, room_of, shift_choices
from neurodeploy.simulator import Run, simulate

#: How many of the shift combinations with the smallest expected error are simulated on the calibration data.
TRIED = 4
#: Shares of the largest weight that may reach the end of the register; tried on the calibration data.
FULL_SCALES = (1.0, 0.8, 0.65)
#: Factors on the scale that keeps every state seen off the rails; tried on the calibration data.
REACHES = (2.0, 4.0, 8.0)
#: What clips weights or touches rails must lower the count error by this factor to be taken.
MUST_GAIN = 0.95


@dataclass(frozen=True)
class Quantization:
    """An integer network and what became of each layer."""

    network: Network
    layers: tuple[LayerReport, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """The report as plain data."""
        return [layer.to_json() for layer in self.layers]


@dataclass(frozen=True)
class Activity:
    """What the float model did on the calibration data.

    counts : layer -> (time, batch, neuron) events
    peaks : layer -> float state -> (neuron,) largest magnitude, in units of the synaptic current
    """

    counts: dict[str, Floats]
    peaks: dict[str, dict[str, Floats]]


def quantize(
    model: torch.nn.Module,
    chip: Chip,
    *,
    calibration: npt.ArrayLike | None = None,
    dt_s: float | None = None,
) -> Quantization:
    """Turn a float model into an integer network for a chip.

    model : sequential, as ``constrain`` returns it; it is not changed
    calibration : (time, batch, channel) counts; scales are then chosen by the event counts that they preserve. Without
        it they follow from the weights, with room for states of 8 thresholds
    dt_s : duration of a step in seconds, carried along

    Weights, threshold and bias of a neuron share one scale and are rounded to nearest, halves to even. Weights beyond
    the register are cut only where the calibration data say that it helps, and the report states the share.
    Raises Refusal with all faults: ND16xx and ND17xx.
    """
    lowered = lower(model, chip)
    activity = None if calibration is None else observe(lowered, np.asarray(calibration))
    rooms = {s.name: room_of(s, activity.peaks[s.name] if activity else None) for s in lowered.stages}
    choice = Choice()
    counts = None if calibration is None else np.asarray(calibration)
    for index, stage in enumerate(lowered.stages):
        choice = _settle(lowered, stage, choice, rooms, index, counts, activity)
    network, done, faults = build_network(lowered, choice, rooms, until=len(lowered.stages), dt_s=dt_s)
    raise_if(faults)
    layers = tuple(q.report for q in done)
    if counts is not None and activity is not None:
        run = simulate(place_identity(network), counts, record=_states(lowered), drain=0)
        layers = tuple(_measured(stage, q, run, activity) for stage, q in zip(lowered.stages, done, strict=True))
    return Quantization(network, layers)


def _states(lowered: Lowered) -> list[str]:
    names = []
    for stage in lowered.stages:
        deploy = stage.kind.deploy
        names += [f"{stage.name}.{state}" for state in deploy.states.values()] if deploy else []
    return names


def observe(lowered: Lowered, counts: npt.NDArray[Any]) -> Activity:
    """Run the float model on calibration data and keep events and largest states of each layer."""
    if counts.ndim != 3 or counts.shape[2] != lowered.inputs:
        must = f"(time, batch, {lowered.inputs}) counts"
        raise Refusal(Fault("ND1704", "calibration", f"an array of shape {counts.shape}", must))
    if not np.issubdtype(counts.dtype, np.integer) or counts.size == 0 or counts.min() < 0:
        raise Refusal(Fault("ND1704", "calibration", f"values of type {counts.dtype}", "whole numbers of events, some"))
    seen: dict[str, torch.Tensor] = {}
    recorded = [(stage, stage.module.record_states) for stage in lowered.stages]
    hooks = [
        stage.module.register_forward_hook(lambda _m, _i, out, name=stage.name: seen.__setitem__(name, out))
        for stage in lowered.stages
    ]
    training = lowered.model.training
    try:
        for stage in lowered.stages:
            stage.module.record_states = True
        lowered.model.eval()
        reset_states(lowered.model)
        with torch.no_grad():
            lowered.model(torch.as_tensor(counts.astype(np.float64)).to(lowered.stages[0].module.dtype))
        peaks = {stage.name: _peaks(stage) for stage in lowered.stages}
    finally:
        for hook in hooks:
            hook.remove()
        for stage, record in recorded:
            stage.module.record_states = record
            stage.module.recordings = {}
        reset_states(lowered.model)
        lowered.model.train(training)
    flat = {name: out.reshape(*out.shape[:2], -1).double().numpy() for name, out in seen.items()}
    return Activity(flat, peaks)


def _peaks(stage: Stage) -> dict[str, Floats]:
    result = {}
    for name in stage.kind.deploy.states if stage.kind.deploy else ():
        record = stage.module.recordings[name].reshape(-1, stage.size).abs().amax(0).double().numpy()
        # the chip's membrane stands before the input gain of the layer, its current as it is
        result[name] = record / stage.gain if name == "v" else record
        if name == "v":
            # recorded after the reset: before it the membrane stood at least one threshold higher where it fired
            result[name] = result[name] + stage.threshold
    return result


def _settle(
    lowered: Lowered,
    stage: Stage,
    choice: Choice,
    rooms: dict[str, Room],
    index: int,
    counts: npt.NDArray[Any] | None,
    activity: Activity | None,
) -> Choice:
    """Choose the shifts and the full scale of one stage; those of earlier stages are settled."""

    def ranked(start: Choice) -> list[Choice]:
        options = [replace(start, shifts=shifts) for shifts in shift_choices(stage, choice.shifts)]
        return sorted(options, key=lambda option: expected_error(stage, option, rooms[stage.name]))

    if counts is None or activity is None:
        return ranked(choice)[0]

    def count_error(option: Choice) -> float:
        network, _, faults = build_network(lowered, option, rooms, until=index + 1, dt_s=None)
        if faults:
            return np.inf
        run = simulate(place_identity(network), counts, drain=0)
        return _count_error(run, stage, activity)

    tried = [(count_error(option), option) for option in ranked(choice)[:TRIED]]
    least, best = min(tried, key=lambda pair: pair[0])
    for reach in REACHES:
        option = ranked(replace(best, reach={**best.reach, stage.name: reach}))[0]
        error = count_error(option)
        if error < least * MUST_GAIN:
            least, best = error, option
    for full in FULL_SCALES[1:]:
        option = replace(best, full={**best.full, stage.name: full})
        error = count_error(option)
        if error < least * MUST_GAIN:
            least, best = error, option
    return best


def _count_error(run: Run, stage: Stage, activity: Activity) -> float:
    integer, real = run.counts[stage.name].sum(0), activity.counts[stage.name].sum(0)
    return float(np.abs(integer - real).sum() / max(real.sum(), 1.0))


def _measured(stage: Stage, quantized: Quantized, run: Run, activity: Activity) -> LayerReport:
    """Add to a report what the integer network did on the calibration data."""
    deploy = stage.kind.deploy
    headroom, rails = {}, 0
    for state in deploy.states.values() if deploy else ():
        interval = stage.kind.states[state].interval
        values = run.states[stage.name][state]
        largest = int(max(values.max(initial=0), -values.min(initial=0), 1))
        headroom[state] = max(0.0, float(np.log2(interval.high / largest)))
        rails += int(((values == interval.low) | (values == interval.high)).sum())
    return replace(
        quantized.report,
        rate_float=float(activity.counts[stage.name].mean()),
        rate_integer=float(run.counts[stage.name].mean()),
        count_error=_count_error(run, stage, activity),
        explained=explained_share(stage, quantized, run),
        headroom_bits=headroom,
        rails_hit=rails,
    )
