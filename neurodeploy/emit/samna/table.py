"""What chip.toml says about samna: which of its names holds which register. Read from ``[emit.samna]``, checked."""

from collections.abc import Collection, Iterator, Mapping

from pydantic import BaseModel, ConfigDict

from neurodeploy.chips import Chip
from neurodeploy.chips.formats import table_of
from neurodeploy.chips.part import Part
from neurodeploy.errors import Fault


class Alias(BaseModel):
    """Where the links without weights go: the target id in each neuron, and the switch of the block."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    connection: str
    target: str
    enable: str


class Block(Part):
    """One block of the configuration: a connection with its matrices, and the neurons that belong to it.

    block : attribute of the configuration
    kind : neuron kind of the block; of the readout, the neurons that it reads into
    weights : samna's matrix -> synapse field of the connection
    registers : samna's name -> parameter of the connection
    neuron_class, neuron : class of one neuron and samna's name -> parameter of the kind; empty for inputs
    """

    block: str
    kind: str
    connection: str
    weights: Mapping[str, str]
    registers: Mapping[str, str]
    neuron_class: str = ""
    neuron: Mapping[str, str] = {}
    alias: Alias | None = None


class BoardNames(Part):
    """Boards with this chip, and the words of a run: counts go in, a readout comes back for every step.

    names : device types
    spike, neuron, step : event of one count, and its attributes
    process, until, beyond : event that runs the chip, its attribute, and by how much that exceeds the last step
    ask : event that is answered by a readout of the step at which the chip stands
    readout, at, outputs : event of a step, its attributes: which step, and the events of the output neurons by id
    given : entries of the configuration without which no counts are taken from the host
    switches : method of the board -> what it is called with once the board is open
    firmware : parts of the firmware that state a version
    """

    names: tuple[str, ...]
    spike: str
    neuron: str
    step: str
    process: str
    until: str
    beyond: int
    ask: str
    readout: str
    at: str
    outputs: str
    given: Mapping[str, object] = {}
    switches: Mapping[str, bool] = {}
    firmware: tuple[str, ...] = ()


class SamnaTable(Part):
    """The whole table.

    operation_mode : modes of the chip; the first is meant where none is named
    given : entries of the configuration that the network says nothing about
    enable : switch -> samna's name; the switch is on where any value of that name is not 0
    built : entries given as [start, end] -> class that is made of them
    board : how a board is driven; None where too little is known of it
    """

    module: str
    operation_mode: tuple[str, ...]
    given: tuple[str, ...]
    input: Block
    hidden: Block
    readout: Block
    enable: Mapping[str, str]
    built: Mapping[str, str] = {}
    board: BoardNames | None = None

    @property
    def blocks(self) -> tuple[Block, Block, Block]:
        """The three blocks in the order of the signal."""
        return (self.input, self.hidden, self.readout)

    def computed(self) -> tuple[str, ...]:
        """Entries of the configuration that follow from the network, and the mode."""
        return (*(b.block for b in self.blocks), *self.enable, "operation_mode")


def samna_table(chip: Chip) -> SamnaTable:
    """Table of a chip.

    Raises Refusal: ND1901 the chip has none, ND1102 and ND1103 with every fault of the table.
    """
    return table_of(chip, "samna", SamnaTable, _contradictions, "configuration for samna")


def _contradictions(chip: Chip, table: SamnaTable) -> Iterator[Fault]:
    """Registers without a name are faults: what has no place in the configuration would be dropped."""
    where = f"{chip.name}, emit.samna"
    if not table.operation_mode:
        yield Fault("ND1103", f"{where}.operation_mode", "no mode", "at least one")
    for name in table.board.given if table.board else ():
        if name not in table.given:
            yield Fault("ND1103", f"{where}.board.given", f"found {name!r}", f"one of {', '.join(table.given)}")
    links = [b.connection for b in table.blocks] + [b.alias.connection for b in table.blocks if b.alias]
    yield from _uncovered(f"{where}: neuron kinds", [b.kind for b in table.blocks], chip.neurons)
    yield from _uncovered(f"{where}: connections", links, chip.connections)
    if any(b.connection not in chip.connections or b.kind not in chip.neurons for b in table.blocks):
        return
    for key, source, target in (
        ("input", table.input, table.hidden),
        ("hidden", table.hidden, table.hidden),
        ("readout", table.hidden, table.readout),
    ):
        block = table.blocks[("input", "hidden", "readout").index(key)]
        connection = chip.connections[block.connection]
        if connection.sources != (source.kind,) or connection.target != target.kind:
            must = f"a connection from {source.kind!r} to {target.kind!r}"
            yield Fault("ND1103", f"{where}.{key}", f"connection {block.connection!r}", must)
        place = f"{where}.{key}"
        yield from _uncovered(f"{place}.weights", list(block.weights.values()), connection.fields)
        yield from _uncovered(f"{place}.registers", list(block.registers.values()), connection.parameters)
        yield from _uncovered(f"{place}.neuron", list(block.neuron.values()), chip.neurons[block.kind].parameters)
        if (key != "input") != bool(block.neuron and block.neuron_class):
            must = "neuron and neuron_class for hidden and readout, none for input"
            yield Fault("ND1103", f"{where}.{key}", f"neuron_class = {block.neuron_class!r}", must)
    values = {n for b in table.blocks for n in (*b.weights, *b.neuron)}
    for switch, name in table.enable.items():
        if name not in values:
            must = f"one of {', '.join(sorted(values))}"
            yield Fault("ND1103", f"{where}.enable.{switch}", f"no matrix or register {name!r}", must)


def _uncovered(where: str, named: list[str], known: Collection[str]) -> Iterator[Fault]:
    for name in sorted({*named, *known}):
        times = named.count(name)
        if times != 1 or name not in known:
            was = f"{name!r} stands {times} times"
            yield Fault("ND1103", where, was, f"each of {', '.join(known) or 'nothing'} once, and no other")
