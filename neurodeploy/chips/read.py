"""Find chip folders, read chip.toml with what it extends, and turn schema faults into sentences."""

import difflib
import hashlib
import json
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from neurodeploy.chips.chip import Chip
from neurodeploy.chips.compile import compile_chip
from neurodeploy.chips.schema import SCHEMA_VERSION, ChipFile
from neurodeploy.errors import Fault, Refusal

FILE_NAME = "chip.toml"
ENTRY_POINT_GROUP = "neurodeploy.targets"


def target_root() -> Path:
    """Folder of the chips that come with the program: inside the package when installed, else beside it."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "targets"
    return inside if inside.is_dir() else package.parent / "targets"


def target_folders() -> dict[str, Path]:
    """Chip folders by name: our own first, then those of installed packages (entry points)."""
    folders = {p.parent.name: p.parent for p in sorted(target_root().glob(f"*/{FILE_NAME}"))}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        module = entry.load()  # a package whose folder holds chip folders
        for base in map(Path, module.__path__):
            folders |= {p.parent.name: p.parent for p in sorted(base.glob(f"*/{FILE_NAME}"))}
    return folders


def chip(name_or_path: str | Path) -> Chip:
    """Read a chip by name, by folder or by file.

    Raises Refusal: ND1104 unknown name (the nearest is offered), ND11xx with every fault of the file.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_dir():
        return _read(path / FILE_NAME if path.is_dir() else path)
    folders = target_folders()
    if str(name_or_path) not in folders:
        near = difflib.get_close_matches(str(name_or_path), folders, n=1, cutoff=0.4)
        known = f"known chips: {', '.join(sorted(folders))}"
        todo = f"did you mean {near[0]}?" if near else "give a name, or the path of a chip folder"
        raise Refusal(Fault("ND1104", f"chip {str(name_or_path)!r}", "no chip of that name", known, todo))
    return _read(folders[str(name_or_path)] / FILE_NAME)


@cache
def _read(path: Path) -> Chip:
    return from_raw(resolve_like(_merged(path, ())), path.parent)


def from_raw(raw: Mapping[str, Any], path: Path | None = None) -> Chip:
    """Check a merged chip description and compile it."""
    name = str(raw.get("name", path.name if path else "chip"))
    if raw.get("schema_version") != SCHEMA_VERSION:
        was, must = f"schema_version = {raw.get('schema_version')!r}", f"this program reads version {SCHEMA_VERSION}"
        raise Refusal(Fault("ND1102", name, was, must, f"write schema_version = {SCHEMA_VERSION}"))
    try:
        file = ChipFile.model_validate(_tuples(raw))
    except ValidationError as error:
        raise Refusal([_sentence(name, e) for e in error.errors()]) from None
    plain = json.loads(json.dumps(raw, default=_plain))
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    return compile_chip(file, plain, digest, path)


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _tuples(value: Any) -> Any:
    """Lists as tuples and ISO dates as dates, as the strict schema wants them."""
    if isinstance(value, Mapping):
        result = {k: _tuples(v) for k, v in value.items()}
        if isinstance(result.get("date"), str):
            result["date"] = date.fromisoformat(result["date"])
        return result
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


def _sentence(chip_name: str, error: Any) -> Fault:
    where = ".".join(str(part) for part in error["loc"])
    was, code = repr(error["input"])[:80], "ND1102"
    must = error["msg"][0].lower() + error["msg"][1:]
    if error["type"] == "extra_forbidden":
        known = list(ChipFile.model_fields) if len(error["loc"]) == 1 else []
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        return Fault(
            code,
            f"{chip_name}, {where}",
            "unknown entry",
            "remove it or correct its name",
            f"did you mean {near[0]}?" if near else "",
        )
    if error["type"] == "missing":
        return Fault(code, f"{chip_name}, {where}", "entry missing", "it must be stated")
    return Fault(code, f"{chip_name}, {where}", f"found {was}", must)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(
            Fault("ND1101", str(path), "cannot be read", "a chip folder holds chip.toml", str(error))
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise Refusal(Fault("ND1101", str(path), f"no TOML: {error}", "TOML 1.0", "correct that line")) from None


def _merged(path: Path, chain: tuple[str, ...]) -> dict[str, Any]:
    own = _toml(path)
    parent = own.pop("extends", None)
    if parent is not None:
        beside = path.parent.parent / str(parent) / FILE_NAME
        if str(parent) in chain or len(chain) > 8:
            raise Refusal(Fault("ND1103", f"{path.parent.name}, extends", " -> ".join((*chain, parent)), "no circle"))
        base = beside if beside.is_file() else target_folders().get(str(parent), path.parent) / FILE_NAME
        if base == path:
            near = ", ".join(sorted(target_folders()))
            raise Refusal(Fault("ND1103", f"{path.parent.name}, extends", f"no chip {parent!r}", f"one of {near}"))
        merged = _merged(base, (*chain, str(parent)))
        for place in own.pop("without", []):
            _remove(merged, place, path.parent.name)
        own = _merge(merged, own)
    own.pop("without", None)
    return own


def _remove(tree: dict[str, Any], place: str, name: str) -> None:
    *parents, last = place.split(".")
    node: Any = tree
    for part in parents:
        node = node.get(part, {}) if isinstance(node, dict) else {}
    if last not in node:
        raise Refusal(Fault("ND1103", f"{name}, without", f"{place!r} does not exist", "an entry of the parent file"))
    del node[last]


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merge(result[key], value) if both else value
    return result


def resolve_like(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Connections that are ``like`` another take over its entries."""
    result = dict(raw)
    connections = dict(raw.get("connection", {}))
    for name, entry in connections.items():
        other = entry.get("like") if isinstance(entry, Mapping) else None
        if other in connections:
            own = {k: v for k, v in entry.items() if k != "like"}
            connections[name] = _merge(connections[other], own)
    result["connection"] = connections
    return result
