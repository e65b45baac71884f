"""Whether two descriptions of a chip compute the same for everything that registers can hold, asked of an SMT solver.

Texts are compared line by line: the smallest part in which two lines differ is asked first, over the ranges of the
names in it, then what surrounds it, then the whole text. A part that is equal for all values can be exchanged anywhere.
Phases that changed places must commute, text by text: for neurons that have nothing to do with each other, and for one
neuron that both meet.
"""

from itertools import zip_longest

from neurodeploy.proofs.smt import equal
from neurodeploy.step import Assign, Call, Const, Guard, Interval, Name, Text, final_intervals, parse
from neurodeploy.step.intervals import hull
from neurodeploy.step.operators import CONDITIONS
from neurodeploy.step.tree import names, read

SECONDS = 20


def equivalent(first, second, *, legal=()):
    """Whether two chips that differ in texts or in the order of phases compute the same.

    legal : conditions on states and parameters that hold wherever a text runs, as sources
    """
    changed = list(_changed(first, second))
    if not all(same_text(a, b, ranges, outputs, legal) for a, b, ranges, outputs in changed):
        return sequences_are_equal(first, second)
    return same_order(first, second)


def _changed(first, second):
    """Every pair of texts that differ: both, the ranges of what they may read, and what must be equal after them."""
    for a, b in _paired(first.neurons, second.neurons):
        known = _ranges(a.states) | _ranges(a.parameters)
        known |= {"external": a.entry.external.interval} if a.entry.external else {}
        for one, other in _paired(a.handlers, b.handlers):
            yield from _pair(one, other, known, set(a.states) | ({one.emits} - {""}))
    for a, b in _paired(first.connections, second.connections):
        target, fields = first.neurons[a.target], _ranges(a.fields) | _ranges(a.parameters)
        if a.stored != b.stored:
            yield a.stored, b.stored, fields, set(a.fields)
        shared = _ranges(target.states) | _ranges(target.parameters) | _ranges(a.registers) | _ranges(a.parameters)
        given = shared | {n: r for n, r in a.stored_ranges.items() if n != "delay"}
        given |= {"arriving": arriving(first, a)}
        yield from _pair(a.on_input, b.on_input, given, set(a.registers or target.states) | ({a.on_input.emits} - {""}))
        if a.on_sum is not None:
            yield from _pair(a.on_sum, b.on_sum, shared, set(target.states))


def arriving(chip, kind):
    """What an event brings: nothing is delivered where nothing was emitted."""
    if chip.event_driven:
        return Interval(1, 1)
    emitted = hull(*(chip.neurons[s].states[chip.neurons[s].emits].interval for s in kind.sources))
    return Interval(max(emitted.low, 1), emitted.high)


def _paired(first, second):
    return [(first[n], second[n]) for n in first]


def _ranges(entries):
    return {n: e.interval for n, e in entries.items()}


def _pair(one, other, known, outputs):
    if one.text != other.text:
        yield one.text, other.text, known, outputs


def same_text(first, second, ranges, outputs, legal=()):
    """Whether two texts give every output the same value."""
    given = [parse(f"holds = 1 if {words} else 0") for words in legal if _readable(words, ranges)]
    known = _everywhere(first, ranges) | {n: r for n, r in ranges.items() if n not in _assigned(first)}
    pairs = list(_differences(first.statements, second.statements))
    if None not in pairs and all(any(_same_value(a, b, known) for a, b in levels) for levels in pairs):
        return True
    # what is given holds before the first line, and need not hold later
    if any(asked(*ends, known_there, outputs) for ends, known_there in _ends(first, second, ranges)):
        return True
    return asked([first], [second], ranges, outputs, given)


