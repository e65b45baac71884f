"""All steps of a layer in one kernel call, as one operation of autograd."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from neurodeploy.generated import Compiled
from neurodeploy.kernels.call import Call, Kernels
from neurodeploy.kernels.course import Course
from neurodeploy.kernels.numba_source import numba_source
from neurodeploy.kernels.plan import Plan, Question, forward_plan, plan_of
from neurodeploy.kernels.recurrent import Feedback, Steps, run_recurrent
from neurodeploy.kernels.triton_call import DeviceCall, Jitted
from neurodeploy.kernels.triton_source import triton_source
from neurodeploy.step import Table, Text
from neurodeploy.step.tree import Expression

DTYPES = {torch.float32: "float32", torch.float64: "float64"}
#: (device type, float type) of the tensors that the kernels of numba take
SUPPORTED = frozenset({("cpu", dtype) for dtype in DTYPES})


@dataclass(frozen=True)
class Result:
    """Spikes (time, batch, ...), states at the end, and the recorded states by name."""

    spikes: torch.Tensor
    states: dict[str, torch.Tensor]
    recordings: dict[str, torch.Tensor]


@lru_cache(maxsize=512)
def _forward_plan(text: Text, states: tuple[str, ...], given: tuple[str, ...], options: tuple[str, ...]) -> Plan:
    return forward_plan(text.statements, states, given, options)


@lru_cache(maxsize=512)
def _plan(question: Question) -> Plan:
    return plan_of(question)


@lru_cache(maxsize=512)
def _kernels(question: Question, arrays_back: frozenset[int], engine: str = "numba") -> Kernels:
    plan = _plan(question)
    arrays = {plan.hoisted[place] for place in question.arrays} | {plan.hoisted_back[place] for place in arrays_back}
    write = triton_source if engine == "triton" else numba_source
    source = write(plan, dtype=question.dtype, record=question.record, arrays=arrays, gradients=question.gradients)
    return Kernels(plan, source, Jitted(source) if engine == "triton" else Compiled(source, alone=True))


def run_sequence(
    text: Text,
    x: torch.Tensor,
    *,
    states: Mapping[str, torch.Tensor],
    environment: Mapping[str, Any],
    surrogate: Expression,
    options: Mapping[str, float],
    table: Table,
    record: bool,
    feedback: Feedback | None = None,
    course: Course | None = None,
    engine: str = "numba",
) -> Result:
    """Run a step text over a sequence.

    x : (time, batch, ...), at least one step, float32 or float64
    states : at the start, each (batch, ...)
    environment : tensors and numbers that the text reads besides; a tensor broadcasts to the neurons
    surrogate, options : derivative of the firing functions in ``v``, ``threshold`` and the options
    table : torch's, for what no step changes
    feedback : what is added to the input of a step from the spikes of the step before; "numba" alone
    course : spikes and states that every step leaves, in place of those of the text; "numba" alone
    engine : "numba" on the CPU, "triton" on a GPU
    """
    given, option_names = tuple(sorted(environment)), tuple(sorted(options))
    first = _forward_plan(text, tuple(states), given, option_names)
    outside = {**environment, **{f"surrogate.{name}": value for name, value in options.items()}}
    hoisted = list(first.graph.fold(first.hoisted, outside, table).values())
    back = [] if feedback is None else [value for value in feedback.tensors if value is not None]
    inputs = [*states.values(), *hoisted, *back]
    gradients = torch.is_grad_enabled() and any(
        isinstance(value, torch.Tensor) and value.requires_grad for value in (x, *inputs)
    )
    question = Question(
        text.statements,
        tuple(states),
        given,
        surrogate,
        option_names,
        DTYPES[x.dtype],
        record,
        gradients,
        gradients and (x.requires_grad or feedback is not None),
        frozenset(k for k, v in enumerate(hoisted) if gradients and isinstance(v, torch.Tensor) and v.requires_grad),
        frozenset(k for k, v in enumerate(hoisted) if _differs(v)),
    )
    late: list[Any] = []
    if gradients:
        plan = _plan(question)
        with torch.no_grad():
            late = list(plan.graph.fold(plan.hoisted_back, outside, table).values())
    kernels = _kernels(question, frozenset(k for k, v in enumerate(late) if _differs(v)), engine)
    kind = DeviceCall if engine == "triton" else Call
    call = kind(kernels, x, hoisted, late, record=record)
    x, tensors = x.contiguous(), [value for value in (*states.values(), *hoisted) if isinstance(value, torch.Tensor)]
    outputs: tuple[torch.Tensor, ...]
    if feedback is not None:
        outputs = run_recurrent(call, feedback, course, x, tensors)
    elif gradients:
        outputs = _Sequence.apply(call, course, x, *tensors)  # type: ignore[no-untyped-call] # torch's
    else:
        outputs = _forward(call, course, x, [value.detach() for value in states.values()])[0]
    spikes, *rest = outputs
    count = len(states)
    return Result(
        spikes,
        dict(zip(states, rest[:count], strict=True)),
        dict(zip(states, rest[count:], strict=True)) if record else {},
    )


def _differs(value: Any) -> bool:
    """Whether a value is not one number for the whole layer."""
    return isinstance(value, torch.Tensor) and value.numel() != 1


def _forward(
    call: Call, course: Course | None, x: torch.Tensor, states: list[torch.Tensor]
) -> tuple[tuple[torch.Tensor, ...], list[torch.Tensor]]:
    """Spikes, last states and recordings; and what the gradient needs, apart from x."""
    given = call.forward_memory(states)
    shared, rows = call.forward_arrays(given)
    rows["x"] = call.flat(x)
    if course is None:
        call.run("forward", shared | rows, steps=call.steps)
        return given.outputs, given.saved
    steps = Steps(call, "forward", shared, rows)
    for t in range(call.steps):
        steps.run(t)
        course.take(t, given, call.kernels.plan.states)
    return given.outputs, given.saved


class _Sequence(torch.autograd.Function):
    """The kernels as an operation: spikes, last states, recordings; gradients to x, first states, hoisted values."""

    @staticmethod
    def forward(
        ctx: Any, call: Call, course: Course | None, x: torch.Tensor, *tensors: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        outputs, saved = _forward(call, course, x, list(tensors[: len(call.kernels.plan.states)]))
        ctx.call, ctx.shapes = call, [tensor.shape for tensor in tensors]
        ctx.save_for_backward(*([x] if call.keeps_x else []), *saved)
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        call: Call = ctx.call
        saved, count = list(ctx.saved_tensors), len(call.kernels.plan.states)
        x = saved.pop(0) if call.keeps_x else None
        given = call.backward_memory(list(gradients[1 : 1 + count]))
        shared, rows = call.backward_arrays(given, saved)
        rows |= {"g_spike": call.flat(call.whole(gradients[0]))} | ({} if x is None else {"x": call.flat(x)})
        for name, gradient in zip(call.kernels.plan.states, gradients[1 + count :], strict=False):
            rows[f"grec_{name}"] = call.flat(call.whole(gradient))
        call.run("backward", shared | rows, steps=call.steps)
        return (None, None, given.to_x, *call.to_tensors(given, ctx.shapes, ctx.needs_input_grad[3:]))
