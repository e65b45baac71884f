"""Does a float model fit a chip? Answered from its structure, before any training is spent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from neurodeploy.chips import Chip
from neurodeploy.errors import DoesNotFit, Fault, Refusal
from neurodeploy.fixed import underivable
from neurodeploy.mapper import Core, Usage, map_network, reports, usage
from neurodeploy.notebook import show
from neurodeploy.quantizer import constrain, lower, structure


@dataclass(frozen=True)
class Fit:
    """The answer.

    fits : whether the model can be mapped as it stands, after nd.constrain
    usage : every limit with what the model asks of it; empty where the model cannot be read as layers of the chip
    figures : the chip's figures for reports, name -> (value, unit); empty in the same case
    faults : all reasons why not
    warnings : what is allowed and still worth a look
    cores : the cores in use, with what stands on each and what it uses
    """

    chip: str
    fits: bool
    usage: tuple[Usage, ...]
    figures: Mapping[str, tuple[float, str]]
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    cores: tuple[Core, ...] = ()

    @property
    def exit_status(self) -> int:
        """What the command line returns: 0 it fits, 1 it does not."""
        return 0 if self.fits else 1

    def __str__(self) -> str:
        rows = [f"  {u.asked:>7,} of {u.at_most:>7,} {u.unit}" for u in self.usage]
        answer = f"{self.chip}: {'fits' if self.fits else 'does not fit'}"
        return "\n".join([answer, *rows, *(f"- {fault}" for fault in (*self.faults, *self.warnings))])

    def _repr_html_(self) -> str:
        rows = [(u.unit, u.asked, u.at_most, u.fits, u.grade) for u in self.usage]
        columns = ("what", "asked", "at most", "fits", "grade")
        return show(
            f"{self.chip}: {'fits' if self.fits else 'does not fit'}", columns, rows, (*self.faults, *self.warnings)
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "target": self.chip,
            "fits": self.fits,
            "usage": [u.to_json() for u in self.usage],
            "cores": [core.to_json() for core in self.cores],
            "figures": {name: {"value": value, "unit": unit} for name, (value, unit) in self.figures.items()},
            "reasons": [str(f) for f in self.faults],
            "warnings": [str(f) for f in self.warnings],
        }


def check(model: torch.nn.Module, chip: Chip, *, dt_s: float | None = None) -> Fit:
    """Say whether a float model fits a chip, with all reasons if not.

    model : sequential; its weights may be untrained, those that are not 0 count as synapses
    dt_s : duration of a step in seconds; the chip's slowest step is compared with it
    """
    if chip.file.programmable is not None:
        found = underivable(model, chip)
        return Fit(chip.name, not found, (), {}, tuple(found), ())
    faults, network, biased = list[Fault](), None, set[str]()
    try:
        biased = {stage.name for stage in lower(constrain(model, chip), chip).stages if stage.bias.any()}
    except Refusal as refusal:
        faults += refusal.faults
    try:
        network = structure(model, chip, dt_s=dt_s, biased=biased)
    except Refusal as refusal:
        faults += refusal.faults
    if network is None:
        return Fit(chip.name, False, (), {}, tuple(faults), ())
    asked, warnings, cores = usage(network), tuple[Fault, ...](), tuple[Core, ...]()
    try:
        placed = map_network(network)
        asked, warnings, cores = placed.usage, placed.warnings, placed.cores
    except DoesNotFit as refusal:
        faults += refusal.faults
    return Fit(chip.name, not faults, asked, reports(network), tuple(faults), warnings, cores)
