"""Float against integer, layer by layer."""

from neurodeploy.report.fidelity import Fidelity, LayerFidelity, measure_fidelity

__all__ = ["Fidelity", "LayerFidelity", "measure_fidelity"]
