"""A session with a device: reset, warm up, run each sample, drain, try again, and note everything that was odd."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt

from neurodeploy.devices.device import Answer, Device, Events, Sample
from neurodeploy.devices.recording import MOST_DRAIN, Note, Recording
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Network, identity
from neurodeploy.simulator import Simulation, external_counts

Ints = npt.NDArray[np.int64]
WARM_UP = "warm-up"  # name of the sample whose answer is thrown away


def record(
    network: Network,
    counts: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    device: Device,
    *,
    sample_ids: Sequence[str] | None = None,
    warm_up: int = 1,
    drain: int = 2,
    timeout_s: float = 30.0,
    attempts: int = 3,
    jitter_steps: int = 0,
    on: date | None = None,
) -> Recording:
    """Run every sample of an input on a device, each from a reset, and keep what came back.

    counts : (time, batch, channel), or one such array for each input group, with the silent steps at the end in which
        the last input reaches the output
    sample_ids : a name for each sample, by which answers are told apart; None numbers them
    warm_up : runs of the first sample before all others; their answers are thrown away
    drain : further silent steps in which the host listens, so that what comes late is not taken for lost
    timeout_s : seconds that the device may take for a sample after its end is due
    attempts : runs of a sample that the device does not finish
    jitter_steps : steps by which the device may be wrong about time; on a clocked chip a step is a step
    on : day of the recording, None for today
    Nothing is sorted, mended or left out: what was odd stands in ``notes``, and a sample that was never finished makes
    the recording incomplete. Raises Refusal: ND2001 for nothing to record, ND13xx for the input, ND9002 for an option,
    what the device refuses.
    """
    if not network.placed:
        todo = "call neurodeploy.map(network)"
        raise Refusal(Fault("ND1204", "record", "no hardware ids", "a placed network", todo))
    whole, steps, batch = _given(network, counts)
    ids = tuple(sample_ids) if sample_ids is not None else tuple(f"s{i}" for i in range(batch))
    _refuse(network, (steps, batch), ids, warm_up, drain, timeout_s, attempts, jitter_steps)
    samples = [Sample(n, {g: v[:, i] for g, v in whole.items()}, steps + drain) for i, n in enumerate(ids)]
    first = [Sample(f"{WARM_UP}-{i}", samples[0].input, samples[0].steps) for i in range(warm_up)]
    device.announce([*first, *samples])
    for sample in first:
        device.reset()
        device.run(sample, timeout_s)
    answers, notes = list[Answer](), list[Note]()
    for sample in samples:
        answer, tried = _run(device, sample, timeout_s, attempts if device.again else 1)
        answers.append(answer)
        notes.append(_note(sample.id, tried, answer, steps))
    observed = _observed(network, answers)
    return Recording(
        {"name": network.chip.name, "digest": network.chip.digest},
        identity(network),
        device.about(),
        on or datetime.now(UTC).date(),
        whole,
        tuple((name, network.group(name).size) for name in observed),
        tuple(_numbered(network, a.events, observed) for a in answers),
        _states(answers, steps),
        tuple(notes),
        warm_up,
        drain,
        jitter_steps,
    )


def _run(device: Device, sample: Sample, timeout_s: float, attempts: int) -> tuple[Answer, int]:
    """Answer of a sample, and how many runs it took; the last one where none was finished."""
    for attempt in range(1, attempts + 1):
        device.reset()
        answer = device.run(sample, timeout_s)
        if answer.complete or attempt == attempts:
            break
    return answer, attempt


def _given(network: Network, counts: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> tuple[dict[str, Ints], int, int]:
    machine = Simulation(network).machine
    external, steps, batch = external_counts(network, machine, counts, raw=False)
    lanes = machine.lanes
    return {g.name: external[g.kind][:, :, lanes[g.kind].part(g.name)] for g in network.inputs()}, steps, batch


def _refuse(
    network: Network,
    shape: tuple[int, int],
    ids: Sequence[str],
    warm_up: int,
    drain: int,
    timeout_s: float,
    attempts: int,
    jitter_steps: int,
) -> None:
    if 0 in shape:
        was = f"{shape[0]} steps of {shape[1]} samples"
        raise Refusal(Fault("ND2001", "record", was, "at least one step of one sample"))
    faults = list[Fault]()
    plain = all(n and n == n.strip() and n.isprintable() and "," not in n and '"' not in n for n in ids)
    if len(ids) != shape[1] or len(set(ids)) != len(ids) or not plain or any(n.startswith(WARM_UP) for n in ids):
        must = f"{shape[1]} different names without commas and quotes, none of which begins with {WARM_UP!r}"
        faults.append(Fault("ND9002", "record", f"sample_ids = {', '.join(ids)}"[:200], must))
    for name, value, low in (("warm_up", warm_up, 0), ("drain", drain, 0), ("attempts", attempts, 1)):
        if type(value) is not int or not low <= value <= MOST_DRAIN:
            faults.append(
                Fault("ND9002", "record", f"{name} = {value!r}", f"a whole number from {low} to {MOST_DRAIN:,}")
            )
    if not 0 < timeout_s < float("inf"):
        faults.append(Fault("ND9002", "record", f"timeout_s = {timeout_s}", "seconds, above 0"))
    if type(jitter_steps) is not int or jitter_steps < 0 or (jitter_steps and not network.chip.event_driven):
        must = "0: this chip is clocked, a step is a step" if not network.chip.event_driven else "steps, 0 or more"
        faults.append(Fault("ND9002", "record", f"jitter_steps = {jitter_steps}", must))
    raise_if(faults)


def _note(name: str, attempts: int, answer: Answer, steps: int) -> Note:
    events = answer.events
    before = np.maximum.accumulate(events["step"]) - events["step"]
    drained = int(events["count"][events["step"] >= steps].sum())
    backward, furthest = int(np.count_nonzero(before)), int(before.max(initial=0))
    seen = (answer.stale, answer.strange, drained, backward, furthest)
    return Note(name, attempts, answer.complete, *seen, answer.trouble)


def _observed(network: Network, answers: Sequence[Answer]) -> list[str]:
    """Groups that every answer reports, in the order of the network; inputs are what was sent."""
    inputs = {g.name for g in network.inputs()}
    every = [set(a.groups) for a in answers]
    return [g.name for g in network.groups if g.name not in inputs and all(g.name in names for names in every)]


def _numbered(network: Network, events: Events, observed: Sequence[str]) -> Events:
    """Events of observed groups, with the numbers of these instead of those of the network."""
    new = {i: observed.index(g.name) for i, g in enumerate(network.groups) if g.name in observed}
    mine = events[np.isin(events["group"], list(new))]
    found = mine.copy()
    found["group"] = [new[int(g)] for g in mine["group"]]
    return found


def _states(answers: Sequence[Answer], steps: int) -> dict[str, dict[str, Ints]]:
    """States that every answer has, of the steps of the input."""
    keys = [{(g, s) for g, many in a.states.items() for s in many} for a in answers]
    found: dict[str, dict[str, Ints]] = {}
    for group, state in sorted(set.intersection(*keys)) if keys else ():
        found.setdefault(group, {})[state] = np.stack([a.states[group][state][:steps] for a in answers], axis=1)
    return found
