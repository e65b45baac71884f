"""Which float neuron each chip computes, found by asking the quantizer."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from neurodeploy.chips import Chip
from neurodeploy.errors import Refusal
from neurodeploy.layers import IAF, LIF, Neuron
from neurodeploy.quantizer import constrain, lower

#: Each variant differs from the first in one option.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "LIF with synaptic current": {},
    "LIF without synaptic current": {"tau_syn": None},
    "LIF with bias": {"bias": 0.1},
    "LIF with normalised input": {"norm_input": True},
    "LIF, reset to zero": {"reset": "zero"},
    "LIF, reset to value": {"reset": "value", "reset_value": -0.1},
    "LIF, strict comparison": {"comparison": ">"},
    "LIF, lower bound": {"v_min": -1.0},
    "LIF, recurrent": {"recurrent": True},
}


@dataclass(frozen=True)
class Support:
    """One neuron as a hidden or output layer of one chip.

    support : "exact" up to the rounding of weights and decays that the quantizer reports, or "refused"
    """

    neuron: str
    chip: str
    role: str
    support: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def support_matrix(chips: Iterable[Chip]) -> list[Support]:
    """Every variant on every chip, as a hidden and as an output layer."""
    return [
        _support(name, options, chip, role)
        for chip in chips
        for name, options in {**VARIANTS, "IAF": {"iaf": True}}.items()
        for role in ("hidden", "output")
    ]


def _layer(options: Mapping[str, Any]) -> Neuron:
    given = {"tau_syn": 4.0, "norm_input": False, **options}
    if given.pop("recurrent", False):
        given["rec_connect"] = torch.nn.Linear(2, 2, bias=False)
    if given.pop("iaf", False):
        return IAF(2, tau_syn=4.0)
    return LIF(2, tau_mem=8.0, **given)


def _support(name: str, options: Mapping[str, Any], chip: Chip, role: str) -> Support:
    plain = _layer({})
    layers = (_layer(options), plain) if role == "hidden" else (plain, _layer(options))
    modules: list[torch.nn.Module] = []
    for layer in layers:
        modules += [torch.nn.Linear(2, 2, bias=False), layer]
    try:
        lower(constrain(torch.nn.Sequential(*modules), chip), chip)
    except Refusal as refusal:
        return Support(name, chip.name, role, "refused", "; ".join(f"{f.was}: {f.must}" for f in refusal.faults))
    return Support(name, chip.name, role, "exact", "")
