"""What a chip file may say of limits, and of cores and where they lie."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from neurodeploy.chips.part import Identifier, Part


class LimitEntry(Part):
    """An upper bound on a formula over counts, for the chip or for each core, source or target.

    value : formula over counts: neurons_KIND; entries_CONNECTION, the synapses with a weight that is not 0;
        sources_CONNECTION and targets_CONNECTION, the different neurons at their ends; nonzero_CONNECTION_WEIGHT, the
        weights of one synapse field that are not 0. With per = "source" or "target" the counts are those of one
        neuron and its entries, with per = "core" those of the core's neurons and the entries that end on them; there
        also axons_CONNECTION, the pairs of a source neuron and a projection that end there, and
        leaving_CONNECTION, the axons on any core that begin at its neurons; and limits with per = "axon", by name
    of : the connection whose sources or targets are meant, with per = "source", "target" or "axon"
    per : "axon" sums the formula over the axons of a core. An axon is what one source neuron has in one projection on
        one core; the formula may ask for ``entries``, its synapses; ``reach``, the highest slot that it reaches, plus
        1; ``reach_all``, the same over all axons of the projection on that core; ``gaps``, 1 where one of these axons
        leaves out a slot below the highest that it reaches; the parameters of the projection;
        and most_FIELD, the largest value of a synapse field in the projection
    """

    per: Literal["chip", "core", "source", "target", "axon"] = "chip"
    of: Identifier | None = None
    value: str
    at_most: int
    unit: str
    todo: str = ""


class CoreEntry(Part):
    """Cores hold neurons of the named kinds; a neuron's hardware id is core * neurons + slot."""

    count: Annotated[int, Field(ge=1)]
    neurons: Annotated[int, Field(ge=1)]
    kinds: tuple[Identifier, ...]


class MeshEntry(Part):
    """Cores on a grid, row by row; a spike from one core to another passes as many hops as rows and columns differ."""

    rows: Annotated[int, Field(ge=1)]
    columns: Annotated[int, Field(ge=1)]


class MemoryEntry(Part):
    """A memory that each core has for itself.

    value : words that a layer needs, a formula over its geometry, as in LayerLimitEntry
    each : words of every core, in the order of the cores
    """

    value: str
    unit: str
    each: tuple[Annotated[int, Field(ge=0)], ...]
    todo: str = ""


class LayerLimitEntry(Part):
    """What a formula over the geometry of a layer may be: at most a number, or one of some.

    value : formula over channels, features, kernel_rows, kernel_columns, stride_rows, stride_columns, padding_rows,
        padding_columns, groups of the convolution; source_rows and source_columns, the map that it comes from;
        pooling_rows, pooling_columns, shift; input_rows, input_columns, the map after pooling; output_rows,
        output_columns; and set_PARAMETER, 1 where a register of the layer's neurons is not 0
    of : "layer", each layer; or "output", layers whose events leave the chip
    rule : whether a layer beyond it is refused or only worth a warning
    """

    of: Literal["layer", "output"] = "layer"
    value: str
    at_most: int | None = None
    one_of: tuple[int, ...] = ()
    unit: str
    todo: str = ""
    rule: Literal["refuse", "warn"] = "refuse"


class LayerReadoutEntry(Part):
    """A block that counts the events of one layer, a class for each of its features.

    classes : most classes
    value : features that the core then holds, silent ones among them; a formula over ``classes``
    """

    classes: Annotated[int, Field(ge=1)]
    value: str


class LayerCoreEntry(Part):
    """Cores that hold one layer each, or a block of a layer's features, in memories of their own.

    kinds : neuron kinds whose groups are such layers
    slots : hardware ids of a core; a neuron's id is core * slots + its index in the block, counted as in the layer
    destinations : blocks of layers that the events of one core can be sent to
    inputs : neuron kind of an input -> blocks that its events can be sent to
    loops : whether a layer may feed itself on a way round: never, when the caller asks for it, or always
    square_kernels : kernels have as many rows as columns; others are filled up with zeros
    readout : what counts the events of one layer, where there is such a block; it takes a destination of its core
    """

    kinds: tuple[Identifier, ...]
    slots: Annotated[int, Field(ge=1)]
    destinations: Annotated[int, Field(ge=1)]
    inputs: Mapping[Identifier, Annotated[int, Field(ge=1)]] = {}
    loops: Literal["refuse", "ask", "allow"] = "refuse"
    memory: Mapping[Identifier, MemoryEntry]
    limit: Mapping[Identifier, LayerLimitEntry] = {}
    square_kernels: bool = False
    readout: LayerReadoutEntry | None = None

    @property
    def count(self) -> int:
        """Number of cores."""
        return min((len(m.each) for m in self.memory.values()), default=0)
