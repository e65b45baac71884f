"""A bundle as one .zip: nothing is compressed, and no byte of it is free, so that every change shows.

Written and read here and not by zipfile: its bytes are those of one version of Python, and it reads much that a bundle
never holds. The layout is that of APPNOTE.TXT of PKWARE, 4.3.
"""

import io
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurodeploy.bundles.files import ANEW, MANIFEST, Files, known, size_faults
from neurodeploy.errors import Fault, Refusal, raise_if

SUFFIX = ".zip"
_DAY = 1 << 5 | 1  # the first that a zip can state, 1980-01-01; when it was made stands in one file alone
_LOCAL, _CENTRAL, _END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
# version, flags, method, time, day, checksum, two sizes, two lengths: in local headers and in the directory alike
_COMMON = struct.Struct("<5H3L2H")
# made by, the same, comment, disk, internal and external attributes, place of the local header
_ENTRY = struct.Struct("<H5H3L2H3H2L")
_TAIL = struct.Struct("<4H2LH")
_MADE_BY = 3 << 8 | 20  # a Unix: the only system whose entries say what kind of file they are
_PLAIN = 0o100644 << 16
_MOST_ENTRIES, _MOST_NAME = 1000, 120


@dataclass(frozen=True)
class _Entry:
    """What the directory says of a file. stored : its bytes lie there as they are; place : of its local header."""

    name: str
    stored: bool
    checksum: int
    size: int
    attributes: int
    place: int

    @property
    def begin(self) -> int:
        return self.place + len(_LOCAL) + _COMMON.size + len(self.name)


def pack(files: Mapping[str, bytes]) -> bytes:
    """The archive of some files, always the same bytes: sorted, stored, without times."""
    return b"".join(_pieces(files))


def _pieces(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """Local headers with contents, the directory, its end."""
    directory, offset = bytearray(), 0
    for name in sorted(files):
        content, label = files[name], name.encode("ascii")
        common = 20, 0, 0, 0, _DAY, zlib.crc32(content), len(content), len(content), len(label), 0
        local = _LOCAL + _COMMON.pack(*common) + label
        yield local
        yield content
        directory += _CENTRAL + _ENTRY.pack(_MADE_BY, *common, 0, 0, 0, _PLAIN, offset) + label
        offset += len(local) + len(content)
    yield bytes(directory)
    yield _END + _TAIL.pack(0, 0, len(files), len(files), len(directory), offset, 0)


def read_zip(path: Path) -> Files:
    """Files of an archive, in memory.

    Raises Refusal ND2101 with every entry that is no plain file of a bundle, that is too large or stands twice, before
    anything of it is read; ND1403 for files, or an archive around the files, that are not as they were written.
    """
    where = str(path)
    try:
        with path.open("rb") as stream:
            entries = _entries(where, stream)
            raise_if(list(_entry_faults(where, entries, stream.seek(0, io.SEEK_END))))
            files = {e.name: _content(stream, e) for e in entries}
            raise_if([f for e in entries for f in _content_faults(where, e, files[e.name])])
            _refuse_other_frame(where, stream, files)
            return files
    except OSError as error:
        was = f"cannot be read ({error.strerror or error})"
        raise Refusal(Fault("ND2101", where, was, "a bundle that can be read")) from None


def read_manifest(path: Path) -> tuple[tuple[str, ...], bytes]:
    """Names in an archive, and the bytes of its manifest, unchecked; raises Refusal ND2101 or OSError."""
    where = str(path)
    with path.open("rb") as stream:
        entries = _entries(where, stream)
        found = [e for e in entries if e.name == MANIFEST]
        raise_if([f for e in found for f in size_faults(where, {e.name: e.size})])
        return tuple(e.name for e in entries), b"".join(_content(stream, e) for e in found)


def _entries(where: str, stream: io.BufferedReader) -> list[_Entry]:
    """The directory; it lies where its end says, and its end is the end of the file."""
    whole = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, whole - len(_END) - _TAIL.size))
    end = stream.read()
    must = "the folder of a bundle, or its .zip as neurodeploy writes it"
    if len(end) != len(_END) + _TAIL.size or not end.startswith(_END):
        was = "no archive, or one that is cut or has something after its end"
        raise Refusal(Fault("ND2101", where, was, must, ANEW))
    _, _, _, count, size, begin, _ = _TAIL.unpack(end[len(_END) :])
    if count > _MOST_ENTRIES or size > _MOST_ENTRIES * (_ENTRY.size + _MOST_NAME):
        short = f"at most {_MOST_ENTRIES:,}, with short names"
        raise Refusal(Fault("ND2101", where, f"{count:,} entries", short, ANEW))
    stream.seek(begin)
    table, at, entries = stream.read(size), 0, list[_Entry]()
    for number in range(count):
        fixed = table[at : at + len(_CENTRAL) + _ENTRY.size]
        if len(fixed) != len(_CENTRAL) + _ENTRY.size or not fixed.startswith(_CENTRAL):
            raise Refusal(Fault("ND2101", where, f"entry {number} of its directory is damaged", must, ANEW))
        values = _ENTRY.unpack(fixed[len(_CENTRAL) :])
        flags, method, checksum, packed, length = values[2], values[3], *values[6:9]
        label, extra, comment = values[9:12]
        at += len(fixed)
        name = table[at : at + label].decode("ascii", "backslashreplace")
        stored = not flags and not method and packed == length
        entries.append(_Entry(name, stored, checksum, length, values[14], values[15]))
        at += label + extra + comment
    return entries


