"""The table ``[emit.NAME]`` of a chip file, checked: one way for every format."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from neurodeploy.chips.chip import Chip
from neurodeploy.errors import Fault, Refusal, raise_if

Table = TypeVar("Table", bound=BaseModel)


def table_of(
    chip: Chip, name: str, model: type[Table], contradictions: Callable[[Chip, Table], Iterable[Fault]], what: str
) -> Table:
    """Table of a format, and nothing else.

    what : the file in words, for a chip that has none
    Raises Refusal: ND1901 the chip has no such table, ND1102 and ND1103 with every fault of it.
    """
    entry = chip.file.emit.get(name)
    if entry is None:
        was = f"no {what}; its formats: {', '.join(chip.file.emit) or 'none'}"
        raise Refusal(Fault("ND1901", chip.name, was, f"a chip with an [emit.{name}] table"))
    try:
        table = model.model_validate(entry)
    except ValidationError as error:
        where = f"{chip.name}, emit.{name}"
        raise Refusal(
            [
                Fault("ND1102", ".".join([where, *map(str, e["loc"])]), f"found {e['input']!r}"[:80], e["msg"].lower())
                for e in error.errors()
            ]
        ) from None
    raise_if(list(contradictions(chip, table)))
    return table
