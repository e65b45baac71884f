"""What only chips have that events drive: a queue, scan orders, texts that make events; and what they have not."""

from collections.abc import Iterator

from neurodeploy.chips.schema import ChipFile, ConnectionEntry, NeuronEntry, ScheduleEntry
from neurodeploy.step import Assign, Interval, Text

EVENTS = "events"  # the phase that follows all input of a step to its end
SCAN_AXES = {"conv": ("f", "ky", "kx"), "dense": ("target",), "pairs": ("target",)}
BACKWARDS = "-"

Complaint = tuple[str, str, str] | tuple[str, str, str, str]  # where, was, must, what to do


def is_scan(scan: tuple[str, ...], pattern: str) -> bool:
    """Whether a scan order names each axis of a pattern once."""
    return sorted(axis.removeprefix(BACKWARDS) for axis in scan) == sorted(SCAN_AXES[pattern])


def scan_words(pattern: str) -> str:
    """What a scan order must be."""
    return f"each of {', '.join(SCAN_AXES[pattern])} once, the outermost loop first; a minus runs backwards"


def scan_faults(file: ChipFile, where: str, entry: ConnectionEntry, delay: str) -> Iterator[Complaint]:
    """Where events drive the chip a scan order is stated, sums and delays do not exist; else it is the reverse.

    delay : name of the synapse field that delays
    """
    if file.schedule.kind != "event":
        if entry.scan:
            yield where, f"scan = {list(entry.scan)}", 'it belongs to schedule.kind = "event"'
        return
    if not is_scan(entry.scan, entry.pattern):
        yield where, f"scan = {list(entry.scan)}", scan_words(entry.pattern)
    for name in [*entry.register_, *(["on_sum"] if entry.on_sum else []), *({delay} & {*entry.synapse})]:
        yield where, f"{name!r} where events drive the chip", "each event acts on its own, at once"


def emitter_faults(where: str, entry: NeuronEntry) -> Iterator[Complaint]:
    """A neuron kind emits under a name of its own; an input sends on what comes in and computes nothing."""
    if entry.emits in {*entry.state, *entry.param}:
        was = f"emits = {entry.emits!r}, which is a state or a parameter"
        yield where, was, "a name that texts set to 1 where they make an event"
    if entry.external and (entry.on or entry.state):
        was = f"{', '.join([*entry.on, *entry.state])} of an input"
        yield where, was, "no handler and no state: it sends on what comes in"


def emission_faults(where: str, text: Text, emits: str, values: Interval | None) -> Iterator[Complaint]:
    """What is emitted has a value after every run of a text, 0 or 1; values is None where ranges are not known."""
    if emits not in {s.name for s in text.statements if isinstance(s, Assign)}:
        yield where, f"{emits!r} is assigned only under a guard", "a value for every event", "assign 0 first"
    elif values is not None and not values.within(Interval(0, 1)):
        yield where, f"{emits} can be {values}", "0 or 1: an arriving event makes at most one event"


def queue_faults(entry: ScheduleEntry) -> Iterator[Complaint]:
    """Entries of the schedule that only one of the two sorts of chip has."""
    stated = sorted({"queue", "waits", "depth", "when_full"} & entry.model_fields_set)
    if entry.kind != "event" and stated:
        yield "schedule", f"{', '.join(stated)} on a clocked chip", 'kind = "event", or none of these: nothing waits'
    if entry.when_full == "drop" and entry.depth is None:
        yield "schedule", 'when_full = "drop" without a depth', "say how many events can wait"
