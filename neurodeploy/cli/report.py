"""The report command."""

from pathlib import Path

import click

from neurodeploy.cli.output import emit_json
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.events import load_data
from neurodeploy.models import load_model
from neurodeploy.report import write_report


def show_report(
    bundle: Path, out: Path, *, model: Path | None, data: Path | None, neurons: tuple[str, ...], as_json: bool
) -> None:
    """Write the page and its numbers; say where they are and what is missing."""
    chosen: dict[str, tuple[int, ...]] = {}
    for item in neurons:
        layer, _, number = item.rpartition(".")
        if not layer or not number.isdecimal():
            raise Refusal(Fault("ND9002", "report, --neuron", item, "LAYER.NUMBER, such as 1.17"))
        chosen[layer] = (*chosen.get(layer, ()), int(number))
    counts = None if data is None else load_data(data)
    loaded = None
    if model is not None:
        loaded, info = load_model(model)
        raise_if([] if counts is None else counts.step_faults(info.dt_s, str(data)))
    numbers = write_report(bundle, out, model=loaded, data=counts, neurons=chosen)
    files = {"page": str(out), "numbers": str(out.with_suffix(".json"))}
    if as_json:
        emit_json({**files, "missing": numbers["missing"], "summary": numbers["summary"]})
        return
    click.echo(f"Written: {files['page']} and {files['numbers']}.")
    for line in numbers["missing"]:
        click.echo(f"- {line}")
