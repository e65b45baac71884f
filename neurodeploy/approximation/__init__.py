"""Neurons that a chip does not compute: the nearest that it does, each step declared, the error measured."""

from neurodeploy.approximation.measure import SpikeError, measure, spike_error, van_rossum
from neurodeploy.approximation.report import Approximation, approximate
from neurodeploy.approximation.search import LayerLoss, layer_losses, substitute
from neurodeploy.approximation.table import TABLE, Rule, Substitution
from neurodeploy.approximation.translate import translate

__all__ = [
    "TABLE",
    "Approximation",
    "LayerLoss",
    "Rule",
    "SpikeError",
    "Substitution",
    "approximate",
    "layer_losses",
    "measure",
    "spike_error",
    "substitute",
    "translate",
    "van_rossum",
]
