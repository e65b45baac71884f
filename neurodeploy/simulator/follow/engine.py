"""The engine whose events compiled code follows."""

from collections.abc import Sequence

import numpy as np

from neurodeploy.chips import Phase
from neurodeploy.errors import Fault, Refusal
from neurodeploy.simulator import event_engine
from neurodeploy.simulator.event_engine import TICK, EventEngine
from neurodeploy.simulator.follow.layout import Layout
from neurodeploy.simulator.follow.runner import Followed, Runner, Stopped, Stored
from neurodeploy.simulator.follow.source import Stop
from neurodeploy.simulator.footprints import EventMachine
from neurodeploy.simulator.machine import Ints
from neurodeploy.simulator.run import Snapshot
from neurodeploy.simulator.stimulus import Stimulus


class FollowEngine(EventEngine):
    """An EventEngine that leaves events and ticks to a Runner; equal to it in every bit.

    Where a text leaves a register, the reference takes the events of that sample again and says what it finds.
    """

    def __init__(
        self,
        machine: EventMachine,
        stimulus: Stimulus,
        *,
        layout: Layout,
        executor: str,
        order: str | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        self._wide: dict[str, dict[str, Ints]] | None = None
        super().__init__(machine, stimulus, executor=executor, order=order, snapshot=snapshot)
        newest, patience = self.order == "depth", event_engine.SETTLED_AFTER
        self.runner = Runner(layout, self.batch, self.states, newest=newest, patience=patience)

    @property
    def states(self) -> dict[str, dict[str, Ints]]:
        """Neuron kind -> state -> (batch, neuron)."""
        if self._wide is None:
            self._wide = self.runner.wide(self.runner.states)
        return self._wide

    @states.setter
    def states(self, states: dict[str, dict[str, Ints]]) -> None:
        self._wide = states

    def took(self, steps: int) -> None:
        """Note that the runner has taken steps on its own."""
        self.step_number += steps
        self.taken += steps
        self._wide = None

    def _arrive(self, group: Ints, sample: Ints, position: Ints, cause: Ints) -> None:
        kinds = [g.kind for g in self.machine.network.inputs()]
        self._run(kinds, group, sample, position, cause, together=False)

    def _tick(self, phase: Phase) -> None:
        before = self.runner.kept()
        found = self.runner.tick(phase)
        self._wide = None
        if found is None:
            self.states = self.runner.wide(before)
            super()._tick(phase)
            raise _unequal()
        self._ticked(phase, *found)

    def _ticked(self, phase: Phase, sample: Ints, position: Ints) -> None:
        cause = np.full(len(sample), TICK)
        self._keep(phase.neuron, sample, cause, position)
        self._run([phase.neuron], np.zeros(len(sample), np.int64), sample, position, cause, together=True)

    def _run(
        self, kinds: Sequence[str], kind: Ints, sample: Ints, position: Ints, cause: Ints, *, together: bool
    ) -> None:
        """Follow events of neurons; refuse as the engine itself does, for the first sample that cannot go on.

        kind : (event,) number in kinds
        """
        if not len(sample):
            return
        before, done = self.runner.kept(), list[Followed]()
        roots = np.empty(len(sample), np.uint32)
        for i, name in enumerate(kinds):
            roots[kind == i] = self.runner.layout.number[name][position[kind == i]]
        self._wide = None
        for one in self.runner.follow_all(sample, roots, cause, together=together):
            if isinstance(one, Stopped):
                mine = sample == one.sample
                names = [kinds[i] for i in kind[mine].tolist()]
                raise self._refusal(one, before, names, position[mine], together=together)
            done.append(one)
            self.lost[one.sample] += one.lost
            self.meetings[one.sample] += one.meetings
        for made in self.runner.located(done):
            self._keep(*made)

    def _refusal(
        self, stopped: Stopped, before: Stored, kinds: Sequence[str], position: Ints, *, together: bool
    ) -> Refusal:
        """What the engine itself says; kinds and position are those of the events that the sample began with."""
        if stopped.code == Stop.FULL:
            return self._full(self.machine.chip.file.schedule.depth)
        if stopped.code == Stop.UNSETTLED:
            return self._unsettled(stopped.sample)
        self.states = self.runner.wide(before)
        if together:
            self._follow(stopped.sample, kinds[0], position.tolist(), TICK)
        else:
            for name, at in zip(kinds, position.tolist(), strict=True):
                self._follow(stopped.sample, name, [at], TICK)
        return _unequal()


def _unequal() -> Refusal:
    was = "compiled code left a register that the reference does not leave"
    todo = 'report this with the network, and use executor = "reference"'
    return Refusal(Fault("ND1303", "executor 'numba'", was, "equal in every bit", todo))
