"""Files of single events, cut into windows of time while they are read."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurodeploy import npz
from neurodeploy.errors import Fault, Refusal
from neurodeploy.events import Events, event_blocks, stimulus
from neurodeploy.network import Group
from neurodeploy.simulator import Stimulus


def is_recording(path: Path) -> bool:
    """Whether a file holds single events: by its suffix, an .npz by its entries."""
    return path.suffix.lower() != ".npy" and (path.suffix.lower() != ".npz" or "t_us" in npz.read_headers(path))


def channels_of(width: int, height: int, groups: Sequence[Group]) -> int:
    """Polarities that the input group tells apart.

    Raises Refusal ND1301 for a sensor of another size than the input group.
    """
    shapes = [g.shape for g in groups]
    if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][0] <= 2 and shapes[0][1:] == (height, width):
        return int(shapes[0][0])
    was = f"events of a sensor {width} wide and {height} high"
    must = f"one input group of shape (channel, {height}, {width}), with 1 or 2 channels; there is {shapes}"
    raise Refusal(Fault("ND1301", "stream", was, must, "cut or pool the events first"))


def recorded_steps(path: Path, groups: Sequence[Group], dt_us: int) -> int:
    """Steps of dt_us up to the last event of a file, which is read once for it."""
    shape, last = _map_of(groups), -1
    for block in event_blocks(path, width=shape[2], height=shape[1]):
        last = max(last, int(block.t_us[-1]) if len(block) else last)
    return last // dt_us + 1


def _map_of(groups: Sequence[Group]) -> tuple[int, ...]:
    """(channel, row, column) of the input group that is a map."""
    return next((g.shape for g in groups if len(g.shape) == 3), (1, 1, 1))


def windows(path: Path, groups: Sequence[Group], dt_us: int, steps: int) -> Iterator[Stimulus]:
    """Events of a file as pieces of equally many steps, the last one up to the last event.

    A file that does not state its sensor has that of the input group. Only a window and what was read with it is held.
    Raises Refusal as ``load_events`` does; ND1301 for a sensor of another size.
    """
    shape, start, held = _map_of(groups), 0, None
    for block in event_blocks(path, width=shape[2], height=shape[1]):
        channels = channels_of(block.width, block.height, groups)
        held = block if held is None else replace(held, table=np.concatenate([held.table, block.table]))
        while len(held) and held.t_us[-1] >= (start + steps) * dt_us:
            yield _window(held, start, steps, dt_us, channels)
            held, start = held.between((start + steps) * dt_us, int(held.t_us[-1]) + 1), start + steps
    if held is not None and len(held):
        yield _window(held, start, int(held.t_us[-1]) // dt_us + 1 - start, dt_us, channels)


def _window(events: Events, start: int, steps: int, dt_us: int, channels: int) -> Stimulus:
    mine = events.between(min(0, int(events.t_us[0])), (start + steps) * dt_us)
    return replace(stimulus(mine.shifted(-start * dt_us), dt_us, steps, channels=channels), t_us=mine.t_us.copy())
