"""One layer's neurons as a kind of neuron of a chip: registers, text, formats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.errors import Fault, Refusal
from neurodeploy.fixed.floats import Floats
from neurodeploy.fixed.formats import Bits, Format, finest, format_of, rounded, whole_format
from neurodeploy.fixed.measure import Course
from neurodeploy.fixed.plain import SPIKE, Plain, free_name
from neurodeploy.fixed.values import WIDEST, Arithmetic, Fixed, bits_of
from neurodeploy.fixed.words import lines
from neurodeploy.fixed.writer import Constant, Writer, Written, whole_names
from neurodeploy.step import Interval, Name, signed

#: Names that texts of connections use, which no register of a neuron may have.
SYNAPTIC = ("w", "delay", "arriving", "external")


@dataclass(frozen=True)
class Arrival:
    """An accumulator: what one edge brings in a step.

    name : state of the target
    format : its point and width
    bias : (neuron,) whole numbers with which it begins, () for 0
    shift : what arrives is moved up by so many places, which the bias needs
    ready : state that is 0 in the first step alone, where the bias acts from the second on; "" where it acts at once
    """

    name: str
    format: Format
    bias: tuple[int, ...] = ()
    shift: int = 0
    ready: str = ""

    def begin(self) -> str:
        """Line of the text that clears it."""
        if not self.bias:
            return f"{self.name} = 0"
        start = f"{self.bias_register} if {self.ready} == 1 else 0" if self.ready else self.bias_register
        return f"{self.name} = {start}"

    @property
    def bias_register(self) -> str:
        """Parameter that holds the bias."""
        return f"{self.name}_bias"


@dataclass(frozen=True)
class Kind:
    """A derived neuron kind.

    states : name -> format; what arrives and what is emitted included
    starts : name -> (neuron,) whole numbers after a reset
    constants : register -> what it holds
    temporaries : name of a line -> its format
    text : the step text
    lossy : for each assignment of the plain text, in order, whether the line that it became rounds
    functions : of the chip file that the text calls
    course : the float neuron on the calibration data
    largest : name -> magnitude that its format was made for
    """

    name: str
    plain: Plain
    states: Mapping[str, Format]
    starts: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, Constant]
    temporaries: Mapping[str, Format]
    arrivals: tuple[Arrival, ...]
    text: str
    lossy: tuple[bool, ...]
    functions: Mapping[str, str]
    course: Course
    largest: Mapping[str, float]

    def entry(self) -> dict[str, Any]:
        """Table of a chip file."""
        parameters: dict[str, Any] = {
            n: {"holds": [c.holds.low, c.holds.high]} for n, c in sorted(self.constants.items())
        }
        table: dict[str, Any] = {}
        for name, form in self.states.items():
            table[name] = {"signed" if form.signed else "unsigned": form.bits}
            start = self.starts.get(name, (0,))
            if len(set(start)) == 1:
                table[name]["start"] = start[0]
            else:
                table[name]["start"] = self.start_register(name)
                parameters[self.start_register(name)] = {"holds": [min(start), max(start)]}
        for arrival in self.arrivals:
            if arrival.bias:
                low, high = min(arrival.bias), max(arrival.bias)
                parameters[arrival.bias_register] = {"holds": [low, high]}
        lines_ = [a.begin() for a in self.arrivals]
        for ready in (a.ready for a in self.arrivals if a.ready):
            table[ready] = {"unsigned": 1}
            lines_.append(f"{ready} = 1")
        begin = "\n".join(lines_)
        return {
            "role": "hidden output",
            "title": f"derived from {self.plain.where}",
            "emits": SPIKE,
            "state": table,
            "param": parameters,
            "on": ({"begin": begin + "\n"} if begin else {}) | {"step": self.text},
        }

    def start_register(self, state: str) -> str:
        """Parameter that holds the start values of a state whose neurons differ."""
        return f"{state}_start"

    def parameters(self) -> dict[str, Any]:
        """Parameter -> (neuron,) register values."""
        found = {name: np.array(constant.values, np.int64) for name, constant in self.constants.items()}
        for name in self.states:
            start = self.starts.get(name, (0,))
            if len(set(start)) > 1:
                found[self.start_register(name)] = np.array(start, np.int64)
        for arrival in self.arrivals:
            if arrival.bias:
                found[arrival.bias_register] = np.array(arrival.bias, np.int64)
        return found


@dataclass(frozen=True)
class Brought:
    """What an edge brings, before it has an accumulator.

    fraction : of weights times what the source emits
    most : largest magnitude of the sum, in whole numbers
    bias : (neuron,) constant that enters with it, None for nothing
    recurrent : whether it comes from the layer itself
    late : whether the bias acts from the second step on
    """

    fraction: int
    most: int
    bias: Floats | None = None
    recurrent: bool = False
    late: bool = False


def arrivals_of(brought: Sequence[Brought], bits: Bits, taken: set[str], where: str) -> tuple[Arrival, ...]:
    """Accumulators, one for each edge.

    Raises Refusal (ND1701) where a sum could leave 62 bits.
    """
    found = []
    for one in brought:
        name = free_name("returned" if one.recurrent else "arrived", taken)
        shift = 0 if one.bias is None else max(finest(one.bias, bits.parameter) - one.fraction, 0)
        fraction = one.fraction + shift
        held = () if one.bias is None else tuple(rounded(one.bias, fraction))
        reach = (one.most << shift) + max(map(abs, held), default=0)
        width = max(reach.bit_length(), 1) + 1
        if width > WIDEST:
            must, todo = f"{WIDEST} bits at most", "use narrower weights, or an input with fewer bits"
            raise Refusal(Fault("ND1701", where, f"what arrives in a step needs {width} bits", must, todo))
        ready = free_name("ready", taken) if held and one.late else ""
        found.append(Arrival(name, Format(width, fraction, signed=True), held, shift, ready))
    return tuple(found)


def derive_kind(
    name: str,
    neuron: Plain,
    brought: Sequence[Brought],
    bits: Bits,
    rounding: str,
    measured: tuple[Course, Mapping[str, float]],
) -> Kind:
    """Choose formats from what was measured and write the text; every state stays in its register by its intervals."""
    course, largest = measured
    taken = {*neuron.constants, *neuron.states, *course.reach, *SYNAPTIC, SPIKE}
    arrivals = arrivals_of(brought, bits, taken, neuron.where)
    entered = [Fixed(Name(a.name), a.format.fraction, signed(a.format.bits)) for a in arrivals]
    whole = whole_names(neuron)
    kept = [*neuron.states, *([] if SPIKE in neuron.states else [SPIKE])]
    negative = {n for n in kept if course.reach[n].low < 0}
    narrow: dict[str, Format] = {}
    while True:
        states = {n: state_format(n, largest[n], bits, whole, negative=n in negative) for n in kept} | narrow
        writer = Writer(neuron, bits, Arithmetic(rounding), states, largest, whole, taken)
        written = writer.write(entered or [Fixed(Name(SPIKE), 0, Interval(0, 0))])
        tighter = {n: _narrowed(states[n], written.reached.get(n)) for n in kept if n in whole}
        if written.negative <= negative and tighter == {n: states[n] for n in tighter}:
            break
        negative |= written.negative
        narrow = tighter if written.negative <= negative else {}
    starts = {n: _starts(neuron.states[n], states[n]) for n in neuron.states}
    return Kind(
        name,
        neuron,
        {a.name: a.format for a in arrivals} | states,
        starts,
        written.registers,
        written.formats,
        arrivals,
        _commented(neuron, written, states),
        tuple(written.lossy),
        written.functions,
        course,
        largest,
    )


def state_format(name: str, largest: float, bits: Bits, whole: set[str], *, negative: bool) -> Format:
    """Format of a state that reached a magnitude; what counts alone has no fraction."""
    if name in whole:
        return whole_format(2 * largest, negative=negative)
    return format_of(largest, bits.state, negative=negative)


def _narrowed(form: Format, reached: Interval | None) -> Format:
    """A format of whole numbers with no more bits than what is assigned needs."""
    if reached is None:
        return form
    return Format(min(form.bits, max(bits_of(reached) - int(not form.signed), 1)), form.fraction, form.signed)


def _starts(values: Floats, form: Format) -> tuple[int, ...]:
    low, high = form.interval
    return tuple(min(max(v, low), high) for v in rounded(values, form.fraction))


def _commented(neuron: Plain, written: Written, states: Mapping[str, Format]) -> str:
    """The text below what it was derived from and how its names are read."""
    head = ["# derived from:", *(f"#   {line}" for line in lines(neuron.statements))]
    head.append("# how whole numbers are read:")
    head += [f"#   {name}: {form}" for name, form in states.items()]
    for name, constant in written.registers.items():
        meaning = neuron.meanings.get(constant.source, "" if name == constant.source else constant.source)
        head.append(f"#   {name}: {constant.format}" + (f"; {meaning}" if meaning else ""))
    head += [f"#   {name}: {form}" for name, form in written.formats.items()]
    return "\n".join(head) + "\n" + written.text
