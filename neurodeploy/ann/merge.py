"""Normalisation by running statistics is an affine map: merged into the map before it, or made one of its own."""

import copy
from dataclasses import replace

import torch

from neurodeploy.ann.trace import Plan, Step

_NORM = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)


def merged(plan: Plan) -> Plan:
    """The same plan without normalisations.

    gain = weight / sqrt(running_var + eps); shift = bias - running_mean * gain. Where the value that is normalised
    comes from a Linear or Conv2d and goes nowhere else, both enter its weights; otherwise a 1 x 1 convolution of each
    channel, or a diagonal Linear, stands in its place. Computed in float64, rounded once.
    """
    users: dict[str, int] = {plan.output: 1}
    for step in plan.steps:
        for source in step.sources:
            users[source] = users.get(source, 0) + 1
    done: dict[str, Step] = {}
    now = {"input": "input"}  # name of a step -> name of the step that has its value after merging
    for step in plan.steps:
        sources = tuple(now[source] for source in step.sources)
        into = done.get(sources[0])
        now[step.name] = step.name
        if step.kind != "norm":
            done[step.name] = replace(step, sources=sources)
        elif into is not None and into.kind == "affine" and users[step.sources[0]] == 1:
            done[into.name] = replace(into, module=_scaled(into.module, *gain_and_shift(step.module)))
            now[step.name] = into.name
        else:
            done[step.name] = replace(step, kind="affine", sources=sources, module=_alone(step.module))
    return Plan(tuple(done.values()), now[plan.output])


def affine_like(
    module: torch.nn.Linear | torch.nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.nn.Linear | torch.nn.Conv2d:
    """Copy of a module with other numbers, rounded to its type."""
    new, dtype = copy.deepcopy(module), module.weight.dtype
    new.weight = torch.nn.Parameter(weight.to(dtype))
    new.bias = None if bias is None else torch.nn.Parameter(bias.to(dtype))
    return new


def gain_and_shift(norm: torch.nn.Module | None) -> tuple[torch.Tensor, torch.Tensor]:
    """(channel,) factor and summand of a normalisation by running statistics, in float64."""
    if not isinstance(norm, _NORM) or norm.running_mean is None or norm.running_var is None:
        raise TypeError(norm)
    gain = (norm.running_var.double() + norm.eps) ** -0.5
    shift = -norm.running_mean.double() * gain
    if norm.affine:
        gain, shift = gain * norm.weight.double(), shift * norm.weight.double() + norm.bias.double()
    return gain.detach(), shift.detach()


def _scaled(module: torch.nn.Module | None, gain: torch.Tensor, shift: torch.Tensor) -> torch.nn.Module:
    """Copy of a Linear or Conv2d whose outputs are multiplied and shifted, channel by channel."""
    if not isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
        raise TypeError(module)
    weight = module.weight.detach().double()
    bias = shift if module.bias is None else module.bias.detach().double() * gain + shift
    return affine_like(module, weight * gain.reshape(-1, *[1] * (weight.dim() - 1)), bias)


def _alone(norm: torch.nn.Module | None) -> torch.nn.Module:
    gain, shift = gain_and_shift(norm)
    size = len(gain)
    like = next((value for value in (norm.buffers() if norm is not None else ()) if value.is_floating_point()), gain)
    if isinstance(norm, torch.nn.BatchNorm2d):
        each = torch.nn.Conv2d(size, size, 1, groups=size, device="meta", dtype=like.dtype)
        return affine_like(each, gain.reshape(-1, 1, 1, 1), shift)
    return affine_like(torch.nn.Linear(size, size, device="meta", dtype=like.dtype), torch.diag(gain), shift)
