"""Source of the kernels of a chip that events drive: one function that follows events, and one for each tick.

Per event a footprint is met as a whole, run by run, in vector instructions that leave one byte for each neuron that
fires; then the bytes are looked through, eight at a time, and what fired is put into scan order. That is exact because
inside a run no neuron stands twice and what a neuron does depends on its own meetings alone. Rows are cut out before
the inner loop, which runs over a plain ``range``: otherwise a test for negative indices blocks vector instructions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, auto

import numpy as np

from neurodeploy.chips.compile import GIVEN_ARRIVING
from neurodeploy.simulator.follow import templates
from neurodeploy.simulator.follow.lines import text_lines
from neurodeploy.simulator.follow.plan import Plans, TextPlan
from neurodeploy.step import Interval

STORED = ("int8", "uint8", "int16", "uint16", "int32", "uint32")


class Control(IntEnum):
    """Places in the array of numbers that host and kernel share."""

    NEXT = auto()  # root that comes next
    ROOTS = auto()  # how many there are
    TOGETHER = auto()  # 1: all roots enter the queue at once
    HEAD = auto()
    SIZE = auto()
    MET = auto()  # arrivals of this root
    MADE = auto()  # events in the output
    LOST = auto()
    MEETINGS = auto()
    CAUSE = auto()
    BEFORE = auto()  # number of the first neuron of this scan order
    WIDEST = auto()  # most synapses of a neuron
    ENTRIES = auto()  # most entries that one entry can cause
    NEWEST = auto()  # 1: what has just been made goes first
    DEPTH = auto()  # how many may wait, -1 for any number
    DROP = auto()
    PATIENCE = auto()
    STEP = auto()  # step that comes next, of those that a group takes at once
    TAKEN = auto()  # events that the host has taken out before
    LOW = auto()  # place of the first neuron of a group, and end of the last
    HIGH = auto()
    ROW = auto()  # where the numbers that the neurons of a fan share begin
    CODE = auto()  # why the kernel stopped


class Stop(IntEnum):
    """Why the kernel stopped."""

    DONE = 0
    ROOM = 1  # no room for another footprint in the output or the queue
    FULL = 2  # the chip's queue is full
    UNSETTLED = 3
    FAULT = 4  # a register was left


@dataclass(frozen=True)
class Queue:
    """What decides the code of the queue.

    stream : whatever was made first goes on first, any number may wait, each destination on its own
    joined : all destinations of an event wait as one
    always : an event waits even if it meets no neuron
    """

    stream: bool
    joined: bool
    always: bool


@dataclass(frozen=True)
class EventSource:
    """Code, and the arguments of each function with their types."""

    code: str
    arguments: Mapping[str, tuple[tuple[str, str], ...]]

    def signature(self, name: str) -> str:
        """Types of a function's arguments, as numba writes them."""
        return f"void({', '.join(f'{sort}[::1]' for _, sort in self.arguments[name])})"


def stored_type(interval: Interval) -> str:
    """Narrowest type of an array that holds a range."""
    ends = ((n, np.iinfo(n)) for n in STORED)
    return next((n for n, i in ends if interval.within(Interval(int(i.min), int(i.max)))), "int64")


#: Table -> type of its numbers; see Strips.
TABLES = dict.fromkeys(("go", "strips", "syn_target", "syn_rank"), "uint32") | {"shared": "int64"}
WAYS = {"go_begin": "uint32", "fans": "uint32"}
BUFFERS = {"control": "int64", "made": "uint32", "made_by": "int64", "flags": "uint8", "keys": "int64"}
WAITING = {"ring": "int64", "batch": "int64"}
ROOTS = {"roots": "uint32", "causes": "int64"}
STEPS = {"ends": "int64", "made_ends": "int64", "due": "uint8"}


