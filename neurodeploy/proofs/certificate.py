"""Certificates: ranges that no step leaves, as plain data, and the check that says whether they show what they claim.

The check takes nothing from the search but the ranges. It lays the network out anew, takes one step from anywhere
inside them, and looks at every rail: what starts inside and stays inside holds at every moment of every run.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.archive import canonical_json
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Network
from neurodeploy.proofs.boxes import Ends, Ints
from neurodeploy.proofs.induction import Neuron
from neurodeploy.proofs.motion import Motion, Outcome, Ranges, motion_of

#: What this is among the certificates of a bundle.
KIND = "no_overflow"
SCHEMA_VERSION = 1
#: Steps of an induction at most.
MOST_STEPS = 8
#: Code of a certificate that shows not what it claims.
WRONG = "ND2203"

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Solved:
    """Neurons of a group of which a state is shown by induction over some steps, with the solver."""

    group: str
    state: str
    neurons: tuple[int, ...]
    steps: int


@dataclass(frozen=True)
class Certificate:
    """What is claimed of a network and the ranges that show it.

    ranges : group -> state -> (neuron,) ends that hold at the end of every step
    emitted : group -> (neuron,) least and most that its neurons emit at any moment
    claims : group -> state -> (neuron,) which can neither overflow nor saturate, as the ranges alone show
    solved : what the ranges show with a solver
    """

    network: str
    ranges: Mapping[str, Ranges]
    emitted: Mapping[str, tuple[Ints, Ints]]
    claims: Mapping[str, Mapping[str, Mask]] = field(default_factory=dict)
    solved: tuple[Solved, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Plain data; a list whose numbers are all the same is that number."""
        return {
            "kind": KIND,
            "schema_version": SCHEMA_VERSION,
            "network": self.network,
            "ranges": {g: {s: [_short(e) for e in v] for s, v in many.items()} for g, many in self.ranges.items()},
            "emitted": {g: [_short(e) for e in v] for g, v in self.emitted.items()},
            "claims": {g: {s: _short(v.astype(np.int64)) for s, v in m.items()} for g, m in self.claims.items()},
            "solved": [
                {"group": s.group, "state": s.state, "neurons": list(s.neurons), "steps": s.steps} for s in self.solved
            ],
        }


def identity(network: Network) -> str:
    """Digest of what a certificate is about: chip, registers, synapses."""
    digest = hashlib.sha256(network.chip.digest.encode())
    for g in network.groups:
        digest.update(canonical_json([g.name, g.kind, g.size, sorted(g.parameters)]).encode())
        for name in sorted(g.parameters):
            digest.update(np.ascontiguousarray(g.parameters[name], np.int64).tobytes())
    for p in network.projections:
        head = [p.kind, p.source, p.target, sorted(p.fields), sorted(p.parameters.items()), repr(p.geometry)]
        digest.update(canonical_json(head).encode())
        for array in (p.sources, p.targets, *(p.fields[n] for n in sorted(p.fields))):
            digest.update(np.ascontiguousarray(array, np.int64).tobytes())
    return digest.hexdigest()


def read_certificate(content: object, network: Network, where: str = "certificate") -> Certificate:
    """Certificate from plain data or from its JSON text; raises Refusal ND2203 where it is none for this network."""
    try:
        data: Any = json.loads(content) if isinstance(content, str | bytes) else content
        _refuse_other(data)
        sizes = {g.name: g.size for g in network.groups}
        ranges = {
            g: {s: Ends(*(_long(e, sizes[g]) for e in _pair(v))) for s, v in many.items()}
            for g, many in data["ranges"].items()
        }
        emitted = {g: (_long(v[0], sizes[g]), _long(v[1], sizes[g])) for g, v in data["emitted"].items()}
        claims = {g: {s: _long(v, sizes[g]) != 0 for s, v in m.items()} for g, m in data["claims"].items()}
        solved = tuple(
            Solved(str(s["group"]), str(s["state"]), tuple(map(_whole, s["neurons"])), _whole(s["steps"]))
            for s in data["solved"]
        )
        return Certificate(str(data["network"]), ranges, emitted, claims, solved)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        was = f"entry missing or of the wrong kind: {error}"
        raise Refusal(Fault(WRONG, where, was, "a certificate as neurodeploy writes it")) from None


def check_certificate(network: Network, certificate: Certificate, *, seconds: float = 60) -> list[Fault]:
    """Why a certificate does not show what it claims; empty where it does.

    seconds : for each question to the solver
    Raises Missing where the certificate needs the solver and it is not installed.
    """
    return check_ranges(network, certificate) or list(_solved_faults(network, certificate, seconds))


def check_again(network: Network, content: Mapping[str, Any]) -> int:
    """Check a certificate of a bundle; returns the number of states of neurons that it shows never to be cut.

    Raises Refusal ND2203 with all that is wrong, Missing where the solver is needed and not installed.
    """
    certificate = read_certificate(content, network)
    raise_if(check_certificate(network, certificate))
    shown = sum(int(mask.sum()) for many in certificate.claims.values() for mask in many.values())
    return shown + sum(len(one.neurons) for one in certificate.solved)


