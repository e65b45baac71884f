"""Widths in fixed point: of the states, the parameters and the weights of each layer of a derived network."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.approximation.measure import spikes_of
from neurodeploy.approximation.report import layer_names
from neurodeploy.chips import Chip
from neurodeploy.errors import Refusal
from neurodeploy.fixed import Bits, Derivation, Layer, derive
from neurodeploy.fixed.plain import SPIKE
from neurodeploy.layers import Neuron
from neurodeploy.network import Network, place_identity
from neurodeploy.network.network import Ints
from neurodeploy.simulator import simulate
from neurodeploy.step import Interval
from neurodeploy.widths.reference import Reference
from neurodeploy.widths.table import Row
from neurodeploy.widths.target import key_of

#: Refusals that other widths may avoid: what needs too many bits, registers that hold too little.
OF_WIDTHS = frozenset({"ND1701", "ND1703"})


class InFixed:
    """A model on a machine that is programmed with its neurons (``Target``).

    Of each layer the widths of states, parameters and weights can be chosen, as far as it has some: "LAYER.state",
    "LAYER.parameter", "LAYER.weight".
    """

    def __init__(
        self, model: torch.nn.Module, chip: Chip, counts: Ints, label: Ints | None, dt_s: float | None
    ) -> None:
        """Derive the model with the widths that the machine has for everybody, and run it in float.

        counts : (time, batch, ...); label : (batch,), None where accuracy does not matter
        Raises Refusal: what ``derive`` refuses.
        """
        machine = chip.file.programmable
        if machine is None:
            raise TypeError(f"{chip.name} is not programmable")
        self.model, self.chip, self.counts, self.dt_s, self.name = model, chip, counts, dt_s, chip.name
        first = self._derived(None)
        taken = {f"{layer.name}.{what}": bits for layer in first.layers for what, bits in widths_of(layer).items()}
        ranges = {
            "state": machine.state_bits,
            "parameter": machine.parameter_bits,
            "weight": machine.weight_bits,
        }
        self.choices = {n: Interval(*ranges[_what(n)]) for n in sorted(taken, key=lambda n: (-taken[n], n)) if taken[n]}
        self.outputs = [g.name for g in first.network.outputs()]
        alone = isinstance(model, Neuron)
        spikes = spikes_of(torch.nn.Sequential(model) if alone else model, counts)
        names = [layer.name for layer in first.layers] if alone else layer_names(model)
        given = dict(zip(names, spikes, strict=True))
        wanted = np.concatenate([given[name] for name in self.outputs], axis=2)
        self.reference = Reference(wanted, label)
        self.float_accuracy = self.reference.accuracy(wanted)
        calibration = {"input": counts} if label is None else {"input": counts, "label": label}
        self.key = key_of(f"{chip.name} {chip.digest}", model, spikes, calibration, dt_s=dt_s)

    def measure(self, widths: Mapping[str, int]) -> Row:
        """Derive, simulate and compare; widths that the machine cannot have are a row that says so."""
        try:
            derived = self._derived(widths)
        except Refusal as refusal:
            if any(fault.code not in OF_WIDTHS for fault in refusal.faults):
                raise
            return Row(dict(widths), refused="; ".join(map(str, refusal.faults)))
        run = simulate(place_identity(derived.network), derived.encode(self._flat()), drain=0)
        found = np.concatenate([derived.decode(name, SPIKE, run.counts[name]) for name in self.outputs], axis=2)
        bits = sum(sum(widths_of(layer).values()) for layer in derived.layers)
        error, accuracy = self.reference.error(found), self.reference.accuracy(found)
        return Row(dict(widths), bits, memory_bits(derived.network), error, accuracy)

    def _derived(self, widths: Mapping[str, int] | None) -> Derivation:
        bits = None if widths is None else layer_bits(widths, self.chip)
        return derive(self.model, self.chip, calibration=self.counts, bits=bits, dt_s=self.dt_s)

    def _flat(self) -> npt.NDArray[Any]:
        return self.counts.reshape(*self.counts.shape[:2], -1)


def layer_bits(widths: Mapping[str, int], chip: Chip) -> dict[str, Bits]:
    """What ``derive`` takes as ``bits``, from the widths of a row: layer -> widths.

    chip : a programmable one; what a layer does not have stays as it has it
    """
    machine = chip.file.programmable
    if machine is None:
        raise TypeError(f"{chip.name} is not programmable")
    usual = {"state": machine.bits, "parameter": machine.bits, "weight": machine.bits, "guard": machine.guard_bits}
    layers = dict.fromkeys(name.rpartition(".")[0] for name in widths)
    own = {layer: {_what(n): bits for n, bits in widths.items() if n.rpartition(".")[0] == layer} for layer in layers}
    return {layer: Bits(**usual | found) for layer, found in own.items()}


def _what(name: str) -> str:
    return name.rpartition(".")[2]


def widths_of(layer: Layer) -> dict[str, int]:
    """What of a layer has a width to choose -> bits of all of it; a constant that its neurons share counts once."""
    kind = layer.kind
    states = kind.plain.size * sum(kind.states[name].bits for name in kind.plain.states)
    parameters = sum(c.format.bits * (len(c.values) if len(set(c.values)) > 1 else 1) for c in kind.constants.values())
    weights = sum(w.format.bits * w.values.size for w in layer.weights if w.values is not None)
    return {"state": states, "parameter": parameters, "weight": weights}


def memory_bits(network: Network) -> int:
    """Bits of all registers of a network: states, parameters (once where all neurons share them), synapses."""
    return sum(_registers(network))


def _registers(network: Network) -> Iterator[int]:
    for group in network.groups:
        kind = network.chip.neurons[group.kind]
        yield sum(state.bits for state in kind.states.values()) * group.size
        for name, values in group.parameters.items():
            interval = kind.parameters[name].interval
            yield _width(interval) * (group.size if len(np.unique(values)) > 1 else 1)
    for p in network.projections:
        for name, values in p.fields.items():
            yield network.chip.connections[p.kind].fields[name].bits * len(values)


def _width(interval: Interval) -> int:
    """Bits of a register that holds all of a range."""
    low, high = interval
    return max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + int(low < 0)
