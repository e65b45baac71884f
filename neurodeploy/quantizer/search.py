"""Search: which shifts and scales preserve the activity of each layer, settled one layer after the other."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from neurodeploy.network import Network, place_identity
from neurodeploy.quantizer.activity import Activity
from neurodeploy.quantizer.decays import Floats
from neurodeploy.quantizer.registers import build_network
from neurodeploy.quantizer.scale import (
    Choice,
    Room,
    expected_error,
    scale_of,
    shift_choices,
)
from neurodeploy.quantizer.stages import Lowered, Stage
from neurodeploy.simulator import Run, simulate
from neurodeploy.simulator.machine import Ints

#: How many of the shift combinations with the smallest expected error are simulated on the calibration data.
TRIED = 3
#: How many calibration samples these simulations take, spread evenly over those given.
SAMPLES = 48
#: Shares of the largest weight that may reach the end of the register; tried on the calibration data.
FULL_SCALES = (0.8, 0.65)
#: Factors on the scale that keeps every state seen off the rails; tried on the calibration data until one is no gain.
REACHES = (2.0, 4.0, 8.0, 16.0, 32.0)
#: Then tried around the best of them.
FINER = (0.7, 1.4)
#: How much larger the shifts may become from one such factor to the next.
MORE_SHIFT = 2
#: What clips weights or touches rails must lower the count error by this factor to be taken.
MUST_GAIN = 0.95


@dataclass(frozen=True)
class Trial:
    """The part of the calibration data that candidates are compared on.

    counts : (time, batch, channel) input
    wanted : layer -> (batch, neuron) event totals of the float model
    """

    counts: Ints
    wanted: Mapping[str, Floats]


def trial_of(lowered: Lowered, counts: Ints, activity: Activity) -> Trial:
    """Calibration samples for the search, evenly spread, with what the float model did on them."""
    samples = np.unique(np.linspace(0, counts.shape[1] - 1, min(SAMPLES, counts.shape[1])).round().astype(np.int64))
    totals = {s.name: wanted_counts(s, activity)[samples] for s in lowered.stages}
    return Trial(counts[:, samples], totals)


def wanted_counts(stage: Stage, activity: Activity) -> Floats:
    """(batch, neuron) event totals of the float model, as far as the chip has had the time for them.

    Where the model states no delay the chip's layer runs later than the model's: the last steps of the float model
    are then still to come on the chip.
    """
    events, late = activity.counts[stage.name], stage.late
    return np.asarray(events[: max(len(events) - late, 0)].sum(axis=0))


def count_error(run: Run, stage: Stage, wanted: Floats) -> float:
    """Sum of absolute differences of event totals per neuron and sample, relative to the float total."""
    integer = run.counts[stage.name].sum(axis=0)
    return float(np.abs(integer - wanted).sum() / max(wanted.sum(), 1.0))


def settle(lowered: Lowered, rooms: Mapping[str, Room], trial: Trial | None) -> Choice:
    """Choose shifts and scales for every stage; without calibration data by the expected rounding error alone."""
    choice = Choice()
    for index in range(len(lowered.stages)):
        choice = _Search(lowered, rooms, trial, index, choice).best()
    return choice


@dataclass
class _Search:
    """The search for one stage. Those before are settled, and with them the shifts of the kinds that they use."""

    lowered: Lowered
    rooms: Mapping[str, Room]
    trial: Trial | None
    index: int
    settled: Choice
    known: dict[tuple[object, ...], float] = field(default_factory=dict)

    @property
    def stage(self) -> Stage:
        return self.lowered.stages[self.index]

    def best(self) -> Choice:
        options = [replace(self.settled, shifts=s) for s in shift_choices(self.stage, self.settled.shifts)]
        ranked = sorted(options, key=self.expected)
        if self.trial is None:
            return next((option for option in ranked if self.network(option) is not None), ranked[0])
        tried = [(self.error(option), option) for option in ranked[:TRIED]]
        least, best = min(tried, key=lambda pair: pair[0])
        for reach in REACHES:
            option = self.with_reach(best, reach)
            error = self.error(option)
            if error < least * MUST_GAIN:
                least, best = error, option
            elif least < np.inf:  # as long as registers have faults, larger scales may still help
                break
        for option in self.variants(best):
            error = self.error(option)
            if error < least * MUST_GAIN:
                least, best = error, option
        return best

    def variants(self, best: Choice) -> list[Choice]:
        """Scales a little smaller and larger, and clipped weights; each alone."""
        name, reach = self.stage.name, best.reach.get(self.stage.name, 1.0)
        finer = [replace(best, reach={**best.reach, name: reach * factor}) for factor in FINER]
        return finer + [replace(best, full={**best.full, name: full}) for full in FULL_SCALES]

    def with_reach(self, best: Choice, reach: float) -> Choice:
        """The best shifts for another factor on the scale; they can only grow with it."""
        start = replace(best, reach={**best.reach, self.stage.name: reach})
        options = [
            replace(start, shifts=shifts)
            for shifts in shift_choices(self.stage, self.settled.shifts)
            if all(best.shifts[k] <= shift <= best.shifts[k] + MORE_SHIFT for k, shift in shifts.items())
        ]
        return min(options, key=self.expected)

    def expected(self, option: Choice) -> float:
        """Rounding error to expect in this stage, and at best in the later ones that share a shift with it."""
        total = expected_error(self.stage, option, self.rooms[self.stage.name])
        fresh = {e.kind.name for e in self.stage.edges} - set(self.settled.shifts)
        for later in self.lowered.stages[self.index + 1 :]:
            if fresh & {e.kind.name for e in later.edges}:
                rest = (replace(option, shifts=shifts) for shifts in shift_choices(later, option.shifts))
                total += min(expected_error(later, choice, self.rooms[later.name]) for choice in rest)
        return total

    def network(self, option: Choice) -> Network | None:
        return build_network(self.lowered, option, self.rooms, until=self.index + 1, dt_s=None)[0]

    def error(self, option: Choice) -> float:
        """Count error of this stage on the trial data; infinite where its registers have faults."""
        if self.trial is None:
            return 0.0
        scale = scale_of(self.stage, option, self.rooms[self.stage.name])
        key = (*sorted(option.shifts.items()), scale.tobytes())
        if key not in self.known:
            network, wanted = self.network(option), self.trial.wanted[self.stage.name]
            run = None if network is None else simulate(place_identity(network), self.trial.counts, drain=0)
            self.known[key] = np.inf if run is None else count_error(run, self.stage, wanted)
        return self.known[key]
