"""Cores of a placed network: which features of which layer stand where, and the one kernel that each core holds."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.emit.samna.layers.table import LayersTable, cores_of
from neurodeploy.errors import Fault
from neurodeploy.network import Convolution, Group, Network, Projection

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Features first..first + features - 1 of a layer, on a core."""

    core: int
    layer: str
    first: int
    features: int


def blocks_of(network: Network, table: LayersTable) -> tuple[dict[str, tuple[Block, ...]], list[Fault]]:
    """Blocks of every layer by its hardware ids, and layers whose ids are not those of whole features on a core."""
    cores, found, faults = cores_of(network.chip), dict[str, tuple[Block, ...]](), list[Fault]()
    for g in network.of_kind(table.kind):
        where = f"{network.chip.name}, layer {g.name!r}"
        blocks = _blocks(g, cores.slots) if len(g.shape) == 3 else None
        if blocks is None:
            was = "hardware ids that are not those of whole features, each in its order on one core"
            must = f"core * {cores.slots} + place in the core, for a map of (feature, row, column)"
            faults.append(Fault("ND1901", where, was, must, "call neurodeploy.map(network)"))
            continue
        # every block begins at the first id of its core, so two on one core would share ids, which no network has
        beyond = [b.core for b in blocks if b.core >= cores.count]
        if beyond:
            was, must = f"core {beyond[0]}", f"a core below {cores.count}"
            faults.append(Fault("ND1901", where, was, must, "call neurodeploy.map(network)"))
        found[g.name] = blocks
    return found, faults


def _blocks(g: Group, slots: int) -> tuple[Block, ...] | None:
    features, rows, columns = g.shape
    ids = np.asarray(g.ids, np.int64).reshape(features, rows * columns)
    core = ids[:, 0] // slots
    begins = [0, *(np.flatnonzero(np.diff(core)) + 1).tolist()]
    ends = [*begins[1:], features]
    result = []
    for first, end in zip(begins, ends, strict=True):
        expected = int(core[first]) * slots + np.arange((end - first) * rows * columns)
        if not np.array_equal(ids[first:end].reshape(-1), expected):
            return None
        result.append(Block(int(core[first]), g.name, first, end - first))
    return tuple(result)


def fed_channels(geometry: Convolution) -> npt.NDArray[np.bool_]:
    """(feature, channel) of the kernel, True where a channel of the source comes in."""
    block = np.arange(geometry.features) // max(geometry.features // geometry.groups, 1) * geometry.kernel[1]
    channel = block[:, None] + np.arange(geometry.kernel[1]) - geometry.shift
    return np.asarray((channel >= 0) & (channel < geometry.source[0]))


def ending(network: Network, layer: str) -> list[tuple[Projection, Convolution]]:
    """Projections onto a layer with their geometry."""
    return [(p, p.geometry) for p in network.projections if p.target == layer and p.geometry is not None]


def whole_kernel(network: Network, layer: str, field: str) -> Ints:
    """(feature, channel, row, column): what the core stores for all projections onto a layer together."""
    links = ending(network, layer)
    kernel = links[0][0].fields[field].reshape(links[0][1].kernel).copy()
    for p, geometry in links:
        fed = fed_channels(geometry)
        kernel[fed] = p.fields[field].reshape(geometry.kernel)[fed]
    return kernel


def own_kernel(kernel: Ints, geometry: Convolution) -> Ints:
    """A kernel with 0 for the channels that a projection does not feed."""
    return np.where(fed_channels(geometry)[:, :, None, None], kernel, 0)


def kernel_form(network: Network, p: Projection, geometry: Convolution) -> str | None:
    """How a projection holds the kernel of its core: "whole", "own" channels and 0 elsewhere; None otherwise."""
    forms = {"whole", "own"}
    for name, values in p.fields.items():
        whole = whole_kernel(network, p.target, name)
        if not np.array_equal(values.reshape(-1), whole.reshape(-1)):
            forms.discard("whole")
        if not np.array_equal(values.reshape(-1), own_kernel(whole, geometry).reshape(-1)):
            forms.discard("own")
    return "whole" if "whole" in forms else "own" if forms else None


def kernel_faults(network: Network, table: LayersTable) -> Iterator[Fault]:
    """Weights on channels that nothing feeds through this projection, which the core's one kernel would lose."""
    for g in network.of_kind(table.kind):
        for p, geometry in ending(network, g.name):
            if kernel_form(network, p, geometry) is None:
                where = f"{network.chip.name}, projection {p.source} -> {p.target}"
                was = "weights other than 0 on channels that it does not feed"
                todo = "set them to 0"
                yield Fault("ND1901", where, was, "0 there, or the weights of who feeds them: one kernel", todo)
