"""Networks: what a register holds is accepted, the next number is refused, and all faults are listed."""

import dataclasses

import numpy as np
import pytest
from sample_network import XYLO, parts, refusal, sound
from small_chip import write

from neurodeploy.chips import chip
from neurodeploy.network import Group, Network, Projection, group, pairs, place_identity, projection


def replaced(network: Network, at: int, **changes) -> Network:
    """The network with another group (at < 2) or projection."""
    groups, projections = list(network.groups), list(network.projections)
    many, i = (groups, at) if at < 2 else (projections, at - 2)
    many[i] = dataclasses.replace(many[i], **changes)
    return dataclasses.replace(network, groups=tuple(groups), projections=tuple(projections))


# --- building ---------------------------------------------------------------------------------------------------------


def test_parameters_left_out_take_the_default_and_scalars_are_repeated():
    h = group(XYLO, "h", "hidden", 3, threshold=[1, 2, 3], dash_mem=4)
    assert {n: v.tolist() for n, v in h.parameters.items()} == {
        "dash_syn1": [1, 1, 1], "dash_syn2": [1, 1, 1], "dash_mem": [4, 4, 4], "threshold": [1, 2, 3], "bias": [0, 0, 0]
    }  # fmt: skip


def test_synapses_without_weight_are_left_out_of_pairs_and_kept_in_a_dense_block():
    h = parts()[1]
    block = [[0, 1, 0], [0, 0, 0], [2, 0, 0]]
    rec = projection(XYLO, "rec", h, h, w1=block, w2=[[0, 0, 0], [0, 0, 5], [0, 0, 0]])
    assert list(zip(rec.sources, rec.targets, rec.fields["w1"], rec.fields["w2"], strict=True)) == [
        (0, 1, 1, 0), (1, 2, 0, 5), (2, 0, 2, 0)
    ]  # fmt: skip
    assert len(projection(XYLO, "out", h, group(XYLO, "o", "output", 3, threshold=1), w1=block).sources) == 9


def test_a_network_finds_its_groups():
    network = sound()
    assert network.placed
    assert network.group("h").size == 3
    assert [g.name for g in network.of_kind("hidden")] == ["h"]
    assert ([g.name for g in network.inputs()], network.outputs()) == (["x"], ())
    assert "xylo_audio3, network: group 'q'; one of x, h. [ND1203]" in str(refusal(lambda: network.group("q")))


def test_identity_placement_counts_each_kind_from_zero():
    x, h, _ = parts()
    other = group(XYLO, "i", "hidden", 2, threshold=1)
    network = Network(XYLO, (x, h, other), ())
    assert not network.placed
    assert [g.ids.tolist() for g in place_identity(network).groups] == [[0, 1], [0, 1, 2], [3, 4]]


def test_what_feeds_nothing_leaves_a_chip_whose_neurons_can_do_both(tmp_path):
    c = chip(write(tmp_path / "small"))
    x, a, b = group(c, "x", "channel", 1), group(c, "a", "cell", 1), group(c, "b", "cell", 1)
    back = projection(c, "rec", b, b, w=1)
    network = Network(c, (x, a, b), (projection(c, "in", x, a, w=1), projection(c, "rec", a, b, w=1), back))
    assert [g.name for g in network.outputs()] == ["b"]


# --- values -----------------------------------------------------------------------------------------------------------

ENDS = [("w1", -128, 127), ("threshold", 1, 32767), ("bias", -32768, 32767), ("dash_mem", 0, 15)]


@pytest.mark.parametrize(("name", "low", "high"), ENDS)
def test_both_ends_of_a_register_are_accepted_and_the_next_number_is_refused(name, low, high):
    for value in (low, high):
        x, h, weights = parts(**{"threshold": 1, name: value})
        assert Network(XYLO, (x, h), (weights,)).projections == (weights,)
    for value in (low - 1, high + 1):
        x, h, weights = parts(**{"threshold": 1, name: value})
        error = refusal(lambda g=(x, h), p=weights: Network(XYLO, g, (p,)))
        assert error.code == "ND1202"
        assert f"{name} = {value} at index 0 and " in str(error)
        assert f"the register holds {low}..{high}" in str(error)
        assert error.values["value"] == value


