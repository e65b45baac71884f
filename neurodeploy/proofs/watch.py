"""A simulation that says where a rail acts: the marked texts over the NumPy table, sample by sample."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import Handler
from neurodeploy.chips.compile import GIVEN_ARRIVING
from neurodeploy.errors import Refusal
from neurodeploy.network import Network
from neurodeploy.proofs.boxes import Ints
from neurodeploy.proofs.rails import Rail, marked
from neurodeploy.simulator import simulate
from neurodeploy.simulator.event_engine import EventEngine
from neurodeploy.simulator.executors import NumpyExecutor, States, Widths, names_of
from neurodeploy.simulator.footprints import assemble_events
from neurodeploy.simulator.machine import Lane, lanes_of
from neurodeploy.simulator.stimulus import expand
from neurodeploy.step import PYTHON, Interval, Text, assigned, run

Mask = npt.NDArray[np.bool_]


class _StopError(Exception):
    """No time is left for a simulation."""


@dataclass(frozen=True)
class Hit:
    """A rail that acted.

    step, sample : of the simulation, counted from 0
    group, neuron, state : whose number was cut
    where, line : text and line of it
    kind, value, limits : of the rail, what came to it, and where it does not act
    """

    step: int
    sample: int
    group: str
    neuron: int
    state: str
    where: str
    line: str
    kind: str
    value: int
    limits: Interval

    def __str__(self) -> str:
        came = {
            "clip": f"clip cuts {self.value}",
            "turn": "a turn is taken",
        }.get(self.kind, f"{self.value} comes to {self.kind} ({self.limits})")
        return f"neuron {self.neuron} at step {self.step}: {came} in {self.where}, line: {self.line}"


class Watch(NumpyExecutor):
    """The NumPy executor, which also remembers the first time that each state of each neuron is cut.

    first : (neuron kind, state, position) -> step, sample and what happened
    """

    name = "watching"

    def __init__(self) -> None:
        self.first: dict[tuple[str, str, int], tuple[int, int, str, str, Rail, int]] = {}
        self.step = 0
        self._cut: dict[tuple[str, str], Mask] = {}
        self._broken: Mask | None = None  # samples in which a text has left a register: nothing counts after that
        self._marked: dict[tuple[int, str], tuple[Handler, Text, tuple[Rail, ...]]] = {}

    def _run(
        self,
        handler: Handler,
        lane: Lane,
        widths: Widths,
        states: States,
        columns: Any,
        at: Any,
        given: Mapping[str, Any],
    ) -> None:
        text, rails = self._text(handler, lane)
        shape = next(np.shape(values[at]) for values in states.values())
        environment = {**names_of(handler, lane, states, columns, at), **given}
        run(text.statements, environment, self.table)
        batch, size = next(iter(states.values())).shape
        self._broken = np.zeros(batch, bool) if self._broken is None else self._broken
        places = _places(columns, at, batch, size)
        for rail in rails:
            self._look(handler, lane, rail, np.broadcast_to(environment[rail.name], shape), places)
        new = {n: np.array(np.broadcast_to(environment[n], shape)) for n in handler.writes}
        for name, value in new.items():
            register = widths[name].interval
            self._look(handler, lane, self._register(handler, lane, name, register), value, places)
            states[name][at] = np.clip(value, *register)

    def meet(
        self,
        handler: Handler,
        lane: Lane,
        states: Mapping[str, Ints],
        slots: Ints,
        given: Mapping[str, Ints | int],
        *,
        once: bool,  # noqa: ARG002 - one after the other anyway
    ) -> Ints:
        """See Meeting: where events drive the chip, one neuron after the other."""
        text, rails = self._text(handler, lane)
        if self._broken is None:
            self._broken = np.zeros(len(next(iter(states.values()))) // lane.size, bool)
        fired = []
        for number, slot in enumerate(slots.tolist()):
            sample, position = divmod(slot, lane.size)
            environment: dict[str, Any] = {n: int(v[position]) for n, v in lane.parameters.items()}
            environment |= {n: int(v if isinstance(v, int) else v[number]) for n, v in given.items()}
            environment |= {n: int(v[slot]) for n, v in states.items()} | {GIVEN_ARRIVING: 1}
            run(text.statements, environment, PYTHON)
            place = np.array([sample]), np.array([position])
            ends = [self._register(handler, lane, name, lane.kind.states[name].interval) for name in handler.writes]
            for rail in (*rails, *ends):
                if environment[rail.name] not in rail.limits:
                    self._look(handler, lane, rail, np.array([[environment[rail.name]]]), place)
            for name in handler.writes:
                states[name][slot] = np.clip(environment[name], *lane.kind.states[name].interval)
            if handler.emits and environment[handler.emits] == 1:
                fired.append(number)
        return np.array(fired, np.int64)

    @staticmethod
    def _register(handler: Handler, lane: Lane, name: str, register: Interval) -> Rail:
        """What a text must not leave, as a rail; that of an accumulator is of all states that it may go into."""
        owners = (name,) if name in lane.kind.states else tuple(sorted(lane.kind.states))
        return Rail(
            name, "register", max(a.line for a in assigned(handler.text.statements) if a.name == name), owners, register
        )

    def _text(self, handler: Handler, lane: Lane) -> tuple[Text, tuple[Rail, ...]]:
        key = (id(handler), lane.kind.name)
        if key not in self._marked:
            found = marked(handler.text, {n: s.interval for n, s in lane.kind.states.items()})
            self._marked[key] = (handler, *found)
        return self._marked[key][1:]

    def _look(self, handler: Handler, lane: Lane, rail: Rail, values: Ints, places: tuple[Ints, Ints]) -> None:
        cut = (values < rail.limits.low) | (values > rail.limits.high)
        if self._broken is None or not cut.any():
            return
        samples, positions = places
        cut &= ~self._broken[samples][:, None]
        line = handler.text.line(rail.line) if rail.line else ""
        for state in rail.states or tuple(sorted(handler.writes)):
            known = self._cut.setdefault((lane.kind.name, state), np.zeros(lane.size, bool))
            for j in np.flatnonzero(cut.any(axis=0) & ~known[positions]):
                i, position = int(np.argmax(cut[:, j])), int(positions[j])
                known[position] = True
                found = (self.step, int(samples[i]), handler.text.where, line, rail, int(values[i, j]))
                self.first[lane.kind.name, state, position] = found
        if rail.kind == "register":
            self._broken[samples[cut.any(axis=1)]] = True


def _places(columns: Any, at: Any, batch: int, size: int) -> tuple[Ints, Ints]:
    """Samples and positions of the rows and columns of what was run."""
    samples = np.arange(batch) if isinstance(at[0], slice) else np.asarray(at[0]).reshape(-1)
    return samples, np.arange(size)[columns]


def watch(network: Network, counts: Mapping[str, Ints], time_left: Callable[[], bool] = lambda: True) -> list[Hit]:
    """Simulate from a reset and return the first cut of each state of each neuron.

    counts : input group -> (time, batch, channel)
    time_left : asked after each step; where it says no, the rest is not simulated
    """
    watching = Watch()

    def count(step: int) -> None:
        watching.step = step + 1
        if not time_left():
            raise _StopError

    with suppress(_StopError):
        if network.chip.event_driven:
            _watch_events(network, counts, watching, count)
        else:
            simulate(network, counts, executor=watching, progress=count, drain=0, keep=[])
    owner = _owners(network)
    hits = [
        Hit(step, sample, *owner[kind, position], state, where, line, rail.kind, value, rail.limits)
        for (kind, state, position), (step, sample, where, line, rail, value) in watching.first.items()
    ]
    return sorted(hits, key=lambda h: (h.step, h.group, h.state, h.neuron))


def _watch_events(network: Network, counts: Mapping[str, Ints], watching: Watch, count: Callable[[int], None]) -> None:
    machine = assemble_events(network, None)
    engine = EventEngine(machine, expand(counts, network.inputs()), executor="reference")
    engine.meet = watching.meet
    for t in range(len(next(iter(counts.values())))):
        try:
            engine.step()
        except Refusal:  # the queue is full, or activity never ends: what came before has happened
            return
        count(t)


def _owners(network: Network) -> dict[tuple[str, int], tuple[str, int]]:
    """(neuron kind, position) -> group and neuron."""
    lanes = lanes_of(network)
    return {
        (g.kind, int(position)): (g.name, neuron)
        for g in network.groups
        for neuron, position in enumerate(lanes[g.kind].slices[g.name])
    }


def first_hit(network: Network, counts: Mapping[str, Ints], wanted: Hit) -> Hit | None:
    """Replay the input of a hit, one sample, and return the same place if it is cut there again."""
    for hit in watch(network, counts):
        if replace(hit, sample=wanted.sample) == wanted:
            return hit
    return None
