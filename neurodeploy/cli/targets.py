"""The targets command: what chips there are, every number of one, and which float neuron fits which."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import click

from neurodeploy.chips import Chip, chip, target_folders
from neurodeploy.chips.evidence import evidence_keys
from neurodeploy.cli.output import console, emit_json, json_option, percent, table


@click.group(invoke_without_command=True, short_help="Chips: every number with its source; support matrix.")
@json_option
@click.pass_context
def targets(ctx: click.Context, *, as_json: bool) -> None:
    """List the chips; `show` prints one with all sources, `matrix` which float neuron fits which chip."""
    ctx.obj = as_json  # "targets --json show NAME" asks for JSON too
    if ctx.invoked_subcommand is not None:
        return
    rows = [(c.name, c.title, len(c.neurons), len(c.limits), len(c.unknown)) for c in _chips()]
    if as_json:
        names = ("name", "title", "neuron_kinds", "limits", "unknowns")
        emit_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    console().print(table("Targets", ("name", "chip", "neuron kinds", "limits", "unknowns"), rows))


def _chips() -> Iterator[Chip]:
    for name in sorted(target_folders()):
        yield chip(name)


@targets.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(outer_json: bool, /, *, name: str, as_json: bool) -> None:  # noqa: FBT001 - click gives it
    """Print every number of chip NAME with source, date and grade, the step texts, and what is unknown."""
    described = chip(name)
    if as_json or outer_json:
        emit_json(dict(described.raw))
        return
    click.secho(f"{described.title} ({described.name})\n", bold=True)
    rows = list(_rows(described))
    console().print(table("Numbers", ("what", "value", "grade", "source"), rows))
    named = {row[-1] for row in rows}
    sources = [(n, s.date.isoformat(), s.grade, s.source) for n, s in described.evidence.items() if n in named]
    console().print(table("Sources", ("name", "looked up", "grade", "source"), sources))
    for title, text in _texts(described):
        click.secho(f"\n{title}", bold=True)
        click.echo(text.strip())
    click.secho("\nUnknown", bold=True)
    for line in described.unknown or ("nothing is listed",):
        click.echo(f"- {line}")


def _rows(described: Chip) -> Iterator[tuple[str, str, str, str]]:
    """Place, value, grade and source of every number; of dialects those that they have otherwise."""
    own = {}
    for place, key in evidence_keys(described.file):
        own[place] = (_node(described.raw, place), key)
        yield place, _value(described.raw, place), described.evidence[key or ""].grade, key or ""
    for spoken, dialect in described.dialects.items():
        for place, key in evidence_keys(dialect.file):
            if (_node(dialect.raw, place), key) != own.get(place):
                value, grade = _value(dialect.raw, place), dialect.evidence[key or ""].grade
                yield f"dialect.{spoken}.{place}", value, grade, key or ""


def _texts(described: Chip) -> Iterator[tuple[str, str]]:
    """Everything that is computed, by its place in the chip file."""
    for call, meaning in described.file.function.items():
        yield f"function.{call}", meaning
    for kind in described.neurons.values():
        for handler, text in kind.entry.on.items():
            yield f"neuron.{kind.name}.on.{handler}", text
    for connection in described.connections.values():
        entry = connection.entry
        for part, given in (("stored", entry.stored), ("on_input", entry.on_input), ("on_sum", entry.on_sum)):
            if given:
                yield f"connection.{connection.name}.{part}", given
    for spoken, dialect in described.dialects.items():
        own = list(_texts(replace(described, dialects={})))
        yield from ((f"dialect.{spoken}.{place}", text) for place, text in _texts(dialect) if (place, text) not in own)


_SHOWN = {
    *("holds", "may", "safe", "default", "signed", "unsigned", "start", "at_most", "per"),
    *("value", "one_of", "formula", "rule", "todo", "kind", "step", "every", "queue", "waits", "depth", "when_full"),
}
_RANGES = {"holds", "may", "safe"}
_UNITS = ("block.", "limit.")  # tables whose numbers have one


def _node(raw: Mapping[str, object], place: str) -> object:
    node: object = raw
    for part in place.split("."):
        node = node.get(part, {}) if isinstance(node, Mapping) else {}
    return node


def _value(raw: Mapping[str, object], place: str) -> str:
    node = _node(raw, place)
    if not isinstance(node, Mapping):
        return "below" if "\n" in str(node) else str(node)
    keys = {"at_most"} if "at_most" in node else _SHOWN  # of a limit the number, not its formula
    pairs = {k: tuple(v) if k in _RANGES and isinstance(v, list) else v for k, v in node.items() if k in keys}
    shown = ", ".join(f"{k.replace('_', ' ')} {_plain(v)}" for k, v in pairs.items())
    return f"{shown} {node['unit']}" if place.startswith(_UNITS) else shown


def _plain(value: object) -> str:
    """A list without quotes and brackets; a tuple, which is a range, keeps its brackets."""
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return f"[{_plain(list(value))}]" if isinstance(value, tuple) else str(value)


@targets.command()
@json_option
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the table of the README.")
@click.pass_obj
def matrix(outer_json: bool, /, *, as_json: bool, as_markdown: bool) -> None:  # noqa: FBT001 - click gives it
    """Print which float neuron each chip computes: exact, approximated with what error, or refused and why."""
    from neurodeploy.support import markdown, notes, support_matrix

    rows = support_matrix(_chips(), integer=not as_markdown)
    if as_json or outer_json:
        emit_json([row.to_json() for row in rows])
    elif as_markdown:
        click.echo(markdown(rows))
    else:
        heads = (
            "neuron",
            "variant",
            "chip",
            "layer",
            "support",
            "count error",
            "time error",
            "why, or what is replaced",
        )
        shown = []
        for row in rows:
            error = row.error
            counts = "" if error is None or error.count_error is None else percent(error.count_error)
            times = "" if error is None else f"{error.time_error:.2f}"
            place = (row.neuron, row.variant, row.chip, row.role)
            shown.append((*place, row.support, counts, times, "; ".join(notes(row))))
        console().print(table("Float neurons", heads, shown))
