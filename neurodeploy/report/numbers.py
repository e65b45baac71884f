"""Everything that a report says of a bundle, as plain data: the page shows these numbers and no others."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.bundles import Bundle, Verification, load_bundle, verify
from neurodeploy.chips.evidence import evidence_keys
from neurodeploy.conversion import INDEPENDENT
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.evaluation import evaluate
from neurodeploy.events import Data
from neurodeploy.mapper import map_network, reports
from neurodeploy.network import Group, Network
from neurodeploy.oracles import oracles_of
from neurodeploy.report.courses import certificates_of, headroom_of, membranes_of, raster_of
from neurodeploy.report.fidelity import Fidelity, measure_fidelity
from neurodeploy.simulator import Run, simulate
from neurodeploy.simulator.machine import stored_fields

Ints = npt.NDArray[np.int64]
SCHEMA_VERSION = 1
#: bins of a histogram
BINS = 24
#: figures of a chip file that an estimate of energy is made of
OPERATION, UPDATE, FACTOR = "energy_operation", "energy_update", "energy_factor"


def collect_numbers(
    path: str | Path,
    *,
    model: torch.nn.Module | None = None,
    data: Data | None = None,
    neurons: Mapping[str, tuple[int, ...]] | None = None,
) -> dict[str, Any]:
    """All numbers of a report on a bundle; what is not in the bundle stands under ``missing``.

    model : the float model that was converted, for what stands before quantization
    data : counts with labels, for the accuracy
    neurons : group -> neurons whose membranes are drawn; those that fire most where none are named
    Raises Refusal as load_bundle, measure_fidelity and simulate do.
    """
    loaded = load_bundle(path)
    network, chip = loaded.network, loaded.network.chip
    run = simulate(network, loaded.input, drain=0)
    raise_if(list(_neuron_faults(network, neurons or {})))
    fidelity = None if model is None else measure_fidelity(model, network, loaded.input)
    usage, cores = _placement(loaded)
    layers = [_layer(network, g, run, fidelity) for g in network.groups]
    verified = verify(path, against=_simulators(network) or None, orders=0)
    return {
        "format": "neurodeploy report",
        "schema_version": SCHEMA_VERSION,
        "made_by": f"neurodeploy {version('neurodeploy')}",
        "bundle": Path(path).name,
        "chip": {"name": chip.name, "title": chip.title, "event_driven": chip.event_driven},
        "summary": _summary(loaded, usage, run, data, verified),
        "usage": usage,
        "cores": cores,
        "cores_total": _cores_of(network),
        "core_limits": list(dict.fromkeys(u["unit"] for c in cores for u in c["usage"] if u["asked"]))[:6],
        "layers": layers,
        "fidelity": None if fidelity is None else fidelity.to_json(),
        "rasters": [raster_of(g, run, fidelity) for g in network.groups],
        "membranes": list(membranes_of(loaded, fidelity, neurons or {})),
        "headroom": list(headroom_of(loaded)),
        "certificates": list(certificates_of(loaded, verified.certificates)),
        "activity": _activity(network, run),
        "assumptions": _assumptions(network),
        "unknown": list(chip.unknown),
        "missing": list(_missing(loaded, fidelity, data)),
    }


def _neuron_faults(network: Network, neurons: Mapping[str, tuple[int, ...]]) -> Iterator[Fault]:
    """Neurons that the network has not."""
    sizes = {g.name: g.size for g in network.groups}
    for group, chosen in neurons.items():
        if group not in sizes:
            yield Fault("ND9002", "report, neurons", f"group {group!r}", f"one of {', '.join(sizes)}")
        elif any(not 0 <= n < sizes[group] for n in chosen):
            yield Fault("ND9002", f"report, neurons of {group!r}", f"{list(chosen)}", f"0 to {sizes[group] - 1}")


def _simulators(network: Network) -> tuple[str, ...]:
    """Simulators of others that are installed here and take the network."""
    found = (o for o in oracles_of(network.chip) if o.sort == "simulator" and o.available() is not None)
    return tuple(o.name for o in found if not o.faults(network))


def _placement(loaded: Bundle) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What every limit and core holds: as the bundle's report says, else counted now."""
    report = loaded.report if isinstance(loaded.report, dict) else {}
    if isinstance(report.get("usage"), list) and "cores" in report:
        usage, cores = report["usage"], report["cores"]
    else:
        placed = map_network(loaded.network).to_json()
        usage, cores = placed["usage"], placed["cores"]
    return [{"where": ""} | u | {"share": _share(u)} for u in usage], [
        core | {"usage": [u | {"share": _share(u)} for u in core["usage"]]} for core in cores
    ]


