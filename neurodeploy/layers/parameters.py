"""Kinds of parameters: a neuron declares them by name, and each says what it takes and what the texts see of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from neurodeploy.layers.values import Checker

REQUIRED: Any = object()


def differs(value: Any, default: Any) -> bool:
    """Whether a given value is another than the default."""
    return isinstance(value, torch.Tensor) or value != default


@dataclass
class Resolved:
    """What the values of a constructor become: tensors, numbers and flags of the texts, options of the description."""

    check: Checker
    neurons: tuple[int, ...]
    values: Mapping[str, Any]
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)
    positive: set[str] = field(default_factory=set)

    def trains(self, name: str) -> bool:
        """Whether the option ``train`` names it."""
        train = self.values["train"]
        return isinstance(train, tuple | list) and name in train


@dataclass(frozen=True)
class Parameter:
    """One parameter of a neuron.

    default : its value where none is given; without one it must be given. With the default None it is optional, and
        the texts have a flag ``with_<name>``
    only : (option, value) under which alone it counts; elsewhere a value other than the default is refused
    """

    default: Any = REQUIRED
    only: tuple[str, object] | None = None

    trainable: ClassVar[bool] = False

    def take(self, name: str, value: Any, into: Resolved) -> None:
        """Check a value and note what it becomes."""
        if self.only is not None and into.values[self.only[0]] != self.only[1] and differs(value, self.default):
            into.check.fault(name, value, f"it counts only with {self.only[0]}={self.only[1]!r}")
        if self.default is None:
            into.flags[f"with_{name}"] = value is not None
        into.options[name] = value
        if value is not None or self.default is not None:
            self._take(name, value, into)

    def _take(self, name: str, value: Any, into: Resolved) -> None:
        raise NotImplementedError

    def floats(self, value: Any) -> list[Any]:
        """Values whose float type counts for that of the layer."""
        return [value] if self.trainable else []


@dataclass(frozen=True)
class Real(Parameter):
    """A number or a tensor that broadcasts to the neurons.

    trained : always a trainable parameter, one value per neuron; otherwise it is one where ``train`` names it, which
        the flag ``train_<name>`` tells the texts
    """

    trained: bool = False
    trainable: ClassVar[bool] = True
    positive: ClassVar[bool] = False

    def _take(self, name: str, value: Any, into: Resolved) -> None:
        tensor = into.check.tensor(name, value, positive=self.positive)
        into.options[name] = tensor
        into.tensors[name] = tensor
        into.flags[f"train_{name}"] = into.trains(name)
        if self.positive:
            into.positive.add(name)
        if self.trained:
            into.tensors[name] = torch.nn.Parameter(tensor.expand(into.neurons).clone() if into.neurons else tensor)
        elif into.trains(name):
            into.tensors[name] = torch.nn.Parameter(tensor.clone())


@dataclass(frozen=True)
class Positive(Real):
    """A Real above 0."""

    positive: ClassVar[bool] = True


@dataclass(frozen=True)
class Fraction(Real):
    """A Real from 0 to 1, both included; the text clips what training moves outside."""

    def _take(self, name: str, value: Any, into: Resolved) -> None:
        super()._take(name, value, into)
        tensor = into.tensors[name]
        if not tensor.is_meta and bool(((tensor < 0) | (tensor > 1)).any()):
            worst = tensor.detach().flatten()[(tensor.detach().flatten() - 0.5).abs().argmax()].item()
            into.check.fault(name, worst, "it must lie in 0 to 1")


@dataclass(frozen=True)
class TimeConstant(Parameter):
    """A time constant in steps, tau_<x>; with the option ``train_tau`` the texts see its decay, decay_<x>, instead."""

    trainable: ClassVar[bool] = True

    def _take(self, name: str, value: Any, into: Resolved) -> None:
        found = len(into.check.faults)
        tensor = into.check.tensor(name, value, positive=True)
        into.options[name] = tensor
        if len(into.check.faults) == found and not tensor.is_meta and bool((torch.exp(-1 / tensor) == 1).any()):
            todo = "use a smaller one, or IAF, which does not leak"
            into.check.fault(name, tensor.max().item(), "its decay exp(-1/tau) must not round to 1", todo)
        if into.values["train_tau"] is True:
            name, tensor = name.replace("tau_", "decay_"), torch.nn.Parameter(torch.exp(-1 / tensor))
        else:
            into.positive.add(name)  # a trained decay is clamped by the text, wherever an optimizer moves it
        into.tensors[name] = tensor


@dataclass(frozen=True)
class TrainTau(Parameter):
    """Whether the time constants of a neuron are trained, as their decays."""

    default: Any = False

    def _take(self, name: str, value: Any, into: Resolved) -> None:
        into.check.flag(name, value)
        into.flags[name] = value is True
        if value is True and not any(key.startswith("tau_") and tau is not None for key, tau in into.values.items()):
            into.check.fault(name, value, "there must be a time constant to train", "give tau_syn")


@dataclass(frozen=True)
class Grid(Parameter):
    """Decay fractions that a trained decay is rounded to; None: any."""

    default: Any = None

    def _take(self, name: str, value: Any, into: Resolved) -> None:
        listed = list(value) if isinstance(value, Sequence) else []
        fractions = [keep for keep in listed if isinstance(keep, int | float) and 0 <= keep < 1]
        if into.values["train_tau"] is not True or not listed or len(fractions) != len(listed):
            into.check.fault(name, value, "decay fractions in [0, 1), for a layer with train_tau=True")
        into.options[name] = tuple(map(float, fractions))


@dataclass(frozen=True)
class Number(Parameter):
    """One finite number for all neurons, not trained."""

    positive: bool = False

    def _take(self, name: str, value: Any, into: Resolved) -> None:
        found = len(into.check.faults)
        into.check.number(name, value)
        if len(into.check.faults) > found:
            return
        if self.positive and value <= 0:
            into.check.fault(name, value, "it must be above 0")
        into.numbers[name] = into.options[name] = float(value)


@dataclass(frozen=True)
class Whole(Parameter):
    """A whole number or None, which the flag ``with_<name>`` tells; the flag ``single`` tells whether it is 1."""

    least: int = 1

    def take(self, name: str, value: Any, into: Resolved) -> None:
        """Check a value and note what it becomes."""
        into.flags |= {"single": value == 1, f"with_{name}": value is not None}
        into.options[name] = value
        if value is not None:
            into.check.whole(name, value, self.least)
            into.numbers[name] = value


@dataclass(frozen=True)
class Flag(Parameter):
    """True or False, a condition of the texts."""

    def _take(self, name: str, value: Any, into: Resolved) -> None:
        into.check.flag(name, value)
        into.flags[name] = value is True


@dataclass(frozen=True)
class Choice(Parameter):
    """One of a few words; each has a flag of the texts.

    flags : word -> name of its flag
    """

    flags: Mapping[str, str] = field(default_factory=dict)

    def _take(self, name: str, value: Any, into: Resolved) -> None:
        into.check.choice(name, value, tuple(self.flags))
        into.flags |= {flag: value == word for word, flag in self.flags.items()}


@dataclass(frozen=True)
class Steps(Parameter):
    """A duration in the unit of ``dt``, at least 0, of which the texts see ``<name>_steps``, whole steps.

    up : a started step counts; otherwise only complete steps do. A millionth of a step decides nothing
    The texts see the duration itself, too, where they read it.
    """

    up: bool = False
    trainable: ClassVar[bool] = True

    def floats(self, value: Any) -> list[Any]:
        """Values whose float type counts for that of the layer."""
        return [value] if isinstance(value, torch.Tensor) and value.is_floating_point() else []

    def _take(self, name: str, value: Any, into: Resolved) -> None:
        tensor, dt = into.check.tensor(name, value), into.values["dt"]
        into.options[name], into.tensors[name] = tensor, tensor
        if not tensor.is_meta and bool((tensor < 0).any()):
            into.check.fault(name, value, "it must be at least 0")
        if not isinstance(dt, int | float) or isinstance(dt, bool) or not dt > 0 or not math.isfinite(dt):
            return  # dt is at fault itself
        steps = torch.as_tensor(value).double().to(tensor.device) / dt if not into.check.faults else tensor
        steps = torch.ceil(steps - 1e-6) if self.up else torch.floor(steps + 1e-6)
        into.tensors[f"{name}_steps"] = steps.to(tensor.dtype)


#: Named deviations that a source has and this product has not: what each does, or why it is not offered.
REFUSED_MODES: Mapping[str, str] = {
    "snntorch-inhibition": "which neuron wins depends on the whole layer, and a text is about one neuron",
}


@dataclass(frozen=True)
class Compat(Parameter):
    """Named compatibility modes, one or several; each is a flag of the texts, with _ for -.

    modes : what this neuron offers
    """

    default: Any = ()
    modes: tuple[str, ...] = ()

    def _take(self, name: str, value: Any, into: Resolved) -> None:
        asked = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, tuple | list) else (value,)
        for mode in asked:
            if mode not in self.modes:
                must = REFUSED_MODES.get(mode) if isinstance(mode, str) else None
                into.check.fault(name, mode, must or f"it must be of {', '.join(map(repr, self.modes))}")
        into.options[name] = asked
        into.flags |= {mode.replace("-", "_"): mode in asked for mode in self.modes}
