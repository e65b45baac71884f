"""State between calls: kept by a layer until reset_states(), never guessed, never drawn at random."""

from typing import Any

import torch

from neurodeploy.errors import Fault, Refusal

TIME_BATCH = 2  # tensors are (time, batch, ...)


class Stateful(torch.nn.Module):
    """A layer that remembers the end of one call for the start of the next.

    The state is no part of ``state_dict``: it belongs to the data that is running, not to the model. It moves with
    ``.to(...)`` and is copied (without its history) by ``copy.deepcopy``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._state: dict[str, torch.Tensor] = {}

    def reset_states(self) -> None:
        """Forget everything: the next call starts from the start values, with any batch size."""
        self._state = {}

    def detach_states(self) -> None:
        """Keep the values, drop the history: gradients of the next call end at its first step."""
        self._state = {name: value.detach() for name, value in self._state.items()}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_state": {name: value.detach() for name, value in self._state.items()}}

    def _apply(self, fn: Any, recurse: bool = True) -> Any:  # noqa: FBT001, FBT002 - torch's signature
        self._state = {name: fn(value) for name, value in self._state.items()}
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call] # torch leaves it untyped

    def _where(self) -> str:
        return type(self).__name__

    def _refuse_input(self, was: str, must: str, todo: str = "", **values: object) -> Refusal:
        return Refusal(Fault("ND1602", self._where(), was, must, todo, values))

    def _check_tensor(self, x: object) -> torch.Tensor:
        if not isinstance(x, torch.Tensor):
            todo = "convert it with torch.as_tensor(...)"
            raise self._refuse_input(f"the input is a {type(x).__name__}", "it must be a torch.Tensor", todo)
        if x.dim() < TIME_BATCH or x.is_complex():
            was = f"the input has shape {tuple(x.shape)} and type {x.dtype}"
            raise self._refuse_input(was, "it must be real and of shape (time, batch, ...)", shape=tuple(x.shape))
        return x

    def _check_continues(self, rows: tuple[int, ...]) -> None:
        """Refuse an input step whose shape (batch, ...) is not that of the kept state."""
        for value in self._state.values():
            if tuple(value.shape) != rows:
                raise self._refuse_input(
                    f"a step of the input has shape {rows}, the state kept from the last call {tuple(value.shape)}",
                    "both must be equal: (batch, ...)",
                    "call reset_states() before another batch",
                    shape=rows,
                    state=tuple(value.shape),
                )
