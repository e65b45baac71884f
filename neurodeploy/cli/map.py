"""The map command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from neurodeploy import npz
from neurodeploy.bundles import is_zip, load_bundle
from neurodeploy.cli.output import console, emit_json
from neurodeploy.cli.tables import cores_table, usage_table
from neurodeploy.mapper import map_network
from neurodeploy.network import load_network, save_network


def show_placement(network_path: Path, *, options: Mapping[str, Any], out: Path | None, as_json: bool) -> None:
    """Map, print what every core holds, write the placed network. Of a bundle the spikes of its vectors are counted.

    options : those of ``map_network``, handed on
    """
    if out is not None:
        npz.refuse_place(out)  # before any work is spent
    activity = None
    if network_path.is_dir() or is_zip(network_path):
        loaded = load_bundle(network_path)
        network, activity = loaded.network, {n: v.sum(axis=(0, 1)) for n, v in loaded.golden.counts.items()}
    else:
        network = load_network(network_path)
    placed = map_network(network, activity=activity, **options)
    if out is not None:
        save_network(placed.network, out)
    if as_json:
        written = {} if out is None else {"out": str(out)}
        emit_json({"target": network.chip.name, **placed.to_json(), **written})
        return
    console().print(usage_table(placed.usage))
    if placed.cores:
        console().print(cores_table(placed.cores))
    if placed.hops is not None:
        click.echo(str(placed.hops))
    for warning in placed.warnings:
        click.echo(f"- {warning}")
