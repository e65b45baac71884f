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
    JOINED = auto()  # 1: all destinations of an event wait as one
    DEPTH = auto()  # how many may wait, -1 for any number
    DROP = auto()
    PATIENCE = auto()
    CODE = auto()  # why the kernel stopped


class Stop(IntEnum):
    """Why the kernel stopped."""

    DONE = 0
    ROOM = 1  # no room for another footprint in the output or the queue
    FULL = 2  # the chip's queue is full
    UNSETTLED = 3
    FAULT = 4  # a register was left


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


TABLES = (
    "go_begin",
    "go_strip",
    "go_base",
    "strip_fan",
    "strip_run",
    "strip_first",
    "run_target",
    "run_first",
    "syn_target",
    "syn_rank",
    "fan_text",
    "fan_before",
)


def event_source(plans: Plans, states: Mapping[str, Mapping[str, Interval]], types: Mapping[str, str]) -> EventSource:
    """Code for a network.

    states : neuron kind -> register -> what it holds
    types : array -> type of its numbers, for parameters and fields
    """
    texts, ticks = list(plans.arriving.values()), plans.ticks
    types = {**types, **{state_name(k, n): stored_type(i) for k, many in states.items() for n, i in many.items()}}
    given = [("control", "int64"), ("roots", "int64"), ("causes", "int64"), ("ring", "int64"), ("batch", "int64")]
    given += [("made", "int64"), ("made_by", "int64"), ("flags", "uint8"), ("keys", "int64"), ("shared", "int64")]
    given += [(n, "int32") for n in TABLES]
    used = dict.fromkeys(n for number, text in enumerate(texts) for n in _arrays(text, number, states))
    given += [(n, types[n]) for n in used]
    code = [_HEAD, f"def follow({', '.join(n for n, _ in given)}):", *_indented(_follow(texts, states))]
    arguments = {"follow": tuple(given)}
    for number, (phase, text) in enumerate(ticks.items()):
        name = tick_name(number)
        own = [("control", "int64"), ("flags", "uint8"), ("keys", "int64"), ("rank", "int64")]
        own += [(n, types[n]) for n in dict.fromkeys(_arrays(text, -1, states))]
        code += ["", "", f"# {phase}", f"def {name}({', '.join(n for n, _ in own)}):"]
        code += _indented(_tick(text, states[text.kind]))
        arguments[name] = tuple(own)
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


def _follow(texts: Sequence[TextPlan], states: Mapping[str, Mapping[str, Interval]]) -> list[str]:
    """Body of the function: the queue, and for each destination the meeting of its text."""
    meetings: list[str] = []
    for number, text in enumerate(texts):
        meetings += [f"{'if' if number == 0 else 'elif'} text == {number}:"]
        meetings += _indented(_meet(text, number, states[text.kind]))
    named = {c.name: _c(c) for c in Control} | {f"is_{code.name}": str(int(code)) for code in Stop}
    width = max((len(t.numbers) + len(t.registers) for t in texts), default=0)
    blocks = {"meetings": "\n".join(_indented(meetings, 2)), "sort": "\n".join(_indented(_SORT.split("\n"), 3))}
    lines = _FOLLOW.format(SHARED=width, **named, **blocks)
    return lines.strip("\n").split("\n")


def _cast(text: TextPlan, value: str) -> str:
    return f"np.{text.lanes}({value})"


def _body(text: TextPlan, states: Mapping[str, Interval], given: Mapping[str, str]) -> list[str]:
    """What the text does at place i; given is what its names are read from."""
    handler = text.handler
    used = handler.reads | handler.writes
    lines = [f"x_{name} = {value}" for name, value in given.items() if name in used]
    lines += [line.replace("T(", f"np.{text.lanes}(") for line in text_lines(handler.text, given)]
    if text.checked:
        for name in sorted(handler.unproved):
            low, high = (_cast(text, str(end)) for end in states[name])
            lines += [f"outside |= np.int32(x_{name} < {low}) | np.int32(x_{name} > {high})"]
    types = {name: stored_type(interval) for name, interval in states.items()}
    lines += [f"r_{name}[i] = np.{types[name]}(x_{name})" for name in sorted(handler.writes)]
    if handler.emits:
        lines += [f"fl[i] = np.uint8(x_{handler.emits} == 1)"]
    return lines


