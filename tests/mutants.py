"""Mutants: every small change of a chip's step texts and schedule, made mechanically, and what catches them.

A mutant is named by its place and by the line before and after the change, so that a list of exceptions reads as a
list of claims about lines.
"""

import ast
import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from random_networks import random_counts, random_network

from neurodeploy.chips import from_raw
from neurodeploy.errors import Refusal
from neurodeploy.golden import differences
from neurodeploy.simulator import Engine, assemble, external_counts
from neurodeploy.simulator.executors import STEPPING

BINARY = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.RShift, ast.LShift)
COMPARE = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
TWINS = {"min": "max", "max": "min", "sat": "wrap", "wrap": "sat"}
FLOORS = {"shift_to_zero", "round_half_even"}  # neighbours of >>
EXECUTOR = STEPPING["numpy"]


@dataclass(frozen=True)
class Mutant:
    """One change. raw : the merged chip file with it; place : which table; before, after : the changed source."""

    name: str
    place: tuple[str, ...]
    before: object
    after: object
    raw: dict


def edited(raw, *edits):
    """Copy of a merged chip file with other values at some places: (("neuron", "hidden", ...), value)."""
    result = copy.deepcopy(dict(raw))
    for path, value in edits:
        node = result
        for part in path[:-1]:
            node = node.setdefault(part, {})
        node[path[-1]] = value
    return result


def mutants(raw) -> Iterator[Mutant]:
    """All mutants of a merged chip file, equal ones once."""
    for place, source, names in _texts(raw):
        seen = {_plain(source)}
        for after in _changes(source, names):
            if after not in seen:
                seen.add(after)
                yield Mutant(_name(place, source, after), place, source, after, edited(raw, (place, after)))
    schedule = raw["schedule"]
    for after in _schedules(schedule["step"]):
        place = ("schedule", "step")
        name = f"schedule.step: {_phases(schedule['step'])} -> {_phases(after)}"
        yield Mutant(name, place, schedule["step"], after, edited(raw, (place, after)))
    for phase, every in schedule.get("every", {}).items():
        for key, change in (("period", 1), ("period", -1), ("offset", 1), ("offset", -1)):
            value = every.get(key, 0) + change
            place = ("schedule", "every", phase, key)
            yield Mutant(
                f"{'.'.join(place)}: {value - change} -> {value}",
                place,
                value - change,
                value,
                edited(raw, (place, value)),
            )


def _texts(raw):
    """Every text with its place and the names that it may read."""
    for head, body in raw.get("function", {}).items():
        arguments = [a.id for a in ast.parse(head, mode="eval").body.args]
        yield ("function", head), body, arguments
    for kind, neuron in raw["neuron"].items():
        own = [*neuron.get("state", {}), *neuron.get("param", {})]
        for handler, text in neuron.get("on", {}).items():
            yield ("neuron", kind, "on", handler), text, own + (["external"] if "external" in neuron else [])
    for kind, connection in raw["connection"].items():
        target = raw["neuron"][connection["to"]]
        fields, registers = (
            [*connection.get("synapse", {}), *connection.get("param", {})],
            [*connection.get("register", {})],
        )
        own = [*target.get("state", {}), *target.get("param", {})]
        for key, names in (
            ("stored", fields),
            ("on_input", own + fields + registers + ["arriving"]),
            ("on_sum", own + registers),
        ):
            if connection.get(key):
                yield ("connection", kind, key), connection[key], names


def _plain(source):
    return ast.unparse(ast.parse(source.strip()))


def _name(place, before, after):
    old, new = _plain(before).splitlines(), after.splitlines()
    while old and new and old[0] == new[0]:
        old, new = old[1:], new[1:]
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    old, new = (" | ".join(line.strip() for line in lines) or "(nothing)" for lines in (old, new))
    return f"{'.'.join(place)}: {old} -> {new}"


def _changes(source, names):
    tree = ast.parse(source.strip())
    local = [n.targets[0].id for n in ast.walk(tree) if isinstance(n, ast.Assign)]
    names = list(dict.fromkeys([*names, *local]))
    for index, node in enumerate(ast.walk(tree)):
        for change in _alternatives(node, names):
            other = copy.deepcopy(tree)
            target = next(n for i, n in enumerate(ast.walk(other)) if i == index)
            change(target)
            yield ast.unparse(ast.fix_missing_locations(_inlined(other)))


class _Inline(ast.NodeTransformer):
    """Puts the replacement that a change has left beside a node in its place."""

    def generic_visit(self, node):
        super().generic_visit(node)
        return getattr(node, "instead", node)


def _inlined(tree):
    return _Inline().visit(tree)


def _set(**values):
    def change(node):
        for key, value in values.items():
            setattr(node, key, value)

    return change


def _instead(function):
    def change(node):
        node.instead = function(node)

    return change


