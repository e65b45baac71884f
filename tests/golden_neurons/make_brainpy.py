"""Golden traces of brainpy 2.4.3 (GIF) and of the ExpIF class of brainmodels 0.4.1, which is run on that brainpy.

python3 -m venv /tmp/brainpy; cd tests/golden_neurons
/tmp/brainpy/bin/pip install jax==0.4.13 jaxlib==0.4.13 "numpy<2" "scipy<1.12" msgpack tqdm "numba<0.60" matplotlib
/tmp/brainpy/bin/pip install --no-deps brainpy==2.4.3 brainmodels==0.4.1
/tmp/brainpy/bin/python make_brainpy.py

brainmodels 0.4.1 needs a brainpy that no longer installs beside a current jax; its package cannot be imported on 2.4.3,
but the file of the class can.
"""

import importlib
import importlib.util
import sys
import types

import brainpy as bp
import brainpy.math as bm
import jax
import numpy as np
from writing import case, drawn, write

EVERY = 50  # steps between the recorded states of a long run
OURS = {
    "V_rest": "v_rest",
    "V_reset": "v_reset",
    "V_th": "v_th",
    "V_T": "v_t",
    "delta_T": "delta_t",
    "V_th_inf": "v_th_inf",
    "V_th_reset": "v_th_reset",
    "R": "resistance",
    "R1": "r1",
    "R2": "r2",
    "A1": "a1",
    "A2": "a2",
}
STATES = {"V": "v", "V_th": "v_th", "I1": "i1", "I2": "i2"}
FLOATS = ["brainpy-float-refractory"]


