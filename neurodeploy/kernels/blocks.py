"""Blocks of columns, shared out over threads; kernels release the interpreter's lock."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

BLOCK = 4096  # columns whose states stay in the cache of a core
SMALL = 1 << 16  # updates that one thread finishes before a second has started
SHARES = 4  # blocks for each thread: one that is held up takes fewer of them


@lru_cache(maxsize=4)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:  # noqa: ARG001 - a forked process needs its own
    return ThreadPoolExecutor(threads, thread_name_prefix="neurodeploy")


def over_blocks(run: Callable[[int, int], None], *, steps: int, width: int, threads: int, unit: int = 16) -> None:
    """Call ``run(low, high)`` for blocks that cover all columns, on several threads where that pays.

    unit : columns that stay together; 16 make whole vectors
    """
    if threads == 1 or steps * width < SMALL:
        threads = 1
    size = min(BLOCK, -(-width // (threads * SHARES if threads > 1 else 1)))
    size = -(-size // unit) * unit
    blocks = iter([(low, min(low + size, width)) for low in range(0, width, size)])

    def work(blocks: Iterator[tuple[int, int]] = blocks) -> None:
        for low, high in blocks:
            run(low, high)

    others = [_pool(threads - 1, os.getpid()).submit(work) for _ in range(threads - 1)] if threads > 1 else []
    work()
    for other in others:
        other.result()
