"""How time and memory grow: with the share of inputs that spike, and with neurons; first use of a chip in a process."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.bench.networks import CellTable, WorkloadTable, network_of, prepared, workloads
from neurodeploy.errors import Fault, Refusal, missing_extra
from neurodeploy.generated import has_numba
from neurodeploy.simulator import Simulation

ACTIVITIES = (0.01, 0.05, 0.20)
NEURONS = (1_000, 10_000, 100_000)
STEPS = 200
OURS = "numba"


@dataclass(frozen=True)
class Point:
    """One size or activity.

    what : in words
    milliseconds : median of one run
    events : spikes of all neurons and inputs in it
    peak_mib : largest resident memory of a process that does nothing else
    """

    what: str
    milliseconds: float
    events: int
    peak_mib: float


@dataclass(frozen=True)
class FirstUse:
    """Milliseconds until the first run of a workload has ended, imports of the program left out.

    compiled_ms : with nothing on disk
    loaded_ms : with what the run before it left there
    """

    workload: str
    compiled_ms: float
    loaded_ms: float


def bench_growth(name: str = "w2", *, rounds: int = 5) -> list[Point]:
    """Time a workload at rising activity, and its first hidden layer at rising sizes; each in a process of its own."""
    cases = [{"rate": rate} for rate in ACTIVITIES] + [{"neurons": float(count)} for count in NEURONS]
    return [Point(**_apart("point", name, json.dumps(case | {"rounds": rounds}))) for case in cases]


def bench_first_use() -> list[FirstUse]:
    """First use of each workload's chip, with an empty folder of compiled code and with a filled one.

    Raises Missing (ND9001) without numba, Refusal (ND1601) where such a process fails.
    """
    if not has_numba():
        raise missing_extra("numba", "fast", "bench")
    result = []
    for name in workloads():
        with tempfile.TemporaryDirectory(prefix="neurodeploy-") as cache:
            first, again = (_apart("first", name, "{}", cache=cache)["ms"] for _ in range(2))
        result.append(FirstUse(name, first, again))
    return result


def _apart(what: str, name: str, options: str, *, cache: str | None = None) -> dict[str, Any]:
    line = [sys.executable, "-m", "neurodeploy.bench.growth", what, name, options]
    environment = os.environ | ({"NEURODEPLOY_CACHE": cache} if cache else {})
    done = subprocess.run(  # noqa: S603 - this Python, this module
        line, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        was = f"{' '.join(line[1:])} ended with {done.returncode}: {done.stderr.strip()[-400:]}"
        raise Refusal(Fault("ND1601", "bench", was, "it must end with 0"))
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _smaller(workload: WorkloadTable, steps: int) -> WorkloadTable:
    """The same network on a short input; of a batch one sample."""
    return workload.model_copy(update={"steps": min(workload.steps, steps), "samples": 1})


def _point(name: str, options: dict[str, float]) -> dict[str, object]:
    from neurodeploy.bench.fresh import peak_mib

    workload = _smaller(workloads()[name], STEPS)
    rate = options.get("rate", ACTIVITIES[0])
    sizes: dict[str, int] = {}
    what = f"{rate:.0%} of the inputs spike"
    if "neurons" in options:
        first = workload.groups[1]
        kept = tuple(p for p in workload.projections if p.target == first.name)
        workload = workload.model_copy(update={"groups": workload.groups[:2], "projections": kept})
        sizes = {first.name: int(options["neurons"])}
        what = f"{sizes[first.name]:,} neurons, {rate:.0%} of the inputs spike"
    task = prepared(workload, CellTable(name="", rate=rate), **sizes)
    simulation = Simulation(task.network, executor=OURS)
    events = sum(int(v.sum()) for v in simulation.run(task.given, drain=0).counts.values())
    times = []
    for _ in range(int(options["rounds"])):
        begin = time.perf_counter()
        simulation.run(task.given, drain=0, keep="outputs")
        times.append((time.perf_counter() - begin) * 1e3)
    return {"what": what, "milliseconds": statistics.median(times), "events": events, "peak_mib": peak_mib()}


def _first(name: str) -> dict[str, object]:
    workload = _smaller(workloads()[name], 2)
    # a small network of the same texts: compiling depends on them, not on how many neurons there are
    sizes = {g.name: min(g.size, 1000) for g in workload.groups if isinstance(g.size, int)}
    network = network_of(workload, **sizes)
    (entry,) = network.inputs()
    counts = np.zeros((2, 1, entry.size), np.int64)
    counts[0, 0, 0] = 1
    begin = time.perf_counter()
    Simulation(network, executor=OURS).run(counts, drain=0)
    return {"ms": (time.perf_counter() - begin) * 1e3}


if __name__ == "__main__":
    given = json.loads(sys.argv[3])
    sys.stdout.write(json.dumps(_first(sys.argv[2]) if sys.argv[1] == "first" else _point(sys.argv[2], given)))
