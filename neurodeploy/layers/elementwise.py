"""Layers without neurons that act on each value by itself: a factor and a constant, and a sum over time."""

from typing import Any

import torch

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.layers.registry import dtype_name, register
from neurodeploy.layers.stateful import Stateful
from neurodeploy.layers.values import Checker


@register
class Scale(torch.nn.Module):
    """Returns ``factor * x + offset``, elementwise.

    shape : int or tuple of int
        Of the values of one step, without time and batch.
    factor : float or tensor that broadcasts to shape
    offset : float or tensor, optional
        Added in every step, also in silent ones.
    Both are constants, not trained; they travel in ``state_dict``. Input and output are (..., *shape).
    Raises Refusal (ND1601) for values that are not finite or of another shape, ND1602 for another input.
    """

    factor: torch.Tensor
    offset: torch.Tensor | None

    def __init__(
        self, shape: int | tuple[int, ...], factor: float | torch.Tensor, offset: float | torch.Tensor | None = None
    ) -> None:
        super().__init__()
        check = Checker(type(self).__name__)
        check.settle_dtype([factor, offset])
        self.shape = check.shape(shape)
        self.register_buffer("factor", check.tensor("factor", factor))
        self.register_buffer("offset", None if offset is None else check.tensor("offset", offset))
        raise_if(check.faults)

    def describe(self) -> dict[str, Any]:
        """JSON-able description: class, float type and shapes."""
        shapes = {name: None if (t := getattr(self, name)) is None else {"shape": list(t.shape)} for name in _TENSORS}
        options = {"shape": list(self.shape), **shapes}
        return {"class": type(self).__name__, "dtype": dtype_name(self.factor.dtype), "options": options}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., *shape) to (..., *shape)."""
        if tuple(x.shape[x.dim() - len(self.shape) :]) != self.shape:
            was = f"the input has shape {tuple(x.shape)}"
            raise Refusal(Fault("ND1602", "Scale", was, f"it must end in {self.shape}", "", {"shape": tuple(x.shape)}))
        scaled = x.to(self.factor.dtype) * self.factor
        return scaled if self.offset is None else scaled + self.offset

    def extra_repr(self) -> str:
        """Return what print(model) shows."""
        return f"{self.shape}" + (", with offset" if self.offset is not None else "")


_TENSORS = ("factor", "offset")


@register
class Integrator(Stateful):
    """Returns the sum of all input since the last reset: neurons without leak, threshold and spikes.

    Input and output are (time, batch, ...). The sum is kept for the next call, until ``reset_states()``.
    """

    def describe(self) -> dict[str, Any]:
        """JSON-able description: class."""
        return {"class": type(self).__name__, "dtype": None, "options": {}}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add up (time, batch, ...) over time."""
        x = self._check_tensor(x)
        self._check_continues(tuple(x.shape[1:]))
        if not x.is_floating_point():
            x = x.to(torch.get_default_dtype())
        v = self._state.get("v", x.new_zeros(x.shape[1:]))
        sums = []
        for row in x.unbind(0):  # one addition after the other, as a neuron makes them
            v = v + row
            sums.append(v)
        self._state = {"v": v}
        return torch.stack(sums) if sums else x.clone()
