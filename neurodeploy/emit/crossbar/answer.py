"""What a core answers to the events of an input: its spikes in order, its memory at the end, and how long it works."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurodeploy.archive import write_atomically
from neurodeploy.emit.crossbar.images import images_of, packed, signed_of, unpacked, unpacked_weights
from neurodeploy.emit.crossbar.stream import event_words, lines
from neurodeploy.emit.crossbar.table import CrossbarTable, crossbar_table
from neurodeploy.network import Group, Network, Projection
from neurodeploy.network.network import Ints
from neurodeploy.simulator import simulate


@dataclass(frozen=True)
class Answer:
    """One sample, where the host waits until the core is idle after every word.

    words : what the host sends
    spikes : (number of the word, neuron), in the order in which they leave the core; also those that found the queue
        full
    neurons : words of the memory of neurons at the end
    cycles : for each word, clock cycles after which the core is idle again if every spike is acknowledged at once; an
        acknowledgement that comes n cycles later adds 2 n for each spike. Where neurons feed neurons, an upper bound
    """

    words: tuple[int, ...]
    spikes: tuple[tuple[int, int], ...]
    neurons: tuple[int, ...]
    cycles: tuple[int, ...]


def answer(network: Network, counts: npt.ArrayLike, sample: int = 0) -> Answer:
    """Simulate the memory images on one sample.

    counts : (time, batch, channel) of the one input group
    What is simulated is what the images hold, as one group of neurons: so spikes of several layers have one order.
    Raises Refusal as ``event_words`` does.
    """
    table, words = crossbar_table(network.chip), event_words(network, counts, sample)
    whole = _whole(network, table)
    units = whole.groups[1].name
    run = simulate(whole, np.asarray(counts)[:, [sample]], drain=0, record="v")
    given, fired = run.input[whole.groups[0].name][:, 0].sum(axis=1), run.events[units]
    ends = np.cumsum(given + 1)  # a word for each event, then that of the leak
    ticked = fired["cause"] < 0
    number = np.where(ticked, ends[fired["step"]] - 1, fired["cause"] + fired["step"])
    ids = np.asarray(whole.groups[1].ids)
    images = images_of(network, table)
    memory = images.neurons.copy()
    states = {table.state: run.states[units]["v"][-1, 0]} if len(given) else {}
    memory[ids] = packed(table, dict(whole.groups[1].parameters) | states)
    cycles = _cycles(table, words, np.bincount(number, minlength=len(words)), images.last, alone=images.alone)
    spikes = tuple(zip(number.tolist(), ids[fired["neuron"]].tolist(), strict=True))
    return Answer(tuple(words), spikes, tuple(memory.tolist()), tuple(cycles.tolist()))


def write_answer(network: Network, counts: npt.ArrayLike, path: str | Path, sample: int = 0) -> None:
    """Write the words of one sample, and beside ``NAME.hex`` what the core answers.

    ``NAME.spikes.txt``: number of the word and neuron, a line for each spike; ``NAME.neurons.hex``: the memory at the
    end; ``NAME.cycles.txt``: cycles to wait after each word. Refuses as ``event_words`` does.
    """
    table, found, target = crossbar_table(network.chip), answer(network, counts, sample), Path(path)
    write_atomically(target.with_suffix(".spikes.txt"), "".join(f"{n} {i}\n" for n, i in found.spikes).encode())
    write_atomically(target.with_suffix(".neurons.hex"), lines(list(found.neurons), table.word_bits))
    write_atomically(target.with_suffix(".cycles.txt"), "".join(f"{n}\n" for n in found.cycles).encode())
    write_atomically(target, lines(list(found.words), table.event_bits))


def _whole(network: Network, table: CrossbarTable) -> Network:
    """What the images hold: the inputs as they are, and the neurons of all groups in ascending order as one."""
    chip, images = network.chip, images_of(network, table)
    (given,) = network.of_kind(table.input)
    ids = np.sort(np.concatenate([g.ids for g in network.of_kind(table.unit) if g.ids is not None]))
    registers = {n: v[ids] for n, v in unpacked(table, images.neurons, signed_of(chip, table)).items()}
    registers[table.swept] = np.ones(len(ids), np.int64)
    unit = Group(table.unit, table.unit, len(ids), registers, ids)
    matrix = unpacked_weights(table, images.synapses)[:, ids]
    pieces = [_dense(table.rows, given, unit, matrix[images.rows[given.name]], table)]
    if not images.alone:
        pieces.append(_dense(table.unit_rows, unit, unit, matrix[ids], table))
    return Network(chip, (given, unit), tuple(pieces), network.dt_s)


def _dense(kind: str, source: Group, target: Group, matrix: Ints, table: CrossbarTable) -> Projection:
    sources, targets = (a.reshape(-1) for a in np.indices(matrix.shape))
    return Projection(kind, source.name, target.name, sources, targets, {table.weight: matrix.reshape(-1)}, {})


def _cycles(table: CrossbarTable, words: list[int], spikes: Ints, last: int, *, alone: bool) -> Ints:
    """Each spike leaves the core, and where neurons feed neurons it is a row of its own unless it found no place."""
    cost, sweep = table.cycles, table.cycles.neuron * (last + 1)
    own = np.where(np.array(words) == table.leak_word, cost.leak, cost.row) + sweep
    return np.asarray(own + spikes * (cost.spike + (0 if alone else cost.row + sweep)))
