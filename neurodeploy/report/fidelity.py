"""A float model and its integer network on the same input: how far apart they are, layer by layer."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.approximation import substitute
from neurodeploy.errors import Fault, Refusal
from neurodeploy.models import reset_states
from neurodeploy.network import Network
from neurodeploy.quantizer import Lowered, Stage, constrain, lower
from neurodeploy.simulator import Run, simulate

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: rules of the approximation that a conversion follows without being asked
CONSTRAINED = ("max_spikes",)
#: a layer's error grows where it is this many times that of every layer before, and at least LEAST
GROWS, LEAST = 1.5, 0.02


@dataclass(frozen=True)
class LayerFidelity:
    """One layer, float against integer.

    rate_float, rate_integer : events of one neuron in one step, the mean over all
    rate_error : relative difference of the two; None where the float layer is silent
    count_error : sum of absolute differences of the event totals of each neuron and sample, relative to the float sum
    correlation : of these totals; None where one side does not vary
    sqnr_db : signal-to-quantization-noise ratio of the membrane, in decibels, the integer one in units of the float
        one; None where it is not recorded or the same
    """

    layer: str
    neurons: int
    rate_float: float
    rate_integer: float
    rate_error: float | None
    count_error: float | None
    correlation: float | None
    sqnr_db: float | None


@dataclass(frozen=True)
class Course:
    """What a layer did on both sides.

    events : (time, batch, neuron) of the float layer
    membrane, scaled : (time, batch, neuron) of the float layer, and of the integer one in its unit
    threshold : (neuron,) in the float unit
    """

    events: Floats
    membrane: Floats
    scaled: Floats | None
    threshold: Floats


@dataclass(frozen=True)
class Fidelity:
    """Float against integer.

    layers : in the order of the model
    grows_at : the first layer whose count error is GROWS times that of every layer before it, None where none is
    events : of the float network on the whole input
    courses, stages : layer -> what it did, and its float weights and thresholds
    run : of the integer network
    """

    chip: str
    layers: tuple[LayerFidelity, ...]
    grows_at: str | None
    events: int
    courses: Mapping[str, Course]
    stages: Mapping[str, Stage]
    run: Run

    def __str__(self) -> str:
        lines = [_line(layer) for layer in self.layers]
        where = f"layer {self.grows_at!r}" if self.grows_at else "no layer"
        return "\n".join([f"float against {self.chip}; the error grows first in {where}", *lines])

    def to_json(self) -> dict[str, Any]:
        """The numbers as plain data."""
        layers = [asdict(layer) for layer in self.layers]
        return {"target": self.chip, "layers": layers, "grows_at": self.grows_at, "float_events": self.events}


def measure_fidelity(model: torch.nn.Module, network: Network, counts: Mapping[str, Ints] | npt.ArrayLike) -> Fidelity:
    """Run a float model as its chip computes it, and the integer network, on the same input.

    model : what the network was converted from; what ``constrain`` does to it is done here too
    counts : (time, batch, channel), of the one input group
    Raises Refusal: ND2003 where the layers are not those of the network, ND2001 for input without a step or sample,
    and what ``lower`` and ``simulate`` refuse.
    """
    given = counts if not isinstance(counts, Mapping) else _single(counts)
    made, _ = substitute(model, network.chip, only=CONSTRAINED)
    lowered = lower(constrain(made, network.chip), network.chip)
    _refuse_other(lowered, network)
    record = [f"{s.name}.{name}" for s in lowered.stages if (name := _membrane(s))]
    run = simulate(network, np.asarray(given), record=record, drain=0)
    if not all(v.size for v in run.counts.values()):
        raise Refusal(Fault("ND2001", "float against integer", "no step or no sample", "at least one of each"))
    seen = _float_run(lowered, np.asarray(given))
    courses = {s.name: _course(s, run, *seen[s.name]) for s in lowered.stages}
    layers = tuple(_layer(s, run, courses[s.name]) for s in lowered.stages)
    events = int(sum(c.events.sum() for c in courses.values()))
    stages = {s.name: s for s in lowered.stages}
    return Fidelity(network.chip.name, layers, _grows(layers), events, courses, stages, run)


def _single(counts: Mapping[str, Ints]) -> Ints:
    if len(counts) != 1:
        raise Refusal(Fault("ND2003", "float against integer", f"{len(counts)} input groups", "one, as a model has"))
    return next(iter(counts.values()))


def _refuse_other(lowered: Lowered, network: Network) -> None:
    sizes = {g.name: g.size for g in network.groups}
    for stage in lowered.stages:
        if sizes.get(stage.name) != stage.size:
            was = f"the model's layer {stage.name!r} of {stage.size} neurons"
            must = f"the layers of the network: {', '.join(f'{n} ({s})' for n, s in sizes.items())}"
            raise Refusal(Fault("ND2003", "float against integer", was, must, "give the model that was converted"))


def _membrane(stage: Stage) -> str:
    return stage.kind.deploy.states.get("v", "") if stage.kind.deploy else ""


def _float_run(lowered: Lowered, counts: Ints) -> dict[str, tuple[Floats, Floats]]:
    """Events and membrane of every layer, (time, batch, neuron), from reset, dropout off."""
    events, model = dict[str, torch.Tensor](), lowered.model
    model.eval()
    reset_states(model)
    hooks = []
    for stage in lowered.stages:
        stage.module.record_states = True
        hooks.append(stage.module.register_forward_hook(_keeping(events, stage.name)))
    try:
        with torch.no_grad():
            model(torch.as_tensor(counts.astype(np.float64)).to(lowered.stages[0].module.dtype))
        recorded = {s.name: s.module.recordings["v"] for s in lowered.stages}
    finally:
        for hook, stage in zip(hooks, lowered.stages, strict=True):
            hook.remove()
            stage.module.record_states, stage.module.recordings = False, {}
        reset_states(model)
    return {name: (_flat(out), _flat(recorded[name])) for name, out in events.items()}


def _keeping(events: dict[str, torch.Tensor], name: str) -> Callable[[torch.nn.Module, Any, torch.Tensor], None]:
    def keep(_module: torch.nn.Module, _input: Any, out: torch.Tensor) -> None:
        events[name] = out

    return keep


def _flat(values: torch.Tensor) -> Floats:
    return np.asarray(values.double().flatten(2).numpy())


def _course(stage: Stage, run: Run, events: Floats, membrane: Floats) -> Course:
    deploy, states = stage.kind.deploy, run.states.get(stage.name, {})
    threshold = stage.threshold * stage.gain
    name = _membrane(stage)
    if deploy is None or name not in states:
        return Course(events, membrane, None, threshold)
    register = run.network.group(stage.name).parameters[deploy.threshold] * deploy.unit
    return Course(events, membrane, states[name] * (threshold / register), threshold)


def _layer(stage: Stage, run: Run, course: Course) -> LayerFidelity:
    late = stage.late  # the chip's layer runs so many steps behind: it is compared with what the float one did before
    steps = len(course.events) - late
    wanted, found = course.events[:steps].sum(axis=0), run.counts[stage.name][late:].sum(axis=0)
    cells = max(steps, 1) * wanted.size
    rates = float(wanted.sum() / cells), float(found.sum() / cells)
    varies = wanted.std() > 0 and found.std() > 0
    correlation = float(np.corrcoef(wanted.reshape(-1), found.reshape(-1))[0, 1]) if varies else None
    heard = wanted.sum() > 0
    noise = None
    if course.scaled is not None:
        noise = _sqnr(course.membrane[:steps], course.scaled[late:])
    error = float(np.abs(found - wanted).sum() / wanted.sum()) if heard else None
    return LayerFidelity(
        stage.name,
        stage.size,
        *rates,
        (rates[1] - rates[0]) / rates[0] if heard else None,
        error,
        correlation,
        noise,
    )


def _sqnr(signal: Floats, other: Floats) -> float | None:
    noise, power = float(np.square(other - signal).sum()), float(np.square(signal).sum())
    return 10 * float(np.log10(power / noise)) if noise > 0 and power > 0 else None


def _grows(layers: tuple[LayerFidelity, ...]) -> str | None:
    largest = LEAST / GROWS
    for layer in layers:
        error = layer.count_error or 0.0
        if error >= GROWS * largest:
            return layer.layer
        largest = max(largest, error)
    return None


def _line(layer: LayerFidelity) -> str:
    said = {
        "rate": f"{layer.rate_float:.4f} float, {layer.rate_integer:.4f} integer",
        "count error": "silent" if layer.count_error is None else f"{layer.count_error:.2%}",
        "correlation": "none" if layer.correlation is None else f"{layer.correlation:.4f}",
        "membrane": "-" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f} dB SQNR",
    }
    return f"{layer.layer!r}: " + ", ".join(f"{name} {words}" for name, words in said.items())
