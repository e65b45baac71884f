from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from mutants import edited
from random_networks import Options, random_counts, random_network
from strategies import values

from neurodeploy.chips import chip, from_raw
from neurodeploy.network import Convolution, Network, convolution, group, pairs, place_identity, projection
from neurodeploy.ranges import agreement_faults, prove_group, prove_ranges
from neurodeploy.simulator import simulate
from neurodeploy.step import Interval
from neurodeploy.step.fixpoint import enclose

LOIHI, XYLO, SPECK = chip("loihi1"), chip("xylo_audio3"), chip("speck2f")


def current(weight, du, sources, neurons=3, **parameters):
    """Neurons that ``sources`` inputs drive with one weight each, and with the slowest of membranes."""
    x = group(LOIHI, "x", "input", sources)
    h = group(LOIHI, "h", "lif", neurons, **({"threshold": 5000, "dv": 300, "du": du} | parameters))
    w = np.full((sources, neurons), weight)
    return Network(LOIHI, (x, h), (projection(LOIHI, "dense", x, h, w=w),))


def spiking(high, low, weights, **parameters):
    """One map of event-driven neurons."""
    geometry = Convolution((1, 4, 4), (1, 1, 2, 2))
    x = group(SPECK, "x", "pixel", geometry.source)
    h = group(SPECK, "h", "unit", geometry.target, threshold_high=high, threshold_low=low, **parameters)
    kernel = np.asarray(weights).reshape(geometry.kernel)
    return Network(SPECK, (x, h), (convolution(SPECK, "convolve", x, h, geometry, w=kernel),))


# what is proved is true


