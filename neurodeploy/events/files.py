"""Files of count data: an .npz whose bytes depend on its content alone."""

import difflib
import os
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.events.checks import check_parts, plain_ids
from neurodeploy.events.counts import Data, assemble
from neurodeploy.events.layout import axis_names
from neurodeploy.npz import Arrays, read_arrays, read_headers, write_arrays

SCHEMA_VERSION = 1

_KEYS = ("input", "label", "sample_id", "dt_s", "layout", "schema_version")


def save_data(path: str | os.PathLike[str], data: Data) -> None:
    """Write data as an .npz; the same content gives the same bytes on every machine.

    Keys: input, label (where there are labels), sample_id, dt_s, layout, schema_version. The name is taken as it
    stands, no suffix is added. The file appears under its name only when it is complete.
    """
    arrays: Arrays = {
        "input": data.input,
        "sample_id": plain_ids(data.sample_id),
        "dt_s": np.array(data.dt_s, dtype=np.float64),
        "layout": np.array(data.layout),
        "schema_version": np.array(SCHEMA_VERSION, dtype=np.int64),
    }
    if data.label is not None:
        arrays["label"] = data.label
    write_arrays(path, arrays)


def load_data(path: str | os.PathLike[str]) -> Data:
    """Read data from an .npz with the keys that ``save_data`` writes.

    Any layout that names time and batch is accepted, and both are moved to the front. label may be missing, and
    sample_id, in which case samples are numbered 0..batch - 1.
    Raises Refusal: ND1401 for a file that is missing, truncated or of another format, ND1402 for object arrays,
    ND1404 for another schema version, ND1501 for a layout that is missing or does not fit, ND1502 for values.
    All faults of the content come at once, with the lines that write the file anew.
    """
    where = str(path)
    arrays = read_arrays(path, lambda objects, names: _conversion(where, objects, names))
    raise_if(_format_faults(arrays, where))
    return _checked(arrays, where, arrays)


def head_of(path: str | os.PathLike[str]) -> tuple[Data, tuple[int, ...]]:
    """Read everything of count data but its counts: data with one silent step, and the shape of the input.

    Raises Refusal as load_data does, and ND1501 where time and batch are not the first axes: they cannot be moved
    without reading all.
    """
    where = str(path)
    headers = read_headers(path, lambda objects, names: _conversion(where, objects, names))
    arrays = read_arrays(path, leave=["input"])
    raise_if(_format_faults({**arrays, **{n: np.zeros(0) for n in headers if n == "input"}}, where))
    header = headers["input"]
    if header.dtype.kind not in "biu":
        raise Refusal(Fault("ND1502", f"{where}, input", f"type {header.dtype}", "counts are whole numbers from 0"))
    layout = _value(arrays, "layout")
    if isinstance(layout, str) and axis_names(layout)[:2] != ("time", "batch"):
        was, must = f'"{layout}"', 'time and batch first, as in "time,batch,channel", to be read piece by piece'
        raise Refusal(Fault("ND1501", f"{where}, layout", was, must, f"save_data({where!r}, load_data({where!r}))"))
    silence = np.zeros((min(header.shape[0], 1), *header.shape[1:]) if header.shape else (), np.uint8)
    return _checked(arrays | {"input": silence}, where, headers), header.shape


def _checked(arrays: Arrays, where: str, names: Collection[str]) -> Data:
    layout, dt_s = _value(arrays, "layout"), _value(arrays, "dt_s")
    parts = arrays["input"], layout, dt_s, arrays.get("label"), arrays.get("sample_id")
    faults = check_parts(*parts, suggest=lambda stated: _lines(where, stated, names))
    raise_if([replace(fault, where=f"{where}, {fault.where}") for fault in faults] + _key_faults(arrays, where))
    return assemble(arrays["input"], str(layout), float(str(dt_s)), arrays.get("label"), arrays.get("sample_id"))


def _format_faults(arrays: Arrays, where: str) -> list[Fault]:
    """Faults after which nothing else in the file can be understood."""
    found = _value(arrays, "schema_version")
    if "schema_version" in arrays and (type(found) is not int or found != SCHEMA_VERSION):
        was = f"schema_version is {found!r}"
        todo = "update neurodeploy, or write the file anew with save_data"
        return [Fault("ND1404", where, was, f"version {SCHEMA_VERSION} is read", todo, {"limit": SCHEMA_VERSION})]
    if "input" not in arrays:
        was = f"there is no input, only {', '.join(sorted(arrays)) or 'an empty archive'}"
        return [Fault("ND1401", where, was, f"the keys of a data file are {', '.join(_KEYS)}")]
    return []


def _key_faults(arrays: Arrays, where: str) -> list[Fault]:
    faults = []
    if "schema_version" not in arrays:
        todo = "save_data(path, data(...)) writes it"
        faults.append(Fault("ND1404", where, "no schema_version", f"version {SCHEMA_VERSION} is read", todo))
    for name in sorted(set(arrays) - set(_KEYS)):
        near = difflib.get_close_matches(name, _KEYS, 1)
        todo = f"perhaps {near[0]} is meant" if near else "remove it"
        faults.append(Fault("ND1401", where, f"unknown key {name!r}", f"the keys are {', '.join(_KEYS)}", todo))
    return faults


def _value(arrays: Arrays, name: str) -> object:
    """Value of a scalar entry, None where it is missing; an array stays what it is, for the check to refuse."""
    array = arrays.get(name)
    return array if array is None or array.ndim else array.item()


def _lines(where: str, layout: str, names: Collection[str]) -> str:
    """Line of Python that writes the file anew with a layout."""
    stated = f'"{layout}"'
    return f"f = dict(np.load({where!r})); {_save_line(where, stated, names)}"


def _conversion(where: str, objects: Sequence[str], names: Collection[str]) -> str:
    """Two lines of Python that turn object arrays into plain ones."""
    load = f"f = {{k: np.array(v.tolist()) for k, v in np.load({where!r}, allow_pickle=True).items()}}"
    layout = '"batch,time,channel"' if "input" in objects else '"time,batch,channel"'  # objects are samples
    layout = 'f["layout"].item()' if "layout" in names else layout
    return (
        f"write\n    {load}\n    {_save_line(where, layout, names)}\n"
        "if you trust the maker of the file and this is its layout"
    )


def _save_line(where: str, layout: str, names: Collection[str]) -> str:
    dt_s = 'f["dt_s"].item()' if "dt_s" in names else "SECONDS_PER_STEP"
    rest = "".join(f', {name}=f["{name}"]' for name in ("label", "sample_id") if name in names)
    return f'save_data({where!r}, data(f["input"], layout={layout}, dt_s={dt_s}{rest}))'
