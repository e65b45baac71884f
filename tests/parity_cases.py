"""Random layers for the comparison with another quantizer: signs, sizes and limits of every sort."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "golden_parity"
MAKER, GOLDEN = FOLDER / "make_sinabs.py", FOLDER / "sinabs.json"
INTERPRETER = "NEURODEPLOY_ORACLE_SINABS"


def cases(number, seed, largest=4):
    """Layers as plain data, floats of 32 bits."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        shape = (*rng.integers(1, largest, 2).tolist(), *[int(rng.integers(1, 3))] * 2)
        size = 2.0 ** rng.integers(-8, 4)
        weight = rng.normal(rng.choice([-1, 0, 0, 0, 1]), 1, shape) * size
        weight = np.round(weight, int(rng.integers(1, 9)))  # ties, powers and zeros
        weight *= rng.random(shape) < rng.choice([0.3, 1.0])
        bias = rng.choice([None, 0.1, 1.0, 10.0])
        threshold = float(np.float32(size * 2.0 ** rng.uniform(-3, 9)))
        ratio = rng.choice([-1.0, -0.5, -2.0, -1.01, -0.9, rng.uniform(-3, 0)])
        found.append(
            {
                "weight": weight.astype(np.float32).tolist(),
                "bias": None if bias is None else (rng.normal(0, bias * size, shape[0])).astype(np.float32).tolist(),
                "threshold": threshold,
                "low": float(np.float32(threshold * ratio)),
            }
        )
    return found


def made(asked):
    """What the other quantizer makes of cases, run by the interpreter that the environment variable names."""
    line = [os.environ[INTERPRETER], str(MAKER)]
    # a script of ours, run by the Python that the developer names
    done = subprocess.run(line, input=json.dumps(asked), capture_output=True, text=True, check=True)  # noqa: S603
    return json.loads(done.stdout)


if __name__ == "__main__":
    asked = cases(40, 0, 3)
    GOLDEN.write_text(json.dumps(made(asked) | {"on": "2026-11-21", "cases": asked}, sort_keys=True) + "\n")
