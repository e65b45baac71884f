"""Any neuron in fixed point: from float step texts to texts of whole numbers, with formats, and whole networks."""

from neurodeploy.fixed.assembly import Layer
from neurodeploy.fixed.derivation import Derivation, derive, underivable
from neurodeploy.fixed.formats import Bits, Format

__all__ = ["Bits", "Derivation", "Format", "Layer", "derive", "underivable"]