def _cores_of(network: Network) -> int:
    """Cores of the chip, 0 where it has no such."""
    chip = network.chip
    if chip.layer_core is not None:
        return max((len(memory.each) for memory in chip.layer_core.memory.values()), default=0)
    return 0 if chip.core is None else chip.core.count


def _share(usage: Mapping[str, Any]) -> float:
    return float(usage["asked"] / usage["at_most"]) if usage["at_most"] else 0.0


def _summary(
    loaded: Bundle, usage: list[dict[str, Any]], run: Run, data: Data | None, verified: Verification
) -> dict[str, Any]:
    network = loaded.network
    steps, samples = next(iter(run.counts.values())).shape[:2]
    # a limit of one thing is full as soon as it is met, and tells nothing
    tightest = max(usage, key=lambda u: (u["share"] > 1, u["at_most"] > 1, u["share"]), default=None)
    inputs = {g.name for g in network.inputs()}
    independent = [c for c in verified.exact_against if c.kind == "live" and c.grade in INDEPENDENT]
    best = min(independent, key=lambda c: INDEPENDENT.index(c.grade), default=None)
    return {
        "fits": all(u["asked"] <= u["at_most"] for u in usage),
        "tightest": tightest,
        "exact": verified.exact,
        "independent": None if best is None else {"oracle": best.oracle, "grade": best.grade},
        "exact_against": [
            {
                "oracle": check.oracle,
                "version": check.version,
                "kind": check.kind,
                "grade": check.grade,
                "values": check.comparison.compared,
                "events": check.comparison.spikes,
            }
            for check in verified.exact_against
        ],
        "accuracy": None if data is None else _accuracy(network, data),
        "neurons": sum(g.size for g in network.groups if g.name not in inputs),
        "synapses": sum(len(p.pairwise.sources) for p in network.projections),
        "steps": steps,
        "samples": samples,
        "dt_s": network.dt_s,
        "events": int(sum(v.sum() for g, v in run.counts.items() if g not in inputs)),
        "executor": run.executor,
    }


def _accuracy(network: Network, data: Data) -> dict[str, Any] | None:
    if data.label is None:
        return None
    found = evaluate(simulate(network, data.input), data.label)
    return {
        "share": found.accuracy,
        "low": found.low,
        "high": found.high,
        "ties": found.ties,
        "samples": data.batch,
        "rule": found.rule,
    }


def _histogram(values: npt.NDArray[Any], low: float, high: float) -> dict[str, Any]:
    counts, edges = np.histogram(values, bins=BINS, range=(low, high) if high > low else (low - 0.5, high + 0.5))
    return {"counts": counts.tolist(), "low": float(edges[0]), "high": float(edges[-1]), "total": int(values.size)}


def _layer(network: Network, g: Group, run: Run, fidelity: Fidelity | None) -> dict[str, Any]:
    kind = network.chip.neurons[g.kind]
    threshold = None if kind.deploy is None else g.parameters[kind.deploy.threshold]
    stage = None if fidelity is None else fidelity.stages.get(g.name)
    found = next((x for x in fidelity.layers if x.layer == g.name), None) if fidelity else None
    return {
        "name": g.name,
        "kind": g.kind,
        "neurons": g.size,
        "shape": list(g.shape),
        "input": kind.is_input(),
        "rate": float(run.counts[g.name].mean()),
        "events": int(run.counts[g.name].sum()),
        "threshold": None if threshold is None else {"least": int(threshold.min()), "most": int(threshold.max())},
        "threshold_float": None
        if stage is None
        else {
            "least": float((stage.threshold * stage.gain).min()),
            "most": float((stage.threshold * stage.gain).max()),
        },
        "weights": list(_weights(network, g, fidelity)),
        "rate_float": None if found is None else found.rate_float,
        "count_error": None if found is None else found.count_error,
        "correlation": None if found is None else found.correlation,
        "sqnr_db": None if found is None else found.sqnr_db,
    }


