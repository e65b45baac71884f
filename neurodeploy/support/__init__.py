"""Which float neuron each chip computes: every registered class and option, asked of the quantizer and measured."""

from neurodeploy.support.markdown import BEGIN, END, markdown, notes
from neurodeploy.support.matrix import ROLES, Support, support_matrix
from neurodeploy.support.variants import Variant, neuron_classes, variants

__all__ = [
    "BEGIN",
    "END",
    "ROLES",
    "Support",
    "Variant",
    "markdown",
    "neuron_classes",
    "notes",
    "support_matrix",
    "variants",
]
