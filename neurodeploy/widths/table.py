"""The table of a search for widths: every set that was evaluated, which of them are Pareto-optimal, which is chosen."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neurodeploy.notebook import show
from neurodeploy.widths.budget import Budget

COLUMNS = ("widths", "bits", "memory bits", "spike error", "accuracy", "kept", "Pareto", "chosen")


@dataclass(frozen=True)
class Row:
    """One set of widths, as it was quantized and simulated on the calibration data.

    widths : what was chosen -> bits at most
    bits : of all values whose width is chosen, each with the width that it got
    memory_bits : bits of memory that they take, with all that the target adds to them
    error : spike error of the outputs, see ``Budget``
    accuracy : share of samples decided right; None without labels
    refused : why the target does not take these widths, "" where it does; all figures are then None
    kept : whether it keeps what the budget asks
    pareto : no other row has at most its bits, memory and error, and less of one of them
    """

    widths: Mapping[str, int]
    bits: int | None = None
    memory_bits: int | None = None
    error: float | None = None
    accuracy: float | None = None
    refused: str = ""
    kept: bool = False
    pareto: bool = False

    @property
    def cost(self) -> tuple[int, int, float]:
        """Bits, memory and error: what is compared; only of a row that is not refused."""
        if self.bits is None or self.memory_bits is None or self.error is None:
            raise ValueError(f"refused: {self.refused}")
        return self.bits, self.memory_bits, self.error

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return vars(self) | {"widths": dict(self.widths)}


@dataclass(frozen=True)
class WidthTable:
    """What a search found.

    target : whose widths they are
    budget : what had to be kept
    rows : every set that was evaluated, the smallest memory first, refused ones last
    complete : whether these are all sets that there are; the Pareto rows are then those of the whole
    spent : whether the search ended because its evaluations did
    float_accuracy : share of samples that the float model decides right; None without labels
    """

    target: str
    budget: Budget
    rows: tuple[Row, ...]
    complete: bool
    spent: bool
    float_accuracy: float | None = None

    @property
    def front(self) -> tuple[Row, ...]:
        """The Pareto-optimal rows."""
        return tuple(row for row in self.rows if row.pareto)

    @property
    def chosen(self) -> Row | None:
        """The row with the smallest memory of those that keep what was asked, then bits, then error; None for none."""
        kept = [row for row in self.rows if row.kept]
        return min(kept, key=_order) if kept else None

    def report(self) -> str:
        """The table as text."""
        cells = [COLUMNS, *(tuple(map(str, line)) for line in self.lines())]
        wide = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
        body = ["  ".join(text.ljust(w) for text, w in zip(line, wide, strict=True)).rstrip() for line in cells]
        return "\n".join([f"{self.target}: {self.budget}", *body, *self.notes()])

    def notes(self) -> list[str]:
        """What was found, and how much was looked at, in sentences."""
        found = self.chosen
        told = [f"No set of widths keeps {self.budget}." if found is None else f"Chosen: {_words(found.widths)}."]
        if self.complete:
            told.append(f"All {len(self.rows)} sets of widths were evaluated.")
        elif self.spent:
            told.append(f"The budget of {self.budget.evaluations} evaluations was spent; more may find smaller widths.")
        elif found is not None:
            told.append(f"{len(self.rows)} sets were evaluated: one width for all by bisection, then each by itself.")
        if self.float_accuracy is not None:
            told.append(f"The float model decides {self.float_accuracy:.4f} of the samples right.")
        return told + [f"Refused: {_words(row.widths)}: {row.refused}" for row in self.rows if row.refused]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        found = self.chosen
        return {
            "target": self.target,
            "budget": dict(vars(self.budget)),
            "rows": [row.to_json() for row in self.rows],
            "chosen": None if found is None else found.to_json(),
            "complete": self.complete,
            "spent": self.spent,
            "float_accuracy": self.float_accuracy,
        }

    def _repr_html_(self) -> str:
        return show(f"{self.target}: {self.budget}", COLUMNS, self.lines(), self.notes())

    def lines(self) -> list[tuple[object, ...]]:
        """Cells of all rows for a person."""
        return [
            (
                _words(row.widths),
                *("-" if v is None else v for v in (row.bits, row.memory_bits)),
                *("-" if v is None else f"{v:.4f}" for v in (row.error, row.accuracy)),
                *("yes" if mark else "" for mark in (row.kept, row.pareto, row is self.chosen)),
            )
            for row in self.rows
        ]


def tabulate(
    target: str,
    budget: Budget,
    measured: Iterable[Row],
    *,
    complete: bool = False,
    spent: bool = False,
    float_accuracy: float | None = None,
) -> WidthTable:
    """Mark what is kept and what is Pareto-optimal, and put the rows in order."""
    rows = list(measured)
    costs = [row.cost for row in rows if not row.refused]
    marked = [
        replace(
            row,
            kept=not row.refused and budget.keeps(row.error, row.accuracy),
            pareto=not row.refused and not _dominated(row.cost, costs),
        )
        for row in rows
    ]
    return WidthTable(target, budget, tuple(sorted(marked, key=_order)), complete, spent, float_accuracy)


def _dominated(cost: tuple[int, int, float], costs: Sequence[tuple[int, int, float]]) -> bool:
    return any(other != cost and all(a <= b for a, b in zip(other, cost, strict=True)) for other in costs)


def _order(row: Row) -> tuple[Any, ...]:
    figures = (0, 0, 0.0) if row.refused else (row.cost[1], row.cost[0], row.cost[2])
    return (bool(row.refused), *figures, sorted(row.widths.items()))


def _words(widths: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={bits}" for name, bits in widths.items())
