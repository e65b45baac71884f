"""What a bundle holds: the network, its configuration, a report, and golden vectors that were simulated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.archive import exactly, integers, pack_arrays, read_arrays
from neurodeploy.bundles.files import (
    CERTIFICATES,
    CHIP,
    CONFIGURATIONS,
    GOLDEN,
    MADE,
    MANIFEST,
    NETWORK,
    REPORT,
    Files,
    entry,
    framed,
    unframed,
)
from neurodeploy.bundles.place import is_zip, read_bundle, refuse_place, write_place
from neurodeploy.bundles.stated import contract_of, small
from neurodeploy.emit import chip_format, emitter
from neurodeploy.errors import DoesNotFit, Fault, Refusal, raise_if
from neurodeploy.mapper import placed_faults
from neurodeploy.network import Network, load_network, pack_network
from neurodeploy.npz import Held
from neurodeploy.simulator import Run, Trace, simulate

Ints = npt.NDArray[np.int64]
GOLDEN_FORMAT = "neurodeploy golden vectors"
GOLDEN_VERSION = 1
STATED_SAMPLES = 4  # samples whose states are kept unless the caller names some


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read.

    input : input group -> (time, batch, channel) golden input; the silent steps at its end belong to it
    golden : event counts of every group, (time, batch, neuron)
    stated : event counts and states of the samples ``samples``, (time, sample, neuron)
    configurations : format -> what the emitter of that format made of the network
    certificates : name -> what was proved of the network, as the proof wrote it
    report : what was given, None where there is none
    manifest : versions, contract, notes and hashes
    """

    path: Path
    network: Network
    input: Mapping[str, Ints]
    golden: Trace
    stated: Trace
    samples: tuple[int, ...]
    configurations: Mapping[str, Any]
    certificates: Mapping[str, Any]
    report: Any
    manifest: Mapping[str, Any]


def bundle(
    network: Network,
    counts: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    path: str | Path,
    *,
    report: object = None,
    emit: Sequence[str] = (),
    notes: Mapping[str, object] | None = None,
    samples: Sequence[int] | None = None,
) -> Bundle:
    """Simulate a placed network and write a bundle; the same content gives the same bytes, made.json apart.

    counts : (time, batch, channel) golden input, or one such array for each input group
    path : of a folder, or of one file if it ends in .zip
    report, notes : anything that JSON can hold
    emit : formats in which the configuration is written
    samples : samples whose states are kept; None keeps the first four
    Raises Refusal: ND13xx for the input, ND2001 for input without a step or sample, ND2101 for content that JSON cannot
    hold and for a place that holds something else than a bundle, ND9002 and ND1901 for what cannot be emitted;
    DoesNotFit with every limit of the chip that the placed network does not keep to.
    """
    refuse_place(Path(path))
    raise_if(placed_faults(network), DoesNotFit)
    formats = [chip_format(network.chip, name) for name in emit]
    packed = pack_network(network)
    network = load_network(Held(NETWORK, packed))  # whoever reads it has its chip's states in the order of the file
    run = simulate(network, counts)
    _refuse_empty(run)
    files = _json_files(report, notes) | {CHIP: framed(CHIP, network.chip.raw), NETWORK: packed}
    files |= {entry(CONFIGURATIONS, n): framed(CONFIGURATIONS, emitter(n).configure(network)) for n in formats}
    files[GOLDEN] = _golden_file(network, run, samples)
    write_place(Path(path), files, _manifest(network, notes))
    return load_bundle(path)


def add_certificates(path: str | Path, certificates: Mapping[str, Mapping[str, object]]) -> Bundle:
    """Write a bundle anew with certificates, those of the same names replaced; nothing else of it changes.

    certificates : name -> what ``verify`` checks again by the table CHECKERS: its "kind" names the checker
    Raises Refusal as ``load_bundle`` does for the bundle, ND2101 for content that JSON cannot hold.
    """
    path = Path(path)
    files, manifest = read_bundle(path)
    added = {entry(CERTIFICATES, n): _json(f"certificate {n!r}", CERTIFICATES, v) for n, v in certificates.items()}
    kept = {n: content for n, content in files.items() if n not in {MANIFEST, MADE}}
    write_place(path, kept | added, {n: v for n, v in manifest.items() if n not in {"files", "digest"}})
    return load_bundle(path)


