"""Boards driven through a stand-in of samna: filled objects, streams, and a line that loses, doubles and reorders."""

import types
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from layer_networks import chain, merge
from samna_layers_boards import BOARDS, NODES, package
from samna_layers_stand_in import Clock, Device, Source
from samna_stand_in import Strict, flag

import neurodeploy as nd
from neurodeploy.chips import chip, target_folders
from neurodeploy.emit.samna import fill, layers
from neurodeploy.emit.samna.layers import Collected, Readout, Sensor, Setup
from neurodeploy.errors import Missing, Refusal
from neurodeploy.network import Network
from neurodeploy.simulator import expand, simulate

CHIPS = [name for name in target_folders() if "samna_layers" in chip(name).file.emit]


#: From the vendor's documentation, not from chip.toml.


@pytest.fixture(autouse=True)
def real(tmp_path, monkeypatch):
    """A package that counts as the real samna; importing it fails."""
    folder = tmp_path / "samna"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "native.so").write_bytes(b"\x7fELF")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def changed(network, **registers):
    """The network with other registers in every layer."""
    groups = [
        replace(g, parameters=dict(g.parameters) | {n: np.full(g.size, v) for n, v in registers.items()})
        if g.parameters
        else g
        for g in network.groups
    ]
    return replace(network, groups=tuple(groups))


def quiet(network):
    """The network without leak, for boards whose slow clock is off."""
    return changed(network, bias=0)


def driven(network, rate=0.3, seed=0):
    """Random events of the inputs with rising times, the run that they give, and the spikes that it has."""
    rng = np.random.default_rng(seed)
    counts = {g.name: (rng.random((4, 1, g.size)) < rate).astype(np.int64) for g in network.inputs()}
    events = expand(counts, network.inputs())
    stimulus = replace(events, t_us=np.sort(rng.integers(0, 40_000, len(events))))
    run = simulate(network, stimulus, drain=0)
    inner = {g.name for g in network.groups} - {g.name for g in network.inputs()}
    made = {}
    for name in sorted(inner):
        made[name] = np.zeros(len(run.events[name]), [("t_us", np.int64), ("neuron", np.int64)])
        made[name]["t_us"] = stimulus.t_us[run.events[name]["cause"]]
        made[name]["neuron"] = run.events[name]["neuron"]
    return stimulus, run, layers.spikes_of_groups(network, made)


# objects of samna


