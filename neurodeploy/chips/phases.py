"""The phases of a step, as the schedule of a chip file lists them; and what is wrong with the list."""

from collections.abc import Collection, Iterator, Sequence

from neurodeploy.chips.chip import Phase
from neurodeploy.chips.event_driven import EVENTS, Complaint, queue_faults
from neurodeploy.chips.schema import ChipFile

_WHERE = "schedule.step"


def phases_of(file: ChipFile, handlers: Sequence[str]) -> tuple[tuple[Phase, ...], list[Complaint]]:
    """Phases in order, and all faults. handlers : "KIND.HANDLER" of every handler of the file."""
    driven = file.schedule.kind == "event"
    found = list(queue_faults(file.schedule))
    phases = tuple(_phase(file, entry) for entry in file.schedule.step)
    seen = [p.name for p in phases] if driven else [name for entry in file.schedule.step for name in entry]
    known = (EVENTS, *handlers) if driven else (*handlers, *file.connection)
    for entry in file.schedule.step:
        found += _event_faults(entry, known) if driven else _clocked_faults(file, entry, handlers)
    for name in known:
        if seen.count(name) != 1:
            times = "is missing" if name not in seen else f"stands {seen.count(name)} times"
            found.append((_WHERE, f"phase {name!r} {times}", "each handler and connection stands once"))
    found += _period_faults(file, {p.name for p in phases} - {EVENTS})
    return phases, found


def _phase(file: ChipFile, entry: tuple[str, ...]) -> Phase:
    first, *inner = entry
    neuron, _, handler = first.partition(".")
    every = file.schedule.every.get(first)
    if file.schedule.kind == "event":
        inside = tuple(file.connection) if first == EVENTS else ()
    else:
        inside = tuple(inner) if handler else (first,)
    return Phase(first, neuron if handler else "", handler, inside, every)


def _event_faults(entry: tuple[str, ...], known: Collection[str]) -> Iterator[Complaint]:
    """An event-driven step has one phase for all events, and handlers that ticks run."""
    if entry[0] not in known:
        yield _WHERE, f"phase = {entry[0]!r}", f"one of {', '.join(known)}"
    if len(entry) > 1:
        yield _WHERE, f"phase {list(entry)}", "one phase: events deliver at once"


def _clocked_faults(file: ChipFile, entry: tuple[str, ...], handlers: Sequence[str]) -> Iterator[Complaint]:
    """A clocked step has handlers, connections, and scans that deliver inside."""
    first, *inner = entry
    neuron, _, handler = first.partition(".")
    if handler and first not in handlers:
        yield _WHERE, f"phase = {first!r}", f"one of {', '.join(handlers)}"
    elif inner and not handler:
        yield _WHERE, f"phase {list(entry)}", "a neuron scan first, connections inside it"
    for name in inner if handler else [first]:
        connection = file.connection.get(name)
        if connection is None:
            yield _WHERE, f"phase = {name!r}", f"one of {', '.join(file.connection)}"
        elif handler and connection.source != (neuron,):
            yield _WHERE, f"{name!r} inside the scan of {neuron!r}", f"from = {neuron!r}"
        if handler and connection is not None and (connection.register_ or connection.on_sum):
            yield _WHERE, f"{name!r} inside a scan", "a connection with sums is a phase of its own"


def _period_faults(file: ChipFile, phases: Collection[str]) -> Iterator[Complaint]:
    for name, every in file.schedule.every.items():
        if name not in phases:
            yield "schedule.every", f"phase {name!r}", "a phase of schedule.step, not one inside a scan"
        if every.offset >= every.period:
            yield f"schedule.every.{name}", f"offset = {every.offset}", f"below the period {every.period}"