def _ends(first, second, ranges):
    """Both texts from some line before the first that differs, the nearest first; what stands before is any value."""
    differing = (i for i, (a, b) in enumerate(zip(first.statements, second.statements, strict=False)) if a != b)
    for at in range(next(differing, 0), 0, -1):
        before = Text(first.statements[:at], first.source, first.where)
        texts = [[Text(t.statements[at:], t.source, t.where)] for t in (first, second)]
        yield texts, {**ranges, **final_intervals(before, ranges)}


def _readable(words, ranges):
    return not set(read(parse(f"x = 1 if {words} else 0").statements)) - set(ranges)


def _assigned(text):
    return {s.name for s in _lines(text.statements)}


def _lines(statements):
    for s in statements:
        if isinstance(s, Guard):
            yield from _lines(s.body)
        else:
            yield s


def _everywhere(text, ranges):
    """Ranges of all names over all moments of a text."""
    known = dict(ranges)
    for part in _beginnings(text.statements):
        after = final_intervals(Text(part, text.source, text.where), ranges)
        known |= {n: hull(known.get(n, r), r) for n, r in after.items()}
    return known


def _beginnings(statements):
    """Every way to stop in a text, in bodies of guards as if they were met."""
    for i, statement in enumerate(statements):
        yield statements[:i]
        if isinstance(statement, Guard):
            yield from ((*statements[:i], *inner) for inner in _beginnings(statement.body))
    yield statements


def _differences(first, second):
    """For each difference the pairs of parts from the smallest outwards; None where lines do not pair."""
    for a, b in zip_longest(first, second):
        if a == b:
            continue
        if isinstance(a, Assign) and isinstance(b, Assign) and a.name == b.name:
            yield _levels(a.value, b.value)
        elif isinstance(a, Guard) and isinstance(b, Guard):
            if a.condition != b.condition:
                yield _levels(a.condition, b.condition)
            yield from _differences(a.body, b.body)
        else:
            yield None


def _levels(a, b):
    below = []
    if isinstance(a, Call) and isinstance(b, Call) and a.op == b.op and len(a.args) == len(b.args):
        inner = [(x, y) for x, y in zip(a.args, b.args, strict=True) if x != y]
        if len(inner) == 1:
            below = _levels(*inner[0])
    return [*below, (a, b)]


def _same_value(a, b, known):
    """Whether two expressions are equal for all values of the names in them."""
    used = set(names(a)) | set(names(b))
    texts = [Text((Assign("value", _number(e)),)) for e in (a, b)]
    return used <= set(known) and asked(texts[:1], texts[1:], {n: known[n] for n in used}, ["value"])


def asked(first, second, ranges, outputs, given=()):
    """Whether the solver finds no numbers for which two sequences of texts differ."""
    try:
        return equal(first, second, ranges, outputs, given=given, seconds=SECONDS).proved is True
    except KeyError:  # a name that has no value there
        return False


def _number(expression):
    if isinstance(expression, Call) and expression.op in CONDITIONS:
        return Call("select", (expression, Const(1), Const(0)))
    return expression


# --- phases


def same_order(first, second):
    """Whether phases that changed places commute; True where none did."""
    before, after = ([_flat(p) for p in chip.schedule] for chip in (first, second))
    if before == after:
        return True
    moved = [(a, b) for a, b in zip_longest(before, after) if a != b]
    if len(moved) != 2 or moved[0] != moved[1][::-1]:
        return False
    return all(commute(first, a, b) for a in moved[0][0] for b in moved[0][1])


def _flat(phase):
    """The single things that a phase does: handlers and deliveries."""
    return tuple(([phase.name] if phase.neuron else []) + list(phase.connections))


def commute(chip, one, other):
    """Whether two actions can be exchanged, on neurons of their own and on one that both meet."""
    for shared in (False, True):
        first, second = (list(_action(chip, n, "" if shared else f"{i} ")) for i, n in enumerate((one, other)))
        for texts in ((a, b) for a in first for b in second):
            ranges = {n: r for text, known, _ in texts for n, r in known.items()}
            outputs = {n for _, _, written in texts for n in written}
            bodies = [text for text, _, _ in texts]
            if not asked(bodies, bodies[::-1], ranges, outputs):
                return False
    return True


