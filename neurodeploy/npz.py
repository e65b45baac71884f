"""Array files (.npz): the same arrays always give the same bytes, and nothing is ever unpickled."""

import os
import secrets
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from neurodeploy.errors import Fault, Refusal, raise_if

Arrays = dict[str, NDArray[Any]]

#: (names of the object arrays, all names) -> what the user can do about them
Remedy = Callable[[Sequence[str], Sequence[str]], str]

# the earliest time that a zip entry can carry; the time of making stands nowhere in the file
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_PICKLE_START = b"\x80"  # protocol 2 and later
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    SyntaxError,  # NumPy reads an array's header as Python literals
    tokenize.TokenError,
)


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as an uncompressed .npz: sorted by name, little-endian, row-major, without times.

    Uncompressed because the bytes of a compressed entry depend on the zlib that made them. ``read_arrays`` takes
    compressed files as well. The file appears under its name only when it is complete. Object arrays are the
    caller's fault (ValueError of NumPy).
    """
    with replacing(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", _NO_TIME)
            entry.create_system = 3  # on every system, for equal bytes
            entry.external_attr = 0o644 << 16
            array = np.asarray(arrays[name], order="C")
            with archive.open(entry, "w", force_zip64=True) as member:
                portable = array.astype(array.dtype.newbyteorder("<"), copy=False)
                np.lib.format.write_array(member, portable, version=(1, 0), allow_pickle=False)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Binary stream to a temporary file beside ``path`` that takes its name when the block ends without an error."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        stream = temporary.open("xb")
    except OSError as error:
        todo = "choose a folder that exists and can be written"
        raise Refusal(
            Fault("ND1401", str(target), f"cannot be written ({error.strerror})", "its folder must take files", todo)
        ) from error
    try:
        with stream:
            yield stream
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_arrays(path: str | os.PathLike[str], remedy: Remedy | None = None) -> Arrays:
    """Read every array of an .npz.

    remedy : words for the user whose file holds object arrays
    Raises Refusal: ND1401 for a file that is missing, truncated, damaged or no .npz; ND1402 for object arrays and
    pickles, which are never loaded because loading them runs code from the file.
    """
    where = str(path)
    try:
        with Path(path).open("rb") as stream:
            _refuse_other_formats(stream, where)
            with zipfile.ZipFile(stream) as archive:
                return _members(archive, where, remedy)
    except FileNotFoundError as error:
        raise Refusal(Fault("ND1401", where, "there is no such file", "an .npz is read", "check the path")) from error
    except Refusal:
        raise
    except OSError as error:
        must = "a file is read that may be read"
        raise Refusal(Fault("ND1401", where, f"cannot be read ({error.strerror or error})", must)) from error
    except _UNREADABLE as error:
        todo = "write or copy the file again"
        raise Refusal(
            Fault("ND1401", where, f"damaged or truncated ({error})", "a complete .npz is read", todo)
        ) from error


def _refuse_other_formats(stream: BinaryIO, where: str) -> None:
    start = stream.read(6)
    stream.seek(0)
    if start.startswith(_PICKLE_START):
        must = "loading a pickle runs code from it, so pickles are not read"
        raise Refusal(Fault("ND1402", where, "this is a pickle", must, "convert it to arrays where you trust it"))
    if start == b"\x93NUMPY":
        must = "an .npz with named arrays is read"
        raise Refusal(Fault("ND1401", where, "this is a single .npy array without names", must))
    if not start.startswith(b"PK"):
        was = "the file is empty" if not start else f"begins with {start!r}, so it is no .npz"
        raise Refusal(Fault("ND1401", where, was, "an .npz begins with b'PK'"))


def _members(archive: zipfile.ZipFile, where: str, remedy: Remedy | None) -> Arrays:
    entries = archive.infolist()
    if any(entry.comment for entry in entries):  # where a damaged length has swallowed the entry that follows
        raise ValueError("its list of entries is out of order")
    names = [entry.filename.removesuffix(".npy") for entry in entries]
    foreign = sorted(entry.filename for entry in entries if not entry.filename.endswith(".npy"))
    faults = [Fault("ND1401", where, f"contains {name!r}", "an .npz holds .npy arrays alone") for name in foreign]
    twice = sorted({name for name in names if names.count(name) > 1})
    faults += [Fault("ND1401", where, f"contains {name!r} more than once", "one array for each name") for name in twice]
    raise_if(faults)
    headers = {name: _header(archive, entry) for name, entry in zip(names, entries, strict=True)}
    objects = [name for name in sorted(names) if headers[name][0].hasobject]
    if objects:
        was = f"{' and '.join(objects)} {'holds' if len(objects) == 1 else 'hold'} pickled objects"
        must = "loading them runs code from the file, so only plain arrays are read"
        todo = remedy(objects, sorted(names)) if remedy else "save plain arrays instead"
        raise Refusal(Fault("ND1402", where, was, must, todo, {"objects": tuple(objects)}))
    arrays: Arrays = {}
    for name, entry in zip(names, entries, strict=True):
        dtype, size = headers[name]
        if size != entry.file_size:
            raise ValueError(f"{name} has {entry.file_size} bytes, its header states {size}")
        with archive.open(entry) as member:
            # zipfile compares the checksum when the last byte of the entry is read
            array = np.lib.format.read_array(member, allow_pickle=False)
        arrays[name] = array.astype(dtype.newbyteorder("="), copy=False)
    return arrays


def _header(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[np.dtype[Any], int]:
    """Type of an entry's array and the bytes that the entry must have; checked before memory is taken for it."""
    with archive.open(entry) as member:
        version = np.lib.format.read_magic(member)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        elif version == (2, 0):
            shape, _, dtype = np.lib.format.read_array_header_2_0(member)
        else:
            raise ValueError(f"{entry.filename} is of .npy version {version}")
        size = dtype.itemsize
        for length in shape:
            size *= length
        return dtype, member.tell() + size
