"""From an ordinary network of ReLU layers to spiking neurons: traced, merged, balanced on data, reported."""

from neurodeploy.ann.convert import convert_ann
from neurodeploy.ann.merge import merged
from neurodeploy.ann.onnx import OnnxModule, read_onnx
from neurodeploy.ann.report import AnnReport, ReluReport
from neurodeploy.ann.trace import Plan, Step, trace

__all__ = ["AnnReport", "OnnxModule", "Plan", "ReluReport", "Step", "convert_ann", "merged", "read_onnx", "trace"]
