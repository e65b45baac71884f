"""Does a float model fit a chip? Answered from its structure, before any training is spent."""

from dataclasses import dataclass
from typing import Any

import torch

from neurodeploy.chips import Chip
from neurodeploy.errors import Fault, Refusal
from neurodeploy.mapper import Usage, map_network, usage
from neurodeploy.quantizer import constrain, lower, structure


@dataclass(frozen=True)
class Fit:
    """The answer.

    fits : whether the model can be mapped as it stands, after nd.constrain
    usage : every limit with what the model asks of it; empty where the model cannot be read as layers of the chip
    faults : all reasons why not
    warnings : what is allowed and still worth a look
    """

    chip: str
    fits: bool
    usage: tuple[Usage, ...]
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]

    def __str__(self) -> str:
        rows = [f"  {u.asked:>7,} of {u.at_most:>7,} {u.unit}" for u in self.usage]
        answer = f"{self.chip}: {'fits' if self.fits else 'does not fit'}"
        return "\n".join([answer, *rows, *(f"- {fault}" for fault in (*self.faults, *self.warnings))])

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        rows = [
            {"limit": u.limit, "unit": u.unit, "asked": u.asked, "at_most": u.at_most, "fits": u.fits, "grade": u.grade}
            for u in self.usage
        ]
        return {
            "target": self.chip,
            "fits": self.fits,
            "usage": rows,
            "reasons": [str(f) for f in self.faults],
            "warnings": [str(f) for f in self.warnings],
        }


def check(model: torch.nn.Module, chip: Chip) -> Fit:
    """Say whether a float model fits a chip, with all reasons if not. Untrained weights that are not 0 count."""
    try:
        network = structure(lower(constrain(model, chip), chip))
    except Refusal as refusal:
        return Fit(chip.name, False, (), refusal.faults, ())
    asked = usage(network)
    try:
        placed = map_network(network)
    except Refusal as refusal:
        return Fit(chip.name, False, asked, refusal.faults, ())
    return Fit(chip.name, True, placed.usage, (), placed.warnings)
