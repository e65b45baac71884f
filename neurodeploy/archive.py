"""Files of arrays with a JSON header: the same content gives the same bytes, nothing in them is ever executed."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from neurodeploy import npz
from neurodeploy.errors import Fault, Refusal, raise_if

HEADER = "header"
T = TypeVar("T")


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name in the same folder and rename; an interrupted write leaves the old file."""
    with npz.replacing(path) as stream:
        stream.write(content)


def file_named(path: str | Path, suffix: str) -> Path:
    """The path of a file to write; raises Refusal ND1401 for another suffix."""
    target = Path(path)
    if target.suffix != suffix:
        must, todo = f"a name that ends in {suffix}", str(target.with_suffix(suffix))
        raise Refusal(Fault("ND1401", str(target), f"suffix {target.suffix!r}", must, todo))
    return target


def identifier_file(path: str | Path, suffix: str, reserved: Collection[str], language: str) -> Path:
    """The path of a file whose name, without the suffix, names what is in it; raises Refusal ND1401."""
    target = file_named(path, suffix)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", target.stem) or target.stem in reserved:
        plain = re.sub(r"[^a-z0-9_]", "_", target.stem.lower())
        todo = str(target.with_stem(plain if re.match("[a-z]", plain) and plain not in reserved else f"net_{plain}"))
        must = (
            f"lower case letters, digits and _, a letter first, no word of {language}: names in the file begin with it"
        )
        raise Refusal(Fault("ND1401", str(target), f"name {target.stem!r}", must, todo))
    return target


def canonical_json(value: object) -> str:
    """JSON text with sorted keys: equal content, equal text."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def exactly(kind: type[T], value: object) -> T:
    """A value of JSON that must be of one type; nothing is converted. Raises TypeError."""
    if type(value) is not kind:
        raise TypeError(f"{value!r:.40} where {kind.__name__} belongs")
    return value


def integers(array: NDArray[Any]) -> NDArray[np.int64]:
    """Whole numbers of a file as int64; nothing is rounded or wrapped. Raises TypeError."""
    if not np.issubdtype(array.dtype, np.integer) or not np.can_cast(array.dtype, np.int64):
        raise TypeError(f"array of {array.dtype} where integers belong")
    return array.astype(np.int64)


def write_arrays(path: Path, header: Mapping[str, object], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an .npz file that NumPy can read, with a JSON header as one more array (of its bytes)."""
    npz.write_arrays(path, _with_header(header, arrays))


def pack_arrays(header: Mapping[str, object], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Bytes of the file that ``write_arrays`` would write."""
    return npz.pack_arrays(_with_header(header, arrays))


def _with_header(header: Mapping[str, object], arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {**arrays, HEADER: np.frombuffer(canonical_json(dict(header)).encode(), np.uint8)}


def seal(header: Mapping[str, object], arrays: Mapping[str, NDArray[Any]]) -> dict[str, object]:
    """The header with a hash of every array, and one of itself; ``refuse_changes`` checks them."""
    content = {**header, "hashes": {n: _hash(v) for n, v in sorted(arrays.items())}}
    return {**content, "digest": _digest(content)}


def refuse_changes(where: str, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Refuse (ND1403) a file of a sealed header, naming every part that was changed."""
    told = header.get("hashes")
    hashes = told if isinstance(told, dict) else {}
    parts = [n for n in sorted({*hashes, *arrays}) if n not in arrays or hashes.get(n) != _hash(arrays[n])]
    if header.get("digest") != _digest({k: v for k, v in header.items() if k != "digest"}):
        parts.append(HEADER)
    must, todo = "equal to its hash", "make the file anew, or fetch it again"
    raise_if([Fault("ND1403", f"{where}, {n}", "changed since it was written", must, todo) for n in parts])


def _hash(array: NDArray[Any]) -> str:
    """Of the values, their type and their shape."""
    digest = hashlib.sha256(f"{array.dtype.newbyteorder('<').str} {array.shape}\n".encode())
    digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _digest(content: Mapping[str, object]) -> str:
    try:
        return hashlib.sha256(canonical_json(dict(content)).encode()).hexdigest()
    except ValueError:  # NaN, which no header of ours holds
        return ""


def read_arrays(path: npz.File, *, what: str, version: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read a file of ``write_arrays``.

    what : the content that the header must name under "format"
    Raises Refusal: ND1401 unreadable, truncated or foreign, ND1402 pickled, ND1404 schema version.
    """
    arrays = npz.read_arrays(path)
    must = f"a {what} file, as neurodeploy writes it"
    try:
        header = json.loads(arrays.pop(HEADER).astype(np.uint8).tobytes())
    except (KeyError, ValueError, RecursionError):
        raise Refusal(Fault("ND1401", str(path), "no header", must)) from None
    found = header.get("format") if isinstance(header, dict) else None
    if found != what:
        was = f"a file of format {found!r}" if found else "a header without a format"
        raise Refusal(Fault("ND1401", str(path), was, must))
    found_version = header.get("schema_version")
    if type(found_version) is not int or found_version != version:
        was = f"schema_version {found_version!r}"
        raise Refusal(Fault("ND1404", str(path), was, f"this program reads {version}", "write the file anew"))
    return header, arrays
