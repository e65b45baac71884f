"""Texts of arriving events that add: what many events do is then what their sum does."""

from collections.abc import Mapping

import numpy as np

from neurodeploy.network.network import Ints
from neurodeploy.step import Assign, Call, Const, Interval, Name, Text
from neurodeploy.step.paths import path_intervals
from neurodeploy.step.tree import Expression, names


def total(
    text: Text,
    written: set[str],
    fields: Mapping[str, Ints],
    parameters: Mapping[str, Interval],
    counts: Interval,
    name: str,
) -> tuple[Text, Ints, Ints] | None:
    """The text with the sum of all that arrives, called ``name``, in place of one event's part; None if it adds not.

    written : states or accumulators
    fields : (synapse,) stored synapse fields
    counts : with what an event arrives
    Returns the text and (synapse,) least and largest part of each synapse.

    One line ``x = f(x + part)`` adds, where part reads nothing that is written and f is nothing, sat, wrap, or min or
    max with a literal. Saturation is monotone and does not stretch, so that x moves at most by the sum of the parts of
    one sign, and wraps only if that sum does.
    """
    if len(text.statements) != 1 or not isinstance(text.statements[0], Assign):
        return None
    line = text.statements[0]
    found = _split(line.value, line.name)
    if found is None or set(names(found[0])) & written:
        return None
    part, rest = found
    kinds = np.unique(np.stack([*fields.values()]), axis=1, return_inverse=True) if fields else None
    if kinds is None:
        return None
    table, which = kinds
    ends = [_ends(part, dict(zip(fields, column, strict=True)), parameters, counts, text.where) for column in table.T]
    least, most = (np.array(side, np.int64)[which.reshape(-1)] for side in zip(*ends, strict=True))
    return Text((Assign(line.name, _filled(rest, name), line.line),), text.source, text.where), least, most


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