def _alternatives(node, names):
    """Changes of one node, each a function that is given the node in a copy of the tree."""
    if isinstance(node, ast.BinOp):
        yield from (_set(op=op()) for op in BINARY if not isinstance(node.op, op))
        yield _instead(lambda n: n.left)
        yield _instead(lambda n: n.right)
    elif isinstance(node, ast.Compare):
        yield from (_set(ops=[op()]) for op in COMPARE if not isinstance(node.ops[0], op))
    elif isinstance(node, ast.BoolOp):
        yield _set(op=ast.And() if isinstance(node.op, ast.Or) else ast.Or())
        yield from (_instead(lambda n, i=i: n.values[i]) for i in range(len(node.values)))
    elif isinstance(node, ast.UnaryOp):
        yield _instead(lambda n: n.operand)
    elif isinstance(node, ast.IfExp):
        yield _instead(lambda n: ast.IfExp(n.test, n.orelse, n.body))
        yield _instead(lambda n: n.body)
        yield _instead(lambda n: n.orelse)
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.Constant):
        yield from (_set(value=node.value + by) for by in (1, -1))
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        yield from (_set(id=name) for name in names if name != node.id)
    elif isinstance(node, ast.Module | ast.If):
        yield from _blocks(node)


def _calls(node):
    name = node.func.id
    if name in TWINS:
        yield _set(func=ast.Name(TWINS[name], ast.Load()))
    if name in FLOORS:
        yield _instead(lambda n: ast.BinOp(n.args[0], ast.RShift(), n.args[1]))
    if name in {*TWINS, *FLOORS, "clip", "abs", "scale2"}:
        yield _instead(lambda n: n.args[0])


def _blocks(node):
    """Lines dropped, neighbouring lines exchanged where one could see the other, guards opened and turned round."""
    for i, statement in enumerate(node.body):
        if len(node.body) > 1 or isinstance(node, ast.Module):
            yield _without(i)
        if i and not independent(node.body[i - 1], statement):
            yield _exchanged(i)
        if isinstance(statement, ast.If):
            yield _opened(i)
            yield _negated(i)


def _without(i):
    return lambda node: node.body.pop(i)


def _exchanged(i):
    return lambda node: node.body.insert(i - 1, node.body.pop(i))


def _opened(i):
    def change(node):
        node.body[i : i + 1] = node.body[i].body

    return change


def _negated(i):
    def change(node):
        node.body[i].test = ast.UnaryOp(ast.Not(), node.body[i].test)

    return change


def independent(first, second):
    """Whether two pieces of text can be exchanged: neither writes what the other reads or writes."""
    written, read = zip(*(_touched(part) for part in (first, second)), strict=True)
    return not (written[0] & (written[1] | read[1]) or written[1] & read[0])


def _touched(node):
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    return {n.id for n in names if isinstance(n.ctx, ast.Store)}, {n.id for n in names if isinstance(n.ctx, ast.Load)}


def _schedules(step):
    """Neighbouring phases exchanged; nested deliveries moved out of the scan, before and after it."""
    for i in range(1, len(step)):
        yield [*step[: i - 1], step[i], step[i - 1], *step[i + 1 :]]
    for i, phase in enumerate(step):
        if not isinstance(phase, str):
            yield [*step[:i], *phase, *step[i + 1 :]]
            yield [*step[:i], *phase[1:], phase[0], *step[i + 1 :]]


def _phases(step):
    return " ".join(p if isinstance(p, str) else f"[{' '.join(p)}]" for p in step)


@dataclass(frozen=True)
class Stimulus:
    """A network, an input, and all states of the true chip at every step: step -> kind -> state -> (batch, neuron)."""

    network: object
    counts: dict
    courses: list

    @classmethod
    def of(cls, network, counts):
        return cls(network, counts, list(_courses(network, counts)))

    def catches(self, chip):
        """Whether the chip differs from the true one in any state at any step, or breaks its own widths."""
        try:
            steps = _courses(replace(self.network, chip=chip), self.counts)
            return any(
                not np.array_equal(values, course[kind][state])
                for here, course in zip(steps, self.courses, strict=True)
                for kind, states in here.items()
                for state, values in states.items()
                if state in course[kind]
            )
        except Refusal:
            return True


def _courses(network, counts):
    machine = assemble(network)
    external, steps, batch = external_counts(network, machine, counts, raw=True)
    engine = Engine(machine, batch, EXECUTOR)
    for t in range(steps):
        engine.step({kind: values[t] for kind, values in external.items()})
        yield {kind: {s: v.copy() for s, v in states.items()} for kind, states in engine.states.items()}


def stimuli(chip, options, seeds):
    """Random networks with what the true chip makes of them."""
    result = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        network = random_network(chip, rng, options)
        result.append(Stimulus.of(network, random_counts(network, rng, options)))
    return result


class Catcher:
    """Golden vectors first, then random networks; what has caught most is asked first."""

    def __init__(self, golden, networks):
        self.golden, self.networks = [[0, v] for v in golden.vectors], networks
        self.made_by = golden.made_by

    def verdict(self, raw, path=None):
        """invalid, golden, random or survived."""
        try:
            chip = from_raw(raw, path)
        except Refusal:
            return "invalid"
        if self.by_golden(chip):
            return "golden"
        return "random" if any(s.catches(chip) for s in self.networks) else "survived"

    def by_golden(self, chip):
        """Whether some golden vector differs on this chip, or breaks its widths."""
        for entry in sorted(self.golden, key=lambda e: -e[0]):
            vector = replace(entry[1], network=replace(entry[1].network, chip=chip))
            try:
                found = differences(vector, EXECUTOR.name, self.made_by)[0]
            except Refusal:
                found = [None]
            if found:
                entry[0] += 1
                return True
        return False


def behaviour(raw):
    """What decides what a chip computes: chips with equal behaviour need one test."""
    texts = [[place, source] for place, source, _ in _texts(raw)]
    return json.dumps([texts, raw["neuron"], raw["schedule"]], sort_keys=True, default=str)
