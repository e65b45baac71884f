"""One arriving event meets the neurons of its footprint, or a tick all neurons: by the Python table or by NumPy's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from neurodeploy.chips import Handler
from neurodeploy.chips.compile import GIVEN_ARRIVING
from neurodeploy.simulator.executors import check_width
from neurodeploy.simulator.machine import Ints, Lane
from neurodeploy.step import NUMPY, PYTHON, run

#: state -> (sample * neuron,) of a neuron kind, written in place
Flat = Mapping[str, Ints]


class Meeting(Protocol):
    """Runs a text on neurons one after the other, in place.

    slots : (meeting,) sample * neurons of the kind + position
    given : name -> (meeting,) numbers, or one for all
    Returns the meetings, in their order, in which the text made an event.
    """

    def __call__(
        self, handler: Handler, lane: Lane, states: Flat, slots: Ints, given: Mapping[str, Ints | int], *, once: bool
    ) -> Ints:
        """Run; once: no slot stands twice."""


def meet_python(
    handler: Handler,
    lane: Lane,
    states: Flat,
    slots: Ints,
    given: Mapping[str, Ints | int],
    *,
    once: bool,  # noqa: ARG001 - the reference takes one after the other anyway
) -> Ints:
    """The reference: plain integers, one neuron after the other."""
    fired, needed = [], handler.reads | handler.writes
    parameters = {n: v for n, v in lane.parameters.items() if n in needed}
    registers = {n: v for n, v in states.items() if n in needed}
    for number, slot in enumerate(slots.tolist()):
        environment: dict[str, Any] = {n: int(v[slot % lane.size]) for n, v in parameters.items()}
        environment |= {n: int(v if isinstance(v, int) else v[number]) for n, v in given.items()}
        environment |= {n: int(v[slot]) for n, v in registers.items()} | {GIVEN_ARRIVING: 1}
        run(handler.text.statements, environment, PYTHON)
        for name in sorted(handler.writes):
            check_width(handler, lane.kind.states, name, environment[name], environment[name])
            states[name][slot] = environment[name]
        if handler.emits and environment[handler.emits] == 1:
            fired.append(number)
    return np.array(fired, np.int64)


def meet_numpy(
    handler: Handler, lane: Lane, states: Flat, slots: Ints, given: Mapping[str, Ints | int], *, once: bool
) -> Ints:
    """The NumPy table over many meetings at once; equal to the reference in every bit.

    What a neuron does depends on its own meetings alone, so the first meeting of every neuron, then the second of
    every neuron, and so on, give what one after the other gives. Widths are checked at the end: a run that breaks one
    is refused as a whole.
    """
    if not slots.size:
        return np.zeros(0, np.int64)
    rounds = Rounds(np.arange(len(slots)), np.array([0, len(slots)])) if once else rounds_of(slots)
    order, needed = rounds.order, handler.reads | handler.writes
    slots = slots[order]
    positions = slots % lane.size
    # gathered once for all rounds; a round then sees slices
    columns = {n: v[positions] for n, v in lane.parameters.items() if n in needed}
    columns |= {n: v[order] for n, v in given.items() if n in needed and not isinstance(v, int)}
    same = {n: np.int64(v) for n, v in given.items() if isinstance(v, int)} | {GIVEN_ARRIVING: np.int64(1)}
    read = {n: v for n, v in states.items() if n in needed}
    seen = {n: np.zeros(len(slots), np.int64) for n in handler.unproved}
    fired, begin = np.zeros(len(slots), bool), 0
    for end in rounds.begins[1:].tolist():
        here = slots[begin:end]
        environment: dict[str, Any] = {n: v[begin:end] for n, v in columns.items()} | same
        environment |= {n: v[here] for n, v in read.items()}
        run(handler.text.statements, environment, NUMPY)
        for name in handler.writes:
            states[name][here] = environment[name]
        for name, values in seen.items():
            values[begin:end] = environment[name]
        if handler.emits:
            fired[order[begin:end]] = environment[handler.emits]
        begin = end
    for name, values in seen.items():
        check_width(handler, lane.kind.states, name, int(values.min()), int(values.max()))
    return np.flatnonzero(fired)


@dataclass(frozen=True)
class Rounds:
    """Meetings by the number of meetings that their neuron had before.

    order : the meetings, round by round; in a round no neuron stands twice
    begins : where each round begins in ``order``, and the end of the last
    """

    order: Ints
    begins: Ints


def rounds_of(slots: Ints) -> Rounds:
    """Cut meetings into rounds."""
    by_slot = np.argsort(_narrow(slots), kind="stable")
    ordered = slots[by_slot]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    lengths = np.diff(first, append=len(ordered))
    occurrence = np.arange(len(ordered)) - np.repeat(first, lengths)
    by_round = np.argsort(_narrow(occurrence), kind="stable")
    begins = np.concatenate([[0], np.cumsum(np.bincount(occurrence))])
    return Rounds(by_slot[by_round], begins)


def _narrow(values: Ints) -> Any:
    """Whole numbers from 0 in 16 bits if they fit: NumPy sorts those in linear time."""
    return values.astype(np.uint16) if values.max() <= np.iinfo(np.uint16).max else values


MEETINGS: Mapping[str, Meeting] = {"numpy": meet_numpy, "reference": meet_python}