def all_states(network: Network) -> list[str]:
    """Every state of every group, as ``record`` of simulate names them."""
    return [f"{g.name}.{s}" for g in network.groups for s in network.chip.neurons[g.kind].states]


def _refuse_empty(run: Run) -> None:
    shape = next(iter(run.counts.values())).shape[:2]
    if 0 in shape:
        was = f"{shape[0]} steps of {shape[1]} samples"
        raise Refusal(Fault("ND2001", "bundle, golden vectors", was, "at least one step of one sample"))


def _json_files(report: object, notes: object) -> Files:
    """The optional file; refuses what JSON cannot hold, all of it."""
    files, faults = Files(), list[Fault]()
    for name, value in ((REPORT, report), ("notes", notes)):
        try:
            files[name] = _json(name, REPORT, value)
        except Refusal as refusal:
            faults += refusal.faults
    raise_if(faults)
    return {REPORT: files[REPORT]} if report is not None else {}


def _json(name: str, kind: str, value: object) -> bytes:
    try:
        return framed(kind, value)
    except (TypeError, ValueError) as error:
        must = "numbers, texts, lists and dictionaries of them; no NaN"
        raise Refusal(Fault("ND2101", f"bundle, {name}", f"cannot be written: {error}", must)) from None


def _manifest(network: Network, notes: Mapping[str, object] | None) -> dict[str, object]:
    return {
        "chip": {"name": network.chip.name, "digest": network.chip.digest},
        "versions": {name: version(name) for name in ("neurodeploy", "numpy")},
        "contract": contract_of(network),
        "notes": dict(notes or {}),
    }


def _golden_file(network: Network, run: Run, samples: Sequence[int] | None) -> bytes:
    """Input and event counts of a run, and the states of some of its samples."""
    steps, batch = next(iter(run.counts.values())).shape[:2]
    kept = tuple(range(min(STATED_SAMPLES, batch)) if samples is None else samples)
    if len(set(kept)) != len(kept) or any(not 0 <= s < batch for s in kept):
        raise Refusal(Fault("ND9002", "bundle", f"samples = {list(kept)}", f"different samples from 0..{batch - 1}"))
    # what was appended to let the last input reach the output belongs to the vectors: others append nothing
    whole = {n: np.concatenate([v, np.zeros((steps - len(v), *v.shape[1:]), np.int64)]) for n, v in run.input.items()}
    detailed = simulate(network, {n: v[:, list(kept)] for n, v in whole.items()}, record=all_states(network), drain=0)
    arrays = {f"input.{n}": small(v) for n, v in whole.items()}
    arrays |= {f"counts.{n}": small(v) for n, v in run.counts.items()}
    arrays |= {f"states.{g}.{s}": small(v) for g, many in detailed.states.items() for s, v in many.items()}
    header = {
        "format": GOLDEN_FORMAT,
        "schema_version": GOLDEN_VERSION,
        "made_by": run.trace().made_by,
        "grade": run.trace().grade,
        "samples": list(kept),
        "inputs": sorted(whole),
        "groups": [g.name for g in network.groups],
        "states": {g: list(many) for g, many in detailed.states.items()},
    }
    return pack_arrays(header, arrays)


