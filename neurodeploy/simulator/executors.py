"""Executors that an engine steps: the reference, one neuron at a time, and the NumPy table over arrays."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from neurodeploy.chips import Handler
from neurodeploy.chips.schema import StateEntry
from neurodeploy.errors import Fault, TextAtFault
from neurodeploy.simulator.machine import Ints, Lane, Part, Row
from neurodeploy.step import NUMPY, PYTHON, Table, assigned, run

States = Mapping[str, Ints]  # state -> (batch, neuron), written in place
Widths = Mapping[str, StateEntry]


Given = Mapping[str, "Ints | int"]  # what a handler is given: one number for all, or (batch, neuron)


class Executor(Protocol):
    """Runs handlers on the neurons of a lane and deliveries on the synapses of a row, in place.

    widths : the registers that the handler may write, states and accumulators
    """

    name: str

    def handle(self, handler: Handler, lane: Lane, widths: Widths, states: States, part: Part, given: Given) -> None:
        """Run a handler on the neurons ``part`` of a lane."""

    def deliver(
        self, handler: Handler, lane: Lane, widths: Widths, states: States, row: Row, given: Given, arriving: Ints
    ) -> None:
        """Run ``on_input`` for each synapse of a row where ``arriving`` (batch,) is not 0."""


def check_width(handler: Handler, registers: Widths, name: str, low: int, high: int) -> None:
    """Raise TextAtFault where values from low to high leave the width of a register."""
    interval = registers[name].interval
    if low < interval.low or high > interval.high:
        line = [a for a in assigned(handler.text.statements) if a.name == name][-1].line
        value = low if low < interval.low else high
        raise TextAtFault(
            Fault(
                "ND1005",
                f"{handler.text.where}, line {line}: {handler.text.line(line)}",
                f"{name} = {value}",
                f"the register holds {interval}",
                "correct the text in chip.toml: it must saturate, wrap or bound this state",
                {"state": name, "value": value, "line": line},
            )
        )


def positions(part: Part) -> Iterable[int]:
    """Every position of a part, in order."""
    return range(part.start, part.stop) if isinstance(part, slice) else part.tolist()


class ReferenceExecutor:
    """The reference: plain integers, one neuron, one sample, one synapse at a time."""

    name = "reference"

    def handle(self, handler: Handler, lane: Lane, widths: Widths, states: States, part: Part, given: Given) -> None:
        """See Executor."""
        for batch in range(next(iter(states.values())).shape[0]):
            for neuron in positions(part):
                here = {n: v if isinstance(v, int) else int(v[batch, neuron]) for n, v in given.items()}
                self._run(handler, lane, widths, states, (batch, neuron), here)

    def deliver(
        self, handler: Handler, lane: Lane, widths: Widths, states: States, row: Row, given: Given, arriving: Ints
    ) -> None:
        """See Executor."""
        for batch, events in enumerate(arriving.tolist()):
            if events == 0:
                continue
            for synapse, neuron in enumerate(row.targets.tolist()):
                here = {name: int(values[synapse]) for name, values in row.fields.items()}
                here |= {name: int(value) for name, value in given.items()} | {"arriving": events}
                self._run(handler, lane, widths, states, (batch, neuron), here)

    @staticmethod
    def _run(
        handler: Handler, lane: Lane, widths: Widths, states: States, at: tuple[int, int], given: dict[str, int]
    ) -> None:
        needed = handler.reads | handler.writes
        environment = {name: int(values[at[1]]) for name, values in lane.parameters.items() if name in needed} | given
        environment |= {name: int(values[at]) for name, values in states.items() if name in needed}
        run(handler.text.statements, environment, PYTHON)
        for name in sorted(handler.writes):
            check_width(handler, widths, name, environment[name], environment[name])
            states[name][at] = environment[name]


def names_of(handler: Handler, lane: Lane, states: States, columns: Any, at: Any) -> dict[str, Any]:
    """Parameters and states that a handler reads or writes.

    columns, at : where the neurons stand in (neuron,) and in (batch, neuron)
    """
    needed = handler.reads | handler.writes
    found: dict[str, Any] = {n: values[columns] for n, values in lane.parameters.items() if n in needed}
    return found | {n: values[at] for n, values in states.items() if n in needed}


class NumpyExecutor:
    """The NumPy table over (batch, neuron) arrays; equal to the reference in every bit."""

    name = "numpy"
    table: Table = NUMPY

    def handle(self, handler: Handler, lane: Lane, widths: Widths, states: States, part: Part, given: Given) -> None:
        """See Executor."""
        here = {n: v if isinstance(v, int) else v[:, part] for n, v in given.items()}
        self._run(handler, lane, widths, states, part, (slice(None), part), here)

    def deliver(
        self, handler: Handler, lane: Lane, widths: Widths, states: States, row: Row, given: Given, arriving: Ints
    ) -> None:
        """See Executor."""
        active = np.flatnonzero(arriving)
        if not active.size:
            return
        targets = row.targets
        # a row of neighbours is a slice: views instead of copies
        dense = targets.size == targets[-1] - targets[0] + 1
        columns: Any = slice(int(targets[0]), int(targets[-1]) + 1) if dense else targets
        if active.size == arriving.size:
            at: Any = (slice(None), columns)
        else:
            at = (active, columns) if dense else np.ix_(active, targets)
        here = dict(row.fields) | dict(given) | {"arriving": arriving[active, None]}
        self._run(handler, lane, widths, states, columns, at, here)

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
        environment = {**names_of(handler, lane, states, columns, at), **given}
        run(handler.text.statements, environment, self.table)
        # a text that exchanges two states leaves views of what is about to be overwritten
        new = {
            n: v.copy() if getattr(v, "base", None) is not None else v
            for n, v in environment.items()
            if n in handler.writes
        }
        for name, value in new.items():
            if name in handler.unproved and np.size(value):
                check_width(handler, widths, name, int(np.min(value)), int(np.max(value)))
            states[name][at] = value


#: Executors that an engine steps.
STEPPING: Mapping[str, Executor] = {e.name: e for e in (NumpyExecutor(), ReferenceExecutor())}
