"""A network asked of oracles by name: executors and simulators in one table, "all", and what nobody could answer."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import refused, run
from event_networks import chain as event_chain
from event_networks import random_input
from executor_names import CLOCKED
from xylo_networks import events, small

from neurodeploy.bundles import against, ask, bundle, names_of, verify
from neurodeploy.chips import chip
from neurodeploy.errors import Fault, Missing, Refusal, missing_extra
from neurodeploy.oracles import ORACLES, oracle, table
from neurodeploy.simulator import EXECUTORS, Trace, simulate

GIVEN = {"in": events(samples=3)}


@dataclass
class StandIn:
    """An oracle that gives our own answer, or what it is told."""

    installed: str | None = "2.0"
    unable: tuple[Fault, ...] = ()
    grade: str = "vendor-simulator"
    answer: Trace | None = None
    most: int | None = None

    def available(self):
        return self.installed

    def faults(self, _network):
        return list(self.unable)

    def missing(self, purpose):
        return missing_extra("standin", "oracles", purpose)

    def samples(self, _chip):
        return self.most

    def run(self, network, counts):
        return self.answer or simulate(network, counts, drain=0).trace()


def only(monkeypatch, **entries):
    monkeypatch.setattr("neurodeploy.oracles.ORACLES", entries)


def test_one_table_holds_the_reference_every_executor_and_every_simulator_of_others():
    assert next(iter(table())) == "reference"
    ours = [n for n in EXECUTORS if n != "reference"]
    assert list(table()) == ["reference", *ours, *ORACLES, "recording", "device"]
    assert {o.sort for o in table().values()} == {"executor", "simulator", "recording", "device"}
    assert all(table()[n].sort == "executor" for n in EXECUTORS)
    assert all(table()[n].grade == "inferred" for n in EXECUTORS), "our own programs are no evidence about a chip"


@pytest.mark.parametrize("name", CLOCKED)
def test_every_executor_is_an_oracle_and_is_compared_with_another_one(name):
    (check,) = ask(small(), GIVEN, name, executor=name).checks
    assert check.comparison.exact
    assert check.comparison.spikes > 0
    assert check.comparison.compared == 12 * 3 * (7 + 2 + 3 * 4 + 2 * 3)
    assert check.executor != name
    assert f"({name})" in check.version


def test_auto_never_compares_an_executor_with_itself():
    chosen = simulate(small(), GIVEN).executor
    (check,) = ask(small(), GIVEN, chosen).checks
    assert check.executor != chosen


def test_an_executor_of_the_other_sort_of_chip_is_refused_when_named_and_left_out_of_all(monkeypatch):
    rng = np.random.default_rng(0)
    network = event_chain(chip("speck2f"), rng, layers=1)
    given = random_input(network, rng)
    named = ask(network, given, "torch")
    assert [f.code for f in named.faults] == ["ND2003"]
    assert "an executor of clocked chips; this chip is event" in str(named.faults[0])
    only(monkeypatch)
    every = ask(network, given, "all")
    assert {c.oracle for c in every.checks} == {"reference", "numba", "numpy"}
    assert every.faults == every.missing == ()
    assert [f.where.rpartition(" ")[2] for f in every.left_out] == ["torch", "'recording'", "'device'"]


def test_all_is_everything_that_is_here_and_names_the_rest(monkeypatch):
    cannot = (Fault("ND2003", "oracle deaf", "biases", "a network without"),)
    only(monkeypatch, willing=StandIn(), absent=StandIn(None), deaf=StandIn(unable=cannot))
    found = ask(small(), GIVEN, "all")
    assert [c.oracle for c in found.checks] == [*(n for n in table() if n in CLOCKED), "willing"]
    assert all(c.comparison.exact for c in found.checks)
    assert found.faults == found.missing == ()
    assert 'pip install "neurodeploy[oracles]"' in str(found.left_out[0])
    assert "oracle deaf: biases" in str(found.left_out[1])


def test_an_oracle_that_takes_few_samples_is_asked_for_the_first_ones(monkeypatch):
    only(monkeypatch, slow=StandIn(most=2))
    (check,) = ask(small(), GIVEN, "slow").checks
    steps, samples = GIVEN["in"].shape[:2]
    assert check.part == f"the first {steps} of {steps} steps of 2 of {samples} samples"
    assert check.comparison.exact
    only(monkeypatch, slow=StandIn(most=samples))
    assert ask(small(), GIVEN, "slow").checks[0].part == ""


def test_what_is_named_beside_all_must_be_there(monkeypatch):
    only(monkeypatch, absent=StandIn(None))
    found = ask(small(), GIVEN, ["all", "absent"])
    assert [f.code for f in found.missing] == ["ND9001"]
    assert not any("absent" in f.where for f in found.left_out)


def test_a_broken_oracle_is_a_fault_also_of_all(monkeypatch):
    broken = StandIn(unable=(Fault("ND1102", "oracle broken", "no such kind", "a kind of the chip"),))
    only(monkeypatch, broken=broken)
    assert [f.code for f in ask(small(), GIVEN, "all").faults] == ["ND1102"]


def test_an_answer_without_values_shows_nothing(monkeypatch):
    only(monkeypatch, silent=StandIn(answer=Trace("silent 1.0", {}, {})))
    (check,) = ask(small(), GIVEN, "silent").checks
    assert not check.comparison.exact
    assert [f.code for f in check.comparison.faults] == ["ND2001"]


def test_names_may_stand_in_a_list_or_behind_commas_and_count_once():
    assert names_of("numpy, torch") == ("numpy", "torch")
    assert names_of(["numpy,all", "numpy"]) == ("numpy", "all")
    assert names_of(None) == names_of("") == ()


@pytest.mark.parametrize("budget", [0, 100, 400, 10**6])
def test_the_reference_says_how_much_of_the_input_it_ran(monkeypatch, budget):
    monkeypatch.setattr(against, "ASKED_BUDGET", budget)
    (check,) = ask(small(), GIVEN, "reference").checks
    assert check.comparison.exact
    values, whole = 7 + 2 + 3 * 4 + 2 * 3, 12 * 3
    assert check.comparison.compared % values == 0
    steps = check.comparison.compared // values
    assert bool(check.part) is (steps < whole)
    assert (budget == 10**6) is (steps == whole)
    if budget == 0:
        assert check.part == "the first 1 of 12 steps of 1 of 3 samples"
    if budget == 400:
        assert check.part == "the first 12 of 12 steps of 2 of 3 samples"
    assert ("part" in check.to_json()) is (steps < whole)
    assert check.part in str(check)


@pytest.fixture
def made(tmp_path):
    bundle(small(), events(samples=2), tmp_path / "a.nd")
    return tmp_path / "a.nd"


def test_a_bundle_is_verified_against_several_at_once(made):
    result = verify(made, against=["reference", "numpy"])
    assert result.exact
    assert [c.oracle for c in result.checks[3:]] == ["reference", "numpy"]


def test_one_missing_oracle_does_not_keep_the_others_from_being_asked(made, monkeypatch):
    only(monkeypatch, absent=StandIn(None), willing=StandIn())
    result = verify(made, against="absent,willing")
    assert result.exit_status == 3
    assert [c.oracle for c in result.checks[3:]] == ["willing"]


def test_an_oracle_that_is_missing_on_the_way_is_missing(made, monkeypatch):
    class Gone(StandIn):
        def run(self, _network, _counts):
            raise Missing(Fault("ND9001", "oracle gone", "no answer", "an answer"))

    only(monkeypatch, gone=Gone())
    assert verify(made, against="gone").exit_status == 3
    assert verify(made, against="all").exit_status == 0


def test_the_command_takes_several_names_and_all_and_tells_what_was_not_asked(made, monkeypatch):
    only(monkeypatch, absent=StandIn(None))
    answer = run("verify", made, "--against", "all")
    assert answer.status == 0
    assert "\nnot asked: verify, against = 'absent': the package standin is not installed" in answer.out
    shown = run("verify", made, "--against", "numpy", "--against", "reference", "--json").json
    assert [row["oracle"] for row in shown["exact_against"]][3:] == ["numpy", "reference"]
    assert shown["left_out"] == []


def test_the_command_refuses_an_unknown_name_with_all_known_ones(made):
    answer = refused("ND9002", 2, "verify", made, "--against", "xylosin")
    assert "xylosim" in answer.json["error"][0]["must"]
    assert answer.json["error"][0]["must"].endswith(", all")
    assert oracle("reference").name == "reference"


def test_an_executor_that_is_not_installed_is_missing(monkeypatch):
    gone = SimpleNamespace(schedules=("clocked",), package="absent_package", extra="fast", installed=False)
    monkeypatch.setitem(EXECUTORS, "gone", gone)
    (fault,) = ask(small(), GIVEN, "gone").missing
    assert 'pip install "neurodeploy[fast]"' in str(fault)


def test_an_option_that_an_executor_does_not_take_is_its_refusal(monkeypatch):
    def refuse(*_, **__):
        raise Refusal(Fault("ND1303", "simulate", "executor = 'numpy': too wide", "one of reference"))

    monkeypatch.setattr("neurodeploy.oracles.executors.simulate", refuse)
    (fault,) = ask(small(), GIVEN, "numpy").faults
    assert (fault.code, fault.was) == ("ND2003", "executor = 'numpy': too wide")
    assert np.asarray(GIVEN["in"]).any()
