"""Float layers: each is a docstring and a step text, run over the torch table; all work in torch.nn.Sequential.

Tensors are (time, batch, ...); spikes are whole numbers in a float type. A new neuron is a subclass of ``Neuron`` with
its text, made known by ``@register`` so that models with it can be saved.
"""

from neurodeploy.layers.delay import Delay
from neurodeploy.layers.models import IAF, LIF
from neurodeploy.layers.neuron import Neuron
from neurodeploy.layers.registry import build, describe, register
from neurodeploy.layers.sparse import EventLinear, SparseLinear
from neurodeploy.layers.stateful import Stateful
from neurodeploy.layers.surrogates import SURROGATES, Atan, FastSigmoid, PeriodicExponential, SingleExponential
from neurodeploy.layers.table import torch_table

__all__ = [
    "IAF",
    "LIF",
    "SURROGATES",
    "Atan",
    "Delay",
    "EventLinear",
    "FastSigmoid",
    "Neuron",
    "PeriodicExponential",
    "SingleExponential",
    "SparseLinear",
    "Stateful",
    "build",
    "describe",
    "register",
    "torch_table",
]
