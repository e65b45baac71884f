"""Float layers: each is a docstring and a step text, run over the torch table; all work in torch.nn.Sequential.

Tensors are (time, batch, ...); spikes are whole numbers in a float type. A new neuron is a subclass of ``Neuron`` with
its text, made known by ``@register`` so that models with it can be saved.
"""

from neurodeploy.layers.decaying import ALIF, IAF, LIF, ExpLeak
from neurodeploy.layers.delay import Delay
from neurodeploy.layers.delayed_reset import Alpha, Lapicque, Leaky, RLeaky, RSynaptic, Synaptic
from neurodeploy.layers.differential import GIF, GIF_PRESETS, ExpIF
from neurodeploy.layers.elementwise import Integrator, Scale
from neurodeploy.layers.graph import Graph
from neurodeploy.layers.neuron import Neuron
from neurodeploy.layers.per_step import PerStep
from neurodeploy.layers.pooling import SumPool2d
from neurodeploy.layers.refractory import RefractoryIF
from neurodeploy.layers.registry import build, describe, register
from neurodeploy.layers.sparse import EventLinear, SparseLinear
from neurodeploy.layers.stateful import Stateful
from neurodeploy.layers.surrogates import SURROGATES, Atan, FastSigmoid, PeriodicExponential, SingleExponential
from neurodeploy.layers.table import torch_table

__all__ = [
    "ALIF",
    "GIF",
    "GIF_PRESETS",
    "IAF",
    "LIF",
    "SURROGATES",
    "Alpha",
    "Atan",
    "Delay",
    "EventLinear",
    "ExpIF",
    "ExpLeak",
    "FastSigmoid",
    "Graph",
    "Integrator",
    "Lapicque",
    "Leaky",
    "Neuron",
    "PerStep",
    "PeriodicExponential",
    "RLeaky",
    "RSynaptic",
    "RefractoryIF",
    "Scale",
    "SingleExponential",
    "SparseLinear",
    "Stateful",
    "SumPool2d",
    "Synaptic",
    "build",
    "describe",
    "register",
    "torch_table",
]
