"""Float models: saved as safetensors with their layers described in the header, loaded without executing anything."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, TypeGuard, cast

import safetensors
import safetensors.torch
import torch

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.layers.neuron import Neuron
from neurodeploy.layers.registry import build, describe, unknown_modules
from neurodeploy.layers.stateful import Stateful
from neurodeploy.npz import replacing

SCHEMA_VERSION = 1
SUFFIX = ".safetensors"
#: The one key of the header: several have no fixed order, and equal models must give equal bytes.
KEY = "neurodeploy"

_HEAD = 128  # bytes: enough for the name of a zip file's first entry
_PICKLED = frozenset({".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt"})
_CONVERT = (
    "load it where you trust it, into a model of neurodeploy.layers, and save that, in two lines:\n"
    '    model.load_state_dict(torch.load("{name}", weights_only=True))\n'
    '    neurodeploy.save_model(model, "{stem}.safetensors", dt_s=DT_S)\n'
    "where DT_S is the length of a time step in seconds"
)


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says beside the model.

    dt_s : duration of a time step, in seconds
    layers : the description of each layer: name, class, dtype, options
    schema_version : of the file
    """

    dt_s: float
    layers: tuple[Mapping[str, Any], ...]
    schema_version: int = SCHEMA_VERSION


def reset_states(model: torch.nn.Module) -> None:
    """Reset every layer of a model that keeps a state."""
    for module in model.modules():
        if isinstance(module, Stateful):
            module.reset_states()


def detach_states(model: torch.nn.Module) -> None:
    """Cut the history of every kept state, for instance between two optimizer steps of one long recording."""
    for module in model.modules():
        if isinstance(module, Stateful):
            module.detach_states()


def save_model(model: torch.nn.Module, path: str | Path, *, dt_s: float) -> None:
    """Write a model: the same model and ``dt_s`` give the same bytes; the file is complete or not there.

    model : torch.nn.Sequential of torch.nn.Linear, Conv2d, AvgPool2d, Flatten, Dropout, Identity, Sequential and our
        layers
    path : ends in .safetensors
    dt_s : duration of a time step, in seconds
    The states that layers keep between calls are not written.
    Raises Refusal: ND1603 for modules that cannot be described, ND1604 for NaN or infinite parameters, ND1601 for
    other values that a layer refuses; all of them at once.
    """
    path = Path(path)
    faults = []
    if type(model) is not torch.nn.Sequential:
        was, must = f"a {type(model).__name__}", "it must be a torch.nn.Sequential"
        faults.append(Fault("ND1603", "model", was, must, "put the layers into one"))
    else:
        faults += unknown_modules(model)
    if path.suffix != SUFFIX:
        faults.append(Fault("ND1401", str(path), f"suffix {path.suffix!r}", f"the name must end in {SUFFIX}"))
    if not _is_duration(dt_s):
        faults.append(Fault("ND1601", "model", f"dt_s is {dt_s!r}", "it must be a finite number of seconds above 0"))
    raise_if(faults + _value_faults(model))
    header = {"schema_version": SCHEMA_VERSION, "dt_s": float(dt_s), "layers": describe(model)["options"]["layers"]}
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False)
    # copies: tensors that share memory are written once for each name
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}
    with replacing(path) as stream:
        stream.write(safetensors.torch.save(tensors, metadata={KEY: text}))


def load_model(path: str | Path) -> tuple[torch.nn.Sequential, ModelInfo]:
    """Read a model that ``save_model`` wrote. It comes in evaluation mode (dropout off), its states reset.

    Raises Refusal: ND1402 for pickled files, ND1401 for truncated, foreign or inconsistent ones, ND1404 for another
    schema version, ND1603 for unknown layers, ND1604 and ND1601 for values that no layer may have.
    """
    path = Path(path)
    text, tensors = _read(path)
    header = _header(path, text)
    description = {"class": "Sequential", "dtype": None, "options": {"layers": header["layers"]}}
    try:
        model = cast("torch.nn.Sequential", build(description, device="meta"))
    except Refusal as refusal:
        raise Refusal([replace(fault, where=f"{path}, {fault.where}") for fault in refusal.faults]) from None
    _fill(model, tensors, str(path))
    raise_if(_value_faults(model))
    model.eval()
    return model, ModelInfo(float(header["dt_s"]), tuple(header["layers"]))


