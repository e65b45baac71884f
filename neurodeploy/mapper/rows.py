"""What is asked of a limit, as a row of a report or as a reason why something does not fit."""

from dataclasses import dataclass
from typing import Any, Literal

from neurodeploy.errors import Fault


@dataclass(frozen=True)
class Usage:
    """One limit: what is asked of it and what it allows.

    where : the neuron, layer or core that asks most, empty for limits of the whole chip
    count : how many neurons, layers or cores ask for more than there is
    one_of : the values that are allowed, () where all up to ``at_most`` are
    rule : whether going beyond is refused or only worth a warning
    """

    limit: str
    unit: str
    asked: int
    at_most: int
    grade: str
    where: str = ""
    count: int = 0
    todo: str = ""
    one_of: tuple[int, ...] = ()
    rule: Literal["refuse", "warn"] = "refuse"

    @property
    def fits(self) -> bool:
        """Whether the limit holds."""
        return self.asked in self.one_of if self.one_of and self.where else self.asked <= self.at_most

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        names = ("limit", "unit", "asked", "at_most", "fits", "where", "grade")
        return {name: getattr(self, name) for name in names}

    def fault(self, chip: str) -> Fault:
        """The reason why it does not fit."""
        places = f" ({self.where}{f' and {self.count - 1} more' if self.count > 1 else ''})" if self.where else ""
        given = {"limit": self.limit, "asked": self.asked, "at_most": self.at_most}
        was = f"{self.asked:,} {self.unit}{places}"
        if self.one_of:
            must = f"one of {', '.join(map(str, self.one_of))}"
            return Fault("ND1801", chip, was, must, self.todo, given)
        todo = f"{self.asked - self.at_most:,} too many{f': {self.todo}' if self.todo else ''}"
        return Fault("ND1801", chip, was, f"at most {self.at_most:,} fit", todo, given)


@dataclass(frozen=True)
class Core:
    """One core in use.

    holds : (layer, first, count) of what stands on it
    of : what ``first`` and ``count`` count, "neurons" or "features"
    usage : what it uses of each of its limits
    """

    number: int
    holds: tuple[tuple[str, int, int], ...]
    of: Literal["neurons", "features"]
    usage: tuple[Usage, ...]

    @property
    def held(self) -> str:
        """What stands on it, in words."""
        return ", ".join(f"{name!r} {self.of} {first}..{first + count - 1}" for name, first, count in self.holds)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        holds = [{"layer": name, "first": first, self.of: count} for name, first, count in self.holds]
        return {"core": self.number, "holds": holds, "usage": [u.to_json() for u in self.usage]}
