"""ONNX: the integer network as a model of standard operators, one step or a whole run, for any clocked chip."""

from neurodeploy.emit.onnx.files import run_configuration, step_configuration, write_run, write_step
from neurodeploy.emit.onnx.models import OPSET, to_run_model, to_step_model

__all__ = [
    "OPSET",
    "run_configuration",
    "step_configuration",
    "to_run_model",
    "to_step_model",
    "write_run",
    "write_step",
]
