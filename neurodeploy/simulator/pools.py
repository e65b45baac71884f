"""Where parts of a batch run: processes of this machine, or the workers of a Dask cluster; both through joblib.

Nothing is lost and nothing counts twice: every part carries a number, a number is taken once, and parts whose worker
died are sent again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from neurodeploy.errors import Fault, Missing, Refusal, missing_extra, raise_if

ENGINES = ("loky", "dask")
#: how often parts may lose their worker before it is taken for the fault of the parts
DEATHS = 4
_CONNECT_S = 10
_WHERE = "simulate, engine"


@dataclass(frozen=True)
class Pool:
    """An engine that is there.

    size : parts that run at the same time
    backend : what joblib is told
    deaths : exceptions that say that a worker died
    """

    engine: str
    size: int
    backend: Mapping[str, Any]
    deaths: tuple[type[BaseException], ...]

    def run(self, work: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Number and result of each task, in the order in which they are done; a task runs once or, if it is lost, again.

        Raises Refusal ND1305 where workers die again and again.
        """
        import joblib

        pending, died = set(range(len(tasks))), 0
        while pending:
            calls = [joblib.delayed(_numbered)(work, number, tasks[number]) for number in sorted(pending)]
            try:
                with joblib.parallel_config(**self.backend):
                    done = joblib.Parallel(batch_size=1, return_as="generator_unordered")(calls)
                    for number, result in done:
                        if number in pending:  # a part that was sent again may be done twice: the first one counts
                            pending.remove(number)
                            yield number, result
            except self.deaths as error:
                died += 1
                if died > DEATHS:
                    was, must = f"workers died {died} times ({type(error).__name__})", "workers that stay alive"
                    todo = "give them more memory, or fewer samples at a time (samples=...)"
                    raise Refusal(Fault("ND1305", _WHERE, was, must, todo)) from error


def _numbered(work: Callable[[Any], Any], number: int, task: Any) -> tuple[int, Any]:
    return number, work(task)


def refuse_engine(engine: str, jobs: int | None, address: str | None) -> None:
    """Refuse (ND1305) what is no engine, and options that belong to another one."""
    faults = []
    if engine not in ENGINES:
        faults.append(Fault("ND1305", _WHERE, f"engine = {engine!r}", f"one of {', '.join(ENGINES)}"))
    if jobs is not None and (type(jobs) is not int or jobs < 1):
        faults.append(Fault("ND1305", _WHERE, f"jobs = {jobs!r}", "a number of processes, 1 or more"))
    if engine == "dask":
        if address is None:
            must, todo = "the address of its scheduler", 'for instance "tcp://10.0.0.7:8786"'
            faults.append(Fault("ND1305", _WHERE, "a Dask cluster without address", must, todo))
        if jobs is not None:
            faults.append(Fault("ND1305", _WHERE, "jobs of a Dask cluster", "its workers decide", "leave jobs out"))
    elif address is not None:
        faults.append(
            Fault("ND1305", _WHERE, f"an address for {engine}", "an address of a Dask cluster", 'engine="dask"')
        )
    raise_if(faults)


@contextmanager
def opened(engine: str, jobs: int | None, address: str | None) -> Iterator[Pool]:
    """Open an engine and leave it as it was.

    Raises Refusal ND1305 for options and for workers of another version; Missing: ND9001 without joblib or distributed,
    ND1305 where nobody answers at the address or no worker is there.
    """
    refuse_engine(engine, jobs, address)
    try:
        import joblib
        from joblib.externals.loky.process_executor import BrokenProcessPool
    except ImportError:
        raise missing_extra("joblib", "engines", _WHERE) from None
    if engine == "loky":
        size = joblib.cpu_count() if jobs is None else jobs
        # the last resort of a dead process is a new one: joblib replaces a broken set of processes
        yield Pool(engine, size, {"backend": "loky", "n_jobs": size}, (BrokenProcessPool,))
        return
    with _client(str(address)) as client:
        from distributed.scheduler import KilledWorker

        size = sum(client.nthreads().values())
        backend = {"backend": "dask", "n_jobs": -1, "client": client}
        yield Pool(engine, size, backend, (KilledWorker,))


@contextmanager
def _client(address: str) -> Iterator[Any]:
    try:
        import distributed
    except ImportError:
        raise missing_extra("dask[distributed]", "engines", _WHERE) from None
    try:
        client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError) as error:
        was, todo = f"nobody answers at {address!r} ({error})", "start dask scheduler, or correct the address"
        raise Missing(Fault("ND1305", _WHERE, was, "a Dask scheduler that can be reached", todo)) from error
    except (ValueError, TypeError) as error:
        must = 'an address such as "tcp://10.0.0.7:8786"'
        raise Refusal(Fault("ND1305", _WHERE, f"the address {address!r} ({error})", must)) from error
    with client:
        _refuse_workers(client, address)
        yield client


def _refuse_workers(client: Any, address: str) -> None:
    """Refuse a cluster without workers, and workers that would run another program."""
    if not client.nthreads():
        was, todo = f"the cluster at {address!r} has no worker", f"start one: dask worker {address}"
        raise Missing(Fault("ND1305", _WHERE, was, "at least one worker", todo))
    mine = version("neurodeploy")
    found = client.run(version, "neurodeploy", on_error="return")
    other = {worker: v for worker, v in found.items() if v != mine}
    if other:
        worker = min(other)
        theirs = other[worker]
        was = f"worker {worker} has " + (f"neurodeploy {theirs}" if isinstance(theirs, str) else "no neurodeploy")
        todo = f"install neurodeploy {mine} there"
        raise Refusal(Fault("ND1305", _WHERE, was, f"version {mine} everywhere, for equal results", todo))
