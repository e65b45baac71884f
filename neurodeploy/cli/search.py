"""The search command, and the option that takes what it found."""

import sys
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from neurodeploy.cli.output import console, emit_json, json_option, messages, table

_FILE = click.Path(path_type=Path)


def _widths(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, int] | None:
    """Layers and their bits, from LAYER=BITS; None where none were given."""
    found = dict[str, int]()
    for text in given:
        layer, _, bits = text.rpartition("=")
        if not layer or not bits.isdecimal():
            raise click.BadParameter(f"{text!r} is not LAYER=BITS", context, parameter)
        if layer in found:
            raise click.BadParameter(f"layer {layer!r} has two widths", context, parameter)
        found[layer] = int(bits)
    return found or None


bits_option = click.option(
    "--bits",
    "widths",
    multiple=True,
    metavar="LAYER=BITS",
    callback=_widths,
    help="Most bits of a layer's weights, where the chip leaves them to you; repeatable.",
)


@click.command(short_help="The smallest widths that keep an accuracy or a spike error.")
@click.argument("model", type=_FILE)
@click.option("--target", required=True, help="Chip, by name or by folder.")
@click.option("--calibration", required=True, type=_FILE, help="Counts (.npz); with labels for an accuracy.")
@click.option("--error", default=None, type=float, help="Largest spike error of the outputs: 0.05 for 5 %.")
@click.option("--accuracy", default=None, type=float, help="Smallest accuracy: 0.95 for 95 %.")
@click.option("--evaluations", default=60, show_default=True, type=int, help="Most sets of widths that are tried.")
@click.option("--out", required=True, type=_FILE, help="Results (.json); an interrupted search goes on from it.")
@click.option("--progress/--no-progress", default=None, help="A bar on stderr; the default is on a terminal.")
@json_option
def search(*, model: Path, target: str, calibration: Path, as_json: bool, **options: Any) -> None:
    """Quantize MODEL (.safetensors) with one set of widths after the other, simulate each, and tabulate.

    The budget is --error, --accuracy or both, and --evaluations. Exit status 1: no widths keep it.
    """
    sys.exit(_search(model, target, calibration, as_json=as_json, **options))


def _search(
    model: Path,
    target: str,
    calibration: Path,
    *,
    error: float | None,
    accuracy: float | None,
    evaluations: int,
    out: Path,
    progress: bool | None,
    as_json: bool,
) -> int:
    """Search and print; exit status."""
    from neurodeploy import npz
    from neurodeploy.chips import chip
    from neurodeploy.errors import raise_if
    from neurodeploy.events import load_data
    from neurodeploy.models import load_model
    from neurodeploy.widths import Budget
    from neurodeploy.widths import search as search_widths
    from neurodeploy.widths.table import COLUMNS

    budget = Budget(error, accuracy, evaluations)  # before any work is spent
    npz.refuse_place(out)
    loaded, info = load_model(model)
    data = load_data(calibration)
    raise_if(data.step_faults(info.dt_s, str(calibration)))
    screen = messages()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    shown = screen.is_terminal if progress is None else progress
    with Progress(*columns, console=screen, transient=screen.is_terminal, disable=not shown) as bar:
        task = bar.add_task("evaluations", total=evaluations)

        def tell(made: int, most: int) -> None:
            bar.update(task, completed=made, total=most)

        described = chip(target)
        found = search_widths(loaded, described, data, budget, dt_s=info.dt_s, results=out, progress=tell)
    if as_json:
        emit_json(found.to_json() | {"out": str(out)})
    else:
        console().print(table(f"{found.target}: {budget}", COLUMNS, found.lines()))
        for note in found.notes():
            click.echo(note)
        click.echo(f"Written: {out}.")
        if found.chosen is not None and described.file.programmable is None:
            chosen = " ".join(f"--bits {name}={bits}" for name, bits in found.chosen.widths.items())
            click.echo(f"Next: neurodeploy convert {model} --target {target} {chosen} ...")
    return 0 if found.chosen is not None else 1
