"""NetX files: what is written is read back as the same network, and what the loader loses in silence is refused."""

import dataclasses

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neurodeploy
from neurodeploy.chips import target_folders
from neurodeploy.emit import emitter, formats
from neurodeploy.emit.netx import load_weights, read_netx, to_netx, weight_faults, write_netx
from neurodeploy.errors import Refusal
from neurodeploy.network import Convolution, Group, Network, convolution, group, place_identity, projection
from neurodeploy.simulator import simulate

CHIPS = [name for name in target_folders() if "netx" in formats(neurodeploy.chip(name))]
CHIP = neurodeploy.chip(CHIPS[0])
NEWEST = neurodeploy.chip(CHIPS[-1])


def grid(rng, shape, low=-127, high=127):
    """Weights that the loader keeps."""
    return rng.integers(low, high + 1, shape)


def dense(chip, source, target, matrix, *others, delay=0):
    """A projection as the loader makes it of a matrix (target, source) that shares its exponent with others."""
    loaded = load_weights(matrix, *others)
    registers = {"exponent": loaded.exponent, "bits": loaded.bits, "sign_mode": loaded.sign_mode[0]}
    return projection(
        chip, "dense", source, target, registers, w=loaded.weights[0].T, delay=np.broadcast_to(delay, matrix.shape).T
    )


def sample(chip, seed=0):
    """Map, convolution, recurrent layer with bias, dense layer with delays for each target."""
    rng = np.random.default_rng(seed)
    pixels = group(chip, "pixels", "input", (2, 5, 7))
    geometry = Convolution((2, 5, 7), (4, 2, 2, 3), (1, 2), (1, 0))
    features = rng.integers(-9, 30, (4, 1, 1)) * np.ones(geometry.target, np.int64)
    maps = group(chip, "conv 1", "lif", geometry.target, du=3000, dv=400, threshold=90, bias_mant=features.reshape(-1))
    cells = group(chip, "cells", "lif", 9, du=4095, dv=129, threshold=70, bias_mant=rng.integers(-50, 60, 9))
    classes = group(chip, "classes/last", "lif", 3, du=1000, dv=0, threshold=100)
    kernel = convolution(chip, "conv", pixels, maps, geometry, w=2 * grid(rng, geometry.kernel))
    into, back = grid(rng, (9, maps.size), -40, 60), grid(rng, (9, 9), -60, 30)
    return Network(
        chip,
        (classes, pixels, maps, cells),
        (
            dense(chip, cells, classes, grid(rng, (3, 9), 1, 255), delay=[[3], [0], [62]]),
            kernel,
            dense(chip, maps, cells, into, back),
            dense(chip, cells, cells, back, into),
        ),
        dt_s=0.001,
    )


def refused(make) -> str:
    with pytest.raises(Refusal) as caught:
        make()
    return str(caught.value)


def same(one: Network, other: Network) -> None:
    """Equal groups and projections, in whatever order they stand."""
    by_name = {g.name: g for g in other.groups}
    assert {g.name for g in one.groups} == set(by_name)
    for g in one.groups:
        assert (g.kind, g.size, g.shape) == (by_name[g.name].kind, by_name[g.name].size, by_name[g.name].shape)
        for name, values in g.parameters.items():
            assert np.array_equal(values, by_name[g.name].parameters[name]), (g.name, name)
    ends = {(p.source, p.target): p for p in other.projections}
    assert {(p.source, p.target) for p in one.projections} == set(ends)
    for p in one.projections:
        q = ends[p.source, p.target]
        assert (p.kind, dict(p.parameters), p.geometry) == (q.kind, dict(q.parameters), q.geometry)
        assert sorted(zip(p.sources, p.targets, *p.fields.values(), strict=False)) == sorted(
            zip(q.sources, q.targets, *(q.fields[n] for n in p.fields), strict=False)
        )
        assert p.geometry is None or all(np.array_equal(v, q.fields[n]) for n, v in p.fields.items())


@pytest.mark.parametrize("name", CHIPS)
def test_a_file_read_back_is_the_same_network_and_fires_the_same(name, tmp_path):
    chip = neurodeploy.chip(name)
    network = sample(chip)
    emitter("netx").write(network, tmp_path / "net.net")
    back = read_netx(tmp_path / "net.net", chip)
    same(network, back)
    assert back.dt_s == network.dt_s
    counts = (np.random.default_rng(1).random((40, 2, 70)) < 0.3).astype(int)
    ordered = Network(chip, tuple(network.group(g.name) for g in back.groups), network.projections, network.dt_s)
    runs = [simulate(place_identity(n), counts, record=["u", "v"]) for n in (ordered, back)]
    assert runs[0].output.sum() > 5
    assert all(np.array_equal(runs[0].counts[g.name], runs[1].counts[g.name]) for g in network.groups)


