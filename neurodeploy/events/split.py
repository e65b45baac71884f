"""Stratified splits: disjoint parts of a data set in which every class has its share."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurodeploy.errors import Fault, raise_if
from neurodeploy.events.checks import as_array, whole_faults

_SUM_TOLERANCE = 1e-9  # 0.7 + 0.2 + 0.1 is not 1 in binary


def split_stratified(label: ArrayLike, fractions: Mapping[str, float], seed: int) -> dict[str, NDArray[np.int64]]:
    """Divide the samples into named parts; every class is divided by the same fractions.

    label : (batch,) int
    fractions : name -> share, each above 0, together 1; name what is left over too ("rest")
    seed : 0 or more
    Returns name -> positions, ascending. Every sample is in exactly one part. A class of n samples gives each part
    n * fraction of them, rounded down or up (the largest remainders up, of equal ones the part named first).
    Raises Refusal ND1502 (label) and ND1503 (fractions; seed; a class too small to reach every part), all at once.
    """
    labels = as_array(label, "label")
    raise_if(_faults(labels, fractions, seed))
    parts: dict[str, list[NDArray[np.int64]]] = {name: [] for name in fractions}
    faults = []
    draw = np.random.default_rng(seed).random(labels.size)
    for one in np.unique(labels):
        members = np.flatnonzero(labels == one)
        members = members[np.argsort(draw[members], kind="stable")]
        sizes = _apportion(members.size, list(fractions.values()))
        for name, chosen in zip(fractions, np.split(members, np.cumsum(sizes)[:-1]), strict=True):
            parts[name].append(chosen)
            if not chosen.size:
                was = f"class {one} has {members.size} sample(s), of which {name!r} gets none"
                todo = f"raise its fraction of {fractions[name]}, or leave the class out"
                values = {"value": members.size, "class": int(one)}
                faults.append(Fault("ND1503", "fractions", was, "every part holds every class", todo, values))
    raise_if(faults)
    return {name: np.sort(np.concatenate(chosen)) for name, chosen in parts.items()}


def _apportion(number: int, fractions: list[float]) -> list[int]:
    """Whole shares of a number: each rounded down, then the largest remainders get what is left."""
    exact = [number * fraction for fraction in fractions]
    shares = [math.floor(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: shares[i] - exact[i])
    for i in by_remainder[: number - sum(shares)]:
        shares[i] += 1
    return shares


def _faults(labels: NDArray[np.generic], fractions: Mapping[str, float], seed: object) -> list[Fault]:
    faults = []
    if labels.ndim != 1 or labels.size == 0 or labels.dtype.kind not in "iu":
        was = f"shape {labels.shape}, type {labels.dtype}"
        faults.append(Fault("ND1502", "label", was, "integers of shape (batch,), at least one"))
    if not fractions:
        faults.append(Fault("ND1503", "fractions", "no part is named", 'for instance {"train": 0.8, "test": 0.2}'))
    bad = {name: value for name, value in fractions.items() if not 0 < value <= 1}
    faults += [
        Fault("ND1503", f"fractions[{name!r}]", f"{value}", "above 0 and at most 1", "", {"value": value})
        for name, value in bad.items()
    ]
    total = math.fsum(fractions.values())
    if fractions and not bad and abs(total - 1) > _SUM_TOLERANCE:
        todo = f'name what is left over, "rest": {1 - total:.6g}' if total < 1 else "lower one of them"
        faults.append(Fault("ND1503", "fractions", f"they add up to {total:.6g}", "1", todo, {"value": total}))
    return faults + whole_faults("seed", seed, 0)
