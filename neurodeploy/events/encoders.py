"""Encoders: from analog values to counts (time, batch, feature). The same input and seed give the same bytes."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurodeploy.errors import Fault, raise_if
from neurodeploy.events.checks import as_array, first_fault, positive_faults, whole_faults

Encoded = NDArray[np.uint8] | NDArray[np.uint16]

_UINT16_HIGH = 2**16 - 1
_UNIT = "values lie in 0..1"
_SCALE = "scale them first, for instance x / x.max()"


def encode_rate(x: ArrayLike, steps: int, *, max_count: int, seed: int) -> Encoded:
    """Random counts whose mean is x * max_count: each is binomial(max_count, x), independent of all others.

    x : (batch, feature) in 0..1
    steps : number of time steps, 1 or more
    max_count : 1..65535, what x = 1 gives in every step; larger is less noisy
    seed : 0 or more
    Returns (steps, batch, feature) uint8, or uint16 where max_count is above 255.
    Raises Refusal ND1501 (shape), ND1502 (values), ND1503 (options), all at once.

    A count is the number of max_count uniform draws below x, not a draw of NumPy's binomial: the stream of uniform
    numbers is the same in every version of NumPy.
    """
    options = (
        whole_faults("steps", steps, 1)
        + whole_faults("max_count", max_count, 1, _UINT16_HIGH)
        + whole_faults("seed", seed, 0)
    )
    values = _checked(x, ("batch", "feature"), options)
    draws = np.random.default_rng(seed)
    counts = np.zeros((steps, *values.shape), dtype=_count_type(max_count))
    for step in range(steps):
        for _ in range(max_count):
            counts[step] += draws.random(values.shape) < values
    return counts


def encode_latency(x: ArrayLike, steps: int) -> NDArray[np.uint8]:
    """One spike for each feature, the larger the value the earlier: x fires in step ``steps - ceil(x * steps)``.

    x : (batch, feature) in 0..1; 1 fires in step 0, the smallest values above 0 in the last step, and 0 never
    steps : number of time steps, 1 or more
    Returns (steps, batch, feature) uint8, 0 or 1.
    Raises Refusal ND1501 (shape), ND1502 (values), ND1503 (options), all at once.
    """
    values = _checked(x, ("batch", "feature"), whole_faults("steps", steps, 1))
    fires_in = steps - np.ceil(values * steps).astype(np.int64)  # 0 gives `steps`, which is after the last step
    spikes: NDArray[np.bool_] = np.arange(steps)[:, None, None] == fires_in
    return spikes.astype(np.uint8)


def encode_delta(x: ArrayLike, threshold: float) -> NDArray[np.uint16]:
    """Send on delta: counts of how often a signal moved by ``threshold`` since it last sent.

    x : (time, batch, feature) float, finite, in any unit
    threshold : above 0, in the unit of x; larger sends less
    Returns (time, batch, 2 * feature) uint16: channel 2 * f counts the moves of feature f up, 2 * f + 1 those down.
    The first step sends nothing: it is the level from which is counted. A difference below the threshold is kept
    for the next step, so x[0] + threshold * (all up - all down) stays within one threshold of x.
    Raises Refusal ND1501 (shape), ND1502 (values; more than 65535 moves in one step), ND1503 (threshold).
    """
    option = positive_faults("threshold", threshold, "a finite number above 0, in the unit of x")
    values = _checked(x, ("time", "batch", "feature"), option, unit=False)
    moves = np.zeros(values.shape)
    with np.errstate(over="ignore", invalid="ignore"):  # what float64 does not hold is refused just below
        distance = (values - values[0]) / threshold
        level = np.zeros(values.shape[1:])  # in thresholds above the first step
        for step, now in enumerate(distance):
            moves[step] = np.trunc(now - level)
            level = level + moves[step]
        too_many = ~(np.abs(moves) <= _UINT16_HIGH)
    names = ("time", "batch", "feature")
    must, todo = f"at most {_UINT16_HIGH} moves of one threshold in a step", "raise the threshold"
    raise_if(first_fault(too_many, values, names, "too far from the step before", must, todo, "x"))
    both = np.stack([np.maximum(moves, 0), np.maximum(-moves, 0)], axis=-1)
    return both.reshape(*values.shape[:2], -1).astype(np.uint16)


def encode_frames(x: ArrayLike, *, max_count: int, repeat: int = 1) -> Encoded:
    """Feed an image row by row: rows become time steps, columns become channels.

    x : (batch, row, column) in 0..1
    max_count : 1..65535; a pixel gives round(x * max_count) events, halves to the even number
    repeat : 1 or more; holds each row for so many steps, the same counts in each
    Returns (row * repeat, batch, column) uint8, or uint16 where max_count is above 255.
    Raises Refusal ND1501 (shape), ND1502 (values), ND1503 (options), all at once.
    """
    options = whole_faults("max_count", max_count, 1, _UINT16_HIGH) + whole_faults("repeat", repeat, 1)
    values = _checked(x, ("batch", "row", "column"), options)
    counts = np.rint(values * max_count).astype(_count_type(max_count))
    return np.repeat(counts.transpose(1, 0, 2), repeat, axis=0)


def _count_type(max_count: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if max_count <= np.iinfo(np.uint8).max else np.uint16


def _checked(x: ArrayLike, names: tuple[str, ...], faults: list[Fault], *, unit: bool = True) -> NDArray[np.float64]:
    """Return x as float64 where it has these axes and finite values, in 0..1 if unit; refuse otherwise."""
    values = as_array(x, "x")
    if values.dtype.kind not in "buif":
        faults = [*faults, Fault("ND1502", "x", f"type {values.dtype}", "real numbers are encoded")]
        raise_if(faults)
    if values.ndim != len(names):
        must = f"encoded is ({', '.join(names)}), {len(names)} axes"
        faults = [*faults, Fault("ND1501", "x", f"shape {values.shape}", must, "add or merge axes with reshape")]
    elif values.size == 0:
        faults = [
            *faults,
            Fault("ND1502", "x", f"shape {values.shape} holds nothing", "every axis has a length above 0"),
        ]
    else:
        values = values.astype(np.float64)
        must = _UNIT if unit else "values are finite"
        faults = [*faults, *first_fault(~np.isfinite(values), values, names, "not a finite number", must, where="x")]
        if unit:
            faults += first_fault(values < 0, values, names, "below 0", must, _SCALE, where="x")
            faults += first_fault((values > 1) & ~np.isinf(values), values, names, "above 1", must, _SCALE, where="x")
    raise_if(faults)
    return values