def _meet(text: TextPlan, number: int, states: Mapping[str, Interval]) -> list[str]:
    handler = text.handler
    used = handler.reads | handler.writes
    places = [*text.numbers, *text.registers]
    lines = [f"c_{name} = {_cast(text, f'shared[fan * shared_width + {i}]')}" for i, name in enumerate(places)]
    given = {name: f"c_{name}" for name in places} | {GIVEN_ARRIVING: _cast(text, "1")}
    own = [s for s in states if s in used]
    given |= {s: _cast(text, f"r_{s}[i]") for s in own}
    given |= {p: _cast(text, f"q_{p}[i]") for p in text.arrays}
    given |= {f: _cast(text, f"g_{f}[i]") for f in text.fields}
    loop = [f"r_{s} = {state_name(text.kind, s)}[at:at + size]" for s in own]
    loop += [f"q_{p} = {parameter_name(text.kind, p)}[at:at + size]" for p in text.arrays]
    loop += [f"g_{f} = {field_name(number, f)}[first:first + size]" for f in text.fields]
    loop += ["fl = flags[first - begin:first - begin + size]"]
    loop += ["for i in range(fl.shape[0]):"]
    loop += _indented(_body(text, states, given))
    cut = ["first = np.int64(run_first[run])", "size = np.int64(run_first[run + 1]) - first"]
    lines += ["for run in range(strip_run[strip], strip_run[strip + 1]):"]
    lines += _indented([*cut, "at = base + run_target[run]", *loop])
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
    return [*lines, *scan, *_SORT.split("\n"), f"{_c(Control.MADE)} = count"]


#: what fired, into ascending order: gaps first, so that many cost little
_SORT = """\
gap = 1
while gap < count // 3:
    gap = 3 * gap + 1
while gap > 0:
    for i in range(gap, count):
        key = keys[i]
        j = i
        while j >= gap and keys[j - gap] > key:
            keys[j] = keys[j - gap]
            j -= gap
        keys[j] = key
    gap //= 3"""

_FOLLOW = """
shared_width = {SHARED}
words = flags.view(np.uint64)
mask = np.int64(ring.shape[0] - 1)
count_roots, together, before = {ROOTS}, {TOGETHER}, {BEFORE}
newest, joined, depth = {NEWEST} == 1, {JOINED} == 1, {DEPTH}
room, entries, patience = made.shape[0] - {WIDEST}, ring.shape[0] - {ENTRIES}, {PATIENCE}
root, head, waiting, met, count_made = {NEXT}, {HEAD}, {SIZE}, {MET}, {MADE}
meetings, cause = {MEETINGS}, {CAUSE}
code = {is_DONE}
while True:
    if waiting == 0:
        if root == count_roots:
            break
        met = 0
        while root < count_roots:
            neuron = before + roots[root]
            cause = causes[root]
            a, z = np.int64(go_begin[neuron]), np.int64(go_begin[neuron + 1])
            root += 1
            if joined:
                if z > a:
                    ring[(head + waiting) & mask] = a << 32 | z
                    waiting += 1
            else:
                for place in range(a, z):
                    ring[(head + waiting) & mask] = place << 32 | (place + 1)
                    waiting += 1
            if together == 0:
                break
        continue
    if count_made > room or waiting > entries:
        code = {is_ROOM}
        break
    entry = ring[head & mask]
    head += 1
    waiting -= 1
    size_batch = 0
    for place in range(entry >> 32, entry & 0xFFFFFFFF):
        strip = go_strip[place]
        base = np.int64(go_base[place])
        begin = np.int64(strip_first[strip])
        whole = np.int64(strip_first[strip + 1]) - begin
        fan = np.int64(strip_fan[strip])
        text = fan_text[fan]
        last_word = (whole + 7) >> 3
        words[last_word - 1] = 0
        outside = np.int32(0)
{meetings}
        if outside != 0:
            code = {is_FAULT}
            break
        met += 1
        meetings += whole
        count = 0
        for word in range(last_word):
            if words[word] != 0:
                for j in range(8 * word, 8 * word + 8):
                    keys[count] = np.int64(syn_rank[begin + j]) << 32 | np.int64(j)
                    count += np.int64(flags[j])
        if count > 1:
{sort}
        number = np.int64(fan_before[fan]) + base
        for i in range(count):
            neuron = number + syn_target[begin + (keys[i] & 0xFFFFFFFF)]
            made[count_made] = neuron
            made_by[count_made] = cause
            count_made += 1
            a, z = np.int64(go_begin[before + neuron]), np.int64(go_begin[before + neuron + 1])
            if joined:
                if z > a:
                    batch[size_batch] = a << 32 | z
                    size_batch += 1
            else:
                for p in range(a, z):
                    batch[size_batch] = p << 32 | (p + 1)
                    size_batch += 1
    if code == {is_FAULT}:
        break
    if depth >= 0 and size_batch > max(depth - 1 - waiting, 0):
        if {DROP} == 0:
            code = {is_FULL}
            break
        {LOST} += size_batch - max(depth - 1 - waiting, 0)
        size_batch = max(depth - 1 - waiting, 0)
    if newest:
        head -= size_batch
        for i in range(size_batch):
            ring[(head + i) & mask] = batch[i]
    else:
        for i in range(size_batch):
            ring[(head + waiting + i) & mask] = batch[i]
    waiting += size_batch
    if met > patience:
        code = {is_UNSETTLED}
        break
{NEXT}, {HEAD}, {SIZE}, {MET}, {MADE} = root, head, waiting, met, count_made
{MEETINGS}, {CAUSE}, {CODE} = meetings, cause, code
"""
