"""What a chip file may contain: the tables of chip.toml, one class each. Unknown keys are faults."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from neurodeploy.chips.core_tables import CoreEntry, LayerCoreEntry, LimitEntry, MeshEntry
from neurodeploy.chips.part import Grade, Identifier, Part, Range
from neurodeploy.step import Interval, signed, unsigned

SCHEMA_VERSION = 1


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _start_sort(value: object) -> str:
    return "parameter" if isinstance(value, str) else "number"


def _parity_sort(value: object) -> str:
    stated = "scale" in value if isinstance(value, Mapping) else isinstance(value, RecipeEntry)
    return "stated" if stated else "fitted"


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError(f"{value} is no power of two")
    return value


class Evidence(BaseModel):
    """Where a number comes from, when it was looked up, and how much that is worth."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    source: str
    date: date
    grade: Grade


class StateEntry(Part):
    """A register of a neuron: ``signed`` or ``unsigned`` bits, and its value after a reset."""

    signed: Annotated[int, Field(ge=1, le=63)] | None = None
    unsigned: Annotated[int, Field(ge=1, le=62)] | None = None
    start: Annotated[
        Annotated[int, Tag("number")] | Annotated[Identifier, Tag("parameter")], Discriminator(_start_sort)
    ] = 0  # a literal or the name of a parameter

    @property
    def bits(self) -> int:
        """Width of the register."""
        return self.signed or self.unsigned or 0

    @property
    def interval(self) -> Interval:
        """All values that the register can contain."""
        return signed(self.signed) if self.signed else unsigned(self.unsigned or 1)


class ParameterEntry(Part):
    """A configured number.

    holds : what the register can contain
    may : what the quantizer may emit
    safe : beyond it a warning is due
    default : what an unset register means
    parts : where the register holds a fraction of 1, in how many parts; only whole ones can be had
    per : who has one of its own: each neuron, each feature (channel of the layer's map) or each layer; of the
        parameters of a connection "projection", each projection, otherwise the connection kind has one for all
    """

    holds: Range
    may: Range | None = None
    safe: Range | None = None
    default: int | None = None
    parts: Annotated[int, Field(ge=2)] | None = None
    per: Literal["neuron", "feature", "layer", "projection"] = "neuron"

    @property
    def interval(self) -> Interval:
        """All values that the register can contain."""
        return Interval(*self.holds)

    @property
    def allowed(self) -> Interval:
        """All values that the quantizer may emit."""
        return Interval(*(self.may or self.holds))


class DecayEntry(Part):
    """How a float decay fraction ``keep`` (what remains after one step) becomes a register, and back.

    to_register, from_register : formulas in ``keep`` and in ``value``
    """

    param: Identifier
    to_register: str
    from_register: str


class DeployEntry(Part):
    """Which float neuron this kind computes, up to rounding, and where its parameters go.

    model : float neurons that it computes; with LIF and IAF a membrane may leak or not
    reset, comparison : words that the options of the float neuron may have
    max_spikes : most events of a neuron in one step, None for no bound; where events drive the chip, most events that
        one arriving event can make, and a step holds any number
    lower_bound : parameter of the lowest membrane; without a default a model has to state one
    input : whether what arrives in a step decays in this step (as in the float neuron), or from the next step on
    threshold, bias : parameters; a bias is added in every step
    chosen : parameter -> word of the reset or the comparison -> its register
    decay : decay fraction of the float neuron -> register
    states : state of the float neuron -> register
    unit : steps of these states for one step of weight, threshold and bias
    """

    model: Annotated[tuple[Literal["LIF", "IAF"], ...], BeforeValidator(_one_or_more), Field(min_length=1)]
    reset: tuple[str, ...]
    comparison: tuple[str, ...]
    max_spikes: int | None
    lower_bound: Identifier | None = None
    synaptic_current: Literal["required", "absent", "optional"]
    input: Literal["before decay", "after decay"] = "before decay"
    threshold: Identifier
    bias: Identifier | None = None
    chosen: Mapping[Identifier, Mapping[str, int]] = {}
    decay: Mapping[str, DecayEntry] = {}
    states: Mapping[str, Identifier]
    unit: Annotated[int, Field(ge=1)] = 1


class NeuronEntry(Part):
    """A neuron kind.

    emits : state that connections deliver; where events drive the chip, a name of its own that handlers and arriving
        events may assign at their top level: 1 makes an event at once. An input emits what is sent to it
    external : events per time step and neuron that an input takes
    view : state -> what a probe of the chip shows instead of it, a formula over states and parameters after the step
    evidence_of : evidence of an entry that is no table, by its place in this one ("on.step", "view.v")
    """

    role: Literal["input", "hidden", "output", "hidden output"]
    title: str = ""
    emits: Identifier
    external: ParameterEntry | None = None
    state: Mapping[Identifier, StateEntry] = {}
    param: Mapping[Identifier, ParameterEntry] = {}
    on: Mapping[Identifier, str] = {}
    view: Mapping[Identifier, str] = {}
    evidence_of: Mapping[str, str] = {}
    deploy: DeployEntry | None = None


