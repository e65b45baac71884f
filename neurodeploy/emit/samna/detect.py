"""Is the real samna here? Answered without importing it: the package on PyPI runs pip when it is imported."""

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Literal

NAME = "samna"
#: Either of these in the text of the package: the placeholder from PyPI.
STUB_MARKS = ("PYPI_SAMNA", "install_real_samna")
COMPILED = frozenset({".so", ".pyd", ".dylib"})


@dataclass(frozen=True)
class SamnaState:
    """What is known about samna on this machine.

    state : "absent"; "stub", the placeholder from PyPI; "real", compiled code is there; "unknown", neither can be
        shown, treated as absent
    version : of the installed package, None where no metadata tell it
    path : file or folder of the package
    """

    state: Literal["absent", "stub", "real", "unknown"]
    version: str | None = None
    path: str | None = None


def detect_samna() -> SamnaState:
    """Look for samna without executing any of it.

    Source: samna 0.30 to 0.48.6 on PyPI are a stub of about 1 KB that reinstalls samna from the vendor's index when
    it is imported; without a network it fails or hangs.
    """
    spec = _spec()
    if spec is None:
        return SamnaState("absent")
    origin = Path(spec.origin) if spec.origin and spec.has_location else None
    folders = [Path(place) for place in spec.submodule_search_locations or ()]
    path = origin or next(iter(folders), None)
    return SamnaState(_state(origin, folders), _version(), None if path is None else str(path))


def advice(state: SamnaState) -> str:
    """What to do so that samna can be used; empty where it can."""
    install = "install samna from SynSense's own package index, as the vendor's documentation says"
    return {
        "absent": f"{install}; pip's default index holds only a placeholder",
        "stub": f"{install}, over the placeholder from PyPI; do not import that one: it runs pip by itself",
        "unknown": f"no compiled code was found in the package; remove it and {install}",
        "real": "",
    }[state.state]


def _spec() -> ModuleSpec | None:
    """Finding a top-level package executes nothing of it. A module that is loaded has its spec with it."""
    try:
        return importlib.util.find_spec(NAME)
    except ValueError:  # loaded, and without a spec: somebody put it there by hand
        return ModuleSpec(NAME, None, origin=getattr(sys.modules[NAME], "__file__", None))


def _state(origin: Path | None, folders: Sequence[Path]) -> Literal["stub", "real", "unknown"]:
    if origin is not None and origin.suffix in COMPILED:
        return "real"
    if origin is not None and _holds_mark(origin):
        return "stub"
    compiled = (file for folder in folders if folder.is_dir() for file in folder.iterdir() if file.suffix in COMPILED)
    return "real" if origin is not None and next(compiled, None) is not None else "unknown"


def _holds_mark(file: Path) -> bool:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(mark in text for mark in STUB_MARKS)


def _version() -> str | None:
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return None
