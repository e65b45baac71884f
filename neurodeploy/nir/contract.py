"""What decides spikes and stands in no NIR file: stated by the caller, by an exporter's name, or by our metadata."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.nir.graph import Node, Value
from neurodeploy.nir.presets import PRESETS, Preset
from neurodeploy.nir.primitives import PRIMITIVES, RESETS, array

#: Name of our entry in the metadata of a graph; a JSON document.
KEY = "neurodeploy"
SCHEMA_VERSION = 1


class Unstated:
    """Marks a value that nobody stated; None is a value of its own (no bound)."""

    def __repr__(self) -> str:
        return "unstated"


UNSTATED = Unstated()


@dataclass(frozen=True)
class Contract:
    """How the equations of NIR are computed, step by step.

    dt_s : duration of a step in seconds
    time_unit : of the file's time constants: "s", "ms", "step", or "s*dt" (seconds times the step in seconds)
    integrator : "euler" (a time constant keeps 1 - dt / tau) or "exact" (exp(-dt / tau), the input held for a step)
    gain, syn_gain : factor of the input of a membrane and of a synaptic current besides r and w_in: "integrator"
        (1 minus what is kept), "one", "kept" (what is kept), "dt/tau", or "dt/tau/kept"
    charge : what an input w adds to an IF or I: "per second" r * w * dt, or "per step" r * w
    start : where membranes begin: at "zero", or at "v_leak"
    reset : "subtract" the threshold, to "zero", or to the "value" v_reset of the file
    reset_delay : 0 the reset belongs to the step of the spike, 1 to the next one
    double_reset : with "subtract" in the same step, by the arithmetic of snnTorch 1.0.0 (neurons.md 4.3)
    comparison : ">" or ">=" the threshold
    max_spikes : most spikes of a neuron in one step, None for no bound
    v_min : lowest membrane in the file's unit, None for no bound
    recurrent_delay : steps after which spikes come back along a cycle
    recurrent_bias : whether the bias of a recurrent connection acts in the first step, too
    """

    dt_s: float
    time_unit: str = "s"
    integrator: str = "euler"
    gain: str = "integrator"
    syn_gain: str = "integrator"
    charge: str = "per second"
    start: str = "zero"
    reset: str = "value"
    reset_delay: int = 0
    double_reset: bool = False
    comparison: str = ">"
    max_spikes: int | None = 1
    v_min: float | None = None
    recurrent_delay: int = 1
    recurrent_bias: bool = True

    @property
    def step(self) -> float:
        """Duration of a step in the file's unit of time."""
        return {"s": self.dt_s, "ms": self.dt_s * 1e3, "step": 1.0, "s*dt": self.dt_s**2}[self.time_unit]


@dataclass(frozen=True)
class Settled:
    """A contract with the origin of every value.

    contract : of the network
    nodes : name of a node -> its own contract, where it is another
    origins : field -> who says so: "stated", "file", "metadata", "equation", "--as NAME", or the latter with "a default
        of its layers that no file tells"
    used : fields that decide something in this graph
    notes : sentences on what was overruled
    """

    contract: Contract
    nodes: Mapping[str, Contract]
    origins: Mapping[str, str]
    used: tuple[str, ...]
    notes: tuple[str, ...]

    def of(self, name: str) -> Contract:
        """Contract of a node."""
        return self.nodes.get(name, self.contract)


GAINS = ("integrator", "one", "kept", "dt/tau", "dt/tau/kept")
_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "time_unit": ("s", "ms", "step", "s*dt"),
        "integrator": ("euler", "exact"),
        "gain": GAINS,
        "syn_gain": GAINS,
        "start": ("zero", "v_leak"),
        "charge": ("per second", "per step"),
        "reset": ("subtract", "zero", "value"),
        "comparison": (">", ">="),
    }
)
#: What has a meaning by the equations of NIR, so that nobody is asked for it.
_BY_EQUATION = {
    "time_unit", "gain", "syn_gain", "charge", "start", "reset_delay", "double_reset", "recurrent_bias"
}  # fmt: skip
FIELDS = tuple(entry.name for entry in fields(Contract))


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


