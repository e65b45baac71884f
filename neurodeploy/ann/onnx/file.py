"""ONNX files as plain values, read with bounds on memory and time, before any array is made.

The fields are those of the published onnx.proto; the package ``onnx`` is not needed.
"""

import math
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.ann.onnx.wire import BrokenError, Field, Reader, Spec
from neurodeploy.errors import Fault, Refusal, raise_if

#: Bytes of a file with all data that it names.
MOST_BYTES = 1 << 29
MOST_NODES = 10_000
MOST_AXES = 8
#: Versions of the operators; every operator that is read means the same in all of them.
OLDEST, NEWEST = 9, 28
_MUST = "an ONNX model"
_EXTERNAL = 1

SPECS: Mapping[str, Spec] = {
    "model": {
        1: Field("ir_version", "int"),
        7: Field("graph", "graph"),
        8: Field("opset_import", "opset", many=True, most=1_000),
        14: Field("metadata_props", "entry", many=True),
        20: Field("training_info", "other", many=True),
        25: Field("functions", "bytes", many=True),
    },
    "opset": {1: Field("domain", "text"), 2: Field("version", "int")},
    "graph": {
        1: Field("node", "node", many=True, most=MOST_NODES),
        5: Field("initializer", "tensor", many=True),
        11: Field("input", "value", many=True),
        12: Field("output", "value", many=True),
        13: Field("value_info", "value", many=True),
        14: Field("quantization_annotation", "other", many=True),
        16: Field("metadata_props", "entry", many=True),
        15: Field("sparse_initializer", "bytes", many=True),
    },
    "node": {
        1: Field("input", "text", many=True),
        2: Field("output", "text", many=True),
        3: Field("name", "text"),
        4: Field("op_type", "text"),
        5: Field("attribute", "attribute", many=True),
        7: Field("domain", "text"),
        9: Field("metadata_props", "entry", many=True),
        10: Field("device_configurations", "other", many=True),
    },
    "attribute": {
        1: Field("name", "text"),
        2: Field("f", "float"),
        3: Field("i", "int"),
        4: Field("s", "bytes"),
        5: Field("t", "tensor"),
        6: Field("g", "other"),
        7: Field("floats", "float", many=True),
        8: Field("ints", "int", many=True),
        10: Field("tensors", "other", many=True),
        11: Field("graphs", "other", many=True),
        14: Field("tp", "other"),
        15: Field("type_protos", "other", many=True),
        20: Field("type", "int"),
        21: Field("ref_attr_name", "text"),
        22: Field("sparse_tensor", "other"),
        23: Field("sparse_tensors", "other", many=True),
    },
    "tensor": {
        1: Field("dims", "int", many=True),
        2: Field("data_type", "int"),
        3: Field("segment", "other"),
        4: Field("float_data", "float", many=True),
        5: Field("int32_data", "int", many=True),
        7: Field("int64_data", "int", many=True),
        8: Field("name", "text"),
        9: Field("raw_data", "bytes"),
        10: Field("double_data", "double", many=True),
        13: Field("external_data", "entry", many=True),
        14: Field("data_location", "int"),
        16: Field("metadata_props", "entry", many=True),
    },
    "entry": {1: Field("key", "text"), 2: Field("value", "text")},
    "value": {1: Field("name", "text"), 2: Field("type", "type"), 4: Field("metadata_props", "entry", many=True)},
    "type": {1: Field("tensor_type", "tensor_type"), **{n: Field(f"type {n}", "other") for n in (4, 5, 7, 8, 9)}},
    "tensor_type": {1: Field("elem_type", "int"), 2: Field("shape", "shape")},
    "shape": {1: Field("dim", "dim", many=True)},
    "dim": {1: Field("dim_value", "int"), 2: Field("dim_param", "text")},
    "other": {},  # a message that is not needed, but must be one
}
#: data_type of TensorProto -> type, and the field that holds it where ``raw_data`` does not
TYPES: Mapping[int, tuple[str, str]] = {
    1: ("float32", "float_data"),
    6: ("int32", "int32_data"),
    7: ("int64", "int64_data"),
    9: ("bool", "int32_data"),
    11: ("float64", "double_data"),
}
#: attribute types of AttributeProto
_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS = 1, 2, 3, 4, 6, 7

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Tensor:
    """A constant of the file, whose values are not read yet."""

    name: str
    shape: tuple[int, ...]
    type: str
    content: Mapping[str, Any]
    place: "_Place"

    def values(self) -> Array:
        """The array; raises BrokenError where what the file holds is not as long as the shape says."""
        if any(d < 0 for d in self.shape) or len(self.shape) > MOST_AXES:
            raise BrokenError(f"a shape of {list(self.shape[: MOST_AXES + 1])}")
        kind = np.dtype(self.type).newbyteorder("<")
        numbers = math.prod(self.shape)
        self.place.take(numbers * kind.itemsize)
        view = self.place.bytes_of(self.content, numbers * kind.itemsize)
        if view is not None:
            if len(view) != numbers * kind.itemsize:
                raise BrokenError(
                    f"{len(view):,} bytes where the shape {list(self.shape)} needs {numbers * kind.itemsize:,}"
                )
            return np.frombuffer(view, kind).astype(self.type).reshape(self.shape)
        field = next(f for t, f in TYPES.values() if t == self.type)
        given = self.content[field]
        found = _joined(given, kind) if field in {"float_data", "double_data"} else _whole(given, self.type)
        if found.size != numbers:
            raise BrokenError(f"{found.size:,} numbers where the shape {list(self.shape)} needs {numbers:,}")
        return found.astype(self.type).reshape(self.shape)


