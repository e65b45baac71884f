"""A delay line: the same values, some steps later."""

from typing import Any

import torch

from neurodeploy.errors import raise_if
from neurodeploy.layers.registry import dtype_name, register
from neurodeploy.layers.stateful import Stateful
from neurodeploy.layers.values import Checker


@register
class Delay(Stateful):
    """Returns what came in ``steps`` time steps ago; zeros before that.

    steps : whole number of time steps, at least 0

    Input and output are (time, batch, ...). What has not come out yet is kept for the next call, until
    ``reset_states()``; until then another batch size, shape or type is refused (ND1602).
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        check = Checker(type(self).__name__)
        check.whole("steps", steps, 0)
        raise_if(check.faults)
        self.steps = steps

    def describe(self) -> dict[str, Any]:
        """JSON-able description: class and options."""
        return {"class": type(self).__name__, "dtype": None, "options": {"steps": self.steps}}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shift (time, batch, ...) by ``steps``."""
        x = self._check_tensor(x)
        rows = tuple(x.shape[1:])
        line = self._state.get("line")
        if line is None:
            line = x.new_zeros((self.steps, *rows))
        elif tuple(line.shape[1:]) != rows or line.dtype != x.dtype:
            was = f"a step of the input is {dtype_name(x.dtype)} {rows}, "
            was += f"those kept from the last call {dtype_name(line.dtype)} {tuple(line.shape[1:])}"
            todo = "call reset_states() before another batch"
            raise self._refuse_input(was, "both must be equal", todo, shape=rows, state=tuple(line.shape[1:]))
        joined = torch.cat([line, x])
        self._state = {"line": joined[x.shape[0] :].clone()}
        return joined[: x.shape[0]]

    def extra_repr(self) -> str:
        """Return what print(model) shows."""
        return f"steps={self.steps}"
