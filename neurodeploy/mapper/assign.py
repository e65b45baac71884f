"""Layers to cores: which core takes which layer, at the lowest cost; and which layers stand in each other's way.

Each layer gets one core, or several where it may be split by feature; each core at most one layer. A layer that stands
on n cores takes n destinations of everything that feeds it. The cost is the words of memory on the cores taken; among
equals, the earlier layers get the lower cores.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

from neurodeploy.errors import missing_extra
from neurodeploy.mapper.layers import Layer, Plan

#: Bits of the largest weight of a goal: sums stay whole numbers in double precision.
WEIGHT_BITS = 40


@dataclass(frozen=True)
class Block:
    """Features first..first + features - 1 of a layer, on a core."""

    layer: str
    core: int
    first: int
    features: int


@dataclass(frozen=True)
class Assignment:
    """Layers of a plan and the cores that could take them.

    rooms : layer -> most features that each core takes
    """

    plan: Plan

    @cached_property
    def rooms(self) -> dict[str, tuple[int, ...]]:
        """Layer -> most features that each core takes."""
        return {layer.name: self.plan.rooms(layer) for layer in self.plan.layers}

    def able(self, name: str) -> tuple[int, ...]:
        """Cores that take a layer, or a block of it."""
        return tuple(core for core, room in enumerate(self.rooms[name]) if room)

    def possible(self, layers: Iterable[str] | None = None) -> bool:
        """Whether cores can be found for some layers, the others left out; for all where none are named."""
        names = [layer.name for layer in self.plan.layers] if layers is None else list(layers)
        at_least = {n: self.at_least(n) for n in names}
        if any(count is None for count in at_least.values()):
            return False
        queue = [set(self.able(n)) for n, count in at_least.items() for _ in range(count or 0)]
        if not _matched(queue):
            return False
        # without blocks that is the whole answer: the rest of the program is the same for every core
        return not self.plan.split & set(names) or _Model(self, names).solve() is not None

    def at_least(self, name: str) -> int | None:
        """How many cores a layer needs if it gets the best; None where all together are too small."""
        left, count = self.plan.layer(name).shape[0], 0
        for room in sorted(self.rooms[name], reverse=True):
            if left <= 0:
                break
            left, count = left - room, count + 1
        return count if left <= 0 else None

    def conflicts(self) -> tuple[tuple[str, ...], ...]:
        """Minimal sets of layers that cannot stand on the chip together, no layer in two; () where all can.

        Of each set, any layer left out makes the others possible.
        """
        left, found = [layer.name for layer in self.plan.layers], list[tuple[str, ...]]()
        while not self.possible(left):
            members = list(left)
            for name in reversed(left):
                rest = [n for n in members if n != name]
                if not self.possible(rest):
                    members = rest
            found.append(tuple(members))
            left = [n for n in left if n not in members]
        return tuple(found)

    def blocks(self) -> tuple[Block, ...]:
        """The placement of the lowest cost, layer by layer; raises ValueError where there is none."""
        names = [layer.name for layer in self.plan.layers]
        chosen = _Model(self, names).cheapest()
        if chosen is None:
            msg = f"no placement of {names}"
            raise ValueError(msg)
        return tuple(block for layer in self.plan.layers for block in self._cut(layer, chosen[layer.name]))

    def _cut(self, layer: Layer, cores: Sequence[int]) -> Iterable[Block]:
        """A layer over cores, as evenly as their rooms allow."""
        left, sizes = layer.shape[0], dict[int, int]()
        for done, core in enumerate(sorted(cores, key=lambda c: (self.rooms[layer.name][c], c))):
            sizes[core] = min(self.rooms[layer.name][core], -(-left // (len(cores) - done)))
            left -= sizes[core]
        first = 0
        for core in sorted(sizes):
            yield Block(layer.name, core, first, sizes[core])
            first += sizes[core]


def _matched(able: Sequence[set[int]]) -> bool:
    """Whether each of some blocks can have a core of its own (augmenting paths)."""
    has: dict[int, int] = {}

    def find(block: int, seen: set[int]) -> bool:
        for core in sorted(able[block] - seen):
            seen.add(core)
            if core not in has or find(has[core], seen):
                has[core] = block
                return True
        return False

    return all(find(block, set()) for block in range(len(able)))


class _Model:
    """The constraint program of some layers; deterministic: one worker, one seed."""

    def __init__(self, of: Assignment, names: list[str]) -> None:
        self.of, self.names, self.cp = of, names, _solver()
        self.model = self.cp.CpModel()
        self.stands = {(n, c): self.model.new_bool_var(f"{n} on {c}") for n in names for c in of.able(n)}
        plan = of.plan
        for n in names:
            layer = plan.layer(n)
            here = [self.stands[n, c] for c in of.able(n)]
            if n in plan.split:
                rooms = [of.rooms[n][c] for c in of.able(n)]
                self.model.add(sum(v * r for v, r in zip(here, rooms, strict=True)) >= layer.shape[0])
            else:
                self.model.add_exactly_one(here)
        for core in range(plan.cores.count):
            self.model.add_at_most_one(v for (_, c), v in self.stands.items() if c == core)
        for source in dict.fromkeys([*names, *plan.inputs]):
            fed = [t for t in plan.feeds(source) if t in names]
            if any(t in plan.split for t in fed):
                self.model.add(
                    sum(v for t in fed for (n, _), v in self.stands.items() if n == t) <= plan.reaches(source)
                )

    def solve(self) -> Any:
        """A solver with values, None where there is no placement."""
        solver = self.cp.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = 0
        return solver if solver.solve(self.model) in {self.cp.OPTIMAL, self.cp.FEASIBLE} else None

    def cheapest(self) -> dict[str, list[int]] | None:
        """Cores of each layer."""
        words = [sum(m.each[c] for m in self.of.plan.cores.memory.values()) for c in range(self.of.plan.cores.count)]
        cost = sum(v * words[c] for (_, c), v in self.stands.items())
        # ties are settled here, layer by layer, so that no version of the solver settles them
        cores = self.of.plan.cores.count
        many = max(WEIGHT_BITS // cores, 1)  # layers in one goal: the earlier weighs more than all later ones together
        turns = [self.names[at : at + many][::-1] for at in range(0, len(self.names), many)]
        low = [
            sum(v * (1 << c + cores * turn.index(n)) for (n, c), v in self.stands.items() if n in turn)
            for turn in turns
        ]
        solver = None
        for goal in [cost, *low]:
            self.model.minimize(goal)
            solver = self.solve()
            if solver is None:
                return None
            self.model.add(goal <= round(solver.objective_value))
        result: dict[str, list[int]] = {n: [] for n in self.names}
        for (n, c), v in self.stands.items():
            if solver is not None and solver.value(v):
                result[n].append(c)
        return result


def _solver() -> ModuleType:
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        raise missing_extra("ortools", "map", "layers to cores") from None
    return cp_model