def event_source(
    plans: Plans, queue: Queue, states: Mapping[str, Mapping[str, Interval]], types: Mapping[str, str]
) -> EventSource:
    """Code for a network.

    states : neuron kind -> register -> what it holds
    types : array -> type of its numbers, for parameters and fields
    """
    texts, ticks = list(plans.arriving.values()), plans.ticks
    types = {**types, **{state_name(k, n): stored_type(i) for k, many in states.items() for n, i in many.items()}}
    used = dict.fromkeys(n for number, text in enumerate(texts) for n in _arrays(text, number, states))
    given = BUFFERS | ({} if queue.stream else WAITING) | ROOTS | TABLES | WAYS | {n: types[n] for n in used}
    code = [_HEAD, f"def follow({', '.join(given)}):", *_indented(_follow(texts, queue, states))]
    arguments = {"follow": tuple(given.items())}
    for number, text in enumerate(texts):
        mine = [t for t in ticks.values() if t.kind == text.kind and not t.handler.emits]
        used = dict.fromkeys(n for t, i in ((text, number), *((t, -1) for t in mine)) for n in _arrays(t, i, states))
        registers = {state_name(text.kind, s): s for s in states[text.kind]}
        kept = {f"kept_{s}": types[n] for n, s in registers.items()}
        own = BUFFERS | ROOTS | TABLES | STEPS | kept | {n: types[n] for n in (used | registers)}
        code += ["", "", f"def {layer_name(number)}({', '.join(own)}):"]
        code += _indented(_layer(text, number, mine, states[text.kind]))
        arguments[layer_name(number)] = tuple(own.items())
    for number, (phase, text) in enumerate(ticks.items()):
        own = BUFFERS | {"rank": "int64"} | {n: types[n] for n in _arrays(text, -1, states)}
        code += ["", "", f"# {phase}", f"def {tick_name(number)}({', '.join(own)}):"]
        code += _indented(_tick(text, states[text.kind]))
        arguments[tick_name(number)] = tuple(own.items())
    return EventSource("\n".join(code) + "\n", arguments)


def state_name(kind: str, state: str) -> str:
    """Array of a state."""
    return f"s_{kind}_{state}"


def parameter_name(kind: str, parameter: str) -> str:
    """Array of a parameter."""
    return f"p_{kind}_{parameter}"


def field_name(number: int, name: str) -> str:
    """Array of a synapse field of the text with this number."""
    return f"f{number}_{name}"


def layer_name(number: int) -> str:
    """Name of the function that lets a group meet the text with this number."""
    return f"layer{number}"


def tick_name(number: int) -> str:
    """Name of the function of a tick."""
    return f"tick{number}"


_HEAD = '"""Generated: follows events through a network."""\n\nimport numpy as np\n\n'


def _arrays(text: TextPlan, number: int, states: Mapping[str, Mapping[str, Interval]]) -> Iterator[str]:
    used = text.handler.reads | text.handler.writes
    yield from (state_name(text.kind, s) for s in states[text.kind] if s in used)
    yield from (parameter_name(text.kind, p) for p in text.arrays)
    yield from (field_name(number, f) for f in text.fields)


def _indented(lines: Sequence[str], depth: int = 1) -> list[str]:
    return ["    " * depth + line for line in lines]


def _c(name: Control) -> str:
    return f"control[{int(name)}]"


def _follow(texts: Sequence[TextPlan], queue: Queue, states: Mapping[str, Mapping[str, Interval]]) -> list[str]:
    """Body of the function: the queue, and for each destination the meeting of its text."""
    lines: list[str] = []
    for number, text in enumerate(texts):
        row = "np.int64(fans[3 * np.int64(strips[strip + 2]) + 2])"
        own = [*_constants(text, row), *_meet(text, number, states[text.kind])]
        choice = f"{'elif' if number else 'if'} fans[3 * np.int64(strips[strip + 2])] == {number}:"
        lines += own if len(texts) == 1 else [choice, *_indented(own)]
    names = _names(lines, checked=any(t.checked for t in texts))
    one = "if z >= a:" if queue.always else "if z > a:"
    names["each"] = one if queue.joined else "for p in range(a, z):"
    names["entry"] = "a << 32 | z" if queue.joined else "p << 32 | (p + 1)"
    return templates.filled(templates.STREAM if queue.stream else templates.RING, names).split("\n")


def _layer(text: TextPlan, number: int, ticks: Sequence[TextPlan], states: Mapping[str, Interval]) -> list[str]:
    """Body of the function that takes a group through many steps."""
    names = _names(_meet(text, number, states), checked=text.checked)
    names["constants"] = "\n".join(_constants(text, _c(Control.ROW)))
    names["ticks"] = "\n".join(line for i, tick in enumerate(ticks) for line in _group_tick(tick, i, states))
    arrays = {s: state_name(text.kind, s) for s in states}
    filled = (templates.filled(templates.RECORD, {"name": s, "array": n}) for s, n in arrays.items())
    names["records"] = "\n".join(filled)
    return templates.filled(templates.LAYER, names).split("\n")


def _group_tick(text: TextPlan, number: int, states: Mapping[str, Interval]) -> list[str]:
    handler = text.handler
    own = [s for s in states if s in handler.reads | handler.writes]
    given = {s: _cast(text, f"r_{s}[i]") for s in own} | {p: _cast(text, f"y_{p}[i]") for p in text.arrays}
    given |= {GIVEN_ARRIVING: _cast(text, "1")}
    slices = [f"r_{s} = {state_name(text.kind, s)}[low:high]" for s in own]
    slices += [f"y_{p} = {parameter_name(text.kind, p)}[low:high]" for p in text.arrays]
    names = _names([], checked=text.checked) | {
        "number": str(number),
        "slices": "\n".join(slices),
        "text": "\n".join(_body(text, states, given, "z_")),
        "unsound": templates.UNSOUND if text.checked else "",
    }
    return templates.filled(templates.TICK, names).split("\n")


