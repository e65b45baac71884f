"""What commands print: JSON for programs, tables for people; refusals on stderr with their exit status."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn, TextIO

import click
from rich.console import Console
from rich.table import Table

from neurodeploy.errors import Fault, Refusal

executor_option = click.option(
    "--executor",
    default="auto",
    show_default=True,
    help="What computes, equal in every bit: auto, reference (the definition, slow), numpy, ...",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")


def console() -> Console:
    """Where tables go."""
    return _console(sys.stdout)


def messages() -> Console:
    """Where progress and messages go."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    # a pipe or a log has no width of its own: wide enough that no table folds a number;
    # no markup: names of the user and "neurodeploy[demo]" are printed as they stand
    width = None if stream.isatty() else 140
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)


def emit_json(value: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Build a table; numbers stand on the right."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    body = [[_cell(v) for v in row] for row in rows]
    for index, name in enumerate(columns):
        numeric = bool(body) and all(row[index][:1].isdigit() or row[index][:1] in {"-", "+"} for row in body)
        made.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in body:
        made.add_row(*row)
    return made


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def percent(share: float) -> str:
    """A share in percent, to a tenth."""
    return f"{100 * share:.1f} %"


def fail(refusal: Refusal, *, as_json: bool) -> NoReturn:
    """Print a refusal, sentences on stderr and JSON on stdout if asked, and leave with its exit status."""
    if as_json:
        emit_json({"error": errors(refusal.faults), "exit_status": refusal.exit_status})
    for fault in refusal.faults:
        click.echo(f"neurodeploy: {fault}", err=True)
    sys.exit(refusal.exit_status)


def errors(faults: Iterable[Fault]) -> list[Mapping[str, str]]:
    """Faults as plain data."""
    return [
        {"code": f.code, "where": f.where, "was": f.was, "must": f.must, "todo": f.todo, "text": str(f)} for f in faults
    ]


def bound(number: type, context: click.Context | None, parameter: click.Parameter, value: str | None) -> object:
    """Take a number, or none for no bound; what is not given is unstated."""
    from neurodeploy.nir import UNSTATED

    if value is None or value.lower() == "none":
        return UNSTATED if value is None else None
    try:
        return number(value)
    except ValueError:
        kind = "a whole number" if number is int else "a number"
        raise click.BadParameter(f"{value!r} is not {kind}, nor none", context, parameter) from None
