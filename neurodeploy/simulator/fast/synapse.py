"""What an arriving event does to a state: whether it only adds, how much, and whether that can leave the register."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurodeploy.chips import ConnectionKind
from neurodeploy.chips.schema import StateEntry
from neurodeploy.simulator.fast.lanes import held_class
from neurodeploy.simulator.fast.rows import Table, sums_at
from neurodeploy.simulator.fast.values import Values
from neurodeploy.simulator.machine import Ints
from neurodeploy.step import Interval, signed

ARRIVING = "arriving"


@dataclass(frozen=True)
class Addition:
    """``name = name + arriving * amount``, bounded to so many bits where ``rail`` says so.

    amount : synapse -> what one event adds
    range : every value that the sum has on its way, where it is known that no rail is met; then the order is free
    """

    name: str
    amount: Ints
    rail: int | None
    range: Interval | None


def additions(
    kind: ConnectionKind,
    table: Table,
    arriving: Interval,
    known: Mapping[str, Interval],
    states: Mapping[str, StateEntry],
) -> tuple[Addition, ...] | None:
    """Return what the text adds to each state that it writes, None where it does something else.

    known : name -> range, of everything the text may read
    states : registers of the target
    """
    found = []
    values = Values()
    widths = kind.registers or None
    # all that a register holds: where less is known, a saturation that is never reached would be taken away
    held = {n: (widths or states)[n].interval for n in kind.on_input.writes}
    environment = {n: values.leaf(n, r) for n, r in (dict(known) | held | {ARRIVING: arriving}).items()}
    before = dict(environment)
    values.run(kind.on_input.text.statements, environment)
    given = {before[n]: v for n, v in table.fields.items() if values.nodes[before[n]].op == "leaf"}
    given[before[ARRIVING]] = np.ones((), np.int64)
    for name in sorted(kind.on_input.writes):
        parts = _sum(values, environment[name], before[name])
        if parts is None:
            return None
        amount_node, rail = parts
        leaves = values.leaves(amount_node) - {before[ARRIVING]}
        if not leaves <= set(given):
            return None
        if arriving != Interval(0, 1) and not _linear(values, amount_node, before[ARRIVING]):
            return None
        amount = np.broadcast_to(values.evaluate(amount_node, given), table.targets.shape).astype(np.int64, copy=False)
        if not amount.any() and (rail is None or known[name].within(signed(rail))):
            continue
        bound = None
        if widths:
            largest = _largest_sum(table, amount) * max(abs(arriving.low), abs(arriving.high))
            inside = signed(63) if rail is None else signed(rail)
            if Interval(-largest, largest).within(inside) and Interval(-largest, largest).within(widths[name].interval):
                bound = held_class(np.array([-largest, largest]), widths[name].interval)
        if bound is None and (rail is None or not signed(rail).within((widths or states)[name].interval)):
            return None
        found.append(Addition(name, amount, None if bound is not None else rail, bound))
    return tuple(found)


def _sum(values: Values, node: int, state: int) -> tuple[int, int | None] | None:
    """Find what is added to a state, and the bits of the saturation around it."""
    value, rail = values.nodes[node], None
    if node == state:
        return values.const(0), None
    if value.op == "sat":
        rail = values.nodes[value.args[1]].range.low
        node = value.args[0]
        value = values.nodes[node]
        if node == state:
            return values.const(0), rail
    if value.op == "add" and state in value.args:
        other = value.args[1] if value.args[0] == state else value.args[0]
    elif value.op == "sub" and value.args[0] == state:
        other = values.call("neg", (value.args[1],))
    else:
        return None
    return (other, rail) if state not in values.leaves(other) else None


def _linear(values: Values, node: int, arriving: int) -> bool:
    """Whether a node is a multiple of what arrives."""
    value = values.nodes[node]
    free = [arriving not in values.leaves(a) for a in value.args]
    if node == arriving or (value.op == "const" and value.range.low == 0):
        return True
    if value.op in {"add", "sub", "neg"}:
        return all(_linear(values, a, arriving) for a in value.args)
    if value.op == "mul":
        return any(f and _linear(values, b, arriving) for f, b in zip(free, value.args[::-1], strict=True))
    if value.op == "shl":
        return free[1] and _linear(values, value.args[0], arriving)
    if value.op == "select":
        return free[0] and all(_linear(values, a, arriving) for a in value.args[1:])
    return False


def _largest_sum(table: Table, amount: Ints) -> int:
    """Most that one event of every source can add to a register of one target in one piece."""
    sums = [sums_at(table.targets[low:high], amount[low:high]) for low, high in table.spans]
    # floating-point sums are exact below 2**53, and beyond that no register ends
    return max((int(s.max()) + 1 for s in sums if s.size), default=0)
