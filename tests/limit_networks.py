"""Networks that ask exactly so much of a limit, for every chip with channels, hidden and output neurons."""

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.network import Network, group, pairs, projection


def network(
    chip: Chip,
    *,
    inputs: int = 1,
    hidden: int = 1,
    outputs: int = 1,
    reached: int | None = None,
    read: int | None = None,
    rec: np.ndarray | None = None,
    aliases: list[tuple[int, int]] | None = None,
    dt_s: float | None = None,
    **registers: object,
) -> Network:
    """Input weights to the first ``reached`` hidden neurons, output weights from the last ``read`` ones.

    rec : (hidden, hidden) weights of synapse 1
    registers : of the hidden neurons
    """
    windows = {name: kind.entry for name, kind in chip.connections.items()}
    reached = min(hidden, windows["in"].targets_first or hidden) if reached is None else reached
    read = min(hidden, windows["out"].sources_last or hidden) if read is None else read
    i = group(chip, "input", "channel", inputs)
    h = group(chip, "layer", "hidden", hidden, **{"threshold": 100, **registers})
    o = group(chip, "readout", "output", outputs, threshold=100)
    to_hidden, to_output = np.zeros((inputs, hidden), int), np.zeros((hidden, outputs), int)
    to_hidden[:, :reached] = 1
    to_output[hidden - read :] = 1
    projections = [projection(chip, "in", i, h, w1=to_hidden), projection(chip, "out", h, o, w1=to_output)]
    if rec is not None:
        projections.append(projection(chip, "rec", h, h, w1=rec))
    if aliases is not None:
        projections.append(pairs(chip, "alias", h, h, aliases))
    return Network(chip, (i, h, o), tuple(projections), dt_s)


def spread(hidden: int, entries: int) -> np.ndarray:
    """(hidden, hidden) weights, ``entries`` of them 1, as evenly over the sources as can be."""
    places = np.arange(entries)
    source, turn = places % hidden, places // hidden
    matrix = np.zeros((hidden, hidden), int)
    matrix[source, (source + 1 + turn) % hidden] = 1
    assert matrix.sum() == entries
    return matrix


def fan(hidden: int, entries: int) -> np.ndarray:
    """(hidden, hidden) weights: neuron 0 has ``entries`` targets."""
    matrix = np.zeros((hidden, hidden), int)
    matrix[0, :entries] = 1
    return matrix


def asking(chip: Chip, limit: str, count: int) -> Network:
    """Ask ``count`` of one limit, of the others no more than must be."""
    most = chip.limits["hidden"].entry.at_most
    if limit in {"inputs", "hidden", "outputs"}:
        return network(chip, **{limit: count})
    if limit == "in_targets":
        return network(chip, hidden=2 * count, reached=count, read=1)
    if limit == "out_sources":
        return network(chip, hidden=2 * count, reached=1, read=count)
    if limit == "fan_out":
        return network(chip, hidden=count, rec=fan(count, count))
    if limit == "pool":
        return network(chip, hidden=most, rec=spread(most, count))
    if limit == "alias":
        return network(chip, hidden=count + 1, aliases=[(0, 1 + i) for i in range(count)])
    raise KeyError(limit)
