"""Order of millions of synapses by several keys."""

import math

import numpy as np

from neurodeploy.simulator.machine import Ints

DIGIT = np.iinfo(np.uint16).bits  # NumPy sorts so many by counting


def sorted_by(*keys: Ints) -> Ints:
    """Places in ascending order of the first key, of equal ones in that of the second, and so on; else as they stand.

    The keys become one number, which is sorted digit by digit: several times faster than ``np.lexsort``.
    """
    spans = [(int(k.min()), int(k.max()) - int(k.min()) + 1) if k.size else (0, 1) for k in keys]
    top = math.prod(size for _, size in spans)
    if top > np.iinfo(np.int64).max:
        return np.lexsort(keys[::-1])
    joined = np.zeros(len(keys[0]), np.int64)
    for key, (low, size) in zip(keys, spans, strict=True):
        if size > 1:
            joined *= size
            joined += key
            joined -= low
    order = np.argsort(_digit(joined, 0), kind="stable")
    for shift in range(DIGIT, (top - 1).bit_length(), DIGIT):
        order = order[np.argsort(_digit(joined, shift)[order], kind="stable")]
    return order


def _digit(values: Ints, shift: int) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    return (values >> shift & (1 << DIGIT) - 1).astype(np.uint16)
