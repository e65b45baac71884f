"""Array files (.npz): the same arrays always give the same bytes, and nothing is ever unpickled."""

import io
import math
import os
import secrets
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from neurodeploy.errors import Fault, Refusal, raise_if

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Held:
    """A file that is in memory.

    name : what refusals call it
    Nothing in an .npz that is held may be compressed: what is read of it then takes no more memory than it does.
    """

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name


File = str | os.PathLike[str] | Held

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


@dataclass(frozen=True)
class Header:
    """What a saved array is. by_columns : its first axis runs fastest in the file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    by_columns: bool = False

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape, start=self.dtype.itemsize)


@dataclass(frozen=True)
class Blocks:
    """An array that is written while it is made: parts along the first axis, one after the other."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    parts: Iterable[NDArray[Any]]

    def write(self, stream: IO[bytes]) -> None:
        """Write the array; the same bytes as those of one whole array. Other parts than stated are a ValueError."""
        portable = self.dtype.newbyteorder("<")
        head = {"descr": np.lib.format.dtype_to_descr(portable), "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(stream, head)
        rows = 0
        for part in self.parts:
            if part.dtype != self.dtype or part.shape[1:] != self.shape[1:]:
                raise ValueError(f"a part of type {part.dtype} and shape {part.shape} of an array {self.shape}")
            rows += len(part)
            stream.write(np.ascontiguousarray(part, portable).tobytes())
        if rows != self.shape[0]:
            raise ValueError(f"{rows} rows of an array {self.shape}")


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any] | Blocks]) -> None:
    """Write arrays as an uncompressed .npz: sorted by name, little-endian, row-major, without times.

    Uncompressed because the bytes of a compressed entry depend on the zlib that made them. ``read_arrays`` takes
    compressed files as well. The file appears under its name only when it is complete. Object arrays are the
    caller's fault (ValueError of NumPy).
    """
    with replacing(path) as stream:
        _write(stream, arrays)


def pack_arrays(arrays: Mapping[str, NDArray[Any] | Blocks]) -> bytes:
    """Bytes of the file that ``write_arrays`` would write."""
    stream = io.BytesIO()
    _write(stream, arrays)
    return stream.getvalue()


