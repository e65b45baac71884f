"""From a NIR file to a float model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch

from neurodeploy.nir.contract import UNSTATED, Contract, Settled, Unstated, settle
from neurodeploy.nir.file import read_file
from neurodeploy.nir.graph import NirFile
from neurodeploy.nir.presets import PRESETS
from neurodeploy.nir.report import NirReport
from neurodeploy.nir.shapes import Shapes, infer_shapes
from neurodeploy.nir.to_model import to_model
from neurodeploy.nir.wiring import Flat, flatten


@dataclass(frozen=True)
class NirModel:
    """A model from a file, and what was stated about it.

    model : takes (time, batch, channel) counts; maps are made of them inside
    dt_s : duration of a step in seconds
    contract : how its neurons compute
    report : who stated what, and what became of each node
    """

    model: torch.nn.Sequential
    dt_s: float
    contract: Contract
    report: NirReport


@dataclass(frozen=True)
class NirInspection:
    """A file without a contract: its graph in one level, and its shapes."""

    file: NirFile
    flat: Flat
    shapes: Shapes


def inspect_nir(path: str | Path) -> NirInspection:
    """Read and check a graph; nothing has to be stated for that. Refusals as ``read_nir``."""
    file = read_file(path)
    flat = flatten(file.graph)
    return NirInspection(file, flat, infer_shapes(flat))


def read_nir(
    path: str | Path,
    *,
    like: str = "",
    dt_s: float | Unstated = UNSTATED,
    reset: str | Unstated = UNSTATED,
    integrator: str | Unstated = UNSTATED,
    comparison: str | Unstated = UNSTATED,
    max_spikes: int | Unstated | None = UNSTATED,
    v_min: float | Unstated | None = UNSTATED,
    recurrent_delay: int | Unstated = UNSTATED,
    reset_delay: int | Unstated = UNSTATED,
    time_unit: str | Unstated = UNSTATED,
    gain: str | Unstated = UNSTATED,
    syn_gain: str | Unstated = UNSTATED,
    charge: str | Unstated = UNSTATED,
    start: str | Unstated = UNSTATED,
) -> NirModel:
    """Read a NIR graph as a float model.

    like : exporter whose meaning the file has: "snntorch", "sinabs", "norse", "rockpool", "spikingjelly", or "nir"
        for the equations of the documentation; what is stated besides counts first
    dt_s : duration of a step in seconds
    reset : "subtract" the threshold, to "zero", or to the "value" v_reset of the file
    integrator : "euler" (1 - dt / tau) or "exact" (exp(-dt / tau))
    comparison : ">" or ">=" the threshold
    max_spikes : most spikes of a neuron in one step, None for no bound
    v_min : lowest membrane in the file's unit, None for no bound
    recurrent_delay : steps after which spikes come back along a cycle
    reset_delay, time_unit, gain, syn_gain, charge, start : see Contract; the equations decide where nothing is stated

    Raises Refusal with everything at once: ND1401 for what is no such file, ND1603 for nodes that are no primitive of
    NIR, by name, ND1602 for shapes, ND1601 for values, and for what the contract needs and nobody stated; Missing where
    h5py is not installed.
    """
    stated = {
        "dt_s": dt_s,
        "reset": reset,
        "integrator": integrator,
        "comparison": comparison,
        "max_spikes": max_spikes,
        "v_min": v_min,
        "recurrent_delay": recurrent_delay,
        "reset_delay": reset_delay,
        "time_unit": time_unit,
        "gain": gain,
        "syn_gain": syn_gain,
        "charge": charge,
        "start": start,
    }
    return build_model(inspect_nir(path), stated, like=like)


def settle_contract(found: NirInspection, stated: Mapping[str, object], *, like: str = "") -> Settled:
    """Contract of an inspected file; raises Refusal (ND1601) that lists what is missing."""
    flat = found.flat
    return settle(flat.nodes.values(), stated, like=like, metadata=found.file.graph.metadata, cyclic=bool(flat.loops))


def build_model(found: NirInspection, stated: Mapping[str, object], *, like: str = "") -> NirModel:
    """Model of an inspected file."""
    settled = settle_contract(found, stated, like=like)
    model, nodes = to_model(found.flat, found.shapes, settled)
    contract = settled.contract
    shown = {name: getattr(contract, name) for name in settled.used}
    defects = tuple(f"{PRESETS[like].source}: {told}" for told in PRESETS[like].defects) if like else ()
    notes = (*found.shapes.notes, *settled.notes, *defects)
    origins = {name: settled.origins[name] for name in settled.used}
    report = NirReport(found.file.version, MappingProxyType(shown), MappingProxyType(origins), nodes, notes)
    return NirModel(model, contract.dt_s, contract, report)
