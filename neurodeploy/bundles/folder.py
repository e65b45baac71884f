"""The folder of a bundle: written as a whole or not at all, and checked file by file."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from neurodeploy.archive import canonical_json, write_atomically
from neurodeploy.errors import Fault, Refusal, raise_if

FORMAT = "neurodeploy bundle"
SCHEMA_VERSION = 1
NETWORK, GOLDEN = "network.npz", "golden.npz"
CONFIGURATION, REPORT = "configuration.json", "report.json"
MANIFEST, MADE = "manifest.json", "made.json"
REQUIRED = (NETWORK, GOLDEN)
KNOWN = (*REQUIRED, CONFIGURATION, REPORT, MANIFEST, MADE)
_ANEW = "write the bundle anew, or fetch it again"


def write_folder(
    path: Path, fill: Callable[[Path], None], manifest: Mapping[str, object], made: Mapping[str, object]
) -> None:
    """Fill a new folder beside ``path``, add manifest and made.json, and put it in the place of an older bundle.

    The older bundle is moved aside whole and removed last; an error on the way puts it back.
    Raises Refusal ND2101 where ``path`` is something else than a bundle or cannot be written.
    """
    path = path.resolve()
    refuse_place(path)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        fresh.mkdir()
        fill(fresh)
        files = {p.name: _sha256(p) for p in sorted(fresh.iterdir())}
        content = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "files": files, **manifest}
        signed = {**content, "digest": _digest(content)}
        write_atomically(fresh / MANIFEST, canonical_json(signed).encode())
        write_atomically(fresh / MADE, canonical_json(dict(made)).encode())
        _exchange(fresh, path)
    except OSError as error:
        raise Refusal(Fault("ND2101", str(path), f"cannot be written: {error.strerror}", "a writable folder")) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _exchange(fresh: Path, path: Path) -> None:
    if not path.exists():
        fresh.rename(path)
        return
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    path.rename(old)
    try:
        fresh.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old)


def refuse_place(path: Path) -> None:
    """Refuse a place where no bundle can be written: replace nothing but a bundle, and lose no file that is not of it.

    Raises Refusal ND2101.
    """
    path = path.resolve()
    if not path.exists():
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            was = "its folder does not exist" if not path.parent.exists() else "its folder takes no files"
            raise Refusal(Fault("ND2101", str(path), was, "a folder that exists and can be written"))
        return
    must, todo = "a new name, or an older bundle to replace", "choose another name, or remove it yourself"
    if not path.is_dir():
        raise Refusal(Fault("ND2101", str(path), "a file of that name exists", must, todo))
    try:
        content = json.loads((path / MANIFEST).read_bytes())
        is_bundle = isinstance(content, dict) and content.get("format") == FORMAT
    except (OSError, ValueError, RecursionError):
        is_bundle = False
    if not is_bundle:
        raise Refusal(Fault("ND2101", str(path), "the folder exists and is no bundle", must, todo))
    other = sorted(p.name for p in path.iterdir() if p.name not in KNOWN)
    if other:
        was = f"the older bundle holds other files: {', '.join(other)}"
        raise Refusal(Fault("ND2101", str(path), was, must, "move them away first"))


def read_manifest(path: Path) -> dict[str, Any]:
    """Check the folder against its manifest.

    Raises Refusal with every file that was changed (ND1403), is missing or additional (ND2101).
    """
    if not path.is_dir():
        was = "no such folder" if not path.exists() else "a file"
        raise Refusal(Fault("ND2101", str(path), was, "the folder of a bundle"))
    where = f"{path}, {MANIFEST}"
    if not (path / MANIFEST).is_file():
        raise Refusal(Fault("ND2101", where, "missing", "a bundle has a manifest", _ANEW))
    text = (path / MANIFEST).read_bytes()
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(Fault("ND2101", where, f"no JSON: {error}", "a whole manifest", _ANEW)) from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise Refusal(Fault("ND2101", where, "of another format", f'format = "{FORMAT}"'))
    found = manifest.get("schema_version")
    if type(found) is not int or found != SCHEMA_VERSION:
        was = f"schema_version {found!r}"
        raise Refusal(Fault("ND1404", where, was, f"this program reads {SCHEMA_VERSION}", "write the bundle anew"))
    unsigned = {k: v for k, v in manifest.items() if k != "digest"}
    files = manifest.get("files")
    whole = isinstance(files, dict) and all(isinstance(found, str) for found in files.values())
    if not whole or _canonical(manifest) != text or manifest.get("digest") != _digest(unsigned):
        raise Refusal(Fault("ND1403", where, "changed since it was written", "equal to its own digest", _ANEW))
    raise_if(_file_faults(path, manifest["files"]))
    return manifest


def _file_faults(path: Path, files: Mapping[str, str]) -> list[Fault]:
    expected = {*files, *REQUIRED, MANIFEST, MADE}
    present = {p.name: p for p in path.iterdir()}
    faults = []
    for name in sorted(expected | set(present)):
        where = f"{path}, {name}"
        if name not in present:
            faults.append(Fault("ND2101", where, "missing", "every file of the manifest", _ANEW))
        elif name not in expected or name not in KNOWN:
            must = f"no files but {', '.join(n for n in KNOWN if n in expected)}"
            faults.append(Fault("ND2101", where, "additional", must, "move it away"))
        elif not present[name].is_file() or present[name].is_symlink():
            faults.append(Fault("ND2101", where, "no plain file", "a file of its own", _ANEW))
        elif name in REQUIRED and name not in files:
            faults.append(Fault("ND2101", where, "without a hash in the manifest", "a hash of every file", _ANEW))
        elif name in files and _sha256(present[name]) != files[name]:
            found = _sha256(present[name])
            was = f"changed since it was written: sha256 {found[:12]}..."
            values = {"file": name, "found": found, "expected": files[name]}
            faults.append(Fault("ND1403", where, was, f"sha256 {files[name][:12]}...", _ANEW, values))
    return faults


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _canonical(manifest: Mapping[str, object]) -> bytes:
    """The bytes that the manifest should have; none for what no manifest of ours holds, such as NaN."""
    try:
        return canonical_json(manifest).encode()
    except (ValueError, RecursionError):
        return b""


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.sha256(canonical_json(dict(content)).encode()).hexdigest()
