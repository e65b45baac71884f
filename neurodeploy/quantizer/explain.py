"""What rounding explains: two float runs of a layer between which the integer counts must stay at every step.

Both runs are driven by the events that the integer layer received, and have the chip's decays (what their grid costs
is reported apart). The upper run has every rounding in favour of firing, the lower one against it. In register steps:

weights    the larger (smaller) of the float weight and the integer one, a rounding of at most half a step; a weight
           that was cut off at the end of its register counts as what it became
threshold  the smaller (larger) of the float and the integer one, again at most half a step apart
bias       the larger (smaller) one
states     each step of current and membrane is rounded to one of the two neighbouring integers of keep * state. With
           keep = m / n in lowest terms, keep * state is a multiple of 1 / n, so that rounding adds or takes at most
           1 - 1 / n. For Xylo, n = 2**dash: the shift floors what is taken away, so states below 0 and from 2**dash on
           go up by at most that, and the rule of at least 1 takes up to that from the states between

Why the running count of the integer neuron lies between those of the two runs: of two neurons call u the membrane of
the one with more drive and a its threshold, v and b those of the one with less, a <= b, and D how many events more u
has had. The larger drive, bias and rounding belong to u; both keep the same fraction, at most 1.

Reset by subtraction. Claim: D >= 0 and u - v >= -a * D after every step. Decay, drive and bias keep the second part,
since D >= 0. Then v <= u + a * D, and as b >= a, v reaches at most D thresholds more than u, also after both are cut to
the cap of a step and at 0: D stays >= 0. Resets take a for each event from u and at least a from v: u - v + a * D does
not shrink.

Reset to zero. Claim: D >= 0; while D = 0, u >= v; else v - u <= b. Decay, drive and bias keep that. While D = 0, u
fires no less; if it fires more, it stands at 0 and v below b. While D > 0, v fires at most once more than u. If D falls
to 0 by it, v stands at 0 and u at 0 or at what it had, which is at least what v had less b, so at least 0. If D stays
above 0, then u fired and stands at 0 with v at most at b; or v alone fired, stands at 0, and u is at least 0 as before.

Nothing here asks for positive states. Saturation of a state would keep the claims, since it is monotone and does not
stretch; but where it acts before a sum is complete, or in one of the two alone, counts can leave the bracket. So a
count outside is the work of a rail or of a fault. After a reset to another value, and with a lower bound whose register
is rounded too, the claims fail or are not shown: there no bracket is made.
"""

import numpy as np

from neurodeploy.network import Projection
from neurodeploy.quantizer.decays import Floats, decay_keep
from neurodeploy.quantizer.grids import grid_of, reach
from neurodeploy.quantizer.registers import Quantized
from neurodeploy.quantizer.stages import Edge, Stage
from neurodeploy.simulator import Run

#: Resets for which the argument above holds.
RESETS = ("subtract", "zero")
#: Register steps that the float arithmetic of the bracket itself may be off.
FLOAT_SLACK = 1e-6


def explained(stage: Stage, quantized: Quantized, run: Run) -> tuple[float, float] | None:
    """How much of a layer's activity rounding explains, and how sharply; None where the argument does not hold.

    Returns the share of (neuron, sample) pairs whose running event count stays inside the bracket at every step, and
    the mean distance of the bracket's ends at the last step, in events.
    """
    ends = bracket(stage, quantized, run)
    if ends is None:
        return None
    low, high = ends
    counts = np.cumsum(run.counts[stage.name], axis=0)
    inside = np.all((counts >= low) & (counts <= high), axis=0)
    return float(np.mean(inside)), float(np.mean(high[-1] - low[-1]))


def bracket(stage: Stage, quantized: Quantized, run: Run) -> tuple[Floats, Floats] | None:
    """(time, batch, neuron) smallest and largest running event counts that the rounding of this layer explains."""
    options = stage.module.options
    if run.network.chip.event_driven:  # events act one by one: a sum over a step says nothing of their order
        return None
    if stage.kind.deploy is None or options.get("reset") not in RESETS or options.get("v_min") is not None:
        return None
    shape = run.counts[stage.name].shape
    low, high = np.zeros(shape), np.zeros(shape)
    for edge, projection in zip(stage.edges, quantized.projections, strict=True):
        events, (least, most) = arriving(edge, run), _weights(stage, edge, projection, quantized.scale)
        low += events @ least
        high += events @ most
    return _running_counts(stage, quantized, low, up=False), _running_counts(stage, quantized, high, up=True)


