"""Runs models of the ONNX emitter with onnxruntime, and says where they leave the simulation."""

import numpy as np
import onnxruntime

from neurodeploy.emit.onnx import to_run_model, to_step_model
from neurodeploy.simulator import assemble, simulate
from neurodeploy.simulator.machine import initial_states


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def called(own, inputs):
    names = [v.name for v in own.get_outputs()]
    return dict(zip(names, own.run(None, {n: np.asarray(v, np.int64) for n, v in inputs.items()}), strict=True))


def states_of(network):
    return [(g, s) for g in network.groups for s in network.chip.neurons[g.kind].states]


def simulated(network, counts, executor="numpy"):
    record = [f"{g.name}.{s}" for g, s in states_of(network)]
    return simulate(network, counts, record=record, executor=executor, drain=0, raw=True)


def run_differences(network, counts, run):
    """States, at any step or at the end, in which the whole run leaves the simulation."""
    got = called(session(to_run_model(network, states=True)), counts)
    found = []
    for g, s in states_of(network):
        name, must = f"{g.name}.{s}", run.states[g.name][s]
        found += [name] * (not np.array_equal(got[name], must))
        found += [f"{name}.final"] * (not np.array_equal(got[f"{name}.final"], must[-1]))
    return found


def step_differences(network, counts, run, steps=6):
    """States in which models of one step, fed with what they returned, leave the simulation."""
    own = session(to_step_model(network))
    held = before_the_first(network, own, next(iter(counts.values())).shape[1])
    found = []
    for t in range(min(steps, len(next(iter(counts.values()))))):
        after = called(own, held | {n: c[t] for n, c in counts.items()})
        held = {n.removesuffix(".next"): v for n, v in after.items()}
        names = [
            f"{g.name}.{s}"
            for g, s in states_of(network)
            if not np.array_equal(held[f"{g.name}.{s}"], run.states[g.name][s][t])
        ]
        found += [f"{name} at step {t}" for name in names]
    return found


def before_the_first(network, own, batch):
    """Inputs of a model of one step after a reset, counts apart."""
    lanes = assemble(network).lanes
    start, held = initial_states(lanes, batch), {}
    for v in own.get_inputs():
        name, _, state = v.name.rpartition(".")
        if v.name == "step":
            held[v.name] = np.array(0)
        elif state == "past":
            held[v.name] = np.zeros((v.shape[0], batch, v.shape[2]), np.int64)
        elif name:
            g = network.group(name)
            held[v.name] = start[g.kind][state][:, lanes[g.kind].slices[name]]
    return held
