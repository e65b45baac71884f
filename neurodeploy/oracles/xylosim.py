"""xylosim, SynSense's simulator of Xylo: builds its XyloLayer from a placed network and reads its recordings."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from neurodeploy.chips import Chip
from neurodeploy.errors import Fault, missing_extra
from neurodeploy.network import Network
from neurodeploy.simulator import Trace, assemble, external_counts
from neurodeploy.simulator.machine import Ints, Lane, Machine

NAME = "xylosim"
GRADE = "vendor-simulator"
#: 80 arrives, 70 is left after the decay: one spike; the output fires one step later.
PROBE = """
from xylosim.v2 import XyloLayer, XyloSynapse
into, out = [[XyloSynapse(0, 0, 80)]], [[XyloSynapse(0, 0, 80)]]
layer = XyloLayer(
    synapses_in=into, synapses_rec=[[]], synapses_out=out, aliases=[[]], threshold=[50], threshold_out=[50],
    has_bias=True, bias=[0], bias_out=[0], weight_shift_inp=0, weight_shift_rec=0, weight_shift_out=0,
    dash_mem=[3], dash_mem_out=[3], dash_syns=[[3, 3]], dash_syns_out=[[3]], name="probe")
spikes = layer.evolve([[1], [0]])
answers = [list(s) for s in spikes] == [[0], [1]] and [list(v) for v in layer.rec_i_syn] == [[70, 62]]
"""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Neurons(_Table):
    input: str
    hidden: str
    output: str


class _Connections(_Table):
    input: str
    recurrent: str
    output: str
    alias: str


class Roles(_Table):
    """``[oracle.xylosim]``: which of the chip's kinds, fields and states is which part of XyloLayer.

    synapses, synapses_out : synapse fields in the order of XyloSynapse's synapse id
    states, states_out : recording without its ``rec_`` -> state
    """

    evidence: str | None = None
    module: Literal["v2"]
    neurons: _Neurons
    connections: _Connections
    synapses: tuple[str, ...]
    synapses_out: tuple[str, ...]
    shift: str
    dash_syn: tuple[str, ...]
    dash_syn_out: tuple[str, ...]
    dash_mem: str
    threshold: str
    bias: str
    states: Mapping[Literal["v_mem", "i_syn", "i_syn2"], str]
    states_out: Mapping[Literal["v_mem_out", "i_syn_out"], str]


def _roles(chip: Chip) -> tuple[Roles | None, list[Fault]]:
    """The chip's table, or what is wrong with it."""
    where = f"{chip.name}, oracle {NAME}"
    table = chip.oracles.get(NAME)
    if table is None:
        was, must = f"no table [oracle.{NAME}] in chip.toml", "it must say which parts of the chip the oracle computes"
        return None, [Fault("ND2003", where, was, must, "choose another oracle, or add the table")]
    try:
        roles = Roles.model_validate(table)
    except ValidationError as error:
        found = []
        for e in error.errors():
            place = ".".join(map(str, e["loc"]))
            found.append(Fault("ND1102", f"{where}, {place}", f"found {e['input']!r}"[:80], e["msg"].lower()))
        return None, found
    return roles, _unknown_names(chip, roles, where)


def _unknown_names(chip: Chip, roles: Roles, where: str) -> list[Fault]:
    found = []

    def known(what: str, names: Mapping[str, object], *wanted: str) -> None:
        for name in wanted:
            if name not in names:
                must = f"a {what} of the chip: {', '.join(names)}"
                found.append(Fault("ND1102", where, f"{what} {name!r}", must))

    neurons, connections = roles.neurons, roles.connections
    known("neuron kind", chip.neurons, neurons.input, neurons.hidden, neurons.output)
    weighted = (connections.input, connections.recurrent, connections.output)
    known("connection kind", chip.connections, *weighted, connections.alias)
    if found:
        return found
    cells = ((neurons.hidden, roles.dash_syn, roles.states), (neurons.output, roles.dash_syn_out, roles.states_out))
    for kind, dashes, states in cells:
        known("parameter", chip.neurons[kind].parameters, *dashes, roles.dash_mem, roles.threshold, roles.bias)
        known("state", chip.neurons[kind].states, *states.values())
    for name in weighted:
        fields = roles.synapses_out if name == connections.output else roles.synapses
        known("synapse field", chip.connections[name].fields, *fields)
        known("parameter", chip.connections[name].parameters, roles.shift)
    return found


