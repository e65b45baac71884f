import importlib.util
from pathlib import Path

import pytest

from neurodeploy.oracles import ORACLES

CONFTEST = Path(__file__).with_name("conftest.py")
TESTS = """
import pytest

@pytest.mark.oracle("xylosim")
def test_oracle(): pass

@pytest.mark.shared_data
def test_data(): pass

@pytest.mark.triton
def test_kernel(): pass

@pytest.mark.slow
def test_slow(): pass

def test_counts(count):
    count("things", 2)
    count("things", 1000)
"""


@pytest.fixture
def session(pytester, monkeypatch):
    """Run the five tests with our conftest, oracle and Triton present or not."""
    for name in ("NEURODEPLOY_REQUIRE_ORACLES", "NEURODEPLOY_DATA"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, oracle, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))
        version = "0.1.3" if oracle else None
        monkeypatch.setattr(type(ORACLES["xylosim"]), "available", lambda _: version)
        find = importlib.util.find_spec
        there = {"triton": find("json") if oracle else None}
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *more: there[name] if name in there else find(name, *more)
        )
        own = CONFTEST.read_text().replace('pytest_plugins = ["pytester"]', "")
        pytester.makeconftest(own)
        pytester.makepyfile(TESTS)
        pytester.makeini("[pytest]\nmarkers =\n    slow\n    oracle\n    shared_data\n    triton\n")
        return pytester.runpytest_inprocess("-rs", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments)

    return run


def test_what_is_missing_is_skipped_with_the_reason(session):
    result = session(oracle=False)
    result.assert_outcomes(passed=1, skipped=3, deselected=1)
    result.stdout.fnmatch_lines(
        ['*oracle xylosim is not installed: pip install "neurodeploy[[]oracles]"*', "*NEURODEPLOY_DATA does not name*"]
    )
    result.stdout.fnmatch_lines(['*triton is not installed: pip install "neurodeploy[[]gpu]"*'])


def test_what_is_missing_fails_where_it_is_required(session):
    result = session(oracle=False, NEURODEPLOY_REQUIRE_ORACLES=1)
    result.assert_outcomes(passed=1, errors=3, deselected=1)
    result.stdout.fnmatch_lines(["*(NEURODEPLOY_REQUIRE_ORACLES=1 allows no skip)"])


def test_what_is_there_runs_where_it_is_required(session, tmp_path):
    result = session(oracle=True, NEURODEPLOY_REQUIRE_ORACLES=1, NEURODEPLOY_DATA=tmp_path)
    result.assert_outcomes(passed=4, deselected=1)


def test_a_folder_that_does_not_exist_is_named(session, tmp_path):
    result = session(oracle=True, NEURODEPLOY_DATA=tmp_path / "absent")
    result.assert_outcomes(passed=3, skipped=1, deselected=1)
    result.stdout.fnmatch_lines(["*absent: no such folder*"])


def test_slow_tests_run_when_they_are_asked_for(session):
    session("-m", "slow", oracle=True).assert_outcomes(passed=1, deselected=4)


def test_counts_are_summed_and_printed_at_the_end(session):
    session(oracle=True).stdout.fnmatch_lines(["*1,002  things"])