_SOUND: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
    {
        "dt_s": (lambda v: _number(v) and v > 0, "seconds above 0"),
        "reset_delay": (lambda v: _whole(v, 0) and v <= 1, "0 or 1"),
        "double_reset": (lambda v: isinstance(v, bool), "True or False"),
        "max_spikes": (lambda v: v is None or _whole(v, 1), "a whole number of at least 1, or None for no bound"),
        "v_min": (lambda v: v is None or _number(v), "a number in the file's unit, or None for no bound"),
        "recurrent_delay": (lambda v: _whole(v, 0), "a whole number of steps"),
        "recurrent_bias": (lambda v: isinstance(v, bool), "True or False"),
    }
)
_ASKED: Mapping[str, str] = MappingProxyType(
    {
        "dt_s": "the duration of a step in seconds",
        "integrator": "how time constants become decays: euler or exact",
        "reset": "what a spike does to the membrane: subtract or zero",
        "comparison": "whether a membrane equal to the threshold fires: > or >=",
        "max_spikes": "the most spikes of a neuron in one step: 1, another number, or none for no bound",
        "v_min": "the lowest membrane, in the file's unit, or none for no bound",
        "recurrent_delay": "after how many steps spikes come back along a cycle",
    }
)


def settle(
    nodes: Iterable[Node],
    stated: Mapping[str, object],
    *,
    like: str = "",
    metadata: Mapping[str, Value] = MappingProxyType({}),
    cyclic: bool = False,
) -> Settled:
    """Contract of a graph: what the caller states, then our metadata, the preset, the file's fields, the equations.

    stated : field -> value; those that are UNSTATED count as not there
    like : name of an exporter in PRESETS, "" for none
    Raises Refusal (ND1601) with every value that is missing or wrong, ND1401 and ND1404 for metadata of ours that is
    damaged or of another version.
    """
    nodes = list(nodes)
    faults = [] if not like or like in PRESETS else [_unknown(like)]
    preset = PRESETS.get(like, Preset("", "", {}))
    given = {name: value for name, value in stated.items() if value is not UNSTATED}
    faults += [fault for name, value in given.items() for fault in value_faults(name, value, "contract")]
    raise_if(faults)
    ours, own = read_metadata(metadata, {node.name for node in nodes})
    values, origins, notes = dict[str, Any](), dict[str, str](), list[str]()
    used = _used(nodes, cyclic=cyclic)
    for name in FIELDS:
        found = _origin(name, given, ours, preset, nodes)
        if found is not None:
            values[name], origins[name] = found
        if name in given and name in ours and given[name] != ours[name]:
            notes.append(f"{name}: {given[name]!r} is stated and counts, the file's metadata say {ours[name]!r}")
    missing = [name for name in used if name not in values and name not in _BY_EQUATION]
    faults += [_missing(name, preset) for name in missing]
    raise_if(faults)
    origins |= {name: "equation" for name in used if name not in values}
    contract = Contract(**values)
    apart = {}
    for node in nodes:
        changed = dict(preset.kinds.get(node.kind, {})) | own.get(node.name, {})
        changed = {name: value for name, value in changed.items() if name not in given}
        if changed:
            apart[node.name] = replace(contract, **changed)
    raise_if(_reset_faults(nodes, lambda name: apart.get(name, contract).reset, given))
    return Settled(contract, MappingProxyType(apart), MappingProxyType(origins), used, tuple(notes))


def value_faults(name: str, value: object, where: str) -> list[Fault]:
    """Faults of one value of a contract."""
    if name in _WORDS:
        sound, must = value in _WORDS[name], f"one of {', '.join(map(repr, _WORDS[name]))}"
    elif name in _SOUND:
        test, must = _SOUND[name]
        sound = test(value)
    else:
        sound, must = False, f"one of {', '.join(FIELDS)}"
    return [] if sound else [Fault("ND1601", where, f"{name} = {value!r}", must)]


def _unknown(like: str) -> Fault:
    return Fault("ND1601", "contract", f"the exporter {like!r}", f"one of {', '.join(PRESETS)}")