def _read(path: Path) -> tuple[str, dict[str, torch.Tensor]]:
    if path.suffix in _PICKLED:
        _refuse_pickled(path, f"its suffix is {path.suffix}")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        # a safetensors file opens with the length of its header, 8 bytes, and a bracket
        if head[8:9] != b"{":
            if head.startswith(b"PK") and b".npy" in head:
                raise _unreadable(path, "an .npz file of arrays", "a model that save_model wrote")
            if head.startswith(b"PK") or (head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5"):
                _refuse_pickled(path, "its first bytes are those of a pickle or zip file")
        with safetensors.safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 - no mapping
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error), "a file that can be read") from None
    except safetensors.SafetensorError as error:
        raise _unreadable(path, f"truncated or of another format ({error})", "a complete safetensors file") from None
    if KEY not in metadata:
        must = f"a header with the key {KEY!r}, as save_model writes it"
        raise _unreadable(path, "a safetensors file that describes no layers", must)
    return metadata[KEY], tensors


def _refuse_pickled(path: Path, why: str) -> NoReturn:
    must = "pickles run code when they are loaded, so only safetensors files are read"
    todo = _CONVERT.format(name=path.name, stem=path.stem)
    raise Refusal(Fault("ND1402", str(path), why, must, todo, {"path": str(path)}))


def _header(path: Path, text: str) -> dict[str, Any]:
    try:
        header: Any = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, f"a description that is no JSON ({error})", "JSON as save_model writes it") from None
    version = header.get("schema_version") if isinstance(header, dict) else None
    if version != SCHEMA_VERSION or isinstance(version, bool):
        was, must = f"schema version {version!r}", f"this version of neurodeploy reads {SCHEMA_VERSION}"
        raise Refusal(Fault("ND1404", str(path), was, must, "save the model again", {"schema_version": version}))
    if set(header) != {"schema_version", "dt_s", "layers"} or not isinstance(header["layers"], list):
        raise _unreadable(path, f"a description of {', '.join(sorted(header))}", "schema_version, dt_s and layers")
    if not _is_duration(header["dt_s"]):
        raise _unreadable(path, f"dt_s {header['dt_s']!r}", "a finite number of seconds above 0")
    return dict(header)


def _fill(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor], where: str) -> None:
    expected = model.state_dict()
    faults = []
    for name in sorted({*expected, *tensors}):
        want, got = expected.get(name), tensors.get(name)
        if want is None or got is None:
            was = f"tensor {name} is missing" if got is None else f"tensor {name} belongs to no layer"
            faults.append(Fault("ND1401", where, was, "the tensors must be those of the layers described"))
        elif want.shape != got.shape or want.dtype != got.dtype:
            was = f"tensor {name} is {got.dtype} of shape {tuple(got.shape)}"
            faults.append(Fault("ND1401", where, was, f"its layer has {want.dtype} of shape {tuple(want.shape)}"))
    raise_if(faults)
    model.load_state_dict(dict(tensors), assign=True)


def _value_faults(model: torch.nn.Module) -> list[Fault]:
    """NaN and infinite values by parameter, then what our layers refuse of finite ones."""
    faults = []
    for name, value in model.state_dict().items():
        bad = int((~torch.isfinite(value)).sum()) if isinstance(value, torch.Tensor) else 0
        if bad:
            was = f"{bad} of {value.numel()} values are NaN or infinite"
            values = {"parameter": name, "count": bad}
            faults.append(Fault("ND1604", f"parameter {name}", was, "all must be finite", "", values))
    if not faults:
        for name, module in model.named_modules():
            if isinstance(module, Neuron):
                faults += [replace(fault, where=f"layer {name} ({fault.where})") for fault in module.faults()]
    return faults


def _is_duration(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= sys.float_info.max


def _no_constant(name: str) -> NoReturn:
    msg = f"the constant {name}"
    raise ValueError(msg)


def _unreadable(path: Path, was: str, must: str) -> Refusal:
    return Refusal(Fault("ND1401", str(path), was, f"it must be {must}", "", {"path": str(path)}))
