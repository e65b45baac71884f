"""Checks of foreign plain data: each returns what it read, or notes a fault and goes on."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import Fault
from neurodeploy.step import Interval

Ints = npt.NDArray[np.int64]
CODE = "ND1901"


class Checks:
    """Collects every fault of one configuration."""

    def __init__(self) -> None:
        self.faults = list[Fault]()

    def fault(self, where: str, was: str, must: str, todo: str = "") -> None:
        """Note a fault."""
        self.faults.append(Fault(CODE, f"configuration, {where}", was, must, todo))

    def entries(
        self, value: object, where: str, required: Collection[str], optional: Collection[str] = ()
    ) -> Mapping[str, Any]:
        """Mapping with exactly the required entries and any of the optional ones; what is there of it."""
        if not isinstance(value, Mapping):
            self.fault(where, f"found {short(value)}", f"a table with {', '.join(required)}")
            return {}
        prefix = f"{where}." if where else ""
        for name in required:
            if name not in value:
                self.fault(f"{prefix}{name}", "entry missing", "it must be stated")
        for name in value:
            if name not in required and name not in optional:
                must = f"known: {', '.join([*required, *optional])}"
                self.fault(f"{prefix}{name}", "unknown entry", must, "remove it or correct its name")
        return value

    def integer(self, value: object, where: str, interval: Interval) -> int:
        """Integer in a range; 0 where it is none."""
        if type(value) is not int or value not in interval:
            self.fault(where, f"found {short(value)}", f"an integer in {interval.low}..{interval.high}")
            return 0
        return value

    def flag(self, value: object, where: str) -> bool:
        """True or false."""
        if not isinstance(value, bool):
            self.fault(where, f"found {short(value)}", "true or false")
        return value is True

    def matrix(self, value: object, where: str, interval: Interval) -> Ints:
        """(row, column) integers in a range; empty where it is no matrix."""
        empty = np.zeros((0, 0), np.int64)
        if not isinstance(value, list) or not value or not all(isinstance(row, list) and row for row in value):
            self.fault(where, f"found {short(value)}", "a list of rows, each a list of integers")
            return empty
        lengths = {len(row) for row in value}
        if len(lengths) > 1:
            self.fault(where, f"rows of {min(lengths)} to {max(lengths)} values", "rows of one length")
            return empty
        for i, row in enumerate(value):
            for j, entry in enumerate(row):
                if type(entry) is not int or entry not in interval:
                    must = f"an integer in {interval.low}..{interval.high}"
                    self.fault(f"{where}[{i}][{j}]", f"found {short(entry)}", must)
                    return empty
        return np.asarray(value, np.int64)

    def array(self, value: object, where: str, shape: tuple[int, ...], interval: Interval) -> Ints | None:
        """Integers of a shape as nested lists; None where they are not that."""
        flat: list[Any] = [value]
        for axis, length in enumerate(shape):
            for part in flat:
                if not isinstance(part, list) or len(part) != length:
                    was = f"{len(part)} entries" if isinstance(part, list) else f"found {short(part)}"
                    sizes = " x ".join(map(str, shape))
                    self.fault(where, f"{was} on level {axis + 1}", f"nested lists of {sizes} integers")
                    return None
            flat = [entry for part in flat for entry in part]
        for index, entry in enumerate(flat):
            if type(entry) is not int or entry not in interval:
                place = "".join(f"[{i}]" for i in np.unravel_index(index, shape))
                must = f"an integer in {interval.low}..{interval.high}"
                self.fault(f"{where}{place}", f"found {short(entry)}", must)
                return None
        return np.asarray(flat, np.int64).reshape(shape)


def short(value: object) -> str:
    """Value in an error text, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
