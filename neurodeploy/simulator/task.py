"""What is to be simulated: a network laid out, its input checked, every option settled."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from neurodeploy.network import Network
from neurodeploy.simulator.engine import Observer
from neurodeploy.simulator.footprints import EventMachine
from neurodeploy.simulator.inputs import own_input
from neurodeploy.simulator.machine import Ints, Machine
from neurodeploy.simulator.run import How, Run, Snapshot
from neurodeploy.simulator.stimulus import Stimulus, expand

Progress = Callable[[int], None]  # the step that has just ended


@dataclass(frozen=True)
class Task:
    """A simulation as every executor gets it.

    machine : a Machine for a clocked chip, an EventMachine where events drive it
    external : input kind -> (time, batch, neuron) counts, in ascending hardware id
    given : input group -> (time, batch, channel), the same counts as the user gave them
    steps : steps to take; those after the input are silent
    kept : groups whose counts are kept
    wanted : group -> states to keep at every step
    state : where to go on, None for a reset
    stimulus, order : where events drive the chip, the single events, and another queue than the chip file's
    device : where to compute; None is the executor's own choice
    memo : what executors keep of the network from one input to the next
    """

    network: Network
    machine: Machine | EventMachine
    external: Mapping[str, Ints]
    given: Mapping[str, Ints]
    steps: int
    batch: int
    latency: int
    kept: tuple[str, ...]
    wanted: Mapping[str, list[str]]
    state: Snapshot | None = None
    raw: bool = False
    stimulus: Stimulus | None = None
    order: str | None = None
    observer: Observer | None = None
    progress: Progress | None = None
    device: str | None = None
    memo: dict[str, object] = field(default_factory=dict)

    @property
    def schedule(self) -> str:
        """Sort of chip: "clocked" or "event"."""
        return "event" if isinstance(self.machine, EventMachine) else "clocked"

    @property
    def clocked(self) -> Machine:
        """The machine of a clocked chip."""
        if isinstance(self.machine, EventMachine):
            raise TypeError(self.machine.chip.name)
        return self.machine

    def events(self) -> Stimulus:
        """Single events of the input, where events drive the chip."""
        return expand(self.given, self.network.inputs()) if self.stimulus is None else self.stimulus

    def empty(self) -> tuple[dict[str, Ints], dict[str, dict[str, Ints]]]:
        """Arrays for what is kept: group -> (time, batch, neuron) counts, group -> state -> the same."""
        sizes = {g.name: (self.steps, self.batch, g.size) for g in self.network.groups}
        states = {g: {s: np.zeros(sizes[g], np.int64) for s in names} for g, names in self.wanted.items()}
        return {g: np.zeros(sizes[g], np.int64) for g in self.kept}, states

    def run(
        self,
        executor: str,
        counts: Mapping[str, Ints],
        states: Mapping[str, Mapping[str, Ints]],
        final: Snapshot,
        how: How | None = None,
    ) -> Run:
        """Result of this task.

        counts, states : as Run has them
        """
        return Run(
            self.network,
            counts,
            states,
            final,
            self.latency,
            executor,
            self.raw,
            self.given if self.stimulus is not None else own_input(self.network, self.given),
            self.state,
            how=how or How(),
        )
