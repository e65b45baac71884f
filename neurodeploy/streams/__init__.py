"""Inputs longer than the memory: simulated piece by piece, from arrays, iterators and files."""

from neurodeploy.streams.files import SavedCounts, open_counts
from neurodeploy.streams.pieces import Source
from neurodeploy.streams.recordings import is_recording, recorded_steps
from neurodeploy.streams.runs import stream

__all__ = ["SavedCounts", "Source", "is_recording", "open_counts", "recorded_steps", "stream"]
