"""Float models that fire: weights drawn so that every layer is driven at about its threshold in each step."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from neurodeploy.layers import LIF


@dataclass(frozen=True)
class Options:
    """What a random model is made of; ``per_neuron`` draws every constant anew for each neuron around the given one."""

    inputs: int = 6
    hidden: tuple[int, ...] = (12,)
    outputs: int = 4
    tau_mem: float = 8.0
    tau_syn: float = 4.0
    threshold: float = 1.0
    drive: float = 0.75  # mean current of a step, in thresholds
    recurrent: bool = False
    bias: bool = False
    norm_input: bool = False
    per_neuron: bool = False


def model_of(options, seed=0):
    """Sequential of Linear and LIF layers, not constrained yet."""
    rng = np.random.default_rng(seed)
    sizes = (options.inputs, *options.hidden, options.outputs)
    layers = []
    for index, (fan_in, size) in enumerate(pairwise(sizes)):
        last = index == len(sizes) - 2
        spread = np.exp2(rng.integers(-1, 2, (3, size))) if options.per_neuron else np.ones((3, size))
        tau_mem, tau_syn = np.maximum(options.tau_mem * spread[0], 1.5), np.maximum(options.tau_syn * spread[1], 1.5)
        threshold = options.threshold * spread[2]
        keep = np.exp(-1 / tau_syn)
        gain = 1 - np.exp(-1 / tau_mem) if options.norm_input else np.ones(size)
        unit = threshold / gain * (1 - keep) / keep  # a steady input of this much is a threshold in each step
        weight = (rng.normal(0.5, 0.7, (fan_in, size)) * 2 * options.drive / fan_in * unit).T
        back = None
        if options.recurrent and not last:
            back = linear((rng.normal(0.0, 0.25, (size, size)) / np.sqrt(size) * unit).T)
        bias = torch.as_tensor(rng.normal(0.05, 0.1, size) * threshold, dtype=torch.float32) if options.bias else None
        constants = [tau_mem, tau_syn, threshold] if options.per_neuron else [tau_mem[0], tau_syn[0], threshold[0]]
        tau_mem, tau_syn, threshold = (torch.as_tensor(c, dtype=torch.float32) for c in constants)
        lif = LIF(
            size,
            tau_mem=tau_mem,
            tau_syn=tau_syn,
            threshold=threshold,
            bias=bias,
            norm_input=options.norm_input,
            rec_connect=back,
        )
        layers += [linear(weight), lif]
    return torch.nn.Sequential(*layers)


def linear(weight):
    """Linear without bias and with these (out, in) weights."""
    values = torch.as_tensor(np.asarray(weight), dtype=torch.float32)
    layer = torch.nn.Linear(values.shape[1], values.shape[0], bias=False)
    layer.weight.data = values
    return layer


def counts_of(seed=0, *, steps=100, samples=4, inputs=6, rate=1.0):
    """Random counts, and one constant sample."""
    rng = np.random.default_rng(seed)
    counts = np.minimum(rng.poisson(rate, (steps, samples, inputs)), 15)
    counts[:, 0] = max(round(rate), 1)
    return counts
