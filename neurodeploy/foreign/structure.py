"""What stands between neurons: torch's layers and those that libraries made of them, over (time, batch, ...)."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from neurodeploy.errors import Fault, Refusal
from neurodeploy.foreign.names import class_name, library_of
from neurodeploy.foreign.neurons import BATCH_FIRST, LEAD, ROWS, STEP, TIME_FIRST
from neurodeploy.layers import PerStep, SumPool2d
from neurodeploy.layers.stateful import TIME_BATCH

_ANY = (torch.nn.Linear, torch.nn.Dropout, torch.nn.Identity)
_SINGLE = (torch.nn.Conv2d, torch.nn.AvgPool2d, torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)
_TORCH = (*_ANY, *_SINGLE, torch.nn.Flatten, torch.nn.Unflatten)
#: torch's layers that SpikingJelly made again, with a step_mode.
_STEPPED = ("Linear", "Conv2d", "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Flatten")


@dataclass(frozen=True)
class Container:
    """What computes other modules one after the other.

    outside, inside : how values lie; "" where it changes nothing
    unpacks : whether it hands on the first of (spikes, states), and returns such a pair
    """

    outside: str = ""
    inside: str = ""
    unpacks: bool = False


_CONTAINERS: Mapping[tuple[str, str], Container] = MappingProxyType(
    {
        ("norse", "SequentialState"): Container(unpacks=True),
        ("norse", "Lift"): Container(TIME_FIRST, STEP),
        ("sinabs", "Repeat"): Container(BATCH_FIRST, ROWS),
        ("sinabs", "Network"): Container(),
        ("spikingjelly", "SeqToANNContainer"): Container(TIME_FIRST, ROWS),
        ("spikingjelly", "MultiStepContainer"): Container(TIME_FIRST, STEP),
    }
)
_INNER = MappingProxyType({"Lift": "lifted_module", "Repeat": "module", "Network": "spiking_model"})
KNOWN = (
    "Linear, Conv2d, AvgPool2d, BatchNorm1d, BatchNorm2d, Flatten, Unflatten, Dropout and Identity of torch or of "
    "SpikingJelly's layer, SumPool2d, FlattenTime, UnflattenTime, Repeat and Merge of sinabs, Lift and SequentialState "
    "of Norse, SeqToANNContainer and MultiStepContainer of SpikingJelly"
)


def container_of(module: torch.nn.Module) -> Container | None:
    """What is known of a container; None for what is none."""
    if type(module) is torch.nn.Sequential:
        return Container()
    return _CONTAINERS.get((library_of(module), class_name(module)))


def contents(module: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    """What a container computes, one after the other, with the names below it."""
    name = _INNER.get(class_name(module))
    if name is None:
        return list(module.named_children())
    inner = getattr(module, name, None)
    return [(name, inner)] if isinstance(inner, torch.nn.Module) else []


def torch_class(module: torch.nn.Module) -> type[torch.nn.Module] | None:
    """Class of torch whose computation a module does, step_mode aside; None for others."""
    if type(module) in _TORCH:
        return type(module)
    if library_of(module) == "spikingjelly" and class_name(module) == "Dropout":
        return torch.nn.Dropout  # it drops the same in every step while it trains, and nothing afterwards
    if library_of(module) == "spikingjelly" and class_name(module) in _STEPPED:
        return next((kind for kind in type(module).__mro__ if kind in _TORCH), None)
    if library_of(module) == "sinabs" and class_name(module) == "SumPool2d":
        return SumPool2d
    return None


def wanted_layout(module: torch.nn.Module) -> str:
    """How the input of a module must lie, where it decides that beyond the number of dimensions; "" otherwise."""
    name = class_name(module)
    if library_of(module) == "sinabs" and name in ("FlattenTime", "UnflattenTime"):
        return BATCH_FIRST if name == "FlattenTime" else ROWS
    return TIME_FIRST if getattr(module, "step_mode", "") == "m" and library_of(module) == "spikingjelly" else ""


def turned(module: torch.nn.Module) -> str:
    """Layout after a module of sinabs that folds batch and time or unfolds them; "" for others."""
    if library_of(module) != "sinabs":
        return ""
    return {"FlattenTime": ROWS, "UnflattenTime": BATCH_FIRST}.get(class_name(module), "")


def stateless(module: Any, kind: type[torch.nn.Module], layout: str, where: str) -> torch.nn.Module:
    """Layer over (time, batch, ...) that computes a module without memory.

    Raises Refusal (ND1603) where the module mixes samples or steps.
    """
    lead = LEAD[layout]
    stepped = library_of(module) == "spikingjelly" and module.step_mode == "m"
    inside = 1 if stepped else lead
    if kind in (*_SINGLE, SumPool2d) and inside != 1:
        was = f"a {type(module).__name__} for (batch, ...) gets {layout}"
        todo = "put FlattenTime before it and UnflattenTime behind, or use Repeat, Lift, or step_mode 'm'"
        raise Refusal(Fault("ND1603", where, was, "one dimension before those of a sample", todo))
    if stepped and lead == 1:
        was = f"step_mode 'm' behind values of one step, {layout}"
        raise Refusal(Fault("ND1603", where, was, TIME_FIRST, "set one step_mode for the whole network"))
    if kind is torch.nn.Flatten:
        return _flatten(module, inside, where)
    if kind is torch.nn.Unflatten:
        if module.dim not in (inside, -1):
            was = f"Unflatten({module.dim}, ...) of {layout}"
            raise Refusal(Fault("ND1603", where, was, f"Unflatten({inside}, ...): batch and time stay as they are"))
        return torch.nn.Unflatten(module.dim if module.dim < 0 else TIME_BATCH, module.unflattened_size)
    if kind is SumPool2d:
        return PerStep(_sum_pool(module, where))
    made = _as_torch(module, kind)
    return PerStep(made) if kind in _SINGLE else made


def _flatten(module: Any, lead: int, where: str) -> torch.nn.Module:
    if module.start_dim != lead or module.end_dim != -1:
        was, must = f"Flatten({module.start_dim}, {module.end_dim})", f"Flatten({lead}): samples and steps stay apart"
        raise Refusal(Fault("ND1603", where, was, must))
    return torch.nn.Flatten(TIME_BATCH)


def _sum_pool(module: Any, where: str) -> torch.nn.Module:
    kernel, stride = _square(module.kernel_size), _square(module.stride or module.kernel_size)
    if kernel is None or kernel != stride or module.ceil_mode:
        was = f"SumPool2d({module.kernel_size}, {module.stride}, ceil_mode={module.ceil_mode})"
        raise Refusal(Fault("ND1603", where, was, "square blocks side by side, without ceil_mode"))
    return SumPool2d(kernel)


def _square(size: Any) -> int | None:
    sizes = set(size) if isinstance(size, tuple | list) else {size}
    return int(sizes.pop()) if len(sizes) == 1 else None


def _as_torch(module: Any, kind: type[torch.nn.Module]) -> torch.nn.Module:
    """Copy of torch's own class: what SpikingJelly adds to it is the step_mode alone."""
    if kind is torch.nn.Dropout:
        return kind(module.p)
    made: torch.nn.Module = copy.deepcopy(module)
    if type(module) is not kind:
        made.__class__ = kind
        made.__dict__.pop("_step_mode", None)
    made.train(module.training)
    return made
