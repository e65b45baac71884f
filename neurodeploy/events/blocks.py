"""Files of single events, read a block at a time."""

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodeploy import npz
from neurodeploy.errors import Fault, Refusal
from neurodeploy.events.recordings import (
    COLUMNS,
    RECORD,
    csv_rows,
    load_events,
    record_columns,
    refuse_csv_head,
    sensor_of,
)
from neurodeploy.events.stream import Events, single_events

AT_ONCE = 1 << 16  # events of a block
Columns = tuple[NDArray[np.int64], ...]
Sensor = tuple[int, int] | None  # None where the file does not state it


def event_blocks(
    path: str | os.PathLike[str], *, width: int | None = None, height: int | None = None, at_once: int = AT_ONCE
) -> Iterator[Events]:
    """Read events a block at a time; together they are what ``load_events`` reads at once.

    An ``.aedat4`` file is one block: it is decoded as a whole.
    width, height : of the sensor, in pixels, for files that do not state it; others ignore them
    Raises Refusal as ``load_events`` does, when the block comes.
    """
    file = Path(path)
    reader = {".npz": _npz, ".csv": _csv, ".bin": _records}.get(file.suffix.lower())
    if reader is None:
        yield load_events(file)
        return
    number, last = 0, None
    try:
        for columns, size in reader(file, at_once):
            found_width, found_height = size or (width or 0, height or 0)
            block = _shifted(columns, number, width=found_width, height=found_height)
            first = block.t_us[:1]
            if last is not None and first.size and first[0] < last:
                was, must = f"t_us = {first[0]}", "whole numbers, with t_us never falling"
                raise Refusal(Fault("ND1502", f"events[{number}]", was, must, "sort the events by time"))
            yield block
            number, last = number + len(block), int(block.t_us[-1]) if len(block) else last
    except OSError as error:
        was, must = f"cannot be read ({error.strerror or error})", "a file that exists and may be read"
        raise Refusal(Fault("ND1401", str(file), was, must)) from error


def _shifted(columns: Columns, number: int, *, width: int, height: int) -> Events:
    """Events of a block; a fault names the place in the whole file."""
    try:
        return single_events(*columns, width=width, height=height)
    except Refusal as refusal:
        raise Refusal([_moved(f, number) for f in refusal.faults]) from None


def _moved(fault: Fault, number: int) -> Fault:
    at = fault.values.get("index")
    return replace(fault, where=f"events[{number + at}]") if isinstance(at, int) else fault


def _npz(file: Path, at_once: int) -> Iterator[tuple[Columns, Sensor]]:
    sensor = sensor_of(npz.read_arrays(file, leave=COLUMNS), set(npz.read_headers(file)), file)
    for columns in zip(*(npz.read_blocks(file, n, at_once) for n in COLUMNS), strict=True):
        yield columns, sensor


def _csv(file: Path, at_once: int) -> Iterator[tuple[Columns, Sensor]]:
    with file.open("rb") as stream:
        refuse_csv_head(stream.readline(), file)
        number = 2
        while lines := list(islice(stream, at_once)):
            yield tuple(csv_rows(lines, file, number).T), None
            number += len(lines)


def _records(file: Path, at_once: int) -> Iterator[tuple[Columns, Sensor]]:
    total = file.stat().st_size
    with file.open("rb") as stream:
        while content := stream.read(at_once * RECORD):
            yield record_columns(content, total, file), None
