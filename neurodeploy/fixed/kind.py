"""One layer's neurons as a kind of neuron of a chip: registers, text, formats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.errors import Fault, Refusal
from neurodeploy.fixed.floats import Floats
from neurodeploy.fixed.formats import Bits, Format, format_of, rounded, whole_format
from neurodeploy.fixed.measure import Course
from neurodeploy.fixed.plain import SPIKE, Plain, free_name
from neurodeploy.fixed.values import Arithmetic, Fixed, bits_of
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
    """

    name: str
    format: Format
    bias: tuple[int, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A derived neuron kind.

    states : name -> format; what arrives and what is emitted included
    starts : name -> (neuron,) whole numbers after a reset
    constants : register -> what it holds
    temporaries : name of a line -> its format
    text : the step text
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
                parameters[_bias_register(arrival)] = {"holds": [low, high]}
        begin = "\n".join(f"{a.name} = {_bias_register(a) if a.bias else 0}" for a in self.arrivals)
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
                found[_bias_register(arrival)] = np.array(arrival.bias, np.int64)
        return found


def _bias_register(arrival: Arrival) -> str:
    return f"{arrival.name}_bias"


@dataclass(frozen=True)
class Brought:
    """What an edge brings, before it has an accumulator.

    fraction : of weights times what the source emits
    most : largest magnitude of the sum, in whole numbers
    recurrent : whether it comes from the layer itself
    """

    fraction: int
    most: int
    negative: bool
    recurrent: bool = False


def arrivals_of(brought: Sequence[Brought], bias: Floats | None, taken: set[str], where: str) -> tuple[Arrival, ...]:
    """Accumulators, one for each edge; the bias begins the first.

    Raises Refusal (ND1701) where a sum could leave 62 bits.
    """
    found = []
    for index, one in enumerate(brought):
        name = free_name("returned" if one.recurrent else "arrived", taken)
        held = () if bias is None or index else tuple(rounded(bias, one.fraction))
        reach = one.most + max(map(abs, held), default=0)
        bits = max(reach.bit_length(), 1) + 1
        if bits > 62:
            must, todo = "62 bits at most", "use narrower weights, or an input with fewer bits"
            raise Refusal(Fault("ND1701", where, f"what arrives in a step needs {bits} bits", must, todo))
        found.append(Arrival(name, Format(bits, one.fraction, signed=True), held))
    return tuple(found)


def derive_kind(
    name: str,
    neuron: Plain,
    brought: Sequence[Brought],
    bias: Floats | None,
    bits: Bits,
    rounding: str,
    measured: tuple[Course, Mapping[str, float]],
) -> Kind:
    """Choose formats from what was measured and write the text; every state stays in its register by its intervals."""
    course, largest = measured
    taken = {*neuron.constants, *neuron.states, *course.reach, *SYNAPTIC, SPIKE}
    arrivals = arrivals_of(brought, bias, taken, neuron.where)
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
