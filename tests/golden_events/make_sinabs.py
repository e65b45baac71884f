"""Spikes and states of one layer, one event in each time step, as torch's convolution and sinabs' neuron give them.

With one event in a step sinabs adds, compares and resets once for every neuron, which is what the chip does with every
event. It clamps after the reset, which is the same while the lower bound is below 0 and the threshold above it; and it
compares also neurons that no event has reached, which is the same while no weight exceeds the threshold, so that none
stays at it. So the first layer is comparable bit for bit; a deeper layer sees several spikes of one event, and is not.

python3 -m venv /tmp/sinabs; cd tests/golden_events
/tmp/sinabs/bin/pip install torch==2.13.0 numpy pbr matplotlib h5py
/tmp/sinabs/bin/pip install --no-deps sinabs==3.1.3 nir nirtorch
/tmp/sinabs/bin/python make_sinabs.py
"""

import datetime as dt
import json
import random
from pathlib import Path

import sinabs
import sinabs.layers as sl
import torch
from sinabs.activation import MembraneReset, MembraneSubtract, SingleSpike

EVENTS, CASES = 150, 16


def drawn(rng):
    """Geometry, kernel, registers and events of a case."""
    rows, columns = rng.randint(1, 4), rng.randint(1, 4)
    source = (rng.randint(1, 3), rng.randint(rows, 7), rng.randint(columns, 7))
    kernel = (rng.randint(1, 3), source[0], rows, columns)
    threshold = rng.randint(1, 200)
    places = [(rng.randrange(source[0]), rng.randrange(source[1]), rng.randrange(source[2])) for _ in range(EVENTS)]
    return {
        "source": source,
        "kernel": kernel,
        "stride": (rng.randint(1, 3), rng.randint(1, 3)),
        "padding": (rng.randrange(rows), rng.randrange(columns)),
        "weights": [rng.randint(-60, min(127, threshold)) for _ in range(kernel[0] * kernel[1] * rows * columns)],
        "threshold_high": threshold,
        "threshold_low": -rng.randint(1, 150),
        "return_to_zero": rng.randrange(2),
        "events": places,
    }


def answered(case):
    """The case with what the layer made of it."""
    features, channels, rows, columns = case["kernel"]
    layer = torch.nn.Conv2d(channels, features, (rows, columns), case["stride"], case["padding"], bias=False)
    layer.weight.data = torch.tensor(case["weights"], dtype=torch.float32).reshape(case["kernel"])
    frames = torch.zeros(EVENTS, *case["source"])
    for step, place in enumerate(case["events"]):
        frames[(step, *place)] = 1
    neuron = sl.IAF(
        spike_threshold=float(case["threshold_high"]),
        min_v_mem=float(case["threshold_low"]),
        spike_fn=SingleSpike,
        reset_fn=MembraneReset() if case["return_to_zero"] else MembraneSubtract(),
    )
    neuron.record_states = True
    with torch.no_grad():
        spikes = neuron(layer(frames).flatten(1)[None])[0]
    v = neuron.recordings["v_mem"][0]
    if not (v == v.round()).all() or v.abs().max() >= 2**15:
        raise ValueError("a state that 16 bits do not hold")
    fired = [torch.nonzero(row).flatten().tolist() for row in spikes]
    middle, last = (v[t].int().tolist() for t in (EVENTS // 2, EVENTS - 1))
    return case | {"fired": fired, "v_middle": middle, "v_last": last}


def main():
    """Write the file, one case after the other."""
    rng = random.Random(0)  # noqa: S311 - reproducible cases, no secrets
    cases = [answered(drawn(rng)) for _ in range(CASES)]
    made_by = f"sinabs {sinabs.__version__}, torch {torch.__version__}: Conv2d and IAF, one event in each step"
    head = {"made_by": made_by, "on": dt.datetime.now(dt.UTC).date().isoformat(), "grade": "inferred"}
    lines = [json.dumps(c, sort_keys=True) for c in cases]
    text = json.dumps(head | {"cases": []}, sort_keys=True).replace("[]", "[\n" + ",\n".join(lines) + "\n]")
    (Path(__file__).parent / "sinabs.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
