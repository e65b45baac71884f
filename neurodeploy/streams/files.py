"""Files of counts, read a piece at a time: an array of NumPy, or count data."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from neurodeploy import npz
from neurodeploy.errors import Fault, Refusal
from neurodeploy.events import Data, head_of


@dataclass(frozen=True)
class SavedCounts:
    """Counts (time, batch, ...) in a file; only the pieces that are asked for are read.

    head : labels, ids and the length of a step, with a single step of silence; None for a bare array, which has none
    """

    path: Path
    shape: tuple[int, ...]
    head: Data | None

    @property
    def steps(self) -> int:
        """Number of time steps."""
        return self.shape[0]

    @property
    def batch(self) -> int:
        """Number of samples."""
        return self.shape[1]

    def blocks(self, steps: int) -> Iterator[npt.NDArray[Any]]:
        """Arrays (time, batch, ...) one after the other, each of as many steps except the last.

        Raises Refusal ND1401 where the file turns out to be damaged.
        """
        if self.head is None:
            return npz.read_npy_blocks(self.path, steps)
        return npz.read_blocks(self.path, "input", steps)


def open_counts(path: str | os.PathLike[str]) -> SavedCounts:
    """Open a .npy array (time, batch, ...) or a count data file (.npz) without reading its counts.

    Raises Refusal: ND1401 for a file of another format, ND1402 for pickles, ND1301 for an array of another shape, and
    for count data as ``load_data`` does; ND1501 where its first axes are not time and batch.
    """
    file = Path(path)
    if file.suffix.lower() == ".npy":
        header = npz.read_npy_header(file)
        if len(header.shape) < 3 or header.dtype.kind not in "biu":
            was = f"shape {header.shape}, type {header.dtype}"
            raise Refusal(Fault("ND1301", str(file), was, "(time, batch, channel) whole numbers"))
        return SavedCounts(file, header.shape, None)
    head, shape = head_of(file)
    return SavedCounts(file, shape, head)
