"""The record command, and the command that turns a recording into evidence."""

from pathlib import Path
from typing import Any

import click

from neurodeploy import npz
from neurodeploy.bundles import load_bundle
from neurodeploy.bundles.evidence import add_evidence
from neurodeploy.cli.output import console, emit_json, table
from neurodeploy.devices import open_device, record, save_recording


def record_bundle(path: Path, device_id: str, out: Path, *, as_json: bool, **options: Any) -> int:
    """Record the golden input of a bundle on a device, write the recording, and say what was noticed; exit status."""
    npz.refuse_place(out)  # before a device is touched
    loaded = load_bundle(path)
    device = open_device(loaded.network, device_id)
    try:
        recording = record(loaded.network, loaded.input, device, **options)
    finally:
        device.close()
    save_recording(recording, out)
    if as_json:
        emit_json(recording.to_json() | {"out": str(out)})
        return 0 if recording.complete else 1
    heads = ("sample", "attempts", "finished", "stale", "strange", "drained", "out of order", "by steps")
    notes = recording.notes
    rows = [(n.id, n.attempts, n.complete, n.stale, n.strange, n.drained, n.backward, n.furthest) for n in notes]
    console().print(table(recording.about.made_by, heads, rows))
    if not recording.complete:
        click.echo(f"Not complete: {out}. Record again, with more time.")
        return 1
    click.echo(f"Written: {out}. Next: neurodeploy verify {path} --against {out}")
    return 0


def show_evidence(bundle: Path, recording: Path, *, as_json: bool, **options: Any) -> None:
    """Add a recording to the golden vectors of a chip and say what was added."""
    added = add_evidence(bundle, recording, **options)
    if as_json:
        emit_json(added.to_json())
    else:
        names = ", ".join(added.vectors)
        click.echo(f"{added.path}: {names}, graded {added.grade}; {added.values:,} values equal the simulation.")
