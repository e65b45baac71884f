"""What arrives with the rows of a delivery: what their sources emitted, now or some steps before."""

import collections
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from neurodeploy.chips import Chip, ConnectionKind
from neurodeploy.simulator.machine import Lane, Row
from neurodeploy.simulator.tensors.texts import Tensors, tensor
from neurodeploy.step import Interval
from neurodeploy.step.intervals import hull

#: neuron kind -> emitted values of the last steps, the newest first
History = Mapping[str, collections.deque[torch.Tensor]]


class Arrivals:
    """Reads (batch, row) events.

    counts : with what an event can arrive
    """

    def __init__(
        self, chip: Chip, kind: ConnectionKind, lanes: Mapping[str, Lane], rows: Sequence[Row], device: torch.device
    ) -> None:
        self.size = len(rows)
        kinds = dict.fromkeys(row.source_kind for row in rows)
        self.emits = {n: lanes[n].kind.emits for n in kinds}
        self.counts = hull(*(_emitted(lanes[n]) for n in kinds))
        pieces: dict[tuple[str, int], list[int]] = {}
        for number, row in enumerate(rows):
            back = row.delay - 1 + chip.lag(kind.name, row.source_kind) if row.delay else -1
            pieces.setdefault((row.source_kind, back), []).append(number)
        self.pieces = [
            (name, back, _positions([rows[i].source for i in where], device)) for (name, back), where in pieces.items()
        ]
        order = np.concatenate([np.array(where) for where in pieces.values()])
        straight = bool(np.all(np.diff(order) > 0))
        self.order = None if straight else tensor(np.argsort(order), torch.int64, device)

    def read(self, states: Mapping[str, Tensors], history: History) -> torch.Tensor:
        """(batch, row) int32 events."""
        found = []
        for name, back, at in self.pieces:
            emitted = states[name][self.emits[name]] if back < 0 else history[name][back]
            found.append(emitted[:, at] if isinstance(at, slice) else emitted.index_select(1, at))
        joined = found[0] if len(found) == 1 else torch.cat(found, 1)
        return joined if self.order is None else joined.index_select(1, self.order)


def _emitted(lane: Lane) -> Interval:
    return lane.kind.states[lane.kind.emits].interval


def _positions(positions: Sequence[int], device: torch.device) -> slice | torch.Tensor:
    """A slice where they are neighbours."""
    values = np.array(positions, np.int64)
    if np.all(np.diff(values) == 1):
        return slice(int(values[0]), int(values[-1]) + 1)
    return tensor(values, torch.int64, device)
