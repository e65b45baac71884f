"""What the makers of the golden traces share: exact inputs, and a file that shows one case after the other.

Each maker runs in an environment that holds its library alone, so this module imports nothing of the project.
"""

import datetime
import json
import random
import struct
from pathlib import Path

HERE = Path(__file__).parent
STEPS, NEURONS = 40, 3


def single(value):
    """Shortest decimal that names the same float32."""
    value = struct.unpack("f", struct.pack("f", float(value)))[0]
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if struct.unpack("f", struct.pack("f", float(text)))[0] == value:
            number = float(text)
            return int(number) if number.is_integer() and abs(number) < 1e6 else number
    return value


def rows(values):
    """Nested list (time, neurons) of float32 values."""
    return [[single(v) for v in row] for row in values]


def drawn(seed, low, high, steps=STEPS, neurons=NEURONS):
    """Inputs (time, neurons), multiples of 1/64, which every float type holds exactly."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    return [[round(rng.uniform(low, high) * 64) / 64 for _ in range(neurons)] for _ in range(steps)]


def case(name, layer, options, call, x, spikes, states, **more):
    """One run: ours is ``layer(shape, **options)``, theirs ``call``; x, spikes and states are (time, neurons)."""
    states = {state: rows(values) for state, values in states.items()}
    one = {"name": name, "layer": layer, "options": options, "call": call}
    return {**one, "x": rows(x), "spikes": rows(spikes), "states": states, **more}


def write(library, version, python_packages, cases, spikes_within=0):
    """One JSON file of a library; a run over many steps is written without the brackets that nobody reads."""
    if len({one["name"] for one in cases}) != len(cases):
        message = "two cases have one name"
        raise ValueError(message)
    head = {
        "made_by": f"{library} {version}",
        "with": python_packages,
        "on": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "script": f"tests/golden_neurons/make_{library}.py",
        "spikes_within": spikes_within,
    }
    lines = [json.dumps(one, separators=(",", ":")) for one in cases]
    text = json.dumps(head, indent=1)[:-2] + ',\n "cases": [\n' + ",\n".join(lines) + "\n ]\n}\n"
    (HERE / f"{library}.json").write_text(text)
