"""Files of single events: our .npz, .csv, the 40-bit records of N-MNIST, and AEDAT4 through an optional library."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from neurodeploy.errors import Fault, Refusal, missing_extra, raise_if
from neurodeploy.events.stream import Events, single_events
from neurodeploy.npz import read_arrays, write_arrays

SCHEMA_VERSION = 1
_COLUMNS = ("t_us", "x", "y", "p")
_KEYS = {*_COLUMNS, "width", "height", "schema_version"}
_RECORD = 5  # bytes of an event: column, row, polarity with the high bits of the time, two more bytes of time
_TIME_BITS = 23


def save_events(path: str | os.PathLike[str], recording: Events) -> None:
    """Write events as an .npz: t_us, x, y, p, width, height, schema_version; the same content gives the same bytes."""
    numbers = {"width": recording.width, "height": recording.height, "schema_version": SCHEMA_VERSION}
    columns = {n: np.ascontiguousarray(recording.table[n]) for n in _COLUMNS}
    write_arrays(path, columns | {n: np.array(v, np.int64) for n, v in numbers.items()})


def load_events(path: str | os.PathLike[str], *, width: int | None = None, height: int | None = None) -> Events:
    """Read events; the name says the format.

    ``.npz`` as ``save_events`` writes it; ``.csv`` with the line ``t_us,x,y,p`` at its top; ``.bin`` as N-MNIST has it
    (bytes: x, y, then the polarity as highest bit and 23 bits of microseconds); ``.aedat4`` with the library aedat.
    width, height : of the sensor, in pixels; for .csv and .bin they must be stated, other files state them
    Raises Refusal: ND1401 for the file, ND1404 for its version, ND1502 for events, ND9002 for a sensor that is not
    stated; Missing ND9001 without the library.
    """
    file = Path(path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        was, must = f"a file {file.suffix or 'without a suffix'}", f"one of {', '.join(_READERS)}"
        raise Refusal(Fault("ND1401", str(file), was, must, "rename it to what it is"))
    if file.suffix.lower() in _UNSTATED and (width is None or height is None):
        must = "width and height of the sensor, in pixels"
        raise Refusal(Fault("ND9002", str(file), "the file does not state the sensor", must, "width=34, height=34"))
    if file.suffix.lower() not in _UNSTATED and (width, height) != (None, None):
        raise Refusal(Fault("ND9002", str(file), "a sensor is given", "the file states it", "leave it out"))
    try:
        return reader(file, width or 0, height or 0)
    except OSError as error:
        was, must = f"cannot be read ({error.strerror or error})", "a file that exists and may be read"
        raise Refusal(Fault("ND1401", str(file), was, must)) from error


def _npz(file: Path, _width: int, _height: int) -> Events:
    arrays = read_arrays(file)
    if set(arrays) != _KEYS:
        was = f"keys {', '.join(sorted(arrays))}"
        raise Refusal(Fault("ND1401", str(file), was, f"exactly {', '.join(sorted(_KEYS))}", "use save_events"))
    numbers = {n: arrays[n].tolist() for n in ("width", "height", "schema_version")}
    if numbers["schema_version"] != SCHEMA_VERSION:
        was = f"schema_version {numbers['schema_version']!r}"
        raise Refusal(Fault("ND1404", str(file), was, f"version {SCHEMA_VERSION} is read", "write the file anew"))
    return single_events(*(arrays[n] for n in _COLUMNS), width=numbers["width"], height=numbers["height"])


def _csv(file: Path, width: int, height: int) -> Events:
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise Refusal(Fault("ND1401", str(file), f"no plain text: {error}", "a table of whole numbers")) from None
    header = ",".join(_COLUMNS)
    if not lines or lines[0].replace(" ", "") != header:
        was = f"the first line is {lines[0]!r}" if lines else "the file is empty"
        raise Refusal(Fault("ND1401", str(file), was, f"the line {header}"))
    rows, faults = [], list[Fault]()
    for number, line in enumerate(lines[1:], 2):
        try:
            row = [int(cell) for cell in line.split(",")]
        except ValueError:
            row = []
        if len(row) != len(_COLUMNS) and not faults:
            faults.append(Fault("ND1502", f"{file}, line {number}", repr(line), "four whole numbers, as in its header"))
        rows.append(row)
    raise_if(faults)
    table = np.array(rows, np.int64).reshape(-1, len(_COLUMNS))
    return single_events(*table.T, width=width, height=height)


def _forty_bits(file: Path, width: int, height: int) -> Events:
    content = np.frombuffer(file.read_bytes(), np.uint8)
    if content.size % _RECORD:
        was = f"{content.size} bytes"
        raise Refusal(Fault("ND1401", str(file), was, f"whole records of {_RECORD} bytes", "copy the file again"))
    x, y, *rest = content.reshape(-1, _RECORD).astype(np.int64).T
    word = (rest[0] << 16) | (rest[1] << 8) | rest[2]
    t_us, p = word & ((1 << _TIME_BITS) - 1), word >> _TIME_BITS
    # where the counter turns over, the time falls: refused by Events, never guessed
    return single_events(t_us, x, y, p, width=width, height=height)


def _aedat4(file: Path, _width: int, _height: int) -> Events:
    try:
        import aedat
    except ImportError:
        raise missing_extra("aedat", "aedat", f"reading {file}") from None
    try:
        decoder = aedat.Decoder(file)
        streams = decoder.id_to_stream()
        found = {i: s for i, s in streams.items() if s["type"] == "events"}
        packets = [p["events"] for p in decoder if p["stream_id"] in found]
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - the library states no exceptions of its own
        raise Refusal(Fault("ND1401", str(file), f"not decoded: {error}", "a complete AEDAT4 file")) from None
    if len(found) != 1:
        raise Refusal(Fault("ND1401", str(file), f"{len(found)} event streams", "exactly one"))
    (stream,) = found.values()
    names = {"t_us": "t", "x": "x", "y": "y", "p": "on"}
    none = np.zeros(0, np.int64)
    columns = [np.concatenate([none, *(p[names[n]].astype(np.int64) for p in packets)]) for n in _COLUMNS]
    return single_events(*columns, width=stream["width"], height=stream["height"])


_UNSTATED = (".csv", ".bin")
_READERS: Mapping[str, Callable[[Path, int, int], Events]] = {
    ".npz": _npz,
    ".csv": _csv,
    ".bin": _forty_bits,
    ".aedat4": _aedat4,
}
