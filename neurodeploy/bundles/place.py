"""Where a bundle stands: a folder or a .zip, written whole or not at all, and replaced in one step."""

import ctypes
import json
import os
import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from platform import platform
from typing import Any

from neurodeploy import npz
from neurodeploy.bundles.files import FORMAT, MADE, MANIFEST, Files, check_files, framed, known, signed, size_faults
from neurodeploy.bundles.folder import names_in, read_folder, write_files
from neurodeploy.bundles.zipped import SUFFIX, pack, read_manifest, read_zip
from neurodeploy.errors import Fault, Refusal, raise_if

_CURRENT_FOLDER, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def is_zip(path: Path) -> bool:
    """Whether a bundle of that name is one file."""
    return path.suffix.lower() == SUFFIX


def read_bundle(path: Path) -> tuple[Files, dict[str, Any]]:
    """Files of a bundle, a folder or an archive, and its manifest, to which they conform.

    Raises Refusal with every file that was changed (ND1403), is missing, additional or no plain file (ND2101).
    """
    files, odd = _files(path)
    return files, check_files(str(path), files, odd)


def _files(path: Path) -> tuple[Files, tuple[str, ...]]:
    """Files, and names of what is no plain file."""
    if path.is_dir():
        return read_folder(path)
    if path.is_file():
        return read_zip(path), ()
    was, todo = "no such folder or file" if not path.exists() else "no folder and no plain file", "check the path"
    aside = _aside(path)
    if aside.is_dir():
        todo = f"a write that was interrupted has left the older bundle as {aside.name}: rename it"
    raise Refusal(Fault("ND2101", str(path), was, "the folder or the .zip of a bundle", todo))


def write_place(path: Path, files: Mapping[str, bytes], manifest: Mapping[str, object]) -> None:
    """Sign files and write them, in the place of an older bundle; whoever is killed leaves that or the new one.

    An archive is exchanged in one step on every system, a folder where the system can exchange two names (Linux);
    elsewhere there is a moment between two renames.
    Raises Refusal ND2101 where ``path`` is something else than a bundle or cannot be written.
    """
    path = path.resolve()
    refuse_place(path)
    # neither the machine nor the time decides anything
    made = {"made_on": datetime.now(UTC).isoformat(timespec="seconds"), "machine": platform()}
    whole = {**files, MANIFEST: signed(files, manifest), MADE: framed(MADE, made)}
    raise_if(size_faults(str(path), {name: len(content) for name, content in whole.items()}))
    if is_zip(path):
        with npz.replacing(path) as stream:
            stream.write(pack(whole))
        return
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write_files(fresh, whole)
        _exchange(fresh, path)
    except OSError as error:
        raise Refusal(Fault("ND2101", str(path), f"cannot be written: {error.strerror}", "a writable folder")) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _exchange(fresh: Path, path: Path) -> None:
    if not path.exists():
        fresh.rename(path)
    elif not swap(fresh, path):  # what was the older bundle is removed as the temporary folder
        aside = _aside(path)
        path.rename(aside)
        try:
            fresh.rename(path)
        except BaseException:
            aside.rename(path)
            raise
        shutil.rmtree(aside)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def swap(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system cannot, and nothing has changed."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    names = os.fsencode(one), os.fsencode(other)
    return int(rename(_CURRENT_FOLDER, names[0], _CURRENT_FOLDER, names[1], _EXCHANGE)) == 0


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
    if path.is_dir() == is_zip(path):
        what = "a folder of that name exists, and .zip names a file" if is_zip(path) else "a file of that name exists"
        raise Refusal(Fault("ND2101", str(path), what, must, todo))
    try:
        names, text = read_manifest(path) if is_zip(path) else (names_in(path), (path / MANIFEST).read_bytes())
        content = json.loads(text)
        is_bundle = isinstance(content, dict) and content.get("format") == FORMAT
    except (OSError, ValueError, RecursionError):  # a refusal is a ValueError
        names, is_bundle = (), False
    if not is_bundle:
        what = "the file" if is_zip(path) else "the folder"
        raise Refusal(Fault("ND2101", str(path), f"{what} exists and is no bundle", must, todo))
    other = sorted(n for n in names if not known(n))
    if other:
        was = f"the older bundle holds other files: {', '.join(other)}"
        raise Refusal(Fault("ND2101", str(path), was, must, "move them away first"))
