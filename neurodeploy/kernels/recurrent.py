"""Recurrent layers: the kernels take one step at a time, and between two steps stands the map of the spikes.

That map is the very one of the looped executor, so spikes are equal to the last bit. Its gradient is taken apart: that
of the spikes in every step, that of the weights once, over the whole sequence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from neurodeploy.kernels import memory
from neurodeploy.kernels.call import Call
from neurodeploy.kernels.course import Course
from neurodeploy.native import Native

_TENSORS = 3  # of Feedback
_WHOLE = 4  # whole numbers that a kernel takes first


@dataclass(frozen=True)
class Feedback:
    """An affine map of the spikes of one step to an input of the next, with the products that its gradient needs.

    first : spikes before the first step (batch, ...); None: nothing comes back in that step, no bias either
    weight, bias : of the map, where it has them
    product : (spikes, weight, bias) -> (batch, ...), a step
    to_spikes : (gradient of the product, weight) -> gradient of the spikes, a step
    to_weight : (gradients of products, spikes) -> gradient of the weight, all steps: (time, batch, ...)
    to_bias : gradients of products -> gradient of the bias
    """

    first: torch.Tensor | None
    weight: torch.Tensor | None
    bias: torch.Tensor | None
    product: Callable[..., torch.Tensor]
    to_spikes: Callable[..., torch.Tensor]
    to_weight: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    to_bias: Callable[[torch.Tensor], torch.Tensor]

    @property
    def tensors(self) -> tuple[torch.Tensor | None, ...]:
        """What receives a gradient."""
        return self.first, self.weight, self.bias


def run_recurrent(
    call: Call, feedback: Feedback, course: Course | None, x: torch.Tensor, tensors: list[torch.Tensor]
) -> tuple[torch.Tensor, ...]:
    """Spikes, last states and recordings.

    course : what every step leaves, in place of what the text makes
    tensors : states at the start, then the tensors among the hoisted values
    """
    given = call, feedback, course, x, *feedback.tensors, *tensors
    found: tuple[torch.Tensor, ...] = _Recurrent.apply(*given)  # type: ignore[no-untyped-call] # torch's
    return found


class Steps:
    """One kernel of a call, a step at a time."""

    def __init__(self, call: Call, name: str, shared: dict[str, Any], rows: dict[str, Any]) -> None:
        self._function, self._width = call.kernels.compiled.function(name), call.width
        names = [argument for argument, _ in call.kernels.source.functions[name]]
        self._given: list[Any] = [shared.get(argument) for argument in names]
        self._rows = [(place, rows[argument]) for place, argument in enumerate(names) if argument in rows]

        if isinstance(self._function, Native):  # only the addresses of the rows change
            given = [1, self._width, 0, self._width, *self._given]
            for place, array in self._rows:
                given[_WHOLE + place] = array[: self._width]
            self._flat, addresses = self._function.flat(given)
            self._moving = [
                (addresses[_WHOLE + place], array.ctypes.data, self._width * array.itemsize)
                for place, array in self._rows
            ]

    def run(self, t: int) -> None:
        """Run the step whose rows are those of number t."""
        if isinstance(self._function, Native):
            for place, begin, size in self._moving:
                self._flat[place].value = begin + t * size
            self._function.call(self._flat)
            return
        begin = t * self._width
        for place, array in self._rows:
            self._given[place] = array[begin : begin + self._width]
        self._function(1, self._width, 0, self._width, *self._given)


class _Recurrent(torch.autograd.Function):
    """As ``_Sequence``, with the gradients of what comes back: first spikes, weight and bias."""

    @staticmethod
    def forward(
        ctx: Any,
        call: Call,
        feedback: Feedback,
        course: Course | None,
        x: torch.Tensor,
        *tensors: torch.Tensor | None,
    ) -> tuple[torch.Tensor, ...]:
        first, weight, bias = tensors[:_TENSORS]
        states = [state for state in tensors[_TENSORS:] if state is not None][: len(call.kernels.plan.states)]
        given = call.forward_memory(states)
        # the whole input of every step is kept only where the gradient reads it
        total = memory.empty(x.shape, x.dtype) if call.keeps_x else torch.empty_like(x[0])
        shared, rows = call.forward_arrays(given)
        (rows if call.keeps_x else shared)["x"] = call.flat(total)
        steps, before = Steps(call, "forward", shared, rows), first
        for t, (row, spikes) in enumerate(zip(x.unbind(0), given.spikes.unbind(0), strict=True)):
            into = total[t] if call.keeps_x else total
            if before is None:
                into.copy_(row)
            else:
                torch.add(row, feedback.product(before, weight, bias), out=into)
            steps.run(t)
            if course is not None:
                course.take(t, given, call.kernels.plan.states)
            before = _aligned(spikes)
        ctx.call, ctx.feedback, ctx.shapes = call, feedback, [None if v is None else v.shape for v in tensors]
        kept = [first, weight, given.spikes, *([total] if call.keeps_x else []), *given.saved]
        ctx.save_for_backward(*kept)
        ctx.set_materialize_grads(False)
        return given.outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        call: Call = ctx.call
        feedback: Feedback = ctx.feedback
        first, weight, spikes, *saved = ctx.saved_tensors
        total = saved.pop(0) if call.keeps_x else None
        count, states = len(call.kernels.plan.states), call.kernels.plan.states
        given = call.backward_memory(list(gradients[1 : 1 + count]))
        shared, rows = call.backward_arrays(given, saved)
        arriving = call.zeros(call.shape[1:])
        shared["g_spike"] = call.flat(arriving)
        rows |= {} if total is None else {"x": call.flat(total)}
        for name, gradient in zip(states, gradients[1 + count :], strict=False):
            rows[f"grec_{name}"] = call.flat(call.whole(gradient))
        steps = Steps(call, "backward", shared, rows)
        outer = [None] * call.steps if gradients[0] is None else gradients[0].unbind(0)
        to_x = [None] * call.steps if given.to_x is None else given.to_x.unbind(0)
        for t in range(call.steps - 1, -1, -1):
            back = None
            if t + 1 < call.steps and to_x[t + 1] is not None:
                back = feedback.to_spikes(to_x[t + 1], weight)
            _set_sum(arriving, outer[t], back)
            steps.run(t)
        wanted = ctx.needs_input_grad[4:]
        found = _to_feedback(feedback, given.to_x, (first, weight, spikes), wanted)
        found += call.to_tensors(given, ctx.shapes[_TENSORS:], wanted[_TENSORS:])
        return (None, None, None, given.to_x if ctx.needs_input_grad[3] else None, *found)


def _aligned(spikes: torch.Tensor) -> torch.Tensor:
    """Spikes where a tensor of their own would lie: a matrix product may round by the place of its operands."""
    return spikes if spikes.data_ptr() % memory.ALIGNED == 0 else spikes.clone()


def _set_sum(into: torch.Tensor, one: torch.Tensor | None, other: torch.Tensor | None) -> None:
    parts = [part for part in (one, other) if part is not None]
    if not parts:
        into.zero_()
    elif len(parts) == 1:
        into.copy_(parts[0])
    else:
        torch.add(*parts, out=into)


def _to_feedback(
    feedback: Feedback,
    to_x: torch.Tensor | None,
    values: tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor],
    wanted: tuple[bool, ...],
) -> list[torch.Tensor | None]:
    """Gradients of the first spikes, the weight and the bias."""
    first, weight, spikes = values
    if to_x is None:
        return [None] * _TENSORS
    to_first = feedback.to_spikes(to_x[0], weight) if wanted[0] else None
    to_weight = to_bias = None
    if wanted[1]:
        to_weight = feedback.to_weight(to_x[1:], spikes[:-1])
        if first is not None:
            to_weight = to_weight + feedback.to_weight(to_x[:1], first.unsqueeze(0))
    if wanted[2]:
        to_bias = feedback.to_bias(to_x[1:] if first is None else to_x)
    return [to_first, to_weight, to_bias]
