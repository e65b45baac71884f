import numpy as np
import pytest
from hypothesis import given, settings
from strategies import values

from neurodeploy.chips import chip
from neurodeploy.emit.netx import load_weights
from neurodeploy.network import Network, group, guard_faults, projection
from neurodeploy.quantizer.grids import grid_of, reach, round_weights
from neurodeploy.ranges import agreement_faults
from neurodeploy.simulator.machine import stored_fields
from neurodeploy.step import Interval

LOIHI = chip("loihi1")
DENSE, CONV = LOIHI.connections["dense"], LOIHI.connections["conv"]
MIXED, POSITIVE, NEGATIVE = 1, 2, 3


def loaded(weights):
    """Mantissas, exponent and width that NetX finds, after the reference: for matrices that it does not spoil."""
    low, high = weights.min(), weights.max()
    mixed = int(high >= 0 > low)
    if high < 0:
        scale = -256 / low
    elif low >= 0:
        scale = 255 / high
    else:
        scale = min(127 / high if high else np.inf, -128 / low)
    shift = int(np.floor(np.log2(scale))) + mixed
    zeros = min(next(n for n in range(64) if np.any(weights >> n & 1)), 8) - mixed
    return weights << shift, -shift, 8 - shift - zeros


def matrices():
    """Float matrices of every sign and size, some with few levels."""
    rng_of = values(Interval(0, 2**32 - 1)).map(np.random.default_rng)

    def draw(rng):
        signs = [(-1, 1), (0, 1), (-1, 0)][rng.integers(3)]
        values = rng.uniform(*signs, (4, 3)) * 2.0 ** rng.uniform(0, 8)
        return values * rng.choice([1, 0.5], (4, 3)) if rng.random() < 0.5 else np.rint(values / 16) * 16

    return rng_of.map(draw).filter(lambda m: np.abs(m).max() >= 1)


def spoiled(worth):
    """Whether the smallest weight of a matrix is a negative power of two, which fills -256."""
    low = int(-worth.min())
    return worth.min() < 0 and low & (low - 1) == 0


@settings(max_examples=300)
@given(matrices())
def test_sign_mode_exponent_and_width_are_those_of_the_loader(exact):
    rounded = round_weights(DENSE, exact)
    worth = rounded.worth.astype(np.int64)
    if spoiled(worth) or not worth.any():
        return
    mantissas, exponent, bits = loaded(worth)
    assert rounded.stored.tolist() == mantissas.tolist()
    assert rounded.parameters["exponent"] == exponent
    assert rounded.parameters["bits"] == bits
    sign = POSITIVE if worth.min() >= 0 else NEGATIVE if worth.max() <= 0 else MIXED
    assert rounded.parameters["sign_mode"] == sign


@settings(max_examples=200)
@given(matrices())
def test_all_dialects_keep_every_weight_as_it_is(exact):
    rounded = round_weights(DENSE, exact)
    scale = 2.0 ** rounded.parameters["exponent"]
    assert (rounded.stored * scale == rounded.worth).all()
    assert (rounded.worth == np.rint(rounded.worth)).all()
    for name in ("", *LOIHI.dialects):
        kind = LOIHI.dialect(name).connections["dense"]
        fields = {"w": rounded.stored.reshape(-1), "delay": np.zeros(rounded.stored.size, np.int64)}
        kept = stored_fields(kind, fields, rounded.parameters)["w"].reshape(exact.shape)
        power = 1.0 if name == "nengo_loihi" else scale  # its exponent acts on each weight
        assert (kept * power == rounded.worth).all()


@settings(max_examples=100)
@given(matrices())
def test_weights_are_rounded_by_half_a_step_at_most_and_clipped_ones_are_counted(exact):
    rounded = round_weights(DENSE, exact)
    (low, high), exponent, step = grid_of(DENSE, exact)
    inside = (exact >= low * 2.0**exponent) & (exact <= high * 2.0**exponent)
    assert (np.abs(rounded.worth - exact)[inside] <= step / 2).all()
    assert rounded.clipped == int((np.abs(rounded.worth - exact) > step / 2).sum())


