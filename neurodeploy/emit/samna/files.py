"""What all configurations for samna share: their frame, files of JSON with one meaning, and whose they are."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurodeploy import chips
from neurodeploy.chips import Chip
from neurodeploy.emit.samna.checks import short
from neurodeploy.errors import Fault, Refusal

FORMAT = "neurodeploy/1"
NOTE = (
    "Written by neurodeploy with the field names of samna's configuration objects. "
    "Whether samna itself loads it is untested: neither samna nor a board was at hand."
)
#: Entries beside those of samna where a configuration lists neurons.
FRAME = ("format", "chip", "module", "dt_s", "ids", "note", "unverified")


def load_json(path: str | Path) -> Any:
    """Content of a file of JSON; raises Refusal ND1401 for no JSON, names that stand twice, and what is no number."""
    must = "a configuration as neurodeploy writes it"
    try:
        text = Path(path).read_text(encoding="utf-8")
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Refusal(Fault("ND1401", str(path), f"cannot be read: {reason}", must)) from None


def _once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in items]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"entry {name!r} stands twice")
    return dict(items)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def chip_of(configuration: object, chip: Chip | None) -> Chip:
    """The chip that a configuration is for, unless the caller has it.

    Raises Refusal: ND1404 another version, ND1901 no configuration, ND1104 an unknown chip.
    """
    found = configuration.get("format") if isinstance(configuration, Mapping) else None
    if found == FORMAT and isinstance(configuration, Mapping):
        name = configuration.get("chip")
        if chip is None and not isinstance(name, str):
            must = "the name of a chip"
            raise Refusal(Fault("ND1901", "configuration, chip", f"found {short(name)}", must))
        return chips.chip(str(name)) if chip is None else chip
    family = FORMAT.partition("/")[0]
    if isinstance(found, str) and found.partition("/")[0] == family:
        was, todo = f"version {found!r}", "write the file anew"
        raise Refusal(Fault("ND1404", "configuration, format", was, f"this program reads {FORMAT!r}", todo))
    was = f"found {short(found)}" if isinstance(configuration, Mapping) else f"found {short(configuration)}"
    raise Refusal(Fault("ND1901", "configuration, format", was, f"{FORMAT!r}, as neurodeploy writes it"))