class SignEntry(Part):
    """Weights of a matrix with certain signs.

    code : register of the sign mode
    values : smallest and largest weight that is stored as it is, with an exponent of 0
    step : what all of them are multiples of, a power of two
    """

    code: int = 0
    values: Range
    step: Annotated[int, Field(ge=1)] = 1


class GridEntry(Part):
    """On which grid the weights of one projection lie: mixed signs, none below 0 (also all 0), none above 0.

    A weight is mantissa * 2 ** exponent and a whole number. The mantissas are as large as they can be, and the width is
    the smallest that keeps them all.

    sign, exponent, bits : parameters of the projection, "" where the chip has none
    zero_bits : further bits that a matrix without positive weights gets where it holds a 0; its step is then larger
    loops_share : whether all matrices of a layer that feeds itself have one exponent and one width
    """

    sign: str = ""
    exponent: str = ""
    bits: str = ""
    mixed: SignEntry
    positive: SignEntry
    negative: SignEntry
    zero_bits: int = 0
    loops_share: bool = False


class GuardEntry(Part):
    """What a network must keep so that nothing that is unknown of the chip decides its result.

    of : the neuron kind whose groups, or the connection kind whose projections are meant
    value : formula over NAME_min and NAME_max of the parameters; of a group also weight_min and weight_max of all that
        arrives, of a projection those of its synapse fields
    range : in which the value must lie
    rule : the guard in words; todo : what the user can do
    """

    of: Identifier
    value: str
    range: Range
    rule: str
    todo: str


class ParityEntry(Part):
    """Somebody else's quantizer for this chip: all of a layer on one scale, which the fullest register decides.

    weight, bias, threshold : bits of the signed ranges that this scale has to fit
    """

    title: str
    weight: Annotated[int, Field(ge=2, le=63)]
    bias: Annotated[int, Field(ge=2, le=63)]
    threshold: Annotated[int, Field(ge=2, le=63)]


class RecipeEntry(Part):
    """Somebody else's quantizer for this chip: one scale for every layer, whatever its weights are.

    scale : integer steps for 1.0, a power of two; a threshold is truncated to whole steps
    step : what weights and biases are multiples of, a power of two; they are rounded, halves to even
    weight, bias : ends at which it cuts them
    """

    title: str
    scale: Annotated[int, Field(ge=1), AfterValidator(_power_of_two)]
    step: Annotated[int, Field(ge=1), AfterValidator(_power_of_two)] = 1
    weight: Range
    bias: Range


class ConnectionEntry(Part):
    """A connection kind.

    source : neuron kinds that it comes from; several deliver one after the other, in this order
    pattern : what the chip stores: single pairs, a whole block of them, or a kernel that many pairs share
    scan : where events drive the chip, the order in which one event meets the neurons that it reaches, the outermost
        loop first: "f" (feature), "ky", "kx" (row and column of the kernel) for a kernel, "target" (hardware id) for
        anything else; "-kx" runs backwards. A run may state another order
    pooling : with a kernel, by what the rows and columns of a source may be divided before they meet it
    targets_first, sources_last : window of hardware ids that the connection reaches
    register : accumulators, 0 before each delivery; a kind that has some is delivered projection by projection and
        delay by delay, each time followed by ``on_sum``
    may : formulas over fields and parameters, each with the range that the quantizer must keep
    weights : the synapse fields that hold the weight, one for each synapse of the target
    evidence_of : evidence of an entry that is no table, by its place in this one ("stored", "may.delay")
    """

    source: Annotated[tuple[Identifier, ...], BeforeValidator(_one_or_more)] = Field(alias="from")
    to: Identifier
    pattern: Literal["pairs", "dense", "conv"] = "pairs"
    scan: Annotated[tuple[str, ...], BeforeValidator(_one_or_more)] = ()
    pooling: tuple[Annotated[int, Field(ge=1)], ...] = (1,)
    synapse: Mapping[Identifier, StateEntry] = {}
    param: Mapping[Identifier, ParameterEntry] = {}
    weights: tuple[Identifier, ...] = ()
    shift: Identifier | None = None
    grid: GridEntry | None = None
    may: Mapping[str, Range] = {}
    stored: str = ""
    register_: Mapping[Identifier, StateEntry] = Field(default={}, alias="register")
    on_input: str = ""
    on_sum: str = ""
    targets_first: Annotated[int, Field(ge=0)] | None = None
    sources_last: Annotated[int, Field(ge=0)] | None = None
    allow_self: bool = True
    forward_only: Literal["", "warn", "refuse"] = ""
    evidence_of: Mapping[str, str] = {}


class Every(Part):
    """A periodic phase: it runs in steps t (from 0) with t % period == offset."""

    period: Annotated[int, Field(ge=1)]
    offset: Annotated[int, Field(ge=0)] = 0


