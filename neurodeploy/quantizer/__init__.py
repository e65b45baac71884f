"""Float model -> integer network: constrain, lower, choose scales, round, report."""

from neurodeploy.quantizer.constraint import constrain
from neurodeploy.quantizer.decays import whole_registers
from neurodeploy.quantizer.lower import lower
from neurodeploy.quantizer.narrow import narrow, width_choices
from neurodeploy.quantizer.quantization import Quantization, quantize
from neurodeploy.quantizer.rails import Watch
from neurodeploy.quantizer.report import DecayReport, LayerReport
from neurodeploy.quantizer.stages import Edge, Lowered, Stage
from neurodeploy.quantizer.structure import structure

__all__ = [
    "DecayReport",
    "Edge",
    "LayerReport",
    "Lowered",
    "Quantization",
    "Stage",
    "Watch",
    "constrain",
    "lower",
    "narrow",
    "quantize",
    "structure",
    "whole_registers",
    "width_choices",
]
