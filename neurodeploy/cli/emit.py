"""The emit command."""

from pathlib import Path

import click

from neurodeploy import npz
from neurodeploy.bundles import load_placed
from neurodeploy.cli.output import emit_json
from neurodeploy.emit import all_formats, chip_format, emitter, formats
from neurodeploy.errors import Fault, Refusal


def write_file(network_path: Path, out: Path, *, name: str | None, lanes: int | None, as_json: bool) -> None:
    """Write the file and say what it is."""
    npz.refuse_place(out)  # before any work is spent
    network = load_placed(network_path)
    chip = network.chip
    if name is None and not formats(chip):
        others = all_formats(chip)
        todo = f"name one with --format: {', '.join(others)}" if others else ""
        must = "a chip whose file has an [emit] table"
        raise Refusal(Fault("ND9002", f"{chip.name}, emit", "no format", must, todo))
    chosen = chip_format(chip, name or formats(chip)[0])
    made = emitter(chosen)
    if lanes is None:
        made.write(network, out)
    elif made.write_lanes is None:
        able = ", ".join(n for n in all_formats(chip) if emitter(n).write_lanes is not None)
        must = f"a format that computes several neurons at once: {able or 'this chip has none'}"
        raise Refusal(Fault("ND9002", f"{chip.name}, emit, --lanes {lanes}", f"format {chosen!r}", must))
    else:
        made.write_lanes(network, out, lanes)
    if as_json:
        emit_json({"target": chip.name, "format": chosen, "out": str(out)})
    else:
        click.echo(f"Written: {out}, {made.title}.")
