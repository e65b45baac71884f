"""Deliveries that change what their own sources emit: what cannot meet, together; the rest one after the other."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
import torch

from neurodeploy.chips import Chip, ConnectionKind
from neurodeploy.chips.compile import GIVEN_ARRIVING
from neurodeploy.simulator.machine import Ints, Lane, Row
from neurodeploy.simulator.tensors.arrivals import Arrivals, History
from neurodeploy.simulator.tensors.texts import Folded, Tensors, Watch, range_of, tensor
from neurodeploy.step.intervals import hull


def feeds_back(kind: ConnectionKind, lanes: Mapping[str, Lane]) -> bool:
    """Whether a delivery may change what a later source of it emits."""
    return not kind.registers and kind.target in kind.sources and lanes[kind.target].kind.emits in kind.on_input.writes


def waves_of(rows: Sequence[Row], target: str) -> Iterator[tuple[tuple[Row, ...], ...]]:
    """Rows that are read together, each in passes that run one after the other; no neuron stands twice in a pass.

    A source is read after all that reached it; the rows of one source are read before the first of them.
    """
    wave, reached = list[Row](), set[int]()
    for _, group in groupby(rows, lambda row: (row.source_kind, row.source)):
        mine = tuple(group)
        places = [int(t) for row in mine for t in row.targets]
        touched = mine[0].source_kind == target and mine[0].source in reached
        alone = len(set(places)) < len(places)
        if wave and (touched or alone or reached & set(places)):
            yield (tuple(wave),)
            wave, reached = [], set()
        if alone:
            yield tuple((row,) for row in mine)
            continue
        wave += mine
        reached |= set(places)
    if wave:
        yield (tuple(wave),)


class Relay:
    """A wave of rows."""

    def __init__(
        self,
        chip: Chip,
        kind: ConnectionKind,
        lanes: Mapping[str, Lane],
        passes: Sequence[Sequence[Row]],
        registers: Mapping[str, int],
        watch: Watch,
    ) -> None:
        self.kind, lane, device = kind, lanes[kind.target], watch.device
        rows = [row for one in passes for row in one]
        self.arrivals = Arrivals(chip, kind, lanes, rows, device)
        names = list(rows[0].fields)
        ranges = {n: hull(*(range_of(r.fields[n]) for r in rows)) for n in names}
        ranges |= {GIVEN_ARRIVING: self.arrivals.counts}
        self.folded = Folded(kind.on_input, lane, lane.kind.states, ranges, registers, watch)
        self.passes, first = [], 0
        for one in passes:
            numbers = np.repeat(np.arange(first, first + len(one)), [len(r.targets) for r in one])
            first += len(one)
            targets = np.concatenate([r.targets for r in one])
            fields = {n: self._values(np.concatenate([r.fields[n] for r in one]), device) for n in names}
            place = [tensor(v, torch.int64, device) for v in (numbers, targets)]
            self.passes.append((place[0], place[1], fields))

    def _values(self, values: Ints, device: torch.device) -> torch.Tensor:
        return tensor(values, self.folded.dtype, device)

    def deliver(self, states: Mapping[str, Tensors], history: History) -> None:
        """Deliver to the states of the target kind, in place."""
        arriving = self.arrivals.read(states, history).to(self.folded.dtype, copy=True)
        target, folded = states[self.kind.target], self.folded
        for numbers, targets, fields in self.passes:
            events = arriving.index_select(1, numbers)
            environment = fields | {n: v[targets] for n, v in folded.parameters.items()}
            environment |= {n: target[n].index_select(1, targets).to(folded.dtype) for n in folded.read}
            environment[GIVEN_ARRIVING] = events
            for name, value in folded.compute(environment, events == 0).items():
                target[name][:, targets] = value
