"""Layers on cores of their own: exact assignment, minimal reasons, ways out that were tried."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from layer_chip import MEMORIES, Shape, build, changed, geometry, layer_chip

from neurodeploy.errors import DoesNotFit, Refusal
from neurodeploy.mapper import fit_faults, map_network, placed_faults
from neurodeploy.mapper.assign import Assignment
from neurodeploy.mapper.layers import read_plan

pytest.importorskip("ortools")


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return layer_chip(tmp_path_factory.mktemp("layered"))


def chain(*features: int, **options: int) -> dict[str, Shape]:
    names = [f"l{i}" for i in range(len(features))]
    return {n: Shape((names[i - 1] if i else "input",), f, **options) for i, (n, f) in enumerate(zip(names, features))}  # noqa: B905


# ---- what fits


def test_a_layer_needs_what_the_published_formulas_say(target):
    # 16 -> 32 features, 3 x 3, on 64 x 64: 8 Ki kernel and 128 Ki neuron words (datasheet's own example)
    net = build(target, {"a": Shape(("input",), 32)}, (16, 64, 64))
    plan = read_plan(net)[0]
    assert plan.needs(plan.layer("a")) == {"kernel": 8 * 1024, "neuron": 128 * 1024, "bias": 0}
    # 128 -> 256 neurons on 8 x 4 x 4, with a bias: 32 Ki kernel words
    net = build(target, {"a": Shape(("input",), 256, size=0, bias=1)}, (8, 4, 4))
    plan = read_plan(net)[0]
    assert plan.needs(plan.layer("a")) == {"kernel": 32 * 1024, "neuron": 256, "bias": 256}
    # a 1 x 1 kernel with one feature on 6 x 5 costs its channels; the map is rounded up
    net = build(target, {"a": Shape(("input",), 1, size=1, padding=0)}, (7, 6, 5))
    plan = read_plan(net)[0]
    assert plan.needs(plan.layer("a")) == {"kernel": 7, "neuron": 64, "bias": 0}


def test_layers_take_the_fewest_words_and_the_lowest_cores(target):
    placed = map_network(build(target, chain(16, 16, 4)))
    # every core would do: the two smallest are taken and one of the next in size, in the order of the layers
    cores = {c.holds[0][0]: c.number for c in placed.cores}
    assert cores == {"l0": 3, "l1": 7, "l2": 8}
    ids = placed.network.group("l1").ids
    assert ids.tolist() == list(range(7 * 65536, 7 * 65536 + 16 * 32 * 32))
    assert placed.network.group("input").ids.tolist() == list(range(2 * 32 * 32))
    rows = {u.limit: (u.asked, u.at_most, u.where) for u in placed.usage}
    assert rows["neuron"] == (16 * 1024, 16 * 1024, "core 7")
    assert rows["layer_core.count"] == (3, 9, "")
    assert [str(c.held) for c in placed.cores] == [
        "'l0' features 0..15",
        "'l1' features 0..15",
        "'l2' features 0..3",
    ]
    assert [(u.limit, u.asked, u.at_most) for u in placed.cores[1].usage] == [
        ("kernel", 4096, 16384), ("neuron", 16384, 16384), ("bias", 0, 1024),
    ]  # fmt: skip


def test_the_cost_is_the_lowest_there_is(tmp_path):
    small = layer_chip(tmp_path, 64)
    words = [sum(64 * MEMORIES[m][c] for m in MEMORIES) for c in range(9)]
    draw, compared = np.random.default_rng(4), 0
    for _ in range(60):
        shapes = random_shapes(draw, int(draw.integers(2, 5)))
        net = build(small, shapes, (2, 8, 8))
        if fit_faults(net):
            continue
        cores = [core.number for core in map_network(net).cores]
        fits = able(small, shapes)
        assert sum(words[c] for c in cores) == cheapest([fits[n] for n in shapes], words)
        compared += 1
    assert compared > 8


def cheapest(fits: list[list[int]], words: list[int], taken: frozenset[int] = frozenset()) -> float:
    if not fits:
        return 0
    choices = [c for c in fits[0] if c not in taken]
    return min((words[c] + cheapest(fits[1:], words, taken | {c}) for c in choices), default=math.inf)


def test_a_layer_may_be_split_by_feature_on_request(target):
    net = build(target, {"a": Shape(("input",), 32), "b": Shape(("a",), 4, pooling=2)}, (2, 64, 64))
    assert "split 'a' over several cores (1 core more)" in fit_faults(net)[0].todo
    placed = map_network(net, split=["a"])
    ids = placed.network.group("a").ids
    assert sorted(Counter((ids // 65536).tolist()).values()) == [16 * 4096, 16 * 4096]
    halves = [core for core in placed.cores if core.holds[0][0] == "a"]
    assert [c.holds for c in halves] == [(("a", 0, 16),), (("a", 16, 16),)]
    assert ids[:: 16 * 4096].tolist() == [65536 * c.number for c in halves]
    assert all(u.fits for c in placed.cores for u in c.usage)
    with pytest.raises(Refusal, match="split: 'z'"):
        map_network(net, split=["z"])


def test_blocks_take_the_destinations_of_what_feeds_them(target):
    wide = {"a": Shape(("input",), 48), "b": Shape(("a",), 4, pooling=2)}
    assert len(map_network(build(target, wide, (2, 64, 32)), split=["a"]).cores) == 3
    three = build(target, {**wide, "a": Shape(("input",), 48)}, (2, 64, 64))
    (fault,) = fit_faults_of(three, split=["a"])
    assert fault.was == "layer 'a' has 48 features, at most 16 on one core, so it needs 3 cores or more"
    assert fault.must == "'input', which feeds 'a', reaches at most 2 cores, 9 cores"


@pytest.mark.slow  # .ci/run has it
def test_where_layers_stand_is_judged_by_the_memories_of_those_cores(target):
    """Layers on cores drawn at random: a placement holds if each core is there, is theirs alone and takes them."""
    shapes, draw, answers = chain(40, 40, 40, size=1, padding=0), np.random.default_rng(0), set()
    net = map_network(build(target, shapes)).network
    assert placed_faults(net) == []
    slots, fits = net.chip.layer_core.slots, able(net.chip, shapes, (2, 32, 32))
    for _ in range(40):
        cores = dict(zip(shapes, draw.permutation(sorted({*fits["l0"], 9, 4}))[:3].tolist(), strict=True))
        groups = [replace(g, ids=g.ids % slots + cores[g.name] * slots) if g.name in cores else g for g in net.groups]
        right = all(core in fits[name] for name, core in cores.items())
        assert (placed_faults(replace(net, groups=tuple(groups))) == []) == right
        answers.add(right)
    assert answers == {True, False}


def fit_faults_of(net, **options):
    with pytest.raises(DoesNotFit) as refusal:
        map_network(net, **options)
    return refusal.value.faults


# ---- what does not, and why


def test_a_minimal_reason_is_given_in_words(target):
    shapes = chain(40, 40, 40, 40, size=1, padding=0)
    shapes["l4"] = Shape(("l3",), 4)
    (fault,) = fit_faults(build(target, shapes))
    assert fault.was == "layers 'l0', 'l1', 'l2' and 'l3' each need more than 32 Ki words of neuron memory"
    assert fault.must == "only cores 0, 1 and 2 have it"
    assert fault.values["layers"] == ["l0", "l1", "l2", "l3"]
    assert "halve the features of 'l3' (20,480 of 167,936 neurons fewer)" in fault.todo
    assert map_network(build(target, {n: s for n, s in shapes.items() if n != "l4"} | {"l3": Shape(("l2",), 32)}))


def test_a_layer_too_large_for_any_core_says_so(target):
    (fault,) = fit_faults(build(target, {"a": Shape(("input",), 32)}, (16, 64, 64)))
    assert fault.was == "layer 'a' needs 128 Ki words of neuron memory"
    assert fault.must == "the largest core has 64 Ki"
    ways = [[(c["change"], c["layer"]) for c in w["changes"]] for w in fault.values["ways"]]
    assert ways == [[("split", "a")], [("halve", "a")], [("stride", "a")], [("pool", "a")]]


def test_memories_that_no_core_has_together_are_both_named(target):
    # 40 Ki neuron words stand on cores 0..2, 32 Ki kernel words on 3..6
    (fault,) = fit_faults(build(target, {"a": Shape(("input",), 40, size=5, padding=2)}, (16, 32, 32)))
    assert fault.was == (
        "layer 'a' needs 32 Ki words of kernel memory and 40 Ki words of neuron memory, which no core has"
    )
    assert fault.must == "no core for it"


def test_more_layers_than_cores_are_refused(target):
    (fault,) = fit_faults(build(target, chain(*[2] * 10), (2, 8, 8)))
    assert fault.must == "9 cores, each for one layer"
    assert fault.todo == "none of the changes that were tried lets all layers find a core"
    assert len(map_network(build(target, chain(*[2] * 9), (2, 8, 8))).cores) == 9


def test_everything_is_said_at_once(target):
    shapes = {
        "a": Shape(("input",), 32, stride=3, padding=1, size=3),
        "b": Shape(("input",), 64, size=17, padding=8),
        "c": Shape(("input",), 64, size=5, padding=2, bias=1),
        "d": Shape(("c",), 20, size=0),
    }
    net = build(target, shapes, (2, 64, 64))
    faults = fit_faults(net)
    assert [f.was for f in faults[:3]] == [
        "3 of stride (layer 'a')",
        "64 rows or columns of the kernel (layer 'd' and 1 more)",
        "input 'input' feeds 3: 'a', 'b', 'c'",
    ]
    assert [f.values["layers"] for f in faults[3:]] == [["b"], ["c"], ["d"]]
    assert faults[0].must == "one of 1, 2, 4, 8"
    assert (faults[1].must, faults[1].todo) == ("at most 16 fit", "48 too many: use a smaller kernel")
    assert faults[2].must == "at most 2 destinations"


def test_a_limit_that_only_warns_lets_the_layer_through(target):
    placed = map_network(build(target, chain(4, 16, size=0), (2, 8, 8)))
    assert [(w.was, w.must) for w in placed.warnings] == [("16 classes for the readout (layer 'l1')", "at most 15 fit")]
    assert map_network(build(target, chain(4, 15, size=0), (2, 8, 8))).warnings == ()


def test_circles_are_refused_unless_asked_for(target):
    shapes = {"a": Shape(("input",), 2), "b": Shape(("a",), 2)}
    net = build(target, shapes, (2, 8, 8))
    back = build(target, {"b": Shape(("input",), 2), "a": Shape(("b",), 2)}, (2, 8, 8)).projections[1]
    loop = replace(net, projections=(*net.projections, back))
    (fault,) = fit_faults(loop)
    assert fault.was == "layers that feed themselves on a way round: 'a', 'b'"
    assert "loops=True" in fault.todo
    assert [w.was for w in map_network(loop, loops=True).warnings] == ["a circle of layers: a, b"]


def test_what_ends_on_a_core_shares_one_kernel(target):
    shapes = {"a": Shape(("input",), 2), "b": Shape(("input",), 2), "c": Shape(("a", "b"), 2)}
    net = build(target, shapes, (2, 8, 8))
    assert map_network(net)
    odd = replace(net.projections[3], fields={"w": net.projections[3].fields["w"] + 1})
    (fault,) = fit_faults(replace(net, projections=(*net.projections[:3], odd)))
    assert fault.was == "'b' comes in by other weights 'w' than 'a'"
    # on channels of their own they may differ
    apart = [
        replace(p, geometry=replace(p.geometry, kernel=(2, 4, 3, 3), shift=shift), fields={"w": np.full(72, 1 + shift)})
        for p, shift in ((net.projections[2], 0), (net.projections[3], 2))
    ]
    whole = np.concatenate([np.full((2, 2, 3, 3), 1), np.full((2, 2, 3, 3), 3)], axis=1).reshape(-1)
    assert not np.array_equal(apart[0].fields["w"], apart[1].fields["w"])
    assert map_network(replace(net, projections=(*net.projections[:2], *apart)))
    both = [replace(p, fields={"w": whole}) for p in apart]
    assert map_network(replace(net, projections=(*net.projections[:2], *both)))


# ---- brute force


def random_shapes(draw: np.random.Generator, count: int) -> dict[str, Shape]:
    """A chain or a graph of layers on a map of 8 x 8, often too large for cores of 16 times a few words."""
    shapes: dict[str, Shape] = {}
    fed: Counter[str] = Counter()
    for index in range(count):
        open_ = [n for n in ("input", *shapes) if fed[n] < 2 and (n == "input" or shapes[n].size)]
        source = str(draw.choice(open_[-2:])) if open_ else "input"
        fed[source] += 1
        last = index == count - 1
        size = 0 if last and draw.random() < 0.5 else int(draw.choice([1, 3]))
        features = int(draw.choice([2, 4, 8, 9, 13, 15, 16, 20], p=[0.1, 0.1, 0.2, 0.1, 0.3, 0.1, 0.05, 0.05]))
        shapes[f"l{index}"] = Shape((source,), features, size, padding=size // 2, bias=int(draw.integers(0, 2)))
    return shapes


def ceil_log2(n: int) -> int:
    return (n - 1).bit_length()


def able(chip_, shapes: dict[str, Shape], source=(2, 8, 8)) -> dict[str, list[int]]:
    """Cores that fit each layer, by formulas of our own."""
    result = {}
    for name, shape in shapes.items():
        g = geometry(shapes, name, source)[0]
        f, rows, columns = g.target
        need = {
            "kernel": g.kernel[1] << ceil_log2(g.kernel[2] * g.kernel[3]) + ceil_log2(f),
            "neuron": f << ceil_log2(rows) + ceil_log2(columns),
            "bias": f if shape.bias else 0,
        }
        memory = chip_.layer_core.memory
        result[name] = [c for c in range(chip_.layer_core.count) if all(need[m] <= memory[m].each[c] for m in need)]
    return result


def placeable(fits: list[list[int]], taken: frozenset[int] = frozenset()) -> bool:
    return not fits or any(placeable(fits[1:], taken | {c}) for c in fits[0] if c not in taken)


@pytest.mark.slow  # .ci/run has it
def test_every_reason_is_minimal_and_every_way_out_maps(tmp_path):
    small = layer_chip(tmp_path, 16, cores=5, KERNEL=[128, 256, 128, 512, 128], NEURON=[64, 56, 48, 40, 32])
    draw = np.random.default_rng(11)
    infeasible, ways, sizes, without, mapped = 0, 0, Counter[int](), 0, 0
    while infeasible < 45:
        shapes = random_shapes(draw, int(draw.integers(2, 5)))
        fits, net = able(small, shapes), build(small, shapes, (2, 8, 8))
        faults = fit_faults(net)
        if placeable(list(fits.values())):
            assert not faults
            mapped += 1
            continue
        infeasible += 1
        seen = set[str]()
        for fault in faults:
            members = fault.values["layers"]
            sizes[len(members)] += 1
            assert not seen & set(members), "no layer in two"
            seen |= set(members)
            assert not placeable([fits[n] for n in members])
            for member in members:
                assert placeable([fits[n] for n in members if n != member]), (shapes, members, member)
        assert placeable([cores for n, cores in fits.items() if n not in seen]), "nothing is left unsaid"
        found = faults[0].values.get("ways", [])
        without += not found
        for way in found:
            after, split = changed(shapes, way["changes"])
            smaller = build(small, after, (2, 8, 8))
            placed = map_network(smaller, split=split)
            lost = sum(g.size for g in net.groups) - sum(g.size for g in smaller.groups)
            assert (lost, len(placed.cores) - len(shapes)) == (way["neurons_fewer"], way["cores_more"])
            ways += 1
    assert min(5 * mapped, ways) > 15
    assert len(sizes) > 2
    assert sizes[2] > 3
    assert without < 10, "nearly always something helps"


def test_the_same_network_stands_the_same(target):
    net = build(target, chain(40, 24, 24, 8))
    first, second = map_network(net), map_network(net)
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(first.network.groups, second.network.groups, strict=True))
    assert first.cores == second.cores
    assert Assignment(read_plan(net)[0]).blocks() == Assignment(read_plan(net)[0]).blocks()
    assert len(first.cores) == 4
