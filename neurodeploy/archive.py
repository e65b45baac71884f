"""Files of arrays with a JSON header: the same content gives the same bytes, nothing in them is ever executed."""

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import Fault, Refusal

HEADER = "header.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name in the same folder and rename; an interrupted write leaves the old file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise Refusal(Fault("ND1401", str(path), f"cannot be written: {error.strerror}", "a writable folder")) from None
    finally:
        temporary.unlink(missing_ok=True)


def canonical_json(value: object) -> str:
    """JSON text with sorted keys: equal content, equal text."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def write_arrays(path: Path, header: Mapping[str, object], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write an .npz file that NumPy can read, with a JSON header beside the arrays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _entry(archive, HEADER, canonical_json(dict(header)).encode())
        for name in sorted(arrays):
            body = io.BytesIO()
            np.lib.format.write_array(body, np.ascontiguousarray(arrays[name]), version=(1, 0), allow_pickle=False)
            _entry(archive, f"{name}.npy", body.getvalue())
    write_atomically(path, buffer.getvalue())


def _entry(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    archive.writestr(info, content)


def read_arrays(path: Path, *, what: str, version: int) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Read a file of ``write_arrays``.

    what : the content that the header must name under "format"
    Raises Refusal: ND1401 unreadable, truncated or foreign, ND1402 pickled, ND1404 schema version.
    """
    header, arrays = {}, {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                content = archive.read(info)
                if info.filename == HEADER:
                    header = json.loads(content)
                else:
                    name = info.filename.removesuffix(".npy")
                    arrays[name] = _array(content, f"{path}, {name}")
    except Refusal:
        raise
    except (
        OSError,
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        EOFError,
        KeyError,
        RuntimeError,
        struct.error,
    ) as error:
        must = f"a {what} file, as neurodeploy writes it"
        reason = getattr(error, "strerror", None) or str(error)
        raise Refusal(Fault("ND1401", str(path), f"cannot be read: {reason}", must)) from None
    found = header.get("format") if isinstance(header, dict) else None
    if found != what:
        was = f"a file of format {found!r}" if found else "no header"
        raise Refusal(Fault("ND1401", str(path), was, f"a {what} file, as neurodeploy writes it"))
    if header.get("schema_version") != version:
        was = f"schema_version {header.get('schema_version')!r}"
        raise Refusal(Fault("ND1404", str(path), was, f"this program reads {version}", "write the file anew"))
    return header, arrays


def _array(content: bytes, where: str) -> npt.NDArray[Any]:
    if b"'|O'" in content[:200] or b"'O'" in content[:200]:
        must = "plain numbers; pickled objects are never loaded"
        raise Refusal(Fault("ND1402", where, "an array of Python objects", must, "convert: array.astype(int)"))
    return np.asarray(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))
