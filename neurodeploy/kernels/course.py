"""A course that a layer is made to take: what another machine computed stands in for what its text would make."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from neurodeploy.kernels.call import Forward


@dataclass(frozen=True)
class Course:
    """Spikes and states at the end of every step, each (time, batch, ...); states that are not named stay the text's.

    A gradient passes them as if the text had made them: each step is differentiated where the course stood before it.
    added : (time, batch, ...) a constant that the input lacks; whoever runs the text adds it
    """

    spikes: torch.Tensor
    states: Mapping[str, torch.Tensor]
    added: torch.Tensor | None = None

    def take(self, t: int, given: Forward, names: Iterable[str]) -> None:
        """Put the course where a kernel has left spikes, states and recordings of step t. names : of the states."""
        given.spikes[t].copy_(self.spikes[t])
        for place, name in enumerate(names):
            if name in self.states:
                given.states[place].copy_(self.states[name][t])
                if given.recordings:
                    given.recordings[place][t].copy_(self.states[name][t])

    def stand_in(self, t: int, environment: dict[str, Any]) -> None:
        """Put the course where a text has left the spikes and states of step t, by name."""
        for name, rows in {**self.states, "spike": self.spikes}.items():
            environment[name] = _StandIn.apply(environment[name], rows[t])  # type: ignore[no-untyped-call] # torch's


class _StandIn(torch.autograd.Function):
    """Another value; the gradient is that of the first."""

    @staticmethod
    def forward(_ctx: Any, _made: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        return given.clone()

    @staticmethod
    def backward(_ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0], None
