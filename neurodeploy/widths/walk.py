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

    The error mostly falls as widths grow, so both parts bisect. Where it does not, they may miss a smaller set; what
    they return was evaluated all the same.

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
    best = _uniform(choices, ask, keeps)
    if best is None:
        return False
    for name in choices:
        best = _lowered(name, best, choices[name].low, ask, keeps)
    again = True
    while again:  # where the error is not monotone, a width may still be one smaller
        again = False
        for name, interval in choices.items():
            if best[name] > interval.low and keeps(ask(best | {name: best[name] - 1})):
                best, again = best | {name: best[name] - 1}, True
    return False


def _uniform(
    choices: Mapping[str, Interval], ask: Callable[[Widths], Row], keeps: Callable[[Row], bool]
) -> Widths | None:
    """The smallest width for all that keeps what is asked, None for none; each name takes the nearest that it has."""

    def at(level: int) -> Widths:
        return {name: min(max(level, i.low), i.high) for name, i in choices.items()}

    low, high = min(i.low for i in choices.values()), max(i.high for i in choices.values())
    while ask(at(high)).refused and high > low:  # what is too large for the target may fit with fewer bits
        high -= 1
    if not keeps(ask(at(high))):
        return None
    return at(_smallest(low, high, lambda level: keeps(ask(at(level)))))


def _lowered(name: str, best: Widths, low: int, ask: Callable[[Widths], Row], keeps: Callable[[Row], bool]) -> Widths:
    """The smallest width of one name that still keeps what is asked, with the others as they are."""
    return best | {name: _smallest(low, best[name], lambda bits: keeps(ask(best | {name: bits})))}


def _smallest(low: int, high: int, good: Callable[[int], bool]) -> int:
    """Smallest value that is good, by bisection; ``high`` is."""
    while low < high:
        middle = (low + high) // 2
        if good(middle):
            high = middle
        else:
            low = middle + 1
    return high
