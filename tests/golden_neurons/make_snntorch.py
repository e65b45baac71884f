"""Golden traces of snnTorch 1.0.0.

python3 -m venv /tmp/snntorch; cd tests/golden_neurons
/tmp/snntorch/bin/pip install torch==2.13.0 numpy
/tmp/snntorch/bin/pip install --no-deps snntorch==1.0.0
/tmp/snntorch/bin/python make_snntorch.py
"""

import random
import warnings

import snntorch
import torch
from writing import case, columns, drawn, write

NAMES = {"v": "mem", "i": "syn", "e": "syn_exc", "spike": "spk"}
STATES = {
    "Lapicque": ("v",),
    "Leaky": ("v",),
    "Synaptic": ("i", "v"),
    "Alpha": ("e", "i", "v"),
    "RLeaky": ("v",),
    "RSynaptic": ("i", "v"),
}
OURS = {"R": "resistance", "C": "capacitance", "time_step": "dt", "reset_mechanism": "reset", "V": "rec_weight"}
OURS |= {"graded_spikes_factor": "graded"}
WEIGHT = [[-0.5, 0.25, 0.125], [0.5, -0.75, 0.25], [0.0, 0.5, -0.25]]
BIAS = [0.125, -0.0625, 0.25]


def run(kind, theirs, x, start=None, *, gradient=False):
    """Spikes and states of (time, neurons) inputs, batch 1, one call for each step."""
    options = {name: torch.tensor(value) if isinstance(value, list) else value for name, value in theirs.items()}
    layer = getattr(snntorch, kind)(**options, init_hidden=True, output=True)
    if hasattr(layer, "recurrent") and theirs.get("all_to_all", True):
        layer.recurrent.weight.data, layer.recurrent.bias.data = torch.tensor(WEIGHT), torch.tensor(BIAS)
    x = torch.tensor(x, dtype=torch.float32)
    if gradient:
        x.requires_grad_()
    if start is not None:
        layer.mem = torch.full((1, x.shape[1]), start)
    spikes, states = [], {name: [] for name in STATES[kind]}
    for row in x:
        spikes.append(layer(row.unsqueeze(0))[0][0])
        for name, values in states.items():
            attribute = "syn_inh" if (kind, name) == ("Alpha", "i") else NAMES[name]
            values.append(getattr(layer, attribute)[0].tolist())
    spikes = torch.stack(spikes)
    if gradient:
        # weighted by their step, with weights that every float type holds
        (spikes * (torch.arange(spikes.numel()).reshape(spikes.shape) % 5 / 4)).sum().backward()
    return spikes.tolist(), states, x.grad


def made(name, kind, theirs, x, start=None, *, gradient=False, **more):
    """Run theirs, note it beside our options."""
    spikes, states, slope = run(kind, theirs, x, start, gradient=gradient)
    ours = {OURS.get(option, option): value for option, value in theirs.items()}
    for option in ("all_to_all", "linear_features"):
        ours.pop(option, None)
    if theirs.get("linear_features"):
        ours["rec_connect"] = [WEIGHT, BIAS]
    extra = {} if start is None else {"start": {"v": [start] * len(x[0])}}
    extra |= {"gradient": columns(slope.tolist())} if gradient else {}
    return case(name, kind, ours | more, f"snntorch.{kind}(**{theirs})", x, spikes, states, **extra)


def step(value, first=10, last=200, steps=200):
    """A current from one step to another."""
    return [[value if first <= t < last else 0.0] for t in range(steps)]


