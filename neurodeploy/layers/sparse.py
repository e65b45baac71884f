"""Linear layers of which little is needed: few targets of each source, or few inputs that are not 0."""

from typing import Any, ClassVar

import torch

from neurodeploy.errors import Fault, raise_if
from neurodeploy.kernels import SUPPORTED, event_linear, has_numba
from neurodeploy.layers.registry import dtype_name, register
from neurodeploy.layers.values import Checker


@register
class SparseLinear(torch.nn.Module):
    """A linear map without bias in which each input reaches ``fan_out`` outputs, drawn once with ``seed``.

    Parameters
    ----------
    in_features, out_features : int
        Numbers of inputs and outputs.
    fan_out : int
        Outputs that each input reaches; every other weight is exactly 0 and stays 0.
    seed : int
        Decides the pattern. The pattern travels in ``state_dict`` as ``mask``.

    Input (..., in_features), output (..., out_features).
    """

    weighted: ClassVar[bool] = True  # ``build`` hands it dtype and device, as it does to torch's layers

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        fan_out: int,
        seed: int = 0,
        dtype: torch.dtype | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__()
        check = Checker(type(self).__name__)
        for name, value in {"in_features": in_features, "out_features": out_features, "fan_out": fan_out}.items():
            check.whole(name, value, 1)
        check.whole("seed", seed, 0)
        faults = list(check.faults)
        if not faults and fan_out > out_features:
            must = f"at most out_features = {out_features}"
            faults.append(Fault("ND1601", "SparseLinear", f"fan_out = {fan_out}", must, f"use {out_features}"))
        raise_if(faults)
        self.in_features, self.out_features, self.fan_out, self.seed = in_features, out_features, fan_out, seed
        if device == "meta":
            mask = torch.zeros(in_features, out_features, dtype=torch.bool, device=device)
        else:
            generator = torch.Generator().manual_seed(seed)
            order = torch.rand(in_features, out_features, generator=generator).argsort(dim=1)[:, :fan_out]
            mask = torch.zeros(in_features, out_features, dtype=torch.bool).scatter_(1, order, value=True)
        self.mask: torch.Tensor
        self.register_buffer("mask", mask.T.contiguous())
        # as many inputs reach an output on average; the usual uniform start of that fan-in
        bound = (in_features * fan_out / out_features) ** -0.5
        start = torch.empty(out_features, in_features, dtype=dtype, device=device).uniform_(-bound, bound)
        self.weight = torch.nn.Parameter(start * mask.T)

    def effective_weight(self) -> torch.Tensor:
        """(out_features, in_features), zero outside the pattern."""
        return self.weight * self.mask

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., in_features) to (..., out_features)."""
        return torch.nn.functional.linear(x, self.effective_weight())

    def extra_repr(self) -> str:
        """Return what print(model) shows."""
        return f"in_features={self.in_features}, out_features={self.out_features}, fan_out={self.fan_out}"

    def describe(self) -> dict[str, Any]:
        """JSON-able description: class, float type and options."""
        options = {
            "in_features": self.in_features,
            "out_features": self.out_features,
            "fan_out": self.fan_out,
            "seed": self.seed,
        }
        return {"class": type(self).__name__, "dtype": dtype_name(self.weight.dtype), "options": options}


@register
class EventLinear(torch.nn.Linear):
    """torch.nn.Linear for inputs that are mostly 0, as spikes are: their zeros cost nothing.

    Outputs and the gradient of the weights are summed over what is not 0 alone (float32 and float64 on the CPU, with
    numba; elsewhere it is torch's layer). The order of summation is not that of a matrix product, so results differ
    from torch.nn.Linear by rounding, which may move a spike. Input (..., in_features), output (..., out_features).
    """

    weighted: ClassVar[bool] = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., in_features) to (..., out_features)."""
        return event_product(x, self.weight, self.bias)

    def describe(self) -> dict[str, Any]:
        """JSON-able description: class, float type and options."""
        options = {
            "in_features": self.in_features,
            "out_features": self.out_features,
            "bias": self.bias is not None,
        }
        return {"class": type(self).__name__, "dtype": dtype_name(self.weight.dtype), "options": options}


def event_product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """``torch.nn.functional.linear``, by what is not 0 where the kernels can take it."""
    if type(x) is torch.Tensor and (x.device.type, x.dtype) in SUPPORTED and x.numel() and has_numba():
        return event_linear(x, weight, bias)
    return torch.nn.functional.linear(x, weight, bias)
