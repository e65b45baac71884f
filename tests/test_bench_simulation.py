"""The bench of simulators: what it draws, that it compares every value, what it says of those that are missing."""

import dataclasses
import json

import numpy as np
import pytest
from command_line import run

from neurodeploy import bench
from neurodeploy.bench import growth, integers, simulation
from neurodeploy.bench.networks import CellTable, prepared, workloads
from neurodeploy.bench.rivals import RIVALS, RUNTIME
from neurodeploy.cli.bench import BEGIN, END
from neurodeploy.errors import Missing, Refusal
from neurodeploy.simulator import Simulation, simulate

pytest.importorskip("numba", reason='numba is not installed: pip install "neurodeploy[fast]"')

#: Sizes small enough for a test; by workload.
SMALL = {
    "w1": {"hid": 40},
    "w2": {"one": 30, "two": 20},
    "w3": {"hid": 40},
    "w4": {"one": (4, 16, 16), "two": (4, 16, 16)},
    "w6": {"one": 300},
}


def small(name):
    """A workload of a few neurons, steps and events."""
    whole, sizes = workloads()[name], SMALL[name]
    groups = tuple(g.model_copy(update={"size": sizes.get(g.name, g.size)}) for g in whole.groups)
    few = {"steps": min(whole.steps, 60), "samples": min(whole.samples, 2), "groups": groups}
    few |= {"events": 300 if whole.events else None}
    cells = tuple(
        c.model_copy(update={"check_events": min(c.check_events, 100), "oracle_samples": c.oracle_samples and 2})
        for c in whole.cell
    )
    return whole.model_copy(update=few | {"cell": cells})


@pytest.fixture
def few(monkeypatch):
    made = {name: small(name) for name in workloads()}
    monkeypatch.setattr(simulation, "workloads", lambda: made)
    return made


@pytest.mark.parametrize("name", SMALL)
def test_every_workload_runs_is_compared_and_its_goals_are_those_of_the_file(few, name):
    found = bench.bench_simulation([name], rounds=1, threads=1)
    assert [c.name for c in found.cells] == [c.name for c in few[name].cell]
    for cell, asked in zip(found.cells, few[name].cell, strict=True):
        alone = {simulation.ARITHMETIC: 1 / asked.within} if asked.arithmetic else {}
        assert cell.goals == dict(asked.goal) | alone
        assert cell.ratios["numba"] == 1
        assert set(cell.ratios) == {"numba", *asked.goal, *alone} - set(found.missing)
        assert all(count > 0 for count in cell.checked.values())
        assert set(cell.checked) == ({n for n in asked.goal if n in RIVALS} - set(found.missing) or {"numpy"})
        assert all(t > 0 for times in cell.milliseconds.values() for t in times)


def test_the_loop_that_tells_the_rate_of_the_machine_computes_every_operation():
    x = np.arange(-5, 6, dtype=np.int32) * 100_000_007
    must = [int(v) for v in x]
    integers._loop()(x, 12345, 54321, 2)
    for _ in range(2):
        for at, v in enumerate(must):
            must[at] = plain_operations(v, 12345, 54321)
    assert x.tolist() == must


def plain_operations(v, a, b):
    """The operations of one number in one pass, as words say them."""
    words = "+a^b-a ^a+b^a -b^a+b ^b-a^b +b^a-b ^a-b^a -a^b+a ^b+a^b".replace(" ", "")
    assert len(words) == 2 * integers.EACH
    for op, name in zip(words[::2], words[1::2], strict=True):
        other = {"a": a, "b": b}[name]
        v = {"+": v + other, "-": v - other, "^": v ^ other}[op]
        v = (v + 2**31) % 2**32 - 2**31
    return v


@pytest.mark.oracle("lava")
def test_lavas_runtime_ends_in_the_states_of_its_models(few):
    task = prepared(few["w2"], few["w2"].cell[0])
    observed = [RIVALS[n].process.observe(task.network, task.counts) for n in ("lava", RUNTIME)]
    for group in ("one", "two", "out"):
        for state in ("u", "v"):
            models, runtime = (trace.states[group][state] for trace in observed)
            assert len(runtime) == 1
            assert np.array_equal(models[-1], runtime[-1])
            assert runtime.any()


@pytest.mark.usefixtures("few")
def test_a_result_that_differs_is_refused(monkeypatch):
    real = Simulation.run

    def wrong(self, *given, **options):
        found = real(self, *given, **options)
        if self.executor != "numba":
            return found
        counts = {n: v.copy() for n, v in found.counts.items()}
        for values in counts.values():
            values[-1, 0, 0] += 1
        return dataclasses.replace(found, counts=counts)

    monkeypatch.setattr(Simulation, "run", wrong)
    monkeypatch.setattr(simulation, "RIVALS", {})
    monkeypatch.setattr(simulation, "FLOATS", {})
    monkeypatch.setattr(simulation, "_missing", lambda chosen: {n: "" for w in chosen for c in w.cell for n in c.goal})
    with pytest.raises(Refusal, match=r"counts of .* differs; every value must be equal"):
        bench.bench_simulation(["w4"], rounds=1, threads=1)


