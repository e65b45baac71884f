"""ONNX models of integer networks: onnxruntime gives the simulation's bits, every state, every step."""

from dataclasses import replace
from itertools import islice

import numpy as np
import onnx
import pytest
from command_line import run as command
from drawn_networks import CHIPS as DELAYED
from drawn_networks import random_network as drawn_network
from generated_chips import draw, network, plain_network, toml
from mutants import edited, mutants
from onnx_networks import CLOCKED, differences, net, sample
from onnx_runs import called, run_differences, session, simulated, states_of
from random_networks import Options, random_counts, random_network

from neurodeploy.bundles import bundle
from neurodeploy.chips import chip, from_raw, target_folders
from neurodeploy.emit.onnx import OPSET, to_run_model, to_step_model
from neurodeploy.emit.onnx.graph import Graph, Root, known
from neurodeploy.emit.onnx.table import onnx_table, run_text
from neurodeploy.emit.onnx.writer import write_graph
from neurodeploy.errors import Refusal
from neurodeploy.network import (
    Convolution,
    Network,
    convolution,
    group,
    place_identity,
    projection,
)
from neurodeploy.oracles import ORACLES, oracles_of
from neurodeploy.ranges import prove_ranges
from neurodeploy.simulator import simulate
from neurodeploy.step import INTEGER, PYTHON, Interval, parse
from neurodeploy.step import run as run_text_of
from neurodeploy.verifier import compare

# --- the table --------------------------------------------------------------------------------------------------------


def model_of(outputs, inputs):
    own = Graph(Root("a test"))
    made = outputs(own, [own.input(name, 1) for name in inputs])
    own.outputs = [own.here(made, "y")]
    shapes = dict.fromkeys((*inputs, "y"), ("n",))
    return onnx.helper.make_model(
        write_graph(own, shapes, "test"), opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8
    )


def drawn(rng, low, high, size=300):
    """Whole numbers of every magnitude, and both ends."""
    values = rng.integers(low, high, size, endpoint=True) >> rng.integers(0, 63, size)
    near = rng.choice([low, high, 0, 1, -1, 2**31, -(2**31), 2**32, 2**32 - 1, -(2**32)], size)
    return np.clip(np.where(rng.random(size) < 0.2, near, values), low, high)


WIDE, SMALL, SHIFTS = (-(2**62), 2**62), (-(2**30), 2**30), (0, 62)
#: operator -> what its operands are drawn from
OPERANDS = {
    "add": (SMALL, WIDE),
    "sub": (WIDE, SMALL),
    "mul": (SMALL, SMALL),
    "floordiv": (WIDE, (1, 2**61)),
    "shl": (SMALL, (0, 30)),
    "shr": (WIDE, SHIFTS),
    "shift_to_zero": (WIDE, SHIFTS),
    "round_half_even": (WIDE, SHIFTS),
    "scale2": (SMALL, (-62, 30)),
    "clip": (WIDE, WIDE, WIDE),
    **dict.fromkeys(("min", "max", "lt", "le", "gt", "ge", "eq", "ne"), (WIDE, WIDE)),
    **dict.fromkeys(("neg", "abs"), (WIDE,)),
}
WIDTHS = (1, 2, 8, 16, 33, 48, 62, 63)


@pytest.mark.parametrize("op", sorted(OPERANDS))
def test_an_operator_in_onnxruntime_is_its_definition(op):
    names = ["a", "b", "c"][: len(OPERANDS[op])]
    condition = op in {"lt", "le", "gt", "ge", "eq", "ne"}

    def made(own, values):
        found = onnx_table(own)[op](*values)
        return onnx_table(own)["select"](found, known(1), known(0)) if condition else found

    rng = np.random.default_rng(1)
    columns = {name: drawn(rng, *ends) for name, ends in zip(names, OPERANDS[op], strict=True)}
    got = called(session(model_of(made, names)), columns)["y"].tolist()
    assert got == [int(PYTHON[op](*row)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)]