def _write(stream: BinaryIO, arrays: Mapping[str, NDArray[Any] | Blocks]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", _NO_TIME)
            entry.create_system = 3  # on every system, for equal bytes
            entry.external_attr = 0o644 << 16
            given = arrays[name]
            with archive.open(entry, "w", force_zip64=True) as member:
                if isinstance(given, Blocks):
                    given.write(member)
                    continue
                array = np.asarray(given, order="C")
                portable = array.astype(array.dtype.newbyteorder("<"), copy=False)
                np.lib.format.write_array(member, portable, version=(1, 0), allow_pickle=False)


def refuse_place(path: str | os.PathLike[str]) -> None:
    """Refuse a name under which no file can be written, before work is spent on what would stand there.

    Raises Refusal ND1401 for a folder, and for a name in a folder that does not exist or takes no files.
    """
    target = Path(path)
    if target.is_dir():
        raise Refusal(Fault("ND1401", str(target), "a folder of that name exists", "the name of a file"))
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK):
        was = "its folder does not exist" if not target.parent.exists() else "its folder takes no files"
        raise Refusal(Fault("ND1401", str(target), was, "a folder that exists and can be written", "create it first"))


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Binary stream to a temporary file beside ``path`` that takes its name when the block ends without an error."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as stream:
            yield stream
        temporary.replace(target)
    except OSError as error:
        was, must = f"cannot be written ({error.strerror or error})", "its folder must take files"
        todo = "choose a folder that exists and can be written"
        raise Refusal(Fault("ND1401", str(target), was, must, todo)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_arrays(path: File, remedy: Remedy | None = None, *, leave: Collection[str] = ()) -> Arrays:
    """Read every array of an .npz.

    remedy : words for the user whose file holds object arrays
    leave : names of arrays that are not read
    Raises Refusal: ND1401 for a file that is missing, truncated, damaged or no .npz; ND1402 for object arrays and
    pickles, which are never loaded because loading them runs code from the file.
    """
    arrays: Arrays = {}
    with _opened(path, remedy) as (archive, headers):
        for name in [n for n in headers if n not in leave]:
            with archive.open(f"{name}.npy") as member:
                # zipfile compares the checksum when the last byte of the entry is read
                array = np.lib.format.read_array(member, allow_pickle=False)
            arrays[name] = array.astype(headers[name].dtype.newbyteorder("="), copy=False)
    return arrays


def read_headers(path: str | os.PathLike[str], remedy: Remedy | None = None) -> dict[str, Header]:
    """Read what every array of an .npz is, and none of its values; refuses as ``read_arrays`` does."""
    with _opened(path, remedy) as (_, headers):
        return headers


def read_blocks(path: str | os.PathLike[str], name: str, rows: int) -> Iterator[NDArray[Any]]:
    """Read an array of an .npz in parts of so many rows, the last one of what is left; only one is held.

    Raises Refusal as ``read_arrays`` does, damage only when it is met; ND1401 for an array that lies by columns.
    """
    with _opened(path, None) as (archive, headers), archive.open(f"{name}.npy") as member:
        _refuse_columns(headers[name], f"{path}, {name}")
        _member_header(member)
        yield from _parts(member, headers[name], rows)


def read_npy_header(path: str | os.PathLike[str]) -> Header:
    """Read what a single saved array (.npy) is.

    Raises Refusal ND1401 for a file of another format or length, ND1402 for one of objects.
    """
    with _reading(path, "a .npy"), Path(path).open("rb") as stream:
        return _npy_header(stream, str(path))


def read_npy_blocks(path: str | os.PathLike[str], rows: int) -> Iterator[NDArray[Any]]:
    """Read a single saved array (.npy) in parts of so many rows, the last one of what is left; only one is held.

    Unlike a memory map it leaves no pages behind. Raises Refusal as ``read_npy_header`` does.
    """
    with _reading(path, "a .npy"), Path(path).open("rb") as stream:
        yield from _parts(stream, _npy_header(stream, str(path)), rows)


def _parts(stream: IO[bytes], header: Header, rows: int) -> Iterator[NDArray[Any]]:
    row = math.prod(header.shape[1:])
    for begin in range(0, header.shape[0], rows):
        count = min(rows, header.shape[0] - begin)
        values = bytearray(stream.read(count * row * header.dtype.itemsize))
        if len(values) != count * row * header.dtype.itemsize:
            raise ValueError(f"it ends in row {begin + len(values) // max(row * header.dtype.itemsize, 1)}")
        array = np.frombuffer(values, header.dtype).reshape(count, *header.shape[1:])
        yield array.astype(header.dtype.newbyteorder("="), copy=False)
    stream.read(1)  # an entry of an archive compares its checksum at its end


def _npy_header(stream: BinaryIO, where: str) -> Header:
    start = stream.read(6)
    stream.seek(0)
    if start.startswith(_PICKLE_START):
        must = "loading a pickle runs code from it, so pickles are not read"
        raise Refusal(Fault("ND1402", where, "this is a pickle", must, "convert it to arrays where you trust it"))
    if start != b"\x93NUMPY":
        was = "the file is empty" if not start else f"begins with {start!r}"
        raise Refusal(Fault("ND1401", where, was, "a .npy begins with b'\\x93NUMPY'"))
    header = _member_header(stream)
    if header.dtype.hasobject:
        must = "loading them runs code from the file, so only plain arrays are read"
        raise Refusal(Fault("ND1402", where, "it holds pickled objects", must, "save plain arrays instead"))
    _refuse_columns(header, where)
    begin = stream.tell()
    found = stream.seek(0, os.SEEK_END) - begin
    stream.seek(begin)
    if found != header.size:
        raise ValueError(f"{found} bytes of values, its header states {header.size}")
    return header


def _refuse_columns(header: Header, where: str) -> None:
    if header.by_columns and sum(n > 1 for n in header.shape) > 1:
        todo = "save np.ascontiguousarray(array)"
        raise Refusal(Fault("ND1401", where, "an array that lies by columns", "rows one after the other", todo))


@contextmanager
def _reading(path: File, what: str) -> Iterator[None]:
    """Whatever goes wrong while a file is read becomes a refusal."""
    where = str(path)
    try:
        yield
    except FileNotFoundError as error:
        raise Refusal(Fault("ND1401", where, "there is no such file", f"{what} is read", "check the path")) from error
    except Refusal:
        raise
    except OSError as error:
        must = "a file is read that may be read"
        raise Refusal(Fault("ND1401", where, f"cannot be read ({error.strerror or error})", must)) from error
    except _UNREADABLE as error:
        todo, must = "write or copy the file again", f"a complete {what.removeprefix('a ').removeprefix('an ')} is read"
        raise Refusal(Fault("ND1401", where, f"damaged or truncated ({error})", must, todo)) from error


@contextmanager
def _opened(path: File, remedy: Remedy | None) -> Iterator[tuple[zipfile.ZipFile, dict[str, Header]]]:
    """An .npz with the headers of its arrays, after all checks that need no values."""
    where = str(path)
    with _reading(path, "an .npz"), _stream(path) as stream:
        _refuse_other_formats(stream, where)
        with zipfile.ZipFile(stream) as archive:
            if isinstance(path, Held):
                _refuse_growth(archive, path)
            yield archive, _headers(archive, where, remedy)


def _stream(path: File) -> BinaryIO:
    return io.BytesIO(path.content) if isinstance(path, Held) else Path(path).open("rb")


def _refuse_growth(archive: zipfile.ZipFile, held: Held) -> None:
    """Entries that are compressed, or that lie over each other, so that a small file asks for much memory."""
    entries = archive.infolist()
    packed = sorted(e.filename for e in entries if e.compress_type != zipfile.ZIP_STORED)
    if packed:
        was = f"{packed[0]} is compressed"
        raise Refusal(Fault("ND1401", held.name, was, "arrays as they are, as neurodeploy writes them"))
    if sum(e.file_size for e in entries) > len(held.content):
        raise ValueError(f"its entries state more bytes than the {len(held.content)} that it has")


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


def _headers(archive: zipfile.ZipFile, where: str, remedy: Remedy | None) -> dict[str, Header]:
    entries = archive.infolist()
    if any(entry.comment for entry in entries):  # where a damaged length has swallowed the entry that follows
        raise ValueError("its list of entries is out of order")
    names = [entry.filename.removesuffix(".npy") for entry in entries]
    foreign = sorted(entry.filename for entry in entries if not entry.filename.endswith(".npy"))
    faults = [Fault("ND1401", where, f"contains {name!r}", "an .npz holds .npy arrays alone") for name in foreign]
    twice = sorted({name for name in names if names.count(name) > 1})
    faults += [Fault("ND1401", where, f"contains {name!r} more than once", "one array for each name") for name in twice]
    raise_if(faults)
    headers, sizes = dict[str, Header](), dict[str, int]()
    for name, entry in zip(names, entries, strict=True):
        with archive.open(entry) as member:
            headers[name] = _member_header(member)
            sizes[name] = member.tell() + headers[name].size
    objects = [name for name in sorted(names) if headers[name].dtype.hasobject]
    if objects:
        was = f"{' and '.join(objects)} {'holds' if len(objects) == 1 else 'hold'} pickled objects"
        must = "loading them runs code from the file, so only plain arrays are read"
        todo = remedy(objects, sorted(names)) if remedy else "save plain arrays instead"
        raise Refusal(Fault("ND1402", where, was, must, todo, {"objects": tuple(objects)}))
    for name, entry in zip(names, entries, strict=True):
        if sizes[name] != entry.file_size:  # before memory is taken for it
            raise ValueError(f"{name} has {entry.file_size} bytes, its header states {sizes[name]}")
    return headers


def _member_header(stream: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"it is of .npy version {version}")
    return Header(dtype, shape, by_columns)
