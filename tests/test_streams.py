"""Inputs piece by piece: every bit as in one run, from every source, in memory that does not grow."""

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_networks import CHIPS, networks, random_counts, random_network
from event_chip import WAITING, chip_of, crossbar
from event_networks import DRAWN, random_input
from executor_names import CLOCKED, EVENT
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodeploy import npz
from neurodeploy.chips import chip
from neurodeploy.errors import Refusal
from neurodeploy.events import data, event_blocks, load_events, moving_edge, save_data, save_events, stimulus
from neurodeploy.network import Convolution, Network, convolution, group, place_identity, projection, save_network
from neurodeploy.simulator import Stimulus, join_steps, simulate
from neurodeploy.streams import open_counts, stream

EVENT_CHIP = chip("speck2f")
CLOCKED_CHIP = CHIPS[0]


def refusal(*arguments, **options):
    with pytest.raises(Refusal) as caught:
        list(stream(*arguments, **options))
    return str(caught.value)


def equal(a, b, at=""):
    """Whether two values are the same in every bit, as deep as they go."""
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, at
        assert np.array_equal(a, b), at
    elif isinstance(a, Mapping | tuple):
        assert len(a) == len(b), at
        for key in a if isinstance(a, Mapping) else range(len(a)):
            equal(a[key], b[key], f"{at}.{key}")
    elif hasattr(a, "__dataclass_fields__") and not isinstance(a, Network):
        for name in set(a.__dataclass_fields__) - {"how"}:  # ranges are proved anew for each piece
            equal(getattr(a, name), getattr(b, name), f"{at}.{name}")
    else:
        assert a == b, at
    return True


def everything(network):
    return sorted({s for g in network.groups for s in network.chip.neurons[g.kind].states})


# --- every bit --------------------------------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None, derandomize=True)
@given(case=networks(), length=st.integers(1, 9), executor=st.sampled_from(CLOCKED))
def test_a_clocked_network_in_pieces_equals_the_whole(case, length, executor):
    network, x = case
    options = {"record": everything(network), "executor": executor}
    runs = list(stream(network, x, chunk_steps=length, **options))
    assert max(len(r.output) for r in runs[:-1]) <= length
    equal(join_steps(runs), simulate(network, x, **options))


@pytest.mark.parametrize("executor", EVENT)
@pytest.mark.parametrize("sort", DRAWN)
@pytest.mark.parametrize("length", [1, 4, 100])
def test_an_event_driven_network_in_pieces_equals_the_whole(sort, length, executor):
    rng = np.random.default_rng(length)
    network = DRAWN[sort](EVENT_CHIP, rng)
    x = random_input(network, rng, steps=6)
    whole = simulate(network, x, record="v", executor=executor)
    assert any(len(e) for e in whole.events.values())
    runs = stream(network, x, record="v", executor=executor, chunk_steps=length)
    equal(join_steps(list(runs)), whole)


@pytest.mark.parametrize("order", ["breadth", "depth"])
def test_single_events_and_lost_ones_are_numbered_through(order):
    made = chip_of(WAITING)
    rng = np.random.default_rng(5)
    network = crossbar(made, rng.integers(-60, 45, (8, 8)), rng=rng)
    size = network.inputs()[0].size
    step = np.sort(rng.integers(0, 20, 60))
    given_events = Stimulus(20, 1, step, np.zeros(60, np.int64), rng.integers(0, size, 60))
    whole = simulate(network, given_events, order=order)
    assert whole.lost.any()
    equal(join_steps(list(stream(network, given_events, order=order, chunk_steps=3))), whole)


def test_a_piece_tells_all_that_the_next_one_needs():
    network = random_network(CHIPS[-1], 3)  # the one with delays
    x = random_counts(network, 3, steps=30)
    whole = simulate(network, x, drain=0)
    first = list(stream(network, {n: a[:17] for n, a in x.items()}, chunk_steps=4, drain=0))
    rest = list(stream(network, {n: a[17:] for n, a in x.items()}, chunk_steps=5, drain=0, state=first[-1].final))
    assert any(h.any() for past in first[-1].final.history.values() for h in past)
    equal(join_steps([*first, *rest]), whole)


