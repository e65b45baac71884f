"""Recordings: what a device answered, sample by sample, with everything that must be known to believe it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from neurodeploy.archive import exactly, integers, read_arrays, refuse_changes, seal, write_arrays
from neurodeploy.chips.part import Grade
from neurodeploy.devices.device import EVENT, About, Events
from neurodeploy.errors import Fault, Refusal

FORMAT = "neurodeploy recording"
SCHEMA_VERSION = 1
#: steps that a host may go on listening: the simulation goes on, too
MOST_DRAIN = 10_000
_COLUMNS = ("step", "group", "neuron", "count")
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Note:
    """What was noticed in one sample.

    id : name of the sample
    attempts : how often it was run
    complete : the device finished; otherwise events may be missing
    stale, strange : see Answer; drained : events after the last step of the input, while the host was draining
    backward : events that arrived after an event of a later step, and by how many steps at most (``furthest``)
    trouble : see Answer, of the last run
    """

    id: str
    attempts: int = 1
    complete: bool = True
    stale: int = 0
    strange: int = 0
    drained: int = 0
    backward: int = 0
    furthest: int = 0
    trouble: str = ""

    def to_json(self) -> dict[str, object]:
        """As plain data; words about trouble only where there was some."""
        return {name: value for name, value in asdict(self).items() if name != "trouble" or value}


@dataclass(frozen=True, eq=False)
class Recording:
    """Answers of a device.

    chip, network : {name, digest} of the chip description, identity of the network
    about : the device, its firmware and its software
    on : day of the recording
    input : input group -> (time, batch, channel)
    groups : groups whose events were observed
    arrived : sample -> events in the order of arrival, those after the last step of the input too
    states : group -> state -> (time, batch, neuron) as a probe of the chip shows them
    notes : one for each sample
    warm_up, drain : runs before the first sample, whose answers were thrown away; silent steps after each input
    jitter_steps : steps by which the device may be wrong about time, as whoever made the recording states
    """

    chip: Mapping[str, str]
    network: str
    about: About
    on: date
    input: Mapping[str, Ints]
    groups: tuple[tuple[str, int], ...]
    arrived: tuple[Events, ...]
    states: Mapping[str, Mapping[str, Ints]]
    notes: tuple[Note, ...]
    warm_up: int = 0
    drain: int = 0
    jitter_steps: int = 0

    @property
    def steps(self) -> int:
        """Steps of the input."""
        return len(next(iter(self.input.values())))

    @cached_property
    def whole(self) -> Mapping[str, Ints]:
        """Group -> (time, batch, neuron) events of the steps of the input, and of those of draining."""
        steps = self.steps + self.drain
        found = {name: np.zeros((steps, len(self.arrived), size), np.int64) for name, size in self.groups}
        for sample, events in enumerate(self.arrived):
            for number, (name, _) in enumerate(self.groups):
                mine = events[(events["group"] == number) & (events["step"] < steps)]
                np.add.at(found[name], (mine["step"], sample, mine["neuron"]), mine["count"])
        return found

    @property
    def counts(self) -> Mapping[str, Ints]:
        """Group -> (time, batch, neuron) events of the steps of the input."""
        return {name: counts[: self.steps] for name, counts in self.whole.items()}

    @property
    def complete(self) -> bool:
        """Whether the device finished every sample."""
        return all(note.complete for note in self.notes)

    def to_json(self) -> dict[str, object]:
        """What was noticed, without the events."""
        return {
            "device": asdict(self.about),
            "target": self.chip["name"],
            "recorded_on": self.on.isoformat(),
            "samples": [note.to_json() for note in self.notes],
            "steps": self.steps,
            "events": int(sum(v.sum() for v in self.counts.values())),
            "groups": [name for name, _ in self.groups],
            "states": [f"{g}.{s}" for g, many in self.states.items() for s in many],
            "complete": self.complete,
            "warm_up": self.warm_up,
            "drain": self.drain,
            "jitter_steps": self.jitter_steps,
        }


def save_recording(recording: Recording, path: str | Path) -> None:
    """Write a recording; the same recording gives the same bytes."""
    r = recording
    header = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "chip": dict(r.chip),
        "network": r.network,
        "about": asdict(r.about),
        "on": r.on.isoformat(),
        "inputs": list(r.input),
        "groups": [list(pair) for pair in r.groups],
        "states": {g: list(many) for g, many in r.states.items()},
        "notes": [note.to_json() for note in r.notes],
        **{name: getattr(r, name) for name in ("warm_up", "drain", "jitter_steps")},
    }
    arrays: dict[str, npt.NDArray[Any]] = {f"input.{n}": v for n, v in r.input.items()}
    arrays |= {f"states.{g}.{s}": v for g, many in r.states.items() for s, v in many.items()}
    for i, events in enumerate(r.arrived):
        arrays[f"arrived.{i}"] = np.stack([events[c] for c in _COLUMNS], axis=1)
    write_arrays(Path(path), seal(header, arrays), arrays)


def load_recording(path: str | Path) -> Recording:
    """Read a recording.

    Raises Refusal ND14xx for the file, ND1403 with every part that was changed, ND2301 for a recording that contradicts
    itself.
    """
    header, arrays = read_arrays(Path(path), what=FORMAT, version=SCHEMA_VERSION)
    refuse_changes(str(path), header, arrays)
    try:
        groups = tuple((exactly(str, n), _number(size)) for n, size in header["groups"])
        notes = tuple(_note(entry) for entry in header["notes"])
        about = _about(header["about"])
        recording = Recording(
            {k: exactly(str, header["chip"][k]) for k in ("name", "digest")},
            exactly(str, header["network"]),
            about,
            date.fromisoformat(header["on"]),
            {exactly(str, n): _course(arrays[f"input.{n}"]) for n in header["inputs"]},
            groups,
            tuple(_events(arrays[f"arrived.{i}"]) for i in range(len(notes))),
            {g: {s: _course(arrays[f"states.{g}.{s}"]) for s in many} for g, many in header["states"].items()},
            notes,
            *(_number(header[name]) for name in ("warm_up", "drain", "jitter_steps")),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        was = f"entry missing or of the wrong kind: {error}"
        raise Refusal(Fault("ND1401", str(path), was, "a recording, as neurodeploy writes it")) from None
    _refuse_contradictions(recording, str(path))
    return recording


def _note(entry: Mapping[str, Any]) -> Note:
    rest = ("stale", "strange", "drained", "backward", "furthest")
    if {*entry, "trouble"} != {f.name for f in fields(Note)}:
        raise TypeError(f"a note with {', '.join(map(str, sorted(entry)))}")
    name, complete = exactly(str, entry["id"]), exactly(bool, entry["complete"])
    counted = {n: _number(entry[n]) for n in rest}
    trouble = exactly(str, entry.get("trouble", ""))
    return Note(name, _number(entry["attempts"]), complete, trouble=trouble, **counted)


def _number(value: object) -> int:
    """A whole number from 0 on that a machine can hold."""
    found = exactly(int, value)
    if not 0 <= found < 1 << 31:
        raise ValueError(f"{found}, no number of neurons, steps or events")
    return found


def _about(entry: Mapping[str, Any]) -> About:
    told = {name: exactly(str, entry[name]) for name in ("id", "name", "firmware", "sdk")}
    if entry["grade"] not in get_args(Grade):
        raise TypeError(f"grade {entry['grade']!r}")
    return About(grade=entry["grade"], **told)


def _refuse_contradictions(r: Recording, where: str) -> None:
    faults = list[Fault]()
    if r.drain > MOST_DRAIN:
        faults.append(Fault("ND2301", where, f"drain = {r.drain:,}", f"at most {MOST_DRAIN:,} steps"))
    shapes = {v.shape[:2] for v in (*r.input.values(), *(v for many in r.states.values() for v in many.values()))}
    if shapes != {(r.steps, len(r.notes))} if r.input else True:
        faults.append(Fault("ND2301", where, "arrays of several lengths", "one number of steps and of samples"))
    sizes = np.array([size for _, size in r.groups], np.int64)
    for note, events in zip(r.notes, r.arrived, strict=True):
        known = (events["group"] >= 0) & (events["group"] < len(sizes))
        most = sizes[np.where(known, events["group"], 0)] if len(sizes) else np.zeros(len(events), np.int64)
        sound = known & (events["neuron"] >= 0) & (events["neuron"] < most) & (events["step"] >= 0)
        if not np.all(sound & (events["count"] > 0) & (events["count"] < 1 << 31)):
            must = "events of neurons of the groups that are named, from step 0 on"
            faults.append(Fault("ND2301", f"{where}, sample {note.id!r}", "an event of no neuron", must))
    if faults:
        raise Refusal(faults)


def _course(array: npt.NDArray[Any]) -> Ints:
    if array.ndim != 3:
        raise TypeError(f"array of shape {array.shape} where (time, batch, neuron) belongs")
    return integers(array)


def _events(array: npt.NDArray[Any]) -> Events:
    if array.ndim != 2 or array.shape[1] != len(_COLUMNS):
        raise TypeError(f"array of shape {array.shape} where (event, {len(_COLUMNS)}) belongs")
    rows = integers(array)
    table = np.zeros(len(rows), EVENT)
    for i, name in enumerate(_COLUMNS):
        table[name] = rows[:, i]
    return table