def example_cases():
    """Tutorial 2, in its order."""
    lif1 = {"R": 5, "C": 1e-3, "time_step": 1e-3}
    lif2 = {"R": 5.1, "C": 5e-3, "time_step": 1e-3}
    yield made("tutorial 2: no stimulus from 0.9", "Lapicque", lif1, [[0.0]] * 100, start=0.9)
    yield made("tutorial 2: step", "Lapicque", lif1, step(0.1))
    for value, last in ((0.1, 30), (0.111, 20), (0.147, 15), (0.5, 11)):
        yield made(f"tutorial 2: pulse until {last}", "Lapicque", lif1, step(value, last=last))
    yield made("tutorial 2: firing at 0.2", "Lapicque", lif2, step(0.2))
    yield made("tutorial 2: firing at 0.3", "Lapicque", lif2, step(0.3))
    lif3 = lif2 | {"threshold": 0.5}
    yield made("tutorial 2: threshold 0.5", "Lapicque", lif3, step(0.3))
    rng = random.Random(2)  # noqa: S311 - reproducible, not secret
    spikes = [[float(rng.random() < 0.4)] for _ in range(200)]
    yield made("tutorial 2: spikes, subtract", "Lapicque", lif3, spikes, start=0.5)
    yield made("tutorial 2: spikes, zero", "Lapicque", lif3 | {"reset_mechanism": "zero"}, spikes, start=0.5)


def option_cases():
    """Every option of every neuron, on random inputs."""
    decays = {
        "Leaky": {"beta": 0.875},
        "Synaptic": {"alpha": 0.625, "beta": 0.875},
        "RLeaky": {"beta": 0.875, "all_to_all": False, "V": -0.375},
        "RSynaptic": {"alpha": 0.625, "beta": 0.875, "all_to_all": False, "V": [0.25, -0.5, 0.125]},
        "Lapicque": {"R": 2.5, "C": 1.75, "time_step": 0.5},
        "Alpha": {"alpha": 0.9, "beta": 0.8},
    }
    seed = 100
    for kind, theirs in decays.items():
        for reset in ("subtract", "zero", "none"):
            seed += 1
            scale = 4 if kind == "Lapicque" else 1
            x = drawn(seed, -1 * scale, 1.75 * scale)
            yield made(f"{kind}: {reset}", kind, theirs | {"reset_mechanism": reset}, x, gradient=True)
            # a threshold of one quarter or less lets v pass twice the threshold, where the rules differ
            if kind in ("Leaky", "Synaptic", "RLeaky") and reset != "none":
                now = theirs | {"reset_mechanism": reset, "reset_delay": False, "threshold": 0.25}
                compat = {"compat": ["snntorch-double-reset"]} if reset == "subtract" else {}
                yield made(f"{kind}: {reset}, same step", kind, now, x, gradient=reset == "subtract", **compat)
    # below twice the threshold one subtraction is all there is: the plain rule and the source agree
    x = [[min(max(v, -0.5), 0.75) for v in row] for row in drawn(140, -1, 1.75)]
    yield made("Leaky: subtract, same step, plain rule", "Leaky", {"beta": 0.5, "reset_delay": False}, x)
    x = drawn(150, -1, 2)
    yield made("Leaky: graded", "Leaky", {"beta": 0.75, "graded_spikes_factor": 2.5}, x)
    yield made("Leaky: per neuron", "Leaky", {"beta": [0.25, 0.5, 0.9375], "threshold": [0.5, 1.0, 1.5]}, x)
    yield made("RLeaky: module", "RLeaky", {"beta": 0.75, "linear_features": 3}, x, gradient=True)
    yield made("RSynaptic: module", "RSynaptic", {"alpha": 0.25, "beta": 0.75, "linear_features": 3}, x, gradient=True)
    for more in ({}, {"R": 2.0}, {"C": 0.5}, {"time_step": 0.25}):
        name = f"Lapicque: beta {''.join(more)}"
        yield made(name, "Lapicque", {"beta": 0.9, **more}, drawn(160, -4, 12), compat=["snntorch-lapicque-beta"])
    equal = [[1.0, 0.5, 1.0625]] * 4
    yield made("Leaky: equal does not fire", "Leaky", {"beta": 0.0, "threshold": 1.0}, equal)


if __name__ == "__main__":
    warnings.simplefilter("error")
    write("snntorch", snntorch.__version__, f"torch {torch.__version__}", [*example_cases(), *option_cases()])
