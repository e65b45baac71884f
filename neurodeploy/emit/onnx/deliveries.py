"""What arrives at a kind of neurons: one matrix product where the order cannot matter, else a Scan over the sources."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from neurodeploy.chips import Chip, ConnectionKind
from neurodeploy.chips.compile import GIVEN_ARRIVING
from neurodeploy.chips.schema import StateEntry
from neurodeploy.emit.onnx.graph import Array, Graph, Root, Value, integers, known
from neurodeploy.emit.onnx.sums import CLIPS, TOTAL, Line, keeps_all, lines_of, total_of
from neurodeploy.emit.onnx.table import onnx_table, run_text
from neurodeploy.simulator.machine import Delivery, Ints, Lane, Row
from neurodeploy.step import Interval

#: A product whose targets have at most one in so many of the sources is a sum of gathered weights.
SPARSE = 4
#: Sums up to this are exact also where a runtime computes ReduceSum in float64.
EXACT = 2**53


#: Whether a state of a neuron kind is proved to stay inside an interval, its ends not reached.
Stays = Callable[[str, str, Interval], bool]


@dataclass(frozen=True)
class Rows:
    """Rows of one connection kind; a place of None is a row without synapses."""

    kind: ConnectionKind
    lane: Lane
    rows: tuple[Row | None, ...]
    given: Mapping[str, int]
    lines: tuple[Line, ...]
    root: Root

    @property
    def widths(self) -> Mapping[str, StateEntry]:
        """Registers that the text may write."""
        return self.kind.registers or self.lane.kind.states

    @cached_property
    def ends(self) -> tuple[Ints, Ints]:
        """(synapse,) row and target."""
        sizes = [0 if row is None else row.targets.size for row in self.rows]
        targets = [row.targets for _, row in self.real]
        return np.repeat(np.arange(len(self.rows)), sizes), np.concatenate(targets or [np.zeros(0, np.int64)])

    @cached_property
    def weights(self) -> dict[str, Ints]:
        """Where the text adds: register -> (synapse,) what a single event adds."""
        return {
            line.name: np.concatenate([line.weights(self.lane, row, self.given) for _, row in self.real])
            for line in self.lines
        }

    @property
    def real(self) -> list[tuple[int, Row]]:
        """The rows that are there, and their numbers."""
        return [(i, row) for i, row in enumerate(self.rows) if row is not None]

    @property
    def scanned_names(self) -> list[str]:
        """Names of what ``scanned`` gives."""
        return [f"{line.name} weights" for line in self.lines] or ["present", *self._fields]

    def scanned(self) -> dict[str, Value]:
        """(row, target) tensors that a step of a Scan needs of its row."""
        if self.lines:
            return {f"{n} weights": self._rectangle(f"{n} weights", v) for n, v in self.weights.items()}
        present = self._rectangle("present", np.ones(len(self.ends[0]), np.bool_))
        columns = {n: np.concatenate([row.fields[n] for _, row in self.real]) for n in self._fields}
        # what fills the gaps is never used, and like any field of a real synapse it is no divisor of 0
        return {"present": present} | {n: self._rectangle(n, v, fill=int(v[0])) for n, v in columns.items()}

    def apply(
        self, graph: Graph, label: str, met: Mapping[str, Value], arriving: Value, states: Mapping[str, Value]
    ) -> dict[str, Value]:
        """What one row makes of the states. arriving : (batch, 1)."""
        if self.lines:
            changed = {}
            for line in self.lines:
                total = graph.node("Mul", arriving, met[f"{line.name} weights"], axes=2)
                environment = {line.name: states[line.name], TOTAL: total}
                run_text(graph, line.text, environment, label)
                changed[line.name] = environment[line.name]
            return changed
        environment = {n: known(v, f"{self.lane.kind.name}.{n}") for n, v in self.lane.parameters.items()}
        environment |= {n: known(v) for n, v in self.given.items()} | {n: met[n] for n in self._fields}
        environment |= dict(states) | {GIVEN_ARRIVING: arriving}
        run_text(graph, self.kind.on_input.text, environment, label)
        table = onnx_table(graph)
        meets = table["and"](met["present"], table["ne"](arriving, known(0)))
        return {n: table["select"](meets, environment[n], states[n]) for n in sorted(self.kind.on_input.writes)}

    @property
    def _fields(self) -> list[str]:
        first = next((row for row in self.rows if row is not None), None)
        return [] if first is None else [n for n in first.fields if n in self.kind.on_input.reads]

    def _rectangle(self, name: str, values: Array, fill: int = 0) -> Value:
        """(row, target) tensor of what synapses have."""
        self.root.reserve(len(self.rows) * self.lane.size * values.itemsize)
        whole = np.full((len(self.rows), self.lane.size), fill, values.dtype)
        whole[self.ends] = values
        return known(whole, f"{self.kind.name}/{name}")


@dataclass(frozen=True)
class Sources:
    """What the sources of a chip last emitted, in the graph of a step.

    states : neuron kind -> state -> (batch, neuron)
    past : neuron kind -> (steps, batch, neuron) what it emitted, the newest first
    stays : neuron kind, state, interval -> whether it is proved that the state never comes to an end of the interval
    """

    chip: Chip
    lanes: Mapping[str, Lane]
    states: Mapping[str, Mapping[str, Value]]
    past: Mapping[str, Value]
    stays: Stays

    def arriving(self, graph: Graph, kind: ConnectionKind, rows: Sequence[Row], label: str) -> Value:
        """(batch, row) with what each row arrives."""
        blocks, starts, width = list[Value](), dict[tuple[str, int | None], int](), 0
        index = []
        for row in rows:
            key = (row.source_kind, back_of(self.chip, kind, row))
            if key not in starts:
                starts[key] = width
                width += self.lanes[row.source_kind].size
                blocks.append(self.block(graph, *key))
            index.append(starts[key] + row.source)
        graph.root.label = f"{label}/arriving"
        whole = blocks[0] if len(blocks) == 1 else graph.node("Concat", *blocks, axis=1)
        if index == list(range(width)):
            return whole
        return graph.node("Gather", whole, known(np.array(index), f"{label}/sources"), axes=2, axis=1)

    def block(self, graph: Graph, kind: str, back: int | None) -> Value:
        """(batch, neuron) what a kind emitted; ``back`` steps before the last that is past."""
        if back is None:
            return self.states[kind][self.lanes[kind].kind.emits]
        graph.root.label = f"{kind}/{back + 1} steps ago"
        return graph.node("Gather", self.past[kind], integers(back), axes=2, axis=0)

    def counts(self, kind: ConnectionKind) -> Interval:
        """With how many events a source can arrive."""
        found = [self.lanes[s].kind for s in kind.sources]
        ends = [k.states[k.emits].interval for k in found]
        return Interval(min(e.low for e in ends), max(e.high for e in ends))


def back_of(chip: Chip, kind: ConnectionKind, row: Row) -> int | None:
    """Place in the past that a row reads; None is what its source shows now."""
    return None if row.delay == 0 else row.delay - 1 + chip.lag(kind.name, row.source_kind)


def deliver(
    graph: Graph, sources: Sources, kind: ConnectionKind, delivery: Delivery, states: Mapping[str, Value], label: str
) -> dict[str, Value]:
    """Registers after all rows of a delivery.

    states : (batch, neuron) states of the target kind, and its accumulators, which are 0 before
    """
    lane = sources.lanes[kind.target]
    if not kind.on_input.writes:
        return {}
    writes_source = any(
        row.source_kind == kind.target and lane.kind.emits in kind.on_input.writes for row in delivery.rows
    )
    lines = () if writes_source else lines_of(kind, lane, delivery) or ()
    widths = kind.registers or lane.kind.states
    lines = lines if lines and keeps_all(lines, widths) else ()
    rows = Rows(kind, lane, delivery.rows, delivery.registers, lines, graph.root)
    if lines and _order_free(rows, sources):
        return _product(graph, sources, rows, states, label)
    if writes_source:
        return _scan_of_itself(graph, sources, rows, states, label)
    return _scan(graph, sources, rows, states, label)


def _order_free(rows: Rows, sources: Sources) -> bool:
    counts = sources.counts(rows.kind)
    for line in rows.lines:
        sums = total_of(rows.ends[1], rows.weights[line.name], rows.lane.size, counts)
        if sums is None:
            return False
        if line.any_order(*sums, from_zero=bool(rows.kind.registers)):
            continue
        # a proof adds up all that can arrive: what never comes to an end of a clip is never clipped, in any order
        clipped = not rows.kind.registers and all(call.op in CLIPS for call in line.around)
        if not clipped or not all(sources.stays(rows.kind.target, line.name, limit) for limit in line.limits()):
            return False
    return True


def _product(graph: Graph, sources: Sources, rows: Rows, states: Mapping[str, Value], label: str) -> dict[str, Value]:
    """All rows at once; rows of one source at one delay are one."""
    real = [row for _, row in rows.real]
    keys = [(row.source_kind, back_of(sources.chip, rows.kind, row), row.source) for row in real]
    first = dict(zip(keys, real, strict=True))  # any row of a key arrives like the others
    places = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    arriving = sources.arriving(graph, rows.kind, [first[key] for key in places], label)
    of_rows, targets = np.array([places[key] for key in keys])[rows.ends[0]], rows.ends[1]
    pairs, which = np.unique(of_rows * rows.lane.size + targets, return_inverse=True)
    at, counts, changed = divmod(pairs, rows.lane.size), sources.counts(rows.kind), {}
    for line in rows.lines:
        weights = np.zeros(len(pairs), np.int64)
        np.add.at(weights, which, rows.weights[line.name])
        graph.root.label, graph.root.note = f"{label}/{line.name} arriving", rows.kind.on_input.text.line(1)
        sums = total_of(at[1], weights, rows.lane.size, counts)
        beyond = EXACT + 1 if sums is None else max(-int(sums[0].min(initial=0)), int(sums[1].max(initial=0)))
        product = _Product(*at, weights, len(places), rows.lane.size, f"{label}/{line.name} weights", beyond <= EXACT)
        total = _sum(graph, arriving, product)
        environment = {line.name: states[line.name], TOTAL: total}
        run_text(graph, line.text, environment, label)
        changed[line.name] = environment[line.name]
    return changed


@dataclass(frozen=True)
class _Product:
    """Weights of (batch, source) values toward (batch, target) sums.

    rows, targets, weights : of each pair
    depth, size : number of sources and of targets
    exact : partial sums are whole numbers of float64, too
    """

    rows: Ints
    targets: Ints
    weights: Ints
    depth: int
    size: int
    name: str
    exact: bool


def _sum(graph: Graph, arriving: Value, product: _Product) -> Value:
    """(batch, target) product; what is gathered where targets have few sources."""
    used, lane = product.weights != 0, product.size
    rows, targets, weights = product.rows[used], product.targets[used], product.weights[used]
    reached, targets = np.unique(targets, return_inverse=True)
    size = len(reached) + 1  # and one that nothing reaches, for the others of the lane
    if 2 * size > lane:
        reached, targets, size = np.arange(lane), reached[targets], lane
    dense = replace(product, rows=rows, targets=targets, weights=weights, size=size)
    total = _matrix(graph, arriving, dense)
    if size == lane:
        return total
    index = np.full(lane, size - 1)
    index[reached] = np.arange(size - 1)
    return graph.node("Gather", total, known(index, f"{product.name}, targets"), axes=2, axis=1)


def _matrix(graph: Graph, arriving: Value, product: _Product) -> Value:
    """(batch, target) product; none of the weights is 0."""
    rows, targets, weights = product.rows, product.targets, product.weights
    size, name = product.size, product.name
    many = np.bincount(targets, minlength=size)
    most = int(many.max(initial=0))
    if most == 0 or most * SPARSE > product.depth or not product.exact:
        graph.root.reserve(8 * product.depth * size)
        whole = np.zeros((product.depth, size), np.int64)
        whole[rows, targets] = weights
        return graph.node("MatMul", arriving, known(whole, name), axes=2)
    graph.root.reserve(8 * most * size)
    order = np.argsort(targets, kind="stable")
    slot = np.arange(len(order)) - np.repeat(np.cumsum(many) - many, many)
    from_, kept = np.zeros((2, size, most), np.int64)
    from_[targets[order], slot], kept[targets[order], slot] = rows[order], weights[order]
    gathered = graph.node("Gather", arriving, known(from_.reshape(-1), f"{name}, sources"), axes=2, axis=1)
    apart = graph.node("Reshape", gathered, integers([0, size, most]), axes=2)
    return graph.node("ReduceSum", graph.node("Mul", apart, known(kept, name)), integers([2]), axes=2, keepdims=0)


def _scan(graph: Graph, sources: Sources, rows: Rows, states: Mapping[str, Value], label: str) -> dict[str, Value]:
    """Row by row, in the order of the hardware."""
    real = [row for _, row in rows.real]
    arriving = sources.arriving(graph, rows.kind, real, label)
    met = {n: (v, 0) for n, v in rows.scanned().items()} | {GIVEN_ARRIVING: (arriving, 1)}
    written = sorted(rows.kind.on_input.writes)

    def body(
        inner: Graph, carried: dict[str, Value], here: dict[str, Value]
    ) -> tuple[Mapping[str, Value], Mapping[str, Value]]:
        column = inner.node("Unsqueeze", here[GIVEN_ARRIVING], integers([1]), axes=2)
        return rows.apply(inner, label, here, column, {**states, **carried}), {}

    graph.root.label, graph.root.note = label, ""
    full = {n: full_size(graph, states[n], next(iter(sources.states[rows.kind.target].values()))) for n in written}
    return graph.scan(full, met, body)[0]


def _scan_of_itself(
    graph: Graph, sources: Sources, rows: Rows, states: Mapping[str, Value], label: str
) -> dict[str, Value]:
    """Row by row where a row changes what a later source shows; rows of one source see it as before the first."""
    real = [row for _, row in rows.real]
    own, emits = rows.kind.target, rows.lane.kind.emits
    arriving = sources.arriving(graph, rows.kind, real, label)
    now = [row.source_kind == own and row.delay == 0 for row in real]
    before = [(row.source_kind, row.source) for row in real]
    fresh = [i == 0 or before[i] != before[i - 1] for i in range(len(real))]
    met = {n: (v, 0) for n, v in rows.scanned().items()} | {
        GIVEN_ARRIVING: (arriving, 1),
        "source": (known(np.array([row.source if row.source_kind == own else 0 for row in real])), 0),
        "now": (known(np.array(now)), 0),
        "fresh": (known(np.array(fresh)), 0),
    }
    written = sorted(rows.kind.on_input.writes)

    def body(
        inner: Graph, carried: dict[str, Value], here: dict[str, Value]
    ) -> tuple[Mapping[str, Value], Mapping[str, Value]]:
        shown = inner.node("Gather", carried[emits], here["source"], axes=1, axis=1)
        held = inner.node("Where", here["fresh"], shown, carried["held"], axes=1)
        arrives = inner.node("Where", here["now"], held, here[GIVEN_ARRIVING], axes=1)
        column = inner.node("Unsqueeze", arrives, integers([1]), axes=2)
        return rows.apply(inner, label, here, column, {**states, **carried}) | {"held": held}, {}

    graph.root.label, graph.root.note = label, ""
    held = graph.node("Gather", states[emits], integers(0), axes=1, axis=1)
    ends = graph.scan({n: states[n] for n in written} | {"held": held}, met, body)[0]
    return {n: ends[n] for n in written}


def full_size(graph: Graph, value: Value, like: Value) -> Value:
    """(batch, neuron): what is one number, or one for each neuron, is repeated."""
    if value.axes == 2:
        return value
    return graph.node("Expand", value, graph.node("Shape", like, axes=1), axes=2)
