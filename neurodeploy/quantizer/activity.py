"""What a float model does on calibration data: events and largest states of each layer."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.errors import Fault, Refusal
from neurodeploy.layers import Neuron
from neurodeploy.models import reset_states
from neurodeploy.quantizer.decays import Floats
from neurodeploy.quantizer.stages import Lowered, Stage

#: Points of the grid of peaks for each factor of 2.
PEAK_GRID = 64


@dataclass(frozen=True)
class Activity:
    """What the float model did on the calibration data.

    counts : layer -> (time, batch, neuron) events
    peaks : layer -> float state -> (neuron,) largest magnitude that the chip's state passes through in a step, in
        units of the synaptic current: the current before it decays, the membrane before it is reset; up to 1 % above
    """

    counts: Mapping[str, Floats]
    peaks: Mapping[str, Mapping[str, Floats]]


def observe(lowered: Lowered, counts: npt.NDArray[Any]) -> Activity:
    """Run a copy of the float model, dropout off, from reset.

    Raises Refusal ND1704 for calibration data that are not (time, batch, channel) counts.
    """
    _check(counts, lowered.inputs)
    model = copy.deepcopy(lowered.model).cpu().eval()
    reset_states(model)
    seen: dict[str, torch.Tensor] = {}
    neurons: dict[str, Neuron] = {}
    for stage in lowered.stages:
        layer = model.get_submodule(stage.name)
        if not isinstance(layer, Neuron):
            raise TypeError(stage.name)
        layer.record_states = True
        layer.register_forward_hook(lambda _m, _i, out, name=stage.name: seen.__setitem__(name, out))
        neurons[stage.name] = layer
    with torch.no_grad():
        model(torch.as_tensor(counts.astype(np.float64)).to(lowered.stages[0].module.dtype))
    events = {name: out.double().flatten(2).numpy() for name, out in seen.items()}
    peaks = {s.name: _peaks(s, neurons[s.name], events[s.name]) for s in lowered.stages}
    return Activity(events, peaks)


def _check(counts: npt.NDArray[Any], inputs: int) -> None:
    must, where = f"(time, batch, {inputs}) whole numbers of events", "calibration"
    if counts.ndim != 3 or counts.shape[2] != inputs or not counts.size:
        todo = "add a batch axis: x[:, None, :]" if counts.ndim == 2 else ""
        raise Refusal(Fault("ND1704", where, f"an array of shape {counts.shape}", must, todo))
    if not np.issubdtype(counts.dtype, np.integer) and counts.dtype != bool:
        todo = "count the events of each step first"
        raise Refusal(Fault("ND1704", where, f"values of type {counts.dtype}", must, todo))
    if counts.min() < 0:
        below = int((counts < 0).sum())
        was = f"{below} values below 0, the lowest {int(counts.min())}"
        raise Refusal(Fault("ND1704", where, was, must, "", {"count": below}))


def _peaks(stage: Stage, layer: Neuron, events: Floats) -> dict[str, Floats]:
    result = {}
    for name in stage.kind.deploy.states if stage.kind.deploy else ():
        if name not in layer.recordings:
            continue
        record = layer.recordings[name].double().flatten(2).numpy()
        if name == "v":
            record = _before_reset(stage, layer, record / stage.gain, events)
        elif "alpha_syn" in stage.keep:
            record = record / np.maximum(stage.keep["alpha_syn"], np.finfo(float).tiny)  # recorded after the decay
        result[name] = _up_to_grid(np.abs(record).max(axis=(0, 1), initial=0.0))
    return result


def _before_reset(stage: Stage, layer: Neuron, after: Floats, events: Floats) -> Floats:
    """Membrane before its reset, in units of the current: the chip's stands before the input gain of the layer."""
    if "i" not in layer.recordings or "alpha_mem" not in stage.keep:
        return after + events * stage.threshold
    kept = np.concatenate([np.zeros_like(after[:1]), after[:-1]]) * stage.keep["alpha_mem"]
    return np.asarray(kept + _current(stage, layer) + stage.bias)


def _current(stage: Stage, layer: Neuron) -> Floats:
    """Recorded synaptic current, in units of what the chip's synapses add."""
    current = layer.recordings["i"].double().flatten(2).numpy()
    deploy = stage.kind.deploy
    if deploy is None or deploy.input == "before decay":
        return np.asarray(current)
    return np.asarray(current / np.maximum(stage.keep["alpha_syn"], np.finfo(float).tiny))


def _up_to_grid(peaks: Floats) -> Floats:
    """Next higher point of a coarse logarithmic grid.

    The last bits of a float run depend on where its arrays lie in memory; scales must not. The points lie off the
    round numbers that weights like to make.
    """
    points = np.ceil(np.log2(peaks, out=np.zeros_like(peaks), where=peaks > 0) * PEAK_GRID + 0.3) - 0.3
    return np.where(peaks > 0, np.exp2(points / PEAK_GRID), 0.0)
