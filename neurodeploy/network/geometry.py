"""Geometry of a convolution: which source meets which target through which entry of the kernel."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurodeploy.archive import exactly
from neurodeploy.errors import Fault

Ints = npt.NDArray[np.int64]
Pair = tuple[int, int]


class Links(NamedTuple):
    """Synapses spelled out; each array is (synapse,).

    sources, targets : index inside the group
    entries : index of the kernel entry that the synapse shares
    """

    sources: Ints
    targets: Ints
    entries: Ints


@dataclass(frozen=True)
class Convolution:
    """A cross-correlation as torch.nn.Conv2d computes it; groups are flattened as (channel, row, column).

    source : (channels, height, width) of the source group
    kernel : (features, channels, rows, columns) of the weights; a synapse field holds them flattened in this order
    stride, padding : (rows, columns); what lies outside the map is silent
    pooling : (rows, columns); before anything else a source at (y, x) counts as one at (y // rows, x // columns)
    shift : added to the channel of the source; the kernel's channels are those after the shift
    groups : blocks of features that each see their own block of channels; kernel[1] is the size of one block
    """

    source: tuple[int, int, int]
    kernel: tuple[int, int, int, int]
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    pooling: Pair = (1, 1)
    shift: int = 0
    groups: int = 1

    @property
    def features(self) -> int:
        """Channels of the target."""
        return self.kernel[0]

    @property
    def entries(self) -> int:
        """Weights in the kernel."""
        return math.prod(self.kernel)

    @property
    def pooled(self) -> Pair:
        """(height, width) of the source map after pooling."""
        return self.source[1] // self.pooling[0], self.source[2] // self.pooling[1]

    @property
    def target(self) -> tuple[int, int, int]:
        """(features, height, width) of the target group."""
        rows, columns = (
            (size + 2 * pad - k) // step + 1
            for size, pad, k, step in zip(self.pooled, self.padding, self.kernel[2:], self.stride, strict=True)
        )
        return self.features, rows, columns

    def faults(self, where: str) -> Iterator[Fault]:
        """What makes no convolution; sizes that a chip does not offer are the mapper's business."""
        positive = {
            "source": self.source,
            "kernel": self.kernel,
            "stride": self.stride,
            "pooling": self.pooling,
            "groups": (self.groups,),
        }
        bad = [f"{name} = {value}" for name, value in positive.items() if min(value) < 1]
        bad += [f"padding = {self.padding}"] * (min(self.padding) < 0) + [f"shift = {self.shift}"] * (self.shift < 0)
        if bad:
            yield Fault("ND1201", where, "; ".join(bad), "sizes of 1 or more, padding and shift of 0 or more")
            return
        blocks = self.groups * self.kernel[1]
        if self.source[0] + self.shift > blocks:
            was = f"{self.source[0]} channels shifted by {self.shift} meet a kernel of {blocks}"
            yield Fault("ND1201", where, was, "a kernel with a channel for each")
        if self.features % self.groups:
            yield Fault("ND1201", where, f"{self.features} features in {self.groups} groups", "a whole number in each")
        if any(size % p for size, p in zip(self.source[1:], self.pooling, strict=True)):
            was = f"a map of {self.source[1]} x {self.source[2]} pooled by {self.pooling}"
            yield Fault("ND1201", where, was, "sizes that the pooling divides: what becomes of a remainder is unknown")
        if min(self.target[1:]) < 1:
            was = f"a kernel of {self.kernel[2:]} on a map of {self.pooled} with padding {self.padding}"
            yield Fault("ND1201", where, was, "a kernel that fits the padded map")

    @cached_property
    def links(self) -> Links:
        """Every synapse, ordered by kernel entry, then target, then source."""
        pairs_y = _axis(
            self.source[1], self.kernel[2], self.target[1], self.stride[0], self.padding[0], self.pooling[0]
        )
        pairs_x = _axis(
            self.source[2], self.kernel[3], self.target[2], self.stride[1], self.padding[1], self.pooling[1]
        )
        per_group = self.features // self.groups
        feature, inside = (a.reshape(-1) for a in np.indices((self.features, self.kernel[1])))
        channel = inside + feature // per_group * self.kernel[1] - self.shift
        real = (channel >= 0) & (channel < self.source[0])  # a kernel may have channels that another source feeds
        f, c, inner = (values[real, None] for values in (feature, channel, inside))
        y, x = (a.reshape(-1) for a in np.indices((pairs_y.shape[1], pairs_x.shape[1])))
        (ky, oy, sy), (kx, ox, sx) = pairs_y[:, y], pairs_x[:, x]
        # kernels lie one behind the other, so that the order within one is the order within each
        order = np.lexsort((sx, sy, ox, oy, kx, ky))
        entry, target = (ky * self.kernel[3] + kx)[order], (oy * self.target[2] + ox)[order]
        source = (sy * self.source[2] + sx)[order]
        sources = c * (self.source[1] * self.source[2]) + source
        targets = f * (self.target[1] * self.target[2]) + target
        entries = (f * self.kernel[1] + inner) * (self.kernel[2] * self.kernel[3]) + entry
        return Links(sources.reshape(-1), targets.reshape(-1), entries.reshape(-1))


def _axis(size: int, kernel: int, out: int, stride: int, padding: int, pooling: int) -> Ints:
    """(3, pair): kernel offset, target and source position along one axis."""
    offset, target, within = (a.reshape(-1) for a in np.indices((kernel, out, pooling)))
    source = (target * stride - padding + offset) * pooling + within
    inside = (source >= 0) & (source < size // pooling * pooling)
    return np.stack([offset, target, source])[:, inside]


def whole_numbers(values: Sequence[Any]) -> tuple[int, ...]:
    """A tuple of ints; raises TypeError for anything else."""
    return tuple(exactly(int, v) for v in values)


def geometry_from_json(raw: Mapping[str, Any] | None) -> Convolution | None:
    """Back from ``dataclasses.asdict``; raises TypeError or KeyError where it is not that."""
    if raw is None:
        return None
    lengths = {"source": 3, "kernel": 4, "stride": 2, "padding": 2, "pooling": 2}
    tuples: dict[str, Any] = {name: whole_numbers(raw[name]) for name in lengths}
    if any(len(tuples[name]) != length for name, length in lengths.items()):
        msg = f"sizes of a convolution: {tuples}"
        raise TypeError(msg)
    return Convolution(**tuples, shift=exactly(int, raw["shift"]), groups=exactly(int, raw["groups"]))
