"""The matrix as the README shows it: equal rows and equal chips together, reasons and substitutions as notes."""

from collections.abc import Sequence

from neurodeploy.support.matrix import ROLES, Support

Cell = tuple[str, ...]
#: What surrounds the table in the README.
BEGIN, END = "<!-- support matrix: begin -->", "<!-- support matrix: end -->"


def markdown(matrix: Sequence[Support]) -> str:
    """Table and notes. Chips with equal columns share one, and rows of a class with equal cells share one."""
    numbers: dict[str, int] = {}
    chips = list(dict.fromkeys(row.chip for row in matrix))
    titles = list(dict.fromkeys((row.neuron, row.variant) for row in matrix))
    cells = {(row.neuron, row.variant, row.chip, row.role): row for row in matrix}
    columns: dict[Cell, list[str]] = {}
    for chip in chips:
        column = tuple("\n".join(_said(cells[(*title, chip, role)]) for role in ROLES) for title in titles)
        columns.setdefault(column, []).append(chip)
    shown = list(columns.values())
    rows: dict[tuple[str, Cell], list[str]] = {}
    for neuron, variant in titles:
        line = tuple(_cell([cells[neuron, variant, group[0], role] for role in ROLES], numbers) for group in shown)
        rows.setdefault((neuron, line), []).append(variant)
    many = {neuron: sum(n == neuron for n, _ in titles) for neuron, _ in titles}
    lines = ["| neuron | " + " | ".join(", ".join(group) for group in shown) + " |"]
    lines.append("|---|" + "---|" * len(shown))
    for (neuron, line), names in rows.items():
        every = len(names) == many[neuron] > 1
        title = "every option" if every else ", ".join(f"`{name}`" for name in names)
        lines.append(f"| {neuron}: {title} | " + " | ".join(line) + " |")
    return "\n".join([*lines, "", *(f"{number}. {note}" for note, number in numbers.items())])


def _said(row: Support) -> str:
    """What a cell says, its notes in full."""
    return f"{row.support}{_figures(row)} {notes(row)}"


def notes(row: Support) -> tuple[str, ...]:
    """Reasons of a refusal, or what is replaced."""
    return row.reasons if row.support == "refused" else tuple(s.sentence for s in row.substitutions)


def _figures(row: Support) -> str:
    error = row.error
    if error is None:
        return ""
    counts = "-" if error.count_error is None else f"{100 * error.count_error:.0f} %"
    return f" {counts}, {error.time_error:.2f}"


def _cell(roles: Sequence[Support], known: dict[str, int]) -> str:
    """One text where both roles say the same."""
    texts = []
    for row in roles:
        numbers = sorted(known.setdefault(note, len(known) + 1) for note in notes(row))
        told = f" [{', '.join(map(str, numbers))}]" if numbers else ""
        texts.append({"approximated": "≈"}.get(row.support, row.support) + _figures(row) + told)
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)
