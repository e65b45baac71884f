"""Peak memory of training steps on the kernels and on the looped executor, each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_comparison import NUMBA

ROOT = Path(__file__).resolve().parents[1]
MEBIBYTE = 1 << 20

#: Prints by how many bytes the peak of a process grew during three training steps, for each kind and executor. Each is
#: a fork of one process that has imported everything; one short step runs before.
_PROGRAM = """
import json, os, resource, sys
import torch
from neurodeploy.layers import LIF, EventLinear

torch.set_num_threads(1)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

def grown(kind, executor):
    linear = EventLinear if kind == "events" else torch.nn.Linear
    torch.manual_seed(0)

    def neurons(count):
        back = linear(count, count, bias=False) if kind == "recurrent" else None
        return LIF(count, 9.5, norm_input=False, rec_connect=back, executor=executor)

    sizes = (128, 256, 256)
    layers = [layer for a, b in zip(sizes, sizes[1:]) for layer in (linear(a, b, bias=False), neurons(b))]
    model = torch.nn.Sequential(*layers)
    for layer in layers[::2]:
        torch.nn.init.normal_(layer.weight, std=1.6 / layer.in_features**0.5)

    def train(steps):
        for layer in layers[1::2]:
            layer.reset_states()
        model.zero_grad()
        spikes = model((torch.rand(steps, 64, sizes[0]) < 0.05).float())
        spikes.sum().backward()
        return spikes.sum().item()

    train(8)
    before = peak()
    assert min(train(STEPS) for _ in range(3)) > 0
    return peak() - before

STEPS = 60
for kind in ("dense", "events", "recurrent"):
    for executor in ("torch", "numba"):
        child = os.fork()
        if not child:
            print(json.dumps([kind, executor, grown(kind, executor)]), flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
"""


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """Bytes by (kind, executor)."""
    given = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    given["NEURODEPLOY_CACHE"] = str(tmp_path_factory.mktemp("kernels"))
    given["MALLOC_MMAP_THRESHOLD_"] = str(1 << 17)  # or glibc keeps what was freed, more or less of it by chance
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, env=given, check=False, timeout=300)  # noqa: S603
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {(kind, executor): found for kind, executor, found in rows}


@NUMBA
@pytest.mark.slow  # .ci/run has it
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
@pytest.mark.parametrize("kind", ["dense", "events", "recurrent"])
def test_training_steps_need_no_more_memory_than_the_looped_ones(kind, grown):
    looped, fused = grown[kind, "torch"], grown[kind, "numba"]
    assert looped > 20 * MEBIBYTE  # what is compared is there
    assert 5 * MEBIBYTE < fused <= looped
