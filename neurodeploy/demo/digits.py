"""The bundled handwritten digits as spike counts: real images, nothing is downloaded."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurodeploy.errors import missing_extra
from neurodeploy.events import Data, data, split_stratified

CHANNELS = 16
#: Events of a fully dark pixel in one step.
MAX_COUNT = 8
#: Steps that each row and column is shown.
HOLD = 2
#: Silent steps at the end, in which the network settles its answer.
SILENCE = 8
#: Long enough for the default clock of every target in the worst case.
DT_S = 4e-3
TEST_SHARE = 0.25


@dataclass(frozen=True)
class Digits:
    """Training and test data, disjoint, with every class in its share."""

    train: Data
    test: Data


def encode(images: NDArray[Any]) -> NDArray[np.uint8]:
    """(time, image, 16) counts of (image, 8, 8) values in 0..1.

    The image is scanned in both directions at once: in each step channels 0-7 carry a row, channels 8-15 a column.
    """
    both = np.concatenate([images, images.transpose(0, 2, 1)], axis=2)
    shown = np.rint(both * MAX_COUNT).astype(np.uint8).transpose(1, 0, 2).repeat(HOLD, axis=0)
    return np.concatenate([shown, np.zeros((SILENCE, *shown.shape[1:]), np.uint8)])


def images(classes: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Images (sample, 8, 8) in 0..1 and labels of the first ``classes`` digits; 1,797 for all ten."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise missing_extra("scikit-learn", "demo", "the demo's digit images") from None
    bunch = load_digits()
    kept = bunch.target < classes
    return bunch.images[kept] / 16.0, bunch.target[kept].astype(np.int64)


Encode = Callable[[NDArray[Any]], NDArray[np.uint8]]


def digits(classes: int, seed: int, encode: Encode = encode) -> Digits:
    """Stratified split; the quarter for the test is used for nothing else."""
    pictures, labels = images(classes)
    parts = split_stratified(labels, {"train": 1 - TEST_SHARE, "test": TEST_SHARE}, seed)
    counts = encode(pictures)
    whole = data(counts, layout="time,batch,channel", dt_s=DT_S, label=labels)
    return Digits(whole.subset(parts["train"]), whole.subset(parts["test"]))


class Shifts:
    """Augmentation: a training image moved by up to one pixel, in most batches' samples.

    Rebuilt from the images of the training samples alone.
    """

    def __init__(self, train: Data, classes: int, share: float = 0.5, *, encode: Encode = encode) -> None:
        pictures, _ = images(classes)
        own = np.asarray(train.sample_id, np.int64)
        padded = np.pad(pictures[own], ((0, 0), (1, 1), (1, 1)))
        moves = [(0, 1), (0, -1), (1, 0), (-1, 0)]
        moved = [encode(padded[:, 1 + a : 9 + a, 1 + b : 9 + b]) for a, b in moves]
        self.moved = torch.as_tensor(np.stack(moved).astype(np.float32))  # (move, time, sample, channel)
        self.share = share

    def __call__(self, x: torch.Tensor, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Replace a share of the samples (columns) by moved ones."""
        which = torch.randint(len(self.moved), chosen.shape, generator=generator)
        use = torch.rand(chosen.shape, generator=generator) < self.share
        steps = self.moved.shape[1]
        result = x.clone()
        result[:steps, use] = self.moved[which[use], :, chosen[use]].transpose(0, 1).to(x.dtype)
        return result
