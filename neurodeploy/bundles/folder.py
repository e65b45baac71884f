"""A bundle as a folder: plain files, some of them in two folders below."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from neurodeploy.bundles.files import FOLDERS, Files, size_faults
from neurodeploy.errors import Fault, Refusal, raise_if


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a new folder, which nobody reads before it has its name."""
    folder.mkdir()
    for name, content in sorted(files.items()):
        place = folder.joinpath(*name.split("/"))
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)


def read_folder(path: Path) -> tuple[Files, tuple[str, ...]]:
    """Files of a folder, in memory, and the names of all that is no plain file: folders, links, devices, pipes.

    Raises Refusal ND2101 for files that are too large, before anything is read.
    """
    try:
        found = dict(_entries(path, ""))
        plain = {name: status.st_size for name, status in found.items() if stat.S_ISREG(status.st_mode)}
        raise_if(size_faults(str(path), plain))
        # files that grow meanwhile do not fit their hashes
        files = {name: _content(path.joinpath(*name.split("/")), size) for name, size in plain.items()}
        return files, tuple(name for name in found if name not in plain)
    except OSError as error:
        was = f"cannot be read ({error.strerror or error})"
        raise Refusal(Fault("ND2101", str(error.filename or path), was, "a bundle that can be read")) from None


def _content(path: Path, size: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(size)


def _entries(folder: Path, above: str) -> Iterator[tuple[str, os.stat_result]]:
    """Everything in the folder and in the two that it may hold; other folders are entries without a plain file."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            status = entry.stat(follow_symlinks=False)
            if not above and entry.name in FOLDERS and stat.S_ISDIR(status.st_mode):
                yield from _entries(folder / entry.name, f"{entry.name}/")
            else:
                yield above + entry.name, status


def names_in(path: Path) -> tuple[str, ...]:
    """Names of everything in the folder, as bundles name their files."""
    return tuple(name for name, _ in _entries(path, ""))