def exp_if():
    """The class of brainmodels, without its package."""
    if "brainmodels.neurons.ExpIF" in sys.modules:
        return sys.modules["brainmodels.neurons.ExpIF"].ExpIF
    place = importlib.util.find_spec("brainmodels").submodule_search_locations[0]
    for name in ("brainmodels", "brainmodels.neurons"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [place + name.removeprefix("brainmodels").replace(".", "/")]
    return importlib.import_module("brainmodels.neurons.ExpIF").ExpIF


def run_gif(theirs, x, dt):
    """Spikes and states of one neuron for each input column."""
    mode = bm.TrainingMode(1) if "spk_reset" in theirs else bm.nonbatching_mode
    group = bp.neurons.GIF(len(x[0]), mode=mode, **theirs)
    monitors = [*STATES, "spike"]
    inputs = ("input", bm.asarray(x, dtype=bm.float32), "iter", "+")
    runner = bp.DSRunner(group, monitors=monitors, inputs=inputs, dt=dt, progress_bar=False)
    runner.run(len(x) * dt)
    found = {name: np.asarray(runner.mon[name], dtype=np.float32).reshape(len(x), -1) for name in monitors}
    return found.pop("spike").tolist(), {STATES[name]: values for name, values in found.items()}


def run_exp_if(theirs, x, dt, start):
    """The same for ExpIF, by the loop that its own runner makes: t = i * dt, input, update, record."""
    group = exp_if()(len(x[0]), **theirs)
    if start is not None:
        group.V.value = bm.ones(len(x[0])) * start

    def step(i, row):
        group.input += row
        group.update(i * dt, dt)
        return group.V.value, group.spike.value

    v, spikes = bm.for_loop(step, (bm.arange(len(x)), bm.asarray(x, dtype=bm.float32)))
    return np.asarray(spikes, dtype=np.float32).tolist(), {"v": np.asarray(v)}


def made(name, layer, theirs, x, dt, *, every=1, start=None, **more):
    """Run theirs, note it beside our options."""
    if layer == "GIF":
        spikes, states = run_gif(theirs, x, dt)
    else:
        spikes, states = run_exp_if(theirs, x, dt, start)
    ours = {OURS.get(option, option): value for option, value in theirs.items() if option != "spk_reset"}
    ours |= {"dt": dt, **more} | ({} if start is None else {"v_init": start})
    sampled = {state: values[::every].tolist() for state, values in states.items()}
    call = f"{'brainpy.neurons' if layer == 'GIF' else 'brainmodels.neurons'}.{layer}({len(x[0])}, **{theirs}), dt={dt}"
    return case(name, layer, ours, call, x, spikes, sampled, every=every)


def sections(values, durations, dt=0.1):
    """Constant currents, one after the other; durations in ms."""
    return [[value] for value, ms in zip(values, durations, strict=True) for _ in range(round(ms / dt))]


def patterns():
    """Mihalas and Niebur (2009): parameters and currents."""
    slow, burst = {"a": 0.005}, {"a": 0.005, "A1": 10.0, "A2": -0.6}
    low = {"V_th_inf": -120.0, "V_th_reset": -60.0}
    yield "tonic spiking", {}, sections([1.5], [200])
    yield "spike frequency adaptation", slow, sections([2.0], [200])
    yield "phasic spiking", slow, sections([1.5], [200])
    yield "accommodation", slow, sections([1.5, 0.0, 0.5, 1.0, 1.5, 0.0], [40, 100, 40, 40, 40, 40])
    yield "tonic bursting", burst, sections([2.0], [200])
    yield "rebound burst", burst, sections([-3.5, 0.0], [500, 100])
    hyper = low | {"A1": 10.0, "A2": -0.6}
    yield "hyperpolarization-induced bursting", hyper, sections([-1.0], [200])


def gif_cases():
    """Defaults, patterns, every option on random inputs."""
    yield made("GIF defaults, input 1.5", "GIF", {}, sections([1.5], [60]), 0.1, every=5)
    for name, theirs, x in patterns():
        yield made(f"pattern: {name}", "GIF", theirs, x, 0.1, every=EVERY)
    strong = {"a": 0.02, "b": 0.05, "A1": 3.0, "A2": -0.5, "R1": 0.5, "R2": 0.75, "k1": 0.4, "k2": 0.05}
    x = drawn(300, 0, 6, steps=80)
    yield made("GIF random", "GIF", strong, x, 1.0, every=2)
    yield made("GIF b 0", "GIF", strong | {"b": 0.0}, x, 1.0, every=2)
    others = {"V_rest": -60.0, "V_reset": -65.0, "V_th_inf": -45.0, "V_th_reset": -50.0, "R": 15.0, "tau": 12.0}
    yield made("GIF other voltages", "GIF", strong | others, x, 1.0, every=2)
    yield made("GIF refractory, floats", "GIF", strong | {"tau_ref": 3.0}, x, 1.0, every=2, compat=FLOATS)
    yield made("GIF refractory, steps", "GIF", strong | {"tau_ref": 3.0}, x, 1.0, every=2)
    fine = drawn(301, 0, 8, steps=300)
    yield made("GIF refractory 1.7, dt 0.1", "GIF", {"tau_ref": 1.7}, fine, 0.1, every=10, compat=FLOATS)
    yield made("GIF soft reset", "GIF", strong | {"spk_reset": "soft"}, x, 1.0, every=2, reset="soft")


def exp_if_cases():
    """The example of its docstring, random inputs, an exact refractory period."""
    constant = [[10.0]] * 3000
    yield made("ExpIF: input 10 for 300 ms", "ExpIF", {}, constant, 0.1, every=EVERY, compat=FLOATS)
    x = drawn(400, 0, 40, steps=400)
    yield made("ExpIF random", "ExpIF", {}, x, 0.1, every=5, compat=FLOATS)
    yield made("ExpIF random, V from -65", "ExpIF", {}, x, 0.1, every=5, start=-65.0, compat=FLOATS)
    exact = {"tau_ref": 1.75}
    yield made("ExpIF exact refractory, floats", "ExpIF", exact, x, 0.125, every=5, compat=FLOATS)
    yield made("ExpIF exact refractory, steps", "ExpIF", exact, x, 0.125, every=5)
    others = {"V_rest": -60.0, "V_reset": -64.0, "V_th": -40.0, "V_T": -55.0, "delta_T": 2.0, "R": 2.0, "tau": 8.0}
    yield made("ExpIF other parameters", "ExpIF", others | {"tau_ref": 1.0}, x, 0.125, every=5)


if __name__ == "__main__":
    bm.set_platform("cpu")
    packages = f"brainmodels 0.4.1, jax {jax.__version__}, numpy {np.__version__}"
    write("brainpy", bp.__version__, packages, [*gif_cases(), *exp_if_cases()])
