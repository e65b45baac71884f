"""What rounding explains: the float neuron run with its parameters pushed to both ends of their rounding error.

A neuron with reset by subtraction fires at least as often, in total, when its input is larger and its threshold lower.
So two float runs of a layer, driven by the events that the integer layer received, bracket the integer counts: one with
every rounding error in favour of firing, one with every error against it. Counts outside the bracket are not explained
by quantization, but by a rail or by a fault.
"""

import numpy as np

from neurodeploy.quantizer.lower import Floats, Stage, decay_keep
from neurodeploy.quantizer.scale import Quantized
from neurodeploy.simulator import Run
from neurodeploy.simulator.machine import Ints


def explained_share(stage: Stage, quantized: Quantized, run: Run) -> float:
    """Share of the (neuron, sample) event counts of a layer that lie inside the bracket."""
    low, high = bracket(stage, quantized, run)
    counts = run.counts[stage.name].sum(0)
    return float(np.mean((counts >= low) & (counts <= high)))


def bracket(stage: Stage, quantized: Quantized, run: Run) -> tuple[Ints, Ints]:
    """(batch, neuron) smallest and largest event counts that the rounding of this layer explains."""
    drive, slack = _input(stage, quantized, run)
    return _fired(stage, quantized, drive - slack, up=False), _fired(stage, quantized, drive + slack, up=True)


def _input(stage: Stage, quantized: Quantized, run: Run) -> tuple[Floats, Floats]:
    """(time, batch, neuron) float input of the layer, and how far rounded weights can be from it."""
    chip, drive, slack = run.network.chip, None, None
    for edge, projection in zip(stage.edges, quantized.projections, strict=True):
        events = run.counts[edge.source].astype(np.float64)
        source = run.network.group(projection.source).kind
        delay = chip.delay(edge.kind.name, source) if edge.delay is None else edge.delay
        late = np.zeros_like(events)
        late[delay:] = events[: len(events) - delay] if delay else events
        dense = np.zeros(edge.weight.shape)
        shift = projection.parameters.get(edge.kind.entry.shift or "", 0)
        dense[projection.sources, projection.targets] = projection.fields[edge.kind.entry.weights[0]] * 2.0**shift
        off = np.abs(dense / quantized.scale - edge.weight)
        drive = late @ edge.weight + (0.0 if drive is None else drive)
        slack = np.abs(late) @ off + (0.0 if slack is None else slack)
    if drive is None or slack is None:
        shape = run.counts[stage.name].shape
        return np.zeros(shape), np.zeros(shape)
    return drive, slack


def _fired(stage: Stage, quantized: Quantized, drive: Floats, *, up: bool) -> Ints:
    """Total counts of the float neuron with decays of the chip, one register step of error in each rounding."""
    deploy = stage.kind.deploy
    if deploy is None:
        return np.zeros(drive.shape[1:], np.int64)
    unit = 1.0 / quantized.scale
    sign = 1.0 if up else -1.0
    registers = quantized.group.parameters
    keep = {
        name: np.array([decay_keep(stage.kind, name, int(r)) for r in registers[decay.param]])
        for name, decay in deploy.decay.items()
    }
    keep_v, keep_i = keep.get("alpha_mem", np.ones(stage.size)), keep.get("alpha_syn")
    threshold = registers[deploy.threshold] * unit
    bias = (registers[deploy.bias] if deploy.bias else 0) * unit
    v, i = np.zeros(drive.shape[1:]), np.zeros(drive.shape[1:])
    total = np.zeros(drive.shape[1:])
    most = np.inf if deploy.max_spikes is None else deploy.max_spikes
    for x in drive:
        i = x if keep_i is None else keep_i * (i + x) + sign * unit
        v = keep_v * v + i + bias + sign * unit
        count = np.minimum(np.maximum(np.floor(v / threshold), 0), most)
        v = v - count * threshold
        total += count
    return total.astype(np.int64)
