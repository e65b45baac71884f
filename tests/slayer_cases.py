"""Random layers for the comparison with the vendor's trainer of clocked chips: ties, ends, decays of every sort."""

import json
import math
import os
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from neurodeploy import constrain
from neurodeploy.layers import IAF, LIF, PerStep

FOLDER = Path(__file__).parent / "golden_parity"
MAKER, GOLDEN = FOLDER / "make_slayer.py", FOLDER / "slayer.json"
INTERPRETER = "NEURODEPLOY_ORACLE_SLAYER"
SCALE, STEP, LOW, HIGH, MOST = 64, 2, -256, 254, 131071
OPTIONS = {"reset": "zero", "comparison": ">", "max_spikes": 1}


def single(values):
    return np.asarray(values, np.float32).tolist()


def cases(number, seed, largest=5):
    """Layers as plain data, floats of 32 bits: the form, weights, and constants of the neurons."""
    rng = np.random.default_rng(seed)
    return [_case(rng, largest) for _ in range(number)]


def _case(rng, largest):
    form = str(rng.choice(["dense", "conv", "recurrent"]))
    out, into = rng.integers(1, largest, 2).tolist()
    shape = (out, into, *rng.integers(1, 3, 2).tolist()) if form == "conv" else (out, into)
    size = 2.0 ** rng.uniform(-5, 1.2)

    def drawn(shape, size):
        values = rng.normal(rng.choice([-1, 0, 0, 1]), 1, shape) * size
        return single(np.round(values * SCALE) / SCALE if rng.random() < 0.5 else values)  # on ties, or anywhere

    return {
        "form": form,
        "weight": drawn(shape, size),
        "back": drawn((out, out), size / 4) if form == "recurrent" else None,
        "bias": drawn(out, size / 4) if rng.random() < 0.4 else None,
        "threshold": float(np.float32(2.0 ** rng.uniform(-7, 12))),
        "tau_mem": None if rng.random() < 0.3 else float(np.float32(2.0 ** rng.uniform(0, 12.9))),
        "tau_syn": None if rng.random() < 0.5 else float(np.float32(2.0 ** rng.uniform(0, 14))),
        "norm_input": bool(rng.random() < 0.3),
    }


def model_of(case, chip):
    """The layer as a float model that computes as the chip will."""
    weight = torch.tensor(case["weight"])
    shape = (len(weight), 2, 3) if case["form"] == "conv" else (len(weight),)
    bias = None if case["bias"] is None else torch.tensor(case["bias"]).reshape(-1, *[1] * (len(shape) - 1))
    back = None if case["back"] is None else linear(case["back"])
    constants = {
        "threshold": case["threshold"],
        "tau_syn": case["tau_syn"],
        "bias": bias,
        "rec_connect": back,
    } | OPTIONS
    if bias is not None:
        constants["bias"] = bias.expand(shape).clone()
    if case["tau_mem"] is None:
        neurons = IAF(shape, **constants)
    else:
        neurons = LIF(shape, tau_mem=case["tau_mem"], norm_input=case["norm_input"], **constants)
    if case["form"] != "conv":
        return constrain(torch.nn.Sequential(linear(case["weight"]), neurons), chip)
    conv = torch.nn.Conv2d(weight.shape[1], len(weight), weight.shape[2:], bias=False)
    conv.weight.data = weight
    rows, columns = shape[1] + weight.shape[2] - 1, shape[2] + weight.shape[3] - 1
    unflatten = torch.nn.Unflatten(2, (weight.shape[1], rows, columns))
    return constrain(torch.nn.Sequential(unflatten, PerStep(conv), neurons), chip)


def linear(weight):
    values = torch.tensor(weight)
    layer = torch.nn.Linear(values.shape[1], values.shape[0], bias=False)
    layer.weight.data = values
    return layer


def translated(case):
    """The same layer in the trainer's terms: there an input is added to the current as it is, after the decay.

    What a layer multiplies its input by divides its threshold and its bias: 1 - the membrane's decay where it
    normalises, and what is kept of the current, as both lie on the chip's grid.
    """
    current = 1.0 if case["tau_syn"] is None else 1 - math.exp(-1 / case["tau_syn"])
    voltage = 0.0 if case["tau_mem"] is None else 1 - math.exp(-1 / case["tau_mem"])
    gain = round(4096 * voltage) / 4096 if case["norm_input"] and voltage else 1.0
    kept = 1.0 if case["tau_syn"] is None else 1 - round(4096 * current) / 4096
    bias = None if case["bias"] is None else [b / gain / kept for b in case["bias"]]
    threshold = case["threshold"] / (gain * kept)
    neurons = {"threshold": threshold, "current_decay": current, "voltage_decay": voltage}
    return {"weight": case["weight"], "back": case["back"], "bias": bias} | neurons


def plain(case):
    """The recipe read as it is written, in fractions, and nothing cut."""

    def steps(values):
        if isinstance(values, list):
            return [steps(v) for v in values]
        return STEP * round(Fraction(values) * SCALE / STEP)  # Python rounds halves of a fraction to even

    asked = translated(case)
    found = {name: steps(asked[name]) for name in ("weight", "back", "bias") if asked[name] is not None}
    return found | {
        "threshold": math.trunc(Fraction(asked["threshold"]) * SCALE),
        "current_decay": round(4096 * asked["current_decay"]),
        "voltage_decay": round(4096 * asked["voltage_decay"]),
    }


def spoilt(integers):
    """What the trainer would change or drop without a word, or the chip cannot hold."""
    found = set()
    for name in ("weight", "back", "bias"):
        values = np.array(integers.get(name, [0]))
        found |= {"cut"} if values.min() < LOW or values.max() > HIGH else set()
        found |= {"all zero"} if name in integers and name != "bias" and not values.any() else set()
        found |= {"no place"} if name == "bias" and values.min() == LOW else set()
    found |= {"threshold 0"} if integers["threshold"] == 0 else set()
    found |= {"threshold too high"} if integers["threshold"] > MOST else set()
    return found | ({"no decay"} if integers["current_decay"] == 0 else set())


def made(asked):
    """What the trainer makes of cases, run by the interpreter that the environment variable names."""
    line = [os.environ[INTERPRETER], str(MAKER)]
    given = json.dumps([translated(case) for case in asked])
    # a script of ours, run by the Python that the developer names
    done = subprocess.run(line, input=given, capture_output=True, text=True, check=True)  # noqa: S603
    return json.loads(done.stdout)


if __name__ == "__main__":
    asked = cases(36, 0, 4)
    GOLDEN.write_text(json.dumps(made(asked) | {"on": "2026-11-21", "cases": asked}, sort_keys=True) + "\n")
