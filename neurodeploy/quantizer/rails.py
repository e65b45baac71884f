"""Rails: an executor that notices where a register was too narrow, and how near the states came to its end."""

from collections.abc import MutableMapping
from typing import Any

import numpy as np

from neurodeploy.chips import Handler, Phase
from neurodeploy.network import Network
from neurodeploy.quantizer.decays import Floats
from neurodeploy.simulator import Engine
from neurodeploy.simulator.executors import NumpyExecutor, States
from neurodeploy.simulator.machine import Ints, Lane
from neurodeploy.step import NUMPY
from neurodeploy.step.tree import Statement


class Watch(NumpyExecutor):
    """The NumPy executor, which also notes every value that a saturation or a wrap changed, inside a step too.

    Pass ``executor=watch, observer=watch.look, progress=watch.end_step`` to ``simulate``.

    hits : neuron kind -> (neuron,) in how many (step, sample) cells a ``sat`` or ``wrap`` changed a value
    reach : neuron kind -> state -> (neuron,) largest value after any phase, as a share of the register's end
    """

    name = "numpy"

    def __init__(self) -> None:
        self.table = NUMPY | {"sat": self._noting("sat"), "wrap": self._noting("wrap"), "guard": self._guard}
        self.hits: dict[str, Ints] = {}
        self.reach: dict[str, dict[str, Floats]] = {}
        self._cells: dict[str, np.ndarray[Any, np.dtype[np.bool_]]] = {}  # kind -> (batch, neuron) hit in this step
        self._changed: Any = False  # where the handler that is running changed a value

    def _noting(self, operator: str) -> Any:
        def note(x: Any, bits: int) -> Any:
            result = NUMPY[operator](x, bits)
            self._changed = self._changed | (result != x)
            return result

        return note

    def _guard(
        self, condition: Any, body: tuple[Statement, ...], environment: MutableMapping[str, Any], table: Any
    ) -> None:
        before, self._changed = self._changed, False
        NUMPY["guard"](condition, body, environment, table)
        self._changed = before | (self._changed & condition)  # the body was computed everywhere

    def _run(
        self, handler: Handler, lane: Lane, widths: Any, states: States, columns: Any, at: Any, given: Any
    ) -> None:
        self._changed = False
        super()._run(handler, lane, widths, states, columns, at, given)
        if np.any(self._changed):
            batch = next(iter(states.values())).shape[0]
            cells = self._cells.setdefault(lane.kind.name, np.zeros((batch, lane.size), bool))
            cells[at] = cells[at] | self._changed

    def look(self, _step: int, phase: Phase, engine: Engine) -> None:
        """Observer of a simulation: note how far the states of the phase's neurons are from the ends."""
        chip = engine.machine.chip
        name = phase.neuron or chip.connections[phase.name].target
        found = self.reach.setdefault(name, {})
        for state, entry in chip.neurons[name].states.items():
            if state != chip.neurons[name].emits:
                share = share_of_register(engine.states[name][state], entry.interval).max(axis=0, initial=0.0)
                found[state] = np.maximum(found.get(state, share), share)

    def end_step(self, _step: int) -> None:
        """Progress of a simulation: count the cells of the step that ended."""
        for name, cells in self._cells.items():
            self.hits[name] = self.hits.get(name, np.zeros(cells.shape[1], np.int64)) + cells.sum(axis=0)
            cells[:] = False

    def hits_of(self, network: Network, group: str) -> int:
        """Hits of one group of the network that was simulated."""
        kind, at = _place(network, group)
        return int(self.hits[kind][at].sum()) if kind in self.hits else 0

    def reach_of(self, network: Network, group: str, state: str) -> float:
        """Largest share of a register that a state of one group reached."""
        kind, at = _place(network, group)
        return float(self.reach[kind][state][at].max(initial=0.0))


def share_of_register(values: Ints, interval: tuple[int, int]) -> Floats:
    """How much of the way from 0 to the end of a register its values take, on their side."""
    low, high = interval
    return np.maximum(values / high, values / low if low < 0 else 0.0)


def _place(network: Network, name: str) -> tuple[str, Ints]:
    """Kind of a group and the positions of its neurons among all of the kind, in ascending hardware id."""
    group = network.group(name)
    ids = np.sort(np.concatenate([g.ids for g in network.of_kind(group.kind) if g.ids is not None]))
    return group.kind, np.searchsorted(ids, group.ids if group.ids is not None else ids)