def test_equal_networks_give_equal_bytes(tmp_path):
    for name in ("one.net", "two.net"):
        write_netx(sample(NEWEST), tmp_path / name)
    assert (tmp_path / "one.net").read_bytes() == (tmp_path / "two.net").read_bytes()


def test_every_dataset_stands_where_the_loader_looks(tmp_path):
    write_netx(sample(NEWEST), tmp_path / "net.net")
    with h5py.File(tmp_path / "net.net") as file:
        types = [file[f"layer/{i}/type"][0].decode() for i in range(len(file["layer"]))]
        assert types == ["input", "conv", "flatten", "dense_rec", "dense"]
        assert file["layer/0/type"].dtype == "S10"
        assert file["layer/0/shape"][()].tolist() == [2, 5, 7]
        assert file["layer/1/weight"].shape == (4, 2, 2, 3)
        assert (file["layer/1/stride"][()].tolist(), file["layer/1/padding"][()].tolist()) == ([1, 2], [1, 0])
        assert {n: file[f"layer/1/neuron/{n}"][()] for n in ("iDecay", "vDecay", "vThMant")} == {
            "iDecay": 3001, "vDecay": 400, "vThMant": 90
        }  # fmt: skip
        assert file["layer/1/bias"].shape == (4,)
        assert file["layer/3/weight"].shape == (9, 4 * 6 * 3)
        assert file["layer/3/weight_rec"].shape == (9, 9)
        assert file["layer/4/delay"][()].tolist() == [3, 0, 62]
        assert file["layer/4/neuron/type"][0] == b"LOIHI"


def test_the_weights_in_the_file_are_those_that_count(tmp_path):
    rng = np.random.default_rng(4)
    matrix = grid(rng, (3, 6), -8, 15) * 4
    network = two_layers(matrix)
    (link,) = network.projections
    assert link.parameters["exponent"] < 0
    write_netx(network, tmp_path / "net.net")
    with h5py.File(tmp_path / "net.net") as file:
        assert np.array_equal(file["layer/1/weight"][()], matrix)


def two_layers(matrix, chip=NEWEST, delay=0, **registers) -> Network:
    source = group(chip, "in", "input", matrix.shape[1])
    target = group(chip, "out", "lif", matrix.shape[0], **({"du": 4095, "dv": 10, "threshold": 50} | registers))
    return Network(chip, (source, target), (dense(chip, source, target, matrix, delay=delay),))


def test_the_loader_multiplies_nothing_away():
    rng = np.random.default_rng(5)
    shifted = 0
    for low, high in ((-128, 127), (0, 255), (-200, -1), (-3, 90), (1, 7), (-60, 2)):
        for _ in range(40):
            matrix = rng.integers(low, high + 1, (4, 5))
            if list(weight_faults("here", matrix)):
                continue
            network = two_layers(matrix)
            (link,) = network.projections
            kept = neurodeploy.simulator.machine.stored_fields(
                NEWEST.connections["dense"], link.fields, link.parameters
            )
            assert np.array_equal(kept["w"] * 2.0 ** link.parameters["exponent"], matrix.T.reshape(-1))
            assert link.parameters["bits"] <= 8
            shifted += link.parameters["exponent"] != 0
    assert shifted > 50


# --- what the loader loses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ([[0, 256]], "weights from 0 to 256 - or all become 0"),
        ([[-257, -1]], "weights from -257 to -1 - or all become 0"),
        ([[-4, 255]], "weights from -4 to 255 - -256..254"),
        ([[0, 0]], "a matrix of zeros - the loader raises OverflowError"),
        ([[-128, 129]], "9 bits - at most 8 bits"),
        ([[-1, -1]], "the smallest is -1, a negative power of two - another smallest weight"),
        ([[-64, -2]], "the smallest is -64, a negative power of two - another smallest weight"),
    ],
)
def test_weights_that_the_loader_would_lose_are_refused(matrix, words, tmp_path):
    was, must = words.split(" - ")
    network = two_layers(np.array([[2, 3]]))
    faults = list(weight_faults("here", np.array(matrix)))
    assert was in faults[0].was
    assert must in faults[0].must
    # the same in a file that somebody else wrote
    write_netx(network, tmp_path / "net.net")
    with h5py.File(tmp_path / "net.net", "r+") as file:
        file["layer/1/weight"][...] = np.array(matrix)
    assert was in refused(lambda: read_netx(tmp_path / "net.net", NEWEST))


