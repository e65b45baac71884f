"""What the two kernels of a text compute: what stays outside the time loop, what is saved, where gradients go."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from neurodeploy.kernels.cut import cheapest_cut
from neurodeploy.kernels.gradient import adjoint
from neurodeploy.kernels.graph import Graph, graph_of
from neurodeploy.step.tree import Expression, Statement

#: prefix of the names under which gradients arrive; no name of a text has a dot
SPIKE_SEED, STATE_SEED = "grad.spike", "grad.state."
#: cost of saving: a byte, the input (which is there anyway), a number that is written and read again
_CONDITION, _INPUT, _NUMBER = 1, 3, 4


@dataclass(frozen=True)
class Question:
    """What is asked of the kernels of a text; equal questions have equal kernels.

    states : names of the states, in order
    given : names that parameters, numbers and ``once`` provide
    options : names of the surrogate's options
    wanted : names of what receives a gradient: "x", states, and numbers of hoisted values (see Plan.hoisted) as text;
        empty for a pass without gradients
    arrays : hoisted values that differ between neurons; all others are one number for the layer
    """

    statements: tuple[Statement, ...]
    states: tuple[str, ...]
    given: tuple[str, ...]
    surrogate: Expression
    options: tuple[str, ...]
    dtype: str
    record: bool
    gradients: bool
    x_wanted: bool = False
    wanted: frozenset[int] = frozenset()
    arrays: frozenset[int] = frozenset()


@dataclass
class Plan:
    """Nodes of one graph, by role.

    x, states, spike, after : input, states before the step, spikes, states after it
    hoisted : values that no step changes; they are computed outside, where autograd sees them
    hoisted_back : the same, for the gradient or what is saved for it
    saved : values that the forward kernel stores for the other
    seeds : nodes of arriving gradients, by name
    to_x, to_states, to_hoisted : nodes of the gradients
    """

    graph: Graph
    x: int
    states: dict[str, int]
    spike: int
    after: dict[str, int]
    hoisted: tuple[int, ...]
    hoisted_back: tuple[int, ...] = ()
    saved: tuple[int, ...] = ()
    seeds: dict[str, int] = field(default_factory=dict)
    to_x: int | None = None
    to_states: dict[str, int] = field(default_factory=dict)
    to_hoisted: dict[int, int] = field(default_factory=dict)


def forward_plan(
    statements: tuple[Statement, ...], states: Iterable[str], given: Iterable[str], options: Iterable[str]
) -> Plan:
    """Plan of a pass without gradients; ``options`` are those of the surrogate and stay unread here."""
    states = tuple(states)
    graph, names = graph_of(statements, ["x", *states, *given])
    for option in options:
        graph.name(f"surrogate.{option}")
    leaves = {name: graph.name(name) for name in states}
    after = {name: names[name] for name in states}
    x = graph.name("x")
    changing = graph.depending({x, *leaves.values()})
    hoisted = _hoisted(graph, changing, [names["spike"], *after.values()])
    return Plan(graph, x, leaves, names["spike"], after, hoisted)


def with_gradient(
    plan: Plan,
    *,
    x_wanted: bool,
    wanted: Iterable[int],
    surrogate: Expression,
    options: Iterable[str],
) -> Plan:
    """Extend a plan (and its graph) by the gradient.

    wanted : places in ``plan.hoisted`` whose values receive a gradient
    """
    graph = plan.graph
    targets = {plan.hoisted[place]: place for place in wanted}
    leaves = {plan.x, *plan.states.values()}
    seeds = {SPIKE_SEED: graph.name(SPIKE_SEED)} | {s: graph.name(s) for s in map(STATE_SEED.__add__, plan.states)}
    arriving: dict[int, list[int]] = {plan.spike: [seeds[SPIKE_SEED]]}
    for name, node in plan.after.items():
        arriving.setdefault(node, []).append(seeds[STATE_SEED + name])
    wrt = {*plan.states.values(), *targets} | ({plan.x} if x_wanted else set())
    named = {option: graph.name(f"surrogate.{option}") for option in options}
    found = adjoint(graph, arriving, wrt, surrogate, named)
    ends = list(found.values())
    from_seeds = graph.depending(seeds.values())
    changing = graph.depending(leaves | set(seeds.values()))
    # values of the forward pass that the gradient reads: saved, or computed again from what is saved
    tape = changing - from_seeds
    read = {a for node in graph.needed(ends) & from_seeds for a in graph.nodes[node].args if a in tape}
    cost = {node: _CONDITION if graph.is_condition(node) else _NUMBER for node in tape} | {plan.x: _INPUT}
    saved = cheapest_cut(graph, leaves, read, cost)
    # what is saved may be a value of the surrogate, which reads numbers that the step itself does not
    late = {*_hoisted(graph, changing, ends, stop=saved), *_hoisted(graph, changing, saved)}
    return Plan(
        graph,
        plan.x,
        plan.states,
        plan.spike,
        plan.after,
        plan.hoisted,
        tuple(sorted(late.difference(plan.hoisted))),
        tuple(sorted(saved)),
        seeds,
        found.get(plan.x) if x_wanted else None,
        {name: found[node] for name, node in plan.states.items() if node in found},
        {place: found[node] for node, place in targets.items() if node in found},
    )


def _hoisted(graph: Graph, changing: set[int], ends: Iterable[int], stop: Iterable[int] = ()) -> tuple[int, ...]:
    """Largest numbers that no step changes among what the ends need; literals are no such numbers."""
    found: set[int] = set()
    seen: set[int] = set(stop)
    todo = [node for node in ends if node not in seen]
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        if node not in changing and graph.nodes[node].op != "const" and not graph.is_condition(node):
            found.add(node)
        else:
            todo.extend(graph.nodes[node].args)
    return tuple(sorted(found))


def plan_of(question: Question) -> Plan:
    """Plan of a question."""
    plan = forward_plan(question.statements, question.states, question.given, question.options)
    if not question.gradients:
        return plan
    return with_gradient(
        plan,
        x_wanted=question.x_wanted,
        wanted=sorted(question.wanted),
        surrogate=question.surrogate,
        options=question.options,
    )
