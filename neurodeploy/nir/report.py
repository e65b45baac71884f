"""What an import or export did: the contract and who stated it, and what became of each node."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Became:
    """One node.

    node, kind : name and primitive
    layers : classes of the layers that compute it
    loss : "faithful", or "approximated" with the bound in ``note``; what would be worse is refused
    note : bound, or what is worth to know
    """

    node: str
    kind: str
    layers: tuple[str, ...]
    loss: str
    note: str = ""


@dataclass(frozen=True)
class NirReport:
    """Loss report.

    version : of the program that wrote the file, as it says
    contract : field -> value, of those that decide something here
    origins : field -> who says so
    nodes : what became of each
    notes : shapes stated otherwise, values overruled, known defects of the exporter
    """

    version: str
    contract: Mapping[str, object]
    origins: Mapping[str, str]
    nodes: tuple[Became, ...]
    notes: tuple[str, ...]

    @property
    def faithful(self) -> bool:
        """Whether nothing was approximated."""
        return all(became.loss == "faithful" for became in self.nodes)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "version": self.version,
            "contract": dict(self.contract),
            "origins": dict(self.origins),
            "nodes": [asdict(became) for became in self.nodes],
            "notes": list(self.notes),
            "faithful": self.faithful,
        }

    def __str__(self) -> str:
        lines = [f"{name} = {value!r} ({self.origins[name]})" for name, value in self.contract.items()]
        for became in self.nodes:
            note = f": {became.note}" if became.note else ""
            lines.append(f"{became.node} ({became.kind}) -> {', '.join(became.layers)}, {became.loss}{note}")
        return "\n".join([*lines, *self.notes])