def test_a_goal_that_is_missed_is_named_and_one_without_a_peer_counts_for_nothing():
    cell = bench.Cell("w", "c", "t", {}, {"numba": 1.0, "a": 3.0, "b": 9.0}, {"a": 5, "b": 5, "c": 5}, {}, 0, 0.0)
    assert cell.missed() == {"a": 5}


def test_a_simulator_that_must_run_and_is_missing_is_told(monkeypatch):
    monkeypatch.setattr(simulation, "_missing", lambda _: {"somebody": "no module named somebody"})
    with pytest.raises(Missing, match="not installed: somebody"):
        bench.bench_simulation(["w1"], require_peers=True)
    assert run("bench", "w1", "--require-peers").status == 1


def test_unknown_workloads_and_numbers_are_refused_together():
    with pytest.raises(Refusal, match=r"(?s)workload 'w9'.*rounds = 0"):
        bench.bench_simulation(["w9"], rounds=0)
    answer = run("bench", "w9")
    assert answer.status == 2
    assert "workload 'w9'; one of w1, w2, w3, w4, w5, w6" in answer.err


def test_the_drawn_networks_are_those_of_the_file():
    task = prepared(workloads()["w1"], workloads()["w1"].cell[0])
    recurrent = next(p for p in task.network.projections if p.source == p.target)
    assert np.bincount(recurrent.sources).tolist() == [32] * 1000
    assert len(set(zip(recurrent.sources.tolist(), recurrent.targets.tolist(), strict=True))) == 32_000
    weights = recurrent.fields["w1"]
    assert (weights.min(), weights.max(), np.any(weights == 0)) == (-60, 60, False)
    assert task.counts.mean() == pytest.approx(0.01, rel=0.05)
    again = prepared(workloads()["w1"], workloads()["w1"].cell[0])
    assert np.array_equal(again.counts, task.counts)


def test_inputs_in_turn_reach_every_neuron_with_each_of_its_weights():
    task = prepared(small("w6"), CellTable(name=""))
    assert task.counts[:8, 0].argmax(axis=1).tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    found = simulate(task.network, task.counts, drain=0)
    assert 5 < found.counts["one"].sum() / 300 < 20


def test_events_are_spread_over_all_steps():
    task = prepared(workloads()["w4"], workloads()["w4"].cell[0])
    assert len(task.stimulus) == 100_000
    assert len(np.unique(task.stimulus.step)) == 1000


def test_growth_is_told_in_points(monkeypatch):
    made = {n: small(n) for n in SMALL}
    monkeypatch.setattr(growth, "workloads", lambda: made)
    points = [growth._point("w2", {"rate": 0.2, "rounds": 1}), growth._point("w2", {"neurons": 50.0, "rounds": 1})]
    assert [p["what"] for p in points] == ["20% of the inputs spike", "50 neurons, 1% of the inputs spike"]
    assert all(p["milliseconds"] > 0 and p["peak_mib"] > 10 for p in points)
    assert points[0]["events"] > 0


@pytest.mark.long  # tests/test_bench.py has the like of it
def test_a_process_that_fails_is_told():
    with pytest.raises(Refusal, match="ended with 1"):
        growth._apart("point", "w9", "{}")


@pytest.mark.slow  # .ci/run has it
@pytest.mark.usefixtures("few")
def test_the_command_prints_a_table_or_json():
    told = json.loads(run("bench", "w2", "--rounds", "1", "--floor", "--json").out)["simulation"]
    (cell,) = told["cells"]
    assert cell["ratios"]["numba"] == 1
    assert cell["ratios"]["numpy"] > 0
    shown = run("bench", "w2", "--rounds", "1", "--markdown").out
    assert "| w2: dense 256-512-512-10, one sample; 5 % input |" in shown
    assert "cores, " in shown


@pytest.mark.usefixtures("few")
def test_the_command_replaces_the_tables_of_a_readme_and_nothing_else(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nEnd.\n")
    assert run("bench", "w2", "--rounds", "1", "--readme", str(readme)).out == ""
    before, begin, rest = readme.read_text().partition(BEGIN)
    tables, end, after = rest.partition(END)
    assert (before, begin, end, after) == ("# Title\n\n", BEGIN, END, "\n\nEnd.\n")
    assert "| w2: dense 256-512-512-10, one sample; 5 % input |" in tables
    assert "old" not in tables


def test_a_readme_without_a_place_for_the_tables_is_refused_before_anything_is_measured(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"{END}\n{BEGIN}\n")
    answer = run("bench", "w2", "w5", "--readme", str(readme), "--json")
    assert answer.status == 2
    for said in ("a file with a place for the tables", "--readme and --json; one of them", "--readme with w5"):
        assert said in answer.err
    assert readme.read_text() == f"{END}\n{BEGIN}\n"