@pytest.mark.parametrize(
    "matrix", [[[0, 255]], [[-256, -2, 254]], [[-128, 127]], [[-200, 130]], [[-65, -2]], [[-256, 2]], [[-3, -2]]]
)
def test_the_nearest_weights_that_it_keeps_are_taken(matrix, tmp_path):
    network = two_layers(np.array(matrix))
    write_netx(network, tmp_path / "net.net")
    same(network, read_netx(tmp_path / "net.net", NEWEST))


def test_another_exponent_or_width_than_the_loader_chooses_is_refused():
    network = two_layers(np.array([[2, 3, -5]]))
    (link,) = network.projections
    one_more = {name: link.parameters[name] + 1 for name in ("exponent", "bits")}
    halved = dict(link.fields) | {"w": link.fields["w"] // 2}
    other = dataclasses.replace(link, parameters=dict(link.parameters) | one_more, fields=halved)
    assert "as the loader chooses for these weights" in refused(
        lambda: to_netx(dataclasses.replace(network, projections=(other,)))
    )
    off_grid = dataclasses.replace(link, fields=dict(link.fields) | {"w": link.fields["w"] + 1})
    said = refused(lambda: to_netx(dataclasses.replace(network, projections=(off_grid,))))
    assert "on the grid of their bits" in said or "whole numbers" in said


@pytest.mark.parametrize(
    ("registers", "words"),
    [
        ({"du": [3, 4, 4]}, "du from 3 to 4: one value for a layer"),
        ({"refractory": 2}, "refractory = 2"),
        ({"bias_mant": 1, "bias_exp": 5}, "bias_exp = 5"),
        ({"v_min_exp": 3}, "v_min_exp = 3 and 2 more"),
    ],
)
def test_registers_without_a_place_in_the_file_are_refused(registers, words):
    said = refused(lambda: to_netx(two_layers(np.array([[2, 3], [1, -5], [4, 4]]), **registers)))
    assert words.split(": ")[0] in said
    assert words.split(": ")[-1] in said
    assert to_netx(two_layers(np.array([[2, 3], [1, -5], [4, 4]]), bias_exp=5))  # without a bias it says nothing


def test_delays_beyond_the_loader_and_delays_of_single_synapses_are_refused():
    matrix = np.array([[2, 3], [1, -5], [4, 4]])
    assert "62" in refused(lambda: to_netx(two_layers(matrix, delay=63)))
    assert to_netx(two_layers(matrix, delay=62))["layers"][1]["delay"] == 62
    assert to_netx(two_layers(matrix, delay=[[1, 2]] * 3))["layers"][1]["delay"] == [1, 2]
    assert "of its own for each synapse" in refused(lambda: to_netx(two_layers(matrix, delay=[[1, 2], [2, 1], [0, 0]])))
    square = np.array([[2, 3], [1, -5]])
    assert "cannot tell the axes" in refused(lambda: to_netx(two_layers(square, delay=[[1, 2]] * 2)))
    assert to_netx(two_layers(square, delay=4))["layers"][1]["delay"] == 4


def test_adaptive_neurons_and_branches_are_refused_by_name():
    chip = NEWEST
    rng = np.random.default_rng(0)
    source, a, b = group(chip, "in", "input", 3), *(group(chip, n, "lif", 2, du=9, dv=9, threshold=9) for n in "ab")
    branched = Network(chip, (source, a, b), tuple(dense(chip, source, g, grid(rng, (2, 3))) for g in (a, b)))
    assert "'in' leads to 'a', 'b'" in refused(lambda: to_netx(branched))
    adaptive = group(chip, "c", "atrlif", 2, d_i=9, d_v=9, d_theta=9, d_r=9, theta_0=9, theta_step=9)
    said = refused(lambda: to_netx(Network(chip, (source, adaptive), ())))
    assert "neurons of kind 'atrlif'" in said


def convolved(kernel, bias=0, chip=NEWEST):
    geometry = Convolution((1, 4, 5), np.shape(kernel), padding=(1, 1))
    source = group(chip, "in", "input", geometry.source)
    target = group(
        chip,
        "out",
        "lif",
        geometry.target,
        du=4095,
        dv=10,
        threshold=50,
        bias_mant=np.asarray(bias).reshape(-1) if np.ndim(bias) else bias,
    )
    return Network(chip, (source, target), (convolution(chip, "conv", source, target, geometry, w=kernel),))


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-3, 8, "weight -3 in a kernel from -3 to 8; multiples of 2 in -256..254"),
        (-256, 255, "weight 255 in a kernel from -256 to 255"),
        (-256, -1, "weight -256 in a kernel from -256 to "),
    ],
)
def test_kernels_that_eight_bits_do_not_hold_are_refused_though_the_loader_takes_them(low, high, words, tmp_path):
    assert words in refused(lambda: to_netx(convolved([[[[low, high]]]])))
    write_netx(convolved([[[[2, 4]]]]), tmp_path / "net.net")
    with h5py.File(tmp_path / "net.net", "r+") as file:
        file["layer/1/weight"][...] = [[[[low, high]]]]
    assert words in refused(lambda: read_netx(tmp_path / "net.net", NEWEST))


