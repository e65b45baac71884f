"""Comparison of two runs: every value that both have, and the first one that differs."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import Chip
from neurodeploy.errors import Differs, Fault, Refusal
from neurodeploy.network import Group, Network
from neurodeploy.simulator import Run, Trace
from neurodeploy.verifier.difference import Difference
from neurodeploy.verifier.event_replay import locate_event
from neurodeploy.verifier.explanation import Explanation, explain
from neurodeploy.verifier.replay import locate
from neurodeploy.verifier.texts import depths, last_assignment, last_line, writer

Ints = npt.NDArray[np.int64]
Observed = Run | Trace
EVENTS = "events"  # name of the counts where no network says what is emitted


@dataclass(frozen=True)
class Comparison:
    """What a comparison of two runs found.

    compared : values compared
    spikes : events of the first run among them, those of the inputs left out
    differing : values that differ
    difference : the first of them
    left_out : "group.state" that only one of the two has
    faults : why the two cannot be compared, or are not shown to be equal although no value differs
    sides : what was compared, and the sample in it that differs first, so that a difference can be explained
    """

    compared: int
    spikes: int
    differing: int = 0
    difference: Difference | None = None
    left_out: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    sides: tuple[Observed, Observed, int] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def explanation(self) -> Explanation | None:
        """What the table of causes says to the difference, worked out when it is first asked; None without one."""
        if self.difference is None or self.sides is None:
            return None
        first, second, sample = self.sides
        return explain(first, second, replace(self.difference, sample=sample))

    @property
    def exact(self) -> bool:
        """Whether something was compared and every value is equal."""
        return self.compared > 0 and self.difference is None and not self.faults

    def require(self) -> None:
        """Raise unless exact.

        Raises Refusal ND2003 for runs that cannot be compared, Differs ND2001 if nothing was compared, ND2002 for a
        difference.
        """
        if self.exact:
            return
        if self.difference is not None:
            was = f"{self.differing} of {self.compared} values differ; the first: {self.difference}"
            values = self.difference.to_json()
            raise Differs(Fault("ND2002", "comparison", was, "two runs equal in every value", values=values))
        kind = Differs if all(f.code == "ND2001" for f in self.faults) else Refusal
        raise kind(self.faults)

    def __str__(self) -> str:
        if self.faults:
            return "\n".join(map(str, self.faults))
        events = f"{self.spikes:,} events among them" if self.spikes else "no event among them: no neuron fired"
        if self.difference is None:
            return f"exact: {self.compared:,} values compared, {events}."
        found = f"{self.differing:,} of {self.compared:,} values differ ({events}). The first: {self.difference}"
        return found if self.explanation is None else f"{found}\n{self.explanation}"

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        hints = [] if self.explanation is None else [hint.to_json() for hint in self.explanation.hints]
        return {
            "exact": self.exact,
            "compared": self.compared,
            "spikes": self.spikes,
            "differing": self.differing,
            "difference": None if self.difference is None else self.difference.to_json(),
            "hints": hints,
            "left_out": list(self.left_out),
            "faults": [str(f) for f in self.faults],
        }


@dataclass(frozen=True)
class _Pair:
    """Values of one group that both sides have, (time, batch, neuron)."""

    group: str
    state: str
    first: Ints
    second: Ints
    counts: bool

    def differing(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.first != self.second)


def compare(a: Observed, b: Observed) -> Comparison:
    """Compare all event counts and all states that both have, step by step.

    Of two runs of our own the first difference is found exactly, inside the step, by running both again; of foreign
    traces it is the first difference in the observed values. ``explanation`` of the result tries known causes.
    Never raises for a difference: see ``Comparison.require``.
    """
    network = next((x.network for x in (a, b) if isinstance(x, Run)), None)
    inputs = {g.name for g in network.inputs()} if network else set()
    faults, left_out = _unlike(a, b, network)
    pairs = list(_pairs(a, b, network))
    faults += [f for p in pairs for f in _pair_faults(p)]
    if faults:
        return Comparison(0, 0, left_out=left_out, faults=tuple(faults))
    compared = sum(p.first.size for p in pairs)
    spikes = int(sum(p.first.sum() for p in pairs if p.counts and p.group not in inputs))
    if not any(p.first.size for p in pairs if p.group not in inputs):
        was = "no value of any neuron stands on both sides" if not compared else "only the input was compared"
        todo = "observe the same groups in both, over at least one step and one sample"
        empty = Fault("ND2001", "comparison", was, "equality is shown by compared values only", todo)
        return Comparison(compared, 0, left_out=left_out, faults=(empty,))
    differing = sum(int(np.count_nonzero(p.differing())) for p in pairs)
    difference = _first_difference(a, b, pairs, network) if differing else None
    if difference is not None and network is not None:
        shape = network.group(difference.group).shape
        at = np.unravel_index(difference.neuron, shape) if len(shape) > 1 else ()
        difference = replace(difference, coordinates=tuple(int(i) for i in at))
    sides = None if difference is None else (a, b, difference.sample)
    return Comparison(compared, spikes, differing, difference, left_out, sides=sides)


def _unlike(a: Observed, b: Observed, network: Network | None) -> tuple[list[Fault], tuple[str, ...]]:
    """Groups and states that only one side has; between runs, and where a network knows better, they are faults."""
    faults = []
    alone = sorted(set(a.counts) ^ set(b.counts))
    keys = [{(g, s) for g, many in x.states.items() for s in many} for x in (a, b)]
    states = sorted(keys[0] ^ keys[1])
    must = "" if network is None else f"a group of the network: {', '.join(g.name for g in network.groups)}"
    if isinstance(a, Run) and isinstance(b, Run):
        for name in alone:
            side = "first" if name in a.counts else "second"
            was = f"only the {side} run has it"
            faults.append(Fault("ND2003", f"comparison, group {name!r}", was, "runs of networks with equal groups"))
    elif network is not None:
        names = {g.name: g.kind for g in network.groups}
        unknown = [name for name in alone if name not in names]
        faults += [Fault("ND2003", f"comparison, group {n!r}", "unknown to the network", must) for n in unknown]
        for group, state in states:
            known = network.chip.neurons[names[group]].states if group in names else ()
            if state not in known:
                where, has = f"comparison, state {group}.{state}", ", ".join(known)
                faults.append(Fault("ND2003", where, "unknown to the network", f"one of {has}" if has else must))
    left_out = (*alone, *(f"{g}.{s}" for g, s in states))
    return faults, left_out


def _pairs(a: Observed, b: Observed, network: Network | None) -> Iterator[_Pair]:
    for name in a.counts:
        if name in b.counts:
            group = _group(network, name)
            emits = group[0].neurons[group[1].kind].emits if group else EVENTS
            yield _Pair(name, emits, np.asarray(a.counts[name]), np.asarray(b.counts[name]), counts=True)
    for name, states in a.states.items():
        for state, values in states.items():
            if state in b.states.get(name, {}):
                yield _Pair(name, state, np.asarray(values), np.asarray(b.states[name][state]), counts=False)


def _group(network: Network | None, name: str) -> tuple[Chip, Group] | None:
    """The chip and the group, where a network knows it."""
    found = next((g for g in network.groups if g.name == name), None) if network else None
    return None if network is None or found is None else (network.chip, found)


def _pair_faults(pair: _Pair) -> Iterator[Fault]:
    where = f"comparison, {pair.group}.{pair.state}"
    first, second = pair.first, pair.second
    if first.shape != second.shape:
        todo = "run both with the same input and the same number of appended steps (drain)"
        values = {"first": list(first.shape), "second": list(second.shape)}
        was = f"shape {first.shape} against {second.shape}"
        yield Fault("ND2003", where, was, "equal (time, batch, neuron)", todo, values)
    elif first.ndim != 3:
        yield Fault("ND2003", where, f"shape {first.shape}", "(time, batch, neuron)")
    for array in (first, second):
        if not np.issubdtype(array.dtype, np.integer) and array.dtype != bool:
            yield Fault("ND2003", where, f"values of type {array.dtype}", "integers")


def _first_difference(a: Observed, b: Observed, pairs: list[_Pair], network: Network | None) -> Difference:
    step, sample = min(_earliest(p) for p in pairs if p.differing().any())
    sides = tuple(x.trace().made_by if isinstance(x, Run) else x.made_by for x in (a, b))
    sides = sides if sides[0] != sides[1] else ("the first run", "the second run")
    if isinstance(a, Run) and isinstance(b, Run) and a.input and b.input:
        # one clocked and one driven by events share no course of a step
        driven = a.network.chip.event_driven
        search = locate_event if driven else locate
        alike = driven == b.network.chip.event_driven
        found = search(a, b, sample=sample, last=step, sides=(sides[0], sides[1])) if alike else None
        if found is not None:
            return found
        if a.network is b.network:
            note = "step by step there is no difference: an executor is at fault"
            return replace(_observed(pairs, network, step, sample, (sides[0], sides[1])), notes=(note,))
    return _observed(pairs, network, step, sample, (sides[0], sides[1]))


def _earliest(pair: _Pair) -> tuple[int, int]:
    step, sample, _ = np.unravel_index(int(np.argmax(pair.differing())), pair.first.shape)
    return int(step), int(sample)


def _observed(
    pairs: list[_Pair], network: Network | None, step: int, sample: int, sides: tuple[str, str]
) -> Difference:
    """The first differing value of a step: in the order of the phases, what is emitted after the states."""
    ranked = []
    depth = {} if network is None else depths(network)
    for number, pair in enumerate(pairs):
        known = _group(network, pair.group)
        for neuron in np.flatnonzero(pair.differing()[step, sample]).tolist():
            order, identity = (0, int(pair.counts), number), neuron
            if known:
                chip, g = known
                phase_index, text = writer(chip, g.kind, pair.state)
                emitted = pair.state == chip.neurons[g.kind].emits
                # where events drive the chip a step goes through all layers: the one nearest to the input comes first
                first = depth.get(pair.group, len(depth)) if chip.event_driven else phase_index
                order = (first, int(emitted), last_assignment(text, pair.state))
                identity = neuron if g.ids is None else int(g.ids[neuron])
            ranked.append((order, identity, number, neuron))
    _, identity, number, neuron = min(ranked)
    pair = pairs[number]
    after = int(pair.first[step, sample, neuron]), int(pair.second[step, sample, neuron])
    before: tuple[int | None, int | None] = (None, None)
    if step:
        before = int(pair.first[step - 1, sample, neuron]), int(pair.second[step - 1, sample, neuron])
    phase, line, where = "", "", ""
    known = _group(network, pair.group)
    if known:
        chip, g = known
        index, text = writer(chip, g.kind, pair.state)
        phase = chip.schedule[index].name if text else ""
        line, where = last_line(text, pair.state)
    hardware_id = identity if known else None
    place_in_run = (pair.group, neuron, hardware_id, sample, step, phase, pair.state)
    return Difference(*place_in_run, before, after, line, where, None, sides)
