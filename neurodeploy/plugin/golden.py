"""Golden files of tests: a run that was looked at once, with its maker, its contract and a hash of every array."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.archive import exactly, integers, read_arrays, refuse_changes, seal, write_arrays
from neurodeploy.bundles import contract_of, small
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import identity, load_network, pack_network
from neurodeploy.npz import Held
from neurodeploy.simulator import Run, Trace, simulate
from neurodeploy.verifier import Comparison, compare

FORMAT = "neurodeploy golden run"
SCHEMA_VERSION = 1
FILE = "the golden file"
NETWORK = "network"  # entry of the network file that a run was made of: by it a difference is found inside the step
#: who made a file; the same run made again by somebody else is no reason to write it anew
MAKER = ("made_by", "versions", "digest")
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class GoldenRun:
    """A golden file that was read.

    trace : counts of every group and the states that were kept, (time, batch, neuron)
    header : made_by, versions, chip, network, contract and hashes
    network : the network file that it was made of, with its chip; empty where the file holds none
    """

    trace: Trace
    header: Mapping[str, Any]
    network: bytes = b""


def write_run(run: Run, path: Path) -> bool:
    """Write a run; False where the file holds this run already.

    Raises Refusal ND2001 for a run without a value.
    """
    header, arrays = _content(run)
    if not any(v.size for n, v in arrays.items() if n != NETWORK):
        raise Refusal(Fault("ND2001", str(path), "a run without a step or sample", "at least one of each"))
    try:
        held, known = read_arrays(path, what=FORMAT, version=SCHEMA_VERSION)
        read_run(path)
    except Refusal:
        held, known = {}, {}
    if known and {k: v for k, v in held.items() if k not in MAKER} == {
        k: v for k, v in header.items() if k not in MAKER
    }:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(path, header, arrays)
    return True


def _content(run: Run) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    network = run.network
    arrays = {f"counts.{g}": small(v) for g, v in run.counts.items()}
    arrays |= {f"states.{g}.{s}": small(v) for g, many in run.states.items() for s, v in many.items()}
    arrays[NETWORK] = np.frombuffer(pack_network(network), np.uint8)
    header = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "made_by": run.trace().made_by,
        "versions": {name: version(name) for name in ("neurodeploy", "numpy")},
        "chip": {"name": network.chip.name, "digest": network.chip.digest},
        "network": identity(network),
        "contract": contract_of(network),
        "groups": list(run.counts),
        "states": {g: list(many) for g, many in run.states.items()},
    }
    return seal(header, arrays), arrays


def read_run(path: Path) -> GoldenRun:
    """Read a golden file.

    Raises Refusal: ND14xx for the file, ND1403 with every part that was changed.
    """
    header, arrays = read_arrays(path, what=FORMAT, version=SCHEMA_VERSION)
    refuse_changes(str(path), header, arrays)
    try:
        counts = {exactly(str, g): _course(arrays[f"counts.{g}"]) for g in header["groups"]}
        states = {g: {s: _course(arrays[f"states.{g}.{s}"]) for s in many} for g, many in header["states"].items()}
        trace = Trace(exactly(str, header["made_by"]), counts, states)
        exactly(str, header["network"])
        exactly(dict, header["chip"])
        packed = arrays[NETWORK].astype(np.uint8).tobytes() if NETWORK in arrays else b""
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        was = f"entry missing or of the wrong kind: {error}"
        raise Refusal(Fault("ND1401", str(path), was, f"a {FORMAT}, as neurodeploy writes it")) from None
    return GoldenRun(trace, header, packed)


def _course(array: npt.NDArray[Any]) -> Ints:
    if array.ndim != 3:
        raise TypeError(f"array of shape {array.shape} where (time, batch, neuron) belongs")
    return integers(array)


def compare_run(run: Run, golden: GoldenRun) -> Comparison:
    """Compare a run with a golden file: first the steps that both have, then how many they are.

    Where they differ, the network of the file runs again beside the run, so that the difference is found inside the
    step: the line of the text, and the values before and after it on both sides.
    """
    held, chip = replace(golden.trace, made_by=FILE), run.network.chip
    other = [g.name for g in run.network.inputs() if not _same_input(run, held, g.name)]
    if other:
        where, must = f"{FILE}, input {other[0]!r}", "the input that the file was made with"
        todo = "simulate that one, or make the file anew with --nd-update"
        return Comparison(0, 0, faults=(Fault("ND2003", where, "the run has another input", must, todo),))
    lengths = len(next(iter(run.counts.values()), ())), len(next(iter(held.counts.values()), ()))
    steps = min(lengths)
    cut = replace(run, counts=_cut(run.counts, steps), states=_cut_all(run.states, steps))
    found = compare(cut, _first(held, steps))
    if found.difference is None and not found.faults and lengths[0] != lengths[1]:
        was, must = f"{lengths[0]} steps", f"{lengths[1]} steps; all values of the steps that both have are equal"
        return replace(found, faults=(Fault("ND2003", FILE, was, must),))
    found = _inside(cut, _first(held, steps), golden, found)
    if found.difference is None:
        return found
    notes = [*found.difference.notes]
    if golden.header["chip"].get("digest") != chip.digest:
        notes.append("the golden file was made with another description of the chip")
    if golden.header["network"] != identity(run.network):
        notes.append("the golden file was made of another network")
    return replace(found, difference=replace(found.difference, notes=tuple(notes)))


def _inside(run: Run, held: Trace, golden: GoldenRun, found: Comparison) -> Comparison:
    """The same comparison with the run that the file was made of, made again; as it was where that is not to be had."""
    if found.difference is None or not golden.network or run.initial is not None:
        return found
    try:
        network = load_network(Held(f"{FILE}, network", golden.network))
        record = [f"{g}.{s}" for g, many in held.states.items() for s in many]
        steps, fed = len(next(iter(run.counts.values()))), max(map(len, run.input.values()))
        again = simulate(network, _cut(run.input, steps), record=record, drain=max(0, steps - fed), raw=True)
    except Refusal:
        return found
    if not compare(again, held).exact:
        return found
    nearer = compare(run, again)
    if nearer.difference is None:
        return found
    return replace(nearer, difference=replace(nearer.difference, sides=(run.trace().made_by, FILE)))


def _same_input(run: Run, held: Trace, name: str) -> bool:
    """Whether a run has the input of a file, silent steps at the end aside."""
    if name not in run.counts or name not in held.counts:
        return True
    here, there = run.counts[name], held.counts[name]
    steps = min(len(here), len(there))
    return here.shape[1:] != there.shape[1:] or (
        np.array_equal(here[:steps], there[:steps]) and not here[steps:].any() and not there[steps:].any()
    )


def _first(trace: Trace, steps: int) -> Trace:
    return replace(trace, counts=_cut(trace.counts, steps), states=_cut_all(trace.states, steps))


def _cut(many: Mapping[str, Ints], steps: int) -> dict[str, Ints]:
    return {n: v[:steps] for n, v in many.items()}


def _cut_all(many: Mapping[str, Mapping[str, Ints]], steps: int) -> dict[str, dict[str, Ints]]:
    return {g: _cut(states, steps) for g, states in many.items()}
