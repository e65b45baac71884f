"""Order of millions of synapses by several keys."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
DIGIT = np.iinfo(np.uint16).bits  # NumPy sorts so many by counting


def sorted_by(*keys: Ints) -> Ints:
    """Places in ascending order of the first key, of equal ones in that of the second, and so on; else as they stand.

    The keys become one number, which is sorted digit by digit: several times faster than ``np.lexsort``.
    """
    joined, top = _joined(keys)
    if joined is None:
        return np.lexsort(keys[::-1])
    order = np.argsort(_digit(joined, 0), kind="stable")
    for shift in range(DIGIT, (top - 1).bit_length(), DIGIT):
        order = order[np.argsort(_digit(joined, shift)[order], kind="stable")]
    return order


def ascending(*keys: Ints) -> bool:
    """Whether keys stand in that order as they are, and no place has the keys of another."""
    joined, _ = _joined(keys)
    return joined is not None and bool(np.all(joined[:-1] < joined[1:]))


def _joined(keys: Sequence[Ints]) -> tuple[Ints | None, int]:
    """One number for the keys of each place, None where 64 bits do not hold it; and what all are below."""
    spans = [(int(k.min()), int(k.max()) - int(k.min()) + 1) if k.size else (0, 1) for k in keys]
    top = math.prod(size for _, size in spans)
    if top > np.iinfo(np.int64).max:
        return None, top
    joined = np.zeros(len(keys[0]), np.int64)
    for key, (low, size) in zip(keys, spans, strict=True):
        if size > 1:
            joined *= size
            joined += key
            joined -= low
    return joined, top


def _digit(values: Ints, shift: int) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    return (values >> shift & (1 << DIGIT) - 1).astype(np.uint16)
