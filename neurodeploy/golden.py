"""Golden vectors: small networks with the spikes and states that somebody else's simulator gave for them, as text.

A file ``golden.json`` stands beside ``chip.toml``. It holds plain register values, so that it can be reviewed, and is
made anew only on purpose. Whoever runs ``check_golden`` needs no oracle. In the file a row of inputs, counts or states
is the course of one neuron, step by step.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from neurodeploy.archive import write_atomically
from neurodeploy.chips import Chip
from neurodeploy.chips import chip as read_chip
from neurodeploy.chips.part import Grade
from neurodeploy.errors import Differs, Fault, Refusal, raise_if
from neurodeploy.network import Group, Network, Projection
from neurodeploy.network.geometry import geometry_from_json
from neurodeploy.simulator import Trace, shown, simulate

FILE_NAME = "golden.json"
FORMAT = "neurodeploy golden vectors"
SCHEMA_VERSION = 1
LINE = 120
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Vector:
    """One network, one input and what must come out.

    name, claim : what it is called, what it shows
    network : placed
    inputs : input group -> (time, 1, neuron), whatever the register holds
    counts : group -> (time, 1, neuron)
    final : group -> state -> (neuron,) after the last step
    states : group -> state -> (time, 1, neuron), where the whole course is kept
    made_by, grade : who gave the answers, where it is not the maker of the file
    views : group -> state -> (time, 1, neuron) as a probe of the chip shows it, where a chip was probed
    A network of a dialect of the chip (``network.chip.spoken``) shows what that dialect computes.
    """

    name: str
    claim: str
    network: Network
    inputs: Mapping[str, Ints]
    counts: Mapping[str, Ints]
    final: Mapping[str, Mapping[str, Ints]]
    states: Mapping[str, Mapping[str, Ints]]
    made_by: str = ""
    grade: Grade | Literal[""] = ""
    views: Mapping[str, Mapping[str, Ints]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, name: str, claim: str, network: Network, inputs: Mapping[str, Ints], trace: Trace, *, courses: bool = False
    ) -> "Vector":
        """Vector from what was observed; ``courses`` keeps the states of every step, not only the last."""
        final = {g: {s: v[-1, 0] for s, v in many.items()} for g, many in trace.states.items()}
        return cls(name, claim, network, inputs, trace.counts, final, trace.states if courses else {})


@dataclass(frozen=True)
class Golden:
    """A file of vectors.

    made_by, on, grade : program and version that gave the answers, the day, and how much that is worth
    """

    chip: str
    made_by: str
    on: date
    grade: Grade
    vectors: tuple[Vector, ...]


def read_golden(folder: str | Path, chip: Chip | None = None) -> Golden:
    """Read the vectors of a chip folder.

    chip : description on which the networks are built; None takes the one of the folder
    Raises Refusal: ND14xx for the file, ND12xx for values that the chip does not hold.
    """
    path = Path(folder) / FILE_NAME
    must = f"{FORMAT}, as neurodeploy writes them"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Refusal(Fault("ND1401", str(path), f"cannot be read: {reason}", must)) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise Refusal(Fault("ND1401", str(path), "no golden vectors", must))
    if content.get("schema_version") != SCHEMA_VERSION:
        was = f"schema_version {content.get('schema_version')!r}"
        raise Refusal(Fault("ND1404", str(path), was, f"this program reads {SCHEMA_VERSION}", "make the file anew"))
    try:
        if content["grade"] not in get_args(Grade):
            raise Refusal(Fault("ND1401", str(path), f"grade {content['grade']!r}", ", ".join(get_args(Grade))))
        for vector in content["vectors"]:
            if vector.get("grade", content["grade"]) not in get_args(Grade):
                raise Refusal(Fault("ND1401", str(path), f"grade {vector['grade']!r}", ", ".join(get_args(Grade))))
        on = date.fromisoformat(content["on"])
        built = chip if chip is not None else read_chip(Path(folder))
        vectors = tuple(_vector(built, v) for v in content["vectors"])
        return Golden(content["chip"], content["made_by"], on, content["grade"], vectors)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, Refusal):
            raise
        was = f"entry missing or of the wrong kind: {error}"
        raise Refusal(Fault("ND1401", str(path), was, must, "make the file anew")) from None


def _vector(chip: Chip, raw: Mapping[str, Any]) -> Vector:
    chip = chip.dialect(raw.get("dialect", ""))
    groups = tuple(
        Group(
            g["name"],
            g["kind"],
            g["size"],
            {n: _ints(v) for n, v in g["parameters"].items()},
            _ints(g["ids"]),
            tuple(g.get("shape", ())),
        )
        for g in raw["groups"]
    )
    projections = tuple(
        Projection(
            p["kind"],
            p["source"],
            p["target"],
            _ints(p["sources"]),
            _ints(p["targets"]),
            {n: _ints(v) for n, v in p["fields"].items()},
            p["parameters"],
            geometry_from_json(p.get("geometry")),
        )
        for p in raw["projections"]
    )
    return Vector(
        raw["name"],
        raw["claim"],
        Network(chip, groups, projections),
        {g: _course(v) for g, v in raw["inputs"].items()},
        {g: _course(v) for g, v in raw["counts"].items()},
        {g: {s: _ints(v) for s, v in many.items()} for g, many in raw["final"].items()},
        {g: {s: _course(v) for s, v in many.items()} for g, many in raw["states"].items()},
        raw.get("made_by", ""),
        raw.get("grade", ""),
        {g: {s: _course(v) for s, v in many.items()} for g, many in raw.get("views", {}).items()},
    )


def _ints(values: Sequence[Any]) -> Ints:
    array = np.asarray(values, None if len(values) else np.int64)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{array.dtype} where integers belong")
    return array.astype(np.int64)


def _course(rows: Sequence[Any]) -> Ints:
    return _ints(rows).T[:, None]  # the file has a row for each neuron


def write_golden(folder: str | Path, vectors: Sequence[Vector], *, made_by: str, on: date, grade: Grade) -> Path:
    """Write the vectors of a chip folder: sorted keys, one line for each row of numbers."""
    if not vectors:
        raise Refusal(Fault("ND2001", str(folder), "no vectors", "at least one"))
    content = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "chip": vectors[0].network.chip.name,
        "made_by": made_by,
        "on": on.isoformat(),
        "grade": grade,
        "vectors": [_raw(v) for v in vectors],
    }
    path = Path(folder) / FILE_NAME
    write_atomically(path, ("".join(_layout(content, "")) + "\n").encode())
    return path


def _raw(vector: Vector) -> dict[str, object]:
    network = vector.network
    stated: dict[str, object] = {"dialect": network.chip.spoken, "made_by": vector.made_by, "grade": vector.grade}
    stated["views"] = _rows(vector.views)
    return {n: v for n, v in stated.items() if v} | {
        "name": vector.name,
        "claim": vector.claim,
        "groups": [
            {
                "name": g.name,
                "kind": g.kind,
                "size": g.size,
                "ids": [] if g.ids is None else g.ids.tolist(),
                "parameters": {n: v.tolist() for n, v in g.parameters.items()},
            }
            | ({"shape": list(g.shape)} if g.shape else {})
            for g in network.groups
        ],
        "projections": [
            {
                "kind": p.kind,
                "source": p.source,
                "target": p.target,
                "sources": p.sources.tolist(),
                "targets": p.targets.tolist(),
                "fields": {n: v.tolist() for n, v in p.fields.items()},
                "parameters": dict(p.parameters),
            }
            | ({"geometry": asdict(p.geometry)} if p.geometry else {})
            for p in network.projections
        ],
        "inputs": {g: v[:, 0].T.tolist() for g, v in vector.inputs.items()},
        "counts": {g: v[:, 0].T.tolist() for g, v in vector.counts.items()},
        "final": {g: {s: v.tolist() for s, v in many.items()} for g, many in vector.final.items()},
        "states": _rows(vector.states),
    }


def _rows(states: Mapping[str, Mapping[str, Ints]]) -> dict[str, dict[str, object]]:
    return {g: {s: v[:, 0].T.tolist() for s, v in many.items()} for g, many in states.items()}


def _layout(value: object, indent: str) -> Iterator[str]:
    """JSON in which whatever fits a line, and every row of numbers, stands on one line."""
    flat = json.dumps(value, sort_keys=True)
    rows = isinstance(value, list) and not any(isinstance(v, dict | list) for v in value)
    if rows or not isinstance(value, dict | list) or len(indent) + len(flat) <= LINE:
        yield flat
        return
    inner = indent + " "
    items = [(f"{json.dumps(k)}: ", value[k]) for k in sorted(value)] if isinstance(value, dict) else None
    opening, closing = ("{", "}") if items is not None else ("[", "]")
    yield opening
    for i, (head, part) in enumerate(items if items is not None else [("", v) for v in value]):
        yield f"{',' if i else ''}\n{inner}{head}"
        yield from _layout(part, inner)
    yield f"\n{indent}{closing}"


def check_golden(chip: Chip, executor: str = "numpy") -> int:
    """Run every vector of a chip and compare; returns the number of values that were equal.

    Raises Differs (ND2002) with the first difference of each vector, ND2001 where there was nothing to compare.
    """
    if chip.path is None:
        raise Refusal(Fault("ND1401", chip.name, "a chip without a folder", f"a folder that holds {FILE_NAME}"))
    golden, faults, values = read_golden(chip.path, chip), list[Fault](), 0
    for vector in golden.vectors:
        found, equal = differences(vector, executor, vector.made_by or golden.made_by)
        faults += found[:1]
        values += equal
    raise_if(faults, Differs)
    if not values:
        raise Differs(Fault("ND2001", f"{chip.name}, {FILE_NAME}", "no value was compared", "at least one"))
    return values


def differences(vector: Vector, executor: str, made_by: str) -> tuple[list[Fault], int]:
    """First difference of each kind of observation, and how many values were equal."""
    record = sorted(
        {f"{g}.{s}" for source in (vector.final, vector.states) for g, many in source.items() for s in many}
    )
    kinds = {g.name: vector.network.chip.neurons[g.kind].states for g in vector.network.groups}
    record += [f"{g}.{s}" for g in vector.views for s in kinds[g] if f"{g}.{s}" not in record]
    run = simulate(vector.network, vector.inputs, record=record, drain=0, raw=True, executor=executor)
    last = len(next(iter(run.counts.values()))) - 1
    pairs = [(g, "spikes", 0, run.counts[g], v) for g, v in vector.counts.items()]
    for g, many in vector.states.items():
        pairs += [(g, s, 0, run.states[g][s], v) for s, v in many.items()]
    for g, many in vector.views.items():
        seen = shown(vector.network, g, {s: run.states[g][s] for s in kinds[g]})
        pairs += [(g, f"probe of {s}", 0, seen[s], v) for s, v in many.items()]
    for g, many in vector.final.items():
        pairs += [(g, s, last, run.states[g][s][-1:], v[None, None]) for s, v in many.items()]
    faults, values = list[Fault](), 0
    for group, what, first, was, must in pairs:
        where = f"{vector.network.chip.name}, golden vector {vector.name!r}, {group}"
        if was.shape != must.shape:
            faults.append(Fault("ND2003", where, f"{what} of shape {was.shape}", f"shape {must.shape}"))
            continue
        values += int((was == must).sum())
        bad = np.argwhere(was != must)
        if len(bad):
            t, b, n = (int(i) for i in bad[0])
            here, there = int(was[t, b, n]), int(must[t, b, n])
            place = {"step": first + t, "neuron": n, "was": here, "must": there}
            text = f"{what} = {here} at step {first + t}, neuron {n}"
            faults.append(Fault("ND2002", where, text, f"{made_by} has {there}", vector.claim, place))
    return sorted(faults, key=lambda f: cast("int", f.values.get("step", -1))), values
