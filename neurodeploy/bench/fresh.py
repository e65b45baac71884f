"""First use and peak memory: one training step in a new process, with and without compiled code on disk."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from neurodeploy.bench.workload import ours, sample, step
from neurodeploy.errors import Fault, Refusal, missing_extra
from neurodeploy.kernels import has_numba

FEW, TIMES = 2, 3  # time steps of the first training step in a process; training steps after it


@dataclass(frozen=True)
class Fresh:
    """What one new process needed.

    first_ms : milliseconds of a first training step of 2 time steps, which compiles or loads kernels
    then_ms : of the last training step, of all time steps
    start_mib, loaded_mib, peak_mib : resident memory at most: before the first training step, after it, and at the end
    """

    first_ms: float
    then_ms: float
    start_mib: float
    loaded_mib: float
    peak_mib: float


def bench_fresh(*, steps: int = 100, threads: int = 2) -> dict[str, Fresh]:
    """Run "looped" and "events" in processes of their own; "events, nothing compiled" has an empty cache of kernels.

    Raises Missing (ND9001) without numba, Refusal (ND1601) where such a process fails.
    """
    if not has_numba():
        raise missing_extra("numba", "fast", "bench")
    with tempfile.TemporaryDirectory(prefix="neurodeploy-") as cache:
        runs = {"events, nothing compiled": "events", "events": "events", "looped": "looped"}
        return {name: _fresh(variant, steps, threads, cache) for name, variant in runs.items()}


def _fresh(variant: str, steps: int, threads: int, cache: str) -> Fresh:
    line = [sys.executable, "-m", "neurodeploy.bench.fresh", variant, str(steps), str(threads)]
    environment = os.environ | {"NEURODEPLOY_CACHE": cache}
    done = subprocess.run(  # noqa: S603 - this Python, this module
        line, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        was = f"{' '.join(line[1:])} ended with {done.returncode}: {done.stderr.strip()[-400:]}"
        raise Refusal(Fault("ND1601", "bench", was, "it must end with 0"))
    return Fresh(**json.loads(done.stdout))


def peak_mib() -> float:
    """Largest resident memory of this process so far; raises Refusal ND1601 where the system does not tell it."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count the process that started this one
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    if sys.platform == "win32":
        raise Refusal(
            Fault("ND1601", "bench", "no peak memory on Windows", "Linux or macOS", "run bench without --fresh")
        )
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # bytes, on macOS


def _measure(variant: str, steps: int, threads: int) -> Fresh:
    torch.set_num_threads(threads)
    model = ours(variant)
    start = peak_mib()
    first = step(model, *sample(FEW))
    loaded = peak_mib()
    x, target = sample(steps)
    then = [step(model, x, target) for _ in range(TIMES)]
    return Fresh(first, then[-1], start, loaded, peak_mib())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(vars(_measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
