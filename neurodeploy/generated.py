"""Generated code on disk: one folder for each source, with what was compiled from it beside it.

The folder is named by a hash of the source and of the versions of Python and numba. The source is generated anew in
every process, so that a file is never read as code: it must only lie there, equal, for numba to find its machine code.
That is numba's own file or, for functions that need nothing of numba when they run, an object file (see ``native``):
then a later process does not import numba. It is used only where its hash stands in the folder's list, which is written
when it is made; what is missing, damaged or unknown is removed and compiled again.
"""

import contextlib
import hashlib
import importlib.util
import json
import linecache
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from neurodeploy.native import Native, file_name, is_native, object_of

FOLDER = "NEURODEPLOY_CACHE"
LIST = "compiled.json"
KEPT = {".nbi", ".nbc", ".o"}
_LOG = logging.getLogger("neurodeploy")
_LOCK = threading.RLock()


@cache
def has_numba() -> bool:
    """Whether numba is installed; says once what to do where it is not."""
    found = importlib.util.find_spec("numba") is not None
    if not found:
        _LOG.info('everything runs step by step, as numba is not installed: pip install "neurodeploy[fast]"')
    return found


def cache_folder() -> Path:
    """Folder of the user's generated code: NEURODEPLOY_CACHE, or the platform's place for such files."""
    named = os.environ.get(FOLDER)
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "neurodeploy" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "neurodeploy"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neurodeploy"


class Source(Protocol):
    """Code, and the signature of each of its functions."""

    @property
    def code(self) -> str:
        """Python source of all functions."""

    def signature(self, name: str) -> str:
        """Types of a function's arguments, as numba writes them."""


class Compiled:
    """Functions of one source, each compiled when it is first called for.

    alone : its functions make no arrays and raise nothing, so that their machine code is used without numba
    whole : all their numbers are whole
    """

    def __init__(self, source: Source, *, alone: bool = False, whole: bool = False) -> None:
        self._source, self._alone, self._whole = source, alone and is_native(), whole
        self._folder = entry_folder(source.code)
        self._module: ModuleType | None = None
        self._functions: dict[str, Any] = {}

    def function(self, name: str) -> Any:
        """Return a function, compiled."""
        found = self._functions.get(name)
        if found is None:
            with _LOCK:
                found = self._functions.setdefault(name, self._compile(name))
        return found

    def _compile(self, name: str) -> Any:
        if self._alone:
            found = self._native(name)
            if found is not None:
                return found
        return self._numba(name)

    def _native(self, name: str) -> Native | None:
        """Machine code by itself, from its file or compiled now; None where it cannot stand alone."""
        symbol = f"neurodeploy_{self._folder.name}_{name}"
        prepare(self._folder, self._source.code)
        try:
            file = self._folder / "__pycache__" / file_name(name)
            content = file.read_bytes() if file.is_file() else None
            if content is None or hashlib.sha256(content).hexdigest() != _listed(self._folder).get(file.name):
                with self._loaded(name) as function:
                    content = object_of(function, self._source.signature(name), symbol, whole=self._whole)
                if content is None:
                    return None
                file.parent.mkdir(exist_ok=True)
                _write(file, content)
                write_list(self._folder)
            return Native(content, symbol, self._source.signature(name))
        except Exception as fault:  # noqa: BLE001 - inner parts of numba and llvmlite may change; then numba calls it
            _LOG.debug("%s is called through numba: %s", name, fault)
            return None

    def _numba(self, name: str) -> Any:
        import numba

        with self._loaded(name) as function:
            compiled = numba.njit(self._source.signature(name), nogil=True, error_model="numpy", cache=True)(function)
        write_list(self._folder)
        return compiled

    @contextlib.contextmanager
    def _loaded(self, name: str) -> Iterator[Any]:
        """A function of the source, while numba keeps machine code beside it, where its hashes stand."""
        import numba

        settings: Any = numba.config
        before = settings.CACHE_DIR
        settings.CACHE_DIR = ""
        try:
            if self._module is None:
                prepare(self._folder, self._source.code)
                self._module = _module_of(self._source.code, self._folder)
            yield getattr(self._module, name)
        finally:
            settings.CACHE_DIR = before


def _module_of(code: str, folder: Path) -> ModuleType:
    module = _run(code, f"neurodeploy_kernel_{folder.name}", str(folder / "kernel.py"))
    sys.modules[module.__name__] = module  # numba looks for the globals of what it loads here
    return module


def module_in_memory(code: str) -> ModuleType:
    """Run generated code that nobody reads from a disk; ``inspect`` finds its source under a name that is no file."""
    key = hashlib.sha256(code.encode()).hexdigest()[:32]
    file = f"<neurodeploy {key}>"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    return _run(code, f"neurodeploy_memory_{key}", file)


def _run(code: str, name: str, file: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = file
    exec(compile(code, file, "exec"), module.__dict__)  # noqa: S102 - our own, generated a moment ago
    return module


def entry_folder(code: str) -> Path:
    """Folder of a source, in the user's cache or, where that cannot be written, in a folder of this process."""
    versions = f"{sys.version}\n{metadata.version('numba')}\n"
    name = hashlib.sha256((versions + code).encode()).hexdigest()[:32]
    for root in (cache_folder() / "kernels", _own_folder()):
        with contextlib.suppress(OSError):
            folder = root / name
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if _trusted(root) and _trusted(folder) and os.access(folder, os.W_OK):
                return folder
        _LOG.warning("generated code cannot be kept in %s; it is compiled again in every process", root)
    raise OSError(f"no folder for generated code: {cache_folder()}")


@cache
def _own_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="neurodeploy-"))


def _trusted(folder: Path) -> bool:
    """Whether nobody else can write there: compiled code is only as good as who wrote it."""
    if not hasattr(os, "getuid"):
        return True
    found = folder.stat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o022


def prepare(folder: Path, code: str) -> None:
    """Leave in a folder this source and machine code of this source, and nothing else that would be used."""
    file = folder / "kernel.py"
    known = _listed(folder)
    same = file.is_file() and not file.is_symlink() and file.read_bytes() == code.encode()
    compiled = folder / "__pycache__"
    if compiled.is_dir():
        for path in compiled.iterdir():
            if not same or path.is_symlink() or known.get(path.name) != _hash(path):
                path.unlink(missing_ok=True)
    if not same:
        _write(file, code.encode())


def write_list(folder: Path) -> None:
    """Write down the hashes of the machine code that lies in a folder now."""
    compiled = folder / "__pycache__"
    found = (
        {path.name: _hash(path) for path in sorted(compiled.iterdir()) if path.suffix in KEPT}
        if compiled.is_dir()
        else {}
    )
    if found != _listed(folder):
        _write(folder / LIST, json.dumps(found, indent=1).encode())


def _listed(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / LIST).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.replace(name, path)  # noqa: PTH105 - atomic also where the file is there
