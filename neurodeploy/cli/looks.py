"""Commands that look at what there is: the difference of two runs, the page of a bundle."""

from pathlib import Path

import click

from neurodeploy.cli.output import executor_option, json_option

_FILE = click.Path(path_type=Path)


@click.command(short_help="The first difference of two runs, and what may have caused it.")
@click.argument("first", type=_FILE)
@click.argument("second", type=_FILE)
@click.option("--input", "data", default=None, type=_FILE, help="Counts (.npz); default: golden input of the bundle.")
@executor_option
@json_option
def compare(*, first: Path, second: Path, data: Path | None, executor: str, as_json: bool) -> None:
    """Compare FIRST and SECOND value by value: bundles, network files, or traces of others (.npz, .csv).

    A float MODEL (.safetensors) with its bundle: rates, correlation and membranes of each layer.

    Exit status: 0 equal; 1 they differ, or nothing was compared; 2 they cannot be compared.
    """
    from neurodeploy.cli.compare import show_comparison

    show_comparison(first, second, data=data, executor=executor, as_json=as_json)


@click.command(short_help="One page with all that is known of a bundle.")
@click.argument("bundle", type=_FILE)
@click.option("-o", "--out", default=Path("report.html"), show_default=True, type=_FILE, help="Page; .json beside it.")
@click.option("--model", default=None, type=_FILE, help="The float model, for what stands before quantization.")
@click.option("--data", default=None, type=_FILE, help="Counts with labels (.npz), for the accuracy.")
@click.option("--neuron", "neurons", multiple=True, metavar="LAYER.N", help="Whose membrane is drawn; repeatable.")
@json_option
def report(
    *, bundle: Path, out: Path, model: Path | None, data: Path | None, neurons: tuple[str, ...], as_json: bool
) -> None:
    """Write a page on BUNDLE that opens without a network, and its numbers as JSON beside it."""
    from neurodeploy.cli.report import show_report

    show_report(bundle, out, model=model, data=data, neurons=neurons, as_json=as_json)