@pytest.mark.parametrize(("low", "high"), [(-256, 254), (-4, 8), (0, 255), (-255, -3), (1, 3)])
def test_the_nearest_kernels_are_taken(low, high, tmp_path):
    network = convolved([[[[low, high]]]])
    write_netx(network, tmp_path / "net.net")
    same(network, read_netx(tmp_path / "net.net", NEWEST))


def test_a_bias_of_single_neurons_of_a_map_stands_columns_first(tmp_path):
    bias = np.arange(2 * 6 * 6).reshape(2, 6, 6)
    network = convolved([[[[2, 4]]], [[[6, 8]]]], bias)
    write_netx(network, tmp_path / "net.net")
    same(network, read_netx(tmp_path / "net.net", NEWEST))
    with h5py.File(tmp_path / "net.net", "r+") as file:
        assert file["layer/1/bias"].shape == (6, 6, 2)
        assert file["layer/1/bias"][4, 1, 1] == bias[1, 1, 4]
        del file["layer/1/bias"]
        file["layer/1/bias"] = bias.reshape(-1)  # the loader raises an error for it
    said = refused(lambda: read_netx(tmp_path / "net.net", NEWEST))
    assert "a bias of shape (72,); (2,) or (6, 6, 2), columns first" in said


def recurrent(delay):
    x, y = group(NEWEST, "x", "input", 3), group(NEWEST, "y", "lif", 3, du=9, dv=9, threshold=9)
    into, back = np.array([[1, 2, 3]] * 3), np.array([[3, 2, 1]] * 3)
    return Network(NEWEST, (x, y), (dense(NEWEST, x, y, into, back, delay=delay), dense(NEWEST, y, y, back, into)))


def test_delays_of_a_recurrent_layer_are_refused_as_the_loader_takes_them_for_both_matrices(tmp_path):
    assert "for both of its matrices" in refused(lambda: to_netx(recurrent(2)))
    write_netx(recurrent(0), tmp_path / "net.net")
    same(recurrent(0), read_netx(tmp_path / "net.net", NEWEST))
    with h5py.File(tmp_path / "net.net", "r+") as file:
        file["layer/1/delay"] = 2
    assert "both matrices of a recurrent layer" in refused(lambda: read_netx(tmp_path / "net.net", NEWEST))


# --- the periodic reset -----------------------------------------------------------------------------------------------


def pipeline(*resets, chip=NEWEST) -> Network:
    """A chain of layers, each with the step of its first reset and its period."""
    groups, links = [group(chip, "in", "input", 2)], []
    for i, (first, every) in enumerate(resets):
        registers = {"du": 1000, "dv": 9, "threshold": 80, "reset_first": first, "reset_every": every}
        groups.append(group(chip, f"layer {i}", "lif", 2, **registers))
        links.append(dense(chip, groups[-2], groups[-1], np.array([[90, 7], [15, 110]])))
    return Network(chip, tuple(groups), tuple(links))


