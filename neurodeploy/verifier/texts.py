"""Step texts as the verifier reads them: run line by line, and asked which line assigns a state."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from neurodeploy.chips import Chip, Handler, Phase
from neurodeploy.chips.schema import StateEntry
from neurodeploy.network import Network
from neurodeploy.simulator.executors import positions
from neurodeploy.simulator.machine import Ints, Lane, Part, Row
from neurodeploy.step import PYTHON, Assign, Guard, Text, assigned, evaluate


@dataclass(frozen=True)
class Piece:
    """One text, run once on one neuron.

    kind, neuron : neuron kind and position among it
    row : the synapses of the source whose event arrived, None where no event did
    turn : how many handlers ran on neurons before it in this phase: with sums, which delivery it belongs to
    given : every number that the text could read, before its first line
    values : (line, name, value) of every assignment that was executed, in order
    """

    handler: Handler
    kind: str
    neuron: int
    row: Row | None
    given: Mapping[str, int]
    turn: int = 0
    values: list[tuple[int, str, int]] = field(default_factory=list)

    def follow(self, statements: tuple[Assign | Guard, ...], environment: dict[str, int]) -> None:
        """Run statements over the Python table, one line at a time."""
        for statement in statements:
            if isinstance(statement, Guard):
                if evaluate(statement.condition, environment, PYTHON):
                    self.follow(statement.body, environment)
            else:
                environment[statement.name] = evaluate(statement.value, environment, PYTHON)
                self.values.append((statement.line, statement.name, environment[statement.name]))


class FollowingExecutor:
    """An executor for one sample that runs the reference and keeps every piece."""

    name = "following"

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.turn = 0

    def clear(self) -> None:
        """Forget the phase that is over."""
        self.pieces.clear()
        self.turn = 0

    def handle(
        self,
        handler: Handler,
        lane: Lane,
        widths: Mapping[str, StateEntry],
        states: Mapping[str, Ints],
        part: Part,
        given: Mapping[str, Ints | int],
    ) -> None:
        """See Executor."""
        for neuron in positions(part):
            here = {n: v if isinstance(v, int) else int(v[0, neuron]) for n, v in given.items()}
            given_here = self._environment(lane, states, neuron, here)
            self._run(Piece(handler, lane.kind.name, neuron, None, given_here, self.turn), widths, states)
        self.turn += 1

    def deliver(
        self,
        handler: Handler,
        lane: Lane,
        widths: Mapping[str, StateEntry],
        states: Mapping[str, Ints],
        row: Row,
        given: Mapping[str, Ints | int],
        arriving: Ints,
    ) -> None:
        """See Executor."""
        if arriving[0] == 0:
            return
        for synapse, neuron in enumerate(row.targets.tolist()):
            here = {n: int(v[synapse]) for n, v in row.fields.items()}
            here |= {n: int(v) for n, v in given.items()} | {"arriving": int(arriving[0])}
            given_here = self._environment(lane, states, neuron, here)
            self._run(Piece(handler, lane.kind.name, neuron, row, given_here, self.turn), widths, states)

    @staticmethod
    def _environment(lane: Lane, states: Mapping[str, Ints], neuron: int, here: dict[str, int]) -> dict[str, int]:
        parameters = {n: int(v[neuron]) for n, v in lane.parameters.items()}
        return parameters | here | {n: int(v[0, neuron]) for n, v in states.items()}

    def _run(self, piece: Piece, widths: Mapping[str, StateEntry], states: Mapping[str, Ints]) -> None:
        environment = dict(piece.given)
        piece.follow(piece.handler.text.statements, environment)
        for name in widths:
            states[name][0, piece.neuron] = environment[name]
        self.pieces.append(piece)


def first_for_good(
    first: Mapping[tuple[int, ...], int], second: Mapping[tuple[int, ...], int], start: tuple[int, int]
) -> tuple[int, ...] | None:
    """Where two courses of a value, keyed by order of execution, part and stay apart; None if they end equal."""
    x, y = start
    parted = None
    for key in sorted({*first, *second}):
        x, y = first.get(key, x), second.get(key, y)
        if x == y:
            parted = None
        elif parted is None:
            parted = key
    return parted


def phase_texts(chip: Chip, phase: Phase, kind: str) -> Iterator[tuple[bool, Text]]:
    """Texts of a phase that run on a neuron kind; True for the kind's own handler, False for a connection's."""
    if phase.neuron == kind:
        yield True, chip.neurons[kind].handlers[phase.handler].text
    for name in phase.connections:
        connection = chip.connections[name]
        if connection.target == kind:
            yield from ((False, h.text) for h in (connection.on_input, connection.on_sum) if h is not None)


def depths(network: Network) -> dict[str, int]:
    """Group -> least number of connections from an input; groups that no input reaches have none."""
    found = {g.name: 0 for g in network.inputs()}
    for _ in network.groups:
        for p in network.projections:
            if p.source in found and found[p.source] + 1 < found.get(p.target, len(network.groups) + 1):
                found[p.target] = found[p.source] + 1
    return found


def writer(chip: Chip, kind: str, state: str, phases: Sequence[Phase] | None = None) -> tuple[int, Text | None]:
    """The last phase whose own handler of a neuron kind assigns a state, else the last connection that does.

    Where events drive the chip, connections come first: what a tick does there is a leak.
    """
    found = [
        # a tick only adds a leak: where events drive the chip, they are what writes
        (own != chip.event_driven, index, text)
        for index, phase in enumerate(chip.schedule)
        if phases is None or phase in phases
        for own, text in phase_texts(chip, phase, kind)
        if any(s.name == state for s in assigned(text.statements))
    ]
    if not found:
        return len(chip.schedule), None
    _, index, text = max(found, key=lambda entry: entry[:2])
    return index, text


def place_of(text: Text, line: int) -> tuple[str, str]:
    """A line of a text, and where it stands."""
    return text.line(line), f"{text.where}, line {line}"


def last_assignment(text: Text | None, state: str) -> int:
    """Number of the last line of a text that assigns a state, 0 without a text."""
    return 0 if text is None else [s.line for s in assigned(text.statements) if s.name == state][-1]


def last_line(text: Text | None, state: str) -> tuple[str, str]:
    """The last line of a text that assigns a state, and where it stands."""
    return ("", "") if text is None else place_of(text, last_assignment(text, state))


def notes_on_texts(first: Text, second: Text) -> list[str]:
    """The first line that two texts have different."""
    if first.statements == second.statements:
        return []
    for number, (x, y) in enumerate(zip(_lines(first), _lines(second), strict=False), 1):
        if x != y:
            return [f"the texts differ: line {number} is {x!r} against {y!r}"]
    if len(_lines(first)) != len(_lines(second)):
        return [f"the texts differ: {len(_lines(first))} lines against {len(_lines(second))}"]
    return ["the texts call functions that the two chips define differently"]


def notes_on_numbers(first: Piece, second: Piece, line: int) -> list[str]:
    """Configured or given numbers, read up to a line, that differ."""
    read = set(re.findall(r"[a-z][a-z0-9_]*", "\n".join(_lines(first.handler.text)[:line])))
    states = {name for piece in (first, second) for _, name, _ in piece.values}
    both = (n for n in first.given if n in second.given and n in read - states)
    return [f"{n} is {first.given[n]} against {second.given[n]}" for n in both if first.given[n] != second.given[n]]


def _lines(text: Text) -> list[str]:
    return [text.line(n) for n in range(1, len(text.source.splitlines()) + 1)]
