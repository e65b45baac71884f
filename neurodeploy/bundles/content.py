"""What a bundle holds: the network, its configuration, a report, and golden vectors that were simulated."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.archive import canonical_json, exactly, integers, read_arrays, write_arrays, write_atomically
from neurodeploy.bundles.folder import CONFIGURATION, GOLDEN, NETWORK, REPORT, read_manifest, write_folder
from neurodeploy.bundles.stated import contract_of, small
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Network, load_network, save_network
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
    configuration, report : what stood in these files, None where there is none
    manifest : versions, contract, notes and hashes
    """

    path: Path
    network: Network
    input: Mapping[str, Ints]
    golden: Trace
    stated: Trace
    samples: tuple[int, ...]
    configuration: Mapping[str, Any] | None
    report: Any
    manifest: Mapping[str, Any]


def bundle(
    network: Network,
    counts: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    path: str | Path,
    *,
    report: object = None,
    configuration: Mapping[str, object] | None = None,
    notes: Mapping[str, object] | None = None,
    samples: Sequence[int] | None = None,
) -> Bundle:
    """Simulate a placed network and write a bundle; the same content gives the same bytes, made.json apart.

    counts : (time, batch, channel) golden input, or one such array for each input group
    report, notes : anything that JSON can hold
    configuration : what an emitter made for the chip
    samples : samples whose states are kept; None keeps the first four
    Raises Refusal: ND13xx for the input, ND2001 for input without a step or sample, ND1901 and ND2101 for content that
    JSON cannot hold, ND2101 for a place that holds something else than a bundle.
    """
    run = simulate(network, counts)
    _refuse_empty(run)
    texts = _texts(report, configuration, notes)
    steps, batch = next(iter(run.counts.values())).shape[:2]
    kept = tuple(range(min(STATED_SAMPLES, batch)) if samples is None else samples)
    if len(set(kept)) != len(kept) or any(not 0 <= s < batch for s in kept):
        raise Refusal(Fault("ND9002", "bundle", f"samples = {list(kept)}", f"different samples from 0..{batch - 1}"))
    # what was appended to let the last input reach the output belongs to the vectors: others append nothing
    whole = {n: np.concatenate([v, np.zeros((steps - len(v), *v.shape[1:]), np.int64)]) for n, v in run.input.items()}
    detailed = simulate(network, {n: v[:, list(kept)] for n, v in whole.items()}, record=all_states(network), drain=0)

    def fill(folder: Path) -> None:
        save_network(network, folder / NETWORK)
        _write_golden(folder / GOLDEN, run, whole, detailed, kept)
        for name, text in texts.items():
            write_atomically(folder / name, text.encode())

    made = {"made_on": datetime.now(UTC).isoformat(timespec="seconds"), "machine": platform.platform()}
    write_folder(Path(path), fill, _manifest(network, notes), made)
    return load_bundle(path)


def all_states(network: Network) -> list[str]:
    """Every state of every group, as ``record`` of simulate names them."""
    return [f"{g.name}.{s}" for g in network.groups for s in network.chip.neurons[g.kind].states]


def _refuse_empty(run: Run) -> None:
    shape = next(iter(run.counts.values())).shape[:2]
    if 0 in shape:
        was = f"{shape[0]} steps of {shape[1]} samples"
        raise Refusal(Fault("ND2001", "bundle, golden vectors", was, "at least one step of one sample"))


def _texts(report: object, configuration: object, notes: object) -> dict[str, str]:
    """JSON of the optional files; refuses what JSON cannot hold."""
    texts, faults = {}, []
    given = ((CONFIGURATION, configuration, "ND1901"), (REPORT, report, "ND2101"), ("notes", notes, "ND2101"))
    for name, value, code in given:
        try:
            texts[name] = canonical_json(value)
        except (TypeError, ValueError) as error:
            must = "numbers, texts, lists and dictionaries of them; no NaN"
            faults.append(Fault(code, f"bundle, {name}", f"cannot be written: {error}", must))
    raise_if(faults)
    return {name: texts[name] for name, value, _ in given if value is not None and name != "notes"}


def _manifest(network: Network, notes: Mapping[str, object] | None) -> dict[str, object]:
    return {
        "chip": {"name": network.chip.name, "digest": network.chip.digest},
        "versions": {name: version(name) for name in ("neurodeploy", "numpy")},
        "contract": contract_of(network),
        "notes": dict(notes or {}),
    }


def _write_golden(path: Path, run: Run, whole: Mapping[str, Ints], detailed: Run, samples: tuple[int, ...]) -> None:
    arrays = {f"input.{n}": small(v) for n, v in whole.items()}
    arrays |= {f"counts.{n}": small(v) for n, v in run.counts.items()}
    arrays |= {f"states.{g}.{s}": small(v) for g, many in detailed.states.items() for s, v in many.items()}
    header = {
        "format": GOLDEN_FORMAT,
        "schema_version": GOLDEN_VERSION,
        "made_by": run.trace().made_by,
        "grade": run.trace().grade,
        "samples": list(samples),
        "inputs": sorted(whole),
        "groups": [g.name for g in run.network.groups],
        "states": {g: list(many) for g, many in detailed.states.items()},
    }
    write_arrays(path, header, arrays)


def load_bundle(path: str | Path) -> Bundle:
    """Read a bundle after checking every file of it.

    Raises Refusal with every file that was changed (ND1403), is missing or additional (ND2101), and what the readers
    of the single files refuse.
    """
    path = Path(path)
    manifest = read_manifest(path)
    network = load_network(path / NETWORK)
    chip = manifest.get("chip")
    if chip != {"name": network.chip.name, "digest": network.chip.digest}:
        was, must = "the network is for another chip description", "the chip that the manifest names"
        raise Refusal(Fault("ND2101", f"{path}, {NETWORK}", was, must, "write the bundle anew"))
    header, arrays = read_arrays(path / GOLDEN, what=GOLDEN_FORMAT, version=GOLDEN_VERSION)
    try:
        samples = tuple(exactly(int, s) for s in header["samples"])
        given = {n: _course(arrays[f"input.{exactly(str, n)}"]) for n in header["inputs"]}
        counts = {n: _course(arrays[f"counts.{exactly(str, n)}"]) for n in header["groups"]}
        states = {g: {s: _course(arrays[f"states.{g}.{s}"]) for s in many} for g, many in header["states"].items()}
        golden = Trace(exactly(str, header["made_by"]), counts, {}, exactly(str, header["grade"]))
        stated = Trace(golden.made_by, {n: v[:, list(samples)] for n, v in counts.items()}, states, golden.grade)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        was = f"entry missing or of the wrong kind: {error}"
        raise Refusal(Fault("ND2101", f"{path}, {GOLDEN}", was, "complete golden vectors")) from None
    configuration, report = (_json(path / name) for name in (CONFIGURATION, REPORT))
    return Bundle(path, network, given, golden, stated, samples, configuration, report, manifest)


def _json(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Refusal(Fault("ND2101", str(path), f"no JSON: {error}", "JSON, as neurodeploy writes it")) from None


def _course(array: npt.NDArray[Any]) -> Ints:
    """(time, batch, neuron) integers."""
    if array.ndim != 3:
        raise TypeError(f"array of shape {array.shape} where (time, batch, neuron) belongs")
    return integers(array)