@pytest.mark.parametrize(
    ("resets", "interval", "offset"),
    [(((4, 17),), 17, 3), (((1, 5), (2, 5), (3, 5)), 5, 0), (((5, 5), (1, 5), (2, 5)), 5, 4), (((1, 1), (1, 1)), 1, 0)],
)
def test_a_reset_stands_beside_the_layers_as_the_arguments_of_the_loaders_call(resets, interval, offset, tmp_path):
    network = pipeline(*resets)
    write_netx(network, tmp_path / "net.net")
    same(network, read_netx(tmp_path / "net.net", NEWEST))
    said = to_netx(network)
    assert (said["reset_interval"], said["reset_offset"]) == (interval, offset)


@pytest.mark.parametrize(
    ("resets", "words"),
    [
        (((1, 5), (1, 5)), "reset_first = 2: the loader resets each layer a step after the one before"),
        (((5, 5), (3, 5)), "reset_first = 1: the loader"),
        (((1, 5), (2, 6)), "reset_every = 5 as before: the loader takes one"),
        (((1, 5), (0, 0)), "reset_every = 5 as before"),
        (((0, 5),), "a first reset in the first period, 1..5"),
        (((6, 5),), "a first reset in the first period, 1..5"),
        (((3, 0),), "no single reset: the loader has none"),
    ],
)
def test_resets_that_one_call_of_the_loader_does_not_make_are_refused(resets, words):
    assert words in refused(lambda: to_netx(pipeline(*resets)))


def test_a_network_without_resets_says_nothing_of_them():
    assert not {"reset_interval", "reset_offset"} & set(to_netx(pipeline((0, 0), (0, 0))))


def test_resets_that_are_no_numbers_are_refused(tmp_path):
    write_netx(pipeline((1, 5)), tmp_path / "net.net")
    with h5py.File(tmp_path / "net.net", "r+") as file:
        file["neurodeploy/reset_interval"][...] = 0
    assert "the interval at least 1" in refused(lambda: read_netx(tmp_path / "net.net", NEWEST))


def test_a_reset_that_passes_from_layer_to_layer_keeps_samples_apart_that_follow_one_another():
    rng, steps = np.random.default_rng(2), 9
    samples = (rng.random((5, steps, 2)) < 0.6).astype(int)
    # a spike of the input in step t (from 0) arrives in layer i in step t + i + 1
    reset = place_identity(pipeline(*(((i + 1) % steps + 1, steps) for i in range(3))))
    alone = simulate(place_identity(pipeline(*[(0, 0)] * 3)), samples.swapaxes(0, 1), drain=0)
    together = simulate(reset, samples.reshape(-1, 1, 2), drain=3)
    carried = simulate(place_identity(pipeline(*[(0, 0)] * 3)), samples.reshape(-1, 1, 2), drain=3)
    assert together.output.sum() > 5
    assert not np.array_equal(together.output, carried.output)
    for i in range(3):
        late = i + 1
        for number in range(5):
            begin = number * steps + late
            there = together.counts[f"layer {i}"][begin : begin + steps - late, 0]
            assert np.array_equal(there, alone.counts[f"layer {i}"][late:, number])


# --- files that others wrote ------------------------------------------------------------------------------------------


def test_a_file_without_our_additions_is_read(tmp_path):
    matrix = np.array([[2, 3], [1, -5], [4, 4]])
    with h5py.File(tmp_path / "other.net", "w") as file:
        file["layer/0/type"], file["layer/0/shape"] = np.array([b"input"], "S10"), [2]
        place = file.create_group("layer/1")
        place["type"], place["shape"], place["weight"] = b"dense", [3], matrix.astype(float)
        place["inFeatures"], place["outFeatures"] = 2, 3
        place["bias"] = np.array([5, 0, -5])
        for name, value in {"iDecay": 4096, "vDecay": 0, "vThMant": 64}.items():
            place[f"neuron/{name}"] = value
        place["neuron/type"] = np.array([b"CUBA"], "S10")
    network = read_netx(tmp_path / "other.net", CHIP)
    assert [g.name for g in network.groups] == ["input", "layer1"]
    assert network.groups[1].parameters["bias_mant"].tolist() == [5, 0, -5]
    assert network.groups[1].parameters["du"][0] == 4095