@dataclass(frozen=True)
class OnnxNode:
    """One operator. attributes : name -> int, float, str, list of int or float, or Tensor."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class OnnxFile:
    """A graph as the file has it.

    inputs : name -> data type, and the shape with None for sizes that are not stated; None where no shape is
    """

    nodes: tuple[OnnxNode, ...]
    tensors: Mapping[str, Tensor]
    inputs: Mapping[str, tuple[int, tuple[int | None, ...] | None]]
    outputs: tuple[str, ...]
    where: str


def read_file(path: str | Path) -> OnnxFile:
    """Read a file whatever operators it has.

    Raises Refusal ND1401 for what is no model, is damaged, or is larger than what may be read, all faults at once.
    """
    where = str(path)
    try:
        size = Path(path).stat().st_size
        if not Path(path).is_file() or not 0 < size <= MOST_BYTES:
            was = f"{size:,} bytes" if Path(path).is_file() else "no file"
            raise Refusal(Fault("ND1401", where, was, f"{_MUST} of 1 to {MOST_BYTES:,} bytes"))
        with Path(path).open("rb") as stream:
            view = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        return _content(Reader(SPECS).message("model", view), Path(path))
    except OSError as error:
        raise Refusal(Fault("ND1401", where, f"it cannot be read ({error.strerror})", _MUST)) from None
    except BrokenError as error:
        raise Refusal(Fault("ND1401", where, f"it cannot be read ({error})", _MUST)) from None


def _content(model: Mapping[str, Any], path: Path) -> OnnxFile:
    where = str(path)
    graph = model.get("graph")
    if graph is None:
        raise BrokenError("it has no graph")
    raise_if(list(_model_faults(model, graph, where)))
    place = _Place(path.parent)
    tensors = {}
    for given in graph["initializer"]:
        made = _tensor(given, place)
        if made.name in tensors:
            raise BrokenError(f"two constants of the name {made.name!r}")
        tensors[made.name] = made
    nodes = tuple(_node(n, i, where, place) for i, n in enumerate(graph["node"]))
    inputs = {v.get("name", ""): _declared(v) for v in graph["input"] if v.get("name", "") not in tensors}
    if len(inputs) != sum(v.get("name", "") not in tensors for v in graph["input"]):
        raise BrokenError("two inputs of one name")
    return OnnxFile(nodes, tensors, inputs, tuple(v.get("name", "") for v in graph["output"]), where)


def _model_faults(model: Mapping[str, Any], graph: Mapping[str, Any], where: str) -> Iterator[Fault]:
    versions = [o.get("version", 0) for o in model["opset_import"] if o.get("domain", "") in {"", "ai.onnx"}]
    if len(versions) != 1 or not OLDEST <= versions[0] <= NEWEST:
        was = f"operators of version {', '.join(map(str, versions)) or 'that is not stated'}"
        yield Fault("ND1401", where, was, f"one version of {OLDEST}..{NEWEST}", "export it again with another opset")
    if model["functions"]:
        was, todo = f"{len(model['functions'])} functions of its own", "export it with functions inlined"
        yield Fault("ND1603", where, was, "operators of the standard alone", todo)
    if graph["sparse_initializer"]:
        was = f"{len(graph['sparse_initializer'])} sparse constants"
        yield Fault("ND1603", where, was, "dense ones", "export it with dense weights")


def _node(given: Mapping[str, Any], number: int, where: str, place: "_Place") -> OnnxNode:
    name, op, domain = given.get("name", ""), given.get("op_type", ""), given.get("domain", "")
    at = f"{where}, node {name or number!r}"
    attributes: dict[str, Any] = {}
    for a in given["attribute"]:
        key = a.get("name", "")
        if key in attributes:
            raise BrokenError(f"node {name or number!r} has two attributes {key!r}")
        attributes[key] = _attribute(a, place)
    full = op if domain in {"", "ai.onnx"} else f"{domain}.{op}"
    return OnnxNode(full, tuple(given["input"]), tuple(given["output"]), attributes, at)


def _attribute(given: Mapping[str, Any], place: "_Place") -> Any:
    """Value of an attribute; None for a type that no operator that is read has."""
    kind = given.get("type", 0)
    if given.get("ref_attr_name"):
        return None  # an attribute of a function
    if kind == _FLOAT:
        return given.get("f", 0.0)
    if kind == _INT:
        return given.get("i", 0)
    if kind == _STRING:
        return bytes(given.get("s", b"")).decode(errors="replace")
    if kind == _TENSOR and "t" in given:
        return _tensor(given["t"], place)
    if kind == _INTS:
        return list(given["ints"])
    if kind == _FLOATS:
        return _joined(given["floats"], np.dtype("<f4")).tolist()
    return None


def _tensor(given: Mapping[str, Any], place: "_Place") -> Tensor:
    name, kind = given.get("name", ""), TYPES.get(given.get("data_type", 0), (f"type {given.get('data_type', 0)}", ""))
    return Tensor(name, tuple(given["dims"]), kind[0], given, place)


def _declared(given: Mapping[str, Any]) -> tuple[int, tuple[int | None, ...] | None]:
    tensor = given.get("type", {}).get("tensor_type", {})
    shape = tensor.get("shape")
    sizes = None if shape is None else tuple(d.get("dim_value") for d in shape["dim"])
    return tensor.get("elem_type", 0), sizes


def _joined(given: list[Any], kind: np.dtype[Any]) -> Array:
    return np.concatenate([np.frombuffer(part, kind) for part in given] or [np.zeros(0, kind)])


def _whole(given: list[int], kind: str) -> Array:
    found = np.array(given, np.int64)
    low, high = (0, 1) if kind == "bool" else (np.iinfo(kind).min, np.iinfo(kind).max)
    if found.size and (found.min() < low or found.max() > high):
        raise BrokenError(f"numbers that are no {kind}")
    return found


class _Place:
    """The folder of a model, from which alone its data may come."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.left = folder, MOST_BYTES

    def take(self, size: int) -> None:
        """Count what is read; a constant that several layers read counts for each."""
        self.left -= size
        if self.left < 0:
            raise BrokenError(f"constants of more than {MOST_BYTES:,} bytes")

    def bytes_of(self, content: Mapping[str, Any], size: int) -> Any:
        """Bytes of a tensor: its own, or those of a file beside the model; None where it has neither."""
        if content.get("data_location", 0) == _EXTERNAL:
            return self._outside({e.get("key", ""): e.get("value", "") for e in content["external_data"]}, size)
        if content.get("data_location", 0) != 0 or "segment" in content:
            raise BrokenError("a constant that is kept in a way that no version describes")
        return content.get("raw_data")

    def _outside(self, told: Mapping[str, str], size: int) -> bytes:
        location = told.get("location", "")
        if not location or "\0" in location:
            raise BrokenError("external data without a location")
        path = self.folder / location
        if Path(location).is_absolute() or not path.resolve().is_relative_to(self.folder.resolve()):
            raise BrokenError(f"external data {location!r} that leaves the folder of the model")
        numbers = {key: told.get(key, "") for key in ("offset", "length")}
        if any(text and not (text.isascii() and text.isdigit() and len(text) < 19) for text in numbers.values()):
            raise BrokenError(f"external data with {numbers}")
        offset, length = int(numbers["offset"] or 0), int(numbers["length"] or size)
        if not path.is_file() or offset + size > path.stat().st_size or length != size:
            was = f"no {size:,} bytes at {offset:,}" if path.is_file() else "no such file"
            raise BrokenError(f"external data {location!r}: {was}")
        with path.open("rb") as stream:
            stream.seek(offset)
            return stream.read(size)
