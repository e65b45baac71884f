"""Range proofs of a network: for each neuron and state an interval that it never leaves, or why none is proved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from neurodeploy.network import Group, Network
from neurodeploy.network.network import Ints
from neurodeploy.ranges.program import Program, program_of
from neurodeploy.step import Interval
from neurodeploy.step.fixpoint import NotProvedError, States, enclose

#: How many neurons without a proof are looked at one by one before the others of their kind are given up with them.
FAILURES = 3

#: What a proof must also show, from ranges over all moments and those of the parameters: "" or why it does not.
Test = Callable[[Mapping[str, Interval], Mapping[str, Interval]], str]


@dataclass(frozen=True)
class StateRange:
    """One state of a group.

    low, high : (neuron,) ends that the state never leaves at any moment of any step; 0 where nothing is proved
    unproved : (neuron,) which have no proof
    reason : why the first of those is not proved; empty where all are
    register : what the state can contain
    """

    group: str
    state: str
    low: Ints
    high: Ints
    unproved: npt.NDArray[np.bool_]
    reason: str
    register: Interval

    @property
    def proved(self) -> bool:
        """Whether there is a proof for every neuron."""
        return not self.unproved.any()

    @property
    def interval(self) -> Interval | None:
        """What holds for every neuron; None where one has no proof."""
        return Interval(int(self.low.min()), int(self.high.max())) if self.proved else None

    def __str__(self) -> str:
        name = f"{self.group}.{self.state}"
        if self.proved:
            return f"{name} stays in {self.interval}"
        return f"{name} of neuron {np.flatnonzero(self.unproved)[0]}: not proved, {self.reason}"


@dataclass(frozen=True)
class Failure:
    """A neuron for which there is no proof.

    neuron : index in the group; ``others`` more are like it and were not looked at one by one
    state : register that can be too narrow, empty if it is not one register
    """

    group: str
    neuron: int
    others: int
    state: str
    reason: str


@dataclass(frozen=True)
class Proof:
    """Proofs of one group."""

    states: Mapping[str, StateRange]
    failures: tuple[Failure, ...]


def prove_ranges(network: Network, *, external: Interval | None = None) -> dict[str, dict[str, StateRange]]:
    """Group -> state -> the interval that it never leaves.

    external : counts from outside in each step; None is all that the inputs take
    Holds for every input, order of events and length of run, from a reset. What is not proved may still be true.
    """
    return {g.name: dict(prove_group(network, g, external=external).states) for g in network.groups}


def prove_group(network: Network, group: Group, *, external: Interval | None = None, test: Test | None = None) -> Proof:
    """Proofs for the neurons of one group; where ``test`` is given, those that it rejects are failures too."""
    return _Prover(program_of(network, group, external), test).proof()


class _Prover:
    def __init__(self, program: Program, test: Test | None) -> None:
        self.program, self.test = program, test
        self.registers = {n: s.interval for n, s in program.kind.states.items()}
        size = program.group.size
        self.low = {n: np.zeros(size, np.int64) for n in self.registers}
        self.high = {n: np.zeros(size, np.int64) for n in self.registers}
        self.bad = np.zeros(size, bool)
        self.failures = list[Failure]()

    def proof(self) -> Proof:
        size = self.program.group.size
        names = list(self.program.low)
        table = np.stack(
            [side[n] for n in names for side in (self.program.low, self.program.high)] or [np.zeros(size, np.int64)]
        )
        # neurons that are alike stand together, so that halves of the order are more alike than the whole
        kinds, which = np.unique(table, axis=1, return_inverse=True)
        members = [np.flatnonzero(which.reshape(-1) == k) for k in range(kinds.shape[1])]
        self.settle(members)
        reason = self.failures[0].reason if self.failures else ""
        group = self.program.group.name
        states = {
            n: StateRange(group, n, self.low[n], self.high[n], self.bad, reason, register)
            for n, register in self.registers.items()
        }
        return Proof(states, tuple(self.failures))

    def settle(self, members: list[Ints]) -> None:
        """Prove the neurons together; where that fails, in halves."""
        neurons = np.concatenate(members)
        try:
            seen = self.enclosed(neurons)
        except NotProvedError as error:
            if len(members) == 1:
                first, others = int(neurons.min()), len(neurons) - 1
                self.failures.append(Failure(self.program.group.name, first, others, error.state, error.reason))
                self.bad[neurons] = True
            elif len(self.failures) >= FAILURES:
                self.bad[neurons] = True
                self.failures[-1] = replace(self.failures[-1], others=self.failures[-1].others + len(neurons))
            else:
                half = len(members) // 2
                self.settle(members[half:])
                self.settle(members[:half])
            return
        for name, interval in seen.items():
            self.low[name][neurons], self.high[name][neurons] = interval

    def enclosed(self, neurons: Ints) -> States:
        program = self.program
        row = {
            n: Interval(int(program.low[n][neurons].min()), int(program.high[n][neurons].max())) for n in program.low
        }
        ends = enclose(program.start(row), lambda states: program.step(row, states), self.registers)
        seen = program.step(row, ends)[1]
        reason = self.test(seen, row) if self.test else ""
        if reason:
            raise NotProvedError("", reason)
        return seen