def check_ranges(network: Network, certificate: Certificate) -> list[Fault]:
    """The same for all that needs no solver."""
    if certificate.network != identity(network):
        return [_fault(network, "the whole", "it is about another network", "the network that it names")]
    names = {g.name for g in network.groups}
    unknown = sorted({*certificate.ranges, *certificate.emitted, *certificate.claims} - names)
    faults = [_fault(network, f"group {n!r}", "it is not in the network", "groups of the network") for n in unknown]
    return faults or [fault for group in network.groups for fault in _group_faults(network, group.name, certificate)]


def _solved_faults(network: Network, certificate: Certificate, seconds: float) -> Iterator[Fault]:
    for claim in certificate.solved:
        where = f"group {claim.group!r}, {claim.state}, solved"
        if claim.group not in {g.name for g in network.groups}:
            yield _fault(network, where, "a group that is not in the network", "groups of the network")
            continue
        group = network.group(claim.group)
        if claim.state not in network.chip.neurons[group.kind].states or not 1 <= claim.steps <= MOST_STEPS:
            yield _fault(network, where, f"{claim.steps} steps of it", f"a state of it, 1 to {MOST_STEPS} steps")
            continue
        motion = motion_of(network, group, certificate.emitted)
        for neuron in claim.neurons:
            if not 0 <= neuron < group.size or not _induces(motion, neuron, certificate, claim, seconds):
                was = f"neuron {neuron} is said never to be cut, and the solver does not say so"
                yield _fault(network, where, was, "claims that an induction shows", neuron)


def _induces(motion: Motion, neuron: int, certificate: Certificate, claim: Solved, seconds: float) -> bool:
    asked = Neuron(motion, neuron, dict(certificate.ranges[claim.group]))
    base = all(asked.ask(claim.state, k, seconds=seconds, reset=True) is False for k in range(1, claim.steps))
    return asked.possible and base and asked.ask(claim.state, claim.steps, seconds=seconds, reset=False) is False


def _group_faults(network: Network, name: str, certificate: Certificate) -> Iterator[Fault]:
    group = network.group(name)
    kind = network.chip.neurons[group.kind]
    ranges, where = certificate.ranges.get(name, {}), f"group {name!r}"
    if set(ranges) != set(kind.states):
        yield _fault(network, where, f"ranges of {', '.join(ranges) or 'no state'}", f"of {', '.join(kind.states)}")
        return
    motion = motion_of(network, group, certificate.emitted)
    start, outcome = motion.start(), motion.step(dict(ranges))
    for state in kind.states:
        place = f"{where}, {state}"
        yield from _outside(network, f"{place} after a reset", start[state], ranges[state])
        yield from _outside(network, f"{place} after a step from inside", outcome.after[state], ranges[state])
    if name in certificate.emitted and kind.emits in outcome.seen:
        claimed = Ends(*certificate.emitted[name])
        yield from _outside(network, f"{where}, what it emits", outcome.seen[kind.emits], claimed)
    shown = clear(motion, outcome)
    for state, claim in certificate.claims.get(name, {}).items():
        if state not in shown:
            yield _fault(network, where, f"a claim about {state!r}", f"one of {', '.join(shown)}")
            continue
        bad = np.flatnonzero(claim & ~shown[state])
        if bad.size:
            rail = next(r for r in outcome.reached if state in r.rail.states and not r.clear[bad[0]])
            ends = f"{rail.ends.low[bad[0]]}..{rail.ends.high[bad[0]]}"
            was = f"neuron {bad[0]} is said never to be cut, and {ends} can come to {rail.rail.kind} in {rail.where}"
            yield _fault(network, f"{where}, {state}", was, "claims that the ranges show", int(bad[0]))


def clear(motion: Motion, outcome: Outcome) -> dict[str, Mask]:
    """State -> (neuron,) where no rail that it depends on acts."""
    shown = {n: np.ones(motion.size, bool) for n in motion.registers}
    for reached in outcome.reached:
        for state in reached.rail.states:
            shown[state] &= reached.clear
    return shown


def _outside(network: Network, where: str, found: Ends, claimed: Ends) -> Iterator[Fault]:
    bad = np.flatnonzero((found.low < claimed.low) | (found.high > claimed.high))
    if bad.size:
        first = int(bad[0])
        was = f"neuron {first} is in {found.low[first]}..{found.high[first]}"
        yield _fault(network, where, was, f"inside {claimed.low[first]}..{claimed.high[first]}", first)


def _fault(network: Network, where: str, was: str, must: str, neuron: int | None = None) -> Fault:
    values = {} if neuron is None else {"neuron": neuron}
    todo = "prove the network anew: neurodeploy prove"
    return Fault(WRONG, f"{network.chip.name}, certificate, {where}", was, must, todo, values)


def _refuse_other(data: Any) -> None:
    if data["kind"] != KIND or data["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"kind {data['kind']!r}, schema_version {data['schema_version']!r}")


def _short(values: Ints) -> int | list[int]:
    return int(values[0]) if values.size and (values == values[0]).all() else [int(v) for v in values]


def _long(value: object, size: int) -> Ints:
    items = [value] * size if type(value) is int else value
    if not isinstance(items, list) or len(items) != size or any(type(v) is not int for v in items):
        raise ValueError(f"no list of {size} integers")
    return np.array(items, np.int64)


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no whole number")
    return value


def _pair(value: object) -> list[object]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("no pair of ends")
    return value
