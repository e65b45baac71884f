"""Files of single events: our .npz, .csv, the 40-bit records of N-MNIST, and AEDAT4 through an optional library."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodeploy.errors import Fault, Refusal, missing_extra
from neurodeploy.events.stream import Events, single_events
from neurodeploy.npz import Arrays, read_arrays, write_arrays

SCHEMA_VERSION = 1
COLUMNS = ("t_us", "x", "y", "p")
_KEYS = {*COLUMNS, "width", "height", "schema_version"}
RECORD = 5  # bytes of an event: column, row, polarity with the high bits of the time, two more bytes of time
_TIME_BITS = 23


def save_events(path: str | os.PathLike[str], recording: Events) -> None:
    """Write events as an .npz: t_us, x, y, p, width, height, schema_version; the same content gives the same bytes."""
    numbers = {"width": recording.width, "height": recording.height, "schema_version": SCHEMA_VERSION}
    columns = {n: np.ascontiguousarray(recording.table[n]) for n in COLUMNS}
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
    width, height = sensor_of(arrays, set(arrays), file)
    return single_events(*(arrays[n] for n in COLUMNS), width=width, height=height)


def sensor_of(arrays: Arrays, names: set[str], file: Path) -> tuple[int, int]:
    """Width and height that a file of ours states.

    names : all that the file holds
    Raises Refusal ND1401, ND1404 for another file.
    """
    if names != _KEYS:
        was = f"keys {', '.join(sorted(names))}"
        raise Refusal(Fault("ND1401", str(file), was, f"exactly {', '.join(sorted(_KEYS))}", "use save_events"))
    numbers = {n: arrays[n].tolist() for n in ("width", "height", "schema_version")}
    if numbers["schema_version"] != SCHEMA_VERSION:
        was = f"schema_version {numbers['schema_version']!r}"
        raise Refusal(Fault("ND1404", str(file), was, f"version {SCHEMA_VERSION} is read", "write the file anew"))
    return numbers["width"], numbers["height"]


def _csv(file: Path, width: int, height: int) -> Events:
    with file.open("rb") as stream:
        refuse_csv_head(stream.readline(), file)
        table = csv_rows(stream, file, 2)
    return single_events(*table.T, width=width, height=height)


def refuse_csv_head(line: bytes, file: Path) -> None:
    """Refuse (ND1401) a first line that does not name the columns."""
    head = _text(line, file).rstrip("\r\n")
    if head.replace(" ", "") != ",".join(COLUMNS):
        was = f"the first line is {head!r}" if line else "the file is empty"
        raise Refusal(Fault("ND1401", str(file), was, f"the line {','.join(COLUMNS)}"))


def csv_rows(lines: Iterable[bytes], file: Path, first: int) -> NDArray[np.int64]:
    """(event, column) numbers of lines, of which the first has this number in the file.

    Raises Refusal ND1502 for the first line that is no event.
    """
    rows = []
    for number, line in enumerate(lines, first):
        text = _text(line, file).rstrip("\r\n")
        try:
            row = [int(cell) for cell in text.split(",")]
        except ValueError:
            row = []
        if len(row) != len(COLUMNS):
            must = "four whole numbers, as in its header"
            raise Refusal(Fault("ND1502", f"{file}, line {number}", repr(text), must))
        rows.append(row)
    return np.array(rows, np.int64).reshape(-1, len(COLUMNS))


def _text(line: bytes, file: Path) -> str:
    try:
        return line.decode("ascii")
    except UnicodeDecodeError as error:
        raise Refusal(Fault("ND1401", str(file), f"no plain text: {error}", "a table of whole numbers")) from None


def _forty_bits(file: Path, width: int, height: int) -> Events:
    return single_events(*record_columns(file.read_bytes(), file.stat().st_size, file), width=width, height=height)


def record_columns(content: bytes, total: int, file: Path) -> tuple[NDArray[np.int64], ...]:
    """Columns of records of 40 bits; refuses (ND1401) a file of ``total`` bytes that are no whole records."""
    if total % RECORD:
        was = f"{total} bytes"
        raise Refusal(Fault("ND1401", str(file), was, f"whole records of {RECORD} bytes", "copy the file again"))
    x, y, *rest = np.frombuffer(content, np.uint8).reshape(-1, RECORD).astype(np.int64).T
    word = (rest[0] << 16) | (rest[1] << 8) | rest[2]
    # where the counter turns over, the time falls: refused by Events, never guessed
    return word & ((1 << _TIME_BITS) - 1), x, y, word >> _TIME_BITS


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
    columns = [np.concatenate([none, *(p[names[n]].astype(np.int64) for p in packets)]) for n in COLUMNS]
    return single_events(*columns, width=stream["width"], height=stream["height"])


_UNSTATED = (".csv", ".bin")
_READERS: Mapping[str, Callable[[Path, int, int], Events]] = {
    ".npz": _npz,
    ".csv": _csv,
    ".bin": _forty_bits,
    ".aedat4": _aedat4,
}
