"""A device made of the simulation and of a line to the host that loses, delays, doubles and reorders events."""

from dataclasses import dataclass, field

import numpy as np

from neurodeploy.devices import About, Answer, events_table
from neurodeploy.network import Network
from neurodeploy.simulator import shown, simulate


@dataclass
class SimulatedDevice:
    """Computes the network that it was given.

    lose, double : numbers of events, counted in the order of all events of a sample
    delay : number of an event -> steps
    swap : numbers of events that change places with the next one
    unfinished : how many runs it breaks off before it finishes one
    """

    network: Network
    lose: tuple = ()
    double: tuple = ()
    delay: dict = field(default_factory=dict)
    swap: tuple = ()
    unfinished: int = 0
    strange: int = 0
    stale: int = 0
    groups: tuple = ()
    states: bool = False
    grade: str = "silicon"
    again: bool = True
    log: list = field(default_factory=list)

    def about(self):
        return About("simulated:0", "stand-in board", "1.4", "stand-in 2.0", self.grade)

    def announce(self, samples):
        self.log.append(("announce", [s.id for s in samples]))

    def reset(self):
        self.log.append("reset")

    def close(self):
        self.log.append("close")

    def run(self, sample, timeout_s):
        self.log.append(("run", sample.id, sample.steps, timeout_s))
        given = {
            g: np.concatenate([v, np.zeros((sample.steps - len(v), v.shape[1]), np.int64)])[:, None]
            for g, v in sample.input.items()
        }
        every = [f"{g.name}.{s}" for g in self.network.groups for s in self.network.chip.neurons[g.kind].states]
        run = simulate(self.network, given, record=every, drain=0)
        inputs = {g.name for g in self.network.inputs()}
        groups = self.groups or tuple(g.name for g in self.network.groups if g.name not in inputs)
        number = {g.name: i for i, g in enumerate(self.network.groups)}
        rows = [
            (t, number[g], n, int(run.counts[g][t, 0, n]))
            for t in range(sample.steps)
            for g in groups
            for n in np.flatnonzero(run.counts[g][t, 0]).tolist()
        ]
        states = {g: {s: v[:, 0] for s, v in shown(self.network, g, run.states[g]).items()} for g in groups}
        broken = self.unfinished > 0 and not sample.id.startswith("warm-up")
        self.unfinished -= broken
        rows = self.line(rows[: len(rows) // 2] if broken else rows)
        held = states if self.states else {}
        return Answer(events_table(rows), groups, held, not broken, self.stale, self.strange)

    def line(self, rows):
        found = []
        for i, (step, group, neuron, count) in enumerate(rows):
            if i in self.lose:
                continue
            row = (step + self.delay.get(i, 0), group, neuron, count)
            found += [row, row] if i in self.double else [row]
        found.sort(key=lambda row: row[0])  # what the device sends later stands later
        for i in self.swap:
            found[i], found[i + 1] = found[i + 1], found[i]
        return found
