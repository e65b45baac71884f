"""Where parts of a batch run: processes of this machine, or the workers of a Dask cluster.

Nothing is lost and nothing counts twice: every part carries a number, a number is taken once, and parts whose worker
died are sent again. Parts and results travel as Python objects, so a cluster must be one that the user trusts.
"""

import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from neurodeploy.errors import Fault, Missing, Refusal, missing_extra, raise_if

ENGINES = ("loky", "dask")
#: how often parts may lose their worker before it is taken for the fault of the parts
DEATHS = 4
_CONNECT_S = 10
_AHEAD = 2  # parts that are on their way, for each that runs
_LOOK_S, _PATIENCE = 5, 12  # how often, and how many times, is looked for a worker that comes back
_WARN_ABOVE, _LARGE = "distributed.admin.large-graph-warning-threshold", "10 GB"
_OVER_TCP = ("tcp", "tls", "ws", "wss")
_WHERE = "simulate, engine"


class Pool(Protocol):
    """An engine that is there.

    size : parts that run at the same time
    """

    size: int

    def run(self, work: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Number and result of each task, in the order in which they are done; a task that was lost runs again.

        Raises Refusal ND1305 where workers die again and again, Missing ND1305 where none is left.
        """


class Processes:
    """Processes of this machine, through joblib's loky."""

    def __init__(self, size: int) -> None:
        self.size = size

    def run(self, work: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """See Pool. joblib replaces a broken set of processes; what was on its way in it is sent again."""
        import joblib
        from joblib.externals.loky.process_executor import BrokenProcessPool

        pending, died = set(range(len(tasks))), 0
        while pending:
            calls = [joblib.delayed(_numbered)(work, number, tasks[number]) for number in sorted(pending)]
            try:
                done = joblib.Parallel(self.size, backend="loky", batch_size=1, return_as="generator_unordered")(calls)
                for number, result in done:
                    pending.remove(number)
                    yield number, result
            except BrokenProcessPool as error:
                died += 1
                if died > DEATHS:
                    raise _dying(f"processes died {died} times", error) from error


class Cluster:
    """Workers of a Dask cluster.

    Not through joblib's own way to Dask: that one waits for ever for a part that failed, and hands data to single
    workers, with which they are lost.
    """

    def __init__(self, client: Any, address: str) -> None:
        self.client, self.address, self.size = client, address, sum(client.nthreads().values())

    def run(self, work: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """See Pool. The scheduler sends parts of a dead worker to another one, as often as it is set up to."""
        import dask
        from distributed.scheduler import KilledWorker

        done: SimpleQueue[Any] = SimpleQueue()
        waiting: dict[Any, int] = {}
        following, lost = deque(range(len(tasks))), 0
        while following or waiting:
            while following and len(waiting) < _AHEAD * self.size:
                number = following.popleft()
                with dask.config.set({_WARN_ABOVE: _LARGE}):  # a part carries its input: no graph to be made smaller
                    future = self.client.submit(work, tasks[number], pure=False)
                waiting[future] = number
                future.add_done_callback(done.put)
            future = self._next(done)
            number = waiting.pop(future)
            if future.status == "finished":
                yield number, future.result()
            elif future.status == "error":
                error = future.exception()
                died = isinstance(error, KilledWorker)
                raise _dying("workers died each time that a part ran", error) if died else error
            else:  # the scheduler has forgotten it
                lost += 1
                following.append(number)
                if lost > DEATHS:
                    raise _dying(f"{lost} parts were lost", future.status)

    def _next(self, done: SimpleQueue[Any]) -> Any:
        """The next future that waits no longer; raises Missing ND1305 where there has been no worker for a while."""
        for _ in range(_PATIENCE):
            while True:
                try:
                    return done.get(timeout=_LOOK_S)
                except Empty:
                    if not self.client.nthreads():
                        break
        was, todo = f"the cluster at {self.address!r} has lost all its workers", "start workers again"
        raise Missing(Fault("ND1305", _WHERE, was, "at least one worker", todo))


def _numbered(work: Callable[[Any], Any], number: int, task: Any) -> tuple[int, Any]:
    return number, work(task)


def _dying(was: str, why: object) -> Refusal:
    name = why if isinstance(why, str) else type(why).__name__
    todo = "give them more memory, or fewer samples at a time (samples=...)"
    return Refusal(Fault("ND1305", _WHERE, f"{was} ({name})", "workers that stay alive", todo))


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
    except ImportError:
        raise missing_extra("joblib", "engines", _WHERE) from None
    if engine == "loky":
        yield Processes(joblib.cpu_count() if jobs is None else jobs)
        return
    with _client(str(address)) as client:
        yield Cluster(client, str(address))


@contextmanager
def _client(address: str) -> Iterator[Any]:
    try:
        import distributed
    except ImportError:
        raise missing_extra("dask[distributed]", "engines", _WHERE) from None
    try:
        _knock(address)
        client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError) as error:
        was, todo = f"nobody answers at {address!r} ({error})", "start dask scheduler, or correct the address"
        raise Missing(Fault("ND1305", _WHERE, was, "a Dask scheduler that can be reached", todo)) from error
    except (ValueError, TypeError) as error:
        must = 'an address such as "tcp://10.0.0.7:8786"'
        raise Refusal(Fault("ND1305", _WHERE, f"the address {address!r} ({error})", must)) from error
    with client:
        _refuse_workers(client, address)
        yield client


def _knock(address: str) -> None:
    """Raise what is wrong with an address before a client is made, which would go on trying behind our back."""
    from distributed.comm.addressing import parse_address, parse_host_port
    from distributed.comm.registry import get_backend

    scheme, place = parse_address(address)
    get_backend(scheme)
    if scheme in _OVER_TCP:
        socket.create_connection(parse_host_port(place), _CONNECT_S).close()


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
