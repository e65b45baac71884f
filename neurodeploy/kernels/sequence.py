"""All steps of a layer in one kernel call, as one operation of autograd."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from neurodeploy.kernels import memory
from neurodeploy.kernels.blocks import over_blocks
from neurodeploy.kernels.cache import Compiled
from neurodeploy.kernels.numba_source import BYTES, Argument, Source, numba_source
from neurodeploy.kernels.plan import Plan, Question, forward_plan, plan_of
from neurodeploy.step import Table, Text
from neurodeploy.step.tree import Expression

DTYPES = {torch.float32: "float32", torch.float64: "float64"}
#: (device type, float type) of the tensors that kernels take
SUPPORTED = frozenset({("cpu", dtype) for dtype in DTYPES})


@dataclass(frozen=True)
class Kernels:
    """The plan of a question and its compiled functions."""

    plan: Plan
    source: Source
    compiled: Compiled


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
def _kernels(question: Question, arrays_back: frozenset[int]) -> Kernels:
    plan = _plan(question)
    arrays = {plan.hoisted[place] for place in question.arrays} | {plan.hoisted_back[place] for place in arrays_back}
    source = numba_source(
        plan, dtype=question.dtype, record=question.record, arrays=arrays, gradients=question.gradients
    )
    return Kernels(plan, source, Compiled(source))


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
) -> Result:
    """Run a step text over a sequence.

    x : (time, batch, ...), at least one step, float32 or float64 on the CPU
    states : at the start, each (batch, ...)
    environment : tensors and numbers that the text reads besides; a tensor broadcasts to the neurons
    surrogate, options : derivative of the firing functions in ``v``, ``threshold`` and the options
    table : torch's, for what no step changes
    """
    given, option_names = tuple(sorted(environment)), tuple(sorted(options))
    first = _forward_plan(text, tuple(states), given, option_names)
    outside = {**environment, **{f"surrogate.{name}": value for name, value in options.items()}}
    hoisted = list(first.graph.fold(first.hoisted, outside, table).values())
    inputs = [*states.values(), *hoisted]
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
        gradients and x.requires_grad,
        frozenset(k for k, v in enumerate(hoisted) if gradients and isinstance(v, torch.Tensor) and v.requires_grad),
        frozenset(k for k, v in enumerate(hoisted) if _differs(v)),
    )
    late: list[Any] = []
    if gradients:
        plan = _plan(question)
        with torch.no_grad():
            late = list(plan.graph.fold(plan.hoisted_back, outside, table).values())
    kernels = _kernels(question, frozenset(k for k, v in enumerate(late) if _differs(v)))
    call = _Call(kernels, x.shape, x.dtype, hoisted, late, record=record)
    tensors = [value for value in inputs if isinstance(value, torch.Tensor)]
    if gradients:
        outputs = _Sequence.apply(call, x.contiguous(), *tensors)  # type: ignore[no-untyped-call] # torch's
    else:
        outputs = call.forward(x.contiguous(), [value.detach() for value in states.values()])[0]
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


class _Call:
    """One call of a layer: what its two kernels are given."""

    def __init__(
        self,
        kernels: Kernels,
        shape: torch.Size,
        dtype: torch.dtype,
        hoisted: list[Any],
        late: list[Any],
        *,
        record: bool,
    ) -> None:
        self.kernels, self.shape, self.dtype, self.record = kernels, shape, dtype, record
        self.steps, self.width = shape[0], shape[1:].numel()
        plan = kernels.plan
        self.places = [place for place, value in enumerate(hoisted) if isinstance(value, torch.Tensor)]
        self.constants = {
            f"c{node}": self._constant(value)
            for node, value in zip((*plan.hoisted, *plan.hoisted_back), (*hoisted, *late), strict=True)
        }

    def _constant(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return float(value)
        if value.numel() == 1:
            return value.item()
        columns = torch.empty(self.shape[1:], dtype=self.dtype)  # a copy: an optimizer may change the original
        return _flat(columns.copy_(value.detach()))

    def _run(self, name: str, arguments: tuple[Argument, ...], values: Mapping[str, Any]) -> None:
        function = self.kernels.compiled.function(name)
        given = [values[argument] for argument, _ in arguments]
        over_blocks(
            lambda low, high: function(self.steps, self.width, low, high, *given),
            steps=self.steps,
            width=self.width,
            threads=torch.get_num_threads(),
        )

    def forward(self, x: torch.Tensor, states: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Spikes, last states and recordings; and what the gradient needs, apart from x."""
        plan, arguments = self.kernels.plan, self.kernels.source.functions["forward"]
        spikes = memory.empty(x.shape, x.dtype)
        last = [state.clone(memory_format=torch.contiguous_format) for state in states]
        recordings = [memory.empty(x.shape, x.dtype) for _ in plan.states] if self.record else []
        saved = {
            name: memory.empty(x.shape, torch.uint8 if sort == BYTES else x.dtype)
            for name, sort in arguments
            if name.startswith("save")
        }
        values: dict[str, Any] = {**self.constants, "x": _flat(x.detach()), "spike": _flat(spikes)}
        for name, state in zip(plan.states, last, strict=True):
            values[f"s_{name}"] = _flat(state)
        for name, recording in zip(plan.states, recordings, strict=False):
            values[f"rec_{name}"] = _flat(recording)
        values |= {name: _flat(tensor) for name, tensor in saved.items()}
        self._run("forward", arguments, values)
        return [spikes, *last, *recordings], list(saved.values())

    def backward(
        self, x: torch.Tensor | None, saved: list[torch.Tensor], gradients: list[torch.Tensor | None]
    ) -> tuple[torch.Tensor | None, list[torch.Tensor], dict[int, torch.Tensor]]:
        """Gradients of x, of the states and of hoisted values (by place, one number for each column)."""
        plan, arguments = self.kernels.plan, self.kernels.source.functions["backward"]
        count, rows = len(plan.states), self.shape[1:]

        def whole(gradient: torch.Tensor | None) -> torch.Tensor:
            return torch.zeros(self.shape, dtype=self.dtype) if gradient is None else gradient.contiguous()

        states = [torch.zeros(rows, dtype=self.dtype) if g is None else g.clone() for g in gradients[1 : 1 + count]]
        states = [state.contiguous() for state in states]
        sums = {place: torch.zeros(rows, dtype=self.dtype) for place in plan.to_hoisted}
        values: dict[str, Any] = {**self.constants, "g_spike": _flat(whole(gradients[0]))}
        if x is not None:
            values["x"] = _flat(x.detach())
        names = [name for name, _ in arguments if name.startswith("save")]
        values |= {name: _flat(tensor) for name, tensor in zip(names, saved, strict=True)}
        values |= {f"h_{name}": _flat(state) for name, state in zip(plan.states, states, strict=True)}
        values |= {f"sum{place}": _flat(tensor) for place, tensor in sums.items()}
        if self.record:
            recorded = gradients[1 + count :]
            values |= {f"grec_{name}": _flat(whole(g)) for name, g in zip(plan.states, recorded, strict=True)}
        to_x = None
        if plan.to_x is not None:
            to_x = memory.empty(self.shape, self.dtype)
            values["g_x"] = _flat(to_x)
        self._run("backward", arguments, values)
        return to_x, states, sums


