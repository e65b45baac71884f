"""Messages of protocol buffers as plain values: read field by field with a bound on their number.

Nothing is allocated that is longer than the file; long fields stay views of it. A field that stands twice where one
belongs, or in a form that is not its own, is refused, although parsers of others take the last or skip it.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

#: Fields of one file, of any message: a person's network has some thousands.
MOST_FIELDS = 200_000
MOST_DEPTH = 12  # messages in messages

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NATURAL = {"int": _VARINT, "float": _FIXED32, "double": _FIXED64}


class BrokenError(ValueError):
    """What is no such message; the text says why."""


class Field(NamedTuple):
    """A field of a message.

    kind : int, float, double, bytes, text, or the name of a message
    many : it may stand any number of times, at most ``most``; numbers may be packed
    """

    name: str
    kind: str
    many: bool = False
    most: int = MOST_FIELDS


Spec = Mapping[int, Field]


@dataclass
class Reader:
    """Reads messages; ``specs`` are the fields that matter by message, others are skipped."""

    specs: Mapping[str, Spec]
    left: int = MOST_FIELDS

    def message(self, name: str, view: memoryview, depth: int = 0) -> dict[str, Any]:
        """Fields by name; those that may stand many times are lists. Raises BrokenError."""
        if depth > MOST_DEPTH:
            raise BrokenError(f"messages nested more than {MOST_DEPTH} deep")
        spec = self.specs[name]
        found: dict[str, Any] = {f.name: [] for f in spec.values() if f.many}
        for number, form, value in self._fields(view):
            if number not in spec:
                continue
            known = spec[number]
            where = f"{name}.{known.name}"
            if known.many:
                self._add(found[known.name], known, form, value, where, depth)
            elif known.name in found:
                raise BrokenError(f"{where} stands twice")
            else:
                found[known.name] = self._one(known, form, value, where, depth)
        return found

    def _fields(self, view: memoryview) -> Iterator[tuple[int, int, Any]]:
        at, end = 0, len(view)
        while at < end:
            self._count(1)
            tag, at = _varint(view, at)
            number, form = tag >> 3, tag & 7
            if number == 0 or number >= 1 << 29:
                raise BrokenError(f"field number {number}")
            if form == _VARINT:
                value, at = _varint(view, at)
                yield number, form, value
                continue
            if form not in {_FIXED64, _BYTES, _FIXED32}:
                raise BrokenError(f"a field of wire type {form}")
            size = {_FIXED64: 8, _FIXED32: 4}.get(form, 0)
            if form == _BYTES:
                size, at = _varint(view, at)
            if size > end - at:
                raise BrokenError(f"{size:,} bytes are announced where {end - at:,} follow")
            yield number, form, view[at : at + size]
            at += size

    def _count(self, fields: int) -> None:
        self.left -= fields
        if self.left < 0:
            raise BrokenError(f"more than {MOST_FIELDS:,} fields")

    def _one(self, known: Field, form: int, value: Any, where: str, depth: int) -> Any:
        if form != _NATURAL.get(known.kind, _BYTES):
            raise BrokenError(f"{where} has wire type {form}")
        if known.kind == "int":
            return _signed(value)
        if known.kind in {"float", "double"}:
            return struct.unpack("<f" if known.kind == "float" else "<d", value)[0]
        if known.kind == "bytes":
            return value
        if known.kind == "text":
            try:
                return bytes(value).decode()
            except UnicodeDecodeError:
                raise BrokenError(f"{where} is no UTF-8") from None
        return self.message(known.kind, value, depth + 1)

    def _add(self, to: list[Any], known: Field, form: int, value: Any, where: str, depth: int) -> None:
        """One more of many. Packed floats stay a view, packed integers are counted like single ones."""
        if len(to) >= known.most:
            raise BrokenError(f"more than {known.most:,} times {where}")
        if known.kind == "int" and form == _BYTES:
            at = 0
            while at < len(value):
                self._count(1)
                number, at = _varint(value, at)
                to.append(_signed(number))
        elif known.kind in {"float", "double"}:
            size = 4 if known.kind == "float" else 8
            if form not in {_BYTES, _NATURAL[known.kind]} or len(value) % size:
                raise BrokenError(f"{where} has wire type {form}, or a length of its own")
            to.append(value)
        else:
            to.append(self._one(known, form, value, where, depth))


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    result, shift = 0, 0
    while at < len(view):
        byte = view[at]
        result |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return result & (1 << 64) - 1, at
        shift += 7
        if shift >= 70:
            raise BrokenError("a number of more than ten bytes")
    raise BrokenError("it ends inside a number")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
