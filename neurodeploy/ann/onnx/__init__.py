"""Float networks from ONNX files: read without the package ``onnx``, with bounds on memory and time."""

from neurodeploy.ann.onnx.module import OnnxModule
from neurodeploy.ann.onnx.read import read_onnx

__all__ = ["OnnxModule", "read_onnx"]
