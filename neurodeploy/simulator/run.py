"""The result of a simulation."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Network
from neurodeploy.notebook import show
from neurodeploy.simulator.stimulus import Stimulus

Ints = npt.NDArray[np.int64]
T = TypeVar("T")


class OnDemand(Mapping[str, T]):
    """A mapping whose values are made when they are first asked for, and kept."""

    def __init__(self, makers: Mapping[str, Callable[[], T]]) -> None:
        self._makers, self._made = makers, dict[str, T]()

    def __getitem__(self, name: str) -> T:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __reduce__(self) -> tuple[type[dict[str, T]], tuple[dict[str, T]]]:
        """Travel as what it stands for."""
        return dict, (dict(self),)


@dataclass(frozen=True)
class Snapshot:
    """Everything that a network remembers between steps; pass it to ``simulate`` to go on.

    states : neuron kind -> state -> (batch, neuron)
    history : neuron kind -> emitted values of the last steps, the newest first, each (batch, neuron)
    step : number of steps taken since the reset
    """

    states: Mapping[str, Mapping[str, Ints]]
    history: Mapping[str, tuple[Ints, ...]]
    step: int

    def check(self, given: "Snapshot", where: str) -> None:
        """Refuse (ND1301) to go on with what another network or batch remembers."""
        faults, todo = list[Fault](), "go on with the state of the same network and batch"
        for name in sorted({*self.states, *given.states}):
            mine, other = self.layout(name), given.layout(name)
            if mine != other:
                was = f"found {other or 'nothing'}"
                faults.append(Fault("ND1301", f"{where}, state of {name!r}", was, f"{mine or 'nothing'}", todo))
        raise_if(faults)

    def copied(self) -> dict[str, dict[str, Ints]]:
        """The states, copied."""
        return {n: {s: v.copy() for s, v in many.items()} for n, many in self.states.items()}

    def layout(self, kind: str) -> str:
        """What is remembered of a neuron kind, in words; empty if nothing is."""
        states = [f"{s} {v.dtype}{list(v.shape)}" for s, v in sorted(self.states.get(kind, {}).items())]
        return f"{', '.join(states)}, {len(self.history.get(kind, ()))} past steps" if states else ""


@dataclass(frozen=True)
class Trace:
    """What somebody observed of a network, step by step: a simulation, a vendor's simulator, a recording.

    made_by : program and version, or the device
    counts : group -> (time, batch, neuron) emitted events
    states : group -> state -> (time, batch, neuron) after the step
    grade : how much the observation is worth, as in chip files
    seconds : what its simulation took, without building the network and reading the observations out; None unknown
    """

    made_by: str
    counts: Mapping[str, Ints]
    states: Mapping[str, Mapping[str, Ints]]
    grade: str = "inferred"
    seconds: float | None = None


@dataclass(frozen=True)
class Product:
    """A sum of arriving events that was computed as a floating-point matrix product, and why that is exact.

    connection : connection kind and its source, in words
    dtype : "float32" or "float64"
    bound : no partial sum, in any order, is further from 0
    limit : whole numbers up to this one are exact in that type
    """

    connection: str
    dtype: str
    bound: int
    limit: int

    def __str__(self) -> str:
        return f"{self.connection}: {self.dtype}, no partial sum beyond {self.bound:,}, exact up to {self.limit:,}"


@dataclass(frozen=True)
class How:
    """How a run was computed; no number of the result depends on it.

    why : why this executor
    device : where
    products : sums that were floating-point matrix products; everything else was computed in integers
    chunks : pieces in which the samples were computed one after the other
    ordered : sums of one neuron of one sample that were made event by event, because their order could matter
    """

    why: str = "given"
    device: str = "cpu"
    products: tuple[Product, ...] = ()
    chunks: int = 1
    ordered: int = 0


@dataclass(frozen=True)
class Run:
    """What came out of a simulation.

    counts : group -> (time, batch, neuron) emitted events of each step, of the groups that were to be kept
    states : group -> state -> (time, batch, neuron), those that were asked for
    final : state after the last step
    latency : steps that the answer lags behind the input
    executor : name of the executor
    unchecked : the input was not checked (``raw``)
    input : input group -> (time, batch, channel) external counts, without the silent steps that were appended
    initial : where the run went on from, None for a reset
    events : where events drive the chip, group -> (event,) with the fields cause (number of the input event that
        started it, -1 for a tick), step, sample and neuron, sample by sample in the order in which they were made
    stimulus : the single events of the input
    order : order of the queue
    scans : connection kind -> scan order; several where they stand side by side
    meetings, lost : (batch,) synaptic operations, and events that found the queue full
    how : why that executor, and what it did
    """

    network: Network
    counts: Mapping[str, Ints]
    states: Mapping[str, Mapping[str, Ints]]
    final: Snapshot
    latency: int
    executor: str
    unchecked: bool = False
    input: Mapping[str, Ints] = field(default_factory=dict)
    initial: Snapshot | None = None
    events: Mapping[str, npt.NDArray[np.void]] = field(default_factory=dict)
    stimulus: Stimulus | None = None
    order: str = ""
    scans: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    meetings: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    lost: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    how: How = field(default_factory=How)

    def _repr_html_(self) -> str:
        rows = [(n, v.shape[0], v.shape[1], v.shape[2], int(v.sum())) for n, v in self.counts.items()]
        title = f"{self.network.chip.name}: simulated by {self.executor}{', unchecked' if self.unchecked else ''}"
        return show(title, ("group", "steps", "samples", "neurons", "events"), rows)

    def trace(self) -> Trace:
        """The observations alone."""
        return Trace(f"neurodeploy {version('neurodeploy')} ({self.executor})", self.counts, self.states)

    @property
    def output(self) -> Ints:
        """(time, batch, neuron) counts of the output group; of several, side by side in the order of the network.

        Raises Refusal ND1303 if no group of the network is an output, or if one was not kept.
        """
        names = [g.name for g in self.network.outputs()]
        where = f"{self.network.chip.name}, output"
        if not names:
            must = "a group whose neuron kind is an output and that feeds no other"
            raise Refusal(Fault("ND1303", where, "no group leaves the chip", must, "read counts"))
        missing = [n for n in names if n not in self.counts]
        if missing:
            was = f"the counts of {', '.join(missing)} were not kept"
            raise Refusal(Fault("ND1303", where, was, "all groups whose events leave the chip", 'keep="outputs"'))
        return np.concatenate([self.counts[n] for n in names], axis=2)
