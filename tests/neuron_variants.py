"""Every registered neuron class with every option, found from the constructors: a new class brings its own cases."""

import functools
import inspect
import itertools
import re

import torch

from neurodeploy.errors import Refusal
from neurodeploy.layers import Neuron
from neurodeploy.layers.registry import LAYERS

N = 3
ELSEWHERE = {"shape", "surrogate", "rec_connect", "record_states", "check_input", "executor"}  # set by the tests
PER_NEURON = torch.linspace(0.6, 1.7, N, dtype=torch.float64)


def neuron_classes():
    classes = [kind for name, kind in sorted(LAYERS.items()) if issubclass(kind, Neuron)]
    return [kind for kind in classes if kind.__module__.startswith("neurodeploy.")]


def accepted(kind, options):
    try:
        return kind(N, **options)
    except (Refusal, TypeError, RuntimeError):  # a tensor where a number belongs
        return None


@functools.cache
def required(kind):
    """Values for what must be given: the first that the constructor takes, with one optional parameter if need be."""
    parameters = [p for p in inspect.signature(kind).parameters.values() if p.name not in ELSEWHERE]
    names = [p.name for p in parameters if p.default is p.empty]
    optional = [p.name for p in parameters if p.default is None]
    for extra in ({}, *({name: 0.8} for name in optional)):
        for values in itertools.product([5.0, 0.8, 0.9, 1], repeat=len(names)):
            options = dict(zip(names, values, strict=True)) | extra
            if accepted(kind, options) is not None:
                return options
    raise AssertionError(f"no values found for {kind.__name__}({', '.join(names)})")


@functools.cache
def words(kind, name):
    """Words that an option takes, as its refusal of another one lists them."""
    try:
        kind(N, **required(kind) | {name: "?"})
    except Refusal as refusal:
        return re.findall(r"'([^']*)'", refusal.faults[0].must)
    except (TypeError, RuntimeError):
        pass
    return []


def alternatives(kind, name, default):
    """Other values of an option; the constructor decides which of them it takes."""
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, str):
        return [word for word in words(kind, name) if word != default]
    if isinstance(default, int | float):
        return [PER_NEURON * (default or 0.2), default * 1.25 + 0.1, default + 1]
    return [PER_NEURON, PER_NEURON / 2, 2, -0.2, *words(kind, name)]


@functools.cache
def variants(kind):
    """Options of a class: the defaults, each alternative alone, and as many together as it takes, in two orders."""
    base = required(kind)
    parameters = [p for p in inspect.signature(kind).parameters.values() if p.name not in ELSEWHERE]
    others = [(p.name, alternatives(kind, p.name, p.default)) for p in parameters if p.name not in base]
    found = [base]
    found += [base | {name: value} for name, values in others for value in values]
    for order, pick in ((others, 0), (others[::-1], -1)):
        together = dict(base)
        for name, values in order:
            for value in values[:: 1 if pick == 0 else -1]:
                if accepted(kind, together | {name: value}) is not None:
                    together[name] = value
                    break
        found.append(together)
    return [options for options in found if accepted(kind, options) is not None]


def said(options):
    """Short name of options, for a test's name."""
    return "-".join(f"{k}={'each' if isinstance(v, torch.Tensor) else v}" for k, v in options.items()) or "defaults"
