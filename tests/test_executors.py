"""The table of executors: who takes what, how one is chosen, what the result says."""

import logging
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from event_chip import PLAIN, chip_of, crossbar
from executor_names import CLOCKED, EVENT
from test_simulator import counts, layered, refusal

from neurodeploy.errors import Missing
from neurodeploy.simulator import EXECUTORS, registry, simulate


@pytest.fixture
def table(monkeypatch):
    """A copy of the table that a test may change."""
    changed = dict(EXECUTORS)
    monkeypatch.setattr(registry, "EXECUTORS", changed)
    monkeypatch.setattr("neurodeploy.simulator.simulation.EXECUTORS", changed)
    registry._say_missing.cache_clear()
    return changed


def first(table, name, entry):
    rest = dict(table)
    table.clear()
    table |= {name: entry} | rest


def test_the_reference_and_numpy_take_every_task():
    assert {"numpy", "reference"} <= set(CLOCKED) & set(EVENT)


@pytest.mark.parametrize("name", CLOCKED)
def test_a_run_says_who_computed_it_and_that_it_was_asked_for(name):
    run = simulate(layered(1, 2, 1), counts(1), executor=name)
    assert (run.executor, run.how.why) == (name, "asked for")
    assert run.trace().made_by.endswith(f"({name})")


def test_auto_says_why():
    run = simulate(layered(1, 2, 1), counts(1))
    assert run.executor in EXECUTORS
    assert run.how.why not in {"", "asked for"}
    assert np.array_equal(run.output, simulate(layered(1, 2, 1), counts(1), executor="reference").output)


def test_auto_takes_the_first_that_suits(table):
    entry = replace(EXECUTORS["numpy"], suits=lambda task: "few samples" if task.batch == 1 else "")
    first(table, "quick", entry)
    one, two = (simulate(layered(1, 2, 1), np.ones((1, batch, 1), int)) for batch in (1, 2))
    assert one.how.why == "few samples"
    assert two.how.why != "few samples"


def test_auto_passes_by_what_refuses_the_task(table):
    first(table, "quick", replace(EXECUTORS["numpy"], suits=lambda _: "quick", refusal=lambda _: "too wide"))
    assert simulate(layered(1, 2, 1), counts(1)).how.why != "quick"
    words = "simulate, xylo_audio3: executor = 'quick': too wide; one of auto, "
    assert words in str(refusal(layered(1, 2, 1), counts(1), executor="quick"))


def test_an_executor_without_its_package_is_passed_by_with_one_log_line(table, caplog):
    first(table, "gone", replace(EXECUTORS["numpy"], package="no_such_package", extra="fast"))
    with caplog.at_level(logging.INFO, logger="neurodeploy"):
        for _ in range(3):
            assert simulate(layered(1, 2, 1), counts(1)).executor in EXECUTORS
    (record,) = caplog.records
    words = "simulations run without the executor 'gone', as no_such_package is not installed: pip install "
    assert record.message == words + '"neurodeploy[fast]"'
    with pytest.raises(Missing, match=r'pip install "neurodeploy\[fast\]"'):
        simulate(layered(1, 2, 1), counts(1), executor="gone")


def test_an_executor_of_other_chips_is_refused(table):
    table["quick"] = replace(EXECUTORS["numpy"], schedules=("clocked",))
    network = crossbar(chip_of(PLAIN), weights=np.zeros((2, 2), int))
    words = str(refusal(network, np.zeros((1, 1, 2), int), executor="quick"))
    assert "executor = 'quick': events drive this chip; one of auto, " in words
    table["quick"] = replace(EXECUTORS["numpy"], schedules=("event",))
    assert "executor = 'quick': this chip is clocked" in str(refusal(layered(1, 2, 1), counts(1), executor="quick"))


def test_an_observer_needs_an_executor_that_shows_phases(table):
    first(table, "fused", replace(EXECUTORS["numpy"], observes=False, suits=lambda _: "fused"))
    assert simulate(layered(1, 2, 1), counts(1)).how.why == "fused"
    look = partial(simulate, layered(1, 2, 1), counts(1), observer=lambda *_: None)
    assert look().how.why != "fused"
    words = str(refusal(layered(1, 2, 1), counts(1), observer=lambda *_: None, executor="fused"))
    assert "an observer sees every phase, and it shows none" in words


def test_a_device_is_refused_where_there_is_no_choice():
    words = str(refusal(layered(1, 2, 1), counts(1), executor="numpy", device="cuda"))
    assert "device = 'cuda', and it computes on the processor alone" in words


def test_where_nothing_takes_a_task_all_reasons_are_listed(table):
    for name in [n for n in table if n not in {"numpy", "reference"}]:
        del table[name]
    words = str(refusal(layered(1, 2, 1), counts(1), device="cuda"))
    assert "numpy: device = 'cuda', and it computes" in words
    assert "reference: device = 'cuda', and it computes" in words
