"""What a device is to this program: it is reset, given a sample, and answers with events in the order of arrival."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from neurodeploy.chips.part import Grade

Ints = npt.NDArray[np.int64]
#: what came back, one row for each event: the step that the device states, the group by its number, neuron, how many
EVENT = np.dtype([("step", np.int64), ("group", np.int64), ("neuron", np.int64), ("count", np.int64)])
Events = npt.NDArray[np.void]


@dataclass(frozen=True)
class About:
    """Who answers.

    id : how it was asked for
    name, firmware, sdk : as the device and its software call themselves; "unknown" where nothing tells it
    grade : "silicon" of a chip; a simulator in the place of a device states its own
    """

    id: str
    name: str
    firmware: str
    sdk: str
    grade: Grade

    @property
    def made_by(self) -> str:
        """In one line."""
        return f"{self.name}, firmware {self.firmware}, {self.sdk}"


@dataclass(frozen=True)
class Sample:
    """What a device is given after a reset.

    id : name of the sample; answers carry it
    input : input group -> (time, channel) counts
    steps : how long it must run: the input, and the steps of draining after it
    """

    id: str
    input: Mapping[str, Ints]
    steps: int


@dataclass(frozen=True, eq=False)
class Answer:
    """What a device sent for one sample.

    events : (event,) EVENT in the order of arrival
    groups : names of the groups whose events are all reported; a group that is silent is one of them
    states : group -> state -> (time, neuron) as a probe shows them
    complete : the device said that it was done, or fell silent
    stale : events of an earlier sample that were still waiting
    strange : events that no neuron of the network can have sent
    trouble : what went wrong on the way, in words
    """

    events: Events
    groups: tuple[str, ...]
    states: Mapping[str, Mapping[str, Ints]] = field(default_factory=dict)
    complete: bool = True
    stale: int = 0
    strange: int = 0
    trouble: str = ""


class Device(Protocol):
    """A chip that can be asked; a class of this form is all that a new way to reach one needs.

    again : whether a sample that was not finished may be run once more
    """

    again: bool

    def about(self) -> About:
        """Who answers; asked after the last sample, when everything is known."""

    def announce(self, samples: Sequence[Sample]) -> None:
        """All samples that will be asked for, in their order; once, before the first."""

    def reset(self) -> None:
        """Set every state to its start."""

    def run(self, sample: Sample, timeout_s: float) -> Answer:
        """Run a sample from the reset and collect, for at most so many seconds after its end is due."""

    def close(self) -> None:
        """Give the device back; once is enough."""


def events_table(rows: Sequence[tuple[int, int, int, int]]) -> Events:
    """Table of (step, group, neuron, count), in the order given."""
    return np.array([tuple(row) for row in rows], EVENT)
