"""What a network needs of a chip: every formula of the chip file evaluated on counts of neurons and synapse entries."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import ConnectionKind, Limit
from neurodeploy.errors import Fault, Refusal
from neurodeploy.mapper.rows import Usage
from neurodeploy.network import Network
from neurodeploy.network.network import Ints, Projection
from neurodeploy.step import FORMULA, evaluate


@dataclass(frozen=True)
class Link:
    """The synapse entries of one connection kind: pairs with a weight that is not 0, all pairs where none is carried.

    sources, targets : (entry,) numbers of neurons
    projections : (entry,) numbers of projections
    nonzero : weight field -> (entry,) whether it is not 0
    """

    kind: ConnectionKind
    sources: Ints
    targets: Ints
    projections: Ints
    nonzero: Mapping[str, npt.NDArray[np.bool_]]

    def counters(self) -> dict[str, int]:
        """What formulas may ask of these entries."""
        name = self.kind.name
        return {
            f"entries_{name}": len(self.sources),
            f"sources_{name}": len(np.unique(self.sources)),
            f"targets_{name}": len(np.unique(self.targets)),
        } | {f"nonzero_{name}_{w}": int(used.sum()) for w, used in self.nonzero.items()}

    def part(self, of: slice | Ints) -> "Link":
        """Some of the entries."""
        chosen = self.projections[of]
        return Link(
            self.kind, self.sources[of], self.targets[of], chosen, {w: used[of] for w, used in self.nonzero.items()}
        )


class _Whole(dict[str, float]):
    """Counters of a whole chip; synapses are counted when a formula first asks for them."""

    def __init__(self, tally: "Tally") -> None:
        super().__init__({f"neurons_{kind}": len(span) for kind, span in tally.spans.items()})
        self.tally = tally

    def __missing__(self, name: str) -> float:
        for link in self.tally.links.values():
            self.update(link.counters())
        return dict(self)[name]


class Tally:
    """Neurons and synapse entries of a network. Neurons are numbered kind by kind, in the order of the groups.

    first : group -> number of its first neuron
    spans : neuron kind -> numbers of its neurons
    links : connection kind -> entries
    stored : connection kind -> entries that the chip keeps
    projections : those that are counted; all of the network where none are given
    """

    def __init__(self, network: Network, projections: Sequence[Projection] | None = None) -> None:
        self.network, self.chip = network, network.chip
        self.projections = network.projections if projections is None else projections
        self.first: dict[str, int] = {}
        self.spans: dict[str, range] = {}
        number = 0
        for kind in network.chip.neurons:
            begin = number
            for g in network.of_kind(kind):
                self.first[g.name] = number
                number += g.size
            self.spans[kind] = range(begin, number)
        self.size = number

    @cached_property
    def links(self) -> dict[str, Link]:
        """Connection kind -> entries; spelled out when first asked for, since a large convolution has very many."""
        return {name: self._link(kind) for name, kind in self.chip.connections.items()}

    @cached_property
    def stored(self) -> dict[str, Link]:
        """Connection kind -> what the chip keeps: where it keeps blocks or kernels, weights of 0 as well."""
        kinds = self.chip.connections
        return {n: self._link(k, whole=True) if k.entry.pattern != "pairs" else self.links[n] for n, k in kinds.items()}

    def _link(self, kind: ConnectionKind, *, whole: bool = False) -> Link:
        numbered = [(i, p.pairwise) for i, p in enumerate(self.projections) if p.kind == kind.name]
        parts = [p for _, p in numbered]
        none = np.zeros(0, np.int64)
        sources = np.concatenate([none, *(p.sources + self.first[p.source] for p in parts)])
        targets = np.concatenate([none, *(p.targets + self.first[p.target] for p in parts)])
        nonzero = {w: np.concatenate([none, *(p.fields[w] for p in parts)]) != 0 for w in _weights(kind)}
        numbers = np.concatenate([none, *(np.full(len(p.sources), i) for i, p in numbered)])
        every = Link(kind, sources, targets, numbers, nonzero)
        if whole:
            return every
        return every.part(np.flatnonzero(np.any(list(nonzero.values()), axis=0))) if nonzero else every

    def whole(self) -> dict[str, float]:
        """Counters of the whole chip."""
        return _Whole(self)

    def of_each(self, kinds: Sequence[str], end: str) -> tuple[Ints, list[dict[str, int]], Ints]:
        """Counters restricted to each neuron of some kinds, as "source" or as "target" of the entries.

        Returns the numbers of the neurons, the different counters, and which of them each neuron has.
        """
        numbers = np.concatenate([np.zeros(0, np.int64), *(np.asarray(self.spans[k], np.int64) for k in kinds)])
        columns: dict[str, Ints] = {}
        for kind, span in self.spans.items():
            columns[f"neurons_{kind}"] = ((numbers >= span.start) & (numbers < span.stop)).astype(np.int64)
        for name, link in self.links.items():
            own, other = (link.sources, link.targets) if end == "source" else (link.targets, link.sources)
            pairs = np.unique(own * self.size + other)
            entries = self._times(own)[numbers]
            met = {end: (entries > 0).astype(np.int64), "entry": self._times(pairs // max(self.size, 1))[numbers]}
            columns[f"entries_{name}"] = entries
            columns[f"sources_{name}"] = met.get("source", met["entry"])
            columns[f"targets_{name}"] = met.get("target", met["entry"])
            for weight, used in link.nonzero.items():
                columns[f"nonzero_{name}_{weight}"] = self._times(own[used])[numbers]
        rows, which = np.unique(np.stack(list(columns.values()), axis=1), axis=0, return_inverse=True)
        return numbers, [dict(zip(columns, row, strict=True)) for row in rows.tolist()], which.reshape(-1)

    def _times(self, numbers: Ints) -> Ints:
        return np.bincount(numbers, minlength=self.size).astype(np.int64)

    def name_of(self, number: int) -> str:
        """A neuron in the user's terms."""
        name, first = max(((n, f) for n, f in self.first.items() if f <= number), key=lambda pair: pair[1])
        return f"{name!r} neuron {number - first}"


