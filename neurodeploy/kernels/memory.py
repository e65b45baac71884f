"""Large results in memory that was used before: fresh pages cost more than the arithmetic that fills them."""

import math
import threading
import weakref
from collections.abc import Sequence

import numpy as np
import torch

LARGE = 1 << 20  # bytes; smaller ones are torch's own
MOST_IDLE = 1 << 28  # bytes that stay reserved when nobody uses them
ALIGNED = 64  # bytes

Block = np.ndarray[tuple[int], np.dtype[np.uint8]]
_LOCK = threading.RLock()  # a finalizer may run while the same thread holds it
_idle: list[Block] = []  # oldest first


def empty(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """Tensor on the CPU with any values. When the last tensor on its memory is gone, the memory is used again."""
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE:
        return torch.empty(tuple(shape), dtype=dtype)
    with _LOCK:
        place = next((k for k in range(len(_idle) - 1, -1, -1) if _idle[k].nbytes == size + ALIGNED), None)
        block = np.empty(size + ALIGNED, np.uint8) if place is None else _idle.pop(place)
    begin = -block.ctypes.data % ALIGNED
    lent = block[begin : begin + size]  # torch keeps this view alive, and its end gives the block back
    weakref.finalize(lent, _take_back, block).atexit = False
    return torch.from_numpy(lent).view(dtype).view(tuple(shape))


def _take_back(block: Block) -> None:
    with _LOCK:
        _idle.append(block)
        while sum(kept.nbytes for kept in _idle) > MOST_IDLE:
            del _idle[0]
