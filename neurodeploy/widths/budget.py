"""What a search for widths may cost, and what its answer must keep."""

import math
from dataclasses import dataclass
from typing import Any

from neurodeploy.errors import Fault, raise_if

CODE = "ND2401"


@dataclass(frozen=True)
class Budget:
    """What must be kept, and how many sets of widths may be tried for it.

    error : largest spike error that may remain: the sum of absolute differences of spike counts, per output neuron and
        sample, relative to the spikes of the float model's outputs; 0 or more, None where it does not matter
    accuracy : smallest share of samples that are decided right (``evaluate``), 0 to 1; None where it does not matter
    evaluations : most sets of widths that are quantized and simulated; what a results file holds counts, so that a
        search that was interrupted ends with the table of one that was not. Where there are no more sets than these,
        all of them are evaluated
    At least one of error and accuracy is stated; of two, both must hold.
    Raises Refusal ND2401 for other values.
    """

    error: float | None = None
    accuracy: float | None = None
    evaluations: int = 60

    def __post_init__(self) -> None:
        faults = []
        if self.error is None and self.accuracy is None:
            must = "an error or an accuracy that must be kept"
            faults.append(Fault(CODE, "budget", "neither error nor accuracy", must, "state error=0.05, for instance"))
        for name, high in (("error", math.inf), ("accuracy", 1.0)):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 <= value <= high and value < math.inf):
                must = "a number from 0 on" if high == math.inf else "a share from 0 to 1"
                faults.append(Fault(CODE, "budget", f"{name} = {value!r}", must))
        if type(self.evaluations) is not int or self.evaluations < 1:
            faults.append(Fault(CODE, "budget", f"evaluations = {self.evaluations!r}", "a whole number from 1 on"))
        raise_if(faults)

    def keeps(self, error: float | None, accuracy: float | None) -> bool:
        """Whether these figures are good enough; what was not measured is not."""
        small = self.error is None or (error is not None and error <= self.error)
        right = self.accuracy is None or (accuracy is not None and accuracy >= self.accuracy)
        return small and right

    def __str__(self) -> str:
        kept = [f"spike error at most {self.error:.4g}"] if self.error is not None else []
        kept += [f"accuracy at least {self.accuracy:.4g}"] if self.accuracy is not None else []
        return " and ".join(kept)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
