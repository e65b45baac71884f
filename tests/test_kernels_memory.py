"""Peak memory of training steps on the kernels and on the looped executor, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_comparison import NUMBA

ROOT = Path(__file__).resolve().parents[1]
MEBIBYTE = 1 << 20

#: prints by how many bytes the peak of the process grew during three training steps; one short step runs before
_PROGRAM = """
import resource, sys
import torch
from neurodeploy.layers import LIF, EventLinear

linear = {{"events": EventLinear}}.get("{kind}", torch.nn.Linear)
torch.set_num_threads(1)
torch.manual_seed(0)

def neurons(count):
    back = linear(count, count, bias=False) if "{kind}" == "recurrent" else None
    return LIF(count, 9.5, norm_input=False, rec_connect=back, executor="{executor}")

sizes = (128, 256, 256)
layers = [layer for a, b in zip(sizes, sizes[1:]) for layer in (linear(a, b, bias=False), neurons(b))]
model = torch.nn.Sequential(*layers)
for layer in layers[::2]:
    torch.nn.init.normal_(layer.weight, std=1.6 / layer.in_features**0.5)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

def train(steps):
    for layer in layers[1::2]:
        layer.reset_states()
    model.zero_grad()
    spikes = model((torch.rand(steps, 64, sizes[0]) < 0.05).float())
    spikes.sum().backward()
    return spikes.sum().item()

train(8)
before = peak()
fired = [train({steps}) for _ in range(3)]
assert min(fired) > 0
print(peak() - before)
"""
STEPS = 60


def grown(kind, executor, folder):
    program = _PROGRAM.format(kind=kind, executor=executor, steps=STEPS)
    given = os.environ | {"PYTHONPATH": str(ROOT), "NEURODEPLOY_CACHE": str(folder), "OMP_NUM_THREADS": "1"}
    given["MALLOC_MMAP_THRESHOLD_"] = str(1 << 17)  # or glibc keeps what was freed, more or less of it by chance
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=given, check=False, timeout=300)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Compiled once for all."""
    return tmp_path_factory.mktemp("kernels")


@NUMBA
@pytest.mark.skipif(sys.platform == "win32", reason="the resource module is not there")
@pytest.mark.parametrize("kind", ["dense", "events", "recurrent"])
def test_training_steps_need_no_more_memory_than_the_looped_ones(kind, folder):
    looped = grown(kind, "torch", folder)
    fused = grown(kind, "numba", folder)
    assert looped > 20 * MEBIBYTE  # what is compared is there
    assert 5 * MEBIBYTE < fused <= looped
