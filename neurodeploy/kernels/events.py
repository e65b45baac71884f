"""A linear map of spikes: what is 0 costs nothing, forwards and in the gradient of the weights.

The input is turned into lists of what is not 0, row by row; each entry adds one row of the weights to the output, or
one row of the arriving gradient to that of the weights. The order of these sums differs from that of a matrix product
and is the same for any number of threads. Above ``DENSE`` the matrix product is faster and is taken.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import torch

from neurodeploy.generated import Compiled, has_numba
from neurodeploy.kernels import memory
from neurodeploy.kernels.blocks import over_blocks
from neurodeploy.kernels.numba_source import Source
from neurodeploy.kernels.passes import ARRAY, BYTES, PLACES

DENSE = 0.15  # share of entries that are not 0
SLICE = 256  # columns of the weights' gradient that stay in the cache of a core
PARTS, LEAST = 8, 512  # the most parts into which the rows are cut for it, and the fewest rows of a part

_CODE = '''"""Products of spikes with a matrix; made by neurodeploy, changes are not read."""

import numpy as np

F = np.{dtype}


def count(rows, inputs, low, high, x, ends):
    for r in range(low, high):
        row = x[r * inputs : (r + 1) * inputs]
        found = np.int32(0)
        for j in range(row.shape[0]):
            found = np.int32(found + (np.int32(1) if row[j] != F(0.0) else np.int32(0)))
        ends[r] = found


def fill(rows, inputs, low, high, x, ends, places, values, flags, words, found):
    for r in range(low, high):
        row = x[r * inputs : (r + 1) * inputs]
        for j in range(row.shape[0]):
            flags[j] = np.uint8(1) if row[j] != F(0.0) else np.uint8(0)
        n = np.int64(0)
        for word in range(words.shape[0]):
            if words[word] != 0:
                # every place is written and the next writes over what is 0: a branch would be guessed wrong too often
                for j in range(8 * word, 8 * word + 8):
                    found[n] = j
                    n += np.int64(flags[j])
        at = ends[r - 1] if r > 0 else 0
        for k in range(n):
            places[at + k] = found[k]
            values[at + k] = row[found[k]]


def product(rows, outputs, low, high, ends, places, values, weights, y):
    for r in range(low, high):
        out = y[r * outputs : (r + 1) * outputs]
        at = ends[r - 1] if r > 0 else 0
        end = ends[r]
        first = True
        while at < end:
            a = places[at] * outputs
            v_a = values[at]
            w_a = weights[a : a + outputs]
            if at + 1 < end:
                b = places[at + 1] * outputs
                v_b = values[at + 1]
                w_b = weights[b : b + outputs]
                if first:
                    for j in range(out.shape[0]):
                        out[j] = v_a * w_a[j] + v_b * w_b[j]
                else:
                    for j in range(out.shape[0]):
                        out[j] += v_a * w_a[j] + v_b * w_b[j]
            elif first:
                for j in range(out.shape[0]):
                    out[j] = v_a * w_a[j]
            else:
                for j in range(out.shape[0]):
                    out[j] += v_a * w_a[j]
            first = False
            at += 2
        if first:
            out[:] = F(0.0)


def outer(rows, outputs, low, high, ends, places, values, g, bounds, parts):
    slices = (outputs + {slice} - 1) // {slice}
    size = parts.shape[0] // (bounds.shape[0] - 1)
    for task in range(low, high):
        part = task // slices
        left = task % slices * {slice}
        right = min(left + {slice}, outputs)
        weights = parts[part * size : (part + 1) * size]
        for a in range(size // outputs):
            weights[a * outputs + left : a * outputs + right] = F(0.0)
        at = ends[bounds[part] - 1] if bounds[part] > 0 else 0
        for r in range(bounds[part], bounds[part + 1]):
            given = g[r * outputs + left : r * outputs + right]
            end = ends[r]
            while at < end:
                v = values[at]
                a = places[at] * outputs
                out = weights[a + left : a + right]
                for j in range(out.shape[0]):
                    out[j] += v * given[j]
                at += 1
'''
_FUNCTIONS = {
    "count": (("x", ARRAY), ("ends", PLACES)),
    # flags: bytes, as many as whole words hold, all 0; words: the same memory; found: one place more than flags
    "fill": (
        *(("x", ARRAY), ("ends", PLACES), ("places", PLACES), ("values", ARRAY)),
        *(("flags", BYTES), ("words", PLACES), ("found", PLACES)),
    ),
    "product": (("ends", PLACES), ("places", PLACES), ("values", ARRAY), ("weights", ARRAY), ("y", ARRAY)),
    "outer": tuple(
        {"ends": PLACES, "places": PLACES, "values": ARRAY, "g": ARRAY, "bounds": PLACES, "parts": ARRAY}.items()
    ),
}
_NAMES = {torch.float32: "float32", torch.float64: "float64"}


@lru_cache(maxsize=4)
def _compiled(dtype: torch.dtype) -> Compiled:
    return Compiled(Source(_CODE.format(dtype=_NAMES[dtype], slice=SLICE), _NAMES[dtype], _FUNCTIONS), alone=True)


def _nothing() -> tuple[np.ndarray[Any, Any], ...]:
    return ()


def _run(
    name: str, rows: int, inner: int, shared: int, *tensors: torch.Tensor, unit: int = 16, scratch: Any = _nothing
) -> None:
    """Call a function for blocks of what threads share: rows, or parts of the weights' gradient.

    scratch : makes the arrays that each block has for itself
    """
    dtype = next(tensor.dtype for tensor in tensors if tensor.is_floating_point())
    function = _compiled(dtype).function(name)
    given = [tensor.detach().view(-1).numpy() for tensor in tensors]
    over_blocks(
        lambda low, high: function(rows, inner, low, high, *given, *scratch()),
        steps=rows * inner // shared,
        width=shared,
        threads=torch.get_num_threads(),
        unit=unit,
    )


def _lists(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """Ends of the rows, places and values of what is not 0; None where the input is too dense."""
    rows, inputs = x.shape
    ends = torch.empty(rows, dtype=torch.int64)
    _run("count", rows, inputs, rows, x, ends)
    np.cumsum(ends.numpy(), out=ends.numpy())
    total = int(ends[-1])
    if total > DENSE * x.numel():
        return None
    places, values = torch.empty(total, dtype=torch.int64), torch.empty(total, dtype=x.dtype)

    def scratch() -> tuple[np.ndarray[Any, Any], ...]:
        words = np.zeros(-(-inputs // 8), np.int64)
        return words.view(np.uint8), words, np.empty(8 * words.size + 1, np.int64)

    _run("fill", rows, inputs, rows, x, ends, places, values, scratch=scratch)
    return ends, places, values


def _turned(weight: torch.Tensor) -> torch.Tensor:
    # by NumPy: after a copy of its own, torch's threads wait in a loop on the cores that ours need next
    return torch.from_numpy(np.ascontiguousarray(weight.detach().numpy().T))


def _outer(gradient: torch.Tensor, inputs: int, *lists: torch.Tensor) -> torch.Tensor:
    """(outputs, inputs). Threads share parts of the rows, which the shapes alone decide, and slices of the outputs."""
    rows, outputs = gradient.shape
    count = max(1, min(PARTS, rows // max(LEAST, inputs)))
    bounds = torch.tensor([rows * part // count for part in range(count + 1)])
    parts = memory.empty((count, inputs, outputs), gradient.dtype)
    _run("outer", rows, outputs, count * -(-outputs // SLICE), *lists, gradient, bounds, parts, unit=1)
    return (torch.from_numpy(parts.numpy().sum(0)) if count > 1 else parts[0]).t()


class _Product(torch.autograd.Function):
    """``linear`` of rows of spikes."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        rows, outputs = x.shape[0], weight.shape[0]
        lists = _lists(x)
        y = memory.empty((rows, outputs), x.dtype)
        if lists is None:
            torch.mm(x, weight.t(), out=y)
            ctx.save_for_backward(weight, x)
        else:
            _run("product", rows, outputs, rows, *lists, _turned(weight), y)
            ctx.save_for_backward(weight, *lists)
        return y if bias is None else y.add_(bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        weight, *rest = ctx.saved_tensors
        gradient = gradient.contiguous()
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:
            to_x = torch.mm(gradient, weight, out=memory.empty((len(gradient), weight.shape[1]), weight.dtype))
        if ctx.needs_input_grad[1] and len(rest) == 1:
            to_weight = gradient.t() @ rest[0]
        elif ctx.needs_input_grad[1]:
            to_weight = _outer(gradient, weight.shape[1], *rest)
        return to_x, to_weight, gradient.sum(0) if ctx.needs_input_grad[2] else None


def event_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """``torch.nn.functional.linear`` for an input that is mostly 0.

    x : (..., inputs), float32 or float64 on the CPU
    weight : (outputs, inputs)
    """
    rows = x.reshape(-1, x.shape[-1]).contiguous()
    found: torch.Tensor = _Product.apply(rows, weight, bias)  # type: ignore[no-untyped-call] # torch leaves it untyped
    return found.view(*x.shape[:-1], weight.shape[0])


def weight_gradient(gradient: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Gradient of the weight of ``event_linear``, (outputs, inputs), from that of its output and its input.

    gradient : (..., outputs); x : (..., inputs)
    """
    given, rows = (tensor.reshape(-1, tensor.shape[-1]).contiguous() for tensor in (gradient, x))
    lists = _lists(rows) if rows.numel() and has_numba() else None
    return given.t() @ rows if lists is None else _outer(given, rows.shape[1], *lists)
