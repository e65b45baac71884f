"""Golden traces of SynapticFlow 0.0.7.

python3 -m venv /tmp/synapticflow; cd tests/golden_neurons
/tmp/synapticflow/bin/pip install torch==2.13.0 numpy matplotlib
/tmp/synapticflow/bin/pip install --no-deps SynapticFlow==0.0.7
/tmp/synapticflow/bin/python make_synapticflow.py
"""

import warnings
from importlib.metadata import version

import torch
from synapticflow.network.neural_populations import IFPopulation
from writing import case, drawn, write

OURS = {
    "rest_pot": "v_rest",
    "R": "resistance",
    "refrac_length": "tau_ref",
    "lower_bound": "v_min",
    "additive_spike_trace": "additive_trace",
}
FLOATS = "synapticflow-float-refractory"


def made(name, theirs, x, *, compat=(FLOATS,)):
    """Run theirs one step after the other, note it beside our options."""
    layer = IFPopulation(n=len(x[0]), **theirs)
    spikes, states = [], {"v": [], "trace": []} if theirs.get("spike_trace", True) else {"v": []}
    for row in torch.tensor(x, dtype=torch.float32):
        layer.forward(row)
        spikes.append(layer.s.float().tolist())
        states["v"].append(layer.v.tolist())
        if "trace" in states:
            states["trace"].append(layer.traces.tolist())
    ours = {OURS.get(option, option): value for option, value in theirs.items()}
    ours |= {"dt": theirs.get("dt", 0.1), "compat": list(compat)}
    return case(name, "RefractoryIF", ours, f"IFPopulation(n={len(x[0])}, **{theirs})", x, spikes, states)


def cases():
    """The example of the seed, saturation, every option on random inputs."""
    yield made("seed: n=10 with input 10", {}, [[10.0] * 10] * 120)
    yield made("saturated: every 52 steps", {}, [[1.0]] * 160)
    yield made("saturated, dt 1: every 6 steps", {"dt": 1.0}, [[1.0]] * 20)
    yield made("saturated, dt 1, integer counter", {"dt": 1.0}, [[1.0]] * 20, compat=())
    x = drawn(200, -0.5, 0.75)
    for dt, compat in ((0.5, (FLOATS,)), (1.0, (FLOATS,)), (0.5, ()), (1.0, ())):
        # both lengths are exact multiples of dt, so the integer counter agrees
        options = {"dt": dt, "refrac_length": 2.0}
        yield made(f"random, dt {dt}, {'floats' if compat else 'steps'}", options, x, compat=compat)
    short = {"dt": 1.0, "refrac_length": 1.0}
    yield made("lower bound", short | {"lower_bound": -66.0}, drawn(201, -1, 0.5))
    yield made("additive trace", short | {"additive_spike_trace": True, "trace_scale": 0.75}, x)
    yield made("trace constant 3", short | {"tau_s": 3.0}, x)
    yield made("no trace", short | {"spike_trace": False}, x)
    yield made("resistance, threshold, rest", short | {"R": 6.0, "threshold": -40.0, "rest_pot": -45.0}, x)
    yield made("no refractory period", {"dt": 1.0, "refrac_length": 0.0}, x, compat=())
    yield made("length 0.3, dt 0.1, floats", {"refrac_length": 0.3}, x)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message=".*To copy construct from a tensor.*")
    write("synapticflow", version("SynapticFlow"), f"torch {torch.__version__}", list(cases()))
