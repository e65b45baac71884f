import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from mutants import edited
from random_networks import Options, random_counts, random_network

import neurodeploy.oracles
from neurodeploy.chips import chip, from_raw
from neurodeploy.errors import Missing, Refusal
from neurodeploy.network import Group, Network
from neurodeploy.oracles import ORACLES, oracle, oracles_of
from neurodeploy.simulator import simulate

TABLE = ("oracle", "xylosim")
XYLOSIM = pytest.mark.oracle("xylosim")


def case(target, seed=0, **options):
    rng = np.random.default_rng(seed)
    drawn = Options(**options)
    network = random_network(target, rng, drawn)
    return network, random_counts(network, rng, drawn)


def altered(*edits):
    return from_raw(edited(chip("xylo_audio2").raw, *edits))


def test_the_chip_names_its_oracles():
    assert [o.name for o in oracles_of(chip("xylo_imu"))] == ["xylosim"]
    assert oracles_of(altered((("oracle",), {}))) == ()


def test_an_unknown_oracle_is_refused_with_those_that_exist():
    with pytest.raises(Refusal, match=r"oracle 'xylosym': no oracle of that name; one of reference, .*xylosim"):
        oracle("xylosym")


def test_asking_for_the_version_imports_nothing():
    code = (
        "import sys; from neurodeploy.oracles import ORACLES; [o.available() for o in ORACLES.values()]; "
        "sys.exit('xylosim' in sys.modules or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own interpreter, a fixed text


def test_a_missing_package_is_answered_with_the_pip_line(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(neurodeploy.oracles, "version", absent)
    network, counts = case(chip("xylo_audio2"))
    assert oracle("xylosim").available() is None
    with pytest.raises(Missing, match=r'pip install "neurodeploy\[oracles\]"') as caught:
        oracle("xylosim").run(network, counts)
    assert caught.value.exit_status == 3


@XYLOSIM
def test_a_broken_package_is_answered_with_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "xylosim.v2", None)
    network, counts = case(chip("xylo_audio2"))
    with pytest.raises(Missing, match="the package xylosim is not installed"):
        oracle("xylosim").run(network, counts)


@XYLOSIM
def test_a_trace_names_maker_and_grade_and_holds_every_spike_and_state():
    network, counts = case(chip("xylo_audio3"), batch=3, steps=(7, 7), groups=2)
    trace = oracle("xylosim").run(network, counts)
    assert (trace.made_by, trace.grade) == (f"xylosim {oracle('xylosim').available()}", "vendor-simulator")
    for g in network.groups:
        if g.kind == "channel":
            assert g.name not in trace.counts
            continue
        expected = {"v", "i1", "i2"} if g.kind == "hidden" else {"v", "i1"}
        assert set(trace.states[g.name]) == expected
        assert {a.shape for a in (trace.counts[g.name], *trace.states[g.name].values())} == {(7, 3, g.size)}


@XYLOSIM
def test_one_synapse_has_no_second_current():
    network, counts = case(chip("xylo_imu"))
    assert set(oracle("xylosim").run(network, counts).states["hidden"]) == {"v", "i1"}


@XYLOSIM
def test_samples_do_not_see_each_other():
    network, counts = case(chip("xylo_audio2"), batch=3, rates=(3,))
    together = oracle("xylosim").run(network, counts)
    assert together.counts["hidden"].any()
    for sample in range(3):
        alone = oracle("xylosim").run(network, {g: c[:, sample : sample + 1] for g, c in counts.items()})
        np.testing.assert_array_equal(alone.states["hidden"]["v"][:, 0], together.states["hidden"]["v"][:, sample])


@XYLOSIM
def test_hardware_ids_decide_the_order_of_sources_and_aliases():
    network, counts = case(chip("xylo_audio2"), seed=3, hidden=(8, 8), links=(1, 2), corners=0.3)
    turned = replace(network, groups=tuple(replace(g, ids=g.ids.max() - g.ids) for g in network.groups))
    first, second = (oracle("xylosim").run(n, counts) for n in (network, turned))
    assert np.any(first.counts["hidden"] != second.counts["hidden"])
    run = simulate(turned, counts, drain=0, raw=True)
    np.testing.assert_array_equal(run.counts["hidden"], second.counts["hidden"])


@XYLOSIM
def test_the_register_takes_255_events_and_not_256():
    network, counts = case(chip("xylo_audio2"))
    name = next(iter(counts))
    full = {name: np.full_like(counts[name], 255)}
    assert oracle("xylosim").run(network, full).counts
    with pytest.raises(Refusal, match=r"256 events at step 0, sample 0, channel 0.*0..255 events"):
        oracle("xylosim").run(network, {name: full[name] + 1})


def test_a_chip_without_the_table_is_refused():
    network, _ = case(altered((("oracle",), {})))
    (fault,) = ORACLES["xylosim"].faults(network)
    assert str(fault).startswith("xylo_audio2, oracle xylosim: no table [oracle.xylosim] in chip.toml; it must say")
    assert fault.code == "ND2003"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ((("module",), "v3"), "oracle xylosim, module: found 'v3'; input should be 'v2'"),
        ((("colour",), "red"), "oracle xylosim, colour: found 'red'"),
        ((("neurons", "hidden"), "hiden"), "neuron kind 'hiden'; a neuron kind of the chip: channel, hidden, output"),
        ((("connections", "alias"), "none"), "connection kind 'none'; a connection kind of the chip: in, rec"),
        ((("dash_mem",), "leak"), "parameter 'leak'; a parameter of the chip: dash_syn1"),
        ((("states", "v_mem"), "u"), "state 'u'; a state of the chip: i1, i2, v, count"),
        ((("synapses",), ["w1", "w3"]), "synapse field 'w3'; a synapse field of the chip: w1, w2"),
    ],
)
def test_a_wrong_table_is_refused_in_sentences(edit, words):
    place, value = edit
    network, counts = case(altered(((*TABLE, *place), value)))
    assert any(words in str(fault) for fault in ORACLES["xylosim"].faults(network))
    if ORACLES["xylosim"].available():
        with pytest.raises(Refusal):
            oracle("xylosim").run(network, counts)


