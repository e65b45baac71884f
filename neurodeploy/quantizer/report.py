"""What quantization did to each layer, in numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class DecayReport:
    """A decay on the chip's grid.

    keep_float, keep_chip : decay fraction of the model and of the register, of the neuron where they differ most
    register : that neuron's register value
    error : largest absolute difference of the decay fractions
    """

    name: str
    keep_float: float
    keep_chip: float
    register: int
    error: float


@dataclass(frozen=True)
class LayerReport:
    """One layer.

    scale_low, scale_high : smallest and largest number of integer steps for 1.0 of the synaptic current
    shifts : connection kind -> weight shift, of those that have one
    formats : source -> registers of the weight matrix that comes from there, of those that have some: exponent, width
    clipped_share : share of the non-zero weights cut off at the end of the register's range
    zeroed_share : share of the non-zero weights that became 0
    weight_error : root mean square of the weights' rounding error, relative to that of the weights, both in units of
        their neuron's threshold
    threshold_low, threshold_high : smallest and largest threshold register
    limited_by : what keeps the scale from being larger: weight, threshold, bias, lower bound, state, or the ranges in
        which all dialects of the chip agree
    rate_float, rate_integer : mean events per neuron and step on the calibration data; None without calibration
    count_error : sum of absolute differences of event counts per neuron and sample, relative to the float total
    explained : share of (neuron, sample) pairs whose running event count stays within what rounding explains; 1 is
        expected where no rail was hit. None for a reset to a value, and where events drive the chip: there float and
        integer are compared by their counts alone, since the order of events inside a step decides when a neuron fires
    explained_width : mean width of what rounding explains, in events per neuron and sample at the last step
    headroom_bits : state -> bits between the largest value passed through and the rail
    rails_hit : in how many (neuron, sample, step) cells a register was too narrow and a value was cut or wrapped
    """

    layer: str
    kind: str
    neurons: int
    scale_low: float
    scale_high: float
    shifts: Mapping[str, int]
    formats: Mapping[str, Mapping[str, int]]
    clipped_share: float
    zeroed_share: float
    weight_error: float
    threshold_low: int
    threshold_high: int
    decays: tuple[DecayReport, ...]
    limited_by: str = ""
    rate_float: float | None = None
    rate_integer: float | None = None
    count_error: float | None = None
    explained: float | None = None
    explained_width: float | None = None
    headroom_bits: Mapping[str, float] | None = None
    rails_hit: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {
            "shifts": dict(self.shifts),
            "formats": {source: dict(registers) for source, registers in self.formats.items()},
        }
