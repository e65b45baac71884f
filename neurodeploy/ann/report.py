"""What became of a converted network: the threshold of each layer, and how close its rates come."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ReluReport:
    """One ReLU that became neurons. Activations are the network's own, on the calibration data.

    layer : name of the neuron layer in the spiking model
    place : where the ReLU stands in the source
    shape : neurons
    threshold : activation that one spike per step stands for
    share_above : share of the activations above 0 that lie above the threshold: more than one spike per step, or cut
        off at ``max_spikes``
    activation : mean activation
    rate : mean spikes per neuron and step
    rate_error : mean distance of threshold * rate from the activation, relative to the mean activation
    """

    layer: str
    place: str
    shape: tuple[int, ...]
    threshold: float
    share_above: float
    activation: float
    rate: float
    rate_error: float


@dataclass(frozen=True)
class AnnReport:
    """A conversion of a whole network.

    percentile : of the activations above 0 that became each threshold
    samples, steps : calibration samples, and the steps that the spiking model ran on them
    input_unit : what 1 at the input of the spiking model stands for
    output_unit : the mean output over time, times this, approximates the network's output
    output_error : mean distance of that from the network's output, relative to the mean magnitude of the latter
    merge_error : largest change of the network's output by merging normalisations, relative to the largest output
    layers : every ReLU, in order
    """

    percentile: float
    samples: int
    steps: int
    input_unit: float
    output_unit: float
    output_error: float
    merge_error: float
    layers: tuple[ReluReport, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def __str__(self) -> str:
        rows = [("layer", "threshold", "share above", "spikes/step", "rate error")]
        rows += [
            (r.layer, f"{r.threshold:.4g}", f"{r.share_above:.2%}", f"{r.rate:.3f}", f"{r.rate_error:.1%}")
            for r in self.layers
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        how = f"{self.percentile:g}th percentile, {self.samples} samples, {self.steps} steps"
        return "\n".join([*lines, f"output error {self.output_error:.1%} ({how})"])
