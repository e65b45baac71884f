"""The measurement of training speed: what it runs, checks and refuses; and a floor under the kernels."""

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from command_line import ROOT, run

from neurodeploy import bench
from neurodeploy.bench import training, workload
from neurodeploy.errors import Missing, Refusal

torch.set_num_threads(1)
NUMBA = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason='numba is not installed: pip install "neurodeploy[fast]"'
)


@pytest.mark.slow  # .ci/run has it
@NUMBA
def test_kernels_beat_the_loop_and_stay_near_the_matrix_products():
    found = bench.bench_training(steps=100, threads=1, rounds=3, peers=())
    assert set(found.milliseconds) == set(bench.OURS)
    assert all(0.01 < rate < 0.1 for rates in found.rates.values() for rate in rates[:-1])
    assert found.differing["kernels"] == 0
    ratios = found.ratios("kernels")
    # measured on one idle thread: looped 1.9, products alone 0.93; with events looped 3.6, products alone 1.7
    assert ratios["looped"] > 1
    assert ratios["products alone"] > 0.4
    assert found.ratios("events")["looped"] > 1.2
    assert json.loads(json.dumps(found.as_dict()))["ratios"]["events"]["events"] == 1


class Threshold(workload.Peer):
    """Another library's neuron: it fires where its input is above the limit, and counts how often it was reset."""

    def __init__(self, limit):
        super().__init__()
        self.limit, self.resets = limit, 0

    def forward(self, x):
        return x + ((x > self.limit).float() - x).detach()

    def forget(self):
        self.resets += 1


@pytest.fixture
def peer(monkeypatch):
    """Make an installed library of neurons that fire above a limit."""

    def install(limit, name="somebody"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        find = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda asked: object() if asked == name else find(asked))
        version = importlib.metadata.version
        monkeypatch.setattr(importlib.metadata, "version", lambda asked: "7.5" if asked == name else version(asked))
        model = workload.model_of(lambda _: Threshold(limit), torch.nn.Linear)
        monkeypatch.setattr(training, "PEERS", {name: lambda: model})
        return model

    return install


@NUMBA
def test_a_peer_takes_turns_with_ours_from_a_fresh_state(peer):
    model = peer(0.65)
    found = bench.bench_training(steps=3, threads=1, rounds=2, require_peers=True)
    assert set(found.milliseconds) == {*bench.OURS, "somebody"}
    assert all(len(times) == 2 for times in found.milliseconds.values())
    assert model[1].resets == 1 + 1 + 2  # first use, comparison of the spikes, rounds
    assert found.versions["somebody"] == "7.5"
    assert found.missing == {}
    assert 0 < found.differing["somebody"] < 1
    assert re.search(r"\| somebody 7\.5 \| \d+\.\d\d \|", found.markdown())


@NUMBA
def test_a_peer_that_hardly_spikes_is_refused(peer):
    peer(1e9)
    words = "somebody: hidden layer 0 spikes 0 times; about [0-9]+ times, as the looped executor"
    with pytest.raises(Refusal, match=words):
        bench.bench_training(steps=10, threads=1, rounds=1)


@NUMBA
def test_a_peer_that_cannot_be_imported_is_missing_with_the_reason(monkeypatch, peer):
    def broken():
        raise ModuleNotFoundError("No module named 'pbr'")

    peer(1.0)
    monkeypatch.setattr(training, "PEERS", {"somebody": broken})
    found = bench.bench_training(steps=2, threads=1, rounds=1)
    assert found.missing == {"somebody": "No module named 'pbr'"}
    assert "somebody" not in found.milliseconds
    with pytest.raises(Missing, match=r"not installed: somebody \(No module named 'pbr'\)"):
        bench.bench_training(steps=2, threads=1, rounds=1, require_peers=True)


@NUMBA
def test_first_use_is_measured_with_an_empty_cache_and_then_with_the_same(monkeypatch):
    calls = []

    def answer(line, *, env, **_options):
        folder = env["NEURODEPLOY_CACHE"]
        calls.append((line[-3:], folder, sorted(Path(folder).iterdir())))
        (Path(folder) / f"made {len(calls)}").touch()
        said = json.dumps({"first_ms": len(calls), "then_ms": 1, "start_mib": 1, "loaded_mib": 1, "peak_mib": 1})
        return subprocess.CompletedProcess(line, 0, said, "")

    monkeypatch.setattr(subprocess, "run", answer)
    found = bench.bench_fresh(steps=5, threads=1)
    assert {name: one.first_ms for name, one in found.items()} == {
        "events, nothing compiled": 1, "events": 2, "looped": 3
    }  # fmt: skip
    assert [line for line, _, _ in calls] == [["events", "5", "1"], ["events", "5", "1"], ["looped", "5", "1"]]
    assert len({folder for _, folder, _ in calls}) == 1
    assert [len(there) for _, _, there in calls] == [0, 1, 2]


def test_a_process_that_fails_is_told():
    with pytest.raises(Refusal, match=r"(?s)events two 1 ended with 1: .*ValueError.*; it must end with 0"):
        bench.fresh._fresh("events", "two", 1, "")


def test_memory_at_most_never_falls():
    found = bench.fresh._measure("looped", 2, 1)
    assert 10 < found.start_mib <= found.loaded_mib <= found.peak_mib
    assert found.first_ms > 0


@NUMBA
@pytest.mark.slow
def test_a_step_of_the_kernels_needs_less_memory_than_the_loop():
    found = bench.bench_fresh(steps=200, threads=1)
    data = {name: one.peak_mib - one.loaded_mib for name, one in found.items()}
    assert data["events"] < data["looped"]


def test_one_form_of_output_is_chosen():
    answer = run("bench", "--markdown", "--json")
    assert answer.status == 2
    assert "--markdown and --json; one of them" in answer.err


@NUMBA
def test_markdown_names_the_machine_and_every_variant():
    told = run("bench", "w5", "--steps", "2", "--rounds", "1", "--threads", "1", "--markdown").out
    assert re.search(r"T = 2, 1 threads, 1 rounds; torch [^;]+; .+ cores, .+, load ", told)
    assert all(f"| {name} |" in told for name in bench.OURS)


def test_the_readme_installs_every_peer_without_what_it_drags_in():
    (line,) = re.findall(r"pip install --no-deps (.*)", (ROOT / "README.md").read_text())
    assert {part.partition("==")[0] for part in line.split()} >= set(bench.PEERS)
    assert all("==" in part for part in line.split())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps = 0; a whole number of at least 1"),
        ({"peers": ["torch"]}, "peer 'torch'; it must be one of snntorch, sinabs, norse, spikingjelly"),
    ],
)
def test_what_it_cannot_measure_is_refused(options, words):
    with pytest.raises(Refusal, match=words):
        bench.bench_training(**options)


def test_a_required_peer_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    words = r"not installed: norse \(no module named norse\); every peer must run; pip install --no-deps norse; README"
    with pytest.raises(Missing, match=words):
        bench.bench_training(peers=["norse"], require_peers=True)
