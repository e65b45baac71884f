"""Integer weights of one projection: rounded onto the grid that its registers make, with those registers."""

from dataclasses import dataclass

import numpy as np

from neurodeploy.chips import ConnectionKind
from neurodeploy.chips.schema import GridEntry, SignEntry
from neurodeploy.network.network import Ints
from neurodeploy.quantizer.decays import Floats


@dataclass(frozen=True)
class Rounded:
    """Weights of a projection.

    stored : what the synapse field holds
    worth : the same in integer steps of the scale, as they add
    parameters : registers that this matrix asks for
    clipped : how many were cut at the end of the range
    """

    stored: Ints
    worth: Floats
    parameters: dict[str, int]
    clipped: int


def magnitude(kind: ConnectionKind, field: str) -> int:
    """Largest weight that fits the field with either sign."""
    return int(min(kind.fields[field].interval.high, -kind.fields[field].interval.low))


def reach(kind: ConnectionKind, weight: Floats, bits: int | None = None) -> int:
    """Largest integer weight that a matrix of these signs can have with either sign, in so many bits."""
    grid = kind.entry.grid
    if grid is None:
        return magnitude(kind, kind.entry.weights[0])
    sign = _sign(grid, weight)
    low, high = sign.values
    step = _distance(kind, sign, bits)
    return min(end // step * step for end in (high, -low) if end) << largest_exponent(kind)


def round_weights(
    kind: ConnectionKind,
    exact: Floats,
    shift: int = 0,
    together: Floats | None = None,
    bits: int | None = None,
) -> Rounded:
    """Round weights, given in integer steps of the scale, to nearest, halves to even, and cut what is too large.

    shift : of a chip that shifts all weights of the kind
    together : all weights that share exponent and width with these, and these; None for these alone
    bits : most bits of a stored weight; None for all that the register of their width holds
    """
    if kind.entry.grid is None:
        limit = magnitude(kind, kind.entry.weights[0])
        rounded = np.rint(exact / 2.0**shift)
        stored = np.clip(rounded, -limit, limit).astype(np.int64)
        clipped = int((np.abs(rounded) > limit).sum())
        parameters = {} if kind.entry.shift is None else {kind.entry.shift: shift}
        return Rounded(stored, (stored * 2.0**shift).astype(np.float64), parameters, clipped)
    shared = exact if together is None else together
    (low, high), fine, step = grid_of(kind, shared, bits)
    ends = np.ceil(low * 2.0**fine / step) * step, np.floor(high * 2.0**fine / step) * step
    rounded = step * np.rint(exact / step)
    worth = np.clip(rounded, *ends)
    found = grid_registers(kind, np.clip(step * np.rint(shared / step), *ends).astype(np.int64))
    if kind.entry.grid.sign:
        found[kind.entry.grid.sign] = _sign(kind.entry.grid, worth).code
    exponent = found.get(kind.entry.grid.exponent, 0)
    stored = np.rint(worth * 2.0**-exponent).astype(np.int64)
    return Rounded(stored, worth, found, int((rounded != worth).sum()))


def grid_of(kind: ConnectionKind, exact: Floats, bits: int | None = None) -> tuple[tuple[int, int], int, float]:
    """The finest grid that holds a matrix in so many bits: ends of its mantissas, exponent, distance of its weights."""
    grid = kind.entry.grid
    if grid is None:
        return kind.fields[kind.entry.weights[0]].interval, 0, 1.0
    sign = _sign(grid, exact)
    low, high = sign.values
    ends = exact.min(initial=0.0), exact.max(initial=0.0)
    fits = (
        e
        for e in _exponents(kind)
        if all(low * 2.0**e <= _rounded(end, kind, sign, e, bits) <= high * 2.0**e for end in ends)
    )
    fine = next(fits, largest_exponent(kind))
    cut = _unstored(kind, bits)
    least = max((sign.step << cut) * 2.0**fine, 1.0) if cut else 1.0
    zeros = sign is grid.negative and bool((np.rint(exact / least) == 0).any())
    return sign.values, fine, max((sign.step << cut + grid.zero_bits * zeros) * 2.0**fine, 1.0)


def _rounded(end: float, kind: ConnectionKind, sign: SignEntry, exponent: int, bits: int | None) -> float:
    """End of a matrix on the grid of an exponent; without a limit on its bits as a whole number, whatever the step."""
    step = max(_distance(kind, sign, bits) * 2.0**exponent, 1.0) if _unstored(kind, bits) else 1.0
    return float(np.rint(end / step) * step)


def _distance(kind: ConnectionKind, sign: SignEntry, bits: int | None) -> int:
    """Distance of mantissas in so many bits; where a limit cuts some, with room for the bits that a 0 may take."""
    grid, cut = kind.entry.grid, _unstored(kind, bits)
    if grid is None or not cut:
        return 1
    return sign.step << cut + (grid.zero_bits if sign is grid.negative else 0)


def _unstored(kind: ConnectionKind, bits: int | None) -> int:
    """Low bits of a mantissa that a limit on its width leaves out."""
    name = kind.entry.grid.bits if kind.entry.grid else ""
    return 0 if bits is None or not name else max(kind.parameters[name].interval.high - bits, 0)


def grid_registers(kind: ConnectionKind, weights: Ints) -> dict[str, int]:
    """Sign mode, exponent and width of a matrix of whole weights: mantissas as large, widths as small as they can be.

    For weights that the grid holds, as ``round_weights`` makes them; a matrix of zeros counts as positive.
    """
    grid = kind.entry.grid
    if grid is None:
        return {}
    sign = _sign(grid, weights)
    low, high = int(weights.min(initial=0)), int(weights.max(initial=0))
    fits = (e for e in _exponents(kind) if low >= sign.values[0] * 2.0**e and high <= sign.values[1] * 2.0**e)
    exponent = next(fits, largest_exponent(kind)) if low or high else 0
    found = {grid.sign: sign.code, grid.exponent: exponent}
    if grid.bits:
        widths = kind.parameters[grid.bits].interval
        together = int(np.bitwise_or.reduce(np.abs(weights).reshape(-1), initial=0))
        zeros = (together & -together).bit_length() - 1 - exponent if together else 0
        further = grid.zero_bits if sign is grid.negative and bool((weights == 0).any()) else 0
        width = widths.high - zeros + (sign.step.bit_length() - 1) + further
        found[grid.bits] = min(max(width, widths.low), widths.high)
    return {name: value for name, value in found.items() if name}


def _sign(grid: GridEntry, weights: Floats | Ints) -> SignEntry:
    low, high = weights.min(initial=0), weights.max(initial=0)
    if low >= 0:
        return grid.positive
    return grid.negative if high <= 0 else grid.mixed


def _exponents(kind: ConnectionKind) -> range:
    """Exponents that may be written, the finest grid first."""
    name = kind.entry.grid.exponent if kind.entry.grid else ""
    if not name:
        return range(1)
    allowed = kind.parameters[name].allowed
    return range(allowed.low, allowed.high + 1)


def largest_exponent(kind: ConnectionKind) -> int:
    """Exponent of the coarsest grid that may be written."""
    return _exponents(kind)[-1]
