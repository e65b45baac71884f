"""Count data: how many events arrived on each channel in each time step, with labels, ids and the length of a step."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurodeploy.errors import Fault, raise_if
from neurodeploy.events.checks import Ids, as_array, check_parts, plain_ids
from neurodeploy.events.layout import axis_names, time_batch_first

Counts = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, eq=False)
class Data:
    """Counts of events, checked when it is made. ``data()`` makes one from arrays, ``load_data()`` from a file.

    input : (time, batch, ...) unsigned int
        Events per step; what follows the batch is the shape of one step of one sample.
    label : (batch,) int64, or None
        Class of each sample.
    sample_id : (batch,) int64 or str
        Name of each sample, none twice; results of two runs are matched by it.
    dt_s : float
        Seconds per time step, above 0.
    layout : str
        Names of the axes of ``input``; the first two are time,batch.
    Raises Refusal ND1501 (layout) and ND1502 (everything else), with all faults at once.
    """

    input: Counts
    label: NDArray[np.int64] | None
    sample_id: Ids
    dt_s: float
    layout: str

    def __post_init__(self) -> None:
        faults = check_parts(self.input, self.layout, self.dt_s, self.label, self.sample_id)
        raise_if(faults or self._plainness_faults())

    def _plainness_faults(self) -> list[Fault]:
        """List what ``data`` would have to convert: Data itself moves no axes and changes no types."""
        faults, ordered, todo = [], ",".join(time_batch_first(self.layout)), "use data(...), which converts"
        if self.layout != ordered:
            faults.append(Fault("ND1501", "layout", f'"{self.layout}"', f'Data is laid out "{ordered}"', todo))
        for name, value, kinds in (
            ("input", self.input, ("u1", "u2", "u4", "u8")),
            ("label", self.label, ("i8",)),
            ("sample_id", self.sample_id, ("i8", "U")),
        ):
            if value is None and name == "label":
                continue
            dtype = value.dtype if isinstance(value, np.ndarray) else None
            if dtype is None or ("U" if dtype.kind == "U" else dtype) not in kinds:
                must = f"Data holds arrays of type {' or '.join(kinds)}"
                faults.append(Fault("ND1502", name, f"type {dtype or type(value).__name__}", must, todo))
        return faults

    def step_faults(self, dt_s: float | None, where: str) -> list[Fault]:
        """Fault if the time steps are not those of a model or network; nothing where that states none.

        dt_s : seconds per step of the model or network
        where : name of the data, for instance its path
        """
        if dt_s is None or math.isclose(self.dt_s, dt_s, rel_tol=1e-6):
            return []
        was, must = f"steps of {self.dt_s:g} s", f"the network runs in steps of {dt_s:g} s"
        values = {"dt_s": self.dt_s, "network": dt_s}
        return [Fault("ND1502", where, was, must, "bin the events again, or correct dt_s", values)]

    @property
    def steps(self) -> int:
        """Number of time steps."""
        return len(self.input)

    @property
    def batch(self) -> int:
        """Number of samples."""
        return len(self.sample_id)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one step of one sample."""
        return self.input.shape[2:]

    def subset(self, indices: ArrayLike) -> "Data":
        """Return Data of the samples at these positions, in the order given, each at most once.

        indices : (sample,) int, 0..batch - 1
        Raises Refusal ND1502 for an empty list, a mask, a position outside the batch, and one given twice.
        """
        chosen = as_array(indices, "indices")
        raise_if(self._index_faults(chosen))
        label = None if self.label is None else self.label[chosen]
        return Data(self.input[:, chosen], label, self.sample_id[chosen], self.dt_s, self.layout)

    def _index_faults(self, chosen: NDArray[Any]) -> list[Fault]:
        must = f"a list of positions from 0 to {self.batch - 1}"
        if chosen.size == 0:
            return [Fault("ND1502", "indices", "no sample is chosen", must)]
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            todo = "np.flatnonzero(mask) gives the positions of a mask" if chosen.dtype.kind == "b" else ""
            return [Fault("ND1502", "indices", f"shape {chosen.shape}, type {chosen.dtype}", must, todo)]
        outside = np.flatnonzero((chosen < 0) | (chosen >= self.batch))
        if outside.size:
            at = int(outside[0])
            was, values = f"{chosen[at]} is outside the batch", {"index": at, "value": int(chosen[at])}
            return [Fault("ND1502", f"indices[{at}]", was, must, "", values)]
        return []


def data(
    input: ArrayLike,  # noqa: A002 - the field and the key of the file have this name
    *,
    layout: str | None = None,
    dt_s: float | None = None,
    label: ArrayLike | None = None,
    sample_id: ArrayLike | None = None,
) -> Data:
    """Build Data from arrays, after the checks.

    input : (time, batch, ...) or another order that ``layout`` states
        Counts: whole numbers from 0 of any numeric type. Unsigned integers keep their type and are not copied;
        other types become the smallest unsigned integer that holds the largest count.
    layout : str
        Names of all axes, for instance "time,batch,channel" or "batch,time,channel"; time and batch are moved to
        the front. Never guessed: lengths do not tell time from batch.
    dt_s : float
        Seconds per time step, above 0. Never guessed.
    label : (batch,) int
    sample_id : (batch,) int or str
        None twice; without them samples are numbered 0..batch - 1.
    Raises Refusal ND1501 (layout) and ND1502 (everything else), with all faults at once.
    """
    faults = check_parts(input, layout, dt_s, label, sample_id)
    raise_if(faults)
    return assemble(input, str(layout), float(dt_s or 0), label, sample_id)


def assemble(
    input: ArrayLike,  # noqa: A002 - as in data()
    layout: str,
    dt_s: float,
    label: ArrayLike | None,
    sample_id: ArrayLike | None,
) -> Data:
    """Build Data from parts that ``check_parts`` found without fault: axes moved, types made plain."""
    names = axis_names(layout)
    counts = np.moveaxis(_unsigned(np.asarray(input)), (names.index("time"), names.index("batch")), (0, 1))
    ids = np.arange(counts.shape[1]) if sample_id is None else np.asarray(sample_id)
    return Data(
        np.ascontiguousarray(counts),
        None if label is None else np.asarray(label).astype(np.int64, copy=False),
        plain_ids(ids),
        dt_s,
        ",".join(time_batch_first(layout)),
    )


def _unsigned(counts: NDArray[Any]) -> Counts:
    if counts.dtype.kind == "u":
        return counts.astype(counts.dtype.newbyteorder("="), copy=False)
    return counts.astype(np.min_scalar_type(int(counts.max())))
