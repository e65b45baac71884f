"""Accuracy of a run, by one stated decision rule."""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurodeploy.errors import Fault, raise_if
from neurodeploy.events.checks import Ids, as_array, id_faults, label_faults, plain_ids, whole_faults

Integers = NDArray[np.int64]

TIE = -1  # the decision where no class is ahead of all others


def _spike_count(counts: NDArray[np.integer[Any]]) -> Integers:
    return np.asarray(counts.sum(axis=0, dtype=np.int64))


def _first_spike(counts: NDArray[np.integer[Any]]) -> Integers:
    fired = counts > 0
    return np.where(fired.any(axis=0), len(counts) - fired.argmax(axis=0), 0).astype(np.int64)


#: Decision rules: (time, batch, class) counts -> (batch, class) score, 0 for a class that never fired. The class with
#: the highest score is the decision; a highest score that two classes share, or that is 0, is a tie.
DECISIONS: Mapping[str, Callable[[NDArray[np.integer[Any]]], Integers]] = {
    "spike_count": _spike_count,
    "first_spike": _first_spike,
}


#: The same rules where an output comes in pieces: (score so far, score of the next piece, its steps) -> score of both
_CONTINUED: Mapping[str, Callable[[Integers, Integers, int], Integers]] = {
    "spike_count": lambda before, here, _: before + here,
    "first_spike": lambda before, here, steps: np.where(before > 0, before + steps, here),
}


class Tally:
    """The scores of an output that comes in pieces, for ``evaluate``; the pieces are not kept.

    rule : name of the decision rule
    latency : steps at the beginning that do not count
    Raises Refusal ND1504 for an unknown rule, and for pieces that are no output spikes or of another batch.
    """

    def __init__(self, rule: str = "spike_count", latency: int = 0) -> None:
        raise_if(decision_faults(rule) + _coded(whole_faults("latency", latency, 0)))
        self.rule, self.latency, self.steps = rule, latency, 0
        self.score: Integers | None = None

    def add(self, output: ArrayLike) -> None:
        """Count the next steps in: (time, batch, class) output spikes."""
        piece = as_array(output, "output")
        shape = piece.shape[1:] if self.score is None else self.score.shape
        if piece.ndim != 3 or piece.shape[1:] != shape or piece.dtype.kind not in "biu":
            was = f"a piece of shape {piece.shape}, type {piece.dtype}"
            must = f"(time, {', '.join(map(str, shape))}) integers" if self.steps else "(time, batch, class) integers"
            raise_if([Fault("ND1504", "output", was, must)])
        counted = piece[max(self.latency - self.steps, 0) :]
        self.steps += len(piece)
        here = DECISIONS[self.rule](counted) if len(counted) else np.zeros(shape, np.int64)
        self.score = here if self.score is None else _CONTINUED[self.rule](self.score, here, len(counted))

    @property
    def output(self) -> Integers:
        """Silence of as many steps, samples and classes: the shape that ``evaluate`` checks."""
        return np.broadcast_to(np.int64(0), (self.steps, *(self.score.shape if self.score is not None else (0, 0))))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a run decided and how much of it was right.

    accuracy : correct / total; ties are wrong
    correct, total : numbers of samples
    low, high : Wilson score interval of the accuracy at ``confidence``
    confusion : (class, class) int; rows are the labels, columns the decisions; ties stand in no column
    ties : number of samples without a decision; tie_id names them
    decision : (batch,) int64; the class, -1 for a tie
    label, sample_id : (batch,); what the decision was compared with, and the names of the samples
    rule : name of the decision rule, a key of DECISIONS
    latency : steps at the beginning that did not count
    disagreements : ids of the samples that the other evaluation (``against``) decided differently, ties included
    points_lost : accuracy of the other evaluation minus that of this one, in percentage points: above 0 where this run
        is worse; None without another
    """

    accuracy: float
    correct: int
    total: int
    low: float
    high: float
    confidence: float
    confusion: Integers
    ties: int
    tie_id: tuple[int | str, ...]
    decision: Integers
    label: Integers
    sample_id: Ids
    rule: str
    latency: int
    disagreements: tuple[int | str, ...] = ()
    points_lost: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all fields as plain Python values: numbers, strings, lists, None."""
        return {name: _plain(value) for name, value in vars(self).items()}


