"""Which sets of widths are evaluated: one width for all by bisection, then each width by itself."""

import itertools
import math
from collections.abc import Callable, Mapping

from neurodeploy.step import Interval
from neurodeploy.widths.table import Row

Widths = dict[str, int]


class Spent(Exception):
    """The budget of evaluations is used up."""


def walk(
    choices: Mapping[str, Interval], ask: Callable[[Widths], Row], keeps: Callable[[Row], bool], most: int
) -> bool:
    """Evaluate sets of widths until no single width of the best can be a bit smaller.

    The error mostly falls as widths grow: bisection takes that for granted, and leaves out sets with no width above one
    that was not good enough. Where it is not so, a smaller set may be missed; at the end each width of the best set is
    lowered by a bit once more, whatever was known.

    choices : name -> widths that it may have; the first is made small first
    ask : evaluates a set, each once; raises Spent when nothing more may be evaluated
    keeps : whether a row is good enough
    most : sets that may be evaluated; where there are no more, all are
    Returns whether all sets were evaluated.
    """
    if math.prod(i.high - i.low + 1 for i in choices.values()) <= most:
        for widths in itertools.product(*(range(i.high, i.low - 1, -1) for i in choices.values())):
            ask(dict(zip(choices, widths, strict=True)))
        return True
    best = _Bisection(choices, ask, keeps).best()
    again = best is not None
    while best is not None and again:
        again = False
        for name, interval in choices.items():
            less = best | {name: best[name] - 1}
            if less[name] >= interval.low and keeps(ask(less)):
                best, again = less, True
    return False


class _Bisection:
    """One width for all names, then each by itself."""

    def __init__(
        self, choices: Mapping[str, Interval], ask: Callable[[Widths], Row], keeps: Callable[[Row], bool]
    ) -> None:
        self.choices, self.ask, self.keeps = choices, ask, keeps
        self.bad = list[Widths]()

    def best(self) -> Widths | None:
        """The smallest set that was found; None where not even all bits are enough."""
        low, high = min(i.low for i in self.choices.values()), max(i.high for i in self.choices.values())
        while self.ask(self.at(high)).refused and high > low:  # too large for the target: fewer bits may fit
            high -= 1
        if not self.good(self.at(high)):
            return None
        best = self.at(_smallest(low, high, lambda level: self.good(self.at(level))))
        for name, interval in self.choices.items():
            best = self.lowered(best, name, interval.low)
        return best

    def at(self, level: int) -> Widths:
        """One width for all; each name takes the nearest that it has."""
        return {name: min(max(level, i.low), i.high) for name, i in self.choices.items()}

    def lowered(self, best: Widths, name: str, low: int) -> Widths:
        """The smallest width of one name, with the others as they are."""
        return best | {name: _smallest(low, best[name], lambda bits: self.good(best | {name: bits}))}

    def good(self, widths: Widths) -> bool:
        """Whether a set keeps what is asked; not evaluated where a wider one does not."""
        if any(all(bits <= bad[name] for name, bits in widths.items()) for bad in self.bad):
            return False
        kept = self.keeps(self.ask(widths))
        if not kept:
            self.bad.append(widths)
        return kept


def _smallest(low: int, high: int, good: Callable[[int], bool]) -> int:
    """Smallest value that is good, by bisection; ``high`` is."""
    while low < high:
        middle = (low + high) // 2
        if good(middle):
            high = middle
        else:
            low = middle + 1
    return high
