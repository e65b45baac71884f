"""Rows of the matrix: every registered neuron class, and each option of its own that decides spikes, from the registry.

A class is declared by its ``arguments``, so that a new one, or a new option, brings its own rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

import torch

from neurodeploy.errors import Refusal
from neurodeploy.layers import Neuron
from neurodeploy.layers.parameters import (
    REQUIRED,
    Choice,
    Compat,
    Flag,
    Fraction,
    Grid,
    Number,
    Parameter,
    Steps,
    TimeConstant,
    TrainTau,
    Whole,
)
from neurodeploy.layers.registry import LAYERS

#: Neurons of a layer.
SIZE = 6
#: Decay fractions on the grids that chips have, so that the errors are those of the neuron: powers of two.
KEEP, KEEP_SYN = 0.875, 0.75
#: Values by name, where a number must be given or makes a variant; other names have OTHER.
VALUES: Mapping[str, float] = {
    "alpha": KEEP,  # above beta, as Alpha demands
    "beta": KEEP_SYN,
    "bias": 0.05,
    "dt": 1.0,
    "graded": 2.0,
    "rec_weight": -0.05,
    "reset_value": -0.25,
    "v_min": 0.0,
}
OTHER = 0.75
RECURRENT = "rec_connect"
#: Names that change the training or the recording of a layer and none of its spikes.
SILENT = (Grid, TrainTau)


@dataclass(frozen=True)
class Variant:
    """A neuron class with the options that a row fixes.

    name : the options in words; "defaults" for a class as its constructor makes it
    fixed : option -> value; every other option is as the chip has it, or else the class's default
    free : whether the other options may be those of the chip
    """

    neuron: str
    name: str
    fixed: Mapping[str, Any]
    free: bool = True

    @property
    def title(self) -> str:
        """Name of the row."""
        return f"{self.neuron}, {self.name}"


def neuron_classes() -> dict[str, type[Neuron]]:
    """Every float neuron of the product that is registered."""
    package = __name__.partition(".")[0]
    found = {name: kind for name, kind in sorted(LAYERS.items()) if issubclass(kind, Neuron)}
    return {name: kind for name, kind in found.items() if kind.__module__.partition(".")[0] == package}


def variants() -> list[Variant]:
    """Return all rows: the classes by name, each with its defaults first."""
    return list(chain.from_iterable(map(_variants, neuron_classes())))


@cache
def _variants(name: str) -> tuple[Variant, ...]:
    kind = neuron_classes()[name]
    base = required(name)
    found = [Variant(name, "defaults", base, free=False)]
    for option, parameter in kind.arguments.items():
        for value, shown in _values(option, parameter):
            given = {option: value} | _with(kind, option, value)
            together = _accepted(kind, base, given)
            if together is not None:
                found.append(Variant(name, f"{option} = {shown}", together))
    recurrent = _accepted(kind, {k: v for k, v in base.items() if k != "rec_weight"}, {RECURRENT: True})
    if recurrent is not None:
        found.append(Variant(name, "recurrent", recurrent))
    return tuple(found)


@cache
def required(name: str) -> Mapping[str, Any]:
    """Options that a class must be given, with one optional parameter where it wants one."""
    kind = neuron_classes()[name]
    base = {n: value_of(n, p) for n, p in kind.arguments.items() if p.default is REQUIRED}
    optional = ({n: value_of(n, p)} for n, p in kind.arguments.items() if p.default is None)
    return next(base | more for more in chain([{}], optional) if makes(kind, base | more))


def value_of(name: str, parameter: Parameter) -> float:
    """Value of a parameter that must be given."""
    if isinstance(parameter, TimeConstant):
        keep = {"tau_mem": KEEP, "tau_syn": KEEP_SYN}.get(name, 0.9375)
        return float(-1 / torch.log(torch.tensor(keep, dtype=torch.float64)))
    return VALUES.get(name, KEEP_SYN if isinstance(parameter, Fraction) else OTHER)


def makes(kind: type[Neuron], options: Mapping[str, Any]) -> bool:
    """Whether the class takes these options."""
    return _makes(kind.__name__, frozenset(options.items()))


@cache
def _makes(name: str, options: frozenset[tuple[str, Any]]) -> bool:
    try:
        build_neuron(neuron_classes()[name], dict(options))
    except (Refusal, TypeError):
        return False
    return True


def build_neuron(kind: type[Neuron], options: Mapping[str, Any], back: torch.Tensor | None = None) -> Neuron:
    """Layer of SIZE neurons in float64; ``back`` holds the recurrent weights where the options ask for some."""
    given = dict(options)
    if given.pop(RECURRENT, False):
        given[RECURRENT] = torch.nn.Linear(SIZE, SIZE, bias=False).double()
        given[RECURRENT].weight.data = torch.zeros(SIZE, SIZE, dtype=torch.float64) if back is None else back
    return kind(SIZE, **given).double()


def _values(name: str, parameter: Parameter) -> Iterator[tuple[Any, str]]:
    """Values that make a row, each with its words; numbers that a chip only rounds make none."""
    if isinstance(parameter, SILENT):
        return
    if isinstance(parameter, Choice):
        yield from ((word, word) for word in parameter.flags)
    elif isinstance(parameter, Compat):
        yield from ((mode, mode) for mode in parameter.modes)
    elif isinstance(parameter, Flag):
        yield not parameter.default, str(not parameter.default)
    elif isinstance(parameter, Whole):
        yield from ((None, "None"), (1, "1"))
    elif parameter.default is None:
        yield value_of(name, parameter), "given"
        if isinstance(parameter, TimeConstant):
            yield None, "None"
    elif isinstance(parameter, Steps):
        yield 0.0, "0"
    elif name == "graded":
        yield VALUES[name], f"{VALUES[name]:g}"


def _with(kind: type[Neuron], option: str, value: Any) -> dict[str, Any]:
    """Numbers that say something only beside this value."""
    beside = {n: p for n, p in kind.arguments.items() if isinstance(p, Number) and p.only == (option, value)}
    return {n: value_of(n, p) for n, p in beside.items() if p.default is not None}


def _accepted(kind: type[Neuron], base: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Base and given options, with one other option where they need it (a mode that acts beside a flag alone)."""
    others = (
        {name: value}
        for name, parameter in kind.arguments.items()
        if name not in {*given, *base} or isinstance(parameter, Flag)
        for value, _ in _values(name, parameter)
    )
    tried = ({**base, **more, **given} for more in chain([{}], others))
    return next((options for options in tried if makes(kind, options)), None)
