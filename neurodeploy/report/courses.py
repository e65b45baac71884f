"""What a report shows of the course of time: rasters, membranes, how full each register became, and ever can become."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.bundles import Bundle
from neurodeploy.network import Group, Network
from neurodeploy.proofs import Certificate, read_certificate
from neurodeploy.report.fidelity import Fidelity
from neurodeploy.simulator import Run

#: neurons and steps of a raster; neurons of a layer whose membrane is drawn
NEURONS, STEPS, TRACES = 48, 200, 2


def raster_of(g: Group, run: Run, fidelity: Fidelity | None) -> dict[str, Any]:
    """Events of the first sample, (step, row, count), of the neurons that fire most."""
    counts = run.counts[g.name][:STEPS, 0]
    course = None if fidelity is None else fidelity.courses.get(g.name)
    wanted = np.sort(np.argsort(-counts.sum(axis=0), kind="stable")[:NEURONS])
    shown = {"integer": counts[:, wanted], "float": None if course is None else course.events[:STEPS, 0][:, wanted]}
    return {
        "layer": g.name,
        "neurons": wanted.tolist(),
        "of": g.size,
        "steps": len(counts),
        "events": {n: None if v is None else round(float(v.sum())) for n, v in shown.items()},
    } | {n: None if v is None else _dots(v) for n, v in shown.items()}


def _dots(values: npt.NDArray[Any]) -> list[list[int]]:
    return [[int(t), int(n), round(float(values[t, n]))] for t, n in np.argwhere(values)]


def membranes_of(
    loaded: Bundle, fidelity: Fidelity | None, neurons: Mapping[str, tuple[int, ...]]
) -> Iterator[dict[str, Any]]:
    """Membranes of chosen neurons in the first sample whose states the bundle holds, in units of the threshold."""
    if not loaded.samples:
        return
    sample, network = loaded.samples[0], loaded.network
    for g in network.groups:
        deploy = network.chip.neurons[g.kind].deploy
        state = deploy.states.get("v") if deploy else None
        values = loaded.stated.states.get(g.name, {}).get(state or "")
        if deploy is None or values is None:
            continue
        events = loaded.stated.counts[g.name][:, 0]
        chosen = neurons.get(g.name) or tuple(np.argsort(-events.sum(axis=0), kind="stable")[:TRACES].tolist())
        course = None if fidelity is None else fidelity.courses.get(g.name)
        for neuron in chosen:
            threshold = int(g.parameters[deploy.threshold][neuron]) * deploy.unit
            before = None if course is None else course.membrane[:STEPS, sample, neuron] / course.threshold[neuron]
            yield {
                "layer": g.name,
                "neuron": int(neuron),
                "sample": int(sample),
                "state": state,
                "threshold": threshold,
                "integer": (values[:STEPS, 0, neuron] / threshold).round(4).tolist(),
                "float": None if before is None else before.round(4).tolist(),
                "spikes": np.flatnonzero(events[:STEPS, neuron]).tolist(),
            }


def headroom_of(loaded: Bundle) -> Iterator[dict[str, Any]]:
    """Bits between the largest value of each state and the end of its register, at the end of the steps."""
    for group, states in loaded.stated.states.items():
        kind = loaded.network.chip.neurons[loaded.network.group(group).kind]
        for state, values in states.items():
            low, high = kind.states[state].interval
            if state == kind.emits or not values.size:
                continue
            share = np.maximum(values / max(high, 1), values / low if low < 0 else 0.0)
            step, sample, neuron = (int(i) for i in np.unravel_index(int(np.argmax(share)), share.shape))
            used = float(share[step, sample, neuron])
            yield {
                "layer": group,
                "state": state,
                "low": int(low),
                "high": int(high),
                "worst": int(values[step, sample, neuron]),
                "step": step,
                "sample": int(loaded.samples[sample]),
                "neuron": neuron,
                "share": used,
                "bits": math.log2(1 / max(used, 1 / max(high, 2))),
            }


def certificates_of(loaded: Bundle, checked: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """What was proved of every state, from the certificates of the bundle.

    checked : name -> statements that hold, as ``verify`` has just found; a certificate that is not among them does not
    hold, or was not checked here
    """
    network = loaded.network
    for name, content in loaded.certificates.items():
        yield {
            "name": name,
            "statements": checked.get(name),
            "states": list(_proved(network, read_certificate(content, network))) if name in checked else [],
        }


def _proved(network: Network, certificate: Certificate) -> Iterator[dict[str, Any]]:
    """Neurons of each state that are never cut, and the range that all its neurons stay in."""
    for g in network.groups:
        registers = network.chip.neurons[g.kind].states
        for state, mask in certificate.claims.get(g.name, {}).items():
            ends = certificate.ranges[g.name][state]
            solved = sum(len(s.neurons) for s in certificate.solved if (s.group, s.state) == (g.name, state))
            low, high = registers[state].interval
            yield {
                "layer": g.name,
                "state": state,
                "neurons": int(mask.size),
                "proved": int(mask.sum()) + solved,
                "solved": solved,
                "least": int(ends.low.min(initial=0)),
                "most": int(ends.high.max(initial=0)),
                "low": int(low),
                "high": int(high),
            }
