"""What the two kernels of a plan read and write, in no language: arguments, where values come from and go to."""

from collections.abc import Iterable
from dataclasses import dataclass

from neurodeploy.kernels.graph import Graph
from neurodeploy.kernels.plan import SPIKE_SEED, STATE_SEED, Plan

#: sorts of arguments: one number, an array of numbers, of bytes, of places
NUMBER, ARRAY, BYTES, PLACES = "number", "array", "bytes", "places"
Argument = tuple[str, str]


@dataclass(frozen=True)
class Output:
    """A value that a step leaves in an argument. node None: nothing reaches it, so 0; adds: to what stands there."""

    argument: str
    node: int | None
    adds: bool = False


@dataclass(frozen=True)
class Pass:
    """One kernel.

    constants : hoisted values: ``c`` and the number of the node; more than it reads
    columns : arrays with one entry for each column, which live through all steps
    rows : arrays with a row of columns for each step
    known : node -> arguments whose entries it is the sum of
    outputs : what a step leaves where, in this order
    backwards : whether it begins with the last step
    """

    name: str
    constants: tuple[Argument, ...]
    columns: tuple[Argument, ...]
    rows: tuple[Argument, ...]
    known: dict[int, tuple[str, ...]]
    outputs: tuple[Output, ...]
    backwards: bool

    @property
    def ends(self) -> list[int]:
        """Nodes that a step computes."""
        return [output.node for output in self.outputs if output.node is not None]

    @property
    def hoisted(self) -> dict[int, str]:
        """Node -> constant."""
        return {int(name.removeprefix("c")): name for name, _ in self.constants}


@dataclass(frozen=True)
class Layout:
    """Passes of a plan.

    record : the forward kernel also stores every state of every step, and their gradients arrive
    arrays : hoisted nodes (of both kinds) that differ between neurons
    """

    plan: Plan
    record: bool
    arrays: frozenset[int]

    def forward(self, *, save: bool) -> Pass:
        """Forwards in time; ``save``: what the gradient needs is stored."""
        plan = self.plan
        stored = [node for node in plan.saved if node != plan.x] if save else []
        recorded = list(plan.after) if self.record else []
        rows = [("x", ARRAY), ("spike", ARRAY), *((f"rec_{name}", ARRAY) for name in recorded)]
        outputs = [Output("spike", plan.spike)]
        outputs += [Output(f"rec_{name}", plan.after[name]) for name in recorded]
        outputs += [Output(f"save{node}", node) for node in stored]
        outputs += [Output(f"s_{name}", node) for name, node in plan.after.items()]
        return Pass(
            "forward",
            self._constants(),
            tuple((f"s_{name}", ARRAY) for name in plan.states),
            (*rows, *self._saved(stored)),
            {plan.x: ("x",), **{node: (f"s_{name}",) for name, node in plan.states.items()}},
            tuple(outputs),
            backwards=False,
        )

    def backward(self) -> Pass:
        """Backwards in time."""
        plan = self.plan
        columns = [f"h_{name}" for name in plan.states] + [f"sum{place}" for place in plan.to_hoisted]
        rows: list[Argument] = [("x", ARRAY)] if plan.x in plan.saved else []
        rows += [*self._saved(node for node in plan.saved if node != plan.x), ("g_spike", ARRAY)]
        rows += [(f"grec_{name}", ARRAY) for name in plan.states] if self.record else []
        rows += [("g_x", ARRAY)] if plan.to_x is not None else []
        known: dict[int, tuple[str, ...]] = {node: (f"save{node}",) for node in plan.saved}
        known |= {plan.seeds[SPIKE_SEED]: ("g_spike",)} | ({plan.x: ("x",)} if plan.x in plan.saved else {})
        for name in plan.states:
            recorded = (f"grec_{name}",) if self.record else ()
            known[plan.seeds[STATE_SEED + name]] = (f"h_{name}", *recorded)
        outputs = [Output(f"h_{name}", plan.to_states.get(name)) for name in plan.states]
        outputs += [Output(f"sum{place}", node, adds=True) for place, node in plan.to_hoisted.items()]
        outputs += [Output("g_x", plan.to_x)] if plan.to_x is not None else []
        return Pass(
            "backward",
            self._constants(),
            tuple((name, ARRAY) for name in columns),
            tuple(rows),
            known,
            tuple(outputs),
            backwards=True,
        )

    def _constants(self) -> tuple[Argument, ...]:
        both = (*self.plan.hoisted, *self.plan.hoisted_back)
        return tuple((f"c{node}", ARRAY if node in self.arrays else NUMBER) for node in both)

    def _saved(self, nodes: Iterable[int]) -> list[Argument]:
        return [(f"save{node}", BYTES if self.plan.graph.is_condition(node) else ARRAY) for node in nodes]


def to_compute(graph: Graph, what: Pass) -> list[int]:
    """Nodes of a step in an order in which each can be computed; literals and constants are no such nodes."""
    stop = {*what.known, *what.hoisted}
    needed = sorted(graph.needed(what.ends, stop))
    return [node for node in needed if node not in what.hoisted and graph.nodes[node].op != "const"]