def _flat(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    flat: np.ndarray[Any, Any] = tensor.detach().reshape(-1).numpy()
    return flat


class _Sequence(torch.autograd.Function):
    """The kernels as an operation: spikes, last states, recordings; gradients to x, first states, hoisted values."""

    @staticmethod
    def forward(ctx: Any, call: _Call, x: torch.Tensor, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        plan = call.kernels.plan
        outputs, saved = call.forward(x, list(tensors[: len(plan.states)]))
        ctx.call, ctx.shapes = call, [tensor.shape for tensor in tensors]
        ctx.keeps_x = plan.x in plan.saved
        ctx.save_for_backward(*([x] if ctx.keeps_x else []), *saved)
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        call: _Call = ctx.call
        saved = list(ctx.saved_tensors)
        x = saved.pop(0) if ctx.keeps_x else None
        to_x, states, sums = call.backward(x, saved, list(gradients))
        count = len(call.kernels.plan.states)
        found: list[torch.Tensor | None] = [None, to_x]
        wanted = ctx.needs_input_grad[2:]
        found += [state if wants else None for state, wants in zip(states, wanted[:count], strict=True)]
        for place, shape in zip(call.places, ctx.shapes[count:], strict=True):
            total = sums.get(place)
            found.append(None if total is None else _summed(total, shape))
        return tuple(found)


def _summed(total: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    return total.sum().reshape(shape) if shape.numel() == 1 else total.sum_to_size(shape)
