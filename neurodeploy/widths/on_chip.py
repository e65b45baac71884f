"""Widths on a chip: those of the weights, where the chip has a register for them."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.approximation.measure import spikes_of
from neurodeploy.approximation.report import layer_names
from neurodeploy.approximation.search import swapped
from neurodeploy.chips import Chip
from neurodeploy.errors import Fault, Refusal
from neurodeploy.mapper import Placement, map_network
from neurodeploy.network import Network
from neurodeploy.network.network import Ints
from neurodeploy.quantizer import constrain, lower, quantize, structure, width_choices
from neurodeploy.quantizer.activity import observe
from neurodeploy.quantizer.pieces import neuron_layers
from neurodeploy.simulator import latency_of, simulate
from neurodeploy.widths.reference import Reference
from neurodeploy.widths.table import Row
from neurodeploy.widths.target import key_of

#: Refusals that other widths may avoid: registers, limits of the chip, ranges in which its dialects agree.
OF_WIDTHS = frozenset({"ND1703", "ND1705", "ND1801", "ND1802", "ND2201", "ND2202"})


class OnChip:
    """A model on a chip whose weights have a width to choose, layer by layer (``Target``)."""

    def __init__(
        self, model: torch.nn.Module, chip: Chip, counts: Ints, label: Ints | None, dt_s: float | None
    ) -> None:
        """Lower the model and run it in float.

        counts : (time, batch, channel); label : (batch,), None where accuracy does not matter
        Raises Refusal ND1705 for a chip that leaves nothing to choose, and all that ``constrain`` and ``lower`` refuse.
        """
        self.chip, self.counts, self.label, self.dt_s = chip, counts, label, dt_s
        kinds = [kind.entry.grid for kind in chip.connections.values()]
        if not any(grid is not None and grid.bits for grid in kinds):
            was, must = "nothing to choose: its weights have one width", "a target with a register of their width"
            raise Refusal(Fault("ND1705", chip.name, was, must, "nd.quantize uses all of it"))
        self.model = constrain(model, chip)
        lowered = lower(self.model, chip)
        found = width_choices(lowered)
        if not found:
            was, must = (
                "nothing to choose: all weights of this model have one width",
                "a matrix with a width of its own",
            )
            raise Refusal(Fault("ND1705", chip.name, was, must, "nd.quantize uses all of it"))
        sizes = {s.name: sum(e.weight.size for e in s.edges) for s in lowered.stages}
        self.name = chip.name
        self.choices = {n: found[n] for n in sorted(found, key=lambda n: (-sizes[n], n))}
        observe(lowered, counts)  # refuses counts that are none, in the words of the quantizer
        layers = structure(self.model, chip)
        if layers is None:
            raise RuntimeError("a model that was lowered has a structure")
        self.outputs, self.latency = [g.name for g in layers.outputs()], latency_of(layers)
        # the given neurons between the delays of the chip, which are no error of the widths
        names, given = layer_names(self.model), [neuron for _, neuron in neuron_layers(model)]
        delayed = swapped(self.model, dict(zip(names, given, strict=True)))
        drained = np.concatenate([counts, np.zeros_like(counts, shape=(self.latency, *counts.shape[1:]))])
        spikes = spikes_of(delayed, drained)
        wanted = self._of_outputs(dict(zip(names, spikes, strict=True)))
        self.reference = Reference(wanted, label, self.latency)
        self.float_accuracy = self.reference.accuracy(wanted)
        calibration = {"input": counts} if label is None else {"input": counts, "label": label}
        self.key = key_of(f"{chip.name} {chip.digest}", model, spikes, calibration, dt_s=dt_s)

    def measure(self, widths: Mapping[str, int]) -> Row:
        """Quantize, place, simulate and compare; what the chip refuses is a row that says so."""
        try:
            network = quantize(
                self.model, self.chip, calibration=self.counts, dt_s=self.dt_s, weight_bits=widths
            ).network
            placed = map_network(network)
        except Refusal as refusal:
            if any(fault.code not in OF_WIDTHS for fault in refusal.faults):
                raise
            return Row(dict(widths), refused="; ".join(map(str, refusal.faults)))
        run = simulate(placed.network, self.counts, drain=self.latency)
        found = self._of_outputs(run.counts).astype(np.float64)
        bits = stored_bits(network)
        error, accuracy = self.reference.error(found), self.reference.accuracy(found)
        return Row(dict(widths), bits, memory_bits(placed) or bits, error, accuracy)

    def _of_outputs(self, spikes: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """(time, batch, neuron) spikes of all output layers side by side."""
        return np.concatenate([spikes[name] for name in self.outputs], axis=2)


def stored_bits(network: Network) -> int:
    """Bits of all weights that have a register of their width, each in its width."""
    total = 0
    for p in network.projections:
        grid = network.chip.connections[p.kind].entry.grid
        if grid is not None and grid.bits:
            total += p.parameters[grid.bits] * len(p.sources)
    return total


def memory_bits(placed: Placement) -> int:
    """What the cores need for these weights: every limit of a core whose formula reads their width; 0 without one."""
    chip, reading = placed.network.chip, set[str]()
    for limit in chip.limits.values():
        kind = chip.connections.get(limit.entry.of or "")
        bits = kind.entry.grid.bits if kind is not None and kind.entry.grid is not None else ""
        if limit.entry.per == "axon" and bits and re.search(rf"\b{bits}\b", limit.entry.value):
            reading.add(limit.name)
    return sum(u.asked for core in placed.cores for u in core.usage if u.limit in reading)
