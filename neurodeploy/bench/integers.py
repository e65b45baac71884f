"""How many whole-number operations the machine does in a second, measured: what a kernel could reach at best."""

import threading
import time
from functools import cache
from typing import Any

import numpy as np

#: Numbers that stay in the first cache, passes over them, and operations on each in a pass.
NUMBERS, PASSES, EACH = 2048, 20_000, 24
ROUNDS = 3


@cache
def _loop() -> Any:
    import numba

    signature = "void(int32[::1], int32, int32, int64)"

    @numba.njit(signature, nogil=True, error_model="numpy")
    def work(x: Any, a: Any, b: Any, passes: Any) -> None:
        """24 operations, of which none can be left out: sums, exclusive ors and differences of what is not known."""
        for _ in range(passes):
            for i in range(x.shape[0]):
                v = x[i]
                v = np.int32(np.int32(np.int32(v + a) ^ b) - a)
                v = np.int32(np.int32(np.int32(v ^ a) + b) ^ a)
                v = np.int32(np.int32(np.int32(v - b) ^ a) + b)
                v = np.int32(np.int32(np.int32(v ^ b) - a) ^ b)
                v = np.int32(np.int32(np.int32(v + b) ^ a) - b)
                v = np.int32(np.int32(np.int32(v ^ a) - b) ^ a)
                v = np.int32(np.int32(np.int32(v - a) ^ b) + a)
                v = np.int32(np.int32(np.int32(v ^ b) + a) ^ b)
                x[i] = v

    return work


def integer_rate(threads: int) -> float:
    """Operations on 32-bit whole numbers in a second, on so many threads at once; the best of a few rounds."""
    work = _loop()
    arrays = [np.arange(NUMBERS, dtype=np.int32) + t for t in range(threads)]

    def once() -> float:
        running = [threading.Thread(target=work, args=(x, 12345, 54321, PASSES)) for x in arrays]
        begin = time.perf_counter()
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return time.perf_counter() - begin

    return threads * NUMBERS * PASSES * EACH / min(once() for _ in range(ROUNDS))
