"""Somebody else's quantizer, integer for integer: one scale for a layer, found and applied in 32-bit floats.

For each of weights, biases and thresholds the scale is the one that brings its fullest end to the end of a signed
register: the highest value to 2**(bits-1) - 1, unless the lowest one is further out on the negative side, then that one
to -2**(bits-1), both by magnitude. The smallest scale is taken for all; each value is multiplied by it and rounded,
halves to even. Whether the result fits the chip's own registers and guards is checked afterwards, and refused by name.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.chips.schema import ParityEntry
from neurodeploy.errors import Fault
from neurodeploy.network.network import Ints
from neurodeploy.quantizer.stages import Stage

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Joint:
    """Integers of one layer.

    scale : integer steps for 1.0
    limited_by : which of the values decided it
    """

    scale: float
    limited_by: str
    weight: Ints
    bias: Ints
    threshold: int
    low: int


def joint_integers(weight: Singles, bias: Singles, threshold: float, low: float, entry: ParityEntry) -> Joint:
    """Integers of a layer on its joint scale.

    weight, bias : in any shape; no bias is an array of zeros
    threshold, low : upper and lower one
    """
    thresholds = np.array([low, threshold], np.float32)
    scales = {
        "weight": full_scale(weight, entry.weight),
        "bias": full_scale(bias, entry.bias),
        "threshold": full_scale(thresholds, entry.threshold),
    }
    limited_by = min(scales, key=lambda name: scales[name])
    scale = scales[limited_by]
    lowest, highest = _rounded(thresholds, scale).tolist()
    return Joint(float(scale), limited_by, _rounded(weight, scale), _rounded(bias, scale), highest, lowest)


def full_scale(values: Singles, bits: int) -> np.float32:
    """Scale that brings the fullest end to the end of a signed register; infinite for zeros."""
    least, most = np.float32(-(2 ** (bits - 1))), np.float32(2 ** (bits - 1) - 1)
    low, high = np.abs(np.float32(values.min())), np.abs(np.float32(values.max()))
    with np.errstate(divide="ignore", invalid="ignore"):
        upper = low <= high * np.float32(float(-least) / float(most))
        # a division is a product with the reciprocal there, which rounds twice
        return np.float32((most if upper else -least) * (np.float32(1) / (high if upper else low)))


def _rounded(values: Singles, scale: np.float32) -> Ints:
    return np.asarray(np.rint(values * scale).astype(np.int64))


def parity_faults(where: str, stage: Stage) -> list[Fault]:
    """What the other quantizer gets wrong without a word, so that its integers are not worth having.

    Another amount to subtract or value to reset to, which it drops as well, is refused for every chip without it.
    """
    faults = list[Fault]()

    def fault(was: str, why: str, todo: str) -> None:
        faults.append(Fault("ND1703", where, was, f"parity: {why}", todo))

    if stage.low is None:
        todo = "set v_min, for instance to minus the threshold"
        fault("no lower bound", "-32768 is taken in float units, which sets most weights to 0", todo)
    values = {"threshold": stage.threshold}
    if stage.low is not None:
        values = {**values, "v_min": stage.low}
    for name, each in values.items():
        if len(np.unique(each)) > 1:
            todo = "train with one, or quantize without parity: rows of weights are then rescaled"
            fault(f"{name} from {each.min():g} to {each.max():g}", "one for all neurons of a layer", todo)
    if len(stage.edges) != 1:
        was = f"weights from {len(stage.edges)} sources"
        fault(was, "a layer has one kernel", "quantize without parity")
    return faults
