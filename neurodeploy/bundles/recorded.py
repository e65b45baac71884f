"""A simulation beside the recording of a device: the same input, every event and every state that was shown."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from neurodeploy.devices import Recording
from neurodeploy.devices.displaced import match
from neurodeploy.errors import Fault
from neurodeploy.network import Network, identity
from neurodeploy.simulator import Run, Trace, shown, simulate
from neurodeploy.verifier import Comparison, compare

Ints = npt.NDArray[np.int64]


def compare_recording(
    network: Network, given: Mapping[str, Ints], recording: Recording, *, executor: str
) -> tuple[Comparison, Run, str]:
    """Compare a simulation of the recorded input with a recording; the simulation; what the comparison left open.

    given : input group -> (time, batch, channel), which must be the recorded one; silent steps at the end aside
    What happened to events on the way is named in the notes of the difference: lost, delayed, early, too many. In what
    order the events of one step came is not compared: the order inside a step is the device's own.
    """
    states = [f"{g}.{s}" for g in recording.states for s in _states_of(network, g)]
    faults = list(_faults(network, given, recording))
    if faults:
        run = simulate(network, given, drain=0, executor=executor)
        return Comparison(0, 0, faults=tuple(faults)), run, ""
    run = simulate(network, recording.input, record=states, drain=recording.drain, executor=executor)
    seen, moved = match(run.counts, recording)
    run = _first(run, recording.steps)
    probed = {g: shown(network, g, many) for g, many in run.states.items() if g in recording.states}
    mine = replace(run, states={g: {s: probed[g][s] for s in many} for g, many in recording.states.items()})
    trace = Trace(recording.about.made_by, seen, recording.states, recording.about.grade)
    found = compare(mine, trace)
    another = identity(network) != recording.network
    if found.difference is not None:
        notes = [*found.difference.notes, *moved.sentences(recording)]
        notes += ["the recording was made of another network"] * another
        found = replace(found, difference=replace(found.difference, notes=tuple(notes)))
    elif not found.faults and another:
        must = f"the network that was recorded, {recording.network[:12]}..."
        todo = "equality on this input says nothing about this network on the device; record it"
        fault = Fault("ND2301", "recording", f"of another network than {identity(network)[:12]}...", must, todo)
        found = replace(found, faults=(fault,))
    within = f"; {moved.within:,} events moved by at most {recording.jitter_steps} steps, as the recording states"
    return found, run, "the order inside a step is not compared" + within * bool(moved.within)


def _first(run: Run, steps: int) -> Run:
    """A run without the steps in which the host was draining."""
    states = {g: {s: v[:steps] for s, v in many.items()} for g, many in run.states.items()}
    return replace(run, counts={g: v[:steps] for g, v in run.counts.items()}, states=states)


def _states_of(network: Network, name: str) -> list[str]:
    groups = {g.name: g.kind for g in network.groups}
    return list(network.chip.neurons[groups[name]].states) if name in groups else []


def _same(one: Ints, other: Ints) -> bool:
    """Whether two inputs are equal, silent steps at the end of either aside."""
    steps = min(len(one), len(other))
    silent = not one[steps:].any() and not other[steps:].any()
    return silent and np.array_equal(one[:steps], other[:steps])


def _faults(network: Network, given: Mapping[str, Ints], r: Recording) -> Iterator[Fault]:
    """Why a recording shows nothing about this network, or cannot be believed."""
    where = f"recording of {r.about.name}"
    if r.chip["name"] != network.chip.name:
        yield Fault("ND2301", where, f"of a {r.chip['name']}", f"of a {network.chip.name}")
        return
    sizes = {g.name: g.size for g in network.groups}
    for name, size in r.groups:
        if sizes.get(name) != size:
            was = f"group {name!r} of {size} neurons"
            yield Fault("ND2301", where, was, f"{sizes[name]} neurons" if name in sizes else "a group of the network")
    for group, many in r.states.items():
        strange = [s for s in many if s not in _states_of(network, group)]
        yield from (Fault("ND2301", where, f"state {group}.{s}", "a state of the network") for s in strange)
    if set(r.input) != set(given) or not all(_same(r.input[n], v) for n, v in given.items()):
        todo = "record this input, or verify the bundle that was recorded"
        yield Fault("ND2301", where, "made with another input", "the input of the bundle, sample by sample", todo)
    for note in r.notes:
        place = f"{where}, sample {note.id!r}"
        if not note.complete:
            was = f"not finished in {note.attempts} attempts" + f": {note.trouble}" * bool(note.trouble)
            yield Fault("ND2301", place, was, "a sample that the device finished", "record again, with more time")
        if note.strange:
            was = f"{note.strange:,} events of no neuron of the network, or of no step"
            yield Fault("ND2301", place, was, "events of the network alone")
        if note.furthest > r.jitter_steps:
            was = f"{note.backward:,} events arrived after one of a later step, by up to {note.furthest} steps"
            must = f"steps in their order, within {r.jitter_steps} as the recording states; inside a step any order"
            yield Fault("ND2301", place, was, must, "the line to the device reorders events: record again")
