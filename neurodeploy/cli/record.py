"""The record command, and the command that turns a recording into evidence."""

import sys
from pathlib import Path
from typing import Any

import click

from neurodeploy.cli.output import console, emit_json, json_option, table

_FILE = click.Path(path_type=Path)


@click.command("record", short_help="Run a bundle on a device and keep what it answers.")
@click.argument("bundle", type=_FILE)
@click.option("--device", "device_id", required=True, metavar="ID", help="csv:FOLDER, samna:, samna:BOARD:NUMBER.")
@click.option("-o", "--out", required=True, type=_FILE, help="Recording to write, REC.npz.")
@click.option("--warm-up", default=1, show_default=True, type=click.IntRange(0), help="Runs that are thrown away.")
@click.option("--drain", default=2, show_default=True, type=click.IntRange(0), help="Silent steps after each sample.")
@click.option("--timeout", "timeout_s", default=30.0, show_default=True, help="Seconds that an answer may take.")
@click.option("--attempts", default=3, show_default=True, type=click.IntRange(1), help="Runs of an unfinished sample.")
@click.option("--jitter-steps", default=0, show_default=True, type=click.IntRange(0), help="By which times may be off.")
@json_option
def record(*, bundle: Path, device_id: str, out: Path, as_json: bool, **options: Any) -> None:
    """Run the golden input of BUNDLE on a device: reset, warm up, each sample, drain; note all that was odd."""
    sys.exit(_record(bundle, device_id, out, as_json=as_json, **options))


def _record(path: Path, device_id: str, out: Path, *, as_json: bool, **options: Any) -> int:
    """Record the golden input of a bundle on a device, write the recording, and say what was noticed; exit status."""
    from neurodeploy import npz
    from neurodeploy.bundles import load_bundle
    from neurodeploy.devices import open_device, save_recording
    from neurodeploy.devices import record as record_on

    npz.refuse_place(out)  # before a device is touched
    loaded = load_bundle(path)
    device = open_device(loaded.network, device_id)
    try:
        recording = record_on(loaded.network, loaded.input, device, **options)
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
    for note in notes:
        if note.trouble:
            click.echo(f"Sample {note.id}: {note.trouble}.")
    if not recording.complete:
        click.echo(f"Not complete: {out}. Record again, with more time.")
        return 1
    click.echo(f"Written: {out}. Next: neurodeploy verify {path} --against {out}")
    return 0


def show_evidence(bundle: Path, recording: Path, *, as_json: bool, **options: Any) -> None:
    """Add a recording to the golden vectors of a chip and say what was added."""
    from neurodeploy.bundles.evidence import add_evidence

    added = add_evidence(bundle, recording, **options)
    if as_json:
        emit_json(added.to_json())
    else:
        names = ", ".join(added.vectors)
        click.echo(f"{added.path}: {names}, graded {added.grade}; {added.values:,} values equal the simulation.")
