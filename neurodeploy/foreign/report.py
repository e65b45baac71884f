"""What became of a model of another library's layers."""

from dataclasses import asdict, dataclass
from typing import Any

from neurodeploy.nir.report import Became


@dataclass(frozen=True)
class AdoptionReport:
    """Which layer became what.

    layout : how values lay in the model; they lie (time, batch, ...) in the one that was made
    layers : path, class, layers here, notes; every one computes the same spikes, anything else is refused
    notes : versions that the meanings were measured with, and how the model is called now
    """

    layout: str
    layers: tuple[Became, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "layout": self.layout,
            "layers": [asdict(became) for became in self.layers],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        rows = [
            f"{b.node} ({b.kind}) -> {', '.join(b.layers) or 'nothing'}" + (f": {b.note}" if b.note else "")
            for b in self.layers
        ]
        return "\n".join([f"values lay {self.layout}; they lie (time, batch, ...) now", *rows, *self.notes])
