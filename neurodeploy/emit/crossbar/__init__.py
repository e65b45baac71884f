"""Memory images, programming stream and events of cores that are one crossbar: written, and read back."""

from neurodeploy.emit.crossbar.answer import Answer, answer, write_answer
from neurodeploy.emit.crossbar.files import from_crossbar, read_crossbar, to_crossbar, write_crossbar
from neurodeploy.emit.crossbar.stream import event_words, transfers, write_events

__all__ = [
    "Answer",
    "answer",
    "event_words",
    "from_crossbar",
    "read_crossbar",
    "to_crossbar",
    "transfers",
    "write_answer",
    "write_crossbar",
    "write_events",
]