def test_a_file_without_an_input_layer_and_with_what_the_vendors_trainer_adds_is_read(tmp_path):
    with h5py.File(tmp_path / "other.net", "w") as file:
        place = file.create_group("layer/0")
        place["type"], place["shape"] = np.array([b"dense"], "S10"), [3]
        place["weight"] = np.array([[2, 3], [1, -5], [4, 4]], np.float32)
        for name, value in {"iDecay": 410, "vDecay": 410, "vThMant": 64, "refDelay": 1, "gradedSpike": False}.items():
            place[f"neuron/{name}"] = value
        place["neuron/type"], place["neuron/tauRho"] = np.array([b"CUBA"], "S10"), 0.5
    network = read_netx(tmp_path / "other.net", CHIP)
    assert [(g.name, g.size) for g in network.groups] == [("input", 2), ("layer1", 3)]
    assert network.groups[1].parameters["du"].tolist() == [409] * 3


@pytest.mark.parametrize(("name", "value"), [("refDelay", 2), ("gradedSpike", True), ("messageBits", 8)])
def test_registers_that_the_loader_leaves_unread_are_refused(name, value, tmp_path):
    def change(file):
        file[f"layer/3/neuron/{name}"] = value

    assert f"neuron/{name} = {int(value)}; {int(name == 'refDelay')}: the loader has no other" in changed(
        tmp_path, change
    )


def test_a_decay_with_a_fraction_is_no_register(tmp_path):
    def change(file):
        del file["layer/3/neuron/vDecay"]
        file["layer/3/neuron/vDecay"] = 129.5

    assert "no neuron/vDecay" in changed(tmp_path, change)


def test_neurons_of_an_input_and_layers_without_neurons_are_refused(tmp_path):
    def driven(file):
        file.copy("layer/1/neuron", file["layer/0"], "neuron")

    def bare(file):
        del file["layer/4/neuron"]

    assert "with neurons, which the host drives through their bias" in changed(tmp_path, driven)
    assert "the loader makes a pure accumulator of it" in changed(tmp_path, bare)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("shape", [4, 6, 4], "shape (4, 6, 4); (4, 6, 3), which the kernel gives"),
        ("delay", 1, "none: the loader ignores it in convolutions"),
        ("dilation", [2, 2], "dilation (2, 2)"),
    ],
)
def test_a_convolution_that_the_loader_takes_for_another_is_refused(name, value, words, tmp_path):
    def change(file):
        if name in file["layer/1"]:
            del file[f"layer/1/{name}"]
        file[f"layer/1/{name}"] = value

    assert words in changed(tmp_path, change)


def changed(tmp_path, change) -> str:
    write_netx(sample(NEWEST), tmp_path / "net.net")
    with h5py.File(tmp_path / "net.net", "r+") as file:
        change(file)
    return refused(lambda: read_netx(tmp_path / "net.net", NEWEST))


def test_layers_that_the_loader_does_not_have_are_refused_all_at_once(tmp_path):
    def change(file):
        for i, name in ((1, b"pool"), (3, b"average")):
            file[f"layer/{i}/type"][...] = name

    said = changed(tmp_path, change)
    assert "'pool'" in said
    assert "'average'" in said


def test_no_decay_where_full_decay_was_meant_is_refused(tmp_path):
    def change(file):
        file["layer/1/neuron/iDecay"][...] = 0  # the loader makes -1 of it: no decay at all

    assert "du = -1" in changed(tmp_path, change)


def test_adaptive_types_are_not_taken_for_plain_ones(tmp_path):
    def change(file):
        file["layer/1/neuron/type"][...] = b"ADRF_PHASE"

    assert "neurons of type 'ADRF_PHASE'" in changed(tmp_path, change)


def test_links_and_huge_datasets_are_refused(tmp_path):
    def link(file):
        del file["layer/1/weight"]
        file["layer/1/weight"] = h5py.ExternalLink("/etc/hostname", "x")

    assert "a link to somewhere else" in changed(tmp_path, link)

    def huge(file):
        del file["layer/1/weight"]
        file.create_dataset("layer/1/weight", (2**20, 2**20), "i1", chunks=(1, 2**10))

    assert "at most" in changed(tmp_path, huge)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("damaged")
    write_netx(sample(NEWEST), place / "whole.net")
    return place


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_says_what_it_says(data, folder):
    raw = bytearray((folder / "whole.net").read_bytes())
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (folder / "broken.net").write_bytes(bytes(raw))
    try:
        network = read_netx(folder / "broken.net", NEWEST)
    except Refusal:
        return
    assert all(isinstance(g, Group) for g in network.groups)


def test_another_suffix_is_refused(tmp_path):
    assert "a name that ends in .net" in refused(lambda: write_netx(sample(NEWEST), tmp_path / "net.h5"))
