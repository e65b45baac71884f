"""A model with layers of other libraries, followed by torch.fx without running or changing any of them."""

import inspect
from typing import Any

import torch
from torch.fx import Graph

from neurodeploy.ann.tracer import Tracer
from neurodeploy.foreign.names import library_of


class ForeignTracer(Tracer):
    """Goes into the user's own modules, never into those of the libraries."""

    def is_leaf_module(self, m: torch.nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one operation."""
        return bool(library_of(m)) or super().is_leaf_module(m, module_qualified_name)


def follow(model: torch.nn.Module) -> tuple[Graph, ForeignTracer]:
    """Graph of a model's forward: the first argument is the value, others that have no default are given None.

    Look at ``faults`` of the tracer. The names of modules begin with "model.".
    """
    tracer = ForeignTracer()
    root = _Root()
    root.model = _shell(model, {})
    return tracer.run(root), tracer


class _Root(torch.nn.Module):
    """Calls a model as its first step is called: with a value, and without states."""

    model: torch.nn.Module

    def forward(self, x: torch.Tensor) -> Any:
        model = self.model
        return model(x, *([None] * _states(model)))


def _states(model: torch.nn.Module) -> int:
    """Number of arguments beside the first that have no default."""
    if library_of(model) or type(model) is torch.nn.Sequential:
        return 0
    given = list(inspect.signature(model.forward).parameters.values())[1:]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.default is inspect.Parameter.empty and p.kind in positional for p in given)


def _shell(module: torch.nn.Module, memo: dict[int, torch.nn.Module]) -> torch.nn.Module:
    """Copy of what a forward may write to, in evaluation mode; layers, which are not run, are the same objects."""
    if id(module) in memo:
        return memo[id(module)]
    if type(module).__module__.startswith("torch.nn") and not module._modules:  # noqa: SLF001 - torch has no public way
        return memo.setdefault(id(module), module)
    shell = memo[id(module)] = module.__class__.__new__(module.__class__)
    # the states of layers are dictionaries and buffers, too: forward may reset them
    shell.__dict__.update({name: dict(v) if isinstance(v, dict) else v for name, v in module.__dict__.items()})
    shell.__dict__["training"] = False
    for name, child in module.__dict__["_modules"].items():
        if child is not None:
            shell.__dict__["_modules"][name] = _shell(child, memo)
    return shell
