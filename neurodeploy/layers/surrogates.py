"""Surrogates: what stands for the derivative of the spike count with respect to the membrane.

Each is a frozen dataclass of options with an expression of the step language in ``v``, ``threshold`` and these options:
the torch table evaluates it, and generated kernels contain it. SURROGATES finds them by name. A layer stores which one
it uses, because training depends on it; the spikes themselves do not. ``v`` and ``threshold`` are in the unit of the
membrane.

Those that are ``relative`` measure a distance or a height in thresholds. A neuron whose membrane does not rest at 0
(GIF: -70 mV, threshold -50 mV) has no such unit: sign and size of its threshold say nothing, and with a negative one
the exponentials grow with the distance. Its constructor refuses them by name.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import torch

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.layers.table import functions
from neurodeploy.step import FLOAT, evaluate
from neurodeploy.step.language import Expression, parse_expression


class Surrogate(Protocol):
    """What a firing function needs: a stand-in for d spikes / d v, elementwise. A value, so hashable.

    One that also has ``derivative()``, its expression, can be part of generated kernels.
    """

    def __hash__(self) -> int: ...

    def gradient(self, v: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
        """Value of the derivative at v."""
        ...


@lru_cache(maxsize=256)
def _parsed(name: str, text: str, macros: tuple[tuple[str, str], ...]) -> Expression:
    return parse_expression(text, dict(macros), operators=FLOAT, where=name)


@dataclass(frozen=True)
class _Written:
    """Shared by all: an expression, whose options are positive, finite numbers."""

    relative: ClassVar[bool] = False  # measures in thresholds, so the membrane must rest at 0 and the threshold above
    text: ClassVar[str] = "0"
    functions: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        faults = []
        for option in fields(self):
            value = getattr(self, option.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value <= 0:
                was, must = f"{option.name} is {value!r}", "it must be a finite number above 0"
                faults.append(Fault("ND1601", type(self).__name__, was, must, "", {option.name: value}))
        raise_if(faults)

    def derivative(self) -> Expression:
        """Derivative as an expression in ``v``, ``threshold`` and the options."""
        return _parsed(type(self).__name__, self.text, tuple(self.functions.items()))

    def gradient(self, v: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
        """Value of the derivative at v."""
        value = evaluate(self.derivative(), {"v": v, "threshold": threshold, **asdict(self)}, functions(v.dtype))
        return value if isinstance(value, torch.Tensor) else torch.full_like(v, value)


@dataclass(frozen=True)
class SingleExponential(_Written):
    """scale / (T w) * exp(-abs(v - T) / (T w)): one peak, at the threshold T.

    width : w, in units of the threshold; larger lets neurons far from the threshold learn
    scale : factor of the whole gradient
    Source: sinabs 3.1.3 (its default), neurons.md 3.5.
    """

    relative: ClassVar[bool] = True
    text: ClassVar[str] = "exp(abs(v - threshold) / -(threshold * width)) * (scale / (threshold * width))"
    width: float = 0.5
    scale: float = 1.0


@dataclass(frozen=True)
class PeriodicExponential(_Written):
    """scale * exp(-abs(d) / w), d the distance from v to the nearest multiple of the threshold, from T upwards.

    width : w, in the unit of the membrane (not scaled by the threshold)
    scale : factor of the whole gradient
    Distances above T are taken as T (2 frac(v / T - 1/2) - 1), so they run from -T to T. Source: sinabs 3.1.3,
    neurons.md 3.5.
    """

    relative: ClassVar[bool] = True
    functions: ClassVar[Mapping[str, str]] = {"frac(x)": "x - floor(x)"}
    text: ClassVar[str] = (
        "exp(abs(v - threshold if v < threshold else threshold * (2 * frac(v / threshold - 0.5) - 1)) / -width) * scale"
    )
    width: float = 0.5
    scale: float = 1.0


@dataclass(frozen=True)
class Gaussian(_Written):
    """scale * N(v - T; 0, sigma), N the normal density.

    sigma : its width, in the unit of the membrane
    scale : factor of the whole gradient
    Source: sinabs 3.1.3, neurons.md 3.5.
    """

    functions: ClassVar[Mapping[str, str]] = {
        "normal(x, s)": f"exp(-(x / s * (x / s)) / 2) / (s * {math.sqrt(2 * math.pi)!r})"
    }
    text: ClassVar[str] = "normal(v - threshold, sigma) * scale"
    sigma: float = 0.5
    scale: float = 1.0


@dataclass(frozen=True)
class MultiGaussian(_Written):
    """(1 + h) N(x; 0, sigma) - h N(x; sigma, s sigma) - h N(x; -sigma, s sigma), x = v - T.

    sigma : width of the central peak, in the unit of the membrane
    height : h, of the two lobes of the opposite sign
    spread : s, how much wider these are
    scale : factor of the whole gradient
    Source: sinabs 3.1.3, neurons.md 3.5.
    """

    functions: ClassVar[Mapping[str, str]] = Gaussian.functions
    text: ClassVar[str] = (
        "((1 + height) * normal(v - threshold, sigma) - height * normal(v - threshold - sigma, spread * sigma)"
        " - height * normal(v - threshold + sigma, spread * sigma)) * scale"
    )
    sigma: float = 0.5
    height: float = 0.15
    spread: float = 6.0
    scale: float = 1.0


@dataclass(frozen=True)
class HeavisideWindow(_Written):
    """1 / T from T - window upwards, 0 below.

    window : in the unit of the membrane. Source: sinabs 3.1.3 (its Heaviside), neurons.md 3.5.
    """

    relative: ClassVar[bool] = True
    text: ClassVar[str] = "1 / threshold if v >= threshold - window else 0"
    window: float = 1.0


@dataclass(frozen=True)
class FastSigmoid(_Written):
    """1 / (slope abs(v - T) + 1)**2.

    slope : per unit of the membrane; larger narrows the peak. Source: snnTorch 1.0.0, neurons.md 4.2.
    """

    functions: ClassVar[Mapping[str, str]] = {"square(x)": "x * x"}
    text: ClassVar[str] = "1 / square(abs(v - threshold) * slope + 1)"
    slope: float = 25.0


@dataclass(frozen=True)
class Atan(_Written):
    """(alpha / 2) / (1 + (pi alpha (v - T) / 2)**2).

    alpha : per unit of the membrane; larger narrows and raises the peak. Source: snnTorch 1.0.0 (its default),
    neurons.md 4.2.
    """

    functions: ClassVar[Mapping[str, str]] = {"square(x)": "x * x"}
    text: ClassVar[str] = f"alpha / 2 / (1 + square((v - threshold) * ({math.pi!r} * alpha / 2)))"
    alpha: float = 2.0


@dataclass(frozen=True)
class Triangle(_Written):
    """scale * max(0, 1 - abs(v - T) / width): falls in a straight line to 0 on both sides.

    width : distance at which it is 0, in the unit of the membrane
    scale : height of the peak. Source: the linear surrogate of Esser et al. 2016 and Bellec et al. 2018.
    """

    text: ClassVar[str] = "max(1 - abs(v - threshold) / width, 0) * scale"
    width: float = 1.0
    scale: float = 1.0


@dataclass(frozen=True)
class StraightThrough(_Written):
    """scale everywhere: the spikes learn as if they were the membrane.

    scale : factor of the whole gradient. Source: the straight-through estimator of Bengio et al. 2013.
    """

    text: ClassVar[str] = "scale"
    scale: float = 1.0


#: By name, as stored in files.
SURROGATES: Mapping[str, type[Any]] = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (
            SingleExponential,
            PeriodicExponential,
            Gaussian,
            MultiGaussian,
            HeavisideWindow,
            FastSigmoid,
            Atan,
            Triangle,
            StraightThrough,
        )
    }
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
