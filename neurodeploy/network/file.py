"""Network files: arrays and a JSON header that carries the chip description; byte-identical for the same content."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from neurodeploy.archive import canonical_json, exactly, integers, pack_arrays, read_arrays, write_arrays
from neurodeploy.chips import from_raw
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network.geometry import geometry_from_json, whole_numbers
from neurodeploy.network.network import Group, Network, Projection
from neurodeploy.npz import File

FORMAT = "neurodeploy network"
SCHEMA_VERSION = 1


def save_network(network: Network, path: str | Path) -> None:
    """Write a network with its chip description; the same content gives the same bytes.

    Raises Refusal: ND1401 where the place cannot be written, ND1203 for notes that JSON does not hold.
    """
    write_arrays(Path(path), *_content(network))


def pack_network(network: Network) -> bytes:
    """Bytes of the file that ``save_network`` would write."""
    return pack_arrays(*_content(network))


def _content(network: Network) -> tuple[dict[str, object], dict[str, np.ndarray[Any, Any]]]:
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    groups, projections = [], []
    for i, g in enumerate(network.groups):
        groups.append(
            {
                "name": g.name,
                "kind": g.kind,
                "size": int(g.size),
                "parameters": sorted(g.parameters),
                "placed": g.ids is not None,
            }
            | ({"shape": list(g.shape)} if g.shape else {})
        )
        arrays |= {f"group{i}.{n}": v for n, v in g.parameters.items()}
        if g.ids is not None:
            arrays[f"group{i}.@ids"] = g.ids
    for i, p in enumerate(network.projections):
        projections.append(
            {
                "kind": p.kind,
                "source": p.source,
                "target": p.target,
                "fields": sorted(p.fields),
                "parameters": dict(p.parameters),
            }
            | ({"geometry": asdict(p.geometry)} if p.geometry else {})
        )
        arrays |= {f"projection{i}.{n}": v for n, v in p.fields.items()}
        arrays |= {f"projection{i}.@sources": p.sources, f"projection{i}.@targets": p.targets}
    header: dict[str, object] = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "chip": network.chip.raw,
        "dt_s": None if network.dt_s is None else float(network.dt_s),
        "groups": groups,
        "projections": projections,
        "notes": dict(network.notes),
    }
    try:
        header["content"] = _digest(header, arrays)
    except (TypeError, ValueError) as error:
        must = "text, finite numbers, lists and tables"
        raise Refusal(Fault("ND1203", f"{network.chip.name}, notes of the network", str(error), must)) from None
    return header, arrays


def _digest(header: Mapping[str, object], arrays: Mapping[str, np.ndarray[Any, Any]]) -> str:
    """Hash of everything in the file except itself."""
    digest = hashlib.sha256(canonical_json({k: v for k, v in header.items() if k != "content"}).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape} {arrays[name].dtype.str}\n".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def load_network(path: File) -> Network:
    """Read a network; its chip is the description that the file carries.

    Raises Refusal: ND14xx for the file, ND11xx for the chip in it, ND12xx for values that the chip does not hold.
    """
    header, arrays = read_arrays(path, what=FORMAT, version=SCHEMA_VERSION)
    try:
        unchanged = header.get("content") == _digest(header, arrays)
    except ValueError:  # NaN, which no header of ours holds
        unchanged = False
    if not unchanged:
        must = "the content that was written"
        raise Refusal(Fault("ND1403", str(path), "header or arrays were changed", must, "save the network anew"))
    try:
        return _network(header, arrays)
    except (KeyError, TypeError, AttributeError) as error:
        was, must = f"entry missing or of the wrong kind: {error}", "a complete network file"
        raise Refusal(Fault("ND1401", str(path), was, must)) from None


def _network(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> Network:
    chip = from_raw(header["chip"])
    groups = tuple(
        Group(
            g["name"],
            g["kind"],
            exactly(int, g["size"]),
            {n: integers(arrays[f"group{i}.{n}"]) for n in g["parameters"]},
            integers(arrays[f"group{i}.@ids"]) if exactly(bool, g["placed"]) else None,
            whole_numbers(g.get("shape", ())),
        )
        for i, g in enumerate(header["groups"])
    )
    projections = tuple(
        Projection(
            p["kind"],
            p["source"],
            p["target"],
            integers(arrays[f"projection{i}.@sources"]),
            integers(arrays[f"projection{i}.@targets"]),
            {n: integers(arrays[f"projection{i}.{n}"]) for n in p["fields"]},
            {n: exactly(int, v) for n, v in p["parameters"].items()},
            geometry_from_json(p.get("geometry")),
        )
        for i, p in enumerate(header["projections"])
    )
    dt_s = None if header["dt_s"] is None else exactly(float, header["dt_s"])
    return Network(chip, groups, projections, dt_s, exactly(dict, header["notes"]))
