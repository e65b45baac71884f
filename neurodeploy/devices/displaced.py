"""What became of every event that was expected of a device: seen in its step, moved, lost, or one too many."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from neurodeploy.devices.recording import Recording

Ints = npt.NDArray[np.int64]
Place = tuple[str, int, int, int]  # group, neuron, sample, step
#: an event that comes so many steps late or early is still taken for the one that was expected
HORIZON = 10
#: events of a neuron in a step that are followed one by one
MOST_IN_A_STEP = 1_000


@dataclass
class Displaced:
    """Events that did not come where a simulation has them.

    lost, surplus : place -> how many
    moved : (place where it was expected, step in which it came), beyond what the recording states of its jitter
    within : events moved by no more steps than that
    """

    lost: Counter[Place] = field(default_factory=Counter)
    surplus: Counter[Place] = field(default_factory=Counter)
    moved: list[tuple[Place, int]] = field(default_factory=list)
    within: int = 0

    def sentences(self, recording: Recording) -> Iterator[str]:
        """What happened, by kind, with the first place of each."""
        for events, what in ((self.lost, "lost"), (self.surplus, "too many")):
            if events:
                yield f"{_events(events.total())} {what}, the first at {_place(min(events, key=_time), recording)}"
        for late, what in ((True, "delayed"), (False, "early")):
            steps = [(place, came) for place, came in self.moved if (came > place[3]) is late]
            if steps:
                by = [abs(came - place[3]) for place, came in steps]
                much = f"{min(by)}" if min(by) == max(by) else f"{min(by)} to {max(by)}"
                first = _place(min((place for place, _ in steps), key=_time), recording)
                unit = "step" if max(by) == 1 else "steps"
                yield f"{_events(len(steps))} {what} by {much} {unit}, the first expected at {first}"


def match(expected: Mapping[str, Ints], recording: Recording) -> tuple[dict[str, Ints], Displaced]:
    """Counts as recorded, with events that moved within the stated jitter put back; and what became of the others.

    expected : group -> (time, batch, neuron) of a simulation that went on while the host was draining
    """
    seen, found = {name: counts.copy() for name, counts in recording.whole.items()}, Displaced()
    for name, counts in seen.items():
        for sample, neuron in np.argwhere((counts != expected[name]).any(axis=0)).tolist():
            where = (name, neuron, sample)
            _match_neuron(expected[name][:, sample, neuron], counts[:, sample, neuron], where, recording, found)
    return {name: counts[: recording.steps] for name, counts in seen.items()}, found


def _match_neuron(want: Ints, have: Ints, where: tuple[str, int, int], recording: Recording, found: Displaced) -> None:
    """Take each missing event for the nearest that is too many: within the jitter first, then within the horizon."""
    gap = want - have
    missing, extra = _singly(gap, where, found.lost), _singly(-gap, where, found.surplus)
    for reach in (recording.jitter_steps, HORIZON):
        left = []
        for step in missing:
            near = extra[bisect_left(extra, step - reach) : bisect_right(extra, step + reach)]
            if not near:
                left.append(step)
                continue
            # of two that are equally near, the later one: lines delay
            came = min(near, key=partial(_distance, step))
            del extra[bisect_left(extra, came)]
            if abs(came - step) <= recording.jitter_steps:
                found.within += 1
                have[step] += 1
                have[came] -= 1
            else:
                found.moved.append(((*where, step), came))
        missing = left
    found.lost.update((*where, step) for step in missing)
    found.surplus.update((*where, step) for step in extra)


def _singly(gap: Ints, where: tuple[str, int, int], rest: Counter[Place]) -> list[int]:
    """Steps of single events in ascending order; of very many in one step the rest is only counted."""
    for step in np.flatnonzero(gap > MOST_IN_A_STEP).tolist():
        rest[(*where, step)] += int(gap[step]) - MOST_IN_A_STEP
    return np.repeat(np.arange(len(gap)), np.clip(gap, 0, MOST_IN_A_STEP)).tolist()


def _distance(step: int, came: int) -> tuple[int, bool]:
    return abs(came - step), came < step


def _time(place: Place) -> tuple[int, int, str, int]:
    return place[3], place[2], place[0], place[1]


def _place(place: Place, recording: Recording) -> str:
    group, neuron, sample, step = place
    return f"group {group!r}, neuron {neuron}, sample {recording.notes[sample].id!r}, step {step}"


def _events(number: int) -> str:
    return f"{number:,} event" if number == 1 else f"{number:,} events"
