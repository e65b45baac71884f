"""The float model that integer networks are compared with: what its outputs do on the calibration data."""

from dataclasses import dataclass

import numpy as np

from neurodeploy.approximation.measure import spike_error
from neurodeploy.errors import Fault, Refusal
from neurodeploy.evaluation import evaluate
from neurodeploy.network.network import Ints
from neurodeploy.quantizer.decays import Floats


@dataclass(frozen=True, eq=False)
class Reference:
    """Outputs of a float model.

    wanted : (time, batch, neuron) spikes of all output layers side by side
    label : (batch,); None where no accuracy is measured
    latency : steps at the beginning that decide nothing
    Raises Refusal ND1704 where no output fires: an error relative to nothing means nothing; ND1504 for labels.
    """

    wanted: Floats
    label: Ints | None
    latency: int = 0

    def __post_init__(self) -> None:
        if not self.wanted.any():
            must = "output neurons that fire on the calibration data"
            raise Refusal(Fault("ND1704", "calibration", "no output of the float model fires", must))
        self.accuracy(self.wanted)

    def error(self, found: Floats) -> float:
        """Spike error of such spikes, see ``Budget``."""
        error = spike_error("outputs", "integer", self.wanted, found).count_error
        if error is None:
            raise RuntimeError("an error is missing only where nothing fires")
        return error

    def accuracy(self, found: Floats) -> float | None:
        """Share of samples that such spikes decide right; None without labels."""
        if self.label is None:
            return None
        return float(evaluate(found.astype(np.int64), self.label, latency=self.latency).accuracy)
