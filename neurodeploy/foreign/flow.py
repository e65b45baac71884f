"""What the values of a traced model are, and how modules want them to lie."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node

from neurodeploy.foreign.neurons import neuron_kind
from neurodeploy.foreign.structure import container_of, contents, wanted_layout
from neurodeploy.foreign.values import Shape


@dataclass(frozen=True)
class Held:
    """What a value of the trace is.

    names : layers whose outputs it is the sum of
    layout : how its first dimensions lie
    shape : of one step of one sample; None after a fault
    pair : whether it is (this value, states)
    """

    names: tuple[str, ...]
    layout: str
    shape: Shape | None
    pair: bool = False


@dataclass(frozen=True)
class State:
    """A state of a neuron, or where it begins: nothing that a layer takes for its input.

    rest : whether it is known to be at rest
    """

    rest: bool


def wanted(module: torch.nn.Module) -> Iterator[str]:
    """How a module, or what it holds, wants its input to lie, where it decides that."""
    container = container_of(module)
    if container is None:
        kind = neuron_kind(module)
        layout = kind.layout(module) if kind else wanted_layout(module)
        if layout:
            yield layout
    elif container.outside:
        yield container.outside
    else:
        for _, child in contents(module):
            yield from wanted(child)


def nodes_in(given: Any) -> Iterator[Node]:
    """Operations of the trace in an argument."""
    if isinstance(given, Node):
        yield given
    elif isinstance(given, tuple | list):
        for part in given:
            yield from nodes_in(part)


def guessed(module: torch.nn.Module) -> Shape:
    """Shape of the neurons behind a fault, from their parameters: their options are checked all the same."""
    shapes = [tuple(p.shape) for p in module.parameters() if p.numel() > 1]
    return max(shapes, key=len, default=(1,))