@pytest.mark.parametrize("op", ["sat", "wrap"])
def test_a_width_in_onnxruntime_is_its_definition(op):
    def made(own, values):
        parts = [onnx_table(own)[op](values[0], known(bits)) for bits in WIDTHS]
        return own.node("Concat", *parts, axes=1, axis=0)

    ends = [end + beside for bits in WIDTHS for end in (2**bits - 1, 2 ** (bits - 1)) for beside in (-1, 0, 1)]
    values = [*(v for v in (*ends, *(-e for e in ends)) if abs(v) < 2**63), *drawn(np.random.default_rng(2), *WIDE)]
    got = called(session(model_of(made, ["x"])), {"x": values})["y"].tolist()
    assert got == [PYTHON[op](int(x), bits) for bits in WIDTHS for x in values]


def test_guards_and_conditions_in_onnxruntime_are_the_definition():
    source = "if a < b and not a == 3 or b > 9:\n    c = a\n    if c > 2:\n        a = b - 1\nb = c if a > b else a\n"
    text = parse(source, {}, operators=INTEGER, where="test")

    def made(own, values):
        environment = dict(zip("abc", values, strict=True))
        run_text(own, text, environment, "test")
        return own.node("Concat", *(environment[n] for n in "abc"), axes=1, axis=0)

    own = session(model_of(made, ["a", "b", "c"]))
    rows = np.random.default_rng(0).integers(-4, 12, (3, 200))
    must = []
    for a, b, c in rows.T.tolist():
        environment = {"a": a, "b": b, "c": c}
        run_text_of(text.statements, environment, PYTHON)
        must.append([environment[n] for n in "abc"])
    got = called(own, dict(zip("abc", rows, strict=True)))["y"]
    np.testing.assert_array_equal(got.reshape(3, -1), np.array(must).T)


def test_every_operator_of_the_language_was_compared():
    seen = {*OPERANDS, "sat", "wrap", "and", "or", "not", "select"}
    assert seen == set(INTEGER) == set(onnx_table(Graph(Root("a test")))) - {"literal"}


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n == "loihi2" else n for n in CLOCKED])
def test_onnxruntime_reproduces_random_networks_of_clocked_targets(name):
    made, counts = sample(name, 1)
    assert differences(made, counts) == []


def test_the_samples_fire():
    for name in CLOCKED:
        made, counts = sample(name, 1)
        found = simulate(made, counts, drain=0, raw=True).counts
        assert all(any(found[g.name].any() for g in made.of_kind(kind)) for kind in made.chip.neurons)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
@pytest.mark.parametrize("name", CLOCKED)
def test_onnxruntime_reproduces_many_random_networks(name, seed):
    made, counts = sample(name, seed)
    assert differences(made, counts) == []


def generated(folder, seed):
    drawn = draw(seed)
    folder.mkdir(exist_ok=True)
    (folder / "chip.toml").write_text(toml(drawn))
    made = network(chip(folder), drawn, plain_network(drawn))
    rng = np.random.default_rng(seed)
    shapes = {g.name: (14, 2, g.size) for g in made.inputs()}
    counts = {n: rng.integers(0, 2 * drawn.cap_in + 3, s) * (rng.random(s) < 0.6) for n, s in shapes.items()}
    return made, counts


@pytest.mark.parametrize("seed", range(8))
def test_onnxruntime_reproduces_generated_chips(tmp_path, seed):
    assert differences(*generated(tmp_path / "chip", seed)) == []


def test_the_generated_chips_have_what_is_hard():
    drawn = [draw(seed) for seed in range(8)]
    assert any(d.relay for d in drawn)
    assert any(d.every for d in drawn)
    assert any(link.delays for d in drawn for link in d.links)
    assert any(link.acc for d in drawn for link in d.links)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8, 48))
def test_onnxruntime_reproduces_many_generated_chips(tmp_path, seed):
    assert differences(*generated(tmp_path / "chip", seed)) == []


@pytest.mark.parametrize("seed", range(2))
def test_delays_of_doubled_synapses_are_reproduced(seed):
    made = drawn_network(DELAYED[-1], seed)
    rng = np.random.default_rng(seed)
    counts = {g.name: rng.integers(0, 16, (20, 2, g.size)) for g in made.inputs()}
    assert differences(made, counts) == []


