"""Results as HTML for notebooks: a title, a table, lines below; every text escaped."""

from collections.abc import Iterable, Sequence
from html import escape


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], lines: Iterable[object] = ()) -> str:
    """A table; numbers stand on the right. ``lines`` follow below it, line by line."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if body else ""
    below = "<br>".join(escape(text) for line in lines for text in str(line).splitlines())
    return f"<p><b>{escape(title)}</b></p>{table}" + (f"<p>{below}</p>" if below else "")


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return f"<td>{'yes' if value else 'no'}</td>"
    if isinstance(value, int | float):
        text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
        return f'<td style="text-align: right">{text}</td>'
    return f"<td>{escape(str(value))}</td>"