def _names(texts: Sequence[str], *, checked: bool) -> dict[str, str]:
    """What stands for the names in templates."""
    return {
        **{c.name: _c(c) for c in Control},
        **{f"is_{code.name}": str(int(code)) for code in Stop},
        "begin": templates.BEGIN,
        "end": templates.END,
        "arrival": templates.ARRIVAL,
        "texts": "\n".join(texts),
        "outside": "outside = np.int32(0)" if checked else "",
        "faults": templates.FAULTS if checked else "",
        "sort": templates.SORT,
    }


def _cast(text: TextPlan, value: str) -> str:
    return f"np.{text.lanes}({value})"


def _body(text: TextPlan, states: Mapping[str, Interval], given: Mapping[str, str], prefix: str = "x_") -> list[str]:
    """What the text does at place i; given is what its names are read from."""
    handler = text.handler
    used = handler.reads | handler.writes
    lines = [f"{prefix}{name} = {value}" for name, value in given.items() if name in used]
    written = text_lines(handler.text, given, prefix, np.iinfo(text.lanes).bits)
    lines += [line.replace("T(", f"np.{text.lanes}(") for line in written]
    if text.checked:
        for name in sorted(handler.unproved):
            low, high = (_cast(text, str(end)) for end in states[name])
            lines += [f"outside |= np.int32({prefix}{name} < {low}) | np.int32({prefix}{name} > {high})"]
    types = {name: stored_type(interval) for name, interval in states.items()}
    lines += [f"r_{name}[i] = np.{types[name]}({prefix}{name})" for name in sorted(handler.writes)]
    if handler.emits:
        lines += [f"fl[i] = np.uint8({prefix}{handler.emits} == 1)"]
    return lines


def _constants(text: TextPlan, row: str) -> list[str]:
    """Numbers that all neurons of a footprint share; row is where they begin."""
    places = [*text.numbers, *text.registers]
    return [f"c_{name} = {_cast(text, f'shared[{row} + {i}]')}" for i, name in enumerate(places)]


def _meet(text: TextPlan, number: int, states: Mapping[str, Interval]) -> list[str]:
    handler = text.handler
    used = handler.reads | handler.writes
    given = {n: f"c_{n}" for n in (*text.numbers, *text.registers)} | {GIVEN_ARRIVING: _cast(text, "1")}
    own = [s for s in states if s in used]
    given |= {s: _cast(text, f"r_{s}[i]") for s in own}
    given |= {p: _cast(text, f"q_{p}[i]") for p in text.arrays}
    given |= {f: _cast(text, f"g_{f}[i]") for f in text.fields}
    slices = [f"r_{s} = {state_name(text.kind, s)}[at:at + size]" for s in own]
    slices += [f"q_{p} = {parameter_name(text.kind, p)}[at:at + size]" for p in text.arrays]
    slices += [f"g_{f} = {field_name(number, f)}[first:first + size]" for f in text.fields]
    names = {"slices": "\n".join(slices), "text": "\n".join(_body(text, states, given))}
    lines = templates.filled(templates.RUNS, names).split("\n")
    return lines if handler.emits else [*lines, "flags[:whole] = 0"]


def _tick(text: TextPlan, states: Mapping[str, Interval]) -> list[str]:
    """All neurons of a kind; what fires stands in keys, by rank, the low 32 bits are the place in memory."""
    handler = text.handler
    own = [s for s in states if s in handler.reads | handler.writes]
    given = {s: _cast(text, f"r_{s}[i]") for s in own} | {p: _cast(text, f"q_{p}[i]") for p in text.arrays}
    given |= {GIVEN_ARRIVING: _cast(text, "1")}
    lines = [f"r_{s} = {state_name(text.kind, s)}" for s in own]
    lines += [f"q_{p} = {parameter_name(text.kind, p)}" for p in text.arrays]
    lines += ["size = rank.shape[0]", "fl = flags[:size]", "outside = np.int32(0)", "for i in range(size):"]
    lines += _indented(_body(text, states, given))
    lines += [f"{_c(Control.CODE)} = {int(Stop.FAULT)} if outside != 0 else {int(Stop.DONE)}"]
    if not handler.emits:
        return [*lines, f"{_c(Control.MADE)} = 0"]
    scan = ["count = 0", "for i in range(size):"]
    scan += _indented(["keys[count] = rank[i] << 32 | np.int64(i)", "count += np.int64(fl[i])"])
    return [*lines, *scan, *templates.SORT.split("\n"), f"{_c(Control.MADE)} = count"]
