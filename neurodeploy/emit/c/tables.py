"""Numbers in C: the narrowest type that holds them, constant tables, names."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.emit.c.table import number
from neurodeploy.emit.c.text import Register
from neurodeploy.step import Interval, signed, unsigned

Ints = npt.NDArray[np.int64]
LINE = 110


def storage(interval: Interval) -> str:
    """Narrowest C type that holds an interval."""
    for bits in (8, 16, 32, 64):
        for prefix, whole in (("u", unsigned(bits)), ("", signed(bits))):
            if interval.within(whole) and not (prefix and bits == 64):
                return f"{prefix}int{bits}_t"
    raise AssertionError(interval)  # texts are checked to fit 64 bits when a chip is read


def bytes_of(type_name: str) -> int:
    """Size of a C type of this module."""
    return int(re.sub(r"\D", "", type_name)) // 8


def interval_of(values: Iterable[int] | Ints) -> Interval:
    """Smallest interval that holds all values; 0..0 for none."""
    array = np.asarray(values, np.int64)
    return Interval(int(array.min()), int(array.max())) if array.size else Interval(0, 0)


@dataclass
class Tables:
    """Constant tables of a file.

    lines : their definitions
    size : bytes of all of them
    """

    lines: list[str] = field(default_factory=list)
    size: int = 0

    def array(self, name: str, values: Iterable[int] | Ints, note: str = "", *, public: str = "") -> str:
        """Add a table and return its name; ``public`` gives it that type and makes it no static one."""
        flat = np.asarray(values, np.int64).ravel()
        kind = public or storage(interval_of(flat))
        self.size += flat.size * bytes_of(kind)
        if note:
            self.lines.append(f"/* {note} */")
        self.lines.append(f"{'' if public else 'static '}const {kind} {name}[{flat.size}] = {{")
        self.lines += [f"    {line}" for line in wrap(", ".join(map(number, flat.tolist())), LINE)]
        self.lines += ["};", ""]
        return name

    def value(self, name: str, values: Iterable[int] | Ints, index: str, note: str = "") -> Register:
        """How an entry of a table is read: the number itself where all are equal."""
        flat = np.asarray(values, np.int64).ravel()
        interval = interval_of(flat)
        if interval.low == interval.high:
            return Register(number(interval.low), interval)
        return Register(f"{self.array(name, flat, note)}[{index}]", interval)


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """Names of groups as C names, all different."""
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII) or "group"
        taken, number_ = set(found.values()), 1
        made = plain
        while made in taken:
            number_ += 1
            made = f"{plain}_{number_}"
        found[name] = made
    return found


def loop(variable: str, low: str, high: str, body: Iterable[str]) -> Iterator[str]:
    """Lines of a loop over low..high-1."""
    yield f"for (int32_t {variable} = {low}; {variable} < {high}; {variable}++) {{"
    yield from indented(body)
    yield "}"


def indented(lines: Iterable[str], levels: int = 1) -> list[str]:
    """Lines moved to the right."""
    return [f"{'    ' * levels}{line}" if line else line for line in lines]


def all_equal(values: Mapping[str, Any] | Iterable[int]) -> bool:
    """Whether at most one value occurs."""
    return len(set(values.values() if isinstance(values, Mapping) else values)) <= 1
