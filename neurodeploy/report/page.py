"""The page of a report: one file that opens without a network, and its numbers as JSON beside it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from neurodeploy import npz
from neurodeploy.archive import canonical_json, write_atomically
from neurodeploy.errors import missing_extra
from neurodeploy.events import Data
from neurodeploy.report import pictures
from neurodeploy.report.numbers import collect_numbers

TEMPLATE = "page.html"


def write_report(
    path: str | Path,
    out: str | Path,
    *,
    model: torch.nn.Module | None = None,
    data: Data | None = None,
    neurons: Mapping[str, tuple[int, ...]] | None = None,
) -> dict[str, Any]:
    """Write the page of a bundle to ``out`` and its numbers beside it as .json; the same input gives the same bytes.

    model, data, neurons : as in ``collect_numbers``
    Raises Missing without the extra [report], Refusal ND1401 where a file cannot be written, and what
    ``collect_numbers`` refuses.
    """
    out = Path(out)
    for place in (out, out.with_suffix(".json")):
        npz.refuse_place(place)
    numbers = collect_numbers(path, model=model, data=data, neurons=neurons)
    write_atomically(out, page_of(numbers).encode())
    write_atomically(out.with_suffix(".json"), canonical_json(numbers).encode())
    return numbers


def page_of(numbers: Mapping[str, Any]) -> str:
    """The page that shows some numbers; every number on it names its place in them."""
    try:
        import jinja2
        import markupsafe
    except ModuleNotFoundError:
        raise missing_extra("jinja2", "report", "the page of a report") from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def marked(draw: Callable[..., str]) -> Callable[..., str]:
        return lambda *given: markupsafe.Markup(draw(*given))  # noqa: S704 - pictures escape what they are given

    def number(place: str, shown: str = ",") -> str:
        value = value_at(numbers, place)
        text = "-" if value is None else format(value, shown)
        said = f'<data value="{pictures.escaped(value)}" data-place="{place}">{pictures.escaped(text)}</data>'
        return markupsafe.Markup(said)  # noqa: S704 - escaped above

    drawings = {n.removeprefix("draw_"): marked(getattr(pictures, n)) for n in dir(pictures) if n.startswith("draw_")}
    return environment.get_template(TEMPLATE).render(n=number, picture=drawings, **numbers) + "\n"


def value_at(numbers: Any, place: str) -> Any:
    """A number by its place, such as ``layers.0.rate``."""
    for part in place.split("."):
        numbers = numbers[int(part)] if isinstance(numbers, list) else numbers[part]
    return numbers
