"""Spikes that a queue loses on an input: a network that loses some is not the network that was mapped."""

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import Fault
from neurodeploy.network import Network
from neurodeploy.network.network import Ints
from neurodeploy.simulator import simulate

#: Halvings of the share of the input at which nothing is lost.
HALVINGS = 4


def queue_faults(network: Network, counts: npt.ArrayLike) -> list[Fault]:
    """Why a placed network does not fit an input: spikes that found the queue full, and the rate that avoids them.

    counts : (time, batch, channel) of the one input group
    Empty where nothing is lost, and on chips whose queue loses nothing.
    """
    schedule, given = network.chip.file.schedule, np.asarray(counts)
    if schedule.kind != "event" or schedule.depth is None or schedule.when_full != "drop":
        return []
    lost = _lost(network, given)
    if not lost.any():
        return []
    share = _bearable(network, given[:, lost > 0])
    rate = float(given.sum()) / max(given.shape[0] * given.shape[1], 1)
    was = f"{int(lost.sum()):,} spikes lost in {int((lost > 0).sum())} of {len(lost)} samples"
    must = f"at most {schedule.depth} events that wait, with the one at work"
    todo = "raise thresholds or weaken loops, so that fewer neurons fire at once"
    if share:
        todo += f"; or send fewer events: at {share:.0%} of them, {rate * share:.3g} in a step, none was lost"
    values = {"lost": int(lost.sum()), "share": share, "rate": rate * share}
    return [Fault("ND1801", f"{network.chip.name}, queue", was, must, todo, values)]


def _lost(network: Network, counts: Ints) -> Ints:
    return simulate(network, counts, drain=0, keep="outputs").lost


def _bearable(network: Network, counts: Ints) -> float:
    """Largest share of the events, to a sixteenth, at which nothing is lost; 0 where none was found."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _lost(network, thinned(counts, middle)).any():
            high = middle
        else:
            low = middle
    return low


def thinned(counts: Ints, share: float) -> Ints:
    """A share of the events of each channel, evenly in time."""
    sums = np.floor(np.cumsum(counts, axis=0) * share).astype(np.int64)
    return np.asarray(np.diff(sums, axis=0, prepend=0))
