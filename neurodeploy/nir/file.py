"""NIR files (HDF5) as plain values: read with bounds on memory and depth, written with the same bytes each time."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from neurodeploy.errors import Fault, Refusal, missing_extra, raise_if
from neurodeploy.nir.child import ChildFailedError, in_child
from neurodeploy.nir.graph import NirFile, NirGraph, Node, Value, pack, unpack
from neurodeploy.npz import replacing

#: Bytes of arrays that a file may hold beyond its own size: compressed ones are longer than their files.
MAX_EXTRA_BYTES = 1 << 28
#: What reading may take: seconds, then more for a large file, and bytes of memory, then four times the file.
SECONDS, BYTES_PER_SECOND, MEMORY = 5.0, 1_000_000, 3 << 29
MAX_NODES = 20_000
MAX_EDGES = 100_000
MAX_DEPTH = 16  # graphs in graphs
_MUST = "a NIR file: HDF5 with the group node, and in each graph a group nodes and the edges"
_UNREADABLE = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError, MemoryError)


def read_file(path: str | Path) -> NirFile:
    """Read a NIR file of any version, whatever primitives it names.

    Raises Refusal: ND1401 for what is no such file, or one that is damaged, links to other files, or is larger than
    what may be read (checked before memory is taken), all faults at once; Missing where h5py is not installed.
    """
    h5py, where = _h5py(), str(path)
    try:
        size = Path(path).stat().st_size
        answer = in_child(
            lambda: pack(*_read(h5py, path, size)),
            seconds=SECONDS + size / BYTES_PER_SECOND,
            more_bytes=MEMORY + 4 * size,
            holding=h5py._objects.phil,  # noqa: SLF001 - the lock of the library
        )
    except OSError as error:
        raise Refusal(_unreadable(where, error.strerror or str(error))) from None
    except ChildFailedError as error:
        raise Refusal(_unreadable(where, str(error))) from None
    faults, file = unpack(answer)
    raise_if(faults)
    if file is None:
        raise RuntimeError("what is missing is a fault")
    return file


def _unreadable(where: str, why: str) -> Fault:
    return Fault("ND1401", where, f"it cannot be read ({why})", _MUST)


def _read(h5py: Any, path: str | Path, size: int) -> tuple[list[Fault], NirFile | None]:
    where = str(path)
    try:
        with h5py.File(path, "r") as file:
            reader = _Reader(h5py, where, size + MAX_EXTRA_BYTES)
            version = reader.text(file, "version", "the file") if "version" in file else ""
            root = reader.group(file, "node", "the file")
            graph = reader.graph(root, "", 0) if root is not None else None
    except _UNREADABLE as error:
        return [_unreadable(where, str(error).partition("\n")[0] or type(error).__name__)], None
    found = None if graph is None or version is None else NirFile(version, graph)
    return reader.faults, found


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise missing_extra("h5py", "nir", "NIR files") from None
    return h5py


class _Reader:
    """Walks through a file, counts what it takes, and lists what is wrong."""

    def __init__(self, h5py: Any, where: str, budget: int) -> None:
        self.h5py, self.where, self.budget = h5py, where, budget
        self.left, self.nodes = budget, 0
        self.faults: list[Fault] = []
        self._seen: dict[Any, str] = {}

    def fault(self, place: str, was: str, must: str = _MUST) -> None:
        self.faults.append(Fault("ND1401", f"{self.where}, {place}", was, must))

    def group(self, parent: Any, name: str, place: str) -> Any:
        """Group of a name; None, and a fault, where there is none."""
        found = self._member(parent, name, place)
        if found is not None and not isinstance(found, self.h5py.Group):
            self.fault(place, f"{name!r} is no group")
            return None
        return found

    def graph(self, group: Any, place: str, depth: int) -> NirGraph | None:
        """Nodes, edges and metadata of a graph."""
        at = f"graph {place!r}" if place else "the graph"
        inner, edges = self.group(group, "nodes", at), self._edges(group, at)
        if inner is None:
            return None
        self.nodes += len(inner)
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            was = f"more than {MAX_NODES:,} nodes" if depth <= MAX_DEPTH else f"graphs nested {depth} deep"
            self.fault(at, was, f"at most {MAX_NODES:,} nodes, {MAX_DEPTH} deep")
            return None
        nodes = dict[str, Node | NirGraph]()
        for name in sorted(inner):
            node = self._node(inner, name, f"{place}/{name}" if place else name, depth)
            if node is not None:
                nodes[name] = node
        return NirGraph(nodes, edges, self._metadata(group, at))

    def text(self, parent: Any, name: str, place: str) -> str | None:
        """One string."""
        value = self._value(parent, name, place)
        if value is not None and not isinstance(value, str):
            self.fault(place, f"{name} is no string")
            return None
        return value

    def _node(self, parent: Any, name: str, place: str, depth: int) -> Node | NirGraph | None:
        at = f"node {place!r}"
        group = self.group(parent, name, at)
        kind = None if group is None else self.text(group, "type", at)
        if group is None or kind is None:
            return None
        if kind == "NIRGraph":
            return self.graph(group, place, depth + 1)
        fields = {key: self._value(group, key, at) for key in sorted(group) if key not in ("type", "metadata")}
        return Node(place, kind, {key: value for key, value in fields.items() if value is not None})

    def _edges(self, group: Any, at: str) -> tuple[tuple[str, str], ...]:
        data = self._member(group, "edges", at)
        if data is None:
            return ()
        pairs = isinstance(data, self.h5py.Dataset) and data.ndim == 2 and data.shape[1] == 2  # a pair
        if isinstance(data, self.h5py.Dataset) and data.size == 0:
            return ()
        if not pairs or data.dtype.kind not in "OSU" or len(data) > MAX_EDGES:
            shape = f"{data.dtype} of shape {data.shape}" if isinstance(data, self.h5py.Dataset) else "a group"
            self.fault(at, f"edges: {shape}", f"at most {MAX_EDGES:,} pairs of names")
            return ()
        if not self._fits(data, at, "edges"):
            return ()
        names = [[_text(name) for name in pair] for pair in data[()]]
        if any(name is None for pair in names for name in pair):
            self.fault(at, "edges that are no strings", "pairs of names")
            return ()
        # they are written from a set: only sorted ones can be compared. The same edge twice is one
        return tuple(sorted({(str(source), str(target)) for source, target in names}))

    def _metadata(self, group: Any, at: str) -> dict[str, Value]:
        if "metadata" not in group:
            return {}
        inner = self.group(group, "metadata", at)
        found = {}
        for key in sorted(inner) if inner is not None else ():
            member = self._member(inner, key, at)
            value = self._value(inner, key, at) if isinstance(member, self.h5py.Dataset) else None
            if value is not None:
                found[key] = value
        return found

    def _value(self, parent: Any, name: str, at: str) -> Value | None:
        data = self._member(parent, name, at)
        if data is None:
            return None
        if not isinstance(data, self.h5py.Dataset) or data.shape is None:
            self.fault(at, f"{name!r} is no array", "arrays of numbers, and strings")
            return None
        if not self._fits(data, at, name):
            return None
        if data.dtype.kind in "OSU":
            text = _text(data[()]) if data.shape == () and self.h5py.check_string_dtype(data.dtype) else None
            if text is None:
                self.fault(at, f"{name!r} is {data.dtype} of shape {data.shape}", "numbers, or one string")
            return text
        if data.dtype.kind not in "fiub" or data.dtype.itemsize > 8:  # bytes of a double
            self.fault(at, f"{name!r} is of type {data.dtype}", "numbers of at most 64 bits")
            return None
        return np.asarray(data[()])

    def _member(self, parent: Any, name: str, at: str) -> Any:
        link = parent.get(name, getlink=True) if name in parent else None
        if link is None:
            self.fault(at, f"no {name!r}")
            return None
        if not isinstance(link, self.h5py.HardLink):
            self.fault(at, f"{name!r} is a link to somewhere else", "everything in its place in this file")
            return None
        found = parent[name]
        if isinstance(found, self.h5py.Group):
            address = self.h5py.h5o.get_info(found.id).addr
            if self._seen.setdefault(address, found.name) != found.name:
                self.fault(at, f"{name!r} stands in two places", "a tree")
                return None
        return found

    def _fits(self, data: Any, at: str, name: str) -> bool:
        """Whether there is memory for an array; asked before it is read."""
        if data.external or data.is_virtual:
            self.fault(at, f"{name!r} lies in another file", "everything in this file")
            return False
        # HDF5 takes memory for whole chunks, however short the array is
        chunk = int(np.prod([float(n) for n in data.chunks])) if data.chunks else 0
        size = int(max(float(chunk), float(np.prod([float(n) for n in data.shape])))) * data.dtype.itemsize
        self.left -= size
        if self.left < 0:
            was = f"{name!r} of shape {tuple(data.shape)} asks for {size:,} bytes"
            self.fault(at, was, f"at most {self.budget:,} bytes in all for a file of this size")
        return self.left >= 0


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        value = value.decode()
    return value.rstrip("\0") if isinstance(value, str) else None


def write_file(path: str | Path, file: NirFile) -> None:
    """Write a NIR file: uncompressed, in the order of names, so that equal values give equal bytes.

    The file is complete or not there. Raises Refusal (ND1401) where it cannot be written.
    """
    h5py = _h5py()
    stream = BytesIO()
    with h5py.File(stream, "w", libver=("earliest", "v110")) as target:
        target.create_dataset("version", data=file.version, dtype=h5py.string_dtype())
        _write_graph(h5py, target.create_group("node"), file.graph)
    with replacing(path) as out:
        out.write(stream.getvalue())


def _write_graph(h5py: Any, group: Any, graph: NirGraph) -> None:
    group.create_dataset("type", data="NIRGraph", dtype=h5py.string_dtype())
    pairs = np.array(sorted(graph.edges), dtype=object).reshape(-1, 2)
    group.create_dataset("edges", data=pairs, dtype=h5py.string_dtype())
    inner = group.create_group("nodes")
    for name, node in sorted(graph.nodes.items()):
        place = inner.create_group(name)
        if isinstance(node, NirGraph):
            _write_graph(h5py, place, node)
        else:
            _write_values(h5py, place, {"type": node.kind, **node.fields})
    if graph.metadata:
        _write_values(h5py, group.create_group("metadata"), graph.metadata)


def _write_values(h5py: Any, group: Any, values: Mapping[str, Value]) -> None:
    for name, value in sorted(values.items()):
        if isinstance(value, str):
            group.create_dataset(name, data=value, dtype=h5py.string_dtype())
        else:
            group.create_dataset(name, data=value)
