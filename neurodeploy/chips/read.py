"""Find chip folders, read chip.toml with what it extends, and turn schema faults into sentences."""

import difflib
import hashlib
import json
import os
import sys
import tomllib
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from datetime import date, time
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from neurodeploy.chips.chip import Chip
from neurodeploy.chips.compile import compile_chip
from neurodeploy.chips.schema import SCHEMA_VERSION, ChipFile
from neurodeploy.errors import Fault, Refusal, raise_if

FILE_NAME = "chip.toml"
ENTRY_POINT_GROUP = "neurodeploy.targets"


def target_root() -> Path:
    """Folder of the chips that come with the program: inside the package when installed, else beside it."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "targets"
    return inside if inside.is_dir() else package.parent / "targets"


@lru_cache(maxsize=4)
def _installed(find: Callable[..., Iterable[EntryPoint]], _places: Hashable) -> tuple[EntryPoint, ...]:
    """Entry points of the packages that are installed; looked for again when a folder of packages has changed."""
    return tuple(find(group=ENTRY_POINT_GROUP))


def _changed(place: str) -> int:
    try:
        return Path(place).stat().st_mtime_ns
    except OSError:  # an archive that is gone, or a folder that never was
        return 0


def target_folders() -> dict[str, Path]:
    """Chip folders by name: our own first, then those of installed packages (entry points).

    Raises Refusal ND1104 for an entry point that cannot be loaded, and for a name that two packages give.
    """
    bases = [target_root()]
    for entry in _installed(entry_points, tuple((place, _changed(place)) for place in sys.path)):
        try:
            bases += map(Path, entry.load().__path__)  # a package whose folder holds chip folders
        except Exception as error:  # noqa: BLE001 - whatever somebody else's package raises, the user must know whose
            must = "a package whose folder holds chip folders"
            raise Refusal(
                Fault("ND1104", f"entry point {entry.name!r} = {entry.value!r}", f"cannot be loaded: {error!r}", must)
            ) from None
    folders: dict[str, Path] = {}
    for file in (file for base in bases for file in sorted(base.glob(f"*/{FILE_NAME}"))):
        other = folders.setdefault(file.parent.name, file.parent)
        if other != file.parent:
            was = f"{other} and {file.parent}"
            raise Refusal(Fault("ND1104", f"chip {file.parent.name!r}", was, "one chip of a name", "uninstall one"))
    return folders


def chip(name_or_path: str | Path) -> Chip:
    """Read a chip by name, by folder or by file.

    Raises Refusal: ND1104 unknown name (the nearest is offered), ND11xx with every fault of the file.
    """
    name, path = str(name_or_path), Path(name_or_path)
    spelled = isinstance(name_or_path, Path) or path.suffix == ".toml" or os.sep in name
    folders = {} if spelled else target_folders()
    if name not in folders and not spelled and not path.is_dir():
        near = difflib.get_close_matches(name, folders, n=1, cutoff=0.4)
        known = f"known chips: {', '.join(sorted(folders))}"
        todo = f"did you mean {near[0]}?" if near else "give a name, or the path of a chip folder"
        raise Refusal(Fault("ND1104", f"chip {name!r}", "no chip of that name", known, todo))
    path = folders.get(name, path).resolve()
    path = path if path.suffix == ".toml" else path / FILE_NAME
    return from_raw(_merged(path, ()), path.parent)


def from_raw(raw: Mapping[str, Any], path: Path | None = None) -> Chip:
    """Check a merged chip description and compile it."""
    key = _key(raw)
    known = _COMPILED.get((key, path)) if key else None
    if known is not None:
        return replace(known, raw=_copied(known.raw))
    result = _checked(raw, path)
    if key:
        if len(_COMPILED) >= _KEPT:
            _COMPILED.pop(next(iter(_COMPILED)))
        _COMPILED[key, path] = replace(result, raw=_copied(result.raw))
    return result


#: Chips compiled so far, by what their files say, oldest first: a bundle, its network and its golden vectors name one.
_COMPILED: dict[tuple[str, Path | None], Chip] = {}
_KEPT = 64


def _copied(value: Any) -> Any:
    """Tables and lists anew, what is in them as it is: what a TOML file holds cannot change."""
    if isinstance(value, dict):
        return {k: _copied(v) for k, v in value.items()}
    return [_copied(v) for v in value] if isinstance(value, list) else value


def _key(raw: Mapping[str, Any]) -> str | None:
    """All that a description says, in its order; None for one that holds something else than plain values."""
    try:
        return json.dumps(raw, default=lambda value: {"date": _plain(value)})
    except (TypeError, ValueError):
        return None


def _checked(raw: Mapping[str, Any], path: Path | None) -> Chip:
    name = str(raw.get("name", path.name if path else "chip"))
    if raw.get("schema_version") != SCHEMA_VERSION:
        was, must = f"schema_version = {raw.get('schema_version')!r}", f"this program reads version {SCHEMA_VERSION}"
        raise Refusal(Fault("ND1102", name, was, must, f"write schema_version = {SCHEMA_VERSION}"))
    raw, faults = _resolve_like(raw, name)
    try:
        file = ChipFile.model_validate(_tuples(raw))
    except ValidationError as error:
        raise Refusal([*faults, *(_sentence(name, e) for e in error.errors())]) from None
    raise_if(faults)
    plain = json.loads(json.dumps(raw, default=_plain))
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    result = compile_chip(file, plain, digest, path)
    dialects = {}
    for spoken, table in raw.get("dialect", {}).items():
        try:
            dialects[spoken] = replace(from_raw(_spoken(raw, table), path), spoken=spoken)
        except Refusal as refusal:
            faults += [replace(f, where=f"dialect {spoken!r} of {f.where}") for f in refusal.faults]
    raise_if(faults)
    return replace(result, dialects=dialects)


def _spoken(raw: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """A chip file with a dialect laid over it; what compares dialects is left out."""
    return _merge({k: v for k, v in raw.items() if k not in {"dialect", "agreement"}}, table)


def _plain(value: object) -> object:
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _tuples(value: Any) -> Any:
    """Lists as tuples and ISO dates as dates, as the strict schema wants them."""
    if isinstance(value, Mapping):
        result = {k: _tuples(v) for k, v in value.items()}
        if isinstance(result.get("date"), str):
            try:
                result["date"] = date.fromisoformat(result["date"])
            except ValueError:  # stays a text, which the schema reports with its place
                return result
        return result
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


_WORDS = {
    "string_pattern_mismatch": "it must be a name: lower case letters, digits and underscores, first a letter",
    "model_type": "it must be a table",
    "dict_type": "it must be a table",
    "mapping_type": "it must be a table",
    "tuple_type": "it must be a list",
}


def _sentence(chip_name: str, error: Any) -> Fault:
    place = tuple(part for part in error["loc"] if part != "[key]")
    where, code = f"{chip_name}, {'.'.join(map(str, place))}", "ND1102"
    if error["type"] == "extra_forbidden":
        known = _entries(place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, n=1)
        todo = f"did you mean {near[0]}?" if near else "remove it"
        return Fault(code, where, "unknown entry", f"known here: {', '.join(known)}", todo)
    if error["type"] == "missing":
        return Fault(code, where, "entry missing", "it must be stated")
    message = error["msg"].replace("Input should", "it must")
    must = _WORDS.get(error["type"]) or message[0].lower() + message[1:]
    return Fault(code, where, f"found {error['input']!r:.80}", must)


def _entries(place: tuple[Any, ...]) -> list[str]:
    """Entries that the table at a place of the file may have."""
    kind: Any = ChipFile
    for part in place:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = next(f.annotation for n, f in kind.model_fields.items() if part == (f.alias or n))
        else:
            kind = get_args(kind)[-1]  # of a mapping or a tuple
        if NoneType in get_args(kind):
            kind = get_args(kind)[0]
    return [f.alias or n for n, f in kind.model_fields.items()]


@lru_cache(maxsize=_KEPT)
def _parsed(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return {key: _copied(value) for key, value in _parsed(path.read_text(encoding="utf-8")).items()}
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(
            Fault("ND1101", str(path), "cannot be read", "a chip folder holds chip.toml", str(error))
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise Refusal(Fault("ND1101", str(path), f"no TOML: {error}", "TOML 1.0", "correct that line")) from None


def _merged(path: Path, chain: tuple[Path, ...]) -> dict[str, Any]:
    """A chip file with what it extends: the parent lies beside its folder, or is a chip with a name."""
    own, name = _toml(path), path.parent.name
    parent, without = own.pop("extends", None), own.pop("without", [])
    if not isinstance(without, list) or (without and parent is None):
        must = "a list of entries of the parent file, beside extends"
        raise Refusal(Fault("ND1103", f"{name}, without", f"found {without!r:.80}", must))
    if parent is None:
        return own
    beside = path.parent.parent / str(parent) / FILE_NAME
    known = {} if beside.is_file() else target_folders()
    if not beside.is_file() and parent not in known:
        raise Refusal(Fault("ND1103", f"{name}, extends", f"no chip {parent!r}", f"one of {', '.join(sorted(known))}"))
    base = known[parent] / FILE_NAME if known else beside
    chain = (*chain, path)
    if base in chain:
        circle = " -> ".join(p.parent.name for p in (*chain, base))
        raise Refusal(Fault("ND1103", f"{name}, extends", circle, "no circle"))
    merged = _merged(base, chain)
    absent = [place for place in without if not _removed(merged, str(place))]
    must = "an entry of the parent file"
    raise_if([Fault("ND1103", f"{name}, without", f"{place!r} does not exist", must) for place in absent])
    return _merge(merged, own)


def _removed(tree: dict[str, Any], place: str) -> bool:
    *parents, last = place.split(".")
    node: Any = tree
    for part in parents:
        node = node.get(part) if isinstance(node, dict) else None
    return isinstance(node, dict) and node.pop(last, None) is not None


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merge(result[key], value) if both else value
    return result


def _resolve_like(raw: Mapping[str, Any], chip_name: str) -> tuple[dict[str, Any], list[Fault]]:
    """Connections that are ``like`` another take over its entries."""
    written = raw.get("connection", {})
    connections: dict[str, Any] = dict(written) if isinstance(written, Mapping) else {}
    faults = list[Fault]()

    def resolve(name: str, chain: tuple[str, ...]) -> Any:
        entry = connections[name]
        if not isinstance(entry, Mapping) or "like" not in entry:
            return entry
        connections[name] = resolved = merged(name, entry, chain)
        return resolved

    def merged(name: str, entry: Mapping[str, Any], chain: tuple[str, ...]) -> Any:
        own, other = {k: v for k, v in entry.items() if k != "like"}, entry["like"]
        where = f"{chip_name}, connection.{name}.like"
        if other not in list(connections):
            faults.append(Fault("ND1103", where, f"no connection {other!r}", f"one of {', '.join(connections)}"))
        elif other in (*chain, name):
            faults.append(Fault("ND1103", where, " -> ".join((*chain, name, other)), "no circle"))
        else:
            base = resolve(other, (*chain, name))
            return _merge(base, own) if isinstance(base, Mapping) else own
        return own

    for name in list(connections):
        resolve(name, ())
    resolved = {**raw, "connection": connections} if isinstance(written, Mapping) else dict(raw)
    if "dialect" in raw and isinstance(written, Mapping) and not faults:
        resolved["dialect"] = _alike(raw["dialect"], written)
    if "agreement" in raw and isinstance(written, Mapping) and not faults:
        resolved |= _alike({"agreement": raw["agreement"]}, written)
    return resolved, faults


def _alike(dialects: Any, written: Mapping[str, Any]) -> Any:
    """Tables of dialects, in which a connection that is ``like`` another takes over what they hold of that one, too."""

    def changes(tables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        own, entry = tables.get(name, {}), written.get(name)
        if not isinstance(entry, Mapping) or "like" not in entry:
            return own if isinstance(own, Mapping) else {}
        base = {k: v for k, v in changes(tables, entry["like"]).items() if k not in entry}
        return _merge(base, own)

    result = {}
    for spoken, table in dialects.items() if isinstance(dialects, Mapping) else ():
        tables = table.get("connection", {}) if isinstance(table, Mapping) else None
        if not isinstance(tables, Mapping):
            return dialects  # the schema says what is wrong
        added = {name: found for name in {**tables, **written} if (found := changes(tables, name))}
        result[spoken] = {**table, "connection": added} if added else table
    return result
