"""The targets command: what chips there are, every number of one, and which float neuron fits which."""

from collections.abc import Iterator, Mapping

import click

from neurodeploy.chips import Chip, chip, target_folders
from neurodeploy.chips.compile import evidence_keys
from neurodeploy.cli.output import console, emit_json, json_option, refusing, table


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
@refusing
def targets(ctx: click.Context, *, as_json: bool) -> None:
    """List the chips; `show` prints one with all sources, `matrix` which float neuron fits which chip."""
    if ctx.invoked_subcommand is not None:
        return
    rows = [(c.name, c.title, len(c.neurons), len(c.limits), len(c.unknown)) for c in _chips()]
    if as_json:
        emit_json([{"name": r[0], "title": r[1]} for r in rows])
        return
    console().print(table("Targets", ("name", "chip", "neuron kinds", "limits", "unknowns"), rows))


def _chips() -> Iterator[Chip]:
    for name in sorted(target_folders()):
        yield chip(name)


@targets.command()
@click.argument("name")
@json_option
@refusing
def show(*, name: str, as_json: bool) -> None:
    """Print every number of chip NAME with source, date and grade, the step texts, and what is unknown."""
    described = chip(name)
    if as_json:
        emit_json(dict(described.raw))
        return
    screen = console()
    screen.print(f"[bold]{described.title}[/bold] ({described.name})\n")
    rows = []
    for place, key in evidence_keys(described.file):
        source = described.evidence[key or ""]
        rows.append((place, _value(described.raw, place), source.grade, source.date.isoformat(), source.source))
    screen.print(table("Numbers", ("what", "value", "grade", "looked up", "source"), rows))
    for kind in described.neurons.values():
        for handler, text in kind.entry.on.items():
            screen.print(f"\n[bold]neuron.{kind.name}.on.{handler}[/bold]\n{text.strip()}", markup=True)
    for connection in described.connections.values():
        for part, text in (("stored", connection.entry.stored), ("on_input", connection.entry.on_input)):
            if text:
                screen.print(f"\n[bold]connection.{connection.name}.{part}[/bold]\n{text.strip()}")
    screen.print("\n[bold]Unknown[/bold]")
    for line in described.unknown:
        screen.print(f"- {line}", markup=False)


def _value(raw: Mapping[str, object], place: str) -> str:
    node: object = raw
    for part in place.split("."):
        node = node.get(part, {}) if isinstance(node, Mapping) else {}
    if not isinstance(node, Mapping):
        return "text" if "\n" in str(node) else str(node)
    return ", ".join(
        f"{k} {v}" for k, v in node.items() if k in {"holds", "may", "safe", "signed", "unsigned", "at_most"}
    )


@targets.command()
@json_option
@refusing
def matrix(*, as_json: bool) -> None:
    """Print which float neuron each chip computes: exact, or refused with the reason."""
    from neurodeploy.support import support_matrix

    rows = support_matrix(_chips())
    if as_json:
        emit_json([row.to_json() for row in rows])
        return
    console().print(
        table(
            "Float neurons",
            ("neuron", "chip", "layer", "support", "reason"),
            [(r.neuron, r.chip, r.role, r.support, r.reason) for r in rows],
        )
    )
