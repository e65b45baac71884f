"""The targets command: what chips there are, every number of one, and which float neuron fits which."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

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
    keys = evidence_keys(described.file)
    places = [place for place, _ in keys]
    for place, key in keys:
        yield place, _value(described.raw, place, places), described.evidence[key or ""].grade, key or ""
    for spoken, dialect in described.dialects.items():
        for place, key in evidence_keys(dialect.file):
            if place not in places or _whole(dialect.raw, place, places) != _whole(described.raw, place, places):
                value, grade = _value(dialect.raw, place, places), dialect.evidence[key or ""].grade
                yield f"dialect.{spoken}.{place}", value, grade, key or ""


def _texts(described: Chip) -> Iterator[tuple[str, str]]:
    """Everything that is computed, by its place in the chip file; of a dialect the lines that it has otherwise."""
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
    for name, limit in described.limits.items():
        yield f"limit.{name}", limit.entry.value
    for spoken, dialect in described.dialects.items():
        own = dict(_texts(replace(described, dialects={})))
        for place, text in _texts(dialect):
            if own.get(place) != text:
                lines = difflib.ndiff(own.get(place, "").strip().splitlines(), text.strip().splitlines(), None, None)
                changes = "\n".join(line for line in lines if not line.startswith("?"))
                yield f"dialect.{spoken}.{place} (- chip, + dialect)", changes


#: Entries that are no numbers: who says so, what is printed below, and what else a fault says.
_ASIDE = {"evidence", "evidence_of", "title"}
_OF_LIMITS = {"value", "todo"}
_RANGES = {"holds", "may", "safe", "values", "range"}


def _node(raw: Mapping[str, object], place: str) -> object:
    node: object = raw
    for part in place.split("."):
        node = node.get(part, {}) if isinstance(node, Mapping) else {}
    return node


def _value(raw: Mapping[str, object], place: str, places: Sequence[str]) -> str:
    """What stands at a place, without what has a place of its own."""
    node = _node(raw, place)
    if isinstance(node, list):
        return _plain(tuple(node) if place.startswith("agreement.") or ".may." in place else node)
    if not isinstance(node, Mapping):
        return "below" if "\n" in str(node).strip() else _plain(node)
    unit = node.get("unit")
    left = _ASIDE | (_OF_LIMITS if place.startswith("limit.") else set())
    left |= {"unit"} if isinstance(unit, str) else set()
    others = tuple(f"{other}." for other in places if other.startswith(f"{place}."))
    kept = [(key, text) for key, text in _flat(node, left) if not f"{place}.{key}.".startswith(others)]
    kept.sort(key=lambda pair: pair[0] in {"at_most", "one_of", "each"})  # the unit is that of the bound
    shown = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in kept)
    return f"{shown} {unit}" if isinstance(unit, str) else shown


def _whole(raw: Mapping[str, object], place: str, places: Sequence[str]) -> str:
    node = _node(raw, place)
    return node if isinstance(node, str) else _value(raw, place, places)


def _flat(node: Mapping[str, object], left: set[str]) -> Iterator[tuple[str, str]]:
    """Dotted key and value of everything in a table and the tables in it."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{below}", text) for below, text in _flat(value, _ASIDE))
        elif key not in left:
            yield key, _plain(tuple(value) if key in _RANGES and isinstance(value, list) else value)


def _plain(value: object) -> str:
    """A list without quotes and brackets; a tuple, which is a range, keeps its brackets; a text on one line."""
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return f"[{_plain(list(value))}]" if isinstance(value, tuple) else " ".join(str(value).split())


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


@targets.command("errors")
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the table of the README.")
@click.pass_obj
def errors_(outer_json: bool, /, *, folder: Path, as_json: bool, as_markdown: bool) -> None:  # noqa: FBT001 - click gives it
    """Derive every neuron of the recorded runs in FOLDER at 16 and 24 bits and print its error."""
    from neurodeploy.fixed.fidelity import compare_runs, markdown

    rows = [row for made in _chips() if made.file.programmable is not None for row in compare_runs(folder, made)]
    if as_json or outer_json:
        emit_json([row.to_json() for row in rows])
    elif as_markdown:
        click.echo(markdown(rows))
    else:
        heads = ("neuron", "bits", "spikes", "too many or few", "steps apart", "state error", "its bound", "run")
        shown = [
            (r.name, r.bits, r.spikes, r.counts_apart, r.steps_apart, f"{r.state_error:.1f}", f"{r.bound:.1f}", r.run)
            for r in rows
        ]
        console().print(table("Neurons in fixed point", heads, shown))


@targets.command("add-evidence")
@click.argument("recording", type=click.Path(path_type=Path))
@click.option("--bundle", required=True, type=click.Path(path_type=Path), help="The bundle that was recorded.")
@click.option("--name", required=True, help="Of the golden vectors; names of samples come behind it.")
@click.option("--claim", required=True, help="What they show, in a sentence.")
@click.option("--into", "folder", default=None, type=click.Path(path_type=Path), help="Folder of the chip.")
@click.option("--sample", "samples", multiple=True, help="Take this one; repeatable. The default is all.")
@json_option
@click.pass_obj
def add_evidence_(outer_json: bool, /, *, recording: Path, bundle: Path, as_json: bool, **options: Any) -> None:  # noqa: FBT001 - click gives it
    """Add RECORDING to the golden vectors of a chip, if the simulation of the bundle equals it in every value."""
    from neurodeploy.cli.record import show_evidence

    show_evidence(bundle, recording, as_json=as_json or outer_json, **options)