def load_bundle(path: str | Path) -> Bundle:
    """Read a bundle, a folder or a .zip, after checking every file of it.

    Raises Refusal with every file that was changed (ND1403), is missing, additional or no plain file (ND2101), and what
    the readers of the single files refuse.
    """
    path = Path(path)
    files, manifest = read_bundle(path)
    network = load_network(Held(f"{path}, {NETWORK}", files[NETWORK]))
    chip = network.chip
    told = manifest.get("chip"), unframed(f"{path}, {CHIP}", CHIP, files[CHIP])
    if told != ({"name": chip.name, "digest": chip.digest}, chip.raw):
        was, must = "the network is for another chip description", f"the chip of the manifest and of {CHIP}"
        raise Refusal(Fault("ND2101", f"{path}, {NETWORK}", was, must, "write the bundle anew"))
    golden, stated, given, samples = _vectors(Held(f"{path}, {GOLDEN}", files[GOLDEN]), network)
    report = unframed(f"{path}, {REPORT}", REPORT, files[REPORT]) if REPORT in files else None
    configurations, certificates = (_folder(path, files, kind) for kind in (CONFIGURATIONS, CERTIFICATES))
    return Bundle(path, network, given, golden, stated, samples, configurations, certificates, report, manifest)


def load_placed(path: str | Path) -> Network:
    """Network of a bundle, a folder or a .zip, or of a network file; raises Refusal as their readers do."""
    path = Path(path)
    return load_bundle(path).network if path.is_dir() or is_zip(path) else load_network(path)


def _folder(path: Path, files: Files, kind: str) -> dict[str, Any]:
    names = sorted(n for n in files if n.startswith(f"{kind}/"))
    held = {n.removeprefix(f"{kind}/").removesuffix(".json"): unframed(f"{path}, {n}", kind, files[n]) for n in names}
    odd = sorted(n for n, content in held.items() if not isinstance(content, dict))
    raise_if([Fault("ND2101", f"{path}, {kind}/{n}.json", "no table", "a table of entries") for n in odd])
    return held


def _vectors(file: Held, network: Network) -> tuple[Trace, Trace, dict[str, Ints], tuple[int, ...]]:
    """Golden event counts, states of some samples, the input, and which samples these are; all of the network's."""
    header, arrays = read_arrays(file, what=GOLDEN_FORMAT, version=GOLDEN_VERSION)
    try:
        samples = tuple(exactly(int, s) for s in header["samples"])
        given = {n: _course(arrays[f"input.{exactly(str, n)}"]) for n in header["inputs"]}
        counts = {n: _course(arrays[f"counts.{exactly(str, n)}"]) for n in header["groups"]}
        states = {g: {s: _course(arrays[f"states.{g}.{s}"]) for s in many} for g, many in header["states"].items()}
        golden = Trace(exactly(str, header["made_by"]), counts, {}, exactly(str, header["grade"]))
        stated = Trace(golden.made_by, {n: v[:, list(samples)] for n, v in counts.items()}, states, golden.grade)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        was = f"entry missing or of the wrong kind: {error}"
        raise Refusal(Fault("ND2101", str(file), was, "complete golden vectors")) from None
    _refuse_others(str(file), network, given, golden, stated)
    return golden, stated, given, samples


def _refuse_others(where: str, network: Network, given: Mapping[str, Ints], golden: Trace, stated: Trace) -> None:
    """Refuse vectors of other groups than those of the network, or not all over the same steps and samples."""
    groups, inputs = {g.name for g in network.groups}, {g.name for g in network.inputs()}
    whole = {v.shape[:2] for v in (*given.values(), *golden.counts.values())}
    part = {v.shape[:2] for v in stated.counts.values()}
    part |= {v.shape[:2] for many in stated.states.values() for v in many.values()}
    named = (set(golden.counts), set(given)) == (groups, inputs) and set(stated.states) <= groups
    if not named or len(whole) != 1 or len(part) != 1:
        was, must = "vectors of other groups, steps or samples", "those of the network, all over the same steps"
        raise Refusal(Fault("ND2101", where, was, must))


def _course(array: npt.NDArray[Any]) -> Ints:
    """(time, batch, neuron) integers."""
    if array.ndim != 3:
        raise TypeError(f"array of shape {array.shape} where (time, batch, neuron) belongs")
    return integers(array)
