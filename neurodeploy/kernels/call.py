"""One call of a layer's kernels: the memory that they are given, and what of it is an argument."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from neurodeploy.kernels import memory
from neurodeploy.kernels.blocks import over_blocks
from neurodeploy.kernels.numba_source import Source
from neurodeploy.kernels.passes import BYTES
from neurodeploy.kernels.plan import Plan


class Compiled(Protocol):
    """The functions of a source, each compiled when it is first called for."""

    def function(self, name: str) -> Any:
        """Return a function, compiled."""


@dataclass(frozen=True)
class Kernels:
    """The plan of a question and its compiled functions."""

    plan: Plan
    source: Source
    compiled: Compiled


@dataclass(frozen=True)
class Forward:
    """Memory of a forward pass.

    spikes, recordings, saved : (time, batch, ...); saved is what the gradient needs, apart from the input
    states : (batch, ...), at the start; the kernel leaves there those at the end
    """

    spikes: torch.Tensor
    states: list[torch.Tensor]
    recordings: list[torch.Tensor]
    saved: list[torch.Tensor]

    @property
    def outputs(self) -> tuple[torch.Tensor, ...]:
        """What autograd sees."""
        return self.spikes, *self.states, *self.recordings


@dataclass(frozen=True)
class Backward:
    """Memory of a backward pass.

    states : (batch, ...), gradients of the states at the end; the kernel leaves there those at the start
    sums : gradients of hoisted values by place, one number for each column
    to_x : (time, batch, ...), the gradient of the input, where it is wanted
    """

    states: list[torch.Tensor]
    sums: dict[int, torch.Tensor]
    to_x: torch.Tensor | None


class Call:
    """What both kernels of a call are given, as numba takes it.

    x : (time, batch, ...); the call has its shape, float type and device
    hoisted, late : values of ``plan.hoisted`` and ``plan.hoisted_back``, tensors or numbers
    """

    def __init__(
        self,
        kernels: Kernels,
        x: torch.Tensor,
        hoisted: list[Any],
        late: list[Any],
        *,
        record: bool,
    ) -> None:
        self.kernels, self.shape, self.dtype, self.device, self.record = kernels, x.shape, x.dtype, x.device, record
        self.steps, self.width = x.shape[0], x.shape[1:].numel()
        plan = kernels.plan
        self.keeps_x = plan.x in plan.saved
        self.places = [place for place, value in enumerate(hoisted) if isinstance(value, torch.Tensor)]
        self._constants = {
            f"c{node}": self.constant(value)
            for node, value in zip((*plan.hoisted, *plan.hoisted_back), (*hoisted, *late), strict=True)
        }

    def constant(self, value: Any) -> Any:
        """Argument for a hoisted value."""
        if not isinstance(value, torch.Tensor):
            return float(value)
        return value.item() if value.numel() == 1 else self.flat(self.columns(value))

    def columns(self, value: torch.Tensor) -> torch.Tensor:
        """One number for each column: a copy, as an optimizer may change the original."""
        return torch.empty(self.shape[1:], dtype=self.dtype, device=self.device).copy_(value.detach())

    def flat(self, tensor: torch.Tensor) -> Any:
        """View of a tensor as one row of numbers."""
        return tensor.detach().reshape(-1).numpy()

    def empty(self, dtype: torch.dtype) -> torch.Tensor:
        """Memory for a whole sequence."""
        return memory.empty(self.shape, dtype)

    def zeros(self, shape: torch.Size) -> torch.Tensor:
        """Zeros where the call runs."""
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def forward_memory(self, states: list[torch.Tensor]) -> Forward:
        """Memory of a forward pass from these states."""
        plan = self.kernels.plan
        sorts = [sort for name, sort in self.kernels.source.functions["forward"] if name.startswith("save")]
        return Forward(
            self.empty(self.dtype),
            [state.clone(memory_format=torch.contiguous_format) for state in states],
            [self.empty(self.dtype) for _ in plan.states] if self.record else [],
            [self.empty(torch.uint8 if sort == BYTES else self.dtype) for sort in sorts],
        )

    def backward_memory(self, gradients: list[torch.Tensor | None]) -> Backward:
        """Memory of a backward pass from the gradients of the states at the end."""
        rows, plan = self.shape[1:], self.kernels.plan
        states = [self.zeros(rows) if g is None else g.clone() for g in gradients]
        return Backward(
            [state.contiguous() for state in states],
            {place: self.zeros(rows) for place in plan.to_hoisted},
            None if plan.to_x is None else self.empty(self.dtype),
        )

    def forward_arrays(self, given: Forward) -> tuple[dict[str, Any], dict[str, Any]]:
        """Arguments that all steps share, and those with a row for each step, without ``x``."""
        plan = self.kernels.plan
        shared = self._constants | self._named("s_", plan.states, given.states)
        names = [name for name, _ in self.kernels.source.functions["forward"] if name.startswith("save")]
        rows = {"spike": self.flat(given.spikes)} | self._named("", names, given.saved)
        return shared, rows | (self._named("rec_", plan.states, given.recordings) if self.record else {})

    def backward_arrays(self, given: Backward, saved: list[torch.Tensor]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The same for the gradient, without ``x``, ``g_spike`` and the gradients of recordings."""
        plan = self.kernels.plan
        shared = self._constants | self._named("h_", plan.states, given.states)
        shared |= self._named("sum", map(str, given.sums), given.sums.values())
        names = [name for name, _ in self.kernels.source.functions["backward"] if name.startswith("save")]
        rows = self._named("", names, saved)
        return shared, rows if given.to_x is None else rows | {"g_x": self.flat(given.to_x)}

    def to_tensors(
        self, given: Backward, shapes: Sequence[torch.Size], wanted: Sequence[bool]
    ) -> list[torch.Tensor | None]:
        """Gradients of the states at the start and of the tensors among the hoisted values, in these shapes."""
        count = len(given.states)
        found = [state if wants else None for state, wants in zip(given.states, wanted[:count], strict=True)]
        for place, shape in zip(self.places, shapes[count:], strict=True):
            total = given.sums.get(place)
            found.append(None if total is None else _summed(total, shape))
        return found

    def whole(self, gradient: torch.Tensor | None) -> torch.Tensor:
        """Gradient of a whole sequence, in memory of its own order."""
        return self.zeros(self.shape) if gradient is None else gradient.contiguous()

    def run(self, name: str, values: Mapping[str, Any], *, steps: int) -> None:
        """Run a kernel over so many steps; arrays of rows begin at the first of them."""
        function = self.kernels.compiled.function(name)
        given = [values[argument] for argument, _ in self.kernels.source.functions[name]]
        over_blocks(
            lambda low, high: function(steps, self.width, low, high, *given),
            steps=steps,
            width=self.width,
            threads=torch.get_num_threads(),
        )

    def _named(self, prefix: str, names: Any, tensors: Any) -> dict[str, Any]:
        return {f"{prefix}{name}": self.flat(tensor) for name, tensor in zip(names, tensors, strict=True)}


def _summed(total: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    return total.sum().reshape(shape) if shape.numel() == 1 else total.sum_to_size(shape)
