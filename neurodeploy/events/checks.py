"""What count data must be: every check of its parts, as faults with the place and the value."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurodeploy.errors import Fault, Refusal
from neurodeploy.events.layout import SuggestCall, axis_names, layout_faults, position

Ids = NDArray[np.int64] | NDArray[np.str_]

_INT64_HIGH = 2**63 - 1


def check_parts(
    input: ArrayLike,  # noqa: A002 - as in data()
    layout: object,
    dt_s: object,
    label: ArrayLike | None,
    sample_id: ArrayLike | None,
    suggest: SuggestCall | None = None,
) -> list[Fault]:
    """All faults of the parts that Data is made of.

    suggest : layout -> the line that states it, for the words of the refusal; None for a call of ``data``
    """
    counts = as_array(input, "input")
    faults = layout_faults(layout, counts.shape, suggest)
    names = () if faults else axis_names(str(layout))
    faults += _dt_faults(dt_s) + _count_faults(counts, names)
    batch = counts.shape[names.index("batch")] if names else None
    if label is not None:
        faults += label_faults(label, batch)
    if sample_id is not None:
        faults += id_faults(sample_id, batch)
    return faults


def as_array(values: ArrayLike, where: str) -> NDArray[Any]:
    """Return the values as an array; refuse nested lists that differ in length."""
    try:
        return np.asarray(values)
    except ValueError as error:
        todo = "pad the samples to one length first"
        was, must = "the nested lists differ in length", "all samples have the same shape"
        raise Refusal(Fault("ND1502", where, was, must, todo)) from error


def whole_faults(name: str, value: object, low: int, high: int | None = None) -> list[Fault]:
    """Fault (ND1503) of an option that must be a whole number from low to high."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if whole and low <= value and (high is None or value <= high):  # type: ignore[operator] # whole says that it is one
        return []
    must = f"a whole number from {low}" + (f" to {high}" if high is not None else "")
    return [Fault("ND1503", name, repr(value), must, "", {"value": value, "low": low, "high": high})]


def positive_faults(name: str, value: object, must: str, todo: str = "", code: str = "ND1503") -> list[Fault]:
    """Fault of an option that must be a finite number above 0."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if number and 0 < value < np.inf:  # type: ignore[operator] # number says that it is one
        return []
    return [Fault(code, name, repr(value), must, todo, {"value": value})]


def _dt_faults(dt_s: object) -> list[Fault]:
    must, todo = "seconds per time step, a finite number above 0", "write for instance dt_s=0.001"
    if dt_s is None:
        return [Fault("ND1502", "dt_s", "the length of a time step is not stated", must, todo)]
    return positive_faults("dt_s", dt_s, must, todo, "ND1502")


def _count_faults(counts: NDArray[Any], names: tuple[str, ...]) -> list[Fault]:
    """List counts that are no whole numbers from 0 or do not fit int64: the first offending place of each kind."""
    must = "counts are whole numbers from 0"
    if counts.dtype.kind not in "buif":
        todo = (
            "np.array(input.tolist(), dtype=np.uint16) converts equal-length objects" if counts.dtype.hasobject else ""
        )
        return [Fault("ND1502", "input", f"type {counts.dtype}", must, todo)]
    if counts.size == 0:
        return [Fault("ND1502", "input", f"shape {counts.shape} holds nothing", "every axis has a length above 0")]
    faults = []
    if counts.dtype.kind == "f":
        finite = np.isfinite(counts)
        faults += first_fault(~finite, counts, names, "not a finite number", must)
        fractional = finite & (counts != np.floor(counts))
        todo = "encode_rate, encode_latency and encode_delta turn analog values into counts"
        faults += first_fault(fractional, counts, names, "fractional", must, todo)
    if counts.dtype.kind in "if":
        faults += first_fault(counts < 0, counts, names, "negative", must, "give signs channels of their own")
    if not faults and int(counts.max()) > _INT64_HIGH:
        faults += first_fault(counts >= 2**63, counts, names, "above int64", f"counts up to {_INT64_HIGH} fit")
    return faults


def first_fault(
    mask: NDArray[np.bool_],
    values: NDArray[Any],
    names: tuple[str, ...],
    kind: str,
    must: str,
    todo: str = "",
    where: str = "input",
) -> list[Fault]:
    """Fault for the first place where the mask holds, in the order of memory; none where it holds nowhere."""
    count = int(np.count_nonzero(mask))
    if not count:
        return []
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))
    was = f"{values[index]} is {kind}" + (f" (the first of {count})" if count > 1 else "")
    shown = {"index": index, "value": values[index].item(), "count": count}
    return [Fault("ND1502", f"{where}[{position(index, names)}]", was, must, todo, shown)]


def label_faults(label: ArrayLike, batch: int | None) -> list[Fault]:
    """Faults of labels: one int64 for each sample; the length counts where the batch is known."""
    labels = as_array(label, "label")
    faults = _length_faults(labels, "label", batch)
    if labels.dtype.kind not in "iu":
        faults.append(
            Fault("ND1502", "label", f"type {labels.dtype}", "labels are integers", "number the classes from 0")
        )
    elif labels.size and int(labels.max()) > _INT64_HIGH:
        faults.append(Fault("ND1502", "label", f"{labels.max()} is above int64", "labels fit int64"))
    return faults


def id_faults(sample_id: ArrayLike, batch: int | None) -> list[Fault]:
    """Faults of ids: one int64 or string for each sample, none twice."""
    ids = as_array(sample_id, "sample_id")
    faults = _length_faults(ids, "sample_id", batch)
    if ids.dtype.kind not in "iuU":
        todo = "sample_id.astype(str) makes strings"
        return [*faults, Fault("ND1502", "sample_id", f"type {ids.dtype}", "ids are integers or strings", todo)]
    if ids.dtype.kind == "u" and ids.size and int(ids.max()) > _INT64_HIGH:
        faults.append(Fault("ND1502", "sample_id", f"{ids.max()} is above int64", "integer ids fit int64"))
    unique, times = np.unique(ids, return_counts=True)
    if unique.size != ids.size:
        first = int(np.argmax(times > 1))
        again = int(np.count_nonzero(times > 1))
        was = f"{unique[first].item()!r} occurs {times[first]} times" + (f" ({again} ids repeat)" if again > 1 else "")
        values = {"value": unique[first].item(), "count": again}
        faults.append(Fault("ND1502", "sample_id", was, "every sample has an id of its own", "", values))
    return faults


def _length_faults(values: NDArray[Any], where: str, batch: int | None) -> list[Fault]:
    if values.ndim != 1:
        return [Fault("ND1502", where, f"shape {values.shape}", "one entry for each sample, shape (batch,)")]
    if batch is not None and len(values) != batch:
        lengths = {"value": len(values), "batch": batch}
        return [Fault("ND1502", where, f"{len(values)} entries", f"the batch has {batch} samples", "", lengths)]
    return []


def plain_ids(ids: NDArray[Any]) -> Ids:
    """Ids as int64, or as strings no wider than the longest of them, so that equal ids have equal bytes."""
    return np.array(ids.tolist(), dtype=np.str_) if ids.dtype.kind == "U" else ids.astype(np.int64, copy=False)
