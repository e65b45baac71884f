"""What NetX makes of a weight matrix when it loads a file, and where that loses the matrix without a word.

Source: lava-dl commit d825ac50, netx and utils: the optimizer of dense weights; lava commit b6822fbc, weight utilities.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.chips.schema import GridEntry
from neurodeploy.errors import Fault

Ints = npt.NDArray[np.int64]
LOWEST, HIGHEST = -256, 254  # of a matrix with both signs
WIDTH = 8
ZERO_BITS = 8  # trailing zero bits that the loader looks for


#: Sign modes of lava's weights.
MIXED, EXCITATORY, INHIBITORY = 1, 2, 3


@dataclass(frozen=True)
class Loaded:
    """Matrices as the loader stores them: their weights times 2**exponent are those of the file.

    weights : in the shapes given
    sign_mode : of each matrix: the loader keeps its own finding to itself, and lava looks at each one again
    """

    weights: tuple[Ints, ...]
    exponent: int
    bits: int
    sign_mode: tuple[int, ...]


def load_weights(*matrices: Ints) -> Loaded:
    """What the loader stores; several matrices share exponent and bits. For matrices without ``weight_faults``."""
    flat = np.concatenate([m.reshape(-1) for m in matrices])
    low, high = int(flat.min()), int(flat.max())
    mixed = int(high >= 0 > low)
    if high < 0:
        scale = LOWEST / low
    elif low >= 0:
        scale = 255 / high
    else:
        scale = min(127 / high if high else np.inf, -128 / low)
    shift = int(np.floor(np.log2(scale))) + mixed
    together = int(np.bitwise_or.reduce(np.abs(flat)))
    zeros = min((together & -together).bit_length() - 1, ZERO_BITS) - mixed
    stored = tuple(m << shift for m in matrices)
    return Loaded(stored, -shift, WIDTH - shift - zeros, tuple(map(sign_mode, stored)))


def sign_mode(matrix: Ints) -> int:
    """Sign mode that lava finds for a matrix."""
    if matrix.min(initial=0) >= 0:
        return EXCITATORY
    return INHIBITORY if matrix.max(initial=0) <= 0 else MIXED


def kernel_faults(where: str, grid: GridEntry | None, kernel: Ints) -> Iterator[Fault]:
    """Weights of a kernel that the chip cannot store: neither the loader nor lava's simulator looks at them."""
    if grid is None:
        return
    low, high = int(kernel.min(initial=0)), int(kernel.max(initial=0))
    sign = grid.positive if low >= 0 else grid.negative if high <= 0 else grid.mixed
    bad = kernel[(kernel < sign.values[0]) | (kernel > sign.values[1]) | (kernel % sign.step != 0)]
    if bad.size:
        was = f"weight {int(bad[0])} in a kernel from {low} to {high}" + f", {bad.size} such in all" * (bad.size > 1)
        multiples = f"multiples of {sign.step}" if sign.step > 1 else "weights"
        must = f"{multiples} in {sign.values[0]}..{sign.values[1]}: the loader limits no kernel, 8 bits hold no others"
        yield Fault("ND1901", where, was, must, "quantize anew", {"low": low, "high": high})


def weight_faults(where: str, *matrices: Ints) -> Iterator[Fault]:
    """Everything that the loader would change, refuse or set to zero in silence."""
    flat = np.concatenate([m.reshape(-1) for m in matrices])
    if not np.any(flat):
        must = "at least one weight that is not 0: the loader raises OverflowError"
        yield Fault("ND1901", where, "a matrix of zeros", must, "remove the connection")
        return
    low, high = int(flat.min()), int(flat.max())
    values = {"low": low, "high": high}
    top = 255 if low >= 0 else HIGHEST
    if low < LOWEST or high > top:
        was = f"weights from {low} to {high}"
        must = f"{LOWEST}..{HIGHEST}, or 0..255 without negative ones: others are cut, or all become 0"
        yield Fault("ND1901", where, was, must, "quantize with smaller weights", values)
        return
    if high <= 0 and (-low) & (-low - 1) == 0:
        was = f"no positive weight, and the smallest is {low}, a negative power of two"
        must = "another smallest weight: the loader makes -256 of it, which the chip cuts to -255 and truncates"
        yield Fault("ND1901", where, was, must, f"change {low} to {low + 1}", values)
        return
    found = load_weights(*matrices)
    if found.bits > WIDTH:
        was = f"weights of both signs up to {max(high, -low)} and odd ones among them: {found.bits} bits"
        yield Fault("ND1901", where, was, f"at most {WIDTH} bits", "even weights where one exceeds 127", values)
