"""From a recording to evidence: an accepted recording becomes golden vectors in the folder of the chip."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neurodeploy.bundles.content import load_bundle
from neurodeploy.bundles.recorded import compare_recording
from neurodeploy.chips import chip as read_chip
from neurodeploy.devices import Recording, load_recording
from neurodeploy.errors import Differs, Fault, Refusal, raise_if
from neurodeploy.golden import FILE_NAME, Vector, differences, read_golden, write_golden
from neurodeploy.network import Network
from neurodeploy.simulator.registry import AUTO

#: what comes from a chip, or from its own description; anything else is no evidence about one
ACCEPTED = ("silicon", "rtl")


@dataclass(frozen=True)
class Evidence:
    """What was added to a chip folder.

    path : of the golden file
    vectors : names, one for each sample
    values : number of values in which the simulation equals them
    grade : what they are worth
    """

    path: Path
    vectors: tuple[str, ...]
    values: int
    grade: str

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        names = list(self.vectors)
        return {"file": str(self.path), "vectors": names, "values": self.values, "grade": self.grade}


def add_evidence(
    bundle: str | Path,
    recording: str | Path,
    *,
    name: str,
    claim: str,
    folder: str | Path | None = None,
    samples: Sequence[str] = (),
) -> Evidence:
    """Add the samples of a recording to the golden vectors of a chip, if the simulation equals the recording.

    bundle : the bundle that was recorded
    name, claim : of the vectors; the names of samples come behind it where there are several
    folder : of the chip; None takes the one that the program finds under the chip's name
    samples : names of those to take; all where none is named
    Raises Differs where the recording is not accepted; Refusal: ND2301 for a recording that is no evidence, or whose
    times are only accepted within a jitter; ND9002 for names that are unknown or taken; ND14xx for files.
    """
    loaded, recorded = load_bundle(bundle), load_recording(recording)
    network = loaded.network
    found, _, _ = compare_recording(network, loaded.input, recorded, executor=AUTO)
    if found.faults:
        raise Refusal(found.faults)
    found.require()
    described = read_chip(Path(folder) if folder is not None else network.chip.name)
    raise_if(_faults(network, recorded, described.name, str(recording), samples))
    vectors = _vectors(replace(network, chip=described.dialect(network.chip.spoken)), recorded, name, claim, samples)
    place = described.path
    if place is None:
        raise Refusal(Fault("ND1401", described.name, "a chip without a folder", f"a folder for {FILE_NAME}"))
    faults, values = list[Fault](), 0
    for vector in vectors:
        wrong, equal = differences(vector, "reference", vector.made_by)
        faults += wrong[:1]
        values += equal
    raise_if(faults, Differs)
    held, made_by, on, grade = list[Vector](), recorded.about.made_by, recorded.on, recorded.about.grade
    if (place / FILE_NAME).is_file():
        golden = read_golden(place, described)
        held, made_by, on, grade = list(golden.vectors), golden.made_by, golden.on, golden.grade
    taken = sorted({v.name for v in held} & {v.name for v in vectors})
    raise_if([Fault("ND9002", f"{place}", f"vector {n!r} is there", "a name of its own", "--name") for n in taken])
    path = write_golden(place, [*held, *vectors], made_by=made_by, on=on, grade=grade)
    return Evidence(path, tuple(v.name for v in vectors), values, recorded.about.grade)


def _faults(network: Network, r: Recording, chip: str, where: str, samples: Sequence[str]) -> list[Fault]:
    faults = list[Fault]()
    if r.about.grade not in ACCEPTED:
        must = f"the answer of a chip: {' or '.join(ACCEPTED)}"
        faults.append(Fault("ND2301", where, f"graded {r.about.grade!r} by its device", must))
    if chip != network.chip.name:
        faults.append(Fault("ND2301", where, f"of a {network.chip.name}", f"of the chip of the folder, {chip}"))
    if r.jitter_steps:
        must = "steps as the simulation has them, without a jitter"
        faults.append(Fault("ND2301", where, f"times within {r.jitter_steps} steps", must))
    known = [note.id for note in r.notes]
    for sample in samples:
        if sample not in known:
            faults.append(Fault("ND9002", where, f"sample {sample!r}", f"one of {', '.join(known)}"))
    return faults


def _vectors(network: Network, r: Recording, name: str, claim: str, samples: Sequence[str]) -> list[Vector]:
    chosen = [i for i, note in enumerate(r.notes) if not samples or note.id in samples]
    made_by = f"{r.about.made_by}, {r.on.isoformat()}"
    vectors = []
    for i in chosen:
        one = slice(i, i + 1)
        vectors.append(
            Vector(
                name if len(chosen) == 1 else f"{name}_{r.notes[i].id}",
                claim,
                network,
                {g: v[:, one] for g, v in r.input.items()},
                {g: v[:, one] for g, v in r.counts.items()},
                {},
                {},
                made_by,
                r.about.grade,
                {g: {s: v[:, one] for s, v in many.items()} for g, many in r.states.items()},
            )
        )
    return vectors
