"""Bundles against oracles: what each answer shows, which exit status it gives, and what it takes to ask."""

from dataclasses import dataclass, field, replace

import pytest
from bundle_files import made, resigned
from xylo_networks import STEPS, small, with_parameter

from neurodeploy.bundles import verify
from neurodeploy.errors import Fault, Refusal, missing_extra
from neurodeploy.network import save_network
from neurodeploy.simulator import Trace, simulate

assert made  # a fixture of most tests here


@dataclass
class StandIn:
    """An oracle that answers as it is told."""

    answer: object
    installed: str | None = "2.0"
    grade: str = "vendor-simulator"
    asked: list = field(default_factory=list)

    def available(self):
        return self.installed

    def faults(self, _network):
        return []

    def samples(self, _chip):
        return None

    def missing(self, purpose):
        return missing_extra("standin", "oracles", purpose)

    def run(self, network, counts):
        self.asked.append(counts)
        return self.answer(network, counts)


def exact(network, counts):
    run = simulate(network, counts, record=["v"], drain=0)
    counts = {n: v.copy() for n, v in run.counts.items() if n != "in"}
    return Trace("standin 2.0", counts, {g: {s: v.copy() for s, v in m.items()} for g, m in run.states.items()})


def one_value_off(network, counts):
    trace = exact(network, counts)
    trace.states["out"]["v"][5, 1, 1] += 1
    return trace


def another_shape(network, counts):
    trace = exact(network, counts)
    return replace(trace, counts={n: v[1:] for n, v in trace.counts.items()})


def missing(*_):
    raise missing_extra("standin", "oracles", "oracle standin")


def unable(*_):
    raise Refusal(Fault("ND2003", "oracle standin", "biases", "a network without"))


@pytest.fixture
def ask(made, monkeypatch):
    """Verify the bundle against a stand-in oracle."""

    def asked(answer, **options):
        oracle = StandIn(answer, **options)
        monkeypatch.setattr("neurodeploy.oracles.ORACLES", {"standin": oracle})
        return oracle, verify(made, against="standin")

    return asked


def test_an_exact_oracle_is_listed_with_version_grade_and_number_of_values(ask):
    oracle, result = ask(exact)
    assert result.exact
    assert result.exit_status == 0
    entry = result.to_json()["exact_against"][-1]
    values = (STEPS + 1) * 3 * (5 + 5)
    spikes = result.checks[0].comparison.spikes
    assert entry == {
        "oracle": "standin",
        "version": "standin 2.0",
        "kind": "live",
        "values_compared": values,
        "spikes": spikes,
        "grade": "vendor-simulator",
        "executor": "numpy",
    }
    assert oracle.asked[0]["in"].shape == (STEPS + 1, 3, 2)


def test_an_oracle_that_differs_in_one_value_is_exit_1_and_the_value_is_named(ask):
    _, result = ask(one_value_off)
    assert (result.exact, result.exit_status) == (False, 1)
    assert [c.oracle for c in result.exact_against] == [
        *("golden event counts", "golden states", "reference", "configuration samna"),
    ]
    (difference,) = result.differences
    assert (difference.group, difference.neuron, difference.sample, difference.step) == ("out", 1, 1, 5)
    assert (difference.phase, difference.state) == ("output.step", "v")
    assert difference.sides[1] == "standin 2.0"
    assert "standin (standin 2.0, live, vendor-simulator): 1 of " in str(result)


def test_an_oracle_that_returns_nothing_shows_nothing(ask):
    _, result = ask(lambda *_: Trace("standin 2.0", {}, {}))
    assert (result.exact, result.exit_status) == (False, 1)
    assert "ND2001" in str(result)
    assert result.to_json()["differences"][0]["oracle"] == "standin"


def test_an_oracle_that_answers_in_another_shape_is_no_proof(ask):
    _, result = ask(another_shape)
    assert (result.exact, result.exit_status) == (False, 1)
    assert "shape (13, 3, 3) against (12, 3, 3)" in str(result)


@pytest.mark.parametrize(("answer", "installed"), [(exact, None), (missing, "2.0")])
def test_a_missing_oracle_is_exit_3_and_says_how_to_install_it(ask, answer, installed):
    _, result = ask(answer, installed=installed)
    assert (result.exact, result.exit_status) == (False, 3)
    assert len(result.exact_against) == 4
    assert 'pip install "neurodeploy[oracles]"' in str(result)
    assert result.missing[0].code == "ND9001"


def test_a_difference_weighs_more_than_a_missing_oracle(made, ask):
    save_network(with_parameter(small(), "hid", "threshold", 1, 101), made / "network.npz")
    resigned(made)
    _, result = ask(exact, installed=None)
    assert result.missing
    assert result.exit_status == 1


def test_an_oracle_that_cannot_run_the_network_is_exit_2_with_its_reason(ask):
    _, result = ask(unable)
    assert (result.exact, result.exit_status) == (False, 2)
    assert "oracle standin: biases; a network without. [ND2003]" in str(result)


def test_an_unknown_oracle_is_refused_with_the_known_ones(made, monkeypatch):
    monkeypatch.setattr("neurodeploy.oracles.ORACLES", {"standin": StandIn(exact)})
    result = verify(made, against="xylosin")
    assert result.exit_status == 2
    words = "no oracle of that name; one of reference, numba, torch, numpy, standin, recording, device, all"
    assert words in str(result)