def test_an_oracle_table_needs_evidence():
    raw = edited(chip("xylo_audio2").raw, ((*TABLE, "evidence"), "hearsay"))
    with pytest.raises(Refusal, match=r"oracle.xylosim: evidence = 'hearsay'; an entry of \[sources\]"):
        from_raw(raw)


def test_a_delay_is_refused_and_no_delay_is_not():
    target = altered((("connection", "rec", "synapse", "delay"), {"unsigned": 3}))
    network, _ = case(target, hidden=(4, 4), density=(1.0, 1.0))
    still = [
        replace(p, fields=p.fields | {"delay": 0 * p.sources}) if p.kind == "rec" else p for p in network.projections
    ]
    assert ORACLES["xylosim"].faults(replace(network, projections=tuple(still))) == []
    late = [replace(p, fields=p.fields | {"delay": 0 * p.sources + 2}) if p.kind == "rec" else p for p in still]
    (fault,) = ORACLES["xylosim"].faults(replace(network, projections=tuple(late)))
    assert "projection hidden -> hidden: synapse field delay = 2; 0: xylosim has no such field" in str(fault)


def test_kinds_that_xylosim_lacks_are_refused_all_at_once():
    raw = chip("xylo_audio2").raw
    target = altered(
        (("neuron", "third"), {k: v for k, v in raw["neuron"]["output"].items() if k != "deploy"}),
        (("connection", "side"), raw["connection"]["out"] | {"to": "third"}),
        (("schedule", "step"), [*raw["schedule"]["step"], "side", "third.step"]),
    )
    network, counts = case(target)
    faults = ORACLES["xylosim"].faults(network)
    assert [f.values or f.was for f in faults] == ["neuron kind 'third'", "connection kind 'side'"]
    if ORACLES["xylosim"].available():
        with pytest.raises(Refusal, match="neuron kind 'third'"):
            oracle("xylosim").run(network, counts)


@XYLOSIM
def test_a_network_without_hardware_ids_is_refused():
    network, counts = case(chip("xylo_audio2"))
    loose = replace(network, groups=tuple(replace(g, ids=None) for g in network.groups))
    with pytest.raises(Refusal, match="groups without hardware ids: channel, hidden, output") as caught:
        oracle("xylosim").run(loose, counts)
    assert caught.value.code == "ND1204"


@XYLOSIM
def test_a_network_of_inputs_and_outputs_alone_runs():
    target = chip("xylo_audio2")
    one = {n: np.array([p.default or 1]) for n, p in target.neurons["output"].parameters.items()}
    ids = np.array([0])
    network = Network(
        target, (Group("in", "channel", 1, {}, ids), Group("out", "output", 1, one | {"bias": ids + 3}, ids)), ()
    )
    counts = np.zeros((5, 1, 1), np.int64)
    trace = oracle("xylosim").run(network, counts)
    assert trace.counts["out"].all()
    np.testing.assert_array_equal(simulate(network, counts, drain=0).counts["out"], trace.counts["out"])
