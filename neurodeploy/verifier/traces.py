"""Traces in files: what somebody observed of a network, as arrays (.npz) or as a table (.csv).

An .npz holds ``counts.GROUP`` and ``states.GROUP.STATE``, each (time, batch, neuron) whole numbers, and if wanted
``made_by``, a text. A .csv begins with the line ``step,sample,group,neuron,name,value``; ``name`` is ``events`` or a
state. Events that have no row are 0; a state needs a row for every step, sample and neuron.
"""

import csv
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy import npz
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.simulator import Run, Trace

Ints = npt.NDArray[np.int64]
COLUMNS = ("step", "sample", "group", "neuron", "name", "value")
EVENTS = "events"
COUNTS, STATES, MADE_BY, VERSION = "counts.", "states.", "made_by", "schema_version"
SCHEMA_VERSION = 1
#: values that a table may span; more belongs into arrays
LARGEST = 20_000_000
_TODO = "neurodeploy.verifier.traces says what a trace file holds"


def save_trace(observed: Run | Trace, path: str | Path) -> None:
    """Write counts and recorded states as an .npz; the same content gives the same bytes.

    Raises Refusal ND1401 where the place cannot be written.
    """
    trace = observed.trace() if isinstance(observed, Run) else observed
    arrays: npz.Arrays = {f"{COUNTS}{g}": np.asarray(v) for g, v in trace.counts.items()}
    arrays |= {f"{STATES}{g}.{s}": np.asarray(v) for g, many in trace.states.items() for s, v in many.items()}
    npz.write_arrays(path, arrays | {MADE_BY: np.array(trace.made_by), VERSION: np.array(SCHEMA_VERSION)})


def is_trace(path: Path) -> bool:
    """Whether a file is meant as a trace: a table, or arrays with the names of one."""
    if path.suffix.lower() == ".csv":
        return True
    return path.suffix.lower() == ".npz" and any(n.startswith((COUNTS, STATES)) for n in npz.read_headers(path))


def load_trace(path: str | Path, shapes: Mapping[str, tuple[int, int, int]] | None = None) -> Trace:
    """Read a trace.

    shapes : group -> (time, batch, neuron) of what it will be compared with; a table says nothing of silence at its
        end. None takes the largest numbers that stand in the table
    Raises Refusal: ND1401, ND1402 for the file, ND1404 for another version, ND2003 for its content, all at once.
    """
    path = Path(path)
    if path.suffix.lower() == ".csv":
        return _table(path, shapes or {})
    arrays = npz.read_arrays(path)
    found = arrays.pop(VERSION, np.array(SCHEMA_VERSION))
    if found.shape or found.dtype.kind not in "iu" or int(found) != SCHEMA_VERSION:
        raise Refusal(
            Fault("ND1404", str(path), f"schema_version {found!s:.40}", f"this program reads {SCHEMA_VERSION}")
        )
    made_by = arrays.pop(MADE_BY, np.array(path.name))
    raise_if(list(_array_faults(path, arrays)))
    counts = {n.removeprefix(COUNTS): _whole(v) for n, v in arrays.items() if n.startswith(COUNTS)}
    states: dict[str, dict[str, Ints]] = {}
    for name, values in arrays.items():
        if name.startswith(STATES):
            group, _, state = name.removeprefix(STATES).rpartition(".")
            states.setdefault(group, {})[state] = _whole(values)
    return Trace(str(made_by), counts, states)


def made_here(path: Path) -> str:
    """Who is said to have made a table."""
    return f"{path.name}, read by neurodeploy {version('neurodeploy')}"


def _whole(values: npt.NDArray[Any]) -> Ints:
    return values.astype(np.int64)


def _array_faults(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> Iterator[Fault]:
    for name, values in arrays.items():
        where, must = f"{path}, {name}", "(time, batch, neuron) whole numbers of at most 64 bits with sign"
        if not name.startswith((COUNTS, STATES)) or (name.startswith(STATES) and "." not in name.removeprefix(STATES)):
            names = f"{COUNTS}GROUP, {STATES}GROUP.STATE, {MADE_BY} or {VERSION}"
            yield Fault("ND2003", where, "an array of another name", names, _TODO)
        elif values.ndim != 3 or values.dtype.kind not in "biu" or not np.can_cast(values.dtype, np.int64):
            yield Fault("ND2003", where, f"shape {values.shape}, type {values.dtype}", must)


def _table(path: Path, shapes: Mapping[str, tuple[int, int, int]]) -> Trace:
    """Read a table of one value in each row."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refusal(Fault("ND1401", str(path), f"no table: {error}", "comma-separated values", _TODO)) from None
    if not rows or tuple(rows[0]) != COLUMNS:
        was = ",".join(rows[0])[:80] if rows else "an empty file"
        raise Refusal(Fault("ND2003", f"{path}, line 1", was, ",".join(COLUMNS), _TODO))
    faults, values = list[Fault](), dict[tuple[str, str], dict[tuple[int, int, int], int]]()
    for number, row in enumerate(rows[1:], start=2):
        where = f"{path}, line {number}"
        if len(row) != len(COLUMNS):
            faults.append(Fault("ND2003", where, f"{len(row)} values", f"{len(COLUMNS)}: {','.join(COLUMNS)}"))
            continue
        step, sample, group, neuron, name, value = row
        try:
            at, found = (int(step), int(sample), int(neuron)), int(value)
        except ValueError:
            faults.append(Fault("ND2003", where, ",".join(row)[:80], "whole numbers in step, sample, neuron and value"))
            continue
        if min(at) < 0 or not -(1 << 63) <= found < 1 << 63:
            faults.append(Fault("ND2003", where, ",".join(row)[:80], "places from 0 on, values of 64 bits"))
        elif at in values.setdefault((group, name), {}):
            faults.append(Fault("ND2003", where, "a second value of the same place", "one row for each value"))
        else:
            values[group, name][at] = found
    raise_if(faults[:20])
    return _filled(path, values, shapes)


def _filled(
    path: Path,
    values: Mapping[tuple[str, str], Mapping[tuple[int, int, int], int]],
    shapes: Mapping[str, tuple[int, int, int]],
) -> Trace:
    steps, samples = (1 + max((at[i] for many in values.values() for at in many), default=-1) for i in (0, 1))
    counts, states, faults = dict[str, Ints](), dict[str, dict[str, Ints]](), list[Fault]()
    for (group, name), many in values.items():
        where = f"{path}, {group}.{name}"
        largest = [1 + max(at[i] for at in many) for i in range(3)]
        shape = shapes.get(group, (steps, samples, largest[2]))
        if any(n > s for n, s in zip(largest, shape, strict=True)):
            was = f"step, sample and neuron up to {tuple(n - 1 for n in largest)}"
            faults.append(Fault("ND2003", where, was, f"within {shape} steps, samples and neurons"))
            continue
        if shape[0] * shape[1] * shape[2] > LARGEST:
            was = f"{shape} steps, samples and neurons"
            faults.append(Fault("ND2003", where, was, f"at most {LARGEST:,} values in a table", "save arrays (.npz)"))
            continue
        if name != EVENTS and len(many) != shape[0] * shape[1] * shape[2]:
            was = f"{len(many)} values of a state"
            faults.append(Fault("ND2003", where, was, f"one for each of {shape} steps, samples and neurons"))
            continue
        array = np.zeros(shape, np.int64)
        for at, value in many.items():
            array[at] = value
        if name == EVENTS:
            counts[group] = array
        else:
            states.setdefault(group, {})[name] = array
    raise_if(faults)
    return Trace(made_here(path), counts, states)
