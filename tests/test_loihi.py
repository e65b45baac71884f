"""Loihi's arithmetic: both executors against a straight-line model; dialects; what is printed of the chips."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from executor_names import CLOCKED
from loihi_networks import CHIPS
from loihi_straight import expected
from random_networks import Options, random_counts, random_network

from neurodeploy.chips import chip
from neurodeploy.cli.main import main
from neurodeploy.errors import Refusal
from neurodeploy.network import Network, group, place_identity, projection
from neurodeploy.ranges import agreement_faults
from neurodeploy.simulator import simulate
from neurodeploy.step import NUMPY, evaluate
from neurodeploy.verifier import compare

SMALL = {"inputs": (1, 4), "hidden": (1, 6), "steps": (12, 18), "batch": 1, "groups": 2}
FAMILIES = {
    "corners": Options(**SMALL, corners=0.5),
    "firing": Options(**SMALL, narrow={"threshold": (1, 300), "dv": (0, 900), "refractory": (1, 5), "bits": (1, 8)}),
    "resets": Options(
        **SMALL, narrow={"reset_first": (0, 9), "reset_every": (0, 5), "exponent": (-6, 1)}, corners=0.05
    ),
    "overflow": Options(**SMALL, narrow={"exponent": (5, 7), "du": (0, 300), "dv": (0, 300)}),
}
#: every chip, family and executor; where numpy is compared anyway, one chip of each pair by turns and .ci/run the other
DRAWN = [
    pytest.param(name, family, executor, marks=[pytest.mark.slow] * (executor != "numpy" and (i + j + k) % 2))
    for i, name in enumerate(CHIPS)
    for j, family in enumerate(FAMILIES)
    for k, executor in enumerate(CLOCKED)
]


def straight(network, counts):
    """The network in plain lists for the straight-line model."""
    groups = {
        g.name: (g.kind, [{n: int(v[i]) for n, v in g.parameters.items()} for i in range(g.size)])
        for g in network.groups
    }
    projections = []
    for p in network.projections:
        at = p.pairwise
        delays = at.fields.get("delay", np.zeros_like(at.sources))
        columns = (at.sources.tolist(), at.targets.tolist(), at.fields["w"].tolist(), delays.tolist())
        projections.append((p.source, p.target, list(zip(*columns, strict=True)), dict(p.parameters)))
    given = {n: v[:, 0].tolist() for n, v in counts.items()}
    return expected(groups, projections, given, len(next(iter(counts.values()))))


def differing(network, counts, executor):
    """(group, state) pairs that differ from the straight-line model, how many values there were, how many spikes."""
    wanted = straight(network, counts)
    record = [f"{g}.{s}" for g, states in wanted.items() for s in states]
    run = simulate(network, counts, record=record, drain=0, raw=True, executor=executor)
    pairs = [(g, s, run.states[g][s][:, 0], np.array(v)) for g, states in wanted.items() for s, v in states.items()]
    bad = [(g, s) for g, s, ours, theirs in pairs if not np.array_equal(ours, theirs)]
    return bad, sum(v.size for *_, v in pairs), sum(int(v.sum()) for _, s, _, v in pairs if s == "spike")


@pytest.mark.parametrize(("name", "family", "executor"), DRAWN)
def test_random_networks_equal_a_straight_line_model(name, family, executor, count):
    values = spikes = 0
    for seed in range(3 if executor == "numpy" else 2):
        rng = np.random.default_rng([seed, len(family)])
        network = random_network(chip(name), rng, FAMILIES[family])
        bad, number, fired = differing(network, random_counts(network, rng, FAMILIES[family]), executor)
        assert bad == []
        values, spikes = values + number, spikes + fired
    assert values > 500
    assert spikes > 0
    count(f"values of {name} equal to a straight-line model in {executor}", values)


def test_the_straight_line_model_notices_a_weight_that_is_one_off():
    rng = np.random.default_rng(3)
    network = random_network(chip("loihi2"), rng, FAMILIES["firing"])
    counts = {n: np.ones_like(v) for n, v in random_counts(network, rng, FAMILIES["firing"]).items()}
    wanted = straight(network, counts)
    first = next(
        i for i, p in enumerate(network.projections) if p.geometry is not None and p.source.startswith("input")
    )
    p = network.projections[first]
    other = replace(p, fields={"w": np.where(p.fields["w"] > 0, p.fields["w"] - 1, p.fields["w"] + 1)})
    changed = (*network.projections[:first], other, *network.projections[first + 1 :])
    assert straight(replace(network, projections=changed), counts) != wanted


# --- dialects ---------------------------------------------------------------------------------------------------------


def test_dialects_are_found_by_name_and_others_are_refused():
    target = chip("loihi2")
    assert set(target.dialects) == {"lava", "nengo_loihi"}
    assert target.dialect("") is target
    assert target.dialect("lava").spoken == "lava"
    assert target.dialect("lava").digest != target.digest
    with pytest.raises(Refusal, match="chip 'loihi2': no dialect 'brian'; one of lava, nengo_loihi") as caught:
        target.dialect("brian")
    assert caught.value.code == "ND1104"
    with pytest.raises(Refusal, match="no dialect 'lava'; a chip file with dialects"):
        chip("xylo_imu").dialect("lava")


def test_a_connection_like_another_speaks_its_dialect():
    spoken = chip("loihi2").dialect("nengo_loihi").connections
    assert spoken["dense_atrlif"].entry.stored == spoken["dense"].entry.stored
    assert spoken["dense"].entry.stored != chip("loihi2").connections["dense"].entry.stored


@pytest.mark.parametrize("name", CHIPS)
def test_everything_that_a_dialect_computes_otherwise_has_ranges_of_agreement(name):
    target, found = chip(name), []
    for spoken in target.dialects:
        other = target.dialect(spoken)
        for kind in target.connections:
            texts = [
                (e.entry.stored, e.entry.on_input, e.entry.on_sum)
                for e in (c.connections[kind] for c in (target, other))
            ]
            found += [("connection", kind)] * (texts[0] != texts[1])
        found += [("neuron", k) for k in target.neurons if target.neurons[k].entry.on != other.neurons[k].entry.on]
    assert {place for _, place in found} >= {"lif", "dense"}
    assert [place for place in found if not target.agreement.get(place)] == []


def test_a_weight_off_its_grid_is_refused_before_adaptive_neurons_too():
    target = chip("loihi2")
    registers = {"d_i": 4095, "d_v": 0, "d_theta": 0, "d_r": 0, "theta_0": 999999, "theta_step": 0}
    x, y = group(target, "x", "input", 1), group(target, "y", "atrlif", 1, **registers)

    def made(weight):
        link = projection(target, "dense_atrlif", x, y, {"bits": 8, "sign_mode": 1}, w=[[weight]])
        return place_identity(Network(target, (x, y), (link,)))

    assert agreement_faults(made(-2)) == []
    (fault,) = agreement_faults(made(-1))
    assert "at w = -1" in str(fault)
    ends = [
        simulate(replace(made(-1), chip=target.dialect(n)), np.ones((3, 1, 1), int), record=["v"]).states["y"]["v"][-1]
        for n in target.dialects
    ]
    assert ends[0] != ends[1]


@pytest.mark.parametrize("name", CHIPS)
def test_a_network_outside_the_registers_of_a_dialect_is_refused(name):
    target = chip(name)
    x, y = group(target, "x", "input", 1), group(target, "y", "lif", 1, dv=0, threshold=9, refractory=2)
    network = place_identity(Network(target, (x, y), (projection(target, "dense", x, y, w=20),)))
    assert replace(network, chip=target.dialect("nengo_loihi")).chip.spoken == "nengo_loihi"
    with pytest.raises(Refusal, match=r"refractory = 2 at index 0; the register holds 1\.\.1"):
        replace(network, chip=target.dialect("lava"))


def inside(target, network, run):
    """Whether registers and recorded values stay inside the ranges of agreement."""
    for p in network.projections:
        for formula, interval in target.agreement.get(("connection", p.kind), ()):
            values = np.asarray(
                evaluate(formula, dict(p.fields) | {n: np.int64(v) for n, v in p.parameters.items()}, NUMPY)
            )
            if values.size and not (interval.low <= values.min() and values.max() <= interval.high):
                return False
    for g in network.groups:
        for formula, interval in target.agreement.get(("neuron", g.kind), ()):
            values = np.asarray(evaluate(formula, dict(run.states.get(g.name, {})) | dict(g.parameters), NUMPY))
            if not (interval.low <= values.min() and values.max() <= interval.high):
                return False
    return True


@pytest.mark.slow  # .ci/run has it
@pytest.mark.parametrize("name", [pytest.param(CHIPS[0], marks=pytest.mark.slow), *CHIPS[1:]])
def test_dialects_compute_the_same_inside_the_ranges_of_agreement(name, count):
    """Ranges are about values before any wrap; where no 24-bit value turns, those after it are the same.

    What the proof accepts for every input is the same on this one.
    """
    target, equal, apart, proved = chip(name), 0, 0, 0
    narrow = {"refractory": (1, 1), "v_min_exp": (23, 23), "v_max_exp": (7, 7), "delay": (0, 2)}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        tame = {"exponent": (0, 2), "sign_mode": (2, 2), "bits": (8, 8), "bias_exp": (0, 3), "w": (0, 255)}
        tame |= {"du": (99, 4095)}
        wild = {"exponent": (-6, 7)}
        options = Options(**SMALL, narrow=narrow | (tame if seed % 2 else wild))
        network = random_network(target, rng, options)
        counts = random_counts(network, rng, options)
        runs = []
        for spoken in ("", *target.dialects):
            here = replace(network, chip=target.dialect(spoken))
            runs.append(
                simulate(here, counts, record=["a", "u", "v", "i"][: 4 if name == "loihi2" else 3], drain=0, raw=True)
            )
        same = all(
            np.array_equal(values, other.states[g][s])
            for other in runs[1:]
            for g, states in runs[0].states.items()
            for s, values in states.items()
        )
        if inside(target, network, runs[0]):
            assert same
            equal += 1
        if agreement_faults(network) == []:
            assert same
            proved += 1
        apart += not same
    assert equal > 1
    assert proved > 1
    assert apart > 0
    count(f"networks of {name} inside the ranges of agreement, all dialects equal", equal)
    count(f"networks of {name} on which all dialects are proved equal, and are", proved)


# --- the first difference ---------------------------------------------------------------------------------------------


def two_projections(second):
    target = chip("loihi2")
    x, y = group(target, "x", "input", 2), group(target, "y", "lif", 2, du=100, dv=10, threshold=5000)
    links = [
        projection(target, "dense", x, y, {"exponent": 1}, w=[[20, 2], [6, 8]], delay=[[0, 1], [1, 0]]),
        projection(target, "dense", x, y, {"exponent": -1}, w=second, delay=[[2, 1], [1, 0]]),
    ]
    return place_identity(Network(target, (x, y), tuple(links)))


def test_a_difference_names_the_source_through_the_sum_of_its_projection_and_delay():
    counts = np.ones((6, 1, 2), int)
    runs = [simulate(two_projections(w), counts, record=["v"], drain=0) for w in ([[4, 6], [8, 2]], [[4, 6], [12, 2]])]
    difference = compare(*runs).difference
    # sent by x[1] at step 0 with a delay of 1, delivered at step 2
    assert (difference.group, difference.neuron, difference.step, difference.phase) == ("y", 0, 2, "dense")
    assert (difference.state, difference.after) == ("a", (52 + 4, 52 + 6))
    assert difference.source == ("x", 1)
    assert difference.line == "a = a + scale2(sum, exponent)"


def test_equal_sums_of_other_projections_do_not_hide_a_difference():
    """The last delivery of the phase is the same in both runs; the one before it is not."""
    counts = np.ones((6, 1, 2), int)
    runs = [simulate(two_projections(w), counts, record=["v"], drain=0) for w in ([[4, 6], [8, 2]], [[4, 10], [8, 2]])]
    difference = compare(*runs).difference
    assert (difference.neuron, difference.step, difference.source) == (1, 2, ("x", 0))


# --- what is printed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHIPS)
def test_everything_about_the_chip_is_printed_with_source_date_and_grade(name):
    shown = CliRunner().invoke(main, ["targets", "show", name], env={"COLUMNS": "250"})
    assert shown.exit_code == 0, shown.output
    target = chip(name)
    assert [source for source in target.evidence if source not in shown.output] == []
    for words in (
        "neuron.lif.param.refractory",
        "holds [1, 63]",
        "agreement.neuron.lif",
        "dialect.nengo_loihi.neuron.lif.on.step",
        "wrap(a << 6, 22)",
        "128 * refractory if spike == 1 else v",
        "2026-11-21",
        "silicon",
        "vendor-simulator",
    ):
        assert words in shown.output, words
    assert all(line in shown.output.replace("\n", " ") or line[:60] in shown.output for line in target.unknown)
