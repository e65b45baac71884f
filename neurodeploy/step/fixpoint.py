"""Intervals that a step does not leave: found by doubling, shrunk by halving, each one checked by a step."""

from collections.abc import Callable, Mapping

from neurodeploy.step.intervals import Interval, hull

#: Ranges of states by name.
States = dict[str, Interval]
#: One step: ranges at its end and ranges over all its moments; raises NotProvedError where a register is too narrow.
Step = Callable[[Mapping[str, Interval]], tuple[States, States]]

#: Steps that are taken before candidates are doubled: short cycles close by themselves.
PATIENCE = 3
#: Steps from a proof downwards, before and after halving.
DESCENTS = 8


#: An end is left as it is where it is within this share (one in ...) of one that is no proof.
SLACK = 1 << 8


class NotProvedError(Exception):
    """No interval was found; ``state`` is the register that can be too narrow, the message says by which text."""

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(reason)
        self.state, self.reason = state, reason


def enclose(start: States, step: Step, registers: Mapping[str, Interval], *, tight: bool = True) -> States:
    """Intervals that hold ``start`` and that a step from anywhere inside does not leave.

    registers : the widest candidate of each state
    tight : shrink what doubling found
    Raises NotProvedError where the step leaves the registers from every candidate tried.
    """
    found, patience = dict(start), PATIENCE
    while True:
        after = step(found)[0]
        grown = [name for name in found if not after[name].within(found[name])]
        if not grown:
            break
        patience -= 1
        for name in grown:
            wider = hull(found[name], after[name])
            found[name] = wider if patience >= 0 else _doubled(found[name], wider, registers[name])
    return _shrunk(start, found, step) if tight else found


def _doubled(before: Interval, wanted: Interval, register: Interval) -> Interval:
    low, high = wanted
    if low < before.low:
        low = max(register.low, -(1 << (-low).bit_length()) if low < 0 else 0)
    if high > before.high:
        high = min(register.high, 1 << high.bit_length() if high > 0 else 0)
    return Interval(min(low, wanted.low), max(high, wanted.high))


def _shrunk(start: States, found: States, step: Step) -> States:
    found = _descended(start, found, step)
    for _ in range(2):
        before = dict(found)
        for name in found:
            for side in (0, 1):
                found = _halved(start, found, step, name, side)
        found = _descended(start, found, step)
        if found == before:
            break
    return found


def _descended(start: States, found: States, step: Step) -> States:
    for _ in range(DESCENTS):
        after = step(found)[0]
        less = {name: hull(start[name], after[name]) for name in found}
        if less == found:
            break
        found = less  # a step is monotone: what it makes of a proof is a proof
    return found


def _halved(start: States, found: States, step: Step, name: str, side: int) -> States:
    """The proof with the end of one state as near to its start as bisection brings it, to a share of SLACK."""
    near, far = start[name][side], found[name][side]
    middle = far - int((far - near) / SLACK)
    while abs(far - near) * SLACK > abs(far) and middle not in {near, far}:
        end = Interval(middle, found[name].high) if side == 0 else Interval(found[name].low, middle)
        tried = found | {name: end}
        if _holds(tried, step):
            found, far = tried, middle
        else:
            near = middle
        middle = (near + far) // 2
    return found


def _holds(tried: States, step: Step) -> bool:
    try:
        after = step(tried)[0]
    except NotProvedError:
        return False
    return all(after[name].within(tried[name]) for name in tried)
