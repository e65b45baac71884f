from dataclasses import replace

import numpy as np
import pytest
from golden_loihi import OTHER, VENDOR, vectors_of
from loihi_networks import CHIPS, FAMILIES, PROCESSES, cases

from neurodeploy.chips import chip
from neurodeploy.golden import FILE_NAME, read_golden, write_golden
from neurodeploy.simulator import simulate

EACH = 3  # networks of each family, chip and oracle in the default run
PAIRS = [(name, oracle) for name in CHIPS for oracle in chip(name).oracles if oracle in PROCESSES]
MARKED = [pytest.param(name, oracle, marks=pytest.mark.oracle(oracle)) for name, oracle in PAIRS]


def compared(network, counts, trace, executor="numpy"):
    """Compare every spike and every state of every step with the oracle; what was compared, as numbers."""
    record = [f"{g}.{s}" for g, states in trace.states.items() for s in states]
    run = simulate(network, counts, record=record, drain=0, raw=True, executor=executor)
    seen = {"values": 0, "spikes": 0}
    for group, expected in trace.counts.items():
        np.testing.assert_array_equal(run.counts[group], expected, err_msg=f"{group}, spikes")
        seen["values"] += expected.size
        seen["spikes"] += int(expected.sum())
        for state, values in trace.states[group].items():
            np.testing.assert_array_equal(run.states[group][state], values, err_msg=f"{group}.{state}")
            seen["values"] += values.size
    return seen


def differential(name, oracle, families, seeds, count):
    """Compare networks of some families, all in one process of the oracle; returns those that were drawn."""
    drawn = [case for family in families for case in cases(oracle, chip(name), family, seeds)]
    totals = {"values": 0, "spikes": 0}
    for (network, counts), trace in zip(drawn, PROCESSES[oracle].observe_all(drawn), strict=True):
        for key, number in compared(network, counts, trace).items():
            totals[key] += number
    assert totals["spikes"] > len(drawn)
    count(f"random networks equal to {oracle}", len(drawn))
    for key, number in totals.items():
        count(f"random networks equal to {oracle}: {key}", number)
    return drawn


def elsewhere(network, counts):
    """The same network on the chip itself and in the dialect that it is of: spikes and states."""
    target = chip(network.chip.name)
    record = [f"{g.name}.v" for g in network.groups if not network.chip.neurons[g.kind].is_input()]
    runs = []
    for spoken in ("", network.chip.spoken):
        run = simulate(replace(network, chip=target.dialect(spoken)), counts, record=record, drain=0, raw=True)
        runs.append([v.tobytes() for values in (*run.states.values(), run.counts) for v in values.values()])
    return runs


@pytest.mark.parametrize(("name", "oracle"), MARKED)
def test_random_networks_equal_their_oracle_in_every_spike_and_state(name, oracle, count):
    differential(name, oracle, FAMILIES, range(EACH), count)


@pytest.mark.parametrize(("name", "oracle"), MARKED)
def test_the_reference_executor_equals_the_oracles(name, oracle):
    drawn = list(cases(oracle, chip(name), "everything", range(EACH, EACH + 2)))
    for (network, counts), trace in zip(drawn, PROCESSES[oracle].observe_all(drawn), strict=True):
        assert compared(network, counts, trace, "reference")["values"] > 0


@pytest.mark.parametrize(("name", "oracle"), MARKED)
def test_a_weight_that_is_off_by_a_grid_step_is_a_difference(name, oracle):
    network, counts = next((n, c) for n, c in cases(oracle, chip(name), "firing", range(40)) if c["input"].sum() > 20)
    at = next(i for i, p in enumerate(network.projections) if p.source == "input" and p.kind == "dense")
    p = network.projections[at]
    values = {"exponent": 0, "bits": 8, "sign_mode": 1}
    first = replace(p, fields=p.fields | {"w": p.fields["w"] * 0 + 20}, parameters=values)
    other = replace(first, fields=first.fields | {"w": first.fields["w"] + 2})
    pair = [
        replace(network, projections=(*network.projections[:at], changed, *network.projections[at + 1 :]))
        for changed in (first, other)
    ]
    trace = PROCESSES[oracle].observe(pair[0], counts)
    compared(pair[0], counts, trace)
    with pytest.raises(AssertionError, match=r"u|spikes"):
        compared(pair[1], counts, trace)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "oracle"), MARKED)
@pytest.mark.parametrize("family", FAMILIES)
def test_hundreds_of_random_networks_equal_their_oracle(name, oracle, family, count):
    differential(name, oracle, [family], range(EACH, EACH + 1 + 500 // len(FAMILIES)), count)


@pytest.mark.parametrize("name", CHIPS)
def test_overflow_networks_tell_the_dialects_apart(name, count):
    """Without networks on which the dialects differ, agreement with their oracles would say little."""
    apart = 0
    for family in ("overflow", "negative exponents", "formats"):
        for network, counts in cases("nengo_loihi", chip(name), family, range(6)):
            runs = elsewhere(network, counts)
            apart += runs[0] != runs[1]
    assert apart > 8
    count(f"networks on which the dialects of {name} differ", apart)


@pytest.mark.oracle("lava")
@pytest.mark.oracle("nengo_loihi")
@pytest.mark.parametrize("name", CHIPS)
def test_the_oracles_still_give_the_golden_file(name, tmp_path):
    golden, vendor = read_golden(chip(name).path), PROCESSES[VENDOR]
    made_by = f"{vendor.package} {vendor.available()}"
    write_golden(tmp_path, vectors_of(chip(name)), made_by=made_by, on=golden.on, grade=vendor.grade)
    assert (tmp_path / FILE_NAME).read_text() == (chip(name).path / FILE_NAME).read_text()


@pytest.mark.parametrize("name", CHIPS)
def test_golden_vectors_say_who_made_them_and_in_which_dialect(name):
    golden = read_golden(chip(name).path)
    assert (golden.made_by, golden.grade) == ("lava-nc 0.10.0", "vendor-simulator")
    makers = {(v.made_by, v.grade, v.network.chip.spoken) for v in golden.vectors}
    assert makers == {("", "", ""), ("nengo-loihi 1.1.0", "inferred", ""), ("nengo-loihi 1.1.0", "inferred", OTHER)}
