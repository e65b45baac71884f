"""The command line as a user meets it: arguments in, exit status, stdout and stderr out; a tiny model to give it."""

import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

import neurodeploy as nd
from neurodeploy.cli import main
from neurodeploy.conversion import write_bundle
from neurodeploy.layers import LIF

CHIP = "xylo_imu"
CHANNELS, HIDDEN, CLASSES, STEPS, SAMPLES = 4, 6, 3, 10, 6
DT_S = 1e-3
PYTHON = sys.executable
PROGRAM = f"{PYTHON} -c 'from neurodeploy.cli import main; main()'"
ROOT = Path(nd.__file__).parents[1]


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def codes(self) -> list[str]:
        return [fault["code"] for fault in self.json["error"]]


def run(*arguments) -> Answer:
    """Run a command in this process. Whatever escapes it other than its exit status fails the test."""
    out, err = StringIO(), StringIO()
    status = None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(a) for a in arguments])
        except SystemExit as left:
            status = left.code
    assert isinstance(status, int), "a command leaves with an exit status"
    answer = Answer(status, out.getvalue(), err.getvalue())
    assert "Traceback" not in answer.out + answer.err
    return answer


def shell(line, folder=None, timeout=60, **environment) -> subprocess.CompletedProcess[str]:
    """Run a line of bash with the package under test, one thread, and the scripts beside this Python first."""
    path = f"{Path(PYTHON).parent}{os.pathsep}{os.environ['PATH']}"
    given = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": path} | environment
    command = ["/bin/bash", "-c", line]
    return subprocess.run(  # noqa: S603 - lines of the tests themselves
        command, capture_output=True, text=True, check=False, env=given, cwd=folder, timeout=timeout
    )


def refused(code, status, *arguments) -> Answer:
    """Run a command that must refuse, with and without --json; returns the answer with --json."""
    plain, programs = run(*arguments), run(*arguments, "--json")
    for answer in (plain, programs):
        assert answer.status == status, answer
        assert f"[{code}]" in (answer.err or answer.out), answer
    assert code in programs.codes
    assert programs.json["exit_status"] == status
    assert all(fault["where"] and fault["was"] and fault["must"] for fault in programs.json["error"])
    return programs


def model(hidden=HIDDEN, classes=CLASSES, channels=CHANNELS, tau_mem=8.0) -> torch.nn.Sequential:
    torch.manual_seed(3)
    layers = torch.nn.Sequential(
        torch.nn.Linear(channels, hidden, bias=False),
        LIF(hidden, tau_mem=tau_mem, tau_syn=3, norm_input=False, rec_connect=torch.nn.Linear(hidden, hidden, False)),
        torch.nn.Linear(hidden, classes, bias=False),
        LIF(classes, tau_mem=8, tau_syn=4, norm_input=False),
    )
    with torch.no_grad():
        layers[0].weight.abs_()
        layers[2].weight.abs_()
    return layers


def counts(high=8, channels=CHANNELS):
    return np.random.default_rng(5).integers(0, high, (STEPS, SAMPLES, channels))


def data(array=None, dt_s=DT_S):
    labels = np.arange(SAMPLES) % CLASSES
    given = counts() if array is None else array
    return nd.data(given, layout="time,batch,channel", dt_s=dt_s, label=labels)


def make(folder: Path) -> Path:
    """Fill a folder with model.safetensors, data.npz and bundle.nd."""
    nd.save_model(model(), folder / "model.safetensors", dt_s=DT_S)
    nd.save_data(folder / "data.npz", data())
    converted = nd.convert(model(), nd.chip(CHIP), calibration=counts(), dt_s=DT_S)
    write_bundle(converted, counts(), folder / "bundle.nd")
    return folder
