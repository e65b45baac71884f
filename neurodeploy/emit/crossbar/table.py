"""What chip.toml says about the memories of a crossbar, its programming port and the words of its host; checked."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from neurodeploy.chips import Chip
from neurodeploy.chips.formats import table_of
from neurodeploy.chips.part import Part
from neurodeploy.errors import Fault

FORMAT = "crossbar/1"
Bits = Annotated[tuple[int, int], BeforeValidator(tuple)]
Small = Annotated[int, Field(ge=0)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Registers(_Table):
    """Numbers of the registers, in words: gate, no loop, what is sent out, highest neuron of a sweep."""

    gate: Small
    alone: Small
    source: Small
    last: Small


class Port(_Table):
    """A transfer of the programming port: address bits, then data bits; the lowest eight of these are a byte.

    write : address bit that writes to a memory
    neuron, synapse : address bits that choose the memory
    neuron_byte, synapse_byte : lowest address bit of the number of the byte in a word
    """

    address_bits: Small
    data_bits: Small
    write: Small
    neuron: Small
    synapse: Small
    neuron_byte: Small
    synapse_byte: Small


class Cycles(_Table):
    """Clock cycles from the request of a word until the core is idle.

    row, leak : of a row, and of the leak of all neurons, without the sweep
    neuron : of each neuron of a sweep
    spike : of a spike that is acknowledged at once
    """

    row: Small
    leak: Small
    neuron: Small
    spike: Small


class CrossbarTable(Part):
    """The whole table.

    input, unit : neuron kinds; rows, unit_rows : connection kinds from each of them
    weight : synapse field
    slots : rows of the crossbar, and neurons
    word_bits : of both memories
    neuron : parameter -> (lowest bit, bits) in the word of a neuron; one of them is its state
    unused : parameter -> value in neurons that nobody uses
    swept : parameter that is 1 for every neuron of a sweep
    weights_per_word, weight_bits : of the memory of synapses
    register_ : numbers of registers; port : the programming port
    leak_word : event of the host that lets all neurons leak
    event_bits : bits of a word in the file of events
    state : register of a neuron's word that holds its state
    cycles : what events cost
    """

    input: str
    unit: str
    rows: str
    unit_rows: str
    weight: str
    slots: Annotated[int, Field(ge=1)]
    word_bits: Annotated[int, Field(ge=8)]
    neuron: Mapping[str, Bits]
    unused: Mapping[str, int]
    swept: str
    weights_per_word: Annotated[int, Field(ge=1)]
    weight_bits: Annotated[int, Field(ge=1)]
    register_: Annotated[Registers, Field(alias="register")]
    port: Port
    leak_word: Small
    event_bits: Annotated[int, Field(ge=1)]
    state: str
    cycles: Cycles


def crossbar_table(chip: Chip) -> CrossbarTable:
    """Table of a chip.

    Raises Refusal: ND1901 the chip has none, ND1102 and ND1103 with every fault of the table.
    """
    return table_of(chip, "crossbar", CrossbarTable, _contradictions, "memory images of a crossbar")


def _contradictions(chip: Chip, table: CrossbarTable) -> Iterator[Fault]:
    """Registers without a place are faults: they would be dropped."""
    where = f"{chip.name}, emit.crossbar"
    for role, kind, known in (
        ("input", table.input, chip.neurons),
        ("unit", table.unit, chip.neurons),
        ("rows", table.rows, chip.connections),
        ("unit_rows", table.unit_rows, chip.connections),
    ):
        if kind not in known:
            yield Fault("ND1103", where, f"{role} = {kind!r}", f"one of {', '.join(known)}")
    if table.unit in chip.neurons:
        named, parameters = {*table.neuron, table.swept}, set(chip.neurons[table.unit].parameters)
        inside = {*table.unused, table.state} <= set(table.neuron)
        if named != parameters or table.swept in table.neuron or not inside:
            was = f"{', '.join(sorted(named))} for {', '.join(sorted(parameters))}"
            yield Fault("ND1103", f"{where}.neuron", was, "each parameter once")
    if table.weights_per_word * table.weight_bits != table.word_bits or table.slots % table.weights_per_word:
        was = f"{table.weights_per_word} weights of {table.weight_bits} bits"
        yield Fault("ND1103", where, was, f"words of {table.word_bits} bits that a row fills")
