"""Work in a child process: the HDF5 library can hang or crash on a damaged file, and nothing else bounds that."""

import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

_BLOCK = 1 << 20


class ChildFailedError(Exception):
    """The child did not answer; says why."""


def in_child(
    work: Callable[[], bytes], *, seconds: float, more_bytes: int, holding: AbstractContextManager[object]
) -> bytes:
    """What ``work`` returns, computed in a copy of this process.

    seconds : after which the child is killed
    more_bytes : of memory that the child may take beyond what this process has
    holding : locks that the work needs; taken before the copy is made, so that no other thread holds them in it
    Raises ChildFailedError where it takes longer, dies, or raises anything. Without fork the work is done here.
    """
    if sys.platform == "win32":  # no fork there
        return work()
    reading, writing = os.pipe()
    with holding, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on threads: the child runs none of theirs
        child = os.fork()
        if child == 0:
            _answer(work, writing, seconds, more_bytes)
    os.close(writing)
    try:
        return _received(reading, time.monotonic() + seconds, seconds)
    finally:
        os.close(reading)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _answer(work: Callable[[], bytes], writing: int, seconds: float, more_bytes: int) -> None:
    """Run in the child; never returns, and leaves without the clean-up that belongs to the parent."""
    if sys.platform == "win32":  # never called there; types are checked for it, too
        return
    with suppress(BaseException):
        import faulthandler
        import resource  # of systems with fork alone

        faulthandler.disable()  # how it dies is told by the parent
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        most = _taken() + more_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        answer = memoryview(work())
        while answer:
            answer = answer[os.write(writing, answer[:_BLOCK]) :]
        os._exit(0)
    os._exit(1)


def _received(reading: int, end: float, seconds: float) -> bytes:
    parts = []
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise ChildFailedError(f"reading took longer than {seconds:.0f} s")
        part = os.read(reading, _BLOCK)
        if not part:
            break
        parts.append(part)
    if not parts:
        raise ChildFailedError("the HDF5 library failed on it")
    return b"".join(parts)


def _taken() -> int:
    """Bytes of address space that this process has."""
    if sys.platform == "win32":
        return 1 << 36
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 1 << 36