def _used(nodes: list[Node], *, cyclic: bool) -> tuple[str, ...]:
    kinds = {node.kind for node in nodes}
    used = ["dt_s"]
    decays = any(PRIMITIVES[kind].decays for kind in kinds)
    timed = decays or kinds & {"IF", "I", "Delay"}
    used += ["time_unit"] * bool(timed) + ["integrator", "gain", "start"] * decays
    used += ["syn_gain"] * bool(kinds & {"CubaLI", "CubaLIF"}) + ["charge"] * bool(kinds & {"IF", "I"})
    if kinds & set(RESETS):
        used += ["reset", "reset_delay", "comparison", "max_spikes", "v_min"]
    elif "Threshold" in kinds:
        used += ["comparison"]
    return tuple(used + ["recurrent_delay"] * cyclic)


def _origin(
    name: str, given: Mapping[str, Any], ours: Mapping[str, Any], preset: Preset, nodes: list[Node]
) -> tuple[Any, str] | None:
    if name in given:
        return given[name], "stated"
    if name in ours:
        return ours[name], "metadata"
    if name in preset.values:
        lost = ", a default of its layers that no file tells" if name in preset.assumed else ""
        return preset.values[name], f"--as {preset.name}{lost}"
    firing = [node for node in nodes if node.kind in RESETS]
    if name == "reset" and firing and all("v_reset" in node.fields for node in firing):
        zero = not any(np.any(array(node, "v_reset")) for node in firing)
        return "zero" if zero else "value", "file"
    return None


def _missing(name: str, preset: Preset) -> Fault:
    todo = preset.ask.get(name, "")
    option = {"dt_s": "dt", "comparison": "compare"}.get(name, name.replace("_", "-"))
    was = f"{name} is not stated, and the file does not say it"
    return Fault("ND1601", "contract", was, _ASKED[name], todo or f"state it (--{option}), or name the exporter (--as)")


def _reset_faults(nodes: list[Node], reset_of: Callable[[str], str], given: Mapping[str, object]) -> list[Fault]:
    found = []
    for node in nodes:
        if node.kind not in RESETS:
            continue
        reset = reset_of(node.name)
        if reset == "value" and "v_reset" not in node.fields:
            was = "no v_reset, and reset = 'value'"
            found.append(Fault("ND1601", f"node {node.name!r} ({node.kind})", was, "a v_reset, or subtract or zero"))
        elif "reset" in given and reset != "value" and "v_reset" in node.fields and np.any(array(node, "v_reset")):
            was = f"v_reset {np.unique(array(node, 'v_reset'))[:3].tolist()} with reset = {reset!r}"
            must = "v_reset 0, or reset = 'value': the file states the value"
            found.append(Fault("ND1601", f"node {node.name!r} ({node.kind})", was, must))
    return found


def read_metadata(metadata: Mapping[str, Value], nodes: set[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Our own entry: values of the network, and of single nodes. Empty where the file has none."""
    text = metadata.get(KEY)
    if text is None:
        return {}, {}
    where, must = f"metadata {KEY!r}", "the JSON document that neurodeploy writes"
    try:
        found: Any = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("schema_version"), int):
        raise Refusal(Fault("ND1401", where, "no such document", must))
    if found["schema_version"] != SCHEMA_VERSION:
        was = f"schema version {found['schema_version']}"
        raise Refusal(Fault("ND1404", where, was, f"this version of neurodeploy reads {SCHEMA_VERSION}"))
    base, own = found.get("contract"), found.get("nodes", {})
    if not isinstance(base, dict) or not isinstance(own, dict) or not all(isinstance(t, dict) for t in own.values()):
        raise Refusal(Fault("ND1401", where, "no tables of values", must))
    tables: list[dict[str, Any]] = [base, *own.values()]
    faults = [f for table in tables for name, value in table.items() for f in value_faults(name, value, where)]
    faults += [Fault("ND1401", where, f"a node {name!r}", "nodes of this graph") for name in sorted(set(own) - nodes)]
    raise_if(faults)
    return dict(base), {name: dict(table) for name, table in own.items()}


def write_metadata(contract: Contract, nodes: Mapping[str, Contract]) -> str:
    """The document that ``read_metadata`` reads; of a node only what differs."""
    base = {name: getattr(contract, name) for name in FIELDS}
    own = {
        node: {name: getattr(other, name) for name in FIELDS if getattr(other, name) != base[name]}
        for node, other in sorted(nodes.items())
    }
    document = {
        "schema_version": SCHEMA_VERSION,
        "contract": base,
        "nodes": {node: values for node, values in own.items() if values},
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