def unfilled(thing, path=""):
    for name, value in thing.held.items():
        if isinstance(value, Strict):
            yield from unfilled(value, f"{path}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], Strict):
            for i, item in enumerate(value):
                yield from unfilled(item, f"{path}{name}[{i}].")
        elif name not in thing.filled:
            yield f"{path}{name}"


@pytest.mark.parametrize("chip_name", CHIPS)
def test_samna_accepts_what_is_filled_and_nothing_else_is_touched(chip_name):
    network = chain(chip_name)
    setup = Setup(Sensor(), Readout("o"), filter={"filter_size": {"x": 3, "y": 3}, "threshold": 2})
    config, valid, message = layers.apply(network, package(chip_name), setup=setup)
    assert (valid, message) == (True, "")
    left = list(unfilled(config))
    used = {int(g.ids[0]) // 65536 for g in network.groups[1:]}
    assert not [n for n in left if n.startswith(tuple(f"cnn_layers[{c}]" for c in used)) and "decimator" not in n]
    assert {n.split(".")[0] for n in left if not n.startswith("cnn_layers")} == {"factory_config"}
    written = layers.to_configuration(network, setup)["cnn_layers"]
    for core in used:
        assert config.cnn_layers[core].weights.dtype == np.int8
        assert config.cnn_layers[core].weights.tolist() == written[core]["weights"]
        assert config.cnn_layers[core].neurons_initial_value == written[core]["neurons_initial_value"]
    assert (config.dvs_layer.mirror.x, config.dvs_layer.mirror_diagonal) == (False, False)


@pytest.mark.parametrize("seed", range(6))
def test_samna_agrees_with_the_sizes_of_branches_and_split_layers(seed):
    for network in (merge(seed=seed), chain(seed=seed, split=True)):
        assert layers.apply(network, package())[1:] == (True, "")


def test_the_judgement_of_samna_is_handed_on():
    stand_in = package()
    stand_in.speck2f.validate_configuration = lambda config: (False, f"no {type(config).__name__}")
    assert layers.apply(chain(), stand_in)[1:] == (False, "no SpeckConfiguration")


def test_attributes_that_samna_lacks_are_named_together(monkeypatch):
    stand_in = package()
    top = stand_in.speck2f.configuration.SpeckConfiguration
    core = type(top().cnn_layers[0])
    monkeypatch.setattr(core, "FIELDS", {n: f for n, f in core.FIELDS.items() if n not in {"biases", "leak_enable"}})
    with pytest.raises(Refusal) as refusal:
        layers.apply(chain(), stand_in)
    text = str(refusal.value)
    first = min(int(g.ids[0]) // 65536 for g in chain().groups[1:])
    assert f"cnn_layers[{first}]: no attribute 'biases'" in text
    assert "cnn_layers[0]: no attribute 'leak_enable'" in text
    assert len(refusal.value.faults) == 2, "one for each attribute, not for each core"


def test_a_value_that_samna_changes_is_noticed(monkeypatch):
    stand_in = package()
    core = type(stand_in.speck2f.configuration.SpeckConfiguration().cnn_layers[0])
    monkeypatch.setattr(core, "__getattr__", lambda self, name: 5 if name == "threshold_high" else self.held[name])
    with pytest.raises(Refusal, match="threshold_high: reads back as something else"):
        layers.apply(chain(), stand_in)


def test_a_module_or_class_that_samna_lacks_is_named():
    stand_in = package()
    del stand_in.speck2f.configuration.SpeckConfiguration
    with pytest.raises(Refusal, match=r"samna.speck2f.configuration: no 'SpeckConfiguration'"):
        layers.apply(chain(), stand_in)
    with pytest.raises(Refusal, match="samna: no 'speck2e'"):
        layers.apply(chain("speck2e"), stand_in)


@pytest.mark.parametrize("text", ["PYPI_SAMNA = 1", "def install_real_samna(): ..."])
def test_the_placeholder_is_never_imported(real, text):
    (real / "__init__.py").write_text(f"raise RuntimeError\n{text}\n")
    for action in (lambda: layers.apply(chain()), lambda: layers.open_board(chip("speck2f"))):
        with pytest.raises(Missing, match=r"samna is stub: .*samna/__init__.py; the real samna is needed") as missing:
            action()
        assert missing.value.exit_status == 3


def test_without_samna_there_is_no_board(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(Missing, match="a board with speck2f: samna is absent"):
        layers.open_board(chip("speck2f"), samna_module=package())


# opening


@pytest.mark.parametrize("chip_name", CHIPS)
def test_the_first_free_board_with_the_chip_is_opened_and_given_back(chip_name):
    clock = Clock()
    device = Device(clock)
    stand_in = package(chip_name, device, ("XyloAudio3TestBoard", *BOARDS[chip_name]))
    with layers.open_board(chip(chip_name), samna_module=stand_in, clock=clock) as board:
        assert board.name == f"{BOARDS[chip_name][0]}:0"
    board.close()  # once is enough
    assert stand_in.opened == [f"{BOARDS[chip_name][0]}:0", ("closed", device)]
    with pytest.raises(Refusal, match="closed; an open board; call open_board again") as refusal:
        board.start_watch()
    assert refusal.value.code == "ND1902"


def test_boards_of_a_type_are_counted_and_may_be_chosen_by_name():
    clock = Clock()
    stand_in = package("speck2f", Device(clock), ("Speck2fDevKit", "Speck2fModuleDevKit", "Speck2fDevKit"))
    for name in ("Speck2fDevKit:1", "Speck2fModuleDevKit:0"):
        assert layers.open_board(chip("speck2f"), name, samna_module=stand_in, clock=clock).name == name
    with pytest.raises(Missing, match="a free board Speck2fDevKit:2") as missing:
        layers.open_board(chip("speck2f"), "Speck2fDevKit:2", samna_module=stand_in)
    assert "Speck2fDevKit:0, Speck2fModuleDevKit:0, Speck2fDevKit:1" in str(missing.value)
    assert missing.value.code == "ND9001"


def test_a_board_with_another_chip_is_none():
    with pytest.raises(Missing, match="samna sees Speck2eDevKit:0; a free board Speck2fDevKit or Speck2fModuleDevKit"):
        layers.open_board(chip("speck2f"), samna_module=package(boards=("Speck2eDevKit",)))


def test_a_board_that_does_not_open_says_what_samna_said():
    with pytest.raises(Refusal, match="not opened: RuntimeError: Speck2fDevKit:0 is busy") as refusal:
        layers.open_board(chip("speck2f"), samna_module=package())
    assert refusal.value.code == "ND1902"


def test_nodes_that_samna_lacks_are_named_together():
    stand_in = package(device=Device(Clock()))
    for name in NODES["speck2f"]:
        delattr(stand_in, name)
    del stand_in.speck2f.event.Spike
    with pytest.raises(Refusal) as refusal:
        layers.open_board(chip("speck2f"), samna_module=stand_in)
    assert len(refusal.value.faults) == 3
    assert all(name in str(refusal.value) for name in (*NODES["speck2f"], "Spike"))


# configuring, clocks


def opened(network=None, setup=None, **line):
    """A board with a network, and the device behind it."""
    clock = Clock(stopped=line.pop("stopped", False))
    device = Device(clock, **line)
    stand_in = package(device=device)
    board = layers.open_board(chip("speck2f"), samna_module=stand_in, clock=clock)
    if network is not None:
        every = tuple(g.name for g in network.groups if g.parameters)
        config, valid, _ = layers.apply(network, stand_in, setup=setup or Setup(monitor=every))
        assert valid
        board.configure(config)
    return board, device


@pytest.mark.parametrize("refusals", range(3))
def test_a_configuration_is_tried_three_times(refusals):
    board, device = opened(refusals=refusals)
    config = layers.apply(chain(), package())[0]
    assert board.configure(config) == refusals + 1
    assert device.config is config
    assert device.clock.slept == refusals + 1  # it settles after the attempt that worked, too


def test_a_fourth_attempt_is_not_made():
    board, device = opened(refusals=3)
    with pytest.raises(Refusal, match="not taken in 3 attempts, the last: RuntimeError: timeout") as refusal:
        board.configure(None)
    assert "call soft_reset()" in str(refusal.value)
    assert device.refusals == 0
    board.soft_reset()
    assert device.calls == ["soft reset"]


def test_the_slow_clock_has_the_rates_of_the_board():
    board, device = opened()
    for rate in (10, 10_000, None):
        board.set_slow_clock(rate)
    switched = [("slow_clk", True), ("rate", 10), ("slow_clk", True), ("rate", 10_000), ("slow_clk", False)]
    assert device.calls == switched
    for rate in (9, 10_001):
        with pytest.raises(Refusal, match=f"slow clock of {rate} Hz; 10..10000 Hz"):
            board.set_slow_clock(rate)
    assert device.calls == switched


def test_an_older_stop_watch_is_switched_on():
    board, device = opened()
    device.get_stop_watch = type("Old", (), {"set_enable_value": lambda _, on: device.calls.append(on)})
    board.start_watch()
    assert device.calls == [True]


# streams


@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("make", [chain, lambda seed: chain(seed=seed, split=True)], ids=["chain", "split"])
def test_a_perfect_board_sends_what_the_simulation_says(make, seed):
    """The made-up board computes the configuration object by itself, so this also compares the two."""
    network = quiet(make(seed=seed))
    stimulus, run, expected = driven(network)
    board, _ = opened(network)
    spikes = layers.spikes_of_stimulus(network, stimulus)
    found = board.stream(spikes)
    assert (found.sent, found.stale, found.timed_out, found.trouble) == (len(spikes), 0, False, "")
    assert found.against(expected).equal
    assert str(found.against(expected)) == f"{len(expected):,} spikes expected, {len(expected):,} came"
    groups, strange = layers.events_of_groups(network, found.spikes)
    assert not len(strange)
    for name, rows in groups.items():
        np.testing.assert_array_equal(rows["neuron"], run.events[name]["neuron"])
        np.testing.assert_array_equal(rows["t_us"], stimulus.t_us[run.events[name]["cause"]] + 3)
    assert len(expected) > 50


def test_a_slow_clock_ticks_once_in_a_step():
    network = changed(chain(seed=3), bias=-2)
    rng = np.random.default_rng(3)
    stimulus = expand({"pixels": (rng.random((4, 1, network.group("pixels").size)) < 0.2) * 1}, network.inputs())
    board, _ = opened(network)
    board.set_slow_clock(1000)
    spikes = layers.spikes_of_stimulus(network, stimulus, dt_us=1000)
    counts, strange = layers.counts_of_groups(network, board.stream(spikes).spikes, dt_us=1000, steps=4)
    assert not len(strange)
    run, still = (simulate(n, stimulus, drain=0) for n in (network, quiet(network)))
    for name, found in counts.items():
        np.testing.assert_array_equal(found, run.counts[name])
    assert run.counts["o"].sum() != still.counts["o"].sum()


@pytest.fixture(scope="module")
def small():
    network = quiet(chain(seed=1))
    stimulus, _, expected = driven(network)
    return network, layers.spikes_of_stimulus(network, stimulus), expected


def test_lost_events_are_missing_and_nothing_else_is(small):
    network, spikes, expected = small
    board, device = opened(network, lose=0.1)
    compared = board.stream(spikes).against(expected)
    assert sum(compared.missing.values()) == device.lost > 5
    assert (compared.equal, compared.surplus) == (False, {})
    assert f"{device.lost:,} missing, first at layer, feature, y, x = " in str(compared)


def test_doubled_events_are_surplus(small):
    network, spikes, expected = small
    board, device = opened(network, double=0.1)
    found = board.stream(spikes)
    assert sum(found.against(expected).surplus.values()) == device.doubled > 5
    assert found.repeated >= device.doubled
    assert not found.against(expected).equal


def test_reordered_events_are_told_and_kept_as_they_came(small):
    network, spikes, expected = small
    board, _ = opened(network, reorder=0.5)
    found = board.stream(spikes)
    assert found.backward > 5
    assert found.against(expected).equal


@pytest.mark.parametrize(("late_s", "arrives"), [(0.45, True), (2.0, False)])
def test_late_events_are_waited_for_as_long_as_the_silence_may_last(small, late_s, arrives):
    network, spikes, expected = small
    board, _ = opened(network, late_s=late_s)
    found = board.stream(spikes)
    assert found.against(expected).equal is arrives
    assert len(found.spikes) == (len(expected) if arrives else 0)
    assert not found.timed_out
    if not arrives:
        again = board.stream(spikes, quiet_s=3.0)
        assert again.stale == 0
        assert len(again.spikes) > len(expected)  # what came too late for the first stream


def test_events_that_wait_already_are_not_taken_for_answers(small):
    network, spikes, expected = small
    board, device = opened(network, late_s=1.0)
    board.stream(spikes)
    device.clock.sleep(2.0)
    device.late_s = 0.0
    device.config = layers.apply(network, package(), setup=Setup(monitor=("a", "b", "o")))[0]
    found = board.stream(spikes)
    assert found.stale == len(expected)
    assert found.against(expected).equal


def test_a_board_that_never_falls_silent_is_left_and_told(small):
    network, spikes, expected = small
    board, _ = opened(network, babble=True)
    found = board.stream(spikes, timeout_s=2.0)
    assert found.timed_out
    assert found.waited_s < 2.2
    assert found.others == {"ReadoutPinValue": found.polls}
    assert not found.against(expected).equal, "of a stream that was cut short nothing is known"
    assert "the collection ended before the board fell silent" in str(found.against(expected))


def test_what_the_readout_says_is_taken_apart():
    network = quiet(chain(seed=1))
    stimulus, run, _ = driven(network)
    board, _ = opened(network, Setup(readout=Readout("o")))
    found = board.stream(layers.spikes_of_stimulus(network, stimulus))
    counts = run.counts["o"].sum(axis=(0, 1))
    assert found.readings.tolist() == [(True, counts.argmax() + 1, counts.max())]
    assert (found.to_json()["readings"], found.others, len(found.spikes)) == (1, {}, 0)
    assert counts.argmax() > 0


def test_a_word_of_the_readout_has_a_valid_bit_four_of_the_class_and_sixteen_of_data():
    words = [0, 0xFFFF, 0xF_0000, 0x10_0000, 0x13_0007]
    expected = [(False, 0, 0), (False, 0, 65535), (False, 15, 0), (True, 0, 0), (True, 3, 7)]
    assert layers.readings_of(chip("speck2e"), words).tolist() == expected
    assert layers.readings_of(chip("speck2f"), []).tolist() == []


def test_a_clock_that_stands_still_ends_all_the_same(small):
    network, spikes, _ = small
    board, device = opened(network, stopped=True)
    found = board.stream(spikes, timeout_s=2.0)
    assert found.timed_out
    assert found.polls <= 23
    assert device.clock.time == 100.0


def test_a_cable_that_breaks_keeps_what_came_before(small):
    network, spikes, expected = small
    board, _ = opened(network, breaks=2)  # the first poll looks for stale events
    found = board.stream(spikes)
    assert found.trouble == "OSError: the cable is out"
    assert found.timed_out
    assert 0 < len(found.spikes) <= len(expected)


def test_a_board_that_takes_no_events_is_refused(small, monkeypatch):
    network, spikes, _ = small
    board, _ = opened(network)

    def broken(_self, _events):
        raise OSError("the cable is out")

    monkeypatch.setattr(Source, "write", broken)
    with pytest.raises(Refusal, match="events not taken: OSError: the cable is out"):
        board.stream(spikes)


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda s: s[::-1], {}, "times from 0 us on that never fall; sort by time"),
        (lambda s: s["t_us"], {}, "no table of spikes"),
        (lambda s: s, {"timeout_s": 0.1}, "0 < poll_s <= quiet_s < timeout_s"),
        (lambda s: s, {"poll_s": 0.0}, "poll_s = 0.0"),
        (lambda s: s, {"timeout_s": float("inf")}, "timeout_s = inf"),
    ],
)
def test_a_stream_that_could_not_end_or_be_sent_is_refused(small, change, options, words):
    network, spikes, _ = small
    board, device = opened(network)
    with pytest.raises(Refusal) as refusal:
        board.stream(change(spikes), **options)
    assert words in str(refusal.value)
    assert device.calls == []


def test_a_stream_without_a_stop_watch_is_told(small, monkeypatch):
    network, spikes, _ = small
    board, _ = opened(network)
    monkeypatch.setattr(board, "start_watch", lambda: None)
    assert board.stream(spikes).untimed
    assert not board.stream(spikes[:0]).untimed


def test_nothing_sent_and_nothing_expected_is_not_equal():
    board, _ = opened(quiet(chain()))
    found = board.stream(np.zeros(0, layers.SPIKE))
    assert (found.sent, len(found.spikes), found.timed_out) == (0, 0, False)
    assert not found.against(np.zeros(0, layers.SPIKE)).equal
    assert "nothing was compared" in str(found.against(np.zeros(0, layers.SPIKE)))


def test_what_was_seen_is_plain_data(small):
    network, spikes, _ = small
    board, _ = opened(network)
    found = board.stream(spikes)
    shown = found.to_json()
    assert shown["received"] == len(found.spikes)
    assert (shown["sent"], shown["timed_out"], shown["others"]) == (len(spikes), False, {})
    assert Collected(found.spikes).to_json().keys() == shown.keys()


def test_the_lines_of_the_readme_drive_a_board(monkeypatch):
    """The first block of the README about events leaves network and input; only they are smaller here."""
    pytest.importorskip("ortools")
    text = (Path(nd.__file__).parents[1] / "README.md").read_text()
    (lines,) = [part.split("```")[0] for part in text.split("```python\n") if "layers.open_board(" in part[:600]]
    clock, c = Clock(), chip("speck2f")
    stand_in = package(device=Device(clock))
    importing = types.SimpleNamespace(import_module=lambda name: {"samna": stand_in}[name])
    monkeypatch.setattr(fill, "importlib", importing)
    monkeypatch.setattr(layers, "open_board", partial(layers.open_board, clock=clock))
    pixels, a = quiet(chain(seed=1)).groups[:2]
    groups = (replace(pixels, ids=None), replace(a, name="classes", ids=None))
    (link,) = [p for p in chain(seed=1).projections if p.target == "a"]
    network = Network(c, groups, (replace(link, target="classes"),))
    given = nd.stimulus(nd.moving_edge(500, width=20, height=12, duration_us=50_000), dt_us=10_000)
    names = {"nd": nd, "network": network, "chip": c, "given": given}
    exec(lines, names)  # noqa: S102 - our own README
    assert names["valid"] is True
    assert not len(names["strange"])
    run = simulate(names["placed"], given, drain=0)
    np.testing.assert_array_equal(names["counts"]["classes"], run.counts["classes"])
    assert run.counts["classes"].sum() > 50


def test_the_stand_in_refuses_what_it_does_not_know():
    """A test of the test: a stand-in that takes everything would show nothing."""
    config = package().speck2f.configuration.SpeckConfiguration()
    for change in ({"cnn_layers": []}, {"colour": 1}, {"factory_config": 1}):
        for name, value in change.items():
            with pytest.raises((TypeError, AttributeError)):
                setattr(config, name, value)
    with pytest.raises(TypeError):
        config.cnn_layers[0].threshold_low = 0
    with pytest.raises(TypeError):
        config.cnn_layers[0].destinations[0].pooling = 8
    assert not flag(1)
