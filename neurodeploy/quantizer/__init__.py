"""Float model -> integer network: constrain, lower, choose scales, round, report."""

from neurodeploy.quantizer.constrain import constrain
from neurodeploy.quantizer.lower import Lowered, Stage, lower
from neurodeploy.quantizer.quantize import Quantization, quantize
from neurodeploy.quantizer.report import DecayReport, LayerReport
from neurodeploy.quantizer.structure import structure

__all__ = [
    "DecayReport",
    "LayerReport",
    "Lowered",
    "Quantization",
    "Stage",
    "constrain",
    "lower",
    "quantize",
    "structure",
]