def test_what_is_chosen_for_the_first_piece_runs_all(monkeypatch):
    monkeypatch.setattr("neurodeploy.simulator.registry.WIDE_STEP", 1)
    network, x = one_input(steps=30)
    wide = sum(g.size for g in network.groups)
    monkeypatch.setattr("neurodeploy.simulator.registry.LONG_RUN", 20 * wide * x.shape[1])
    alone = [simulate(network, piece, drain=0).executor for piece in (x[:25], x[25:])]
    assert alone == ["torch", "numpy"]  # where each is a simulation of its own
    runs = list(stream(network, [x[:25], x[25:]]))
    assert [r.executor for r in runs] == ["torch"] * 3
    assert len({r.how.why for r in runs}) == 1
    assert [r.executor for r in stream(network, [x[:5], x[5:]])] == ["numpy"] * 3
    equal(replace(join_steps(runs), executor=""), replace(simulate(network, x), executor=""))


def test_pieces_that_do_not_follow_each_other_are_not_joined():
    network = random_network(CLOCKED_CHIP, 1)
    runs = list(stream(network, random_counts(network, 1), chunk_steps=3))
    with pytest.raises(Refusal, match="run 1 begins at step 6; step 3, where the run before it ended"):
        join_steps([runs[0], runs[2]])
    with pytest.raises(Refusal, match="none is given"):
        join_steps([])


# --- sources ----------------------------------------------------------------------------------------------------------


def one_input(seed=4, **options):
    network = random_network(CLOCKED_CHIP, seed)
    (x,) = random_counts(network, seed, **options).values()
    return network, x.astype(np.uint8)


@pytest.mark.parametrize("source", ["array", "map", "npy", "npz", "data", "list", "iterator", "mapping"])
def test_every_source_gives_the_same(source, tmp_path):
    network, x = one_input(steps=11)
    if source in {"map", "npy"}:
        np.save(tmp_path / "x.npy", x)
    counted = data(x, layout="time,batch,channel", dt_s=0.01)
    save_data(tmp_path / "x.npz", counted)
    made = {
        "array": lambda: x,
        "map": lambda: np.load(tmp_path / "x.npy", mmap_mode="r"),
        "npy": lambda: tmp_path / "x.npy",
        "npz": lambda: str(tmp_path / "x.npz"),
        "data": lambda: counted,
        "list": lambda: [x[:1], x[1:8], x[8:8], x[8:]],
        "iterator": lambda: (x[t : t + 1].tolist() for t in range(11)),
        "mapping": lambda: {network.inputs()[0].name: x},
    }
    runs = list(stream(network, made[source](), chunk_steps=4))
    assert max(len(r.output) for r in runs[:-1]) == (1 if source == "iterator" else 4)
    equal(join_steps(runs), simulate(network, x))


def test_without_a_length_a_piece_is_what_fits_into_some_megabytes(monkeypatch):
    network, x = one_input(steps=50)
    assert [len(r.output) for r in stream(network, x, drain=0)] == [50]
    monkeypatch.setattr("neurodeploy.streams.runs.AT_ONCE", 1)
    assert [len(r.output) for r in stream(network, x[:3], drain=0)] == [1, 1, 1]


def test_an_iterator_is_asked_for_no_more_than_is_simulated():
    network, x = one_input()
    asked = []

    def sensor():
        for t in range(len(x)):
            asked.append(t)
            yield x[t : t + 1]

    runs = stream(network, sensor())
    assert asked == []
    next(runs)
    assert asked == [0]
    next(runs)
    assert asked == [0, 1]


