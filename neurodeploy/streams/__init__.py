"""Inputs longer than the memory: simulated piece by piece, from arrays, iterators and files."""

from neurodeploy.streams.files import SavedCounts, open_counts
from neurodeploy.streams.pieces import Source
from neurodeploy.streams.runs import stream

__all__ = ["SavedCounts", "Source", "open_counts", "stream"]
