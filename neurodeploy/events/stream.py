"""Single events of a sensor: time, place and polarity; cut, pooled, mirrored, binned, and made from rasters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurodeploy.errors import Fault, raise_if
from neurodeploy.events.checks import whole_faults
from neurodeploy.simulator import Stimulus

#: one event: microseconds, column, row, polarity (1 brighter, 0 darker)
EVENT = np.dtype([("t_us", np.int64), ("x", np.int64), ("y", np.int64), ("p", np.int64)])
_MUST = "whole numbers, with t_us never falling, x below width, y below height, p 0 or 1"


@dataclass(frozen=True, eq=False)
class Events:
    """Events of one recording in the order of time; those of equal time stay in the order in which they are given.

    table : (event,) EVENT
    width, height : of the sensor, in pixels
    Raises Refusal ND1502 with the first offending event of every column.
    """

    table: NDArray[np.void]
    width: int
    height: int

    def __post_init__(self) -> None:
        faults = whole_faults("width", self.width, 1) + whole_faults("height", self.height, 1)
        raise_if(faults or list(self._faults()))

    def _faults(self) -> Iterator[Fault]:
        if getattr(self.table, "dtype", None) != EVENT or np.ndim(self.table) != 1:
            was = f"a table of type {getattr(self.table, 'dtype', type(self.table).__name__)}"
            yield Fault(
                "ND1502", "events", was, f"(event,) of type {EVENT}", "make it with single_events(t_us, x, y, p, ...)"
            )
            return
        ends = {"x": self.width, "y": self.height, "p": 2}
        bad = {n: (self.table[n] < 0) | (self.table[n] >= end) for n, end in ends.items()}
        bad["t_us"] = np.diff(self.table["t_us"], prepend=self.table["t_us"][:1]) < 0
        for name, mask in bad.items():
            if mask.any():
                at, count = int(np.argmax(mask)), int(mask.sum())
                was = f"{name} = {self.table[name][at]}" + (f" (the first of {count})" if count > 1 else "")
                todo = "sort the events by time" if name == "t_us" else ""
                yield Fault("ND1502", f"events[{at}]", was, _MUST, todo, {"index": at, "count": count})

    def __len__(self) -> int:
        return len(self.table)

    @property
    def t_us(self) -> NDArray[np.int64]:
        """(event,) microseconds."""
        return np.asarray(self.table["t_us"])

    def between(self, start_us: int, stop_us: int) -> "Events":
        """Events from start_us on, before stop_us; times are kept."""
        first, last = np.searchsorted(self.t_us, [start_us, stop_us])
        return replace(self, table=self.table[first : max(first, last)])

    def shifted(self, by_us: int) -> "Events":
        """The same events by_us later; earlier where it is negative."""
        return self._changed(t_us=self.t_us + by_us)

    def cut(self, x: int, y: int, width: int, height: int) -> "Events":
        """Events of a rectangle, whose upper left corner becomes (0, 0).

        Raises Refusal ND1503 for a rectangle that leaves the sensor.
        """
        faults = whole_faults("x", x, 0, self.width - 1) + whole_faults("y", y, 0, self.height - 1)
        faults = faults or whole_faults("width", width, 1, self.width - x)
        raise_if(faults or whole_faults("height", height, 1, self.height - y))
        inside = (self.table["x"] >= x) & (self.table["x"] < x + width)
        inside &= (self.table["y"] >= y) & (self.table["y"] < y + height)
        table = self._changed_table(x=self.table["x"] - x, y=self.table["y"] - y)
        return Events(table[inside], width, height)

    def pooled(self, columns: int, rows: int) -> "Events":
        """Every event at (x // columns, y // rows); none is lost.

        Raises Refusal ND1503 where the sensor is not divisible.
        """
        faults = whole_faults("columns", columns, 1) + whole_faults("rows", rows, 1)
        for name, size, by in (("columns", self.width, columns), ("rows", self.height, rows)):
            if not faults and size % by:
                faults.append(Fault("ND1503", name, f"{size} pixels pooled by {by}", "a divisor", "cut first"))
        raise_if(faults)
        changed = self._changed(x=self.table["x"] // columns, y=self.table["y"] // rows)
        return replace(changed, width=self.width // columns, height=self.height // rows)

    def mirrored(self, *, x: bool = False, y: bool = False, diagonal: bool = False) -> "Events":
        """Mirrored left to right, top to bottom, and then rows exchanged with columns."""
        at_x = self.width - 1 - self.table["x"] if x else self.table["x"]
        at_y = self.height - 1 - self.table["y"] if y else self.table["y"]
        if diagonal:
            return Events(self._changed_table(x=at_y, y=at_x), self.height, self.width)
        return self._changed(x=at_x, y=at_y)

    def merged(self) -> "Events":
        """Both polarities as one, 0."""
        return self._changed(p=np.zeros(len(self), np.int64))

    def _changed_table(self, **columns: NDArray[np.int64]) -> NDArray[np.void]:
        table = self.table.copy()
        for name, values in columns.items():
            table[name] = values
        return table

    def _changed(self, **columns: NDArray[np.int64]) -> "Events":
        return replace(self, table=self._changed_table(**columns))

    def to_counts(self, dt_us: int, steps: int | None = None, *, start_us: int = 0, channels: int = 2) -> NDArray[Any]:
        """(time, channel, row, column) events in steps of dt_us from start_us on; channel is the polarity.

        steps : None reaches to the last event
        channels : 1 for events of polarity 0 alone (merged)
        Raises Refusal ND1503 for options, ND1502 for events before the first or after the last step.
        """
        step = self.binned(dt_us, steps, start_us, channels)
        number = steps if steps is not None else int(step.max(initial=-1)) + 1
        counts = np.zeros((number, channels, self.height, self.width), np.int64)
        np.add.at(counts, (step, self.table["p"], self.table["y"], self.table["x"]), 1)
        return counts

    def binned(self, dt_us: int, steps: int | None, start_us: int, channels: int) -> NDArray[np.int64]:
        """(event,) time step of every event; refuses as ``to_counts`` does."""
        faults = whole_faults("dt_us", dt_us, 1) + whole_faults("channels", channels, 1, 2)
        raise_if(faults + (whole_faults("steps", steps, 0) if steps is not None else []))
        step = (self.t_us - start_us) // dt_us
        outside = (step < 0) | (step >= steps if steps is not None else np.zeros(len(step), bool))
        if outside.any():
            at = int(np.argmax(outside))
            was = f"t_us = {self.t_us[at]}, and {int(outside.sum()) - 1} more such events"
            must = f"{'from' if steps is None else f'{steps} steps of {dt_us} us from'} {start_us} us on"
            faults.append(Fault("ND1502", f"events[{at}]", was, must, "take between(...) first", {"index": at}))
        if channels == 1 and self.table["p"].any():
            at = int(np.argmax(self.table["p"] == 1))
            faults.append(Fault("ND1502", f"events[{at}]", "p = 1 of one channel", "p = 0", "take merged() first"))
        raise_if(faults)
        return np.asarray(step)


def single_events(t_us: ArrayLike, x: ArrayLike, y: ArrayLike, p: ArrayLike, *, width: int, height: int) -> Events:
    """Build Events from columns, each (event,) of whole numbers.

    Raises Refusal ND1502.
    """
    columns = {"t_us": np.asarray(t_us), "x": np.asarray(x), "y": np.asarray(y), "p": np.asarray(p)}
    faults = []
    for name, values in columns.items():
        if values.dtype.kind not in "biu" and values.size:
            faults.append(Fault("ND1502", name, f"type {values.dtype}", "whole numbers"))
        if values.shape != (columns["t_us"].size,):
            must = f"(event,), {columns['t_us'].size} as in t_us"
            faults.append(Fault("ND1502", name, f"shape {values.shape}", must))
    raise_if(faults)
    table = np.zeros(columns["t_us"].size, EVENT)
    for name, values in columns.items():
        table[name] = values
    return Events(table, width, height)


def from_raster(raster: ArrayLike, dt_us: int) -> Events:
    """Events of a raster (time, channel, row, column): a count of n becomes n events at the beginning of its step.

    Order: by step, then channel, row, column; equal events one after the other. ``to_counts`` gives the raster back.
    Raises Refusal ND1502, ND1503.
    """
    counts = np.asarray(raster)
    faults = whole_faults("dt_us", dt_us, 1)
    if counts.ndim != 4 or counts.dtype.kind not in "biu" or (counts.size and counts.min() < 0):
        was = f"shape {counts.shape}, type {counts.dtype}"
        faults.append(Fault("ND1502", "raster", was, "(time, channel, row, column), whole numbers from 0"))
    elif counts.shape[1] > 2:
        faults.append(Fault("ND1502", "raster", f"{counts.shape[1]} channels", "1 or 2, the polarities"))
    raise_if(faults)
    place = np.nonzero(counts)
    step, p, y, x = (np.repeat(c, counts[place].astype(np.int64)) for c in place)
    return single_events(step * dt_us, x, y, p, width=counts.shape[3], height=counts.shape[2])


def stimulus(
    samples: Events | Sequence[Events], dt_us: int, steps: int | None = None, *, channels: int = 2
) -> Stimulus:
    """Input of a simulation: every event on its own, in its order, on a group of shape (channel, row, column).

    samples : recordings that begin at 0 us, one for each sample, of equal sensors
    dt_us : microseconds of a time step
    steps : None reaches to the last event of all
    channels : 2, the polarity; 1 for merged events
    Raises Refusal ND1502, ND1503.
    """
    given = [samples] if isinstance(samples, Events) else list(samples)
    sizes = {(s.width, s.height) for s in given}
    if len(sizes) != 1:
        must = "recordings of equal sensors, at least one"
        raise_if([Fault("ND1502", "samples", f"sensors of {sorted(sizes)}", must)])
    step = [s.binned(dt_us, steps, 0, channels) for s in given]
    number = steps if steps is not None else max((int(s.max(initial=-1)) for s in step), default=-1) + 1
    neuron = [(s.table["p"] * s.height + s.table["y"]) * s.width + s.table["x"] for s in given]
    return Stimulus(
        number,
        len(given),
        np.concatenate(step),
        np.repeat(np.arange(len(given)), [len(s) for s in given]),
        np.concatenate(neuron),
        None,
        np.concatenate([s.t_us for s in given]),
    )


def moving_edge(
    count: int = 100_000, *, width: int = 128, height: int = 128, duration_us: int = 1_000_000, seed: int = 0
) -> Events:
    """A made-up recording: a tilted bright bar crosses the sensor; its front makes events of p = 1, its back of p = 0.

    count : events; a tenth of them is noise, evenly spread
    Equal arguments give equal events.
    Raises Refusal ND1503.
    """
    faults = [f for n, v in (("count", count), ("duration_us", duration_us)) for f in whole_faults(n, v, 1)]
    faults += [f for n, v in (("width", width), ("height", height)) for f in whole_faults(n, v, 2)]
    raise_if(faults + whole_faults("seed", seed, 0))
    rng = np.random.default_rng(seed)
    t_us = np.sort(rng.integers(0, duration_us, count))
    y = rng.integers(0, height, count)
    p = rng.integers(0, 2, count)
    bar = width // 8 + 1
    front = t_us * (width + bar) // duration_us + y * bar // height - (1 - p) * bar
    x = front + rng.integers(-1, 2, count)
    stray = (rng.random(count) < 0.1) | (x < 0) | (x >= width)
    x = np.where(stray, rng.integers(0, width, count), x)
    return single_events(t_us, x, y, p, width=width, height=height)
