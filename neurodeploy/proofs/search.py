"""Invariants of a network: ranges that no step leaves, found by doubling, shrunk by halving, for all neurons at once.

Neurons do not see each other's states but what is emitted, so each has a search of its own while one walk over the
texts serves all. What a group is shown to emit bounds what arrives elsewhere: groups are searched in turns until
nothing becomes less.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from neurodeploy.network import Network
from neurodeploy.proofs.boxes import Ends, Ints
from neurodeploy.proofs.motion import Motion, Ranges, motion_of
from neurodeploy.step import Interval

#: Steps that are taken before candidates are doubled: short cycles close by themselves.
PATIENCE = 3
#: Steps from a proof downwards.
DESCENTS = 4
#: An end is left as it is where it is within this share (one in ...) of one that is no proof.
SLACK = 64
#: Turns over all groups.
TURNS = 4

Mask = npt.NDArray[np.bool_]
Emitted = dict[str, tuple[Ints, Ints]]
#: Raises TimeUpError where no time is left.
Clock = Callable[[], None]


class TimeUpError(Exception):
    """No time is left."""


def invariants(network: Network, clock: Clock) -> tuple[dict[str, Ranges], Emitted]:
    """Ranges after a step by group and state, and what each group's neurons emit at most.

    They hold for every input within the caps, every order and length; a state of which nothing is known has the range
    of its register. They are what a search says: ``certificate`` checks them. Ends are made as near as can be only
    where rails are in reach otherwise.
    """
    found, emitted = dict[str, Ranges](), Emitted()
    if not _turns(network, found, emitted, clock, tight=False):
        _turns(network, found, emitted, clock, tight=True)
    return found, emitted


def _turns(network: Network, found: dict[str, Ranges], emitted: Emitted, clock: Clock, *, tight: bool) -> bool:
    """Search group after group until nothing becomes less; whether no rail is in reach then."""
    sources = {p.source for p in network.projections}
    met, clear = dict[str, dict[str, tuple[Ints, Ints] | None]](), dict[str, bool]()  # met: what arrived when searched
    for _ in range(TURNS):
        for group in network.groups:
            arriving = {s: emitted.get(s) for s in {p.source for p in network.projections if p.target == group.name}}
            if group.name in met and all(_same(arriving[s], met[group.name][s]) for s in arriving):
                continue
            met[group.name] = arriving
            motion = motion_of(network, group, emitted)
            try:
                found[group.name] = enclose(motion, clock, found.get(group.name), tight=tight)
            except TimeUpError:
                if group.name not in found:  # else: fewer events arrive now, what was found still holds
                    found[group.name] = {n: _everything(r, group.size) for n, r in motion.registers.items()}
            outcome, emits = motion.step(found[group.name]), motion.program.kind.emits
            clear[group.name] = all(reached.clear.all() for reached in outcome.reached)
            if group.name in sources and emits in motion.registers:
                low, high = outcome.seen[emits]
                emitted[group.name] = low, high
    return all(clear.values())


def _everything(register: Interval, size: int) -> Ends:
    return Ends(np.full(size, register.low, np.int64), np.full(size, register.high, np.int64))


def _same(first: tuple[Ints, Ints] | None, second: tuple[Ints, Ints] | None) -> bool:
    if first is None or second is None:
        return first is second
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def enclose(motion: Motion, clock: Clock, known: Ranges | None = None, *, tight: bool = True) -> Ranges:
    """Ranges that hold the start and that a step from anywhere inside does not leave.

    known : ranges that are such already
    tight : shrink them as far as can be, not by some steps alone
    """
    start = motion.start()
    found, turn = dict(start), 0
    while known is None:
        clock()
        after = motion.step(found).after
        if all(_inside(after[n], found[n]).all() for n in found):
            break
        turn += 1
        for n, register in motion.registers.items():
            wider = _hull(found[n], after[n])
            if turn > PATIENCE:
                low = _doubled(found[n].low, wider.low, register.low)
                wider = Ends(low, _doubled(found[n].high, wider.high, register.high))
            found[n] = wider
    return _shrunk(motion, start, known or found, clock, tight=tight)


def _doubled(before: Ints, wanted: Ints, register: int) -> Ints:
    """The end that is wanted where it has not moved, else the next power of two, as far as the register goes."""
    power = 1 << np.ceil(np.log2(np.abs(wanted).astype(float) + 1)).astype(np.int64)
    far = np.maximum(np.where(wanted < 0, -power, 0), register) if register <= 0 else wanted
    if register > 0:
        far = np.minimum(np.where(wanted > 0, power, 0), register)
    return np.where(before == wanted, before, far)


def _shrunk(motion: Motion, start: Ranges, found: Ranges, clock: Clock, *, tight: bool) -> Ranges:
    found = _descended(motion, start, found, clock)
    for n in found if tight else ():
        for side in (0, 1):
            found = _halved(motion, start, found, n, side, clock)
    return _descended(motion, start, found, clock) if tight else found


def _descended(motion: Motion, start: Ranges, found: Ranges, clock: Clock) -> Ranges:
    for _ in range(DESCENTS):
        clock()
        after = motion.step(found).after
        less = {n: _hull(start[n], after[n]) for n in found}
        kept = _chosen(_holds(motion, less), less, found)
        if all(_inside(found[n], kept[n]).all() for n in found):
            break
        found = kept
    return found


def _halved(motion: Motion, start: Ranges, found: Ranges, name: str, side: int, clock: Clock) -> Ranges:
    """The proof with one end of one state as near to its start as bisection brings it."""
    near, far = start[name][side].copy(), found[name][side].copy()
    while (open_ := np.abs(far - near) * SLACK > np.maximum(np.abs(far), SLACK)).any():
        clock()
        middle = np.where(open_, (near + far) // 2, far)
        ends = Ends(middle, found[name].high) if side == 0 else Ends(found[name].low, middle)
        ok = _holds(motion, found | {name: ends})
        near, far = np.where(open_ & ~ok, middle, near), np.where(open_ & ok, middle, far)
        stuck = open_ & ~ok & (middle == near) & (np.abs(far - near) <= 1)
        near = np.where(stuck, far, near)
    return found | {name: Ends(far, found[name].high) if side == 0 else Ends(found[name].low, far)}


def _holds(motion: Motion, tried: Ranges) -> Mask:
    """(neuron,) where a step stays inside."""
    after = motion.step(tried).after
    holds = np.ones(motion.size, bool)
    for n, ends in tried.items():
        holds &= _inside(after[n], ends)
    return holds


def _chosen(where: Mask, first: Ranges, second: Ranges) -> Ranges:
    return {n: Ends(*(np.where(where, a, b) for a, b in zip(first[n], second[n], strict=True))) for n in first}


def _inside(inner: Ends, outer: Ends) -> Mask:
    return (outer.low <= inner.low) & (inner.high <= outer.high)


def _hull(first: Ends, second: Ends) -> Ends:
    return Ends(np.minimum(first.low, second.low), np.maximum(first.high, second.high))
