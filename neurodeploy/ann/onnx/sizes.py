"""Sizes that a file computes: what exporters write for ``x.view(x.size(0), -1)``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from neurodeploy.ann.onnx.context import Value
from neurodeploy.ann.onnx.file import OnnxNode, Tensor

_MOST = 8  # sizes in a list; a shape of a network has at most five


@dataclass(frozen=True)
class Sizes:
    """Whole numbers that a node makes of a shape.

    numbers : None is the number of samples, where the file leaves it open
    scalar : one number that is no list
    """

    numbers: tuple[int | None, ...]
    scalar: bool = False


@dataclass(frozen=True)
class Known:
    """What was made before a node."""

    values: Mapping[str, Value | None]
    tensors: Mapping[str, Tensor]
    sizes: Mapping[str, Sizes]

    def list_of(self, name: str) -> Sizes | None:
        """Sizes of that name, computed or held by the file."""
        tensor = self.tensors.get(name)
        if tensor is None:
            return self.sizes.get(name)
        if tensor.type != "int64" or len(tensor.shape) > 1 or (tensor.shape and tensor.shape[0] > _MOST):
            return None
        return Sizes(tuple(int(n) for n in tensor.values().reshape(-1)), not tensor.shape)


def sizes_of(node: OnnxNode, known: Known) -> Sizes | None:
    """Sizes that a node makes; None where it makes something else."""
    make = _MAKES.get(node.op)
    if make is None or len(node.outputs) != 1 or not 0 < len(node.inputs) <= _MOST:
        return None
    found = make(node, known)
    return found if found is not None and len(found.numbers) <= _MOST else None


def _shape(node: OnnxNode, known: Known) -> Sizes | None:
    value = known.values.get(node.inputs[0])
    return None if value is None or node.attributes else Sizes((value.batch, *value.shape))


def _gather(node: OnnxNode, known: Known) -> Sizes | None:
    given, places = (known.list_of(name) for name in node.inputs) if len(node.inputs) == _TWO else (None, None)
    if given is None or places is None or given.scalar or node.attributes.get("axis", 0) != 0:
        return None
    count = len(given.numbers)
    if any(place is None or not -count <= place < count for place in places.numbers):
        return None
    return Sizes(tuple(given.numbers[place] for place in places.numbers if place is not None), places.scalar)


def _unsqueeze(node: OnnxNode, known: Known) -> Sizes | None:
    given = known.sizes.get(node.inputs[0])
    axes = known.list_of(node.inputs[1]) if len(node.inputs) == _TWO else None
    at = node.attributes.get("axes") if axes is None else list(axes.numbers)
    return Sizes(given.numbers) if given is not None and given.scalar and at in ([0], [-1]) else None


def _concat(node: OnnxNode, known: Known) -> Sizes | None:
    parts = [known.list_of(name) for name in node.inputs]
    lists = [part for part in parts if part is not None and not part.scalar]
    if len(lists) != len(parts) or node.attributes.get("axis") not in (0, -1):
        return None
    return Sizes(tuple(number for part in lists for number in part.numbers))


_TWO = 2
_MAKES: Mapping[str, Callable[[OnnxNode, Known], Sizes | None]] = MappingProxyType(
    {"Shape": _shape, "Gather": _gather, "Unsqueeze": _unsqueeze, "Concat": _concat}
)
