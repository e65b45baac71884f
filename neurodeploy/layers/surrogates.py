"""Surrogates: what stands for the derivative of the spike count with respect to the membrane.

Each is a frozen dataclass with ``gradient(v, threshold)``; SURROGATES finds them by name. A layer stores which one it
uses, because training depends on it; the spikes themselves do not. ``v`` and ``threshold`` are in the unit of the
membrane.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, Protocol

import torch

from neurodeploy.errors import Fault, Refusal, raise_if


class Surrogate(Protocol):
    """What a firing function needs: a stand-in for d spikes / d v, elementwise. A value, so hashable."""

    def __hash__(self) -> int: ...

    def gradient(self, v: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
        """Value of the derivative at v."""
        ...


@dataclass(frozen=True)
class _Checked:
    """Shared by all: each option is a positive, finite number."""

    def __post_init__(self) -> None:
        faults = []
        for option in fields(self):
            value = getattr(self, option.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value <= 0:
                was, must = f"{option.name} is {value!r}", "it must be a finite number above 0"
                faults.append(Fault("ND1601", type(self).__name__, was, must, "", {option.name: value}))
        raise_if(faults)


@dataclass(frozen=True)
class SingleExponential(_Checked):
    """scale / (T w) * exp(-abs(v - T) / (T w)): one peak, at the threshold T.

    width : w, in units of the threshold; larger lets neurons far from the threshold learn
    scale : factor of the whole gradient
    Source: sinabs 3.1.3 (its default), neurons.md 3.5.
    """

    width: float = 0.5
    scale: float = 1.0

    def gradient(self, v: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
        """Value of the derivative at v."""
        reach = threshold * self.width
        return torch.exp((v - threshold).abs() / -reach) * (self.scale / reach)


@dataclass(frozen=True)
class PeriodicExponential(_Checked):
    """scale * exp(-abs(d) / w), d the distance from v to the nearest multiple of the threshold, from T upwards.

    width : w, in the unit of the membrane (not scaled by the threshold)
    scale : factor of the whole gradient
    Distances above T are taken as T (2 frac(v / T - 1/2) - 1), so they run from -T to T. Source: sinabs 3.1.3,
    neurons.md 3.5.
    """

    width: float = 0.5
    scale: float = 1.0

    def gradient(self, v: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
        """Value of the derivative at v."""
        turns = v / threshold - 0.5
        periodic = threshold * (2 * (turns - torch.floor(turns)) - 1)
        distance = torch.where(v < threshold, v - threshold, periodic)
        return torch.exp(distance.abs() / -self.width) * self.scale


@dataclass(frozen=True)
class FastSigmoid(_Checked):
    """1 / (slope abs(v - T) + 1)**2.

    slope : per unit of the membrane; larger narrows the peak. Source: snnTorch 1.0.0, neurons.md 4.2.
    """

    slope: float = 25.0

    def gradient(self, v: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
        """Value of the derivative at v."""
        return ((v - threshold).abs() * self.slope + 1) ** -2


@dataclass(frozen=True)
class Atan(_Checked):
    """(alpha / 2) / (1 + (pi alpha (v - T) / 2)**2).

    alpha : per unit of the membrane; larger narrows and raises the peak. Source: snnTorch 1.0.0 (its default),
    neurons.md 4.2.
    """

    alpha: float = 2.0

    def gradient(self, v: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
        """Value of the derivative at v."""
        return (self.alpha / 2) / (1 + ((v - threshold) * (math.pi * self.alpha / 2)) ** 2)


#: By name, as stored in files.
SURROGATES: Mapping[str, type[Any]] = MappingProxyType(
    {kind.__name__: kind for kind in (SingleExponential, PeriodicExponential, FastSigmoid, Atan)}
)


def describe_surrogate(surrogate: Any) -> dict[str, object]:
    """JSON-able description of a surrogate: its name and its options. Raises Refusal for one that is not listed."""
    if SURROGATES.get(type(surrogate).__name__) is not type(surrogate):
        raise Refusal(_unknown(type(surrogate).__name__))
    return {"name": type(surrogate).__name__, **asdict(surrogate)}


def build_surrogate(description: object) -> Surrogate:
    """Surrogate of a description. Raises Refusal for an unknown name or option."""
    options = dict(description) if isinstance(description, Mapping) else {}
    name = options.pop("name", None)
    kind = SURROGATES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise Refusal(_unknown(name))
    known = [option.name for option in fields(kind)]
    if set(options) != set(known):
        must = f"its options are {', '.join(known)}"
        raise Refusal(Fault("ND1601", f"surrogate {name}", f"options {', '.join(sorted(options)) or 'none'}", must))
    surrogate: Surrogate = kind(**options)
    return surrogate


def _unknown(name: object) -> Fault:
    return Fault("ND1601", f"surrogate {name!r}", "unknown name", f"known: {', '.join(sorted(SURROGATES))}")
