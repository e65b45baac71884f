"""Kernels that end on the same core: written so that the one kernel of the core holds them all, exactly."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.network.geometry import Convolution, Pair
from neurodeploy.quantizer.stages import Edge
from neurodeploy.quantizer.wiring import Wired


def arriving_edges(chip: Chip, layer: Wired) -> tuple[Edge, ...]:
    """Edges that end on a layer as the chip holds them.

    On a chip whose cores hold one kernel each, smaller kernels stand inside a larger one; kernels of the same source
    are added up; those of different sources, unless they are equal, get channels of their own. Where kernels must be
    square, others are filled up with zeros. What cannot be written so is left as it is, and the mapper refuses it.
    """
    cores = chip.layer_core
    if cores is None or layer.kind.name not in cores.kinds:
        return layer.edges
    forms = [edge.geometry for edge in layer.edges]
    same = [g for g in forms if g is not None and g.groups == 1]
    if len(same) < len(forms) or len({(g.stride, g.pooled, g.target) for g in same}) > 1:
        return layer.edges
    frame = _frame(same, square=cores.square_kernels)
    return layer.edges if frame is None else _apart(_added([_within(edge, frame) for edge in layer.edges]))


@dataclass(frozen=True)
class _Frame:
    """A kernel that holds others."""

    size: Pair
    padding: Pair
    stride: Pair


def _frame(forms: Sequence[Convolution], *, square: bool) -> _Frame | None:
    """The smallest kernel that holds all the others and gives the same map."""
    least = [max(g.kernel[2 + axis] for g in forms) for axis in (0, 1)]
    most = 2 * max(least) + 1
    found = [{size: fit for size in range(least[axis], most) if (fit := _fit(forms, axis, size))} for axis in (0, 1)]
    if square:
        found = [{size: fit for size, fit in sizes.items() if size in found[0] and size in found[1]} for sizes in found]
    if not all(found):
        return None
    (rows, down), (columns, right) = (min(sizes.items()) for sizes in found)
    return _Frame((rows, columns), (down[0], right[0]), (down[1], right[1]))


def _fit(forms: Sequence[Convolution], axis: int, size: int) -> Pair | None:
    """Padding and stride of a kernel of some size along an axis; where there is one place, its stride is free."""
    first = forms[0]
    for padding in range(max(g.padding[axis] for g in forms), size + 1):
        room = first.pooled[axis] + 2 * padding - size
        if max(g.kernel[2 + axis] + padding - g.padding[axis] for g in forms) > size:
            return None
        if room >= 0 and room // first.stride[axis] + 1 == first.target[1 + axis]:
            return padding, first.stride[axis]
        if room >= 0 and first.target[1 + axis] == 1:
            return padding, room + 1
    return None


def _within(edge: Edge, frame: _Frame) -> Edge:
    """A kernel inside a larger one, with zeros around it."""
    form = edge.geometry
    if form is None:
        return edge
    down, right = (most - own for most, own in zip(frame.padding, form.padding, strict=True))
    weight = np.zeros((*edge.weight.shape[:2], *frame.size))
    weight[:, :, down : down + form.kernel[2], right : right + form.kernel[3]] = edge.weight
    kernel = (*form.kernel[:2], *frame.size)
    return replace(
        edge, weight=weight, geometry=replace(form, kernel=kernel, padding=frame.padding, stride=frame.stride)
    )


def _added(edges: Sequence[Edge]) -> list[Edge]:
    """Kernels of the same events added up."""
    found = list[Edge]()
    for edge in edges:
        form = (edge.kind.name, edge.source, edge.delay, edge.geometry)
        at = next((i for i, e in enumerate(found) if (e.kind.name, e.source, e.delay, e.geometry) == form), None)
        if at is None:
            found.append(edge)
        else:
            found[at] = replace(found[at], weight=found[at].weight + edge.weight)
    return found


def _apart(edges: Sequence[Edge]) -> tuple[Edge, ...]:
    """Kernels one behind the other along the channels, unless they are equal."""
    if all(np.array_equal(a.weight, b.weight) for a, b in pairwise(edges)):
        return tuple(edges)
    ends = np.cumsum([edge.weight.shape[1] for edge in edges]).tolist()
    return tuple(_shifted(edge, end - edge.weight.shape[1], ends[-1]) for edge, end in zip(edges, ends, strict=True))


def _shifted(edge: Edge, shift: int, channels: int) -> Edge:
    if edge.geometry is None:
        return edge
    kernel = (edge.weight.shape[0], channels, *edge.geometry.kernel[2:])
    weight = np.zeros(kernel)
    weight[:, shift : shift + edge.weight.shape[1]] = edge.weight
    return replace(edge, weight=weight, geometry=replace(edge.geometry, kernel=kernel, shift=shift))
