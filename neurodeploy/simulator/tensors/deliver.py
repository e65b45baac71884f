"""Delivery of rows: one sum where no order can matter, event by event in order where one can."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from neurodeploy.chips import ConnectionKind
from neurodeploy.chips.compile import GIVEN_ARRIVING
from neurodeploy.simulator.executors import Widths
from neurodeploy.simulator.machine import Ints, Lane
from neurodeploy.simulator.run import Product
from neurodeploy.simulator.tensors.arrivals import Arrivals, History
from neurodeploy.simulator.tensors.crossings import Crossings, order_of
from neurodeploy.simulator.tensors.rows import Table
from neurodeploy.simulator.tensors.sums import TOTAL, Addition, additions
from neurodeploy.simulator.tensors.table import held_type, integer_table
from neurodeploy.simulator.tensors.texts import Folded, Tensors, Watch, range_of, tensor
from neurodeploy.step import Interval, run

#: type of a matrix product, and the whole numbers that it holds exactly
EXACT = ((torch.float32, 1 << 24), (torch.float64, 1 << 53))
#: a matrix of more numbers than this is not made; its events are added one by one
LARGEST_MATRIX = 1 << 24
#: adding one event at one synapse costs about as much as so many terms of a product
EVENT_COST = 64
#: a neuron reached by an event on its own costs less, by this factor, than a synapse of a whole row
CROSSING_COST = 2
#: synapses that are added at once
AT_ONCE = 1 << 22


@dataclass
class Notes:
    """What deliveries did. ordered : sums of one neuron of one sample that were made event by event."""

    products: dict[str, Product]
    ordered: int = 0


class Ordered:
    """Every sample meets its own events in their order; the first of all samples together, then the second, ..."""

    def __init__(self, folded: Folded, lane: Lane, table: Table, watch: Watch) -> None:
        self.folded, device = folded, watch.device
        self.size = len(table.columns)
        # one more row without synapses, and one more neuron that they all meet
        spare = np.full((1, table.most), self.size)
        self.places = tensor(np.concatenate([table.places, spare]), torch.int64, device)
        needed = folded.handler.reads | folded.handler.writes
        self.fields = {
            n: tensor(np.concatenate([v, v[:1]]), folded.dtype, device) for n, v in table.fields.items() if n in needed
        }
        columns = np.append(table.columns, table.columns[:1])
        self.parameters = {
            n: tensor(v[columns], folded.dtype, device) for n, v in lane.parameters.items() if n in needed
        }

    def deliver(self, states: Tensors, arriving: torch.Tensor) -> None:
        """Deliver in place.

        states : name -> (sample, column) of the targets
        arriving : (sample, row)
        """
        folded = self.folded
        padded = {n: torch.cat([v, v[:, :1]], 1) for n, v in states.items() if n in folded.read}
        for row, events in order_of(arriving):
            at = self.places[row]
            environment = {n: v[row] for n, v in self.fields.items()} | {n: v[at] for n, v in self.parameters.items()}
            environment |= {n: v.gather(1, at).to(folded.dtype) for n, v in padded.items()}
            environment[GIVEN_ARRIVING] = events.to(folded.dtype)[:, None]
            for name, value in folded.compute(environment, at == self.size).items():
                padded[name].scatter_(1, at, value.expand(at.shape))
        for name in folded.handler.writes:
            states[name].copy_(padded[name][:, :-1])


class Sum:
    """Lines that only add, as one sum over all rows.

    free : the order never matters, whatever arrives
    """

    def __init__(
        self,
        where: str,
        kind: ConnectionKind,
        lane: Lane,
        table: Table,
        lines: tuple[Addition, ...],
        registers: Mapping[str, int],
        counts: Interval,
        watch: Watch,
        notes: Notes,
    ) -> None:
        device, widths = watch.device, _widths(kind, lane)
        self.device, self.notes, self.table, self.where = device, notes, table, where
        most = max(abs(counts.low), abs(counts.high))
        weights = [table.weights(line, lane.parameters, registers) for line in lines]
        bounds = [table.sums(np.abs(w)) * most for w in weights]
        # a line that adds nothing changes nothing: its register lies inside its rails
        self.kept = [
            i
            for i, line in enumerate(lines)
            if weights[i].any() or (line.rails and not widths[line.name].interval.within(line.rails))
        ]
        self.lines = [lines[i] for i in self.kept]
        weights, self.bounds = [weights[i] for i in self.kept], [bounds[i] for i in self.kept]
        self.bound = max((int(b.max()) for b in self.bounds), default=0)
        start = {n: Interval(0, 0) if kind.registers else w.interval for n, w in widths.items()}
        ends = [
            Interval(start[line.name].low - int(b.max()), start[line.name].high + int(b.max()))
            for line, b in zip(self.lines, self.bounds, strict=True)
        ]
        self.fits = self.bound < EXACT[-1][1]
        self.free = [line.rails is None or end.within(line.rails) for line, end in zip(self.lines, ends, strict=True)]
        wide = [held_type(Interval(min(e.low, -self.bound), max(e.high, self.bound))) for e in ends]
        self.dtype = torch.int64 if torch.int64 in wide else torch.int32
        sides = [(np.abs(w),) * 2 if counts.low < 0 else (w, -w) for w in weights]
        self.steps = [
            (line, [tensor(np.maximum(w, 0).max(1, initial=0), torch.int64, device) for w in both])
            for line, both in zip(self.lines, sides, strict=True)
        ]
        self.ops = integer_table(self.dtype, device)
        self.places = tensor(table.places, torch.int64, device)
        self.weights = [tensor(w, self.dtype, device) for w in weights]
        self.size, self.matrix, self.dense = len(table.columns), None, list[Ints]()
        self._crossings: Crossings | None = None
        numbers = len(table.rows) * self.size * len(self.lines)
        if self.lines and self.fits and numbers <= LARGEST_MATRIX:
            self.real, limit = next((t, most) for t, most in EXACT if self.bound < most)
            joined = np.concatenate([table.dense(w) for w in weights], axis=1)
            self.matrix = tensor(joined, torch.int64, device).to(self.real)
            inside = (widths[line.name].interval.within(line.rails) for line in self.lines if line.rails)
            if counts.low >= 0 and all(inside) and not kind.on_input.unproved:
                self.dense = [table.dense(w) for w in weights]
            self.product = Product(where, str(self.real).removeprefix("torch."), self.bound, limit)

    def safe(self, states: Tensors, arriving: torch.Tensor) -> torch.Tensor | None:
        """(sample,) where no order can matter; None means everywhere."""
        result = None
        for (line, (up, down)), free in zip(self.steps, self.free, strict=True):
            if free or line.rails is None:
                continue
            events = arriving.abs().to(torch.int64)
            low, high = torch.aminmax(states[line.name], dim=1)
            most, least = high + (events * up).sum(1), low - (events * down).sum(1)
            here = (most <= line.rails.high) & (least >= line.rails.low)
            result = here if result is None else result & here
        return result

    def crossings(self) -> Crossings | None:
        """What makes single sums event by event; None where only whole samples can be."""
        if self._crossings is None and self.dense:
            self._crossings = Crossings(self.lines, self.dense, self.real, self.ops, self.device)
            self.dense = []
        return self._crossings

    def totals(self, arriving: torch.Tensor) -> list[torch.Tensor]:
        """(sample, column) sum of what arrives, for each line."""
        samples, rows = arriving.shape
        if self.matrix is not None:
            if self.device.type != "cpu":
                return self._multiplied(arriving)
            events = int(torch.count_nonzero(arriving))
            if events * self.table.most * EVENT_COST >= samples * rows * self.size:
                return self._multiplied(arriving)
        return self._added(arriving)

    def _multiplied(self, arriving: torch.Tensor) -> list[torch.Tensor]:
        assert self.matrix is not None  # noqa: S101 - asked by who calls
        self.notes.products[self.where] = self.product
        found = (arriving.to(self.real) @ self.matrix).to(self.dtype)
        return list(torch.split(found, self.size, dim=1))

    def _added(self, arriving: torch.Tensor) -> list[torch.Tensor]:
        samples = len(arriving)
        found = [arriving.new_zeros(samples * (self.size + 1), dtype=self.dtype) for _ in self.lines]
        at = arriving.nonzero()
        for piece in torch.split(at, max(1, AT_ONCE // self.table.most)):
            sample, row = piece[:, 0], piece[:, 1]
            slots = (sample[:, None] * (self.size + 1) + self.places[row]).view(-1)
            events = arriving[sample, row].to(self.dtype)[:, None]
            for total, weights in zip(found, self.weights, strict=True):
                total.index_add_(0, slots, (events * weights[row]).view(-1))
        return [total.view(samples, self.size + 1)[:, :-1] for total in found]

    def add(self, states: Tensors, totals: list[torch.Tensor]) -> Tensors:
        """New values of the registers."""
        result = {}
        for line, total in zip(self.lines, totals, strict=True):
            environment = {line.name: states[line.name].to(self.dtype), TOTAL: total}
            run(line.after.statements, environment, self.ops)
            result[line.name] = environment[line.name].to(states[line.name].dtype)
        return result


def _widths(kind: ConnectionKind, lane: Lane) -> Widths:
    return kind.registers or lane.kind.states


class Plan:
    """A delivery on tensors."""

    def __init__(
        self,
        kind: ConnectionKind,
        lanes: Mapping[str, Lane],
        table: Table,
        arrivals: Arrivals,
        registers: Mapping[str, int],
        part: slice | Ints,
        where: str,
        watch: Watch,
        notes: Notes,
    ) -> None:
        self.kind, self.lane, self.arrivals, self.notes = kind, lanes[kind.target], arrivals, notes
        self.watch, widths = watch, _widths(kind, self.lane)
        device = watch.device
        given = {n: range_of(v) for n, v in table.fields.items()} | {GIVEN_ARRIVING: arrivals.counts}
        folded = Folded(kind.on_input, self.lane, widths, given, registers, watch)
        self.ordered = Ordered(folded, self.lane, table, watch)
        lines = additions(kind.on_input, widths, self.lane.kind.states, arrivals.counts)
        self.sum = None
        if lines is not None:
            self.sum = Sum(where, kind, self.lane, table, lines, registers, arrivals.counts, watch, notes)
        self.columns = part_of(table.columns, self.lane.size, device)
        self.on_sum = None
        if kind.on_sum is not None:
            ranges = {n: w.interval for n, w in kind.registers.items()}
            self.on_sum = Folded(kind.on_sum, self.lane, self.lane.kind.states, ranges, registers, watch)
            everywhere = part.indices(self.lane.size)[:2] == (0, self.lane.size) if isinstance(part, slice) else False
            self.part = None if everywhere else part if isinstance(part, slice) else tensor(part, torch.int64, device)

    def deliver(self, states: Mapping[str, Tensors], history: History) -> None:
        """Deliver to the states of the target kind."""
        arriving = self.arrivals.read(states, history)
        target = states[self.kind.target]
        if self.watch.device.type != "cpu" or arriving.any():
            if self.kind.registers:
                sums = self._accumulators(len(arriving), self.ordered.size)
                self._into(sums, arriving)
                if self.on_sum is not None:
                    self._end(target, self._spread(sums))
                return
            self._met(target, arriving)
        if self.on_sum is not None:
            self._end(target, self._accumulators(len(arriving), self.lane.size))

    def _accumulators(self, samples: int, size: int) -> Tensors:
        device = self.watch.device
        return {
            n: torch.zeros(samples, size, dtype=held_type(w.interval), device=device)
            for n, w in self.kind.registers.items()
        }

    def _spread(self, sums: Tensors) -> Tensors:
        """Accumulators of all neurons of the kind."""
        if self.columns is None:
            return sums
        wide = self._accumulators(len(next(iter(sums.values()))), self.lane.size)
        for name, value in sums.items():
            wide[name][:, self.columns] = value
        return wide

    def _end(self, target: Tensors, sums: Tensors) -> None:
        assert self.on_sum is not None  # noqa: S101 - asked by who calls
        if self.part is None:
            self.on_sum.whole(target, sums)
        else:
            self.on_sum.part(target, self.part, sums)

    def _met(self, target: Tensors, arriving: torch.Tensor) -> None:
        """Deliver into states."""
        written = self.kind.on_input.writes
        names = {*written, *(n for n in self.ordered.folded.read if n in target)}
        if self.columns is None:
            here = {n: target[n] for n in names}
            self._into(here, arriving)
            target.update({n: here[n] for n in written})
            return
        here = {n: target[n][:, self.columns] for n in names}
        here = {n: v.clone() if isinstance(self.columns, slice) else v for n, v in here.items()}
        self._into(here, arriving)
        for name in written:
            target[name][:, self.columns] = here[name]

    def _into(self, here: Tensors, arriving: torch.Tensor) -> None:
        """Deliver into registers of the columns; they are replaced."""
        if self.sum is None:
            self._in_order(here, arriving, None)
            return
        safe = self.sum.safe(here, arriving)
        rest = None if safe is None or bool(safe.all()) else torch.nonzero(~safe)[:, 0]
        before, crossings = dict(here), None if rest is None else self.sum.crossings()
        if rest is None or crossings is not None or len(rest) < len(arriving):
            here.update(self.sum.add(here, self.sum.totals(arriving)))
        if rest is not None and crossings is not None:
            most = CROSSING_COST * len(rest) * self.sum.table.most
            settled = crossings.settle(here, before, arriving[rest], rest, most)
            self.notes.ordered += settled or 0
            rest = None if settled is not None else rest
        if rest is not None:
            for name in self.kind.on_input.writes:
                if here[name] is before[name]:
                    here[name] = here[name].clone()
                here[name][rest] = before[name][rest]
            self._in_order(here, arriving, rest)

    def _in_order(self, here: Tensors, arriving: torch.Tensor, rest: torch.Tensor | None) -> None:
        some = slice(None) if rest is None else rest
        mine = {n: v[some].clone() for n, v in here.items()}
        self.ordered.deliver(mine, arriving[some])
        self.notes.ordered += len(arriving[some]) * self.ordered.size
        for name in self.kind.on_input.writes:
            if rest is None:
                here[name] = mine[name]
            else:
                here[name][rest] = mine[name]


def part_of(positions: Ints, size: int, device: torch.device) -> slice | torch.Tensor | None:
    """Ascending positions as a slice where they are neighbours; None for all neurons."""
    if len(positions) == size:
        return None
    if positions[-1] - positions[0] + 1 == len(positions):
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return tensor(positions, torch.int64, device)
