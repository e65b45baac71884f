"""The torch table: what each operator of a float step text means on tensors, and where its gradient goes.

Operands are tensors or Python numbers, in any mixture; numbers alone give a number, by the rules of IEEE 754 (1 / 0 is
infinite, nothing raises). A text's literal takes the float type of the tensors that it meets.

====================================  =============================================================================
``min(a, b)``, ``max(a, b)``          the gradient goes to the operand that is taken; at a tie to the first
``clip(x, low, high)``                min(max(x, low), high): x receives the gradient where it lies within, bounds
                                      included
``a if condition else b``, guards     each side receives it where it is taken; the condition receives none
``round``, ``floor``                  halves to even; gradient 0
``detach(x)``                         x; no gradient
``above``, ``at_or_above``,           the surrogate's ``gradient(v, threshold)`` times the incoming gradient goes to v;
``count``, ``count_above``            the threshold receives none, as in sinabs. (It does receive one from
                                      ``v - spike * threshold`` where it is a trainable parameter.)
====================================  =============================================================================

``count`` is the floor of the quotient as the float type rounds it, so v just below a multiple of the threshold may
count as having reached it, except at the threshold itself: count(v, t) >= 1 exactly where v >= t, and
count_above(v, t) >= 1 exactly where v > t.
"""

import operator
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from neurodeploy.step import Table, assigned, run
from neurodeploy.step.language import Statement
from neurodeploy.step.tables import Environment

if TYPE_CHECKING:
    from neurodeploy.layers.surrogates import Surrogate


def _above(v: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    return (v > threshold).to(v.dtype)


def _at_or_above(v: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    return (v >= threshold).to(v.dtype)


def _count(v: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    return (v / threshold).floor_().clamp_(min=0)


def _count_above(v: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    return (v / threshold).ceil_().sub_(1).clamp_(min=0)


class _Fire(torch.autograd.Function):
    """A firing function whose derivative is the surrogate's."""

    @staticmethod
    def forward(ctx: Any, v: torch.Tensor, threshold: torch.Tensor, fire: Any, surrogate: "Surrogate") -> torch.Tensor:
        ctx.save_for_backward(v, threshold)
        ctx.surrogate = surrogate
        spikes: torch.Tensor = fire(v, threshold)
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        v, threshold = ctx.saved_tensors
        # autograd itself sums over the dimensions along which v was broadcast
        return gradients[0] * ctx.surrogate.gradient(v, threshold), None, None, None


def _firing(fire: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], surrogate: "Surrogate") -> Callable[..., Any]:
    def function(v: Any, threshold: Any) -> Any:
        if not isinstance(v, torch.Tensor):
            if not isinstance(threshold, torch.Tensor):
                return fire(_number(v), _number(threshold)).item()
            return fire(torch.full_like(threshold, v), threshold.detach())
        if not isinstance(threshold, torch.Tensor):
            threshold = torch.full((), threshold, dtype=v.dtype, device=v.device)
        if not (v.requires_grad and torch.is_grad_enabled()):
            return fire(v.detach(), threshold.detach())
        return _Fire.apply(v, threshold, fire, surrogate)  # type: ignore[no-untyped-call] # torch leaves it untyped

    return function


def _number(x: float) -> torch.Tensor:
    return torch.tensor(float(x), dtype=torch.float64)


def _unary(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Any], Any]:
    return lambda x: function(x) if isinstance(x, torch.Tensor) else function(_number(x)).item()


def _div(a: Any, b: Any) -> Any:
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        return a / b
    return (_number(a) / b).item()


def _min(a: Any, b: Any) -> Any:
    # clamp gives x its gradient at the bound; a bound that stands first must keep it at a tie
    if isinstance(a, torch.Tensor):
        return a.clamp(max=b)
    return torch.where(b >= a, a, b) if isinstance(b, torch.Tensor) else min(a, b)


def _max(a: Any, b: Any) -> Any:
    if isinstance(a, torch.Tensor):
        return a.clamp(min=b)
    return torch.where(b <= a, a, b) if isinstance(b, torch.Tensor) else max(a, b)


def _guard(condition: Any, body: tuple[Statement, ...], environment: Environment, table: Table) -> None:
    inside = dict(environment)
    run(body, inside, table)
    for name in {statement.name for statement in assigned(body)} & set(environment):
        environment[name] = table["select"](condition, inside[name], environment[name])


def _selecting(dtype: torch.dtype) -> Callable[..., Any]:
    def select(condition: Any, a: Any, b: Any) -> Any:
        if not isinstance(condition, torch.Tensor):
            return a if condition else b
        if not isinstance(a, torch.Tensor) and not isinstance(b, torch.Tensor):
            a = torch.full((), a, dtype=dtype, device=condition.device)
        return torch.where(condition, a, b)

    return select


@lru_cache(maxsize=16)
def functions(dtype: torch.dtype = torch.float32) -> Table:
    """Return the table without the firing functions, which need a surrogate.

    dtype : float type of a number that a text chooses between literals alone (``0.1 if v > 0 else 0.2``)
    """
    return {
        "add": operator.add,
        "sub": operator.sub,
        "mul": operator.mul,
        "neg": operator.neg,
        "div": _div,
        "min": _min,
        "max": _max,
        "abs": abs,
        "clip": lambda x, low, high: _min(_max(x, low), high),
        "select": _selecting(dtype),
        "lt": operator.lt,
        "le": operator.le,
        "gt": operator.gt,
        "ge": operator.ge,
        "eq": operator.eq,
        "ne": operator.ne,
        "and": operator.and_,
        "or": operator.or_,
        "not": lambda c: ~c if isinstance(c, torch.Tensor) else not c,
        "exp": _unary(torch.exp),
        "exp2": _unary(torch.exp2),
        "expm1": _unary(torch.expm1),
        "log2": _unary(torch.log2),
        "round": _unary(torch.round),
        "floor": _unary(torch.floor),
        "detach": lambda x: x.detach() if isinstance(x, torch.Tensor) else x,
        "guard": _guard,
    }


@lru_cache(maxsize=256)
def torch_table(surrogate: "Surrogate", dtype: torch.dtype = torch.float32) -> Table:
    """Return the table of one surrogate, the derivative of the four firing functions; dtype as for ``functions``."""
    return {
        **functions(dtype),
        "above": _firing(_above, surrogate),
        "at_or_above": _firing(_at_or_above, surrogate),
        "count": _firing(_count, surrogate),
        "count_above": _firing(_count_above, surrogate),
    }
