"""The file itself: HDF5, written and read with h5py alone; every value is a dataset, as the loader expects."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from neurodeploy.archive import write_atomically
from neurodeploy.emit.netx.layers import Layer
from neurodeploy.errors import Fault, Missing, Refusal, raise_if

TYPES = ("input", "dense", "dense_rec", "conv", "flatten")
#: Datasets of a layer beside ``type`` and ``shape`` that the loader does not need; read and left aside.
UNREAD = {"inFeatures", "outFeatures", "inChannels", "outChannels", "kernelSize"}
ABOUT = "neurodeploy"
_BIGGEST = 2**27  # numbers in one dataset: a file that promises more is refused before anything is allocated
_MOST = 4096  # layers
_TEXT = 64  # letters of a text

About = Mapping[str, str | int | float]


def write_file(path: Path, layers: tuple[Layer, ...], about: About) -> None:
    """Write layers; the same layers give the same bytes under one version of HDF5.

    about : what the loader has no place for; it stands in a group of its own, which the loader does not open
    """
    h5py = _h5py()
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=False) as file:
        for i, layer in enumerate(layers):
            place = f"layer/{i}"
            file[f"{place}/type"] = np.array([layer.type.encode()], "S10")
            file[f"{place}/shape"] = np.array(layer.shape)
            for name, values in sorted(layer.arrays.items()):
                file[f"{place}/{name}"] = values
            for name, value in sorted(layer.neuron.items()):
                file[f"{place}/neuron/{name}"] = (
                    np.array([value.encode()], "S10") if isinstance(value, str) else np.int64(value)
                )
        for name, known in sorted(about.items()):
            file[f"{ABOUT}/{name}"] = np.bytes_(known.encode()) if isinstance(known, str) else known
    write_atomically(path, buffer.getvalue())


def read_file(path: Path) -> tuple[tuple[Layer, ...], dict[str, Any]]:
    """Layers of a file and what stands beside them.

    Raises Refusal ND1401 for what is no complete HDF5 file, ND1901 for layers that the format does not have.
    """
    h5py = _h5py()
    try:
        with h5py.File(path, "r") as file:
            return _content(h5py, path, file)
    except Refusal:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, UnicodeDecodeError) as error:
        was = f"cannot be read: {error}"[:200]
        raise Refusal(Fault("ND1401", str(path), was, "a complete HDF5 file of a network for NetX")) from None


def _content(h5py: ModuleType, path: Path, file: Any) -> tuple[tuple[Layer, ...], dict[str, Any]]:
    if not isinstance(file.get("layer"), h5py.Group):
        raise Refusal(Fault("ND1401", str(path), "no group 'layer'", "a file of a network for NetX"))
    names = list(file["layer"])
    if sorted(names) != sorted(str(i) for i in range(len(names))) or not 0 < len(names) <= _MOST:
        was = f"{len(names)} layers, named {', '.join(names[:5])}"
        raise Refusal(Fault("ND1901", str(path), was, "0, 1, 2, ..., at least one"))
    layers, faults = [], list[Fault]()
    for i in range(len(names)):
        layer, found = _layer(h5py, f"{path}, layer {i}", file["layer"][str(i)])
        faults += found
        if layer is not None:
            layers.append(layer)
    raise_if(faults)
    beside = file.get(ABOUT)
    about = {name: _plain(beside[name]) for name in beside} if isinstance(beside, h5py.Group) else {}
    return tuple(layers), about


def _h5py() -> ModuleType:
    try:
        import h5py
    except ImportError:
        must, todo = "h5py reads and writes HDF5", 'pip install "neurodeploy[netx]"'
        raise Missing(Fault("ND9001", "NetX", "h5py is not installed", must, todo)) from None
    found: ModuleType = h5py
    return found


def _layer(h5py: ModuleType, where: str, group: Any) -> tuple[Layer | None, list[Fault]]:
    if not isinstance(group, h5py.Group):
        return None, [Fault("ND1901", where, "a dataset", "a group")]
    faults = list(_broken(h5py, where, group))
    if faults:
        return None, faults
    kind = _text(group["type"]) if "type" in group else ""
    if kind not in TYPES:
        return None, [Fault("ND1901", where, f"a layer of type {kind!r}", f"one of {', '.join(TYPES)}")]
    if "shape" not in group:
        return None, [Fault("ND1901", where, "no shape", "a dataset 'shape'")]
    known = {"type", "shape", "neuron"} | UNREAD
    arrays = {name: _integers(group[name]) for name in group if name not in known}
    neuron = {n: v for n in group.get("neuron", ()) if (v := _register(n, group["neuron"][n])) is not None}
    return Layer(kind, tuple(_integers(group["shape"]).reshape(-1).tolist()), arrays, neuron), []


def _broken(h5py: ModuleType, where: str, group: Any) -> Iterator[Fault]:
    """Links and sizes that must not be followed or allocated."""
    for name in group:
        link = group.get(name, getlink=True)
        place = f"{where}, {name}"
        if not isinstance(link, h5py.HardLink):
            yield Fault("ND1901", place, "a link to somewhere else", "a dataset in this file")
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            if name == "neuron":
                yield from _broken(h5py, place, item)
            else:
                yield Fault("ND1901", place, "a group", "a dataset; only 'neuron' is a group")
        elif item.size is None or item.size > _BIGGEST:
            yield Fault("ND1901", place, f"{item.size} numbers", f"at most {_BIGGEST:,}")


def _text(dataset: Any) -> str:
    value = np.asarray(dataset[()]).reshape(-1)
    if value.size != 1:
        msg = f"{value.size} texts where one belongs"
        raise TypeError(msg)
    raw = value[0]
    text = raw.decode("ascii") if isinstance(raw, bytes) else str(raw)
    if len(text) > _TEXT:
        msg = f"a text of {len(text)} letters"
        raise TypeError(msg)
    return text


def _integers(dataset: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Whole numbers; lava-dl writes some of them as floats, and a fraction is refused."""
    values = np.asarray(dataset[()])
    if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values) or not np.all(np.isfinite(values)):
        msg = f"{dataset.name} of {values.dtype} where integers belong"
        raise TypeError(msg)
    whole = values.astype(np.int64)
    if np.any(whole != values):
        msg = f"{dataset.name} holds fractions"
        raise TypeError(msg)
    return whole


def _register(name: str, dataset: Any) -> str | int | None:
    """A text, a whole number or a truth; None for what no register is: other programs write more than is read."""
    if name == "type":
        return _text(dataset)
    values = np.asarray(dataset[()]).reshape(-1)
    if values.size != 1 or not (np.issubdtype(values.dtype, np.number) or values.dtype == bool):
        return None
    whole = np.isrealobj(values) and bool(np.isfinite(values[0])) and values[0] == int(values[0])
    return int(values[0]) if whole else None


def _plain(dataset: Any) -> Any:
    value = dataset[()]
    return value.decode() if isinstance(value, bytes) else value.item()