def faults(network: Network) -> list[Fault]:
    """Why xylosim cannot run this network: every reason; empty where it can."""
    roles, found = _roles(network.chip)
    if roles is None or found:
        return found
    neurons, connections = roles.neurons, roles.connections
    for g in network.groups:
        if g.kind not in (neurons.input, neurons.hidden, neurons.output):
            must = f"neurons that {NAME} has: {neurons.input}, {neurons.hidden}, {neurons.output}"
            found.append(Fault("ND2003", f"oracle {NAME}, group {g.name!r}", f"neuron kind {g.kind!r}", must))
    weights = {
        connections.input: roles.synapses,
        connections.recurrent: roles.synapses,
        connections.output: roles.synapses_out,
        connections.alias: (),
    }
    for p in network.projections:
        where = f"oracle {NAME}, projection {p.source} -> {p.target}"
        if p.kind not in weights:
            must = f"connections that {NAME} has: {', '.join(weights)}"
            found.append(Fault("ND2003", where, f"connection kind {p.kind!r}", must))
            continue
        for name, values in p.fields.items():
            if name not in weights[p.kind] and np.any(values != 0):
                must = f"0: {NAME} has no such field"
                was = f"synapse field {name} = {int(values[values != 0][0])}"
                found.append(Fault("ND2003", where, was, must, "leave this network to another oracle"))
    return found


