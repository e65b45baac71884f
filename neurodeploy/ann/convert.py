"""ANN to SNN: ReLU layers become integrate-and-fire neurons whose thresholds are balanced on data."""

from typing import Any

import numpy as np
import torch

from neurodeploy.ann.build import build_model
from neurodeploy.ann.merge import merged
from neurodeploy.ann.report import AnnReport, ReluReport
from neurodeploy.ann.trace import Plan, Step, trace
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.layers import IAF
from neurodeploy.layers.registry import dtype_name
from neurodeploy.layers.values import Checker
from neurodeploy.models import reset_states

_IMAGE = ("batch", "channel", "row", "column")
#: Without a dimension torch takes samples for channels, or channels for time.
_DIMS = {torch.nn.Conv2d: _IMAGE, torch.nn.AvgPool2d: _IMAGE, torch.nn.BatchNorm1d: ("batch", "feature")}
_CHUNK = 16  # steps that run at once: memory stays bounded, states are kept between


def convert_ann(
    module: torch.nn.Module,
    calibration: Any,
    *,
    percentile: float = 99.9,
    steps: int = 64,
    input_unit: float = 1.0,
    max_spikes: int | None = None,
    v_min: float | None = None,
    spiking_output: bool = False,
) -> tuple[torch.nn.Sequential, AnnReport]:
    """Turn a trained network of ReLU layers into a spiking model that computes the same with rates.

    Parameters
    ----------
    module : torch.nn.Module
        Of Linear, Conv2d, BatchNorm1d, BatchNorm2d, AvgPool2d, Flatten, ReLU, Dropout, Identity and additions, with a
        forward of one tensor. It is traced in evaluation mode and not changed.
    calibration : tensor or array (batch, ...)
        Typical inputs, of the network's float type.
    percentile : float
        Of the activations above 0 of each ReLU on the calibration data: this activation becomes the threshold, one
        spike per step. Smaller makes rates finer and more of them exceed one spike per step.
    steps : int
        How long the spiking model runs on the calibration data for the report.
    input_unit : float
        What 1 at the input stands for. 1: the analog values, repeated in every step
        (``x.expand(steps, *x.shape)``). For counts of ``encode_rate(x, steps, max_count=n, seed=...)``: 1 / n.
    max_spikes : int, optional
        Most spikes of a neuron in one step; 1 cuts activations off at the threshold. None: no limit.
    v_min : float, optional
        Lowest membrane, in thresholds, for instance -1 as in sinabs. It forgets negative input and so biases rates
        upwards. None: no bound.
    spiking_output : bool
        Put neurons behind the last layer too: the output is counts, and negative outputs are silent.

    Returns the model, (time, batch, ...) to (time, batch, ...), and a report. The mean output over time, times
    ``report.output_unit``, approximates the network's output. With repeated analog input and neither limit nor bound,
    the counts N of a ReLU keep abs(threshold * N(T) - T * activation) <= e for every T, with e = threshold + the
    largest row sum of abs(weights) * e of the layer before, and e = 0 at the input: rates converge as 1 / T.

    Raises Refusal with all faults: ND1603 unsupported modules and functions, ND1605 data-dependent control flow (both
    with file and line where known), ND1604 NaN, ND1601 options, ND1602 and ND1606 calibration data.
    """
    raise_if(_option_faults(percentile, steps, input_unit, max_spikes, v_min, spiking_output=spiking_output))
    traced = trace(module)
    x = _calibration(module, calibration)
    plan = merged(traced)
    if spiking_output:
        plan = Plan((*plan.steps, Step("spikes", "relu", (plan.output,), None, "spiking_output")), "spikes")
    with torch.no_grad():
        raise_if(_shape_faults(traced, _values(traced, x)))
        values = plan.compute(x)
        expected, merge_error = _compared(module, x, values[plan.output], spiking=spiking_output)
        relus = [step for step in plan.steps if step.kind == "relu"]
        thresholds = _thresholds(relus, values, percentile)
        shapes = {step.name: tuple(values[step.name].shape[1:]) for step in relus}
        limits: dict[str, Any] = {"max_spikes": max_spikes, "v_min": v_min}
        model, unit = build_model(plan, thresholds, shapes, input_unit=input_unit, dtype=x.dtype, **limits)
        model.to(x.device)
        rates, output = _run(model, x / input_unit, steps)
    layers = tuple(_report(step, thresholds[step.name], values[step.name], rates[step.name]) for step in relus)
    error = float((output * unit - expected).abs().mean() / expected.abs().mean().clamp(min=1e-30))
    report = AnnReport(percentile, len(x), steps, float(input_unit), unit, error, merge_error, layers)
    return model, report


def _option_faults(
    percentile: float, steps: int, input_unit: float, max_spikes: object, v_min: Any, *, spiking_output: object
) -> list[Fault]:
    check = Checker("convert_ann")
    check.number("percentile", percentile)
    if not check.faults and not 0 < percentile <= 100:
        check.fault("percentile", percentile, "it must lie above 0 and at or below 100")
    check.whole("steps", steps, 1)
    check.tensor("input_unit", input_unit, positive=True)
    if max_spikes is not None:
        check.whole("max_spikes", max_spikes, 1)
    if v_min is not None:
        check.number("v_min", v_min)
        if isinstance(v_min, int | float) and v_min > 0:
            check.fault("v_min", v_min, "it must be at or below 0, where membranes start")
    check.flag("spiking_output", spiking_output)
    return check.faults