def test_progress_counts_through():
    network, x = one_input(steps=7)
    steps = []
    runs = list(stream(network, x, chunk_steps=3, progress=steps.append))
    assert steps == list(range(7 + runs[0].latency))
    assert len(steps) > 7


def camera(width=8, height=6, channels=2):
    pixels = group(EVENT_CHIP, "in", "pixel", (channels, height, width))
    geometry = Convolution(pixels.shape, (2, channels, 3, 3), padding=(1, 1))
    units = group(EVENT_CHIP, "out", "unit", geometry.target, threshold_high=30, threshold_low=-30)
    weights = np.random.default_rng(0).integers(-20, 40, geometry.kernel)
    return place_identity(
        Network(EVENT_CHIP, (pixels, units), (convolution(EVENT_CHIP, "convolve", pixels, units, geometry, w=weights),))
    )


def written(folder, name, events):
    path = folder / f"events{name}"
    t = events.table
    if name == ".npz":
        save_events(path, events)
    elif name == ".csv":
        path.write_text("t_us,x,y,p\n" + "".join(f"{r['t_us']},{r['x']},{r['y']},{r['p']}\n" for r in t))
    else:
        word = t["p"] << 23 | t["t_us"]
        columns = [t["x"], t["y"], word >> 16 & 255, word >> 8 & 255, word & 255]
        path.write_bytes(np.stack(columns, axis=1).astype(np.uint8).tobytes())
    return path


@pytest.mark.parametrize("name", [".npz", ".csv", ".bin", None])
def test_files_of_events_are_read_while_they_are_simulated(name, tmp_path, monkeypatch):
    network, events = camera(), moving_edge(300, width=8, height=6, duration_us=20_000)
    late = events.shifted(3000)
    whole = simulate(network, stimulus(late, 1000))
    assert whole.output.any()
    monkeypatch.setattr("neurodeploy.events.blocks.AT_ONCE", 37)
    source = late if name is None else written(tmp_path, name, late)
    runs = list(stream(network, source, dt_us=1000, chunk_steps=2))
    assert [len(r.output) for r in runs[:-1]].count(2) >= 11
    equal(join_steps(runs), whole)


