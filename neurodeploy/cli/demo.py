"""The demo command."""

from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from neurodeploy.chips import chip
from neurodeploy.cli.output import console, emit_json, messages, percent, table
from neurodeploy.cli.tables import quantization_table, usage_table
from neurodeploy.demo import Demo, run_demo
from neurodeploy.demo.pipeline import CLASSES


def show_demo(target: str, *, seeds: int, epochs: int | None, out: Path | None, as_json: bool) -> None:
    """Run the demo with progress bars and print what it found."""
    described = chip(target)
    folder = out or Path(f"digits-{described.name}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=messages()) as bar:
        tasks = {}

        def tell(what: str, share: float) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=1.0)
            bar.update(tasks[what], completed=share)

        result = run_demo(described, folder, seeds=seeds, epochs=epochs, progress=tell)
    if as_json:
        emit_json(result.to_json())
    else:
        _print(result)


def _print(demo: Demo) -> None:
    shown, first = demo.to_json(), demo.trials[0]
    screen = console()
    click.secho(f"\n{demo.chip.title} ({demo.chip.name}): {demo.shape.words}", bold=True)
    if demo.shape.classes < CLASSES:
        last = demo.shape.classes - 1
        click.echo(f"The chip has outputs for {demo.shape.classes} of the {CLASSES} digits: 0 to {last}.")
    rows = [
        (
            trial.seed,
            percent(trial.float_result.accuracy),
            percent(trial.integer_result.accuracy),
            f"{percent(trial.integer_result.low)} - {percent(trial.integer_result.high)}",
            f"{trial.points_lost:+.1f}",
            trial.integer_result.ties,
            len(trial.integer_result.disagreements),
            trial.rails_hit,
        )
        for trial in demo.trials
    ]
    names = ("seed", "float", "integer", "95 % interval", "points lost", "ties", "other decision", "rails hit")
    title = f"{first.integer_result.total} test images, decision: {first.integer_result.rule}, ties are wrong"
    screen.print(table(title, names, rows))
    for trial in demo.trials:
        if trial.rounded_result is not None:
            rounded = percent(trial.rounded_result.accuracy)
            click.echo(f"Seed {trial.seed}: {rounded} rounded, before training on the chip's own arithmetic.")
    if any(trial.rails_hit for trial in demo.trials):
        screen.print(
            "rails hit: cells (neuron, image, step) in which a register was full and cut a value, as on the chip."
        )
    if len(demo.trials) > 1:
        means = f"float {100 * shown['float_accuracy']:.2f} %, integer {100 * shown['integer_accuracy']:.2f} %"
        gaps = f"points lost: mean {shown['mean_points_lost']:.2f}, worst {shown['worst_points_lost']:.2f}"
        click.echo(f"Mean of {len(demo.trials)} seeds: {means}, {gaps}.")
    screen.print(quantization_table(demo.conversion.quantization))
    screen.print(usage_table(demo.conversion.placement.usage))
    for warning in demo.conversion.warnings:
        click.echo(f"- {warning}")
    compared = [(r["oracle"], r["version"], r["kind"], r["values_compared"], r["grade"]) for r in demo.exact_against]
    if compared:
        heads = ("what", "version", "live or golden", "values compared", "grade")
        screen.print(table("Bit-exact against", heads, compared))
    else:
        click.echo("Bit-exact against: nothing independent of neurodeploy was compared.")
    for fault in demo.unable:
        click.echo(f"- not compared: {fault}")
    files = [
        (f"{demo.bundle}/", "bundle: network, configuration, golden vectors, hashes"),
        (f"{demo.folder}/model.safetensors", "float model"),
        (f"{demo.folder}/train.npz", "training data"),
        (f"{demo.folder}/test.npz", "test data"),
    ]
    screen.print(table("Files", ("where", "what"), files))
    click.echo(f"{demo.seconds:.0f} s. Next: neurodeploy verify {demo.bundle}")
