"""Boards that are plugged in: which of them is meant, the host's clock, and what samna says when it breaks."""

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from neurodeploy.chips import Chip
from neurodeploy.errors import Fault, Missing, Refusal


@dataclass(frozen=True)
class Clock:
    """Time of the host: what it is, in seconds, and how to let some pass."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


HOST = Clock()


def choose_board(chip: Chip, types: Collection[str], package: Any, name: str | None) -> str:
    """Name of the board to open, "TYPE:NUMBER", as samna wants it.

    types : samna's names of the boards with this chip
    name : the one that is wanted; None takes the first that fits
    Raises Missing ND9001 where no such board is free.
    """
    seen = Counter[str]()
    there = list[str]()
    for info in package.device.get_unopened_devices():
        kind = str(info.device_type_name)
        there.append(f"{kind}:{seen[kind]}")
        seen[kind] += 1
    fitting = [full for full in there if full.partition(":")[0] in types]
    if fitting and (name is None or name in fitting):
        return name or fitting[0]
    was = f"samna sees {', '.join(there) or 'no board'}"
    must = f"a free board {name or ' or '.join(types)}"
    todo = "plug the board in; on Linux it also needs the vendor's udev rules"
    raise Missing(Fault("ND9001", f"{chip.name}, board", was, must, todo, {"boards": there}))


def not_opened(chip: Chip, name: str, error: Exception) -> Refusal:
    """Refusal of a board that samna sees and does not open."""
    todo = "see that no other program has it open, and unplug it and plug it in again"
    return Refusal(Fault("ND1902", f"{chip.name}, {name}", f"not opened: {words_of(error)}", "an open board", todo))


def words_of(error: Exception) -> str:
    """What samna said; its library states no exceptions of its own."""
    return f"{type(error).__name__}: {error}"
