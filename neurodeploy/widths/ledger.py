"""The results file of a search: every evaluation, written as soon as it is made; of one search, or refused."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurodeploy.archive import canonical_json, exactly, write_atomically
from neurodeploy.errors import Fault, Refusal
from neurodeploy.npz import refuse_place
from neurodeploy.widths.table import Row

FORMAT = "neurodeploy widths"
SCHEMA_VERSION = 1
FOREIGN = "ND2402"
_ANEW = "choose another name, or move the file away and search anew"
Name = tuple[tuple[str, int], ...]
_FIGURES = {"bits": int, "memory_bits": int, "error": float, "accuracy": float}


class Ledger:
    """Evaluations of one search, by their widths; with a path they also stand in a file.

    key : part of what the results depend on (model, calibration, ...) -> its hash or value
    Raises Refusal where the file is no results file (ND1401), was changed or cut (ND1403), is of another schema
    (ND1404) or of another search (ND2402, naming the parts that differ): nothing of such a file is used.
    """

    def __init__(self, path: Path | None, key: Mapping[str, str]) -> None:
        self.path, self.key = path, dict(key)
        self.rows: dict[Name, Row] = {}
        if path is not None:
            if path.exists() and not path.is_dir():
                self.rows = {name_of(row.widths): row for row in _read(path, self.key)}
            refuse_place(path)

    def add(self, row: Row) -> Row:
        """Remember an evaluation; the file is whole at every moment, and holds it when this returns."""
        self.rows[name_of(row.widths)] = row
        if self.path is not None:
            made = [{"widths": dict(r.widths), "refused": r.refused} | _figures(r) for r in self.rows.values()]
            content = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "key": self.key, "evaluations": made}
            write_atomically(self.path, canonical_json(content | {"digest": _digest(content)}).encode())
        return row


def name_of(widths: Mapping[str, int]) -> Name:
    """What an evaluation is found by."""
    return tuple(sorted(widths.items()))


def _figures(row: Row) -> dict[str, object]:
    return {name: getattr(row, name) for name in _FIGURES}


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.sha256(canonical_json(dict(content)).encode()).hexdigest()


def _read(path: Path, key: Mapping[str, str]) -> list[Row]:
    where, must = str(path), "a results file of this search, as neurodeploy writes it"
    try:
        held: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise Refusal(Fault("ND1401", where, "no JSON", must, _ANEW)) from None
    if not isinstance(held, dict) or held.get("format") != FORMAT:
        raise Refusal(Fault("ND1401", where, "of another format", f'format = "{FORMAT}"', _ANEW))
    if held.get("schema_version") != SCHEMA_VERSION:
        was = f"schema_version {held.get('schema_version')!r:.40}"
        raise Refusal(Fault("ND1404", where, was, f"this program reads {SCHEMA_VERSION}", _ANEW))
    try:
        whole = held.get("digest") == _digest({k: v for k, v in held.items() if k != "digest"})
        rows = [_row(entry) for entry in held["evaluations"]] if whole else []
    except (KeyError, TypeError, ValueError):
        whole, rows = False, []
    if not whole:
        raise Refusal(Fault("ND1403", where, "changed since it was written", "equal to its own digest", _ANEW))
    found = held["key"]
    differing = sorted(name for name in {*key, *found} if key.get(name) != found.get(name))
    if differing:
        was = f"results of another search: another {', '.join(differing)}"
        raise Refusal(Fault(FOREIGN, where, was, must, _ANEW, {"differing": tuple(differing)}))
    return rows


def _row(entry: Mapping[str, Any]) -> Row:
    """An evaluation as it stands in a file; raises TypeError or KeyError where it is none."""
    refused = exactly(str, entry["refused"])
    figures = {n: None if entry[n] is None else exactly(kind, entry[n]) for n, kind in _FIGURES.items()}
    widths = {exactly(str, n): exactly(int, v) for n, v in exactly(dict, entry["widths"]).items()}
    return Row(widths, refused=refused, **figures)  # type: ignore[arg-type] # each is of its own type
