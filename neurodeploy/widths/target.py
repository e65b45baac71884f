"""What a target must offer so that its widths can be searched."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from neurodeploy.archive import canonical_json
from neurodeploy.layers import Neuron
from neurodeploy.quantizer.decays import Floats
from neurodeploy.step import Interval
from neurodeploy.widths.table import Row


class Target(Protocol):
    """A model on a target, whose widths are free.

    name : of the target
    choices : what has a width -> the widths that it may have; what takes the most memory first
    key : part of what the results depend on -> its hash
    float_accuracy : of the float model, None without labels
    """

    name: str
    choices: dict[str, Interval]
    key: dict[str, str]
    float_accuracy: float | None

    def measure(self, widths: Mapping[str, int]) -> Row:
        """Quantize with these widths, simulate, compare with the float model; a refusal is a row, too."""


def key_of(
    target: str, model: torch.nn.Module, given: Sequence[Floats], calibration: Mapping[str, Any], **options: object
) -> dict[str, str]:
    """What the results of a search depend on, part by part.

    target : name and hash of what stands in its file
    given : spikes of each layer of the model on the calibration data: what its own code does, which no parameter tells
    calibration : arrays, and plain values
    """
    described = hashlib.sha256(canonical_json([_module(n, m) for n, m in model.named_modules()]).encode())
    for name, tensor in sorted(model.state_dict().items()):
        described.update(_array(name, tensor.detach().cpu().numpy()))
    for index, spikes in enumerate(given):
        described.update(_array(str(index), spikes))
    measured = hashlib.sha256()
    for name, value in sorted(calibration.items()):
        measured.update(_array(name, value) if isinstance(value, np.ndarray) else f"{name} {value!r}\n".encode())
    return {
        "target": target,
        "model": described.hexdigest(),
        "calibration": measured.hexdigest(),
        "options": canonical_json(options).strip(),
        "version of neurodeploy": version("neurodeploy"),
    }


def _module(name: str, module: torch.nn.Module) -> list[str]:
    kind = type(module)
    options = sorted((n, repr(v)) for n, v in module.options.items()) if isinstance(module, Neuron) else []
    return [name, f"{kind.__module__}.{kind.__qualname__}", module.extra_repr(), repr(options)]


def _array(name: str, array: NDArray[Any]) -> bytes:
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return f"{name} {plain.dtype.str} {plain.shape}\n".encode() + hashlib.sha256(plain.tobytes()).digest()
