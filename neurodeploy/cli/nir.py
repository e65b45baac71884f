"""The import and export commands."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from neurodeploy import npz
from neurodeploy.cli.output import console, emit_json, table
from neurodeploy.errors import Refusal
from neurodeploy.models import load_model, save_model
from neurodeploy.nir import NirInspection, NirReport, build_model, inspect_nir, write_nir
from neurodeploy.nir.graph import Node
from neurodeploy.nir.primitives import array

#: Units of fields; those of time are the file's own.
_TIMES = ("tau", "tau_mem", "tau_syn", "delay")
_UNITS = {"r": "ohm", "v_threshold": "V", "v_leak": "V", "v_reset": "V", "threshold": "V"}


def show_import(path: Path, out: Path | None, stated: Mapping[str, object], *, like: str, as_json: bool) -> None:
    """Print a graph and what it means, write its model."""
    out = Path(f"{path.stem}.safetensors") if out is None else out
    npz.refuse_place(out)  # before any work is spent
    found = inspect_nir(path)
    try:
        made = build_model(found, stated, like=like)
    except Refusal:
        if not as_json:  # what is there helps to say what is missing
            _print_graph(path, found, str(stated.get("time_unit") or "s"), {})
        raise
    save_model(made.model, out, dt_s=made.dt_s)
    if as_json:
        emit_json(_graph(found) | made.report.to_json() | {"model": str(out)})
        return
    became = {node.node: ", ".join(node.layers) for node in made.report.nodes}
    _print_graph(path, found, made.contract.time_unit, became)
    _print_report(made.report)
    click.echo(f"Written: {out}. Next: neurodeploy check {out} --target CHIP")


def show_export(path: Path, out: Path, *, input_shape: tuple[int, ...] | None, plain: bool, as_json: bool) -> None:
    """Write a model as a NIR file, print what only our metadata say."""
    model, info = load_model(path)
    report = write_nir(model, out, dt_s=info.dt_s, input_shape=input_shape, plain=plain)
    if as_json:
        emit_json(report.to_json() | {"file": str(out)})
        return
    rows = [(n.node, n.kind, ", ".join(n.layers), n.loss, n.note) for n in report.nodes]
    console().print(table(out.name, ("node", "primitive", "from", "loss", "what NIR does not say"), rows))
    click.echo(f"Written: {out}.")


def _graph(found: NirInspection) -> dict[str, Any]:
    flat, shapes = found.flat, found.shapes
    nodes = [
        {
            "name": name,
            "kind": node.kind,
            "into": list(shapes.into[name]),
            "out": list(shapes.out[name]),
            "parameters": {field: _summary(node, field) for field in node.fields},
        }
        for name, node in flat.nodes.items()
    ]
    return {"graph": nodes, "edges": [list(edge) for edge in flat.edges], "back": [list(edge) for edge in flat.back]}


def _print_graph(path: Path, found: NirInspection, unit: str, became: Mapping[str, str]) -> None:
    flat, shapes = found.flat, found.shapes
    rows = []
    for name, node in flat.nodes.items():
        fields = ", ".join(f"{field} {_summary(node, field, unit)}" for field in node.fields if field != "shape")
        into = [s for s, t in flat.edges if t == name] + [f"{s} (later)" for s, t in flat.back if t == name]
        rows.append((name, node.kind, ", ".join(into), _size(shapes.out[name]), fields, became.get(name, "")))
    version = f"nir {found.file.version}" if found.file.version else "a nir that does not say its version"
    title = f"{path.name}, written by {version}"
    console().print(table(title, ("node", "primitive", "from", "shape", "parameters", "becomes"), rows))


def _print_report(report: NirReport) -> None:
    rows = [(name, "none" if value is None else value, report.origins[name]) for name, value in report.contract.items()]
    console().print(table("Contract", ("what decides spikes", "value", "who says so"), rows))
    for node in report.nodes:
        if node.note:
            click.echo(f"- node {node.node!r}, {node.loss}: {node.note}")
    for note in report.notes:
        click.echo(f"- {note}")
    faithful = sum(node.loss == "faithful" for node in report.nodes)
    click.echo(f"Loss: {faithful} of {len(report.nodes)} nodes faithful, {len(report.nodes) - faithful} approximated.")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _summary(node: Node, field: str, unit: str = "") -> str:
    """Value of a field in a few words."""
    value = node.fields[field]
    if isinstance(value, str):
        return value
    shown = array(node, field)
    unit = f" {unit}" if field in _TIMES and unit else f" {_UNITS[field]}" if field in _UNITS else ""
    if field in ("weight", "bias", "scale"):
        low, high = (float(bound(shown)) for bound in (np.min, np.max)) if shown.size else (0.0, 0.0)
        return f"{_size(shown.shape) or 1}: {low:.3g} to {high:.3g}"
    different = np.unique(shown)
    if different.size == 1:
        return f"{different[0]:.6g}{unit}"
    if shown.dtype.kind in "iu":
        return _size(tuple(int(n) for n in shown.reshape(-1)))
    return f"{different[0]:.4g} to {different[-1]:.4g}{unit}" if different.size else "empty"
