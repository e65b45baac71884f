"""Pieces of a float model matched with the kinds of a chip: which neurons, which connections, which delays."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from neurodeploy.chips import Chip, ConnectionKind, NeuronKind
from neurodeploy.chips.compile import DELAY
from neurodeploy.errors import Fault
from neurodeploy.quantizer.compute import neuron_faults
from neurodeploy.quantizer.decays import NEURON, Floats
from neurodeploy.quantizer.nodes import INPUT, LINEAR
from neurodeploy.quantizer.pieces import Cut, Piece, cut
from neurodeploy.quantizer.stages import Edge
from neurodeploy.quantizer.ways import Way, weight_of, without_pooling

#: Entries of the largest matrix that a convolution is spelled out into.
SPELLED = 1 << 27


@dataclass(frozen=True)
class Wired:
    """A neuron layer with its kind and what arrives.

    edges : the feed-forward ones, in the order of ``piece.ways``, then the recurrent one
    shape : how the neurons lie on the chip; () for a row
    late : steps by which the chip's layer runs behind the model's
    """

    piece: Piece
    kind: NeuronKind
    edges: tuple[Edge, ...]
    shape: tuple[int, ...]
    late: int


@dataclass(frozen=True)
class Wiring:
    """A whole model on a chip, neurons not looked at."""

    cut: Cut
    input_kind: NeuronKind
    shape: tuple[int, ...]
    layers: tuple[Wired, ...]


def wire(model: torch.nn.Module, chip: Chip) -> tuple[Wiring | None, list[Fault]]:
    """Kinds and edges of a model, None where it cannot be read as layers of the chip; and all faults."""
    found, faults = cut(model)
    if found is None:
        sized = [replace(f, where=f"{chip.name}, {f.where}") if f.code == "ND1602" else f for f in faults]
        return None, sized
    return _Wirer(chip, found).wire()


def choose_kind(
    chip: Chip, sources: list[NeuronKind], piece: Piece, *, last: bool
) -> tuple[NeuronKind | None, list[Fault]]:
    """The kind that a layer becomes: an output kind for the last one, a hidden kind for the others.

    Of several the one that computes the layer's neurons, the first where none or all of them do.
    """
    candidates = chip.outputs() if last else chip.hidden()
    reachable = [k for k in candidates if k.deploy is not None and all(chip.between(s.name, k.name) for s in sources)]
    if reachable:
        return min(reachable, key=lambda kind: len(neuron_faults(chip, kind, piece))), []
    wanted = "an output" if last else "a hidden"
    todo = "add a hidden layer between" if last and sources[0].is_input() else "choose another chip"
    known = [f"{'/'.join(k.sources)} to {k.target}" for k in chip.connections.values() if k.entry.weights]
    must = f"connections that carry weights: {', '.join(known)}"
    was = f"{wanted} layer fed by {sources[0].name!r} neurons"
    return None, [Fault(NEURON, f"{chip.name}, layer {piece.name!r}", was, must, todo)]


class _Wirer:
    def __init__(self, chip: Chip, found: Cut) -> None:
        self.chip, self.cut, self.faults = chip, found, list[Fault]()
        self.kinds: dict[str, NeuronKind] = {INPUT: chip.inputs()[0]}
        self.sizes: dict[str, int] = {INPUT: found.inputs}
        self.late: dict[str, int] = {INPUT: 0}

    def wire(self) -> tuple[Wiring | None, list[Fault]]:
        layers = list[Wired]()
        for piece in self.cut.pieces:
            sources = [self.kinds[way.source] for way in piece.ways]
            kind, more = choose_kind(self.chip, sources, piece, last=piece.name == self.cut.last)
            if kind is None:
                return None, [*self.faults, *more]
            self.kinds[piece.name], self.sizes[piece.name] = kind, piece.size
            arriving = [edge for way in piece.ways if (edge := self.edge(piece, way, kind)) is not None]
            if len(arriving) < len(piece.ways):
                return None, self.faults
            arriving = self.balanced(piece, kind, arriving)
            back = self.recurrent(piece, kind)
            layers.append(Wired(piece, kind, (*arriving, *back), piece.map or (), self.late[piece.name]))
        shapes = {INPUT: self.cut.map or ()} | {layer.piece.name: layer.shape for layer in layers}
        shapes = self.shaped(shapes, layers)
        done = tuple(replace(layer, shape=shapes[layer.piece.name]) for layer in layers)
        mismatched = any(f.code == "ND1602" for f in self.faults)
        wiring = Wiring(self.cut, self.kinds[INPUT], shapes[INPUT], done)
        return (None if mismatched else wiring), self.faults

    def name(self, source: str) -> str:
        return self.kinds[INPUT].name if source == INPUT else source

    def edge(self, piece: Piece, way: Way, kind: NeuronKind, *, spell: bool = False) -> Edge | None:
        """Weights of one way, in the form that the chip stores them in; None where it has none.

        spell : whether a matrix is wanted even where the chip stores kernels
        """
        kinds = self.chip.between(self.kinds[way.source].name, kind.name)
        kernels = next((k for k in kinds if k.entry.pattern == "conv"), None)
        single = next((k for k in kinds if k.entry.pattern != "conv"), None)
        size, source = self.sizes[way.source], self.name(way.source)
        geometry = way.geometry(size)
        weight = way.carried(geometry.source[0]) if way.kernel is None else way.kernel
        if kernels is not None and (single is None or not (way.full or spell)):
            down, right = geometry.pooling
            remainder = geometry.source != _whole_blocks(geometry.source, geometry.pooling)
            if down == right and down in kernels.entry.pooling and not remainder:
                return Edge(kernels, source, weight, way.delay, geometry)
            folded = without_pooling(weight, geometry)
            if folded is None:
                self.fault(piece, f"pooling of a map of {geometry.source} leaves rows or columns out", kernels)
                return None
            return Edge(kernels, source, folded[0], way.delay, folded[1])
        chosen = single or kinds[0]
        if way.full and way.pooling == (1, 1):
            return Edge(chosen, source, weight.reshape(len(weight), -1).T, way.delay)
        if math.prod(geometry.source) * math.prod(geometry.target) > SPELLED:
            was = f"a convolution of {geometry.source} to {geometry.target}, spelled out"
            must = f"a matrix of at most {SPELLED:,} entries: {chosen.name!r} stores no kernels"
            self.faults.append(Fault("ND1603", self.where(piece), was, must, "use smaller maps"))
            return None
        cropped = replace(geometry, source=_whole_blocks(geometry.source, geometry.pooling))
        spelled = Edge(chosen, source, weight, way.delay, cropped).matrix
        return Edge(chosen, source, _within(spelled, cropped.source, geometry.source), way.delay)

    def where(self, piece: Piece) -> str:
        return f"{self.chip.name}, layer {piece.name!r}"

    def fault(self, piece: Piece, was: str, kind: ConnectionKind) -> None:
        must, todo = f"{kind.name!r} takes sizes that pooling divides", "crop or pad the map, or choose another size"
        self.faults.append(Fault("ND1603", self.where(piece), was, must, todo))

    def balanced(self, piece: Piece, kind: NeuronKind, edges: list[Edge]) -> list[Edge]:
        """Edges that arrive together as they do in the model: the quicker ones wait, where the chip can."""
        ways = []
        for way, edge in zip(piece.ways, edges, strict=True):
            base = self.chip.delay(edge.kind.name, self.kinds[way.source].name)
            ways.append((base, self.late[way.source] + (base if edge.delay is None else 0)))
        latest = max(late for _, late in ways)
        self.late[piece.name] = latest
        result = []
        for way, given, (base, late) in zip(piece.ways, edges, ways, strict=True):
            edge = given
            wanted = (base if edge.delay is None else edge.delay) + latest - late
            if wanted > base + spare_delay(edge.kind) and edge.geometry is not None:
                # kernels that cannot wait may stand as a matrix that can
                spelled = self.edge(piece, way, kind, spell=True)
                later = spelled is not None and self.chip.delay(spelled.kind.name, self.kinds[way.source].name) == base
                edge = spelled if later and spelled is not None and spare_delay(spelled.kind) else edge
            spare = spare_delay(edge.kind)
            if base <= wanted <= base + spare:
                result.append(edge if latest == late else replace(edge, delay=wanted))
                continue
            can = f"{base} to {base + spare}" if spare else f"exactly {base}"
            if latest > late:
                was = f"what comes from {edge.source!r} is {latest - late} steps ahead of the rest on the chip"
                todo = "put Delay layers into the other ways, and train so"
            else:
                was = f"a delay of {edge.delay} steps from {edge.source!r}"
                todo = f"use Delay({base}), or no Delay: nd.constrain(model, chip) inserts it"
            must = f"{edge.kind.name!r} delays {can} steps"
            self.faults.append(Fault(NEURON, self.where(piece), was, must, todo, {"delay": wanted}))
            result.append(edge)
        return result

    def recurrent(self, piece: Piece, kind: NeuronKind) -> list[Edge]:
        back, size, where = piece.neuron.rec_connect, piece.size, self.where(piece)
        if back is None:
            return []
        kinds = [k for k in self.chip.between(kind.name, kind.name) if k.entry.pattern != "conv"]
        bias = getattr(back, "bias", None)
        biased = isinstance(bias, torch.Tensor) and bool(torch.any(bias != 0))
        if not kinds:
            was, must = "recurrent weights", f"{kind.name} neurons have no connection among themselves"
            self.faults.append(Fault(NEURON, where, was, must, "drop rec_connect in this layer"))
        elif type(back) not in LINEAR or biased:
            was = f"rec_connect is {type(back).__name__}" + (" with a bias" if biased else "")
            self.faults.append(Fault("ND1603", where, was, "Linear(..., bias=False) or SparseLinear"))
        elif weight_of(back).shape != (size, size):
            found = " to ".join(map(str, weight_of(back).T.shape))
            self.faults.append(Fault("ND1602", where, f"rec_connect from {found} values", f"{size} to {size} values"))
        else:
            base = self.chip.delay(kinds[0].name, kind.name)
            spare = spare_delay(kinds[0])
            if not base <= 1 <= base + spare:
                was, must = "recurrent spikes that act in the next step", f"{kinds[0].name!r} delays {base} steps"
                self.faults.append(Fault(NEURON, where, was, must, "drop rec_connect in this layer", {"delay": 1}))
            return [Edge(kinds[0], piece.name, weight_of(back).T, 1)]
        return []

    def shaped(self, shapes: Mapping[str, tuple[int, ...]], layers: list[Wired]) -> dict[str, tuple[int, ...]]:
        """Shapes of all layers: a row whose synapses are stored as kernels is a map of single points."""
        result = dict(shapes)
        for layer in layers:
            for way, edge in zip(layer.piece.ways, layer.edges, strict=False):
                if edge.geometry is None:
                    continue
                for name, form in ((way.source, edge.geometry.source), (layer.piece.name, edge.geometry.target)):
                    result[name] = result[name] or form
                    if result[name] != form:
                        was = f"{self.name(name)!r} lies as {result[name]} in one place and as {form} in another"
                        must = f"{edge.kind.name!r} stores kernels: a map has one shape"
                        todo = "make the map with a Conv2d"
                        self.faults.append(Fault("ND1603", self.where(layer.piece), was, must, todo))
        return result


def spare_delay(kind: ConnectionKind) -> int:
    """Most steps that a synapse can add to the delay of its connection."""
    return kind.fields[DELAY].interval.high if DELAY in kind.fields else 0


def _whole_blocks(source: tuple[int, int, int], pooling: tuple[int, int]) -> tuple[int, int, int]:
    """Map without the rows and columns that fill no block."""
    return source[0], source[1] // pooling[0] * pooling[0], source[2] // pooling[1] * pooling[1]


def _within(matrix: Floats, inner: tuple[int, int, int], outer: tuple[int, int, int]) -> Floats:
    """Rows of a matrix from a cropped map, put where they stand in the whole one; the others are 0."""
    if inner == outer:
        return matrix
    whole = np.zeros((*outer, matrix.shape[1]))
    whole[:, : inner[1], : inner[2]] = matrix.reshape(*inner, -1)
    return whole.reshape(-1, matrix.shape[1])
