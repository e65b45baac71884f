"""What came back from a board: every event that was seen, and what can be said of those that were not."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurodeploy.emit.samna.layers.events import READING, Readings, Spikes, by_place

Place = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Collected:
    """Events of one stream, as they arrived; nothing is sorted, mended or left out.

    spikes : (event,) in the order of arrival; times on the board's stop watch
    others : events that are neither spikes nor readings: name of their class -> how many
    readings : (event,) READING, what the chip's own readout said, once in every period of the slow clock
    stale : events that were waiting before the first was sent; they belong to an earlier stream and are not in spikes
    sent : events that went to the board
    polls, waited_s : how often, and how long, the board was asked
    timed_out : the collection ended before the board had been silent for long enough; events may be missing
    trouble : what samna said when the board stopped answering, empty where it did not
    """

    spikes: Spikes
    others: Mapping[str, int] = field(default_factory=dict)
    stale: int = 0
    sent: int = 0
    polls: int = 0
    waited_s: float = 0.0
    timed_out: bool = False
    trouble: str = ""
    readings: Readings = field(default_factory=lambda: np.zeros(0, READING))

    @property
    def backward(self) -> int:
        """Spikes whose time is before that of the one that arrived just before."""
        return int(np.sum(np.diff(self.spikes["t_us"]) < 0))

    @property
    def repeated(self) -> int:
        """Spikes of a neuron and a time that came before; a neuron may fire twice in a microsecond, or a copy came."""
        return len(self.spikes) - len(np.unique(self.spikes))

    @property
    def untimed(self) -> bool:
        """All times are 0 though there are several: the stop watch did not run."""
        return len(self.spikes) > 1 and not self.spikes["t_us"].any()

    def to_json(self) -> dict[str, Any]:
        """What was seen, without the events."""
        names = ("sent", "stale", "polls", "waited_s", "timed_out", "trouble", "backward", "repeated", "untimed")
        result: dict[str, Any] = {"received": len(self.spikes), "others": dict(self.others)}
        result["readings"] = len(self.readings)
        return result | {name: getattr(self, name) for name in names}

    def against(self, expected: Spikes) -> "Comparison":
        """Compare how often each neuron fired; a chip keeps neither the order nor the time of a simulation."""
        want, got = Counter(dict(by_place(expected))), Counter(dict(by_place(self.spikes)))
        return Comparison(len(expected), len(self.spikes), dict(want - got), dict(got - want), self.timed_out)


@dataclass(frozen=True)
class Comparison:
    """What a board sent, beside what was expected of it.

    missing, surplus : (layer, feature, y, x) -> spikes fewer, or more, than expected
    timed_out : the collection was cut short, so that missing spikes may have come later
    """

    expected: int
    received: int
    missing: Mapping[Place, int]
    surplus: Mapping[Place, int]
    timed_out: bool

    @property
    def equal(self) -> bool:
        """Something was expected, and every neuron fired as often; never true of a collection that was cut short."""
        return self.expected > 0 and not self.missing and not self.surplus and not self.timed_out

    def __str__(self) -> str:
        if not self.expected:
            return f"nothing was expected, {self.received:,} spikes came: nothing was compared"
        parts = [f"{self.expected:,} spikes expected, {self.received:,} came"]
        for name, held in (("missing", self.missing), ("surplus", self.surplus)):
            if held:
                first = ", ".join(map(str, next(iter(held))))
                parts.append(f"{sum(held.values()):,} {name}, first at layer, feature, y, x = {first}")
        cut = ["the collection ended before the board fell silent"] * self.timed_out
        return "; ".join([*parts, *cut])
