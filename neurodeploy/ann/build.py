"""The spiking model of a balanced plan: units carried along, absorbed by weights, thresholds and edges."""

import copy
from collections import OrderedDict
from collections.abc import Mapping

import torch

from neurodeploy.ann.merge import affine_like
from neurodeploy.ann.trace import Plan, Step
from neurodeploy.layers import IAF, PerStep
from neurodeploy.layers.graph import arranged

#: What a value of the network is in the spiking model: the sum of what these layers return, each times its unit.
Terms = dict[str, float]


def build_model(
    plan: Plan,
    thresholds: Mapping[str, float],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    input_unit: float,
    dtype: torch.dtype,
    max_spikes: int | None,
    v_min: float | None,
) -> tuple[torch.nn.Sequential, float]:
    """Spiking model of a plan without normalisations, and the unit of its output.

    thresholds : ReLU -> activation that one spike stands for
    shapes : ReLU -> shape of its value, without the batch
    A chain becomes a chain; anything else one ``Graph`` inside a Sequential.
    """
    layers = OrderedDict[str, torch.nn.Module]()
    edges: list[tuple[str, str, float]] = []
    values: dict[str, Terms] = {"input": {"input": input_unit}}
    for step in plan.steps:
        if step.kind == "add":
            values[step.name] = _sum(values[step.sources[0]], values[step.sources[1]])
            continue
        unit = _lead(edges, values[step.sources[0]], step.name)
        if step.kind == "relu":
            threshold = torch.tensor(thresholds[step.name] / unit, dtype=dtype)
            low = None if v_min is None else v_min * thresholds[step.name] / unit
            layers[step.name] = IAF(shapes[step.name], threshold=threshold, max_spikes=max_spikes, v_min=low)
            values[step.name] = {step.name: thresholds[step.name]}
        else:
            layers[step.name] = _timed(step, unit)
            values[step.name] = {step.name: 1.0 if step.kind == "affine" else unit}
    unit = _lead(edges, values[plan.output], "output")
    return torch.nn.Sequential(arranged(layers, edges)).eval(), unit


def _lead(edges: list[tuple[str, str, float]], terms: Terms, target: str) -> float:
    """Draw the edges of a sum to a layer; returns the unit of what arrives there."""
    units = set(terms.values())
    unit = units.pop() if len(units) == 1 else 1.0
    edges += [(source, target, own / unit) for source, own in terms.items()]
    return unit


def _sum(a: Terms, b: Terms) -> Terms:
    return {source: a.get(source, 0.0) + b.get(source, 0.0) for source in {**a, **b}}


def _timed(step: Step, unit: float) -> torch.nn.Module:
    """Layer for (time, batch, ...) with the unit of its input in its weights."""
    module = step.module
    if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
        bias = None if module.bias is None else module.bias.detach()
        scaled = affine_like(module, module.weight.detach().double() * unit, bias)
        return scaled if isinstance(scaled, torch.nn.Linear) else PerStep(scaled)
    if isinstance(module, torch.nn.Flatten):
        end = module.end_dim if module.end_dim < 0 else module.end_dim + 1
        return torch.nn.Flatten(module.start_dim + 1, end)  # one dimension, time, comes before
    if module is None:
        raise TypeError(step.kind)
    return PerStep(copy.deepcopy(module))
