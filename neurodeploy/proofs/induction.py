"""One neuron as a formula: steps from anywhere inside its ranges, or from a reset, and whether a rail can act.

What ranges cannot say, that numbers of one step belong together, a formula says. A state is solved with k steps if no
rail of it acts in the first k - 1 steps after a reset, nor in a step before which k - 1 steps went without one. What
arrives is any sum between the worst of both signs: that is all that can arrive, and more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurodeploy.proofs.motion import Motion, Ranges
from neurodeploy.proofs.rails import Rail, marked
from neurodeploy.proofs.smt import solver_module, table, variable, width_of
from neurodeploy.ranges.program import Op
from neurodeploy.step import Interval, Table, run

State = dict[str, Any]
#: What came to a rail in one step: the rail, and the formula that it acts.
Acts = list[tuple[Rail, Any]]


@dataclass(frozen=True)
class Answer:
    """What a solver found of one state of one neuron.

    solved : no rail of it ever acts; ``steps`` is then the k of the induction
    free : steps after a reset in which none acts, as far as was asked
    """

    solved: bool
    steps: int
    free: int


class Neuron:
    """One neuron of a motion, ready to be unrolled."""

    def __init__(self, motion: Motion, neuron: int, ranges: Ranges) -> None:
        self.motion, self.neuron = motion, neuron
        self.ranges = {n: Interval(int(e.low[neuron]), int(e.high[neuron])) for n, e in ranges.items()}
        program = motion.program
        self.columns = {n: Interval(int(low[neuron]), int(program.high[n][neuron])) for n, low in program.low.items()}
        self.texts = [marked(op.text, motion.registers) for op in program.ops]
        bits = [width_of([text], self._known(op)) for op, (text, _) in zip(program.ops, self.texts, strict=True)]
        self.possible = None not in bits and not any(op.times == "often" for op in program.ops)
        self.bits = max((b for b in bits if b is not None), default=8)
        self.table: Table = table(self.bits)

    def _known(self, op: Op) -> dict[str, Interval]:
        return {**self.motion.registers, **self._given(op), **op.zero}

    def _given(self, op: Op) -> dict[str, Interval]:
        parameters = {n: self.columns[n] for n in self.motion.program.kind.parameters}
        return {**parameters, **op.given, **{n: self.columns[c] for n, c in op.columns.items()}}

    def step(self, solver: Any, state: Mapping[str, Any], tag: str) -> tuple[State, Acts]:
        """One more step: the state after it, and every rail with the formula that it acts."""
        z3 = solver_module()
        now, acts = dict(state), Acts()
        free = self.motion.program.free
        chosen = z3.Int(f"{tag} runs") if free else None
        for i, (op, (text, rails)) in enumerate(zip(self.motion.program.ops, self.texts, strict=True)):
            environment = dict(state if free else now)
            for n, interval in {**self._given(op), **op.zero}.items():
                environment[n] = variable(solver, f"{tag} {i} {n}", interval, self.bits)
            run(text.statements, environment, self.table)
            runs = chosen == i if free else z3.Bool(f"{tag} {i}") if op.times == "maybe" else z3.BoolVal(True)
            for rail in rails:
                acts.append((rail, z3.And(runs, self._outside(environment[rail.name], rail.limits))))
            for name, register in sorted(op.checked.items()):
                owners = (name,) if name in now else tuple(sorted(now))
                rail = Rail(name, "register", 0, owners, register)
                acts.append((rail, z3.And(runs, self._outside(environment[name], register))))
            cut = {n: self.table["clip"](environment[n], *map(self._number, self.motion.registers[n])) for n in now}
            now = {n: z3.If(runs, cut[n], value) for n, value in now.items()}
        return now, acts

    def _number(self, value: int) -> Any:
        return self.table["literal"](value)

    def _outside(self, value: Any, limits: Interval) -> Any:
        z3 = solver_module()
        low, high = limits
        reach = 1 << self.bits - 1
        below = value < low if low >= -reach else z3.BoolVal(False)
        return z3.Or(below, value > high) if high < reach else below

    def start(self) -> State:
        """After a reset."""
        return {n: self._number(int(e.low[self.neuron])) for n, e in self.motion.start().items()}

    def anywhere(self, solver: Any, tag: str) -> State:
        """Anywhere inside the ranges."""
        return {n: variable(solver, f"{tag} {n}", interval, self.bits) for n, interval in self.ranges.items()}

    def ask(self, name: str, steps: int, *, seconds: float, reset: bool) -> bool | None:
        """Whether a rail of a state can act in step ``steps`` (from 1) and in none before; None if time was short.

        reset : from a reset, else from anywhere inside the ranges
        """
        z3 = solver_module()
        solver = z3.SolverFor("QF_BV") if not self.motion.program.free else z3.Solver()
        solver.set("timeout", max(1, int(seconds * 1000)))
        state = self.start() if reset else self.anywhere(solver, "0")
        for k in range(1, steps + 1):
            state, acts = self.step(solver, state, str(k))
            mine = z3.Or([formula for rail, formula in acts if name in rail.states])
            solver.add(mine if k == steps else z3.Not(mine))
        found = solver.check()
        return None if found == z3.unknown else bool(found == z3.sat)

    def induction(self, name: str, most: int, seconds: float) -> Answer:
        """Try to solve a state with 1 to ``most`` steps, each question in so many seconds."""
        if not self.possible:
            return Answer(solved=False, steps=0, free=0)
        for k in range(1, most + 1):
            if k > 1 and self.ask(name, k - 1, seconds=seconds, reset=True) is not False:
                return Answer(solved=False, steps=0, free=k - 2)
            if self.ask(name, k, seconds=seconds, reset=False) is False:
                return Answer(solved=True, steps=k, free=k - 1)
        free = most - 1
        return Answer(solved=False, steps=0, free=free + (self.ask(name, most, seconds=seconds, reset=True) is False))