@pytest.mark.parametrize(
    "steps",
    [
        ["channel.step", "in", "rec", "out", "hidden.begin", "hidden.step", "alias", "output.step"],
        ["channel.step", "in", "rec", "out", "hidden.begin", ["hidden.step", "alias"], "output.step"],
    ],
    ids=["a phase of its own", "inside the scan"],
)
def test_relay_chains_are_reproduced_where_relays_change_what_sources_show(steps):
    raw = edited(
        chip("xylo_audio2").raw,
        (("schedule", "step"), steps),
        (("connection", "alias", "synapse"), {"delay": {"unsigned": 2}}),
        (("connection", "alias", "allow_self"), True),
    )
    relays = from_raw(raw | {"name": "relays"})
    for seed in range(2):
        rng = np.random.default_rng(seed)
        options = Options(hidden=(6, 9), links=(0, 3), doubled=0.3, steps=(14, 14))
        made = random_network(relays, rng, options)
        assert differences(made, random_counts(made, rng, options)) == []


def test_a_changed_text_is_noticed():
    made, counts = sample("xylo_audio2", 1)
    text = chip("xylo_audio2").raw["neuron"]["hidden"]["on"]["step"].replace("sat(v + d, 16)", "sat(v + d + 1, 16)")
    raw = edited(made.chip.raw, (("neuron", "hidden", "on", "step"), text))
    run = simulated(made, counts)
    other = Network(from_raw(raw), made.groups, made.projections)
    assert run_differences(made, counts, run) == []
    assert "hidden.v" in run_differences(other, counts, run)


def test_states_that_are_always_the_same_and_synapses_that_do_nothing_are_written():
    made, counts = sample("xylo_audio2", 1)
    step = "i1 = 0\nv = 0\ncount = 1"
    nothing = (("connection", "rec", "on_input"), "")
    changed = from_raw(edited(made.chip.raw, (("neuron", "output", "on", "step"), step), nothing))
    assert differences(Network(changed, made.groups, made.projections), counts) == []


@pytest.mark.parametrize(
    "name", [pytest.param("xylo_audio2", marks=pytest.mark.slow), pytest.param("loihi2", marks=pytest.mark.long)]
)
def test_every_fourth_small_change_of_a_chips_texts_is_reproduced(name):
    compared = 0
    for seed, mutant in enumerate(islice(mutants(chip(name).raw), 0, None, 4)):
        try:
            changed = from_raw(mutant.raw)
            rng = np.random.default_rng(seed)
            options = Options(hidden=(3, 9), steps=(10, 10))
            made = random_network(changed, rng, options)
            counts = random_counts(made, rng, options)
            run = simulated(made, counts)
        except Refusal:
            continue  # no chip, or a text that leaves its width
        assert run_differences(made, counts, run) == [], mutant.name
        compared += 1
    assert compared > 50


def test_one_step_takes_all_that_is_remembered_and_returns_it():
    made, counts = sample("loihi2", 0)
    own = session(to_step_model(made))
    states = {f"{g.name}.{s}" for g, s in states_of(made)}
    given, returned = {v.name for v in own.get_inputs()}, {v.name for v in own.get_outputs()}
    assert given == {*states, *counts} | {f"{g.name}.past" for g in made.groups}
    assert returned == {f"{name}.next" for name in given - set(counts)}


# --- how deliveries are computed --------------------------------------------------------------------------------------


def operators(made, to_model=to_step_model):
    """Names of operators of the step, those inside Scans by themselves."""

    def walk(nodes):
        for node in nodes:
            yield node.op_type
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    yield from walk(attribute.g.node)

    return list(walk(to_model(made).graph.node))


def test_weights_of_one_sign_are_a_product_and_others_wait_for_their_turn():
    one_sign, mixed = net(w1=[[1, 2, -3], [4, 5, -6]]), net(w1=[[1, 2, -3], [4, 5, 6]])
    assert operators(one_sign).count("MatMul") == 2  # i1 and i2
    assert "Scan" not in operators(one_sign)
    assert operators(mixed).count("Scan") == 1
    for made in (one_sign, mixed):
        assert differences(made, {"spikes": np.random.default_rng(0).integers(0, 200, (40, 2, 2))}) == []


def readers(threshold):
    """Hidden neurons that fire at most once, and an output that reads them with weights of both signs."""
    c = chip("xylo_audio2")
    x, h = group(c, "x", "channel", 2), group(c, "h", "hidden", 2, threshold=threshold)
    o = group(c, "o", "output", 1, threshold=900, dash_syn1=2)
    links = (projection(c, "in", x, h, w1=100), projection(c, "out", h, o, {"shift": 0}, w1=[[120], [-127]]))
    return place_identity(Network(c, (x, h, o), links))