@pytest.mark.parametrize("name", [".npz", ".csv", ".bin"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_blocks_of_events_are_the_file(name, size, tmp_path):
    events = moving_edge(50, width=8, height=6, duration_us=2000)
    path = written(tmp_path, name, events)
    blocks = list(event_blocks(path, width=8, height=6, at_once=size))
    assert len(blocks) == -(-50 // size)
    stated = {} if name == ".npz" else {"width": 8, "height": 6}
    assert np.array_equal(np.concatenate([b.table for b in blocks]), load_events(path, **stated).table)


def test_a_fault_in_a_late_block_names_its_place_in_the_file(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("t_us,x,y,p\n0,0,0,0\n5,1,1,1\n4,0,0,1\n9,0,0,0\n")
    with pytest.raises(Refusal, match=r"events\[2\]: t_us = 4; .*sort the events by time"):
        list(event_blocks(path, width=8, height=6, at_once=2))
    path.write_text("t_us,x,y,p\n0,0,0,0\n5,1,1,1\n6,0,0,1\n9,99,0,0\n")
    with pytest.raises(Refusal, match=r"events\[3\]: x = 99"):
        list(event_blocks(path, width=8, height=6, at_once=2))


def test_events_reach_a_clocked_chip_as_counts():
    network = random_network(CLOCKED_CHIP, 4)
    size = network.inputs()[0].size
    rng = np.random.default_rng(0)
    given_events = Stimulus(6, 1, np.sort(rng.integers(0, 6, 9)), np.zeros(9, np.int64), rng.integers(0, size, 9))
    runs = list(stream(network, given_events, chunk_steps=4))
    equal(join_steps(runs), simulate(network, given_events.counts(network.inputs())))


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_wrong_options_are_refused_before_anything_runs():
    network, x = one_input()
    with pytest.raises(Refusal, match="chunk_steps = 0; a number of steps, 1 or more, or None") as caught:
        stream(network, x, chunk_steps=0, drain=-1, dt_us=True)
    assert [f.was for f in caught.value.faults] == ["chunk_steps = 0", "drain = -1", "dt_us = True"]
    with pytest.raises(Refusal, match="dt_us for counts, which are binned already"):
        stream(network, x, dt_us=1000)
    with pytest.raises(Refusal, match=r"events without the length of a step; .*dt_us=1000 bins them"):
        stream(camera(), moving_edge(10, width=8, height=6))
    with pytest.raises(Refusal, match="a source of type int"):
        stream(network, 7)


def test_pieces_that_do_not_fit_are_refused_with_their_place():
    network, x = one_input(batch=2)
    assert "piece 1, step 3: a batch of 1; a batch of 2, as the pieces before it" in refusal(
        network, [x[:3], x[:3, :1]]
    )
    assert "(time, batch, ...) arrays" in refusal(network, [x[0, 0]])
    assert "nothing came in; at least one piece" in refusal(network, iter(()))
    assert "rows of different lengths" in refusal(network, [[[1, 2], [3]]])
    runs = stream(network, [x[:2], np.full_like(x[:2], 200)])
    next(runs)
    with pytest.raises(Refusal, match="200 events at step 0, sample 0, channel 0"):
        next(runs)


def test_a_sensor_of_another_size_is_refused(tmp_path):
    events = moving_edge(10, width=8, height=7)
    words = "events of a sensor 8 wide and 7 high; one input group of shape (channel, 7, 8)"
    assert words in refusal(camera(), events, dt_us=1000)
    assert words in refusal(camera(), written(tmp_path, ".npz", events), dt_us=1000)


def test_files_that_cannot_be_read_in_pieces_are_refused(tmp_path):
    network, x = one_input(steps=5)
    place = tmp_path / "x.npy"
    np.save(place, np.asfortranarray(x))
    assert "an array that lies by columns; rows one after the other; save np.ascontiguousarray" in refusal(
        network, place
    )
    np.save(place, x[:, 0])
    assert "(time, batch, channel) whole numbers" in refusal(network, place)
    np.save(place, x.astype(float))
    assert "type float64" in refusal(network, place)
    np.save(place, np.array([[[{}]]]), allow_pickle=True)
    assert "it holds pickled objects" in refusal(network, place)
    place.write_bytes(b"\x80\x04.")
    assert "this is a pickle" in refusal(network, place)
    assert "there is no such file" in refusal(network, tmp_path / "none.npy")
    np.save(place, x)
    place.write_bytes(place.read_bytes()[:-1])
    assert "damaged or truncated" in refusal(network, place)
    turned = tmp_path / "turned.npz"
    np.savez(turned, input=x, layout="batch,time,channel", dt_s=0.01, schema_version=1)
    assert "time and batch first" in refusal(network, turned)
    np.savez(turned, input=x, dt_s=0.01, schema_version=1)
    assert "the layout of an array of shape" in refusal(network, turned)


def test_a_damaged_file_is_refused_at_its_end_where_its_checksum_is_met(tmp_path):
    x = np.zeros((9000, 1, 3), np.uint8)
    place = tmp_path / "x.npz"
    save_data(place, data(x, layout="time,batch,channel", dt_s=0.01))
    assert np.array_equal(np.concatenate(list(open_counts(place).blocks(1000))), x)
    content = bytearray(place.read_bytes())
    content[content.find(x.tobytes()) + 20_000] ^= 1
    place.write_bytes(bytes(content))
    blocks = open_counts(place).blocks(1000)
    assert sum(next(blocks).sum() for _ in range(8)) == 1
    with pytest.raises(Refusal, match="damaged or truncated"):
        list(blocks)


# --- memory -----------------------------------------------------------------------------------------------------------


def peak(network, source, **options):
    """Most bytes that a stream holds at once, and its output events."""
    tracemalloc.start()
    total = sum(int(run.output.sum()) for run in stream(network, source, **options))
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return held, total


@pytest.mark.parametrize("form", [".npy", ".npz"])
def test_memory_does_not_grow_with_length(form, tmp_path):
    network, x = one_input(batch=1000, steps=10)
    peaks, totals = {}, {}
    for times in (1, 5):
        place, repeated = tmp_path / f"{times}{form}", np.tile(x, (times, 1, 1))
        if form == ".npy":
            np.save(place, repeated)
        else:
            save_data(place, data(repeated, layout="time,batch,channel", dt_s=1))
        peaks[times], totals[times] = peak(network, place, chunk_steps=2)
    whole, total = peak(network, repeated, chunk_steps=50)
    assert totals[5] == total > totals[1] > 0
    assert peaks[5] < 1.1 * peaks[1]
    assert whole > 4 * peaks[5]


# --- ten million steps ------------------------------------------------------------------------------------------------

ALONE = """
import resource, sys
import numpy as np
from neurodeploy.network import load_network
from neurodeploy.streams import stream

events, steps = 0, 0
for run in stream(load_network("network.npz"), "input.npy", executor="numba", keep="outputs"):
    events, steps = events + int(run.output.sum()), run.final.step
print(steps, events, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def recurrent(inputs=16, hidden=1000, outputs=8, fan_out=32):
    """Dense input and output, and so many recurrent synapses of each hidden neuron."""
    c, rng = chip("xylo_audio3"), np.random.default_rng(0)
    decays = {"dash_mem": 4, "dash_syn1": 3}
    channels = group(c, "in", "channel", inputs)
    cells = group(c, "hidden", "hidden", hidden, threshold=rng.integers(2000, 6000, hidden), **decays)
    readout = group(c, "out", "output", outputs, threshold=3000, **decays)
    linked = rng.permuted(np.tile(np.arange(hidden) < fan_out, (hidden, 1)), axis=1)
    pieces = (
        projection(c, "in", channels, cells, w1=rng.integers(-40, 128, (inputs, hidden))),
        projection(c, "rec", cells, cells, w1=rng.integers(-60, 61, (hidden, hidden)) * linked),
        projection(c, "out", cells, readout, w1=rng.integers(-40, 60, (hidden, outputs))),
    )
    return place_identity(Network(c, (channels, cells, readout), pieces))


def sparse_input(place, steps, rate=0.01):
    """A file of (time, 1, 16) events, written without being held."""
    rng, at_once = np.random.default_rng(1), 1 << 17
    parts = ((rng.random((min(at_once, steps - t), 1, 16)) < rate).astype(np.uint8) for t in range(0, steps, at_once))
    with place.open("wb") as file:
        npz.Blocks((steps, 1, 16), np.dtype(np.uint8), parts).write(file)


def alone(folder):
    """Steps, output events and peak bytes of a process that does nothing else."""
    environment = os.environ | {"PYTHONPATH": str(Path(npz.__file__).parent.parent)}
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", ALONE], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return map(int, done.stdout.split())


@pytest.mark.slow
def test_ten_million_steps_take_less_than_a_gigabyte(tmp_path):
    pytest.importorskip("numba")
    network, steps = recurrent(), 10_000_000
    save_network(network, tmp_path / "network.npz")
    sparse_input(tmp_path / "input.npy", steps)
    taken, events, held = alone(tmp_path)
    first = next(open_counts(tmp_path / "input.npy").blocks(300))
    runs = (simulate(network, first, executor=e, record="v") for e in ("numba", "numpy"))
    equal(*(replace(r, executor="") for r in runs))
    assert taken == steps + next(stream(network, first)).latency
    assert events > 1000
    assert held < 10**9
