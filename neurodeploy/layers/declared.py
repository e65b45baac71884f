"""Constructors of neurons that declare their parameters: the signature, the checks, what the engine is handed."""

from collections.abc import Mapping
from functools import lru_cache
from inspect import Parameter as Argument
from inspect import Signature
from types import MappingProxyType
from typing import Any

import torch

from neurodeploy.errors import raise_if
from neurodeploy.layers.parameters import REQUIRED, Number, Parameter, Real, Resolved, Steps, differs
from neurodeploy.layers.values import Checker
from neurodeploy.step import FLOAT, Text, assigned, parse
from neurodeploy.step.tree import read

#: Options that every neuron has.
COMMON: Mapping[str, Any] = MappingProxyType(
    {
        "train": (),
        "rec_connect": None,
        "surrogate": None,
        "record_states": False,
        "check_input": False,
        "executor": "auto",
    }
)


def signature(parameters: Mapping[str, Parameter]) -> Signature:
    """``(shape, required..., *, optional..., common...)``."""
    required = [name for name, kind in parameters.items() if kind.default is REQUIRED]
    arguments = [Argument(name, Argument.POSITIONAL_OR_KEYWORD) for name in ("shape", *required)]
    defaults = {name: kind.default for name, kind in parameters.items() if name not in required}
    defaults |= {name: value for name, value in COMMON.items() if name not in defaults}
    arguments += [Argument(name, Argument.KEYWORD_ONLY, default=value) for name, value in defaults.items()]
    return Signature(arguments)


def resolve(neuron: Any, shape: object, values: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the engine for the values of a declared neuron.

    neuron : the class, with ``arguments``, ``states``, ``once``, ``step`` and ``functions``
    Raises TypeError for a missing or unknown argument, Refusal (ND1601) that lists every wrong value.
    """
    parameters: Mapping[str, Parameter] = neuron.arguments
    bound = neuron.__signature__.bind(shape, *values, **options)
    bound.apply_defaults()
    given = dict(bound.arguments)
    check = Checker(neuron.__name__)
    check.settle_dtype([part for name, kind in parameters.items() for part in kind.floats(given[name])])
    into = Resolved(check, check.shape(shape), MappingProxyType(given))
    owners: dict[str, str] = {}
    for name, kind in parameters.items():
        before = {*into.tensors, *into.numbers}
        kind.take(name, given[name], into)
        owners |= dict.fromkeys({*into.tensors, *into.numbers} - before, name)
    _check_common(parameters, into)
    neuron.check_together(into)
    raise_if(check.faults)
    texts = {part: parsed(neuron, part, into.flags) for part in ("once", "step")}
    seen = {name for text in texts.values() for name in read(text.statements)}
    known = seen | {statement.name for statement in assigned(texts["step"].statements)}
    states = {name: start for name, start in neuron.states.items() if name in known}
    seen |= {start for start in states.values() if isinstance(start, str)}
    _drop_unread(parameters, into, owners, seen)
    raise_if(check.faults)
    common = {name: given[name] for name in COMMON if name not in {"train", *parameters}}
    into.options["train"] = tuple(given["train"])
    return {
        "shape": into.neurons,
        "states": states,
        "tensors": into.tensors,
        "numbers": into.numbers,
        "flags": into.flags,
        "options": into.options,
        "positive": into.positive & into.tensors.keys(),
        **common,
        "surrogate": given["surrogate"] or neuron.default_surrogate,
    }


def parsed(neuron: Any, part: str, flags: Mapping[str, bool]) -> Text:
    """Parse a text of a neuron class under these flags; equal ones once."""
    where = f"{neuron.__name__}.{part}"
    return _parsed_once(getattr(neuron, part), tuple(neuron.functions.items()), tuple(flags.items()), where)


@lru_cache(maxsize=1024)
def _parsed_once(
    text: str, functions: tuple[tuple[str, str], ...], flags: tuple[tuple[str, bool], ...], where: str
) -> Text:
    return parse(text, dict(functions), operators=FLOAT, flags=dict(flags), where=where)


def _check_common(parameters: Mapping[str, Parameter], into: Resolved) -> None:
    check, values = into.check, into.values
    for name in ("record_states", "check_input"):
        check.flag(name, values[name])
    if not isinstance(values["rec_connect"], torch.nn.Module | None):
        check.fault("rec_connect", values["rec_connect"], "it must be a torch.nn.Module, or None")
    trainable = [name for name, kind in parameters.items() if isinstance(kind, Real)]
    train = values["train"]
    if not isinstance(train, tuple | list):
        check.fault("train", train, "it must be a tuple of names of parameters")
        return
    for name in train:
        if name not in trainable:
            check.fault("train", name, f"what can be trained is {', '.join(trainable) or 'nothing'}")
        elif values[name] is None:
            check.fault("train", name, f"{name} must be given to be trained")


def _drop_unread(
    parameters: Mapping[str, Parameter], into: Resolved, owners: Mapping[str, str], seen: set[str]
) -> None:
    """Take away what no text reads under these options; where somebody set it, that is a fault."""
    for made, name in owners.items():
        if made in seen:
            continue
        value, kind = into.values[name], parameters[name]
        into.tensors.pop(made, None)
        into.numbers.pop(made, None)
        used = any(other in seen for other, owner in owners.items() if owner == name)
        if not used and isinstance(kind, Real | Number | Steps) and kind.default is not REQUIRED:
            into.options[name] = kind.default
            if differs(value, kind.default) or into.trains(name):
                into.check.fault(name, value, "it has no effect with these options", "leave it out")
