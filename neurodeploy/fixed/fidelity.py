"""How well derived neurons do what their float layers do: spikes, their times, and states against the bound."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.fixed.bounds import bound_states
from neurodeploy.fixed.derivation import ALONE, Derivation, derive, feedback_of
from neurodeploy.fixed.floats import Floats
from neurodeploy.fixed.plain import SPIKE
from neurodeploy.fixed.recorded import recorded_runs
from neurodeploy.layers import Neuron
from neurodeploy.network import place_identity
from neurodeploy.simulator import simulate

#: Widths of the table.
WIDTHS = (16, 24)
#: A bound of more than this share of a register says nothing.
SAID = 1 / 16
#: What surrounds the table in the README.
BEGIN, END = "<!-- fixed-point errors: begin -->", "<!-- fixed-point errors: end -->"


@dataclass(frozen=True)
class Fidelity:
    """One layer in fixed point beside its float text in double precision, on one input.

    name, run : of the neuron, and of the input
    spikes : of the float neurons, all neurons and samples
    counts_apart : sum of the differences of spike counts, each neuron by itself
    steps_apart : largest distance of the k-th spikes of both, in steps; of neurons with equal counts
    output_error : largest difference of the outputs, where they are values and no spikes; None for spikes
    state_error : largest difference of a state before the first spike that differs, in units of its last place; where
        its bound is wider than SAID of the register, as in the upswing of an exponential neuron, it is not looked at
    bound : of the same state at the same moment, in the same units
    within : whether no state is beyond its bound, at any moment before the first spike that differs
    """

    name: str
    run: str
    bits: int
    spikes: int
    counts_apart: int
    steps_apart: int
    output_error: float | None
    state_error: float
    bound: float
    within: bool

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def compare_layer(name: str, run_name: str, layer: Neuron, x: Floats, chip: Chip, bits: int) -> Fidelity:
    """Derive a layer, run both on an input of (time, batch, neuron), compare."""
    made = derive(layer, chip, calibration=x, bits=bits)
    kind = made.layers[0].kind
    states = list(kind.plain.states)
    counts = made.encode(x)
    run = simulate(place_identity(made.network), counts, record=[*states, SPIKE], drain=0, executor="numpy")
    found = made.decode(ALONE, SPIKE, run.counts[ALONE])
    wanted = kind.course.spikes
    graded = not (wanted == wanted.round()).all()
    apart = np.abs(found - wanted) > (np.inf if graded else 0)
    same = np.cumsum(apart, axis=0) == 0  # before the first difference
    if kind.states[SPIKE].fraction and not graded:
        same = np.ones_like(same)
    rounding = chip.file.programmable.rounding[0] if chip.file.programmable else "nearest"
    off = float(np.abs(np.ldexp(counts, -made.input.fraction) - x).max(initial=0.0))
    bounds = bound_states(kind, x, off, rounding, feedback_of(layer))
    worst, within = _worst(made, run.states[ALONE], bounds, same)
    shift, missing = (0, 0) if graded else _times(wanted, found)
    error = float(np.abs(found - wanted).max(initial=0.0)) if graded else None
    return Fidelity(name, run_name, bits, 0 if graded else int(wanted.sum()), missing, shift, error, *worst, within)


def compare_runs(
    folder: str | Path, chip: Chip, *, widths: Sequence[int] = WIDTHS, only: Collection[str] = ()
) -> list[Fidelity]:
    """Compare every layer of the recorded runs of a folder at every width.

    only : names of neurons; () takes all
    """
    runs = [run for run in recorded_runs(folder) if not only or run.neuron in only]
    return [compare_layer(r.neuron, r.name, r.layer, r.x, chip, bits) for r in runs for bits in widths]


def _worst(
    made: Derivation, found: Mapping[str, Any], bounds: Mapping[str, Floats], same: Any
) -> tuple[tuple[float, float], bool]:
    worst, within, kind = (0.0, 0.0), True, made.layers[0].kind
    for name, wanted in kind.course.states.items():
        if name == SPIKE or kind.states[name].fraction == 0:
            continue
        unit = kind.states[name].step
        said = bounds[name] <= SAID * unit * 2 ** kind.states[name].bits
        error = np.where(same & said, np.abs(made.decode(ALONE, name, found[name]) - wanted), 0.0) / unit
        at = np.unravel_index(np.argmax(error), error.shape)
        within &= bool((error <= bounds[name] / unit * (1 + 1e-9) + 1e-9).all())
        if error[at] >= worst[0]:
            worst = float(error[at]), float(bounds[name][at] / unit)
    return worst, within


def _times(wanted: Floats, found: Floats) -> tuple[int, int]:
    """Largest distance of spikes with the same number, and how many spikes there are too many or too few."""
    shift, missing = 0, 0
    for ours, theirs in zip(found.reshape(len(found), -1).T, wanted.reshape(len(wanted), -1).T, strict=True):
        a, b = (np.repeat(np.arange(len(s)), s.astype(np.int64)) for s in (ours, theirs))
        missing += abs(len(a) - len(b))
        if len(a) == len(b) and len(a):
            shift = max(shift, int(np.abs(a - b).max()))
    return shift, missing


def markdown(rows: Sequence[Fidelity]) -> str:
    """Table of the README: each neuron at each width, all its runs together."""
    heads = ("neuron", "bits", "runs", "spikes", "too many or few", "steps apart", "state error", "its bound")
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "--:|" * (len(heads) - 1)]
    for name in dict.fromkeys(row.name for row in rows):
        for bits in sorted({row.bits for row in rows}):
            own = [row for row in rows if (row.name, row.bits) == (name, bits)]
            lines.append("| " + " | ".join(_cells(name, bits, own)) + " |")
    return "\n".join(lines)


def _cells(name: str, bits: int, own: Sequence[Fidelity]) -> Iterable[str]:
    worst = max(own, key=lambda row: row.state_error)
    values = [row.output_error for row in own if row.output_error is not None]
    spikes = sum(row.spikes for row in own)
    told = f"{spikes:,}" if spikes else "-"
    missing = str(sum(row.counts_apart for row in own)) if spikes else "-"
    shift = str(max(row.steps_apart for row in own)) if spikes else f"values: {max(values, default=0.0):.1e}"
    return (name, str(bits), str(len(own)), told, missing, shift, f"{worst.state_error:.1f}", f"{worst.bound:.1f}")
