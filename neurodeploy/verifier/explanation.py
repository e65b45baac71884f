"""Why two runs differ: each cause of the table is tried on one side, and kept if it makes the other one."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from neurodeploy.errors import Refusal
from neurodeploy.simulator import Run, Snapshot, Trace
from neurodeploy.simulator.machine import Ints
from neurodeploy.verifier.causes import CAUSES, Place
from neurodeploy.verifier.difference import Difference
from neurodeploy.verifier.variants import EVENTS, Course, Replica, Variant, View

Observed = Run | Trace
Table = Mapping[tuple[str, str], Ints]  # (group, state or EVENTS) -> (time, neuron)
#: least share of the differing values that a cause must explain to be named
SHARE = 0.9
#: steps before and after the first difference that are looked at
BEFORE, AFTER = 1000, 200
#: steps before it where the other side does not show every state, so that each change takes all of them
UNSEEN = 100


@dataclass(frozen=True)
class Hint:
    """A likely cause.

    cause, title : of the table of causes
    change : what was computed otherwise
    side : which side was changed to make the other one, "first" or "second"
    explained : share of the differing values that the change explains, with none of those before spoilt
    values : differing values that were to be explained
    """

    cause: str
    title: str
    change: str
    side: str
    explained: float
    values: int

    def __str__(self) -> str:
        how = f"explains {self.explained:.0%} of {self.values:,} differing values"
        return f"{self.title}: the {self.side} run becomes the other one with {self.change} ({how})"

    def to_json(self) -> dict[str, Any]:
        """Plain data with the field names as keys."""
        return asdict(self)


@dataclass(frozen=True)
class Explanation:
    """What the table of causes says to a difference.

    hints : what explains most comes first; none where no cause explains nearly all of the difference
    tried : changes that were tried
    """

    hints: tuple[Hint, ...]
    tried: int

    def __str__(self) -> str:
        if self.hints:
            return "\n".join(f"hint: {hint}" for hint in self.hints)
        if not self.tried:
            return "no hint: without the network of one side nothing can be tried"
        return f"no hint: of {len(CAUSES)} known causes ({self.tried} changes tried) none explains the difference"


def explain(a: Observed, b: Observed, difference: Difference) -> Explanation:
    """Try every cause of the table on the sample that differs first; two runs are tried both ways."""
    tried = 0
    for side, mine, other in (("first", a, b), ("second", b, a)):
        if isinstance(mine, Run):
            hints, number = _one_way(mine, other, difference, side)
            tried += number
            if hints:
                return Explanation(hints, tried)
    return Explanation((), tried)


@dataclass(frozen=True)
class _Task:
    """What is to be explained.

    begin, end : the steps that are looked at; first : the first that ends differently
    parted : the step in which the two part, which may still end with equal values; ``begin`` where nobody can tell
    starts : snapshots of the run at ``begin`` and at ``parted``
    own : the run's own values from ``begin`` on; values : those of the other side, of all steps
    """

    place: Place
    begin: int
    parted: int
    first: int
    end: int
    starts: tuple[Snapshot, Snapshot]
    own: Table
    values: Table
    differing: int


def _one_way(mine: Run, other: Observed, difference: Difference, side: str) -> tuple[tuple[Hint, ...], int]:
    task = _task(mine, other, difference)
    if task is None:
        return (), 0
    hints, tried = [], 0
    for cause in CAUSES:
        best: tuple[float, str] = (0.0, "")
        for variant in cause.propose(task.place):
            tried += 1
            share = _share(task, variant)
            best = max(best, (share, variant.words), key=lambda found: found[0])
        if best[0] >= SHARE:
            hints.append(Hint(cause.name, cause.title, best[1], side, best[0], task.differing))
    return tuple(sorted(hints, key=lambda hint: -hint.explained)), tried


def _task(mine: Run, other: Observed, difference: Difference) -> _Task | None:
    replica, sample = Replica(mine, difference.sample), difference.sample
    end = min(replica.steps, difference.step + AFTER + 1)
    values = _observed(other, sample, end)
    seen = {(g.name, s) for g in replica.network.groups for s in replica.chip.neurons[g.kind].states} <= set(values)
    begin = max(0, difference.step - (BEFORE if seen else UNSEEN))
    # a state that nobody shows may have parted before: then only the whole course tells
    parted = difference.step if seen else begin
    shown: dict[tuple[str, str], list[Ints]] = {key: [] for key in values}
    course, starts, first = Course(replica, Variant(""), None), list[Snapshot](), None
    for t in range(end):
        here = course.engine.snapshot()
        starts += [here] * ((t == begin) + (t == parted))
        view = course.step(t)
        if t < begin:
            continue
        for key in values:
            if key in view:
                shown[key].append(view[key])
        if first is None and any(not np.array_equal(view[k], values[k][t]) for k in values if k in view):
            first = t
    if first is None:
        return None
    own = {key: np.stack(many) for key, many in shown.items() if many}
    kept = {key: values[key] for key in own}
    differing = sum(int(np.count_nonzero(own[k] != v[begin:end])) for k, v in kept.items())
    place = Place(replica, difference.group, difference.neuron, difference.source)
    return _Task(place, begin, parted, first, end, (starts[0], starts[1]), own, kept, differing)


def _observed(observed: Observed, sample: int, end: int) -> Table:
    """Everything that is known of one sample before step ``end``; of a run all states, recorded or not."""
    if isinstance(observed, Run):
        views = list(islice(Replica(observed, sample).views(), end))
        return {key: np.stack([view[key] for view in views]) for key in views[0]} if views else {}
    table = {(g, EVENTS): np.asarray(v)[:, sample] for g, v in observed.counts.items()}
    return table | {(g, s): np.asarray(v)[:, sample] for g, many in observed.states.items() for s, v in many.items()}


def _share(task: _Task, variant: Variant) -> float:
    """Share of the difference that a variant explains; 0 if it spoils a value up to the step that differs first."""
    try:
        if variant.seen_late:
            return _explained(task, _seen(task, variant.seen_late))
        if variant.local:
            course = Course(task.place.replica, variant, task.starts[1])
            if any(_wrong(task, course.step(t), t) for t in range(task.parted, task.first + 1)):
                return 0.0
        start = None if task.begin == 0 else task.starts[0]
        course = Course(task.place.replica, variant, start)
        return _explained(task, ((t, course.step(t)) for t in range(task.begin, task.end)))
    except Refusal:
        return 0.0


def _explained(task: _Task, views: Iterator[tuple[int, View]]) -> float:
    wrong = 0
    for t, view in views:
        wrong += _wrong(task, view, t)
        if (wrong and t <= task.first) or wrong > (1 - SHARE) * task.differing:
            return 0.0
    return 1 - wrong / task.differing


def _wrong(task: _Task, view: View, t: int) -> int:
    return sum(int(np.count_nonzero(view[key] != values[t])) for key, values in task.values.items())


def _seen(task: _Task, late: Mapping[str, int]) -> Iterator[tuple[int, View]]:
    """The run's own values, those of some groups from the step before or after; what no step has is not judged."""
    last = task.end - task.begin - 1
    for t in range(task.begin, task.end):
        view = {}
        for key, values in task.own.items():
            at = t - task.begin - late.get(key[0], 0)
            if 0 <= at <= last:
                view[key] = values[at]
            else:
                began = key[1] == EVENTS and t < late.get(key[0], 0)
                view[key] = np.zeros_like(values[0]) if began else task.values[key][t]
        yield t, view