def evaluate(
    counts: Any,
    labels: ArrayLike,
    *,
    decision: str = "spike_count",
    latency: int = 0,
    sample_id: ArrayLike | None = None,
    against: Evaluation | None = None,
    confidence: float = 0.95,
) -> Evaluation:
    """Decide the class of every sample from the output spikes and compare it with the labels.

    counts : (time, batch, class) int, or a run with such an ``output`` and a ``latency`` of its own
        Output spikes per step, 0 or more. Or a Tally of what came in pieces, which brings its rule.
    labels : (batch,) int, 0..class - 1
    decision : "spike_count"
        The class with the most spikes. "first_spike": the class that fires earliest. Where two classes are ahead
        together, or none fires, the decision is a tie, and a tie is wrong.
    latency : steps at the beginning that do not count, because a network of L layers answers L steps late
    sample_id : (batch,) int or str; without them samples are numbered 0..batch - 1
    against : an evaluation of the same samples by the same rule; samples are matched by id
    confidence : of the Wilson score interval, between 0 and 1
    Raises Refusal ND1504 for shapes, types, labels outside the classes, unknown options, and an ``against`` of other
    samples, labels or rule; all faults at once.
    """
    output, latency, faults = _unpacked(counts, latency)
    label = as_array(labels, "labels")
    faults += _output_faults(output, latency) + _label_faults(label, output)
    faults += decision_faults(decision) + _confidence_faults(confidence)
    batch = output.shape[1] if output.ndim == 3 else len(label) if label.ndim == 1 else None
    ids = np.arange(batch or 0) if sample_id is None else as_array(sample_id, "sample_id")
    faults += _coded(id_faults(ids, batch))
    raise_if(faults)
    if isinstance(counts, Tally) and counts.score is not None:
        decision, score = counts.rule, counts.score
    else:
        score = DECISIONS[decision](output[latency:])
    result = _evaluation(score, label.astype(np.int64), plain_ids(ids), confidence)
    result = replace(result, rule=decision, latency=int(latency))
    return result if against is None else _compared(result, against)


def decide(output: NDArray[np.integer[Any]], decision: str = "spike_count") -> Integers:
    """(batch,) class of every sample, -1 for a tie, from (time, batch, class) output spikes; see ``evaluate``."""
    raise_if(decision_faults(decision))
    return _decided(DECISIONS[decision](output))


def _decided(score: Integers) -> Integers:
    best = score.max(axis=1)
    tie = (best == 0) | (np.count_nonzero(score == best[:, None], axis=1) > 1)
    return np.where(tie, TIE, score.argmax(axis=1))


def wilson_interval(correct: int, total: int, confidence: float) -> tuple[float, float]:
    """Wilson score interval of a proportion: the p for which (correct / total - p)**2 <= z**2 * p * (1 - p) / total.

    Source: E. B. Wilson, Journal of the American Statistical Association 22 (1927), 209-212.
    """
    z, share = NormalDist().inv_cdf((1 + confidence) / 2), correct / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    # at the ends one of the two roots is 0 or 1 exactly, which rounding would miss by a hair
    return 0.0 if correct == 0 else centre - half, 1.0 if correct == total else centre + half


def _evaluation(score: Integers, label: Integers, ids: Ids, confidence: float) -> Evaluation:
    decided = _decided(score)
    tie = decided == TIE
    confusion = np.zeros((score.shape[1], score.shape[1]), dtype=np.int64)
    np.add.at(confusion, (label[~tie], decided[~tie]), 1)
    correct, total = int(np.trace(confusion)), len(label)
    low, high = wilson_interval(correct, total, confidence)
    return Evaluation(
        accuracy=correct / total,
        correct=correct,
        total=total,
        low=low,
        high=high,
        confidence=confidence,
        confusion=confusion,
        ties=int(np.count_nonzero(tie)),
        tie_id=tuple(ids[tie].tolist()),
        decision=decided,
        label=label,
        sample_id=ids,
        rule="",
        latency=0,
    )