def test_a_proof_that_nothing_clips_makes_a_product_of_a_whole_run_and_not_of_one_step():
    made = readers(3000)
    proved = prove_ranges(made)["o"]["i1"].interval
    assert proved.within(Interval(-32767, 32766))  # inside what 16 bits hold, ends apart
    assert "Scan" in operators(made)  # a step may begin anywhere
    assert operators(made, to_run_model).count("Scan") == 1  # that over time
    assert differences(made, {"x": np.random.default_rng(0).integers(0, 256, (60, 3, 2))}) == []
    wide = replace(made, projections=(made.projections[0], replace(made.projections[1], parameters={"shift": 4})))
    assert prove_ranges(wide)["o"]["i1"].interval == (-32768, 32767)
    assert operators(wide, to_run_model).count("Scan") == 2
    assert differences(wide, {"x": np.random.default_rng(0).integers(0, 256, (60, 3, 2))}) == []


def test_a_scan_of_neurons_stands_only_where_neurons_relay():
    assert "Scan" not in operators(net())
    assert operators(net(aliases=[(0, 1)])).count("Scan") == 1


def test_sparse_sums_are_gathered_and_dense_ones_are_products():
    c = chip("loihi2")
    x, cells = group(c, "pixels", "input", (1, 9, 9)), group(c, "map", "lif", (2, 7, 7), du=4095, dv=0, threshold=2)
    rng = np.random.default_rng(0)
    kernel = Convolution((1, 9, 9), (2, 1, 3, 3))
    sparse = convolution(c, "conv", x, cells, kernel, w=2 * rng.integers(-60, 60, (2, 1, 3, 3)))
    full = projection(c, "dense", x, cells, w=2 * rng.integers(-60, 60, (81, 98)))
    counts = {"pixels": rng.integers(0, 2, (6, 2, 81))}
    for links, ops in ((sparse, {"ReduceSum"}), (full, {"MatMul"})):
        made = place_identity(Network(c, (x, cells), (links,)))
        assert {"ReduceSum", "MatMul"} & set(operators(made)) == ops
        assert differences(made, counts) == []


# --- as an oracle -----------------------------------------------------------------------------------------------------


@pytest.mark.oracle("onnxruntime")
@pytest.mark.parametrize("name", ["xylo_imu", "loihi1"])
def test_the_oracle_sees_every_count_and_state_and_calls_them_inferred(name):
    made, counts = sample(name, 1)
    trace = ORACLES["onnxruntime"].run(made, counts)
    compare(simulated(made, counts), trace).require()
    assert {g: set(many) for g, many in trace.states.items()} == {
        g.name: set(made.chip.neurons[g.kind].states) for g in made.groups
    }
    assert trace.grade == "inferred"
    assert trace.made_by.endswith(f"our texts in opset {OPSET}")


@pytest.mark.oracle("onnxruntime")
def test_a_bundle_is_verified_against_onnxruntime(tmp_path):
    bundle(net(aliases=[(0, 2)]), np.random.default_rng(0).integers(0, 16, (30, 2, 2)), tmp_path / "net.nd")
    done = command("verify", tmp_path / "net.nd", "--against", "onnxruntime", "--json")
    assert done.status == 0
    assert [(c["oracle"], c["grade"]) for c in done.json["exact_against"]][-1] == ("onnxruntime", "inferred")


@pytest.mark.oracle("onnxruntime")
def test_the_oracle_refuses_a_chip_that_events_drive_and_an_empty_input():
    c = next(chip(n) for n in target_folders() if chip(n).event_driven)
    with pytest.raises(Refusal, match="events drive the chip; a chip that takes steps"):
        ORACLES["onnxruntime"].run(Network(c, (), ()), {})
    with pytest.raises(Refusal, match="0 steps of 2 samples; at least one of each"):
        ORACLES["onnxruntime"].run(net(), np.zeros((0, 2, 2), int))


def test_no_chip_names_the_oracle_as_its_own():
    assert all("onnxruntime" not in {o.name for o in oracles_of(chip(name))} for name in target_folders())