def _calibration(module: torch.nn.Module, calibration: Any) -> torch.Tensor:
    """Check the calibration data against the float type of the network, and both for NaN."""
    where = "convert_ann, calibration"
    try:
        x = torch.as_tensor(calibration).detach()
    except (TypeError, ValueError, RuntimeError):
        was = f"a {type(calibration).__name__}"
        raise Refusal(Fault("ND1606", where, was, "a tensor or array (batch, ...)")) from None
    like = next(iter(module.parameters()), torch.empty(()))
    faults = []
    if x.dim() < 2 or x.numel() == 0:
        was = f"an array of shape {tuple(x.shape)}"
        faults.append(Fault("ND1606", where, was, "(batch, ...), with samples", "", {"shape": tuple(x.shape)}))
    if x.dtype != like.dtype:
        was, must = f"values of type {dtype_name(x.dtype)}", f"those of the network, {dtype_name(like.dtype)}"
        faults.append(Fault("ND1602", where, was, must, "convert them with .to(...)"))
    elif not bool(torch.isfinite(x).all()):
        was = f"{int((~torch.isfinite(x)).sum())} NaN or infinite values"
        faults.append(Fault("ND1604", where, was, "all must be finite"))
    for name, value in module.state_dict().items():
        bad = int((~torch.isfinite(value)).sum())
        if bad:
            was = f"{bad} of {value.numel()} values are NaN or infinite"
            faults.append(Fault("ND1604", f"parameter {name}", was, "all must be finite", "", {"parameter": name}))
    raise_if(faults)
    return x.to(like.device)


def _values(plan: Plan, x: torch.Tensor) -> dict[str, torch.Tensor]:
    try:
        return plan.compute(x)
    except (RuntimeError, ValueError) as error:
        was = f"samples of shape {tuple(x.shape[1:])} do not pass through the network ({error})".splitlines()[0]
        first = f"which begins with {plan.steps[0].place}" if plan.steps else ""
        raise Refusal(Fault("ND1602", "convert_ann, calibration", was, "samples of the network", first)) from None


def _compared(
    module: torch.nn.Module, x: torch.Tensor, found: torch.Tensor, *, spiking: bool
) -> tuple[torch.Tensor, float]:
    """Output of the network itself, and how far the merged steps are from it: the trace may not have seen all."""
    training = {part: part.training for part in module.modules()}
    try:
        module.eval()
        expected: torch.Tensor = module(x.clone())
    finally:
        for part, mode in training.items():
            part.training = mode
    if spiking:
        expected = torch.relu(expected)
    scale = float(expected.abs().max().clamp(min=1e-30))
    error = float((expected - found).abs().max()) / scale if expected.shape == found.shape else float("inf")
    if not error <= torch.finfo(x.dtype).eps ** 0.5:
        was = f"the traced steps differ from the network's own output by {error:.2g} of its largest value"
        must = "a forward whose operations return new values"
        todo = "look for values that are changed in place (ReLU(inplace=True), +=) and used again"
        raise Refusal(Fault("ND1605", "forward", was, must, todo, {"difference": error}))
    return expected, error


def _shape_faults(plan: Plan, values: dict[str, torch.Tensor]) -> list[Fault]:
    """Faults that show only with the shapes of the data: what torch would accept and mean otherwise."""
    found = []
    for step in plan.steps:
        shapes = [tuple(values[source].shape) for source in step.sources]
        if step.kind == "add" and shapes[0] != shapes[1]:
            was = f"values of shape {shapes[0]} and {shapes[1]} are added"
            found.append(Fault("ND1602", step.place, was, "both must be equal"))
        dims = _DIMS.get(type(step.module))
        if dims is not None and len(shapes[0]) != len(dims):
            was = f"a {type(step.module).__name__} of values of shape {shapes[0]}"
            found.append(Fault("ND1602", step.place, was, f"it must be ({', '.join(dims)})", "see calibration"))
    return found


def _thresholds(relus: list[Step], values: dict[str, torch.Tensor], percentile: float) -> dict[str, float]:
    found, faults = dict[str, float](), []
    for step in relus:
        positive = values[step.name][values[step.name] > 0]
        if positive.numel() == 0:
            was, must = "no activation above 0 on the calibration data", "some, so that its threshold can be chosen"
            faults.append(Fault("ND1606", step.place, was, must, "give other samples, or remove the dead layer"))
        else:
            found[step.name] = float(np.percentile(positive.double().cpu().numpy(), percentile))
    raise_if(faults)
    return found


def _run(model: torch.nn.Module, x: torch.Tensor, steps: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Rates of all neuron layers, and the mean output, for input repeated over so many steps."""
    totals: dict[str, torch.Tensor] = {}

    def add(name: str, out: torch.Tensor) -> None:
        totals[name] = totals.get(name, 0) + out.sum(0)

    neurons = {name.rpartition(".")[2]: part for name, part in model.named_modules() if isinstance(part, IAF)}
    hooks = [
        part.register_forward_hook(lambda _module, _input, out, at=name: add(at, out)) for name, part in neurons.items()
    ]
    reset_states(model)
    try:
        for first in range(0, steps, _CHUNK):
            add("output", model(x.expand(min(_CHUNK, steps - first), *x.shape)))
    finally:
        for hook in hooks:
            hook.remove()
        reset_states(model)
    rates = {name: total / steps for name, total in totals.items()}
    return rates, rates.pop("output")


def _report(step: Step, threshold: float, activation: torch.Tensor, rate: torch.Tensor) -> ReluReport:
    positive = activation[activation > 0]
    return ReluReport(
        layer=step.name,
        place=step.place,
        shape=tuple(activation.shape[1:]),
        threshold=threshold,
        share_above=float((positive > threshold).double().mean()),
        activation=float(activation.mean()),
        rate=float(rate.mean()),
        rate_error=float((rate * threshold - activation).abs().mean() / activation.mean()),
    )