def test_the_register_of_a_connection_kind_is_checked_and_is_one():
    x, h, _ = parts()
    shifts = {s: projection(XYLO, "in", x, h, {"shift": s}, w1=1) for s in (15, 16, 3)}
    assert Network(XYLO, (x, h), (shifts[15], shifts[15]))
    assert "shift = 16 at index 0; the register holds 0..15" in str(
        refusal(lambda: Network(XYLO, (x, h), (shifts[16],)))
    )
    error = refusal(lambda: Network(XYLO, (x, h), (shifts[15], shifts[3])))
    assert (
        "xylo_audio3, projection x -> h: shift = 3; one value for all of kind 'in'; another projection has 15"
        in str(error)
    )


WRONG = {
    "float weights": (lambda: parts(w1=1.5), "ND1202", "projection x -> h, w1: values of type float64; integers"),
    "whole floats": (lambda: parts(w1=np.ones((2, 3))), "ND1202", "quantize first"),
    "float threshold": (lambda: parts(threshold=[1.0, 2, 3]), "ND1202", "group 'h', threshold: values of type float64"),
    "beyond 64 bits": (lambda: parts(w1=2**70), "ND1202", "values of type object"),
    "unsigned 64 bits": (lambda: parts(w1=np.uint64(3)), "ND1202", "values of type uint64"),
    "text": (lambda: parts(w1="a"), "ND1202", "values of type <U1"),
    "shape of weights": (lambda: parts(w1=[[1, 2]]), "ND1201", "an array of shape (1, 2); shape (2, 3)"),
    "shape of parameters": (lambda: parts(threshold=[1, 2]), "ND1201", "an array of shape (2,); shape (3,)"),
    "nothing for three": (lambda: parts(threshold=[]), "ND1201", "an array of shape (0,); shape (3,)"),
    "ragged": (lambda: parts(w1=[[1, 2, 3], [1]]), "ND1201", "rows of different lengths; shape (2, 3)"),
    "float shift": (
        lambda: projection(XYLO, "in", *parts()[:2], {"shift": 1.5}, w1=1), "ND1202", "h, shift: values of type float64"
    ),
    "connection kind": (
        lambda: projection(XYLO, "inn", *parts()[:2], w1=1), "ND1203", "connection kind 'inn'; one of in, rec, out"
    ),
    "connection kind of pairs": (lambda: pairs(XYLO, "x", *parts()[:2], []), "ND1203", "connection kind 'x'"),
    "float pairs": (lambda: pairs(XYLO, "alias", *parts()[:2], [(0, 1.5)]), "ND1202", "links: values of type float64"),
    "triples": (lambda: pairs(XYLO, "alias", *parts()[:2], [(0, 1, 2)]), "ND1201", "shape (1, 3); shape (1, 2)"),
    "neuron kind": (
        lambda: Network(XYLO, (group(XYLO, "q", "hiden", 1),), ()),
        "ND1203",
        "xylo_audio3, group 'q': neuron kind 'hiden'; one of channel, hidden, output",
    ),
    "unknown parameter": (
        lambda: Network(XYLO, (group(XYLO, "q", "output", 1, threshold=1, tau=3),), ()),
        "ND1203",
        "parameter 'tau' is unknown; exactly dash_syn1, dash_mem, threshold, bias",
    ),
    "missing parameter": (
        lambda: Network(XYLO, (group(XYLO, "q", "output", 1),), ()), "ND1203", "parameter 'threshold' is missing"
    ),
    "unknown field": (
        lambda: Network(XYLO, parts()[:2], (projection(XYLO, "in", *parts()[:2], w1=1, w3=1),)),
        "ND1203",
        "projection x -> h: synapse field 'w3' is unknown; exactly w1, w2",
    ),
    "unknown shared parameter": (
        lambda: Network(XYLO, parts()[:2], (projection(XYLO, "in", *parts()[:2], {"shft": 1}, w1=1),)),
        "ND1203",
        "parameter 'shft' is unknown; exactly shift",
    ),
    "no neurons": (lambda: Network(XYLO, (group(XYLO, "q", "channel", 0),), ()), "ND1201", "0 neurons; at least one"),
    "step of no length": (lambda: dataclasses.replace(sound(), dt_s=0.0), "ND1202", "dt_s = 0.0; a duration"),
    "step of NaN": (lambda: dataclasses.replace(sound(), dt_s=float("nan")), "ND1202", "dt_s = nan"),
    "name twice": (lambda: replaced(sound(), 1, name="x"), "ND1203", "group 'x': the name stands twice"),
    "unknown group": (lambda: replaced(sound(), 2, target="z"), "ND1203", "x -> z: group 'z'; one of x, h"),
    "kinds do not join": (
        lambda: replaced(sound(), 2, source="h"), "ND1203", "from 'hidden' to 'hidden'; it joins channel to"
    ),
    "unknown kind": (lambda: replaced(sound(), 2, kind="z"), "ND1203", "connection kind 'z'; one of in, rec,"),
    "source beyond": (
        lambda: replaced(sound(), 3, sources=np.array([0, 3])), "ND1201", "sources from 0 to 3; 0..2"
    ),
    "target below": (lambda: replaced(sound(), 3, targets=np.array([-1, 0])), "ND1201", "targets from -1 to 0; 0..2"),
    "lengths": (lambda: replaced(sound(), 3, targets=np.array([1])), "ND1201", "of shape (1,); shape (2,)"),
    "field too short": (
        lambda: replaced(sound(), 2, fields={n: np.zeros(2, np.int64) for n in ("w1", "w2")}),
        "ND1201",
        "w1 of shape (2,); shape (6,)",
    ),
    "field of floats": (
        lambda: replaced(sound(), 2, fields={n: np.zeros(6) for n in ("w1", "w2")}),
        "ND1202",
        "w1 of type float64; an array of int64; build it with group(), projection() or pairs()",
    ),
    "list": (lambda: replaced(sound(), 1, parameters={"bias": [1, 2, 3]}), "ND1203", "bias of type list"),
    "float register": (lambda: replaced(sound(), 2, parameters={"shift": 1.0}), "ND1202", "shift = 1.0; an int"),
    "ids missing": (lambda: replaced(sound(), 1, ids=np.array([1, 2])), "ND1201", "ids of shape (2,); shape (3,)"),
    "ids doubled": (lambda: replaced(sound(), 1, ids=np.array([1, 2, 1])), "ND1201", "doubled; 3 different ids"),
    "ids negative": (lambda: replaced(sound(), 1, ids=np.array([0, -1, 1])), "ND1201", "ids negative or doubled"),
    "ids as floats": (lambda: replaced(sound(), 1, ids=np.array([0.0, 1, 2])), "ND1202", "ids of type float64"),
    "ids of another group": (
        lambda: Network(XYLO, tuple(Group(n, "channel", 2, {}, np.arange(2)) for n in "ab"), ()),
        "ND1201",
        "group 'b': hardware id 0 of kind 'channel'; a free id; 'a' has it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_network_is_refused_in_words(name):
    make, code, words = WRONG[name]
    error = refusal(make)
    assert error.code == code
    assert words in str(error)


def test_everything_that_is_wrong_is_listed():
    x, h, weights = parts(w1=[[128, 0, 0], [0, 0, -129]], threshold=[0, 1, 32768], bias=40000)
    error = refusal(lambda: Network(XYLO, (x, h, x), (weights, weights), dt_s=-1.0))
    lines = str(error).splitlines()
    assert len(lines) == 6
    for words in ("group 'x': the name stands twice", "dt_s = -1.0", "threshold = 0 at index 0 and 1 more",
                  "bias = 40000 at index 0 and 2 more", "w1 = 128 at index 0 and 1 more"):  # fmt: skip
        assert any(words in line for line in lines), words


def test_groups_and_projections_are_values():
    network = sound()
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.dt_s = 3.0
    assert isinstance(network.groups[0], Group)
    assert isinstance(network.projections[0], Projection)