@pytest.mark.parametrize(
    ("weights", "step"),
    [
        ([[-100.0, 127.4]], 1),
        ([[-100.0, 128.0]], 2),
        ([[0.0, 255.0]], 1),
        ([[-255.0, -1.0]], 1),
        ([[-127.5, 3.0]], 2),
        ([[-129.0, 0.0]], 2),
        ([[-129.0, -1.0]], 1),
    ],
)
def test_mixed_weights_above_127_are_even(weights, step):
    assert grid_of(DENSE, np.array(weights))[2] == step


def test_no_matrix_needs_nine_bits():
    for high in range(1, 255):
        for matrix in ([[-1.0, high]], [[1.0, high]], [[-1.0, -high]], [[0.0, -high]]):
            worth = round_weights(DENSE, np.array(matrix)).worth.astype(np.int64)
            if not spoiled(worth):
                assert loaded(worth)[2] <= 8


@pytest.mark.parametrize(("weights", "most"), [([[-1.0, 1.0]], 254), ([[0.0, 1.0]], 255), ([[-1.0, 0.0]], 255)])
def test_a_matrix_reaches_as_far_as_its_signs_allow(weights, most):
    assert reach(DENSE, np.array(weights)) == most


def test_kernels_lie_on_the_grid_of_eight_bits_too():
    exact = np.array([[-200.3, 199.2, 7.0]])
    assert round_weights(CONV, exact).stored.tolist() == [[-200, 200, 8]]
    assert round_weights(CONV, np.abs(exact)).stored.tolist() == [[200, 199, 7]]
    assert round_weights(CONV, exact).parameters == {}


def test_weights_beyond_the_grid_are_cut_and_counted():
    rounded = round_weights(DENSE, np.array([[-300.0, 400.0, 10.0]]))
    assert rounded.worth.tolist() == [[-254, 254, 10]]
    assert rounded.clipped == 2


# what NetX spoils


def dense(weights):
    """A network with one matrix, on the registers that the quantizer gives it."""
    rounded = round_weights(DENSE, np.array(weights, float))
    x, h = group(LOIHI, "x", "input", len(weights)), group(LOIHI, "h", "lif", len(weights[0]), threshold=99, dv=50)
    return Network(LOIHI, (x, h), (projection(LOIHI, "dense", x, h, rounded.parameters, w=rounded.stored),))


@pytest.mark.parametrize("low", [-1, -2, -64, -128])
def test_a_negative_power_of_two_without_positive_weights_is_refused(low):
    (fault,) = guard_faults(dense([[low, low / 2]]))
    assert "guard 'negative_power': sign_mode_min = 3, w_min = -128" in str(fault)
    assert "NetX makes -256 of it, which becomes -255" in str(fault)
    assert "change the smallest weight by one step" in str(fault)


@pytest.mark.parametrize("low", [-2, -64, -128])
def test_a_negative_power_of_two_further_from_0_than_all_other_weights_is_refused(low):
    (fault,) = guard_faults(dense([[low, -low / 2]]))
    assert "guard 'mixed_power': sign_mode_min = 1, w_max = 64, w_min = -128" in str(fault)
    assert load_weights(np.array([[2 * low, -low]])).weights[0].min() == -256


@pytest.mark.parametrize("weights", [[[-3, -1]], [[-65, -2]], [[-64, 64]], [[-63, 1]], [[64, 1]], [[-255, -128]]])
def test_its_neighbours_are_accepted(weights):
    assert guard_faults(dense(weights)) == []
    assert agreement_faults(dense(weights)) == []


def test_a_matrix_of_zeros_is_refused():
    (fault,) = guard_faults(dense([[0, 0]]))
    assert "guard 'no_weight': w_max = 0, w_min = 0" in str(fault)
    assert "remove the connection" in str(fault)


def test_a_weight_of_minus_256_is_refused():
    network = dense([[-254, 254]])
    assert agreement_faults(network) == []
    x, h = network.groups
    registers = network.projections[0].parameters
    bad = Network(LOIHI, (x, h), (projection(LOIHI, "dense", x, h, registers, w=[[-256, 254]]),))
    (fault,) = agreement_faults(bad)
    assert "w is -256" in str(fault)
