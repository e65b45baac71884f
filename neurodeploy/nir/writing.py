"""From a float model to a NIR file, with a report on what only our own metadata says."""

from collections import Counter
from pathlib import Path
from types import MappingProxyType

import torch

from neurodeploy.errors import Fault, raise_if
from neurodeploy.nir.contract import FIELDS, KEY, Contract, value_faults, write_metadata
from neurodeploy.nir.file import write_file
from neurodeploy.nir.from_model import Written, from_model
from neurodeploy.nir.graph import NirFile, NirGraph
from neurodeploy.nir.report import Became, NirReport
from neurodeploy.npz import refuse_place

#: Whose layout is written; programs that read NIR do not ask for it.
LAYOUT = "1.0.8"


def write_nir(
    model: torch.nn.Module,
    path: str | Path,
    *,
    dt_s: float,
    input_shape: tuple[int, ...] | None = None,
    plain: bool = False,
) -> NirReport:
    """Write a model as a NIR graph; equal models give equal bytes.

    dt_s : duration of a step in seconds; time constants are written in seconds, by the Euler rule tau = dt / (1 - keep)
    input_shape : of one step of one sample, where neither an Unflatten nor the first layer tells it
    plain : write no metadata of ours, and refuse what NIR itself cannot say

    What NIR cannot say (comparison, reset kind and time, spikes per step, lower bound, ...) travels in the metadata of
    the graph under the name "neurodeploy", where ``read_nir`` finds it; the report names each.
    Raises Refusal with everything at once: ND1603 for layers that NIR has no primitive for, by name, ND1601 for options
    that neither NIR nor the metadata can say, ND1602 for shapes, ND1401 where the file cannot be written.
    """
    raise_if(value_faults("dt_s", dt_s, "write_nir"))
    refuse_place(path)
    graph, written = from_model(model, dt_s, input_shape=input_shape)
    beyond = {name: _beyond(written, name) for name in written.nodes}
    if plain:
        must, todo = "what NIR says itself", "leave plain out: our metadata says it"
        where = {name: f"layer {written.origins[name][0]!r}" for name in written.nodes if beyond[name]}
        raise_if([Fault("ND1601", at, told, must, todo) for name, at in where.items() for told in beyond[name]])
    base = _common(written)
    metadata = {} if plain else {KEY: write_metadata(base, written.contracts)}
    write_file(path, NirFile(LAYOUT, NirGraph(graph.nodes, graph.edges, metadata)))
    contract = {name: getattr(base, name) for name in FIELDS}
    nodes = tuple(
        Became(
            name,
            node.kind,
            (written.origins.get(name, ("", "an end"))[1],),
            _loss(beyond[name]),
            "; ".join(beyond[name]),
        )
        for name, node in written.nodes.items()
    )
    origins = dict.fromkeys(contract, "model")
    return NirReport(LAYOUT, MappingProxyType(contract), MappingProxyType(origins), nodes, ())


def _loss(beyond: list[str]) -> str:
    return "in our metadata" if beyond else "faithful"


def _common(written: Written) -> Contract:
    found = Counter(written.contracts.values()).most_common(1)
    return found[0][0] if found else Contract(written.dt_s)


def _beyond(written: Written, name: str) -> list[str]:
    """What a node means and NIR does not say, in words."""
    contract = written.contracts.get(name)
    if contract is None:
        return []
    found = [
        f"{field} = {getattr(contract, field)!r}"
        for field, said in (("comparison", ">"), ("max_spikes", 1), ("v_min", None), ("reset_delay", 0))
        if getattr(contract, field) != said
    ]
    if contract.reset == "subtract":
        found.append("reset by subtraction")
    if contract.double_reset:
        found.append("the reset arithmetic of snnTorch")
    if not contract.recurrent_bias:
        found.append("a recurrent bias that is silent in the first step")
    return found
