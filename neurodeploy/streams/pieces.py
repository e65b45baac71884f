"""What a stream may be fed from, as pieces of input that follow each other in time."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import Fault, Refusal
from neurodeploy.events import Data, Events, stimulus
from neurodeploy.network import Group
from neurodeploy.simulator import Stimulus
from neurodeploy.streams.files import open_counts
from neurodeploy.streams.recordings import channels_of, is_recording, windows

#: group -> (time, batch, ...) counts, or single events
Piece = Mapping[str, npt.NDArray[Any]] | Stimulus
Given = npt.ArrayLike | Mapping[str, npt.ArrayLike] | Stimulus
Source = Given | Data | Events | str | os.PathLike[str] | Iterable[Given]
#: samples of a batch -> most steps of a piece
Most = Callable[[int], int]


def pieces_of(source: Source, groups: Sequence[Group], most: Most, dt_us: int | None) -> Iterator[Piece]:
    """Pieces of a source, none longer than allowed; files are opened at once, everything else when its turn comes."""
    timed = isinstance(source, Events) or (isinstance(source, str | os.PathLike) and is_recording(Path(source)))
    if timed != (dt_us is not None):
        was = "events without the length of a step" if timed else "dt_us for counts, which are binned already"
        todo = "dt_us=1000 bins them to milliseconds" if timed else "leave it out"
        raise Refusal(
            Fault("ND1303", "stream", was, "dt_us with Events and files of them, and with nothing else", todo)
        )
    if isinstance(source, str | os.PathLike):
        if dt_us is not None:
            return windows(Path(source), groups, dt_us, most(1))
        saved = open_counts(source)
        return (_named(block, groups) for block in saved.blocks(most(saved.batch)))
    if isinstance(source, Events):
        return _cut(stimulus(source, dt_us or 1, channels=channels_of(source.width, source.height, groups)), most)
    if isinstance(source, Data):
        source = source.input
    if isinstance(source, np.ndarray | Mapping | Stimulus):
        return _cut(_named(source, groups), most)
    if not isinstance(source, Iterable):
        must = "an array, a mapping, a Stimulus, Events, a path, or an iterable of pieces"
        raise Refusal(Fault("ND1301", "stream", f"a source of type {type(source).__name__}", must))
    return (part for given in source for part in _cut(_named(given, groups), most))


def batch_of(piece: Piece) -> int:
    """Samples of a piece."""
    return piece.batch if isinstance(piece, Stimulus) else _lengths(piece)[1]


def steps_of(piece: Piece) -> int:
    """Steps of a piece."""
    return piece.steps if isinstance(piece, Stimulus) else _lengths(piece)[0]


def nothing_of(piece: Piece) -> Piece:
    """No step of a piece: what the silent steps begin with."""
    return piece.between(0, 0) if isinstance(piece, Stimulus) else {n: a[:0].copy() for n, a in piece.items()}


def _named(given: Given, groups: Sequence[Group]) -> Piece:
    """A piece as the simulation takes it: an array is that of the first input group."""
    if isinstance(given, Stimulus):
        return given
    named = given if isinstance(given, Mapping) else {g.name: given for g in groups[:1]}
    try:
        return {n: a if isinstance(a, np.ndarray) else np.asarray(a) for n, a in named.items()}
    except ValueError:
        must = "an array, or one for each input group"
        raise Refusal(Fault("ND1301", "stream", "rows of different lengths", must)) from None


def _lengths(piece: Mapping[str, npt.NDArray[Any]]) -> tuple[int, int]:
    """Steps and samples of a piece.

    Raises Refusal ND1301 where its arrays have none or various ones.
    """
    found = {n: a.shape[:2] for n, a in piece.items()}
    shapes = set(found.values())
    if len(shapes) != 1 or len(min(shapes)) < 2:
        was = ", ".join(f"{n} of {a.shape}" for n, a in piece.items()) or "no array"
        raise Refusal(Fault("ND1301", "stream", was, "(time, batch, ...) arrays, equal in time and batch"))
    (shape,) = shapes
    return int(shape[0]), int(shape[1])


def _cut(piece: Piece, most: Most) -> Iterator[Piece]:
    """Parts of a piece that are no longer than allowed; no step is a part too."""
    steps, length = steps_of(piece), most(batch_of(piece))
    for start in range(0, max(steps, 1), length):
        stop = min(start + length, steps)
        if isinstance(piece, Stimulus):
            yield piece.between(start, stop)
        else:
            yield {n: a[start:stop] for n, a in piece.items()}
