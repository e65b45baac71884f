"""What comes in where events drive the chip: single events, one after the other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Group

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Stimulus:
    """Events in the order in which a sample meets them.

    steps, batch : number of time steps and of samples
    step, sample, neuron : (event,) time step, sample, and index inside the input group
    group : (event,) index of the input group among those of the network; None means the first
    t_us : (event,) time of each event in microseconds; carried along, never read by the simulator
    Events of a sample keep their order; a later event is never of an earlier step.
    Raises Refusal ND1301 with all faults.
    """

    steps: int
    batch: int
    step: Ints
    sample: Ints
    neuron: Ints
    group: Ints | None = None
    t_us: Ints | None = None

    def __post_init__(self) -> None:
        raise_if(list(self._faults()))

    def _faults(self) -> Iterator[Fault]:
        columns: dict[str, object] = {"step": self.step, "sample": self.sample, "neuron": self.neuron}
        columns |= {n: v for n, v in (("group", self.group), ("t_us", self.t_us)) if v is not None}
        sound = True
        for name, values in columns.items():
            dtype, shape = getattr(values, "dtype", type(values).__name__), getattr(values, "shape", None)
            if dtype != np.int64 or shape != np.shape(self.step) or len(np.shape(self.step)) != 1:
                sound = False
                was = f"{name} of type {dtype} and shape {shape}"
                yield Fault("ND1301", "stimulus", was, "(event,) int64, equally many in every column")
        if not sound:
            return
        for name, values, end in (("step", self.step, self.steps), ("sample", self.sample, self.batch)):
            if values.size and (values.min() < 0 or values.max() >= end):
                yield Fault("ND1301", "stimulus", f"{name} from {values.min()} to {values.max()}", f"0..{end - 1}")
        order = np.argsort(self.sample, kind="stable")
        falls = (np.diff(self.step[order]) < 0) & (np.diff(self.sample[order]) == 0)
        if falls.any():
            at = int(order[int(np.argmax(falls)) + 1])
            was = f"event {at} of sample {self.sample[at]} goes back to step {self.step[at]}"
            yield Fault("ND1301", "stimulus", was, "events of a sample in order of time", "sort them by time first")

    def __len__(self) -> int:
        return len(self.step)

    @cached_property
    def ordered(self) -> tuple[Ints, Ints]:
        """Events by step, then sample, in their order; and where each step begins, with the end of the last."""
        order = np.lexsort((self.sample, self.step))
        return order, np.searchsorted(self.step[order], np.arange(self.steps + 1))

    def of_step(self, step: int) -> Ints:
        """Events of a step, sample by sample, each in its order."""
        order, begins = self.ordered
        return order[begins[step] : begins[step + 1]] if step < self.steps else order[:0]

    def between(self, start: int, stop: int) -> "Stimulus":
        """Events from step ``start`` on, before ``stop``, which is at most ``steps``; step 0 is then ``start``."""
        order, begins = self.ordered
        mine = order[begins[start] : begins[stop]]
        return self._chosen(mine, stop - start, self.batch, self.step[mine] - start, self.sample[mine])

    def part(self, samples: slice) -> "Stimulus":
        """Events of the samples start..stop - 1, in their order; sample 0 is then ``start``."""
        mine = np.flatnonzero((self.sample >= samples.start) & (self.sample < samples.stop))
        size = samples.stop - samples.start
        return self._chosen(mine, self.steps, size, self.step[mine], self.sample[mine] - samples.start)

    def _chosen(self, events: Ints, steps: int, batch: int, step: Ints, sample: Ints) -> "Stimulus":
        columns = (None if c is None else c[events] for c in (self.group, self.t_us))
        return Stimulus(steps, batch, step, sample, self.neuron[events], *columns)

    def check(self, groups: Sequence[Group]) -> None:
        """Refuse (ND1301) an event that meets no neuron of these groups."""
        faults = list[Fault]()
        if self.group is not None and len(self) and (self.group.min() < 0 or self.group.max() >= len(groups)):
            was = f"group from {self.group.min()} to {self.group.max()}"
            raise Refusal(Fault("ND1301", "stimulus", was, f"one of {len(groups)} input groups"))
        for g, mine in zip(groups, self._parts(groups), strict=True):
            neuron = self.neuron[mine]
            if neuron.size and (neuron.min() < 0 or neuron.max() >= g.size):
                was = f"neuron from {neuron.min()} to {neuron.max()}"
                faults.append(Fault("ND1301", f"stimulus of input {g.name!r}", was, f"0..{g.size - 1}"))
        raise_if(faults)

    def _parts(self, groups: Sequence[Group]) -> list[Any]:
        """Events of each group, to index with."""
        if self.group is None:
            return [slice(None), *(slice(0, 0) for _ in groups[1:])][: len(groups)]
        return [self.group == number for number in range(len(groups))]

    def counts(self, groups: Sequence[Group]) -> dict[str, Ints]:
        """Events of each input group by (time, batch, neuron).

        Raises Refusal ND1301 for an event that meets no neuron of these groups.
        """
        self.check(groups)
        result = {}
        for g, mine in zip(groups, self._parts(groups), strict=True):
            table = np.zeros((self.steps, self.batch, g.size), np.int64)
            at = (self.step[mine] * self.batch + self.sample[mine]) * g.size + self.neuron[mine]
            np.add.at(table.reshape(-1), at, 1)
            result[g.name] = table
        return result


def expand(counts: Mapping[str, npt.NDArray[np.integer]], groups: Sequence[Group]) -> Stimulus:
    """Counts as single events: by step and sample, then group in the order of the network, then ascending neuron.

    A count of n stands for n events of that neuron, one after the other.
    """
    parts = []
    steps, batch = next(iter(counts.values())).shape[:2]
    for number, g in enumerate(groups):
        step, sample, neuron = np.nonzero(counts[g.name])
        times = counts[g.name][step, sample, neuron].astype(np.int64)
        columns = (step, sample, np.full(len(step), number), neuron)
        parts.append(np.repeat(np.stack(columns).astype(np.int64), times, axis=1))
    table = np.concatenate(parts, axis=1)
    step, sample, group, neuron = table[:, np.lexsort((table[3], table[2], table[1], table[0]))]
    return Stimulus(steps, batch, step, sample, neuron, group)
