"""What a host sends: transfers that program a core without a spurious spike, and the events of an input."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurodeploy.archive import write_atomically
from neurodeploy.emit.crossbar.images import Images, images_of
from neurodeploy.emit.crossbar.table import CrossbarTable, crossbar_table
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Network

BYTE = 8


def transfers(images: Images, table: CrossbarTable) -> Iterator[int]:
    """Words of the programming port, in the order in which no event is made on the way.

    A core is reset before the first and after the last of them. While the memories are written it is gated and its
    loop is open: a write can make neurons fire by what stood there before. The highest byte of a neuron goes first.
    """
    registers, port = table.register_, table.port

    def configured(register: int, value: int) -> int:
        return register << port.data_bits | value

    def written(address: int, value: int) -> int:
        return (1 << port.write | address) << port.data_bits | value

    yield configured(registers.gate, 1)
    yield configured(registers.alone, 1)
    yield configured(registers.source, 0)
    yield configured(registers.last, images.last)
    count = table.word_bits // BYTE
    for number, word in enumerate(images.neurons.tolist()):
        for byte in reversed(range(count)):
            yield written(port.neuron | byte << port.neuron_byte | number, word >> BYTE * byte & (1 << BYTE) - 1)
    for number, word in enumerate(images.synapses.tolist()):
        for byte in range(count):
            yield written(port.synapse | byte << port.synapse_byte | number, word >> BYTE * byte & (1 << BYTE) - 1)
    yield configured(registers.alone, int(images.alone))
    yield configured(registers.gate, 0)


def event_words(network: Network, counts: npt.ArrayLike, sample: int = 0) -> list[int]:
    """Words of one sample: in each step the rows in ascending channel, a count of n n times, then the leak of all.

    counts : (time, batch, channel) of the one input group
    The host waits until the core is idle after each word; only then is a result that of the simulation.
    Raises Refusal ND1901 for a network that the memories do not hold, ND1301 for counts of another shape.
    """
    table = crossbar_table(network.chip)
    rows, given = images_of(network, table).rows, np.asarray(counts)
    inputs = network.of_kind(table.input)
    size = sum(g.size for g in inputs)
    if given.ndim != len("tbc") or given.shape[2] != size or len(inputs) != 1 or not 0 <= sample < given.shape[1]:
        was = f"counts of shape {given.shape} for {len(inputs)} input groups, sample {sample}"
        raise Refusal(
            Fault("ND1301", f"{network.chip.name}, events", was, f"(time, batch, {size}) and one of the batch")
        )
    if not np.issubdtype(given.dtype, np.integer) or given.min(initial=0) < 0:
        was = f"counts of {given.dtype} from {given.min(initial=0)}"
        raise Refusal(Fault("ND1301", f"{network.chip.name}, events", was, "whole numbers, 0 or more"))
    row = rows[inputs[0].name]
    found = list[int]()
    for step in given[:, sample]:
        found += [*np.repeat(row, step).tolist(), table.leak_word]
    return found


def write_events(network: Network, counts: npt.ArrayLike, path: str | Path, sample: int = 0) -> None:
    """Write the words of one sample, one in a line, in hexadecimal digits; refuses as ``event_words`` does."""
    table = crossbar_table(network.chip)
    write_atomically(Path(path), lines(event_words(network, counts, sample), table.event_bits))


def lines(words: list[int], bits: int) -> bytes:
    """Words as lines of lower-case hexadecimal digits, as ``$readmemh`` reads them."""
    digits = -(-bits // 4)
    return "".join(f"{word:0{digits}x}\n" for word in words).encode()