def arriving(edge: Edge, run: Run) -> Floats:
    """(time, batch, source) events of the source at the steps at which they should reach the layer."""
    events = run.counts[edge.source].astype(np.float64)
    source = run.network.group(edge.source).kind
    delay = run.network.chip.delay(edge.kind.name, source) if edge.delay is None else edge.delay
    late = np.zeros_like(events)
    late[delay:] = events[: len(events) - delay] if delay else events
    return late


def _weights(stage: Stage, edge: Edge, projection: Projection, scale: Floats) -> tuple[Floats, Floats]:
    """(source, target) smaller and larger one of the float and the integer weight, in register steps."""
    kind, worth = edge.kind.entry, _worth(edge, projection)
    exact = edge.matrix * scale
    step = grid_of(edge.kind, stage.together(edge, scale), edge.bits)[2] if kind.grid else worth
    end = reach(edge.kind, stage.together(edge), edge.bits) * (1 if kind.grid else step)
    wanted = np.clip(exact, -end, end)
    kept = np.clip(stored_matrix(edge, projection, exact.shape), wanted - step / 2, wanted + step / 2)
    return np.minimum(exact, kept), np.maximum(exact, kept)


def stored_matrix(edge: Edge, projection: Projection, shape: tuple[int, ...]) -> Floats:
    """(source, target) integer weights, in register steps."""
    kept, spelled = np.zeros(shape), projection.pairwise
    kept[spelled.sources, spelled.targets] = spelled.fields[edge.kind.entry.weights[0]] * _worth(edge, projection)
    return kept


def _worth(edge: Edge, projection: Projection) -> float:
    """Register steps of a stored weight of 1."""
    kind = edge.kind.entry
    return float(2.0 ** projection.parameters.get(kind.grid.exponent if kind.grid else kind.shift or "", 0))


def _running_counts(stage: Stage, quantized: Quantized, drive: Floats, *, up: bool) -> Floats:
    """Running event counts of the float neuron, every rounding in favour of firing (``up``) or against it."""
    deploy, registers, scale = stage.kind.deploy, quantized.group.parameters, quantized.scale
    if deploy is None:
        return np.zeros_like(drive)
    least, most, sign = (np.minimum, np.maximum, 1.0) if up else (np.maximum, np.minimum, -1.0)

    def nearest(name: str, exact: Floats) -> Floats:
        return np.clip(registers[name], exact - 0.5, exact + 0.5)

    def kept(name: str) -> tuple[Floats, Floats]:
        """Decay fractions and the largest error of one rounding."""
        values = [decay_keep(stage.kind, name, int(r)) for r in registers[deploy.decay[name].param]]
        errors = [(1 - 1 / value.as_integer_ratio()[1]) / deploy.unit for value in values]
        return np.array(values), sign * (np.array(errors) + FLOAT_SLACK)

    threshold = least(stage.threshold * scale, nearest(deploy.threshold, stage.threshold * scale))
    bias = stage.bias * scale
    bias = bias if deploy.bias is None else most(bias, nearest(deploy.bias, bias))
    keep_i, error_i = kept("alpha_syn") if "alpha_syn" in stage.keep else (None, 0.0)
    keep_v, error_v = kept("alpha_mem") if "alpha_mem" in stage.keep else (1.0, sign * FLOAT_SLACK)
    cap = np.inf if deploy.max_spikes is None else deploy.max_spikes
    strict, to_zero = stage.module.options.get("comparison") == ">", stage.module.options.get("reset") == "zero"
    early = deploy.input == "before decay"
    v, i = np.zeros(drive.shape[1:]), np.zeros(drive.shape[1:])
    running = np.zeros_like(drive)
    total = np.zeros(drive.shape[1:])
    for t, x in enumerate(drive):
        i = x if keep_i is None else (keep_i * (i + x) if early else keep_i * i + x) + error_i
        v = keep_v * v + i + bias + error_v
        reached = np.ceil(v / threshold) - 1 if strict else np.floor(v / threshold)
        fired = np.clip(reached, 0, cap)
        v = np.where(fired > 0, 0.0, v) if to_zero else v - fired * threshold
        total = total + fired
        running[t] = total
    return running
