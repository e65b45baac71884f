"""The models as files, and as plain data for a bundle."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neurodeploy.archive import file_named, write_atomically
from neurodeploy.emit.onnx.models import OPSET, to_run_model, to_step_model
from neurodeploy.network import Network

FORMAT = "onnx/1"
SUFFIX = ".onnx"


def write_run(network: Network, path: str | Path) -> None:
    """Write the whole run; needs onnx: ``pip install "neurodeploy[onnx]"``. Raises the same as ``to_run_model``."""
    _write(network, path, to_run_model)


def write_step(network: Network, path: str | Path) -> None:
    """Write one step with explicit states; raises the same as ``to_step_model``."""
    _write(network, path, to_step_model)


def run_configuration(network: Network) -> dict[str, Any]:
    """Return the whole run as plain data."""
    return _configuration(network, to_run_model)


def step_configuration(network: Network) -> dict[str, Any]:
    """Return one step with explicit states as plain data."""
    return _configuration(network, to_step_model)


def _write(network: Network, path: str | Path, make: Callable[[Network], Any]) -> None:
    target = file_named(path, SUFFIX)
    write_atomically(target, make(network).SerializeToString(deterministic=True))


def _configuration(network: Network, make: Callable[[Network], Any]) -> dict[str, Any]:
    model = make(network)
    return {
        "format": FORMAT,
        "chip": network.chip.name,
        "opset": OPSET,
        "inputs": [v.name for v in model.graph.input],
        "outputs": [v.name for v in model.graph.output],
        "model_base64": base64.b64encode(model.SerializeToString(deterministic=True)).decode(),
    }
