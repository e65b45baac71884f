"""Code of a neuron's handler: one pass over all neurons, and where the text divides behind a last guard, two.

A guard whose body divides marks what is rare: the pass over all neurons then ends with a flag for each, and the body
runs for the flagged ones alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from neurodeploy.chips import Handler
from neurodeploy.simulator.fast.code import Code, Kind, padded
from neurodeploy.simulator.fast.lanes import Lines, literal, width_of
from neurodeploy.simulator.fast.values import Values
from neurodeploy.step import Guard, Interval, Text
from neurodeploy.step.tree import Statement, assigned, read


@dataclass(frozen=True)
class Place:
    """Which neurons a handler runs on: from ``low`` to before ``high``, names in the code.

    listed : an array that lists them; low and high then are places in it
    whole : it is all neurons of the kind
    """

    low: str
    high: str
    listed: str = ""
    whole: bool = False


@dataclass(frozen=True)
class Source:
    """Where the code finds what a text reads.

    name : an array of one entry for each neuron, or a number
    """

    range: Interval
    name: str
    is_array: bool = True


Sources = Mapping[str, Source]


def tail_of(handler: Handler, kind: Kind, others: Sources) -> Guard | None:
    """Return the last guard of a text, if it divides and reads nothing but what is in memory before and after it."""
    statements = handler.text.statements
    last = statements[-1] if statements else None
    if not isinstance(last, Guard) or not _divides(last.body) or _divides(statements[:-1]):
        return None
    stored = {*kind.lane.kind.states, *kind.parameters, *others}
    local = {a.name for a in assigned(last.body)} - set(kind.lane.kind.states)
    return last if set(read(last.body)) - local <= stored else None


def _divides(statements: tuple[Statement, ...]) -> bool:
    def inside(expression: object) -> bool:
        return getattr(expression, "op", "") == "floordiv" or any(map(inside, getattr(expression, "args", ())))

    return any(inside(s.condition) or _divides(s.body) if isinstance(s, Guard) else inside(s.value) for s in statements)


class Neurons:
    """Writes handlers of one neuron kind."""

    def __init__(self, code: Code, kind: Kind) -> None:
        self.code, self.kind = code, kind

    def handler(self, handler: Handler, place: Place, others: Sources) -> None:
        """Write a handler for the neurons of a place.

        others : what it reads beside states and parameters
        """
        tail = tail_of(handler, self.kind, others)
        statements = handler.text.statements
        values, before, after = self.followed(handler, statements[:-1] if tail else statements, others)
        if tail is not None:
            late, declared = {a.name for a in assigned(tail.body)}, self.kind.declared()
            loose = (s for s in late & handler.writes if not values.nodes[after[s]].range.within(declared[s]))
            if any(loose):
                # what the guard is about to change must fit its register before it is changed
                tail = None
                values, before, after = self.followed(handler, statements, others)
        flag = values.of(tail.condition, after) if tail is not None else None
        self._pass(values, before, after, handler, place, others, flag)
        if tail is not None:
            self._tail(tail, handler, place, others)

    def followed(
        self, handler: Handler, statements: tuple[Statement, ...], others: Sources
    ) -> tuple[Values, dict[str, int], dict[str, int]]:
        """Return the graph of statements, and the nodes of every name before and after them."""
        values, declared = Values(), self.kind.declared()
        widths = {s: self.kind.width(s) for s in declared}
        known = widths | dict(self.kind.parameters) | {n: o.range for n, o in others.items()}
        before = {n: values.leaf(n, r) for n, r in known.items() if n in handler.reads | handler.writes}
        after = dict(before)
        values.follow(Text(statements, handler.text.source, handler.text.where), after, declared)
        return values, before, after

    def changes(self, handler: Handler, others: Sources) -> bool:
        """Whether a handler may change a state, given what it reads beside states and parameters."""
        _, before, after = self.followed(handler, handler.text.statements, others)
        return any(after[s] != before[s] for s in handler.writes)

    def source(self, name: str, others: Sources) -> tuple[str, bool]:
        """Where the code finds a name: an array or a number, and whether it is an array."""
        number = self.kind.number
        if name in others:
            return others[name].name, others[name].is_array
        if name not in self.kind.parameters:
            return f"v{number}_{name}", True
        values = self.kind.lane.parameters[name]
        if self.kind.same(name):
            return self.code.number(f"p{number}_{name}", int(values[0])), False
        return self.code.array(f"p{number}_{name}", values, self.kind.lane.kind.parameters[name].interval), True

    def _pass(
        self,
        values: Values,
        before: Mapping[str, int],
        after: Mapping[str, int],
        handler: Handler,
        place: Place,
        others: Sources,
        flag: int | None,
    ) -> None:
        code, tag, declared = self.code, self.code.tag(), self.kind.declared()
        changed = self._changed(handler, before, after)
        ends = [after[s] for s in changed] + ([flag] if flag is not None else [])
        if not ends:
            return
        needed = values.needed(ends)
        loaded = {n: node for n, node in before.items() if node in needed and values.nodes[node].op == "leaf"}
        arrays, known, head = dict[str, str](), dict[int, str](), list[str]()
        for name in (*loaded, *(s for s in changed if s not in loaded)):
            found, is_array = self.source(name, others)
            if is_array:
                arrays[name] = found
            if name in loaded:
                node = loaded[name]
                known[node] = f"o{tag}_{name}"
                number_type = f"np.int{width_of(values.nodes[node].range)}"
                if is_array:
                    head.append(f"o{tag}_{name} = {number_type}(a{tag}_{name}[j])")
                else:
                    code.write(f"o{tag}_{name} = {number_type}({found})")
        lines = Lines(values, known, f"n{tag}_")
        body = head + lines.write(ends)
        for s in changed:
            body += self.checked(values.nodes[after[s]].range, lines.ref(after[s]), declared[s])
        body += [f"a{tag}_{s}[j] = np.{code.memory(self.kind, s)}({lines.ref(after[s])})" for s in changed]
        if flag is not None:
            arrays["flag"] = self._flags()
            body.append(f"a{tag}_flag[j] = np.uint8(1) if {lines.ref(flag)} else np.uint8(0)")
        moved = not place.listed and place.low != "0"
        for name, found in arrays.items():
            code.write(f"a{tag}_{name} = " + (f"_from({found}, {place.low})" if moved else found))
        if place.listed:
            with code.block(f"for z in range({place.low}, {place.high}):"):
                code.write(f"j = {place.listed}[z]", *body)
            return
        with code.block(f"for j in range({place.high} - {place.low}):" if moved else f"for j in range({place.high}):"):
            code.write(*body)

    def _flags(self) -> str:
        number, size = self.kind.number, padded(self.kind.lane.size)
        self.code.work[f"flag{number}"] = ("uint8", size)
        self.code.work[f"found{number}"] = ("int64", size)
        return f"flag{number}"

    def _changed(self, handler: Handler, before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
        return sorted(s for s in handler.writes if after[s] != before[s] and s not in self.kind.frozen)

    @staticmethod
    def checked(interval: Interval, value: str, width: Interval) -> list[str]:
        """Lines that notice a value outside its register, where ranges do not exclude it."""
        if interval.within(width):
            return []
        bits = width_of(interval)
        tests = []
        if interval.low < width.low:
            tests.append(f"({value} < {literal(width.low, bits)})")
        if interval.high > width.high:
            tests.append(f"({value} > {literal(width.high, bits)})")
        return [f"bad |= np.int64({' | '.join(tests)})"]

    def _tail(self, tail: Guard, handler: Handler, place: Place, others: Sources) -> None:
        code, number, tag, declared = self.code, self.kind.number, self.code.tag(), self.kind.declared()
        values, before, after = self.followed(handler, tail.body, others)
        changed = self._changed(handler, before, after)
        needed = values.needed([after[s] for s in changed])
        known, body = {}, list[str]()
        for name, node in before.items():
            if node in needed and values.nodes[node].op == "leaf":
                found, is_array = self.source(name, others)
                bits = width_of(values.nodes[node].range)
                body.append(f"o{tag}_{name} = np.int{bits}({found}{'[j]' if is_array else ''})")
                known[node] = f"o{tag}_{name}"
        lines = Lines(values, known, f"n{tag}_")
        body += lines.write(after[s] for s in changed)
        for s in changed:
            body += self.checked(values.nodes[after[s]].range, lines.ref(after[s]), declared[s])
        body += [f"v{number}_{s}[j] = np.{code.memory(self.kind, s)}({lines.ref(after[s])})" for s in changed]
        if place.whole:
            words = f"_uint64(address_flag{number})"
            code.write(f"fired = _places({words}, many{number}, flag{number}, found{number}, busy)")
            with code.block("for f in range(fired):"):
                code.write(f"j = found{number}[f]", *body)
            return
        with code.block(f"for z in range({place.low}, {place.high}):"):
            code.write(f"j = {place.listed}[z]" if place.listed else "j = z")
            with code.block(f"if flag{number}[j] != 0:"):
                code.write(*body)
