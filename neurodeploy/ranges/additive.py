"""Texts of arriving events that add: what many events do is then what their sum does."""

from collections.abc import Mapping

import numpy as np

from neurodeploy.network.network import Ints
from neurodeploy.step import Assign, Call, Const, Interval, Name, Text
from neurodeploy.step.paths import path_intervals
from neurodeploy.step.tree import Expression, names


def totals(
    text: Text,
    written: set[str],
    fields: Mapping[str, Ints],
    parameters: Mapping[str, Interval],
    counts: tuple[Ints, Ints],
    prefix: str,
) -> tuple[Text, dict[str, tuple[Ints, Ints]]] | None:
    """The text with sums of all that arrives in place of one event's parts; None if a line adds not.

    written : states or accumulators
    fields : (synapse,) stored synapse fields
    counts : (synapse,) least and most with which an event arrives
    prefix : the sum that a line takes is called so, with the number of the line behind it
    Returns the text and, by the name of each sum, (synapse,) least and largest part of each synapse.

    A line ``x = f(x + part)`` adds, where part reads nothing that is written and nothing of which each target has its
    own, and f is nothing, sat, wrap, or min or max with a literal. Saturation is monotone and does not stretch, so
    that x moves at most by the sum of the parts of one sign, and wraps only if that sum does. Lines of different x do
    not see each other.
    """
    lines = [line for line in text.statements if isinstance(line, Assign)]
    if len(lines) != len(text.statements) or len({line.name for line in lines}) != len(lines):
        return None
    columns = np.stack([*fields.values(), *counts])
    table, which = np.unique(columns, axis=1, return_inverse=True)
    kinds = [(dict(zip(fields, c, strict=False)), Interval(int(c[-2]), int(c[-1]))) for c in table.T]
    statements, sums = list[Assign](), dict[str, tuple[Ints, Ints]]()
    same_for_all = {*fields, *parameters, "arriving"}
    for line in lines:
        found = _split(line.value, line.name)
        if found is None or set(names(found[0])) & written or not set(names(found[0])) <= same_for_all:
            return None
        part, rest = found
        ends = [_ends(part, own, parameters, arriving, text.where) for own, arriving in kinds]
        least, most = (np.array(side, np.int64)[which.reshape(-1)] for side in zip(*ends, strict=True))
        name = f"{prefix} {len(sums)}"
        sums[name] = least, most
        statements.append(Assign(line.name, _filled(rest, name), line.line))
    return Text(tuple(statements), text.source, text.where), sums


def _split(value: Expression, name: str) -> tuple[Expression, list[Call]] | None:
    """Cut ``f(x + part)`` into the part and the calls around it, outermost first, ending with the sum."""
    around = list[Call]()
    while isinstance(value, Call) and (value.op in {"sat", "wrap"} or (value.op in {"min", "max"} and _bounded(value))):
        around.append(value)
        value = value.args[0]
    if not isinstance(value, Call) or value.op != "add":
        return None
    for own, part in (value.args, value.args[::-1]):
        if isinstance(own, Name) and own.id == name and name not in set(names(part)):
            return part, [*around, Call("add", (own, Name("")))]
    return None


def _bounded(value: Call) -> bool:
    return len(value.args) == 2 and isinstance(value.args[1], Const)


def _filled(around: list[Call], name: str) -> Expression:
    result: Expression = Call("add", (around[-1].args[0], Name(name)))
    for call in reversed(around[:-1]):
        result = Call(call.op, (result, *call.args[1:]))
    return result


def _ends(
    part: Expression, fields: Mapping[str, int], parameters: Mapping[str, Interval], counts: Interval, where: str
) -> tuple[int, int]:
    ranges = {**{n: Interval(int(v), int(v)) for n, v in fields.items()}, **parameters, "arriving": counts}
    after = path_intervals(Text((Assign("part", part),), "", where), ranges)
    return after["part"]
