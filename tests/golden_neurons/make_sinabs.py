"""Golden traces of sinabs 3.1.3; samna is not needed and must not be imported.

python3 -m venv /tmp/sinabs; cd tests/golden_neurons
/tmp/sinabs/bin/pip install torch==2.13.0 numpy pbr matplotlib h5py
/tmp/sinabs/bin/pip install --no-deps sinabs==3.1.3 nir nirtorch
/tmp/sinabs/bin/python make_sinabs.py
"""

import sinabs
import sinabs.layers as sl
import torch
from sinabs.activation import MaxSpike, MembraneReset, MembraneSubtract, MultiSpike, SingleSpike
from writing import case, columns, drawn, write

NAMES = {"v_mem": "v", "i_syn": "i", "b": "b", "spike_threshold": "spike_threshold"}
CONSTANT = [[0.03]] * 100
ONCE = [[0.1]] + [[0.0]] * 99
WEIGHT = [[-0.5, 0.25, 0.125], [0.5, -0.75, 0.25], [0.0, 0.5, -0.25]]
BIAS = [0.125, -0.0625, 0.25]


def run(layer, x, chunks=1):
    """Spikes and recorded states of (time, neurons) inputs, batch 1."""
    layer.record_states = True
    x = torch.tensor(x, dtype=torch.float32).unsqueeze(0)
    spikes, states = [], {}
    with torch.no_grad():
        for part in x.chunk(chunks, 1):
            spikes.append(layer(part)[0])
            for name, values in getattr(layer, "recordings", {}).items():
                states.setdefault(NAMES[name], []).append(values[0])
    return torch.cat(spikes).tolist(), {name: torch.cat(parts).tolist() for name, parts in states.items()}


def gradient(layer, x):
    """Of the spikes, weighted by their step, with respect to the inputs, from the start."""
    layer.reset_states()
    x = torch.tensor(x, dtype=torch.float32).unsqueeze(0).requires_grad_()
    (layer(x)[0] * weights(x.shape[1], x.shape[2])).sum().backward()
    return x.grad[0].tolist()


def weights(steps, neurons):
    """Exact in every float type."""
    return torch.arange(steps * neurons).reshape(steps, neurons) % 5 / 4


def back():
    """Recurrent module with the weights above."""
    module = torch.nn.Linear(3, 3)
    module.weight.data, module.bias.data = torch.tensor(WEIGHT), torch.tensor(BIAS)
    return module


def option_cases():
    """One case for each option of IAF, LIF and ALIF, on random inputs."""
    spike_fns = {"multi": (MultiSpike, None), "single": (SingleSpike, 1), "max 2": (MaxSpike(2), 2)}
    resets = {
        "subtract": (MembraneSubtract(), {}),
        "subtract 0.75": (MembraneSubtract(0.75), {"reset_amount": 0.75}),
        "zero": (MembraneReset(), {"reset": "zero"}),
    }
    kinds = {
        "IAF": (sl.IAF, sl.IAFRecurrent, {}, ({},)),
        "LIF": (sl.LIF, sl.LIFRecurrent, {"tau_mem": 12.0}, ({"norm_input": True}, {"norm_input": False})),
        "ALIF": (
            sl.ALIF,
            sl.ALIFRecurrent,
            {"tau_mem": 12.0, "tau_adapt": 9.0, "adapt_scale": 2.5},
            ({"norm_input": True}, {"norm_input": False}),
        ),
    }
    seed = 0
    for kind, (plain, recurrent, taus, norms) in kinds.items():
        for norm in norms:
            for fires, (spike_fn, most) in spike_fns.items():
                for resets_to, (reset_fn, reset) in resets.items():
                    seed += 1
                    tau_syn = 4.0 if seed % 2 else None
                    v_min = -0.5 if seed % 3 == 0 else None
                    looped = seed % 4 == 0
                    scale = 9.0 if norm.get("norm_input") else 1.0
                    threshold = 0.75 if seed % 5 == 0 else 1.0
                    theirs = {**taus, **norm, "tau_syn": tau_syn, "min_v_mem": v_min, "spike_threshold": threshold}
                    made = {"spike_fn": spike_fn, "reset_fn": reset_fn, **({"rec_connect": back()} if looped else {})}
                    x = drawn(seed, -1.0 * scale, 1.5 * scale)
                    layer = (recurrent if looped else plain)(
                        **{n: torch.tensor(v) if n == "spike_threshold" else v for n, v in theirs.items()}, **made
                    )
                    spikes, states = run(layer, x)
                    ours = {**taus, **norm, "tau_syn": tau_syn, "v_min": v_min, "threshold": threshold, **reset}
                    ours |= {"max_spikes": most}
                    compat = ["sinabs-record-shift"] if looped or kind == "ALIF" else []
                    compat += ["sinabs-alif-syn-norm"] if kind == "ALIF" else []
                    ours |= {"compat": compat, **({"rec_connect": [WEIGHT, BIAS]} if looped else {})}
                    name = f"{kind} {seed}: {fires}, {resets_to}" + (", recurrent" if looped else "")
                    call = f"{type(layer).__name__}({theirs}, spike_fn={fires}, reset_fn={resets_to})"
                    # above a cap the source's surrogate goes on and ours is 0; ALIF with one spike goes on, too
                    same = most is None or (kind == "ALIF" and most == 1)
                    more = {"gradient": columns(gradient(layer, x))} if same else {}
                    yield case(name, kind, ours, call, x, spikes, states, **more)


