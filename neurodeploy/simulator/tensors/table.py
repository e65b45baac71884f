"""The table of integer tensors: the step language over torch, in 32 or 64 bits, on any device."""

from collections.abc import Mapping
from typing import Any

import torch

from neurodeploy.step import PYTHON, Interval, Table, Text, assigned
from neurodeploy.step.intervals import RANGES, hull
from neurodeploy.step.tables import run

_SHIFTS = ("shl", "shr", "shift_to_zero", "round_half_even", "scale2")
INT32 = Interval(torch.iinfo(torch.int32).min, torch.iinfo(torch.int32).max)
#: a shift by more leaves 32 bits inside an operator even where its result fits
_MOST_SHIFT_32 = 30


def integer_table(dtype: torch.dtype, device: torch.device) -> Table:
    """Operators over tensors of one integer type; equal to PYTHON wherever ``type_of`` gave that type.

    A guard is computed everywhere and chosen from, except that on the processor one that nobody enters is left out.
    """
    width = torch.iinfo(dtype).bits
    known: dict[int, torch.Tensor] = {}
    values: dict[int, int] = {}  # by identity: to ask a tensor for its value is to wait for its device
    waits = device.type == "cpu"  # asking another device costs more than the lines of the guard

    def literal(value: int) -> torch.Tensor:
        if value not in known:
            known[value] = torch.tensor(value, dtype=dtype, device=device)
            values[id(known[value])] = value
        return known[value]

    def sat(x: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
        half = 1 << values[id(bits)] - 1
        return x if values[id(bits)] >= width else torch.clamp(x, -half, half - 1)

    def wrap(x: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
        half = 1 << values[id(bits)] - 1
        return x if values[id(bits)] >= width else ((x & (2 * half - 1)) ^ half) - half

    def shift_to_zero(x: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        return (x + ((x >> (width - 1)) & ((1 << n) - 1))) >> n

    def round_half_even(x: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        floor, rest = x >> n, x & ((1 << n) - 1)
        return floor + (2 * rest + (floor & 1) > (1 << n)).to(dtype)

    def guard(condition: torch.Tensor, body: Any, environment: Any, table: Table) -> None:
        if waits and not condition.any():
            return
        inside = dict(environment)
        run(body, inside, table)
        for name in {a.name for a in assigned(body)} & set(environment):
            environment[name] = torch.where(condition, inside[name], environment[name])

    return PYTHON | {
        "literal": literal,
        "floordiv": lambda a, b: torch.div(a, b, rounding_mode="floor"),
        "min": torch.minimum,
        "max": torch.maximum,
        "abs": torch.abs,
        "clip": lambda x, low, high: torch.minimum(torch.maximum(x, low), high),
        "sat": sat,
        "wrap": wrap,
        "shift_to_zero": shift_to_zero,
        "round_half_even": round_half_even,
        "scale2": lambda x, e: (x << e.clamp(min=0)) >> (-e).clamp(min=0),
        "select": torch.where,
        "and": torch.logical_and,
        "or": torch.logical_or,
        "not": torch.logical_not,
        "guard": guard,
    }


def type_of(text: Text, ranges: Mapping[str, Interval]) -> torch.dtype:
    """Narrowest type in which no value of a text leaves the type, not even inside an operator.

    ranges : of every name that the text may read
    """
    reached = [*ranges.values()]
    shifts = [0]

    def noting(op: str) -> Any:
        def interval(*arguments: Interval) -> Interval:
            if op in _SHIFTS:
                shifts.extend((-arguments[1].low, arguments[1].high))
            result = RANGES[op](*arguments)
            reached.append(result)
            return result

        return interval

    def literal(value: int) -> Interval:
        reached.append(Interval(value, value))
        return reached[-1]

    def guard(_: Interval, body: Any, environment: Any, table: Table) -> None:
        inside = dict(environment)
        run(body, inside, table)
        for name in set(environment) & set(inside):
            environment[name] = hull(environment[name], inside[name])

    table = {op: noting(op) for op in RANGES} | {"literal": literal, "guard": guard}
    run(text.statements, dict(ranges), table)
    narrow = hull(*reached).within(INT32) and max(shifts) <= _MOST_SHIFT_32
    return torch.int32 if narrow else torch.int64


def held_type(interval: Interval) -> torch.dtype:
    """Type that holds a register."""
    return torch.int32 if interval.within(INT32) else torch.int64