def _weights(kind: ConnectionKind) -> tuple[str, ...]:
    return tuple(w for w in kind.entry.weights if w in kind.fields)


def limit_value(limit: Limit, counters: Mapping[str, float]) -> int:
    """A limit's formula on counters, rounded up to a whole number."""
    value = float(evaluate(limit.formula, counters, FORMULA))
    if not math.isfinite(value):
        where = f"limit.{limit.name}.value of the chip file"
        raise Refusal(Fault("ND1103", where, f"{limit.entry.value} = {value}", "a finite number for every network"))
    return math.ceil(value)


def usage(network: Network) -> tuple[Usage, ...]:
    """Every limit of the chip that does not depend on the placement, with what the network asks of it."""
    return tuple(_usage(Tally(network)))


def _usage(tally: Tally) -> Iterator[Usage]:
    chip, whole = tally.chip, tally.whole()
    for limit in chip.limits.values():
        entry, grade = limit.entry, chip.grade(limit.entry.evidence)
        if entry.per == "chip":
            yield Usage(limit.name, entry.unit, limit_value(limit, whole), entry.at_most, grade, todo=entry.todo)
        elif entry.per in {"source", "target"} and entry.of is not None:
            kind = chip.connections[entry.of]
            kinds = kind.sources if entry.per == "source" else (kind.target,)
            numbers, rows, which = tally.of_each(kinds, entry.per)
            values = np.asarray([limit_value(limit, row) for row in rows], np.int64)[which]
            worst = int(np.argmax(values)) if len(values) else 0
            asked = int(values[worst]) if len(values) else 0
            where = tally.name_of(int(numbers[worst])) if asked else ""
            over = int((values > entry.at_most).sum())
            yield Usage(limit.name, entry.unit, asked, entry.at_most, grade, where, over, entry.todo)


def reports(network: Network) -> dict[str, tuple[float, str]]:
    """The chip's figures for reports (cycles, clock): name -> (value, unit)."""
    values = Tally(network).whole()
    result = {}
    for name, (figure, formula) in network.chip.reports.items():
        values[name] = float(evaluate(formula, values, FORMULA))
        result[name] = (values[name], figure.unit)
    return result
