"""Layouts: the names of an array's axes, in order, such as "time,batch,channel"."""

import re
from collections.abc import Callable

from neurodeploy.errors import Fault

#: layout -> the line of Python that states it
SuggestCall = Callable[[str], str]

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_REST = ((), ("channel",), ("row", "column"), ("channel", "row", "column"))


def axis_names(layout: str) -> tuple[str, ...]:
    """Names of the axes; blanks around them do not count."""
    return tuple(name.strip() for name in layout.split(","))


def time_batch_first(layout: str) -> tuple[str, ...]:
    """Names of the axes after time and batch have moved to the front."""
    return ("time", "batch", *(name for name in axis_names(layout) if name not in {"time", "batch"}))


def position(index: tuple[int, ...], names: tuple[str, ...]) -> str:
    """Place in an array in the user's terms: "time 3, batch 0, channel 7"."""
    if len(index) != len(names):
        return ", ".join(str(i) for i in index)
    return ", ".join(f"{name} {i}" for name, i in zip(names, index, strict=True))


def layout_faults(layout: object, shape: tuple[int, ...], suggest: SuggestCall | None = None) -> list[Fault]:
    """Faults of a layout for an array of this shape: not stated, of other length, without time or batch."""
    line = suggest or (lambda stated: f'data(input, layout="{stated}", dt_s=SECONDS_PER_STEP)')
    if len(shape) < 2:
        was, must = f"an array of shape {shape}", "counts have at least a time and a batch axis"
        return [Fault("ND1501", "input", was, must, "add the missing axis, for instance input[:, None]")]
    if layout is None:
        return [_not_stated(shape, line)]
    if not isinstance(layout, str):
        return [Fault("ND1501", "layout", repr(layout), 'a string such as "time,batch,channel"')]
    return _name_faults(axis_names(layout), shape) if layout else [_not_stated(shape, line)]


def _not_stated(shape: tuple[int, ...], line: SuggestCall) -> Fault:
    rest = _REST[len(shape) - 2] if len(shape) - 2 < len(_REST) else tuple(f"axis{i}" for i in range(2, len(shape)))
    time_first, batch_first = ",".join(("time", "batch", *rest)), ",".join(("batch", "time", *rest))
    was = f"the layout of an array of shape {shape} is not stated"
    lines = line(time_first), line(batch_first)
    todo = f"write\n    {lines[0]}\nif axis 0 (length {shape[0]}) is time, or\n    {lines[1]}\nif it is the batch"
    must = "lengths do not tell time from batch"
    return Fault("ND1501", "layout", was, must, todo, {"shape": shape, "lines": lines})


def _name_faults(names: tuple[str, ...], shape: tuple[int, ...]) -> list[Fault]:
    stated, faults = f'"{",".join(names)}"', []
    if len(names) != len(shape):
        was = f"{stated} names {len(names)} axes"
        must = f"the array has {len(shape)}, of shape {shape}"
        values = {"value": len(names), "limit": len(shape)}
        faults.append(Fault("ND1501", "layout", was, must, "name every axis once, in the order of memory", values))
    illegal = [name for name in names if not _NAME.match(name)]
    if illegal:
        was = f"{stated} contains the name {illegal[0]!r}"
        faults.append(Fault("ND1501", "layout", was, "lower case letters, digits and _, first a letter"))
    twice = sorted({name for name in names if names.count(name) > 1} - set(illegal))
    if twice:
        faults.append(Fault("ND1501", "layout", f"{stated} contains {twice[0]!r} twice", "every axis has another name"))
    faults += [
        Fault("ND1501", "layout", f"{stated} has no {name} axis", "time and batch are both named")
        for name in ("time", "batch")
        if name not in names
    ]
    return faults