class ScheduleEntry(Part):
    """When what happens.

    kind : "clocked", or "event" where each event acts on its own, at once
    step : the phases of one step, in order. On a clocked chip a connection is a phase and delivers what its source
        last emitted. Where events drive the chip, "events" stands for all input of the step, each event of which is
        followed to its end (connections are no phases), and the other phases are handlers that a tick runs
    every : phase -> period, in steps
    queue : order of the events that wait: "breadth" takes the oldest, "depth" the newest batch first; events of one
        batch, all that one arriving event made, stay in the order in which they were made. A run may state another
    waits : what waits: a spike once for each "destination" (projection that leaves its layer), or once as a "spike"
        that then meets the targets of all of them in one scan; "any spike" that also where it meets no neuron, unless
        no connection leaves neurons of its kind at all
    depth : events that can wait, with the one that is at work; None is no bound
    when_full : "refuse" stops the simulation; "drop" loses the event for other neurons, it is still seen outside
    """

    kind: Literal["clocked", "event"] = "clocked"
    queue: Literal["breadth", "depth"] = "breadth"
    waits: Literal["destination", "spike", "any spike"] = "destination"
    depth: Annotated[int, Field(ge=1)] | None = None
    when_full: Literal["refuse", "drop"] = "refuse"
    step: tuple[Annotated[tuple[str, ...], BeforeValidator(_one_or_more), Field(min_length=1)], ...]
    every: Mapping[str, Every] = {}

    @property
    def joined(self) -> bool:
        """Whether all destinations of a spike wait as one."""
        return self.waits != "destination"


class Figure(Part):
    """A number for reports, computed by a formula.

    value : formula over counts, as in limits for the whole chip, and over other figures
    at_most : what the network states and the figure should not exceed; a warning is due if it does
    """

    value: str
    unit: str
    at_most: Literal["", "dt_s"] = ""
    todo: str = ""


class NumberEntry(Part):
    """A number of a block: one value or one for each of several, a range, a choice, or a formula in words of its unit.

    default : what an unset register means
    """

    value: int | tuple[int, ...] | None = None
    holds: Range | None = None
    one_of: tuple[int, ...] | None = None
    formula: str | None = None
    default: int | bool | None = None
    unit: str


class BlockEntry(Part):
    """A part of the chip beside neurons and connections: sensor interface, readout, clock."""

    title: str
    number: Mapping[Identifier, NumberEntry]


class ErratumEntry(Part):
    """What the chip does other than its documentation or than one would expect.

    rule : what it does
    todo : what this program, or the user, does about it
    """

    rule: str
    todo: str


class AgreementEntry(Part):
    """Inside which ranges the chip and all its dialects compute the same.

    neuron : neuron kind -> formula over states and parameters -> range; states stand for the values before any wrap or
        clip, at every step
    connection : connection kind -> formula over synapse fields, as written to the chip, and parameters -> range
    """

    neuron: Mapping[Identifier, Mapping[str, Range]] = {}
    connection: Mapping[Identifier, Mapping[str, Range]] = {}


class ProgrammableEntry(Part):
    """A machine that computes any step text: neuron kinds are derived from a model's own texts.

    input : the input kind, whose width is that of the model's input
    bits : width of states, parameters and weights where nobody asks for another
    guard_bits : what a value within a step has more than a state
    state_bits, parameter_bits, weight_bits : widths that may be asked for
    rounding : words of the roundings that there are, the usual one first
    """

    input: Identifier
    bits: Annotated[int, Field(ge=2, le=40)]
    guard_bits: Annotated[int, Field(ge=0, le=20)]
    state_bits: Range
    parameter_bits: Range
    weight_bits: Range
    rounding: tuple[Literal["nearest", "floor", "to_zero"], ...]


class ChipFile(Part):
    """The whole file, after ``extends``, ``without`` and ``like`` are resolved.

    dialect : what somebody else computes for the same chip: a table that is laid over the file
    """

    schema_version: int
    name: Identifier
    title: str = ""
    evidence_table: Mapping[str, Evidence] = Field(default={}, alias="sources")
    function: Mapping[str, str] = {}
    neuron: Mapping[Identifier, NeuronEntry]
    connection: Mapping[Identifier, ConnectionEntry] = {}
    limit: Mapping[Identifier, LimitEntry] = {}
    guard: Mapping[Identifier, GuardEntry] = {}
    parity: Mapping[
        Identifier,
        Annotated[
            Annotated[ParityEntry, Tag("fitted")] | Annotated[RecipeEntry, Tag("stated")], Discriminator(_parity_sort)
        ],
    ] = {}
    core: CoreEntry | None = None
    layer_core: LayerCoreEntry | None = None
    mesh: MeshEntry | None = None
    programmable: ProgrammableEntry | None = None
    schedule: ScheduleEntry
    report: Mapping[Identifier, Figure] = {}
    block: Mapping[Identifier, BlockEntry] = {}
    erratum: Mapping[Identifier, ErratumEntry] = {}
    unknown: tuple[str, ...] = ()
    emit: Mapping[str, Mapping[str, object]] = {}
    dialect: Mapping[Identifier, Mapping[str, object]] = {}
    agreement: AgreementEntry | None = None
    oracle: Mapping[str, Mapping[str, object]] = {}  # oracle -> which of our parts it computes; the oracle checks it