def observe(network: Network, counts: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> Trace:
    """Spikes and states of every hidden and output neuron at every step, from reset, each sample on its own."""
    roles, found = _roles(network.chip)
    if roles is None or found:
        raise ValueError(found)  # the duty of the caller: faults() first
    machine = assemble(network)
    external, steps, batch = external_counts(network, machine, counts, raw=True)
    lanes = {role: machine.lanes[kind] for role, kind in roles.neurons.model_dump().items()}
    layer = _layer(network, machine, roles)
    spikes: dict[str, list[Ints]] = {"hidden": [], "output": []}
    states: dict[str, dict[str, list[Ints]]] = {"hidden": {}, "output": {}}
    seconds = 0.0
    for sample in range(batch):
        given = external[roles.neurons.input][:, sample].tolist()
        begin = time.perf_counter()
        layer.simulator.reset_all()
        out = layer.simulator.evolve(given)
        seconds += time.perf_counter() - begin
        spikes["output"].append(_table(out, steps, lanes["output"].size))
        spikes["hidden"].append(_table(layer.simulator.rec_recurrent_spikes, steps, lanes["hidden"].size))
        for role, recordings in (("hidden", roles.states), ("output", roles.states_out)):
            for recording, state in recordings.items():
                values = _table(getattr(layer.simulator, f"rec_{recording}"), lanes[role].size, steps).T
                states[role].setdefault(state, []).append(values)
    role_of = {kind: role for role, kind in roles.neurons.model_dump().items() if role != "input"}
    groups = [
        (g.name, role_of[g.kind], lanes[role_of[g.kind]].slices[g.name]) for g in network.groups if g.kind in role_of
    ]
    return Trace(
        f"{NAME} {version(NAME)}",
        {name: np.stack(spikes[role], axis=1)[:, :, at] for name, role, at in groups},
        {name: {s: np.stack(v, axis=1)[:, :, at] for s, v in states[role].items()} for name, role, at in groups},
        GRADE,
        seconds,
    )


def _table(rows: Any, first: int, second: int) -> Ints:
    return np.asarray(rows, np.int64).reshape(first, second)


@dataclass(frozen=True)
class _Layer:
    """XyloLayer keeps bare pointers to its synapses: they must live as long as it does."""

    simulator: Any
    synapses: tuple[list[list[Any]], ...]


def _layer(network: Network, machine: Machine, roles: Roles) -> _Layer:
    try:
        from xylosim.v2 import XyloLayer, XyloSynapse
    except ImportError:
        raise missing_extra(NAME, "oracles", f"oracle {NAME}") from None
    lanes = {role: machine.lanes[kind] for role, kind in roles.neurons.model_dump().items()}
    kinds = roles.connections
    build = _Rows(network, machine, XyloSynapse)
    weights_in = build.synapses(kinds.input, roles.neurons.input, roles.synapses)
    weights_rec = build.synapses(kinds.recurrent, roles.neurons.hidden, roles.synapses)
    weights_out = build.synapses(kinds.output, roles.neurons.hidden, roles.synapses_out)
    hidden, output = lanes["hidden"].parameters, lanes["output"].parameters
    simulator = XyloLayer(
        synapses_in=weights_in,
        synapses_rec=weights_rec,
        synapses_out=weights_out,
        aliases=build.links(kinds.alias, roles.neurons.hidden),
        threshold=hidden[roles.threshold].tolist(),
        threshold_out=output[roles.threshold].tolist(),
        has_bias=True,
        bias=hidden[roles.bias].tolist(),
        bias_out=output[roles.bias].tolist(),
        weight_shift_inp=machine.registers.get(kinds.input, {}).get(roles.shift, 0),
        weight_shift_rec=machine.registers.get(kinds.recurrent, {}).get(roles.shift, 0),
        weight_shift_out=machine.registers.get(kinds.output, {}).get(roles.shift, 0),
        dash_mem=hidden[roles.dash_mem].tolist(),
        dash_mem_out=output[roles.dash_mem].tolist(),
        dash_syns=_columns(lanes["hidden"], roles.dash_syn),
        dash_syns_out=_columns(lanes["output"], roles.dash_syn_out),
        name=network.chip.name,
    )
    return _Layer(simulator, (weights_in, weights_rec, weights_out))


def _columns(lane: Lane, names: tuple[str, ...]) -> list[list[int]]:
    return np.stack([lane.parameters[n] for n in names], axis=1).tolist() if lane.size else []


@dataclass(frozen=True)
class _Rows:
    """Synapses by source: positions in ascending hardware id, as the lanes have them."""

    network: Network
    machine: Machine
    synapse: Callable[[int, int, int], Any]

    def _joined(self, kind: str) -> list[tuple[int, int, Mapping[str, int]]]:
        found: list[tuple[int, int, Mapping[str, int]]] = []
        for p in self.network.projections:
            if p.kind != kind:
                continue
            sources = self.machine.lanes[self.network.group(p.source).kind].slices[p.source][p.sources]
            targets = self.machine.lanes[self.network.group(p.target).kind].slices[p.target][p.targets]
            for i, (s, t) in enumerate(zip(sources.tolist(), targets.tolist(), strict=True)):
                found.append((s, t, {n: int(v[i]) for n, v in p.fields.items()}))
        return found

    def synapses(self, kind: str, source: str, fields: tuple[str, ...]) -> list[list[Any]]:
        rows: list[list[Any]] = [[] for _ in range(self.machine.lanes[source].size)]
        for s, t, values in self._joined(kind):
            rows[s] += [self.synapse(t, number, values[name]) for number, name in enumerate(fields)]
        return rows

    def links(self, kind: str, source: str) -> list[list[int]]:
        rows: list[list[int]] = [[] for _ in range(self.machine.lanes[source].size)]
        for s, t, _ in self._joined(kind):
            rows[s].append(t)
        return rows