def _entry_faults(where: str, entries: Sequence[_Entry], length: int) -> Iterator[Fault]:
    names = [e.name for e in entries]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield Fault("ND2101", f"{where}, {_shown(name)}", "stands twice", "one entry for each file", ANEW)
    for e in entries:
        place = f"{where}, {_shown(e.name)}"
        if not known(e.name):
            must = "a file of a bundle: no folders, no paths that lead elsewhere, no other names"
            yield Fault("ND2101", place, "additional", must, "take it out")
        elif e.attributes >> 28 not in {0, _PLAIN >> 28}:  # others may say nothing of it
            yield Fault("ND2101", place, "a link or a special file", "a plain file", ANEW)
        elif not e.stored:
            must = "stored as it is: what a bundle asks for is no more than it weighs"
            todo = "unpack it and use the folder, or write the bundle anew"
            yield Fault("ND2101", place, "compressed or encrypted", must, todo)
    sizes = {e.name: e.size for e in entries}
    yield from size_faults(where, sizes)
    if sum(sizes.values()) > length:
        was = f"entries of {sum(sizes.values()):,} bytes in an archive of {length:,}"
        yield Fault("ND2101", where, was, "no more than it holds", ANEW)


def _shown(name: str) -> str:
    return f"{name:.120}" if name.isprintable() and name else f"{name!r:.120}"


def _content(stream: io.BufferedReader, entry: _Entry) -> bytes:
    stream.seek(entry.begin)
    return stream.read(entry.size)


def _content_faults(where: str, entry: _Entry, content: bytes) -> Iterator[Fault]:
    found = zlib.crc32(content)
    if len(content) != entry.size or found != entry.checksum:
        was = f"changed since it was written: checksum {found:08x} of {len(content):,} bytes"
        must = f"checksum {entry.checksum:08x} of {entry.size:,} bytes"
        yield Fault("ND1403", f"{where}, {entry.name}", was, must, ANEW, {"file": entry.name})


def _refuse_other_frame(where: str, stream: io.BufferedReader, files: Files) -> None:
    """Refuse whatever stands around the files and is not as ``pack`` writes it: times, comments, order, gaps."""
    stream.seek(0)
    at = 0
    for piece in (*_pieces(files), b""):
        found = stream.read(len(piece) or 1)
        if found != piece:
            was = f"changed since it was written, around its files: byte {at + _first(found, piece):,}"
            must = "an archive as neurodeploy writes it: another program has packed or changed it"
            raise Refusal(Fault("ND1403", where, was, must, "unpack it and use the folder, or fetch it again"))
        at += len(piece)


def _first(found: bytes, must: bytes) -> int:
    return next((i for i, (a, b) in enumerate(zip(found, must, strict=False)) if a != b), min(len(found), len(must)))