def _action(chip, name, own):
    """What an action does to one neuron, a delivery with one synapse: text, ranges of its names, what it writes."""
    if name in chip.connections:
        kind = chip.connections[name]
        target, place = chip.neurons[kind.target], f"{own}{kind.target} "
        synapse = _ranges(kind.parameters) | {n: r for n, r in kind.stored_ranges.items() if n != "delay"}
        zero = tuple(Assign(n, Const(0)) for n in kind.registers)
        summed = kind.on_sum.text.statements if kind.on_sum is not None else ()
        text = Text((*zero, *kind.on_input.text.statements, *summed))
        for source in kind.sources:
            emits = chip.neurons[source].emits
            words = {n: f"{place}{n}" for n in (*target.states, *target.parameters)}
            words |= {n: f"{name} {n}" for n in synapse} | {"arriving": f"{own}{source} {emits}"}
            known = _ranges(target.states) | _ranges(target.parameters) | synapse
            known |= {"arriving": chip.neurons[source].states[emits].interval}
            yield _renamed(text, words, known, target.states)
    else:
        neuron, _, handler = name.partition(".")
        kind = chip.neurons[neuron]
        known = _ranges(kind.states) | _ranges(kind.parameters)
        known |= {"external": kind.entry.external.interval} if kind.entry.external else {}
        yield _renamed(kind.handlers[handler].text, {n: f"{own}{neuron} {n}" for n in known}, known, kind.states)


def _renamed(text, words, known, states):
    def expression(e):
        if isinstance(e, Name):
            return Name(words.get(e.id, f"local {e.id}"))
        return Call(e.op, tuple(map(expression, e.args))) if isinstance(e, Call) else e

    def block(statements):
        return tuple(
            Guard(expression(s.condition), block(s.body))
            if isinstance(s, Guard)
            else Assign(words.get(s.name, f"local {s.name}"), expression(s.value))
            for s in statements
        )

    used = set(read(text.statements)) | {s.name for s in _lines(text.statements)}
    ranges = {words[n]: r for n, r in known.items() if n in used}
    return Text(block(text.statements)), ranges, {words[n] for n in states if n in used}


# --- texts that follow each other


def sequences_are_equal(first, second):
    """Whether neighbouring handlers of one kind give the same together where one alone differs: only one may differ."""
    differing = [
        (kind, name)
        for kind, (a, b) in ((k, (first.neurons[k], second.neurons[k])) for k in first.neurons)
        for name in a.handlers
        if a.handlers[name].text != b.handlers[name].text
    ]
    if len(differing) != 1 or not same_order(first, second):
        return False
    (kind, name), order = differing[0], [p.name for p in first.schedule]
    at = order.index(f"{kind}.{name}")
    if at + 1 == len(order) or not order[at + 1].startswith(f"{kind}."):
        return False
    follower = order[at + 1].partition(".")[2]
    entry = first.neurons[kind]
    known = _ranges(entry.states) | _ranges(entry.parameters)
    texts = [c.neurons[kind].handlers[name].text for c in (first, second)]
    last = entry.handlers[follower].text
    return all(
        asked([one, last], [other, last], known, set(entry.states), given) for one, other, given in _cases(*texts)
    )


def _cases(one, other):
    """Two texts case by case, where both begin with the same guard: with its body, and without it."""
    (a, *rest), (b, *others) = one.statements, other.statements
    if not (isinstance(a, Guard) and isinstance(b, Guard) and a.condition == b.condition):
        yield one, other, ()
        return
    for bodies, yes in (((a.body, b.body), 1), (((), ()), 0)):
        holds = Call("select", (a.condition, Const(yes), Const(1 - yes)))
        yield Text((*bodies[0], *rest)), Text((*bodies[1], *others)), (Text((Assign("holds", holds),)),)
