"""Whether the states of a network can overflow or saturate: proved that not, shown that they do, or not decided."""

import time
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Group, Network
from neurodeploy.proofs.attack import LONG, SHORT, SINGLE, Size, attack
from neurodeploy.proofs.certificate import Certificate, Solved, check_ranges, clear, identity
from neurodeploy.proofs.findings import CANNOT, DOES, UNDECIDED, Finding, Proofs, Witness
from neurodeploy.proofs.induction import Neuron
from neurodeploy.proofs.motion import motion_of
from neurodeploy.proofs.search import TimeUpError, invariants
from neurodeploy.proofs.smt import available

Mask = npt.NDArray[np.bool_]

#: Steps of an induction at most, and seconds for one question.
MOST_STEPS, QUESTION_S = 3, 5.0
#: Shares of the time: the search ends at the first, attacks end when only the second is left.
SEARCHING, ASKING = 0.6, 0.2
#: Neurons of a state that are asked about one after the other without an answer before the others are left.
PATIENCE = 4


def prove(network: Network, *, seconds: float = 60, seed: int = 0) -> Proofs:
    """For each state of each group: it can neither overflow nor saturate, it does, or nothing was decided.

    What is proved holds for every input within the caps of the chip, every order of events and length of run, from a
    reset. Ranges are searched first, then inputs that reach a rail, then a solver is asked (extra ``prove``; without it
    the result says what is missing).

    seconds : for all of it, about
    seed : of the inputs that are drawn
    Raises Refusal: ND1204 for a network that is not placed, ND9002 for a time that is none.
    """
    if not seconds > 0:
        raise Refusal(Fault("ND9002", "prove", f"seconds = {seconds}", "more than 0"))
    return _Prover(network, seconds, seed).proofs()


@dataclass
class _Prover:
    network: Network
    seconds: float
    seed: int

    def __post_init__(self) -> None:
        self.begun = time.monotonic()
        self.known = dict[tuple[str, str], Mask]()  # not yet decided
        self.bounds = dict[tuple[str, str], int]()
        self.witnesses = dict[tuple[str, str], Witness]()
        self.does = dict[tuple[str, str], Mask]()
        self.solved = list[Solved]()

    def left(self) -> float:
        return self.seconds - (time.monotonic() - self.begun)

    def clock(self, share: float = 1.0) -> None:
        if self.left() < self.seconds * (1 - share):
            raise TimeUpError

    def proofs(self) -> Proofs:
        network = self.network
        ranges, emitted = invariants(network, lambda: self.clock(SEARCHING))
        claims = {}
        for group in network.groups:
            motion = motion_of(network, group, emitted)
            claims[group.name] = clear(motion, motion.step(ranges[group.name]))
        certificate = Certificate(identity(network), ranges, emitted, claims)
        wrong = check_ranges(network, certificate)
        if wrong:  # the search is wrong, and the check is there to notice
            raise RuntimeError(str(wrong[0]))
        self.known = {(g, s): ~mask for g, many in claims.items() for s, mask in many.items()}
        self.does = {key: np.zeros_like(mask) for key, mask in self.known.items()}
        self.attacked()
        missing = "" if available() or not self.open() else 'z3 (pip install "neurodeploy[prove]")'
        if self.open() and not missing:
            self.asked(certificate)
        certificate = replace(certificate, solved=tuple(self.solved))
        found = tuple(self.finding(g, s, certificate) for g in network.groups for s in claims[g.name])
        return Proofs(network.chip.name, found, certificate, time.monotonic() - self.begun, missing)

    def open(self) -> list[tuple[str, str]]:
        return [key for key, mask in self.known.items() if mask.any()]

    def attacked(self) -> None:
        """Look for inputs that bring open states to a rail."""
        if not self.open():
            return
        if self.network.chip.event_driven:
            self.attack(SINGLE, self.open(), SINGLE.batch // 2)
            return
        self.attack(SHORT, self.open(), None)
        rest = [key for key in self.open() if key not in self.witnesses]
        if rest:
            self.attack(LONG, rest, LONG.batch // 4)

    def attack(self, size: Size, aims: list[tuple[str, str]], most: int | None) -> None:
        """Try inputs; ``most`` neurons of each group are aimed at, None for all."""
        wanted = dict[str, npt.NDArray[np.int64]]()
        for g, s in aims:
            wanted[g] = np.union1d(wanted.get(g, np.zeros(0, np.int64)), np.flatnonzero(self.known[g, s])[:most])
        found = attack(self.network, wanted, lambda: self.left() > self.seconds * ASKING, size, seed=self.seed)
        for hit, counts in found:
            key = (hit.group, hit.state)
            if not self.known[key][hit.neuron] and not self.does[key][hit.neuron]:
                raise RuntimeError(f"{hit}, which is proved not to be")
            self.known[key][hit.neuron] = False
            self.does[key][hit.neuron] = True
            self.witnesses.setdefault(key, Witness(hit, counts))

    def asked(self, certificate: Certificate) -> None:
        """Ask the solver about what is open."""
        for g, s in self.open():
            group = self.network.group(g)
            motion = motion_of(self.network, group, certificate.emitted)
            in_vain, solved = 0, dict[int, list[int]]()
            for neuron in np.flatnonzero(self.known[g, s]):
                if self.left() <= 0 or in_vain >= PATIENCE:
                    break
                answer = Neuron(motion, int(neuron), certificate.ranges[g]).induction(
                    s, MOST_STEPS, min(QUESTION_S, max(self.left(), 0.1))
                )
                self.bounds[g, s] = min(self.bounds.get((g, s), answer.free), answer.free)
                in_vain = 0 if answer.solved else in_vain + 1
                if answer.solved:
                    self.known[g, s][neuron] = False
                    solved.setdefault(answer.steps, []).append(int(neuron))
            self.solved += [Solved(g, s, tuple(neurons), steps) for steps, neurons in sorted(solved.items())]

    def finding(self, group: Group, state: str, certificate: Certificate) -> Finding:
        key = (group.name, state)
        does, unknown = int(self.does[key].sum()), int(self.known[key].sum())
        ends = certificate.ranges[group.name][state]
        verdict = DOES if does else UNDECIDED if unknown else CANNOT
        solved = sum(len(one.neurons) for one in certificate.solved if (one.group, one.state) == key)
        return Finding(
            group.name,
            state,
            verdict,
            proved=group.size - does - unknown,
            solved=solved,
            does=does,
            undecided=unknown,
            low=int(ends.low.min(initial=0)),
            high=int(ends.high.max(initial=0)),
            free_steps=self.bounds.get(key, 0),
            witness=self.witnesses.get(key),
        )


def replay(network: Network, witness: Witness) -> bool:
    """Whether a simulation of the input of a witness is cut where it says."""
    from neurodeploy.proofs.watch import first_hit

    return first_hit(network, witness.counts, witness.hit) is not None


def recurrent(network: Network) -> frozenset[str]:
    """Groups that their own events come back to, over one connection or several."""
    following = {g.name: {p.target for p in network.projections if p.source == g.name} for g in network.groups}
    found = set()
    for g, targets in following.items():
        seen, todo = set[str](), list(targets)
        while todo:
            here = todo.pop()
            if here not in seen:
                seen.add(here)
                todo += following[here]
        if g in seen:
            found.add(g)
    return frozenset(found)