def _weights(network: Network, g: Group, fidelity: Fidelity | None) -> Iterator[dict[str, Any]]:
    """Stored weights of every projection into a group, and the float ones that they came from."""
    stage = None if fidelity is None else fidelity.stages.get(g.name)
    for p in network.projections:
        connection = network.chip.connections[p.kind]
        fields = stored_fields(connection, p.fields, p.parameters)
        for name in connection.entry.weights:
            values = fields[name]
            if p.target != g.name or not values.size or not values.any():
                continue
            edges = [e for e in stage.edges if e.source in {p.source, network.group(p.source).kind}] if stage else []
            before = edges[0].weight.reshape(-1) if len(edges) == 1 else None
            yield {
                "source": p.source,
                "connection": p.kind,
                "field": name,
                "least": int(values.min()),
                "most": int(values.max()),
                "zero_share": float((values == 0).mean()),
                "integer": _histogram(values, int(values.min()), int(values.max())),
                "float": None if before is None else _histogram(before, float(before.min()), float(before.max())),
            }


def _activity(network: Network, run: Run) -> dict[str, Any]:
    """Events and synaptic operations of each layer; energy where the chip's file has figures for it."""
    steps, samples = next(iter(run.counts.values())).shape[:2]
    operations = {g.name: 0 for g in network.groups}
    for p in network.projections:
        at = p.pairwise.sources
        reached = np.bincount(at, minlength=network.group(p.source).size)
        operations[p.target] += int((run.counts[p.source].sum(axis=(0, 1)) * reached).sum())
    inputs = {g.name for g in network.inputs()}
    updates = steps * samples * sum(g.size for g in network.groups if g.name not in inputs)
    total = sum(operations.values())
    return {
        "layers": [
            {"layer": g.name, "events": int(run.counts[g.name].sum()), "operations": operations[g.name]}
            for g in network.groups
        ],
        "operations": total,
        "operations_per_step": total / max(steps * samples, 1),
        "updates": updates,
        "energy": _energy(network, total, updates, samples, steps),
    }


def _energy(network: Network, operations: int, updates: int, samples: int, steps: int) -> dict[str, Any] | None:
    """Energy of one sample: published figures for an operation and an update, and the factor that they may be off."""
    figures = reports(network)
    if not {OPERATION, UPDATE, FACTOR} <= set(figures):
        return None
    one = (operations * figures[OPERATION][0] + updates * figures[UPDATE][0]) / max(samples, 1)
    factor, entry = figures[FACTOR][0], network.chip.reports[OPERATION][0]
    power = None if network.dt_s is None else one / (steps * network.dt_s)
    return {
        "sample_j": one,
        "least_j": one / factor,
        "most_j": one * factor,
        "factor": factor,
        "power_w": power,
        "operation_j": figures[OPERATION][0],
        "update_j": figures[UPDATE][0],
        "grade": network.chip.grade(entry.evidence),
        "source": network.chip.evidence[entry.evidence or network.chip.file.evidence or ""].source,
    }


def _assumptions(network: Network) -> list[dict[str, Any]]:
    """Every source of the chip's file with its grade, and how many of its numbers and texts rest on it."""
    keys = [key for _, key in evidence_keys(network.chip.file)]
    return [
        {
            "name": name,
            "source": found.source,
            "date": found.date.isoformat(),
            "grade": found.grade,
            "entries": keys.count(name),
        }
        for name, found in network.chip.evidence.items()
    ]


def _missing(loaded: Bundle, fidelity: Fidelity | None, data: Data | None) -> Iterator[str]:
    if fidelity is None:
        yield "The float model is not in the bundle: add --model FILE for everything before quantization."
    if data is None:
        yield "Labels are not in the bundle: add --data FILE for the accuracy."
    elif data.label is None:
        yield "The data have no labels: no accuracy."
    if loaded.report is None:
        yield "The bundle holds no report of its conversion: limits and cores were counted anew."
    try:
        figures = set(reports(loaded.network))
    except Refusal:
        figures = set()
    if not {OPERATION, UPDATE, FACTOR} <= figures:
        yield "The chip's file has no published energy of an operation: operations are counted, energy is unknown."