def _compared(result: Evaluation, against: Evaluation) -> Evaluation:
    """Add the samples that the other evaluation decided differently, and the points lost."""
    faults = []
    mine, other = result.sample_id.tolist(), against.sample_id.tolist()
    missing, extra = sorted(set(mine) - set(other), key=str), sorted(set(other) - set(mine), key=str)
    if missing or extra:
        was = f"{len(missing)} samples are missing in it, {len(extra)} are only in it"
        was += f" (the first: {(missing + extra)[0]!r})"
        values = {"missing": tuple(missing), "extra": tuple(extra)}
        faults.append(Fault("ND1504", "against", was, "both evaluations are of the same sample ids", "", values))
    if result.rule != against.rule:
        was = f"decided by {against.rule}, this run by {result.rule}"
        faults.append(Fault("ND1504", "against", was, "two runs are compared by one rule", "evaluate one of them anew"))
    raise_if(faults)
    row = {one: i for i, one in enumerate(other)}
    matched = np.array([row[one] for one in mine])
    relabelled = np.flatnonzero(result.label != against.label[matched])
    if relabelled.size:
        first = int(relabelled[0])
        was = f"{relabelled.size} samples have another label in it (the first: {mine[first]!r})"
        raise_if([Fault("ND1504", "against", was, "both evaluations have the same labels")])
    different = result.decision != against.decision[matched]
    lost = 100 * (against.correct - result.correct) / result.total
    return replace(result, disagreements=tuple(result.sample_id[different].tolist()), points_lost=lost)


def _unpacked(counts: Any, latency: int) -> tuple[NDArray[Any], int, list[Fault]]:
    """Output spikes and latency of a run, or of an array and the latency that was given with it."""
    if not hasattr(counts, "output"):
        return as_array(counts, "counts"), latency, []
    own: Any = getattr(counts, "latency", None)
    faults = []
    if latency not in (0, own):
        was = f"{latency} is given, and the run has latency {own}"
        faults.append(Fault("ND1504", "latency", was, "a run brings its own", "leave it out"))
    return as_array(counts.output, "counts"), own, faults


def _output_faults(output: NDArray[Any], latency: object) -> list[Fault]:
    if output.ndim != 3 or output.size == 0:
        must = "output spikes are (time, batch, class), each at least 1 long"
        return [Fault("ND1504", "counts", f"shape {output.shape}", must, "", {"shape": output.shape})]
    faults = _coded(whole_faults("latency", latency, 0, len(output) - 1))
    if output.dtype.kind not in "biu":
        faults.append(Fault("ND1504", "counts", f"type {output.dtype}", "output spikes are integers"))
    elif output.min() < 0:
        at = tuple(int(i) for i in np.argwhere(output < 0)[0])
        was, values = f"{output[at]} is negative", {"index": at, "value": int(output[at])}
        faults.append(Fault("ND1504", f"counts[{', '.join(map(str, at))}]", was, "counts are 0 or more", "", values))
    return faults


def _label_faults(label: NDArray[Any], output: NDArray[Any]) -> list[Fault]:
    """Faults of the labels; their length and range count where the output has a batch and classes."""
    shaped = output.ndim == 3 and output.size > 0
    faults = [replace(f, where="labels") for f in _coded(label_faults(label, output.shape[1] if shaped else None))]
    if faults or not shaped:
        return faults
    classes = output.shape[2]
    outside = np.flatnonzero((label < 0) | (label >= classes))
    if not outside.size:
        return []
    first = int(outside[0])
    was = f"{label[first]} is no class" + (f" (the first of {outside.size})" if outside.size > 1 else "")
    values = {"index": first, "value": int(label[first]), "limit": classes}
    return [Fault("ND1504", f"labels[{first}]", was, f"the run has the classes 0..{classes - 1}", "", values)]


def decision_faults(decision: object) -> list[Fault]:
    """Fault of the name of a decision rule; empty where it is known."""
    if decision in DECISIONS:
        return []
    near = difflib.get_close_matches(str(decision), DECISIONS, 1, cutoff=0.4)
    todo = f"perhaps {near[0]!r} is meant" if near else ""
    must = f"the rules are {', '.join(DECISIONS)}"
    return [Fault("ND1504", "decision", repr(decision), must, todo, {"value": decision})]


def _confidence_faults(confidence: object) -> list[Fault]:
    if isinstance(confidence, float) and 0 < confidence < 1:
        return []
    todo = "write 0.95 for 95 %"
    return [Fault("ND1504", "confidence", repr(confidence), "a fraction between 0 and 1", todo)]


def _coded(faults: list[Fault]) -> list[Fault]:
    return [replace(fault, code="ND1504") for fault in faults]


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value
