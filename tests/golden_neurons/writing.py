"""What the makers of the golden traces share: exact inputs, and a file that shows one case after the other.

Each maker runs in an environment that holds its library alone, so this module imports nothing of the project.
"""

import datetime as dt
import itertools
import json
import random
import struct
from pathlib import Path

HERE = Path(__file__).parent
STEPS, NEURONS, RUN, WORD = 24, 3, 4, 300


def single(value):
    """Shortest decimal that names the same float32."""
    value = struct.unpack("f", struct.pack("f", float(value)))[0]
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if struct.unpack("f", struct.pack("f", float(text)))[0] == value:
            number = float(text)
            return int(number) if number.is_integer() and abs(number) < 1e6 else number
    return value


def columns(values):
    """Per neuron, the float32 values of (time, neurons) in order; of four equal ones or more, "value*count"."""
    return [_runs([single(value) for value in column]) for column in zip(*values, strict=True)]


def _digits(column):
    """A short column of small whole numbers as one word, "0010..."; any other as it is."""
    values = [entry for part in column for entry in _unrolled(part)]
    whole = all(isinstance(value, int) and 0 <= value <= 9 for value in values)
    return "".join(map(str, values)) if whole and len(values) <= WORD else column


def _unrolled(part):
    value, star, count = str(part).partition("*")
    number = float(value)
    return [int(number) if number.is_integer() else number] * int(count if star else 1)


def _runs(values):
    found = []
    for value, equal in itertools.groupby(values):
        many = list(equal)
        found += [f"{value!r}*{len(many)}"] if len(many) >= RUN else many
    return found


def drawn(seed, low, high, steps=STEPS, neurons=NEURONS):
    """Inputs (time, neurons), multiples of 1/64, which every float type holds exactly."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    return [[round(rng.uniform(low, high) * 64) / 64 for _ in range(neurons)] for _ in range(steps)]


def case(name, layer, options, call, x, spikes, states, **more):
    """One run: ours is ``layer(shape, **options)``, theirs ``call``; x, spikes and states are (time, neurons)."""
    states = {state: columns(values) for state, values in states.items()}
    one = {"name": name, "layer": layer, "options": options, "call": call}
    return {**one, "x": columns(x), "spikes": [_digits(column) for column in columns(spikes)], "states": states, **more}


def write(library, version, python_packages, cases):
    """One JSON file of a library, one line for each case."""
    if len({one["name"] for one in cases}) != len(cases):
        message = "two cases have one name"
        raise ValueError(message)
    head = {
        "made_by": f"{library} {version}",
        "with": python_packages,
        "on": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "script": f"tests/golden_neurons/make_{library}.py",
    }
    lines = [json.dumps(one, separators=(",", ":")) for one in cases]
    text = json.dumps(head, indent=1)[:-2] + ',\n "cases": [\n' + ",\n".join(lines) + "\n ]\n}\n"
    (HERE / f"{library}.json").write_text(text)