def example_cases():
    """The notebook docs/tutorials/neuron_models.ipynb, with the time constants of its versions."""
    four = [[0.12]] * 100
    many = [
        ("IAF", {}, CONSTANT),
        ("IAF", {"tau_syn": 5.0}, [[0.25]] + [[0.0]] * 99),
        ("IAF", {"tau_syn": 15.0}, ONCE),
        ("IAF", {"tau_syn": 30.0}, ONCE),
        ("LIF", {"tau_mem": 40.0, "norm_input": False}, CONSTANT),
        ("LIF", {"tau_mem": 40.0, "norm_input": True}, CONSTANT),
        ("LIF", {"tau_mem": 40.0, "tau_syn": 30.0, "norm_input": False}, ONCE),
        ("LIF", {"tau_mem": 40.0, "tau_syn": 15.0, "norm_input": False}, ONCE),
        ("ExpLeak", {"tau_mem": 60.0}, CONSTANT),
        ("ExpLeak", {"tau_mem": 60.0, "norm_input": True}, CONSTANT),
        ("ALIF", {"tau_mem": 40.0, "tau_adapt": 40.0, "adapt_scale": 20.0, "norm_input": False}, four),
        ("ALIF", {"tau_mem": 40.0, "tau_adapt": 40.0, "norm_input": False}, four),
    ]
    for number, (kind, options, x) in enumerate(many):
        spikes, states = run(getattr(sl, kind)(**options), x)
        ours = options | ({"compat": ["sinabs-record-shift"]} if kind == "ALIF" else {})
        yield case(f"notebook {number}: {kind}", kind, ours, f"sinabs.layers.{kind}(**{options})", x, spikes, states)


def more_cases():
    """ExpLeak with a bound, time constants of each neuron, trained decays, a run in two calls."""
    x = drawn(90, -1, 1)
    spikes, states = run(sl.ExpLeak(tau_mem=7.0, min_v_mem=-0.25), x)
    ours = {"tau_mem": 7.0, "v_min": -0.25}
    yield case("ExpLeak bound", "ExpLeak", ours, f"ExpLeak({ours})", x, spikes, states)
    taus, x = [3.0, 8.0, 20.0], drawn(91, -1, 2)
    for alphas in (False, True):
        layer = sl.LIF(tau_mem=torch.tensor(taus), tau_syn=2.0, norm_input=False, train_alphas=alphas)
        ours = {"tau_mem": taus, "tau_syn": 2.0, "norm_input": False, "train_tau": alphas}
        spikes, states = run(layer, x)
        call = f"LIF(tau_mem=torch.tensor({taus}), tau_syn=2, norm_input=False, train_alphas={alphas})"
        yield case(f"LIF per neuron, alphas {alphas}", "LIF", ours, call, x, spikes, states)
    spikes, states = run(sl.LIF(tau_mem=8.0, norm_input=False), x, chunks=2)
    ours = {"tau_mem": 8.0, "norm_input": False}
    yield case("LIF in two calls", "LIF", ours, "LIF(tau_mem=8, norm_input=False), twice", x, spikes, states)
    layer = sl.LIFSqueeze(tau_mem=8.0, norm_input=False, batch_size=1)
    with torch.no_grad():
        spikes = layer(torch.tensor(x)).tolist()
    yield case("LIF squeezed", "LIF", ours, "LIFSqueeze(tau_mem=8, norm_input=False, batch_size=1)", x, spikes, {})


if __name__ == "__main__":
    everything = [*example_cases(), *option_cases(), *more_cases()]
    write("sinabs", sinabs.__version__, f"torch {torch.__version__}", everything)
