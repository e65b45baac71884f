"""Runs of the same network put together: one after the other in time, or the samples of one batch side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import Fault, Refusal
from neurodeploy.simulator.run import How, Run, Snapshot
from neurodeploy.simulator.stimulus import Stimulus

Ints = npt.NDArray[np.int64]


def join_steps(runs: Sequence[Run]) -> Run:
    """Runs of which each went on from the state of the one before, as the one run that they are.

    The stimulus and the numbers of its events are those of the pieces one after the other. The name of the executor
    lists all that ran.
    Raises Refusal ND1301 where a run does not go on where the one before it ended, or none is given.
    """
    first, last = _ends(runs)
    for number, (a, b) in enumerate(pairwise(runs), 1):
        begin = 0 if b.initial is None else b.initial.step
        if begin != a.final.step:
            was = f"run {number} begins at step {begin}"
            must, todo = f"step {a.final.step}, where the run before it ended", "give them in the order of time"
            raise Refusal(Fault("ND1301", "runs to join", was, must, todo))
    return replace(
        first,
        counts=_joined([r.counts for r in runs], 0),
        states=_joined_states([r.states for r in runs], 0),
        final=last.final,
        executor=_names(runs),
        how=_how(runs),
        unchecked=any(r.unchecked for r in runs),
        input=_joined([r.input for r in runs], 0),
        events=_later_events(runs),
        stimulus=_later_stimulus(runs),
        meetings=np.sum([r.meetings for r in runs], axis=0, dtype=np.int64),
        lost=np.sum([r.lost for r in runs], axis=0, dtype=np.int64),
    )


def join_samples(runs: Sequence[Run], stimulus: Stimulus | None = None, initial: Snapshot | None = None) -> Run:
    """Runs of the samples of one batch, in the order of the samples, as the one run of all.

    stimulus : where events drive the chip, that of the whole batch: it numbers the events
    initial : the state of the whole batch that the runs went on from
    Raises Refusal ND1301 where no run is given.
    """
    first, _ = _ends(runs)
    batches = [next(iter(r.input.values())).shape[1] for r in runs]
    begins = np.concatenate([[0], np.cumsum(batches)])
    final = {
        n: {s: np.concatenate([r.final.states[n][s] for r in runs]) for s in many}
        for n, many in first.final.states.items()
    }
    history = {
        n: tuple(np.concatenate([r.final.history[n][age] for r in runs]) for age in range(len(past)))
        for n, past in first.final.history.items()
    }
    return replace(
        first,
        counts=_joined([r.counts for r in runs], 1),
        states=_joined_states([r.states for r in runs], 1),
        final=Snapshot(final, history, first.final.step),
        executor=_names(runs),
        how=_how(runs),
        input=_joined([r.input for r in runs], 1),
        initial=initial,
        events={} if stimulus is None else _more_events(runs, begins, stimulus),
        stimulus=stimulus,
        meetings=np.concatenate([r.meetings for r in runs]),
        lost=np.concatenate([r.lost for r in runs]),
    )


def part_of(snapshot: Snapshot, samples: slice) -> Snapshot:
    """What is remembered of some samples."""
    states = {n: {s: v[samples] for s, v in many.items()} for n, many in snapshot.states.items()}
    return Snapshot(states, {n: tuple(v[samples] for v in h) for n, h in snapshot.history.items()}, snapshot.step)


def _ends(runs: Sequence[Run]) -> tuple[Run, Run]:
    if not runs:
        raise Refusal(Fault("ND1301", "runs to join", "none is given", "at least one run"))
    return runs[0], runs[-1]


def _names(runs: Sequence[Run]) -> str:
    return ", ".join(dict.fromkeys(r.executor for r in runs))


def _how(runs: Sequence[Run]) -> How:
    all_ways = [r.how for r in runs]
    return How(
        "; ".join(dict.fromkeys(h.why for h in all_ways)),
        ", ".join(dict.fromkeys(h.device for h in all_ways)),
        tuple(dict.fromkeys(p for h in all_ways for p in h.products)),
        max(h.chunks for h in all_ways),
    )


def _joined(many: Sequence[Mapping[str, Ints]], axis: int) -> dict[str, Ints]:
    return {g: np.concatenate([m[g] for m in many], axis=axis) for g in many[0]}


def _joined_states(many: Sequence[Mapping[str, Mapping[str, Ints]]], axis: int) -> dict[str, dict[str, Ints]]:
    return {g: _joined([m[g] for m in many], axis) for g in many[0]}


def _stimuli(runs: Sequence[Run]) -> Iterator[tuple[int, Stimulus]]:
    """Step at which each run begins, counted from the first, and what came in."""
    begin = 0 if runs[0].initial is None else runs[0].initial.step
    for run in runs:
        if run.stimulus is not None:
            yield (0 if run.initial is None else run.initial.step) - begin, run.stimulus


def _later_events(runs: Sequence[Run]) -> dict[str, npt.NDArray[np.void]]:
    pieces: dict[str, list[npt.NDArray[np.void]]] = {g: [] for g in runs[0].events}
    before = 0
    for run, (begin, stimulus) in zip(runs, _stimuli(runs), strict=False):
        for name, events in run.events.items():
            moved = events.copy()
            moved["step"] += begin
            moved["cause"][events["cause"] >= 0] += before
            pieces[name].append(moved)
        before += len(stimulus)
    tables = {g: np.concatenate(many) for g, many in pieces.items()}
    return {g: t[np.argsort(t["sample"], kind="stable")] for g, t in tables.items()}


def _later_stimulus(runs: Sequence[Run]) -> Stimulus | None:
    given = list(_stimuli(runs))
    if not given:
        return None
    pieces = [s for _, s in given]
    grouped, timed = any(s.group is not None for s in pieces), all(s.t_us is not None for s in pieces)
    group = [np.zeros(len(s), np.int64) if s.group is None else s.group for s in pieces]  # None means the first
    return Stimulus(
        sum(s.steps for s in pieces),
        pieces[0].batch,
        np.concatenate([s.step + begin for begin, s in given]),
        np.concatenate([s.sample for s in pieces]),
        np.concatenate([s.neuron for s in pieces]),
        np.concatenate(group) if grouped else None,
        np.concatenate([s.t_us for s in pieces if s.t_us is not None]) if timed else None,
    )


def _more_events(runs: Sequence[Run], begins: Ints, whole: Stimulus) -> dict[str, npt.NDArray[np.void]]:
    pieces: dict[str, list[npt.NDArray[np.void]]] = {g: [] for g in runs[0].events}
    for run, begin, end in zip(runs, begins[:-1], begins[1:], strict=True):
        own = np.flatnonzero((whole.sample >= begin) & (whole.sample < end))
        for name, events in run.events.items():
            moved = events.copy()
            moved["sample"] += begin
            caused = events["cause"] >= 0
            moved["cause"][caused] = own[events["cause"][caused]]
            pieces[name].append(moved)
    return {g: np.concatenate(many) for g, many in pieces.items()}