@settings(max_examples=6)
@given(values(Interval(0, 2**32 - 1)))
def test_a_random_simulation_never_leaves_what_is_proved(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    x = group(LOIHI, "x", "input", 4)
    registers = {
        "du": int(rng.integers(0, 4096)),
        "dv": int(rng.integers(0, 4096)),
        "threshold": int(rng.integers(900)),
    }
    h = group(
        LOIHI, "h", "lif", n, bias_mant=rng.integers(-300, 300, n), **registers, refractory=int(rng.integers(1, 9))
    )
    weights = projection(LOIHI, "dense", x, h, w=2 * rng.integers(-128, 128, (4, n)), delay=rng.integers(0, 3, (4, n)))
    back = projection(LOIHI, "dense", h, h, w=2 * rng.integers(-128, 128, (n, n)))
    network = place_identity(Network(LOIHI, (x, h), (weights, back)))
    proved = prove_ranges(network)["h"]
    assert all(state.proved for state in proved.values())
    busy = rng.random((60, 3, 4)) < np.array([1.0, 0.5, 0.1])[None, :, None]
    run = simulate(network, busy.astype(np.int64), record=[f"h.{s}" for s in proved])
    for name, state in proved.items():
        assert (run.states["h"][name] >= state.low).all()
        assert (run.states["h"][name] <= state.high).all()
    assert np.ptp(run.states["h"]["u"]) > 0


def test_saturating_sums_are_proved_for_all_that_can_arrive():
    rng = np.random.default_rng(1)
    x, h, o = (
        group(XYLO, "x", "channel", 4),
        group(XYLO, "h", "hidden", 9, threshold=700, dash_mem=3),
        group(XYLO, "o", "output", 2, threshold=90),
    )
    network = Network(
        XYLO,
        (x, h, o),
        (
            projection(XYLO, "in", x, h, w1=rng.integers(-128, 128, (4, 9))),
            projection(XYLO, "rec", h, h, w1=rng.integers(-9, 9, (9, 9))),
            projection(XYLO, "out", h, o, w1=rng.integers(-3, 3, (9, 2))),
        ),
    )
    proved = prove_ranges(network)
    run = simulate(place_identity(network), rng.integers(0, 16, (80, 2, 4)), record=["h.i1", "h.v", "o.i1", "o.v"])
    for name, states in run.states.items():
        for state, found_values in states.items():
            found = proved[name][state]
            assert found.proved
            assert (found_values >= found.low).all()
            assert (found_values <= found.high).all()
    assert proved["o"]["i1"].interval.within(Interval(-6000, 6000))


def test_what_intervals_cannot_show_is_said_not_to_be_proved():
    x, h = group(XYLO, "x", "channel", 1), group(XYLO, "h", "hidden", 2, threshold=700)
    links = pairs(XYLO, "alias", h, h, [(0, 1)])
    found = prove_ranges(Network(XYLO, (x, h), (projection(XYLO, "in", x, h, w1=[[9, 9]]), links)))["h"]["count"]
    assert not found.proved
    assert found.unproved.tolist() == [False, True]  # nothing is added to the count of the first
    assert "hidden.step can bring count to" in found.reason


def test_a_proof_holds_for_fewer_counts_from_outside_too():
    network = current(100, 4095, 10)
    x = network.group("x")
    assert prove_group(network, x).states["spike"].interval == (0, 1)
    assert prove_group(network, x, external=Interval(0, 0)).states["spike"].interval == (0, 0)


# the intervals are tight where a bound is known


@pytest.mark.parametrize(("weight", "du", "sources"), [(200, 500, 80), (16, 99, 64), (-32, 7, 2), (2, 4095, 1)])
def test_a_current_stays_within_its_geometric_sum(weight, du, sources):
    found = prove_ranges(current(weight, du, sources))["h"]["u"].interval
    bound = weight * sources * 64 * 4096 / (du + 1)
    reached = found.high if weight > 0 else found.low
    assert 0.98 * abs(bound) <= abs(reached) <= 1.005 * abs(bound)
    assert (found.low if weight > 0 else found.high) == 0


def test_event_driven_neurons_end_below_their_threshold():
    proved = prove_ranges(spiking(100, -80, [100, 0, -90, 7]))["h"]["v"]
    assert proved.interval == (-80, 99)
    assert "h.v stays in -80..99" in str(proved)


def test_a_weight_above_the_threshold_is_not_proved():
    proved = prove_ranges(spiking(100, -80, [101, 0, -90, 7]))["h"]["v"]
    assert not proved.proved
    assert proved.interval is None
    assert "h.v of neuron 0: not proved, convolve from x can bring v to -80..32768" in str(proved)
    assert "the register holds -32768..32767" in proved.reason


def test_a_reset_to_zero_allows_any_weight():
    assert prove_ranges(spiking(100, -80, [127, 0, -90, 7], return_to_zero=1))["h"]["v"].interval == (-80, 99)


def test_neurons_are_told_apart():
    network = current(100, 99, 20)
    h = replace(network.group("h"), parameters={**network.group("h").parameters, "bias_mant": np.array([0, 900, -900])})
    found = prove_ranges(replace(network, groups=(network.group("x"), h)))["h"]["v"]
    assert found.proved
    assert found.high[1] >= found.high[0]


# dialects


def test_a_sum_just_inside_22_bits_is_accepted():
    assert agreement_faults(current(254, 4095, 129)) == []


def test_a_sum_just_outside_22_bits_is_refused_by_name():
    (fault,) = agreement_faults(current(254, 4095, 130))
    assert fault.code == "ND2201"
    assert str(fault).startswith("loihi1, group 'h', neuron 0: with the worst input a can reach 0..33020")
    assert "lava, nengo_loihi agree in -32768..32767" in str(fault)
    assert "make weights or bias smaller" in str(fault)


def test_a_current_just_inside_24_bits_is_accepted():
    assert agreement_faults(current(16, 32, 64)) == []


def test_a_current_just_outside_24_bits_is_refused():
    (fault,) = agreement_faults(current(16, 31, 64))  # 16 * 64 * 64 * 4096 / 32 is 2^23
    assert "u can reach 0..8388608, and lava, nengo_loihi agree in -8388607..8388607" in str(fault)


def test_the_neuron_that_fails_is_named_among_those_that_hold():
    network = current(16, 32, 64, neurons=40)
    weights = network.projections[0].fields["w"].reshape(64, 40).copy()
    weights[:, 23] = 18
    x, h = network.groups
    (fault,) = agreement_faults(Network(LOIHI, (x, h), (projection(LOIHI, "dense", x, h, w=weights),)))
    assert fault.values == {"group": "h", "neuron": 23, "others": 0}


def test_a_bias_counts_in_the_range_of_u_plus_bias():
    assert agreement_faults(current(16, 32, 63, bias_mant=1000, bias_exp=7)) == []
    (fault,) = agreement_faults(current(16, 32, 64, bias_mant=4095, bias_exp=7))
    assert "u + (bias_mant << bias_exp) can reach" in str(fault)


def test_a_pause_that_one_dialect_lacks_is_refused():
    (fault,) = agreement_faults(current(16, 99, 4, refractory=2))
    assert "refractory can reach 2..2, and lava, nengo_loihi agree in 1..1" in str(fault)


def test_a_weight_off_its_grid_is_refused():
    assert agreement_faults(current(-4, 99, 4)) == []
    faults = agreement_faults(current(-3, 99, 4))
    assert "w = -3" in str(faults[0])
    assert "12 such in all; lava, nengo_loihi agree where it is in 0..0" in str(faults[0])


def test_chips_without_dialects_agree_with_themselves():
    assert agreement_faults(spiking(100, -80, [127, 0, 0, 0])) == []


# candidates


def test_only_intervals_that_a_step_keeps_are_given_out():
    def step(states):
        low, high = states["x"]
        return ({"x": Interval(low // 2, high // 2 + 10)},) * 2

    found = enclose({"x": Interval(0, 0)}, step, {"x": Interval(-100, 100)})["x"]
    assert found in {(0, 19), (0, 20)}
    assert step({"x": found})[0]["x"].within(found)


def test_a_connection_that_reads_a_register_of_its_target_is_proved_too():
    place = ("connection", "in", "on_input")
    before = chip("xylo_imu").raw["connection"]["in"]["on_input"]
    changed = from_raw(edited(chip("xylo_imu").raw, (place, before.replace("* w1", "* dash_mem"))))
    made = random_network(changed, np.random.default_rng(0), Options(hidden=(3, 5), steps=(8, 8)))
    counts = random_counts(made, np.random.default_rng(0), Options(hidden=(3, 5), steps=(8, 8)))
    run = simulate(made, counts, record="i1", raw=True, executor="numpy")
    for g in made.groups:
        if g.kind == "hidden":
            proved = prove_group(made, g).states["i1"].interval
            assert proved is None or (
                proved.low <= run.states[g.name]["i1"].min() <= run.states[g.name]["i1"].max() <= proved.high
            )
