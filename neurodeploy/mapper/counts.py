"""What a network needs of a chip: every limit's formula evaluated on counts of neurons and synapse entries."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from neurodeploy.chips import Chip, Limit
from neurodeploy.errors import Fault
from neurodeploy.network import Network
from neurodeploy.simulator.machine import Ints
from neurodeploy.step import FORMULA, evaluate


@dataclass(frozen=True)
class Usage:
    """One limit: what is asked of it and what it allows.

    where : the neuron or core that asks most, empty for limits of the whole chip
    count : how many neurons or cores ask for more than there is
    """

    limit: str
    unit: str
    asked: int
    at_most: int
    grade: str
    where: str = ""
    count: int = 0
    todo: str = ""

    @property
    def fits(self) -> bool:
        """Whether the limit holds."""
        return self.asked <= self.at_most

    def fault(self, chip: str) -> Fault:
        """The reason why it does not fit."""
        places = f" ({self.where}{f' and {self.count - 1} more' if self.count > 1 else ''})" if self.where else ""
        return Fault(
            "ND1801",
            chip,
            f"{self.asked:,} {self.unit}{places}",
            f"at most {self.at_most:,} fit",
            f"{self.asked - self.at_most:,} too many: {self.todo}",
            {"limit": self.limit, "asked": self.asked, "at_most": self.at_most},
        )


class Tally:
    """Neurons and synapse entries of a network by their position among all neurons of their kind."""

    def __init__(self, network: Network) -> None:
        self.network, self.chip = network, network.chip
        self.first: dict[str, int] = {}
        self.sizes = dict.fromkeys(network.chip.neurons, 0)
        for g in network.groups:
            self.first[g.name] = self.sizes[g.kind]
            self.sizes[g.kind] += g.size
        self.links: dict[str, tuple[str, Ints, Ints]] = {}
        for name, kind in network.chip.connections.items():
            parts = [p for p in network.projections if p.kind == name]
            sources = [p.sources + self.first[p.source] for p in parts]
            targets = [p.targets + self.first[p.target] for p in parts]
            none = np.zeros(0, np.int64)
            self.links[name] = (kind.target, np.concatenate([none, *sources]), np.concatenate([none, *targets]))

    def whole(self) -> dict[str, int]:
        """Counters of the whole chip."""
        counters = {f"neurons_{kind}": size for kind, size in self.sizes.items()}
        for name, (_, sources, targets) in self.links.items():
            counters |= self._link_counters(name, sources, targets)
        return counters

    def _link_counters(self, name: str, sources: Ints, targets: Ints) -> dict[str, int]:
        return {
            f"entries_{name}": len(sources),
            f"sources_{name}": len(np.unique(sources)),
            f"targets_{name}": len(np.unique(targets)),
        }

    def by_neuron(self, of: str, per: str) -> list[dict[str, int]]:
        """Counters restricted to each source or target of a connection."""
        kind = self.chip.connections[of]
        neuron = kind.sources[0] if per == "source" else kind.target
        size = self.sizes[neuron]
        entries = {}
        for name, (target, sources, targets) in self.links.items():
            end = self.chip.connections[name].sources[0] if per == "source" else target
            index = sources if per == "source" else targets
            counted = np.bincount(index, minlength=size) if end == neuron else np.zeros(size, np.int64)
            entries[f"entries_{name}"] = counted
        base = dict.fromkeys(self.whole(), 0)
        return [base | {name: int(values[i]) for name, values in entries.items()} for i in range(size)]

    def name_of(self, kind: str, position: int) -> str:
        """Position among its kind in the user's terms."""
        for g in self.network.of_kind(kind):
            if self.first[g.name] <= position < self.first[g.name] + g.size:
                return f"{g.name!r} neuron {position - self.first[g.name]}"
        return f"{kind} {position}"


def limit_value(limit: Limit, counters: Mapping[str, int]) -> int:
    """A limit's formula on counters, rounded up to a whole number."""
    value = float(evaluate(limit.formula, counters, FORMULA))
    return int(-(-value // 1))


def usage(network: Network) -> tuple[Usage, ...]:
    """Every limit of the chip that does not depend on the placement, with what the network asks of it."""
    return tuple(_usage(network))


def _usage(network: Network) -> Iterator[Usage]:
    tally, chip = Tally(network), network.chip
    whole = tally.whole()
    for limit in chip.limits.values():
        entry, grade = limit.entry, grade_of(chip, limit)
        if entry.per == "chip":
            yield Usage(limit.name, entry.unit, limit_value(limit, whole), entry.at_most, grade, todo=entry.todo)
        elif entry.per in {"source", "target"} and entry.of is not None:
            kind = chip.connections[entry.of]
            values = [limit_value(limit, c) for c in tally.by_neuron(entry.of, entry.per)]
            if not values:
                continue
            worst = int(np.argmax(values))
            where = tally.name_of(kind.sources[0] if entry.per == "source" else kind.target, worst)
            over = sum(v > entry.at_most for v in values)
            yield Usage(limit.name, entry.unit, values[worst], entry.at_most, grade, where, over, entry.todo)


def grade_of(chip: Chip, limit: Limit) -> str:
    """Evidence grade of a limit."""
    return chip.evidence[limit.entry.evidence or chip.file.evidence or ""].grade


def reports(network: Network) -> dict[str, tuple[float, str]]:
    """The chip's figures for reports (cycles, clock): name -> (value, unit)."""
    counters = Tally(network).whole()
    return {
        name: (float(evaluate(formula, counters, FORMULA)), figure.unit)
        for name, (figure, formula) in network.chip.reports.items()
    }
