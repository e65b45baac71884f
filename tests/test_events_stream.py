"""Single events: checks, cuts, bins, rasters, files of four formats, and a made-up recording."""

import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodeploy.errors import Missing, Refusal
from neurodeploy.events import Events, from_raster, load_events, moving_edge, save_events, single_events, stimulus


def drawn(seed, count=200, width=9, height=5):
    rng = np.random.default_rng(seed)
    t_us = np.sort(rng.integers(0, 5000, count))
    places = rng.integers(0, width, count), rng.integers(0, height, count), rng.integers(0, 2, count)
    return single_events(t_us, *places, width=width, height=height)


def some(**changes):
    columns = {"t_us": [0, 10, 10, 30], "x": [0, 4, 2, 1], "y": [2, 0, 1, 1], "p": [0, 1, 1, 0]}
    return single_events(**(columns | changes), width=5, height=3)


def refusal(call, *arguments, **options):
    with pytest.raises(Refusal) as caught:
        call(*arguments, **options)
    return caught.value


def equal(a, b):
    return np.array_equal(a.table, b.table) and (a.width, a.height) == (b.width, b.height)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": [0, 5, 2, 1]}, "events[1]: x = 5"),
        ({"y": [2, 0, 3, 3]}, "events[2]: y = 3 (the first of 2)"),
        ({"p": [0, -1, 1, 0]}, "events[1]: p = -1"),
        ({"t_us": [0, 10, 9, 30]}, "events[2]: t_us = 9; whole numbers, with t_us never falling"),
        ({"t_us": [0.0, 1.5, 2.0, 3.0]}, "t_us: type float64; whole numbers"),
        ({"x": [1, 2]}, "x: shape (2,); (event,), 4 as in t_us"),
    ],
)
def test_events_are_checked(changes, words):
    refused = refusal(some, **changes)
    assert refused.code == "ND1502"
    assert words in str(refused)
    assert len(some()) == 4


def test_all_columns_are_reported_at_once():
    assert len(refusal(some, x=[9] * 4, y=[9] * 4, p=[9] * 4).faults) == 3


def test_between_takes_the_beginning_and_leaves_the_end():
    assert some().between(10, 30).t_us.tolist() == [10, 10]
    assert len(some().between(30, 10)) == 0
    assert some().between(10, 31).shifted(-10).t_us.tolist() == [0, 0, 20]


def test_a_cut_moves_its_corner_to_the_origin():
    part = some().cut(1, 0, 4, 2)
    assert (part.width, part.height) == (4, 2)
    assert list(zip(part.table["x"].tolist(), part.table["y"].tolist(), strict=True)) == [(3, 0), (1, 1), (0, 1)]
    assert refusal(some().cut, 1, 0, 5, 2).code == "ND1503"


def test_pooling_divides_addresses_and_keeps_every_event():
    wide = single_events([0, 1, 2], [0, 3, 5], [0, 1, 3], [0, 1, 1], width=6, height=4)
    pooled = wide.pooled(3, 2)
    assert (pooled.width, pooled.height, len(pooled)) == (2, 2, 3)
    assert (pooled.table["x"].tolist(), pooled.table["y"].tolist()) == ([0, 1, 1], [0, 0, 1])
    assert "6 pixels pooled by 4; a divisor" in str(refusal(wide.pooled, 4, 2))


def test_mirrors_turn_columns_rows_and_both():
    one = single_events([0], [1], [2], [1], width=5, height=4)
    assert [tuple(e) for e in one.mirrored(x=True).table.tolist()] == [(0, 3, 2, 1)]
    assert [tuple(e) for e in one.mirrored(y=True).table.tolist()] == [(0, 1, 1, 1)]
    turned = one.mirrored(diagonal=True)
    assert [tuple(e) for e in turned.table.tolist()] == [(0, 2, 1, 1)]
    assert (turned.width, turned.height) == (4, 5)


def test_counts_stand_in_step_channel_row_column():
    counts = some().to_counts(10)
    assert counts.shape == (4, 2, 3, 5)
    assert np.argwhere(counts).tolist() == [[0, 0, 2, 0], [1, 1, 0, 4], [1, 1, 1, 2], [3, 0, 1, 1]]
    assert some().merged().to_counts(10, channels=1).shape == (4, 1, 3, 5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dt_us": 10, "steps": 3}, "t_us = 30, and 0 more such events; 3 steps of 10 us from 0 us on"),
        ({"dt_us": 10, "start_us": 5}, "t_us = 0, and 0 more such events; from 5 us on"),
        ({"dt_us": 0}, "dt_us: 0; a whole number from 1"),
        ({"dt_us": 10, "channels": 1}, "events[1]: p = 1 of one channel; p = 0; take merged() first"),
    ],
)
def test_nothing_is_dropped_silently(options, words):
    assert words in str(refusal(some().to_counts, **options))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), channels=st.integers(1, 2))
def test_raster_to_events_and_back_is_the_same_raster(seed, channels):
    rng = np.random.default_rng(seed)
    raster = rng.poisson(0.3, (int(rng.integers(1, 6)), channels, 3, 4))
    back = from_raster(raster, 100)
    assert np.array_equal(back.to_counts(100, len(raster), channels=channels), raster)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_events_to_raster_and_back_keep_step_and_place(seed):
    before = drawn(seed)
    after = from_raster(before.to_counts(100), 100)
    keys = [
        np.sort((e.t_us // 100) * 1000 + e.table["p"] * 100 + e.table["y"] * 10 + e.table["x"]) for e in (before, after)
    ]
    assert np.array_equal(*keys)


def test_a_raster_is_read_by_step_channel_row_column_with_equal_events_together():
    raster = np.zeros((2, 2, 2, 2), int)
    raster[1, 0, 0, 1], raster[1, 0, 1, 0], raster[0, 1, 1, 1], raster[1, 1, 0, 0] = 2, 1, 1, 1
    assert from_raster(raster, 50).table.tolist() == [
        (0, 1, 1, 1),
        (50, 1, 0, 0),
        (50, 1, 0, 0),
        (50, 0, 1, 0),
        (50, 0, 0, 1),
    ]


@pytest.mark.parametrize("raster", [np.zeros((2, 3)), np.full((1, 1, 1, 1), -1), np.zeros((1, 3, 2, 2), int)])
def test_what_is_no_raster_is_refused(raster):
    assert refusal(from_raster, raster, 10).code == "ND1502"


def test_a_stimulus_keeps_every_event_in_its_order():
    given_input = stimulus([some(), some().between(10, 31)], 10)
    assert (given_input.steps, given_input.batch) == (4, 2)
    assert given_input.neuron.tolist()[:4] == [2 * 5 + 0, 15 + 4, 15 + 5 + 2, 5 + 1]
    assert given_input.step.tolist() == [0, 1, 1, 3, 1, 1, 3]
    assert given_input.sample.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert given_input.t_us.tolist()[4:] == [10, 10, 30]
    assert "sensors of" in str(refusal(stimulus, [some(), drawn(0)], 10))


# --- files ------------------------------------------------------------------------------------------------------------


def test_npz_round_trip_and_equal_bytes(tmp_path):
    one = drawn(1)
    save_events(tmp_path / "a.npz", one)
    save_events(tmp_path / "b.npz", one)
    assert equal(load_events(tmp_path / "a.npz"), one)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_an_npz_of_other_content_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", t_us=[0], x=[0], y=[0], p=[0])
    assert "exactly height, p, schema_version" in str(refusal(load_events, tmp_path / "a.npz"))
    save_events(tmp_path / "b.npz", some())
    arrays = dict(np.load(tmp_path / "b.npz"))
    np.savez(tmp_path / "c.npz", **(arrays | {"schema_version": np.array(2)}))
    assert refusal(load_events, tmp_path / "c.npz").code == "ND1404"
    np.savez(tmp_path / "d.npz", **(arrays | {"width": np.array(2)}))
    assert "events[1]: x = 4" in str(refusal(load_events, tmp_path / "d.npz"))


def test_csv_is_read(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("t_us,x,y,p\n" + "\n".join(",".join(map(str, row)) for row in some().table.tolist()) + "\n")
    assert equal(load_events(file, width=5, height=3), some())
    assert "does not state the sensor" in str(refusal(load_events, file))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty; the line t_us,x,y,p"),
        ("x,y\n", "the first line is 'x,y'"),
        ("t_us,x,y,p\n1,2,3,1\n1,2\n", "line 3: '1,2'; four whole numbers"),
        ("t_us,x,y,p\n1,2,0.5,1\n", "line 2: '1,2,0.5,1'"),
    ],
)
def test_a_damaged_csv_says_where(tmp_path, text, words):
    (tmp_path / "a.csv").write_text(text)
    assert words in str(refusal(load_events, tmp_path / "a.csv", width=5, height=5))


def test_forty_bit_records_are_column_row_polarity_and_23_bits_of_time(tmp_path):
    file = tmp_path / "00001.bin"
    file.write_bytes(bytes([33, 2, 0x80, 0x01, 0x02]) + bytes([0, 31, 0x7F, 0xFF, 0xFF]))
    read = load_events(file, width=34, height=34)
    assert read.table.tolist() == [(0x0102, 33, 2, 1), (0x7FFFFF, 0, 31, 0)]
    file.write_bytes(bytes(7))
    assert "7 bytes; whole records of 5 bytes" in str(refusal(load_events, file, width=34, height=34))
    file.write_bytes(bytes([0, 0, 0, 1, 0]) + bytes([0, 0, 0, 0, 9]))
    assert "events[1]: t_us = 9" in str(refusal(load_events, file, width=34, height=34))


def test_aedat4_without_its_library_names_the_line_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aedat", None)
    (tmp_path / "a.aedat4").write_bytes(b"")
    with pytest.raises(Missing, match=r'pip install "neurodeploy\[aedat\]"') as caught:
        load_events(tmp_path / "a.aedat4")
    assert caught.value.exit_status == 3


class Decoder:
    """What the library gives: streams by number, then packets."""

    streams = {0: {"type": "events", "width": 5, "height": 3}, 1: {"type": "imus"}}  # noqa: RUF012 - one for all

    def __init__(self, _):
        pass

    def id_to_stream(self):
        return self.streams

    def __iter__(self):
        table = some().table
        fields = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])
        packet = np.array([tuple(e) for e in table.tolist()], fields)
        yield from ({"stream_id": 0, "events": packet[:2]}, {"stream_id": 1}, {"stream_id": 0, "events": packet[2:]})


def test_aedat4_packets_are_joined(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aedat", types.SimpleNamespace(Decoder=Decoder))
    assert equal(load_events(tmp_path / "a.aedat4"), some())
    assert "a sensor is given" in str(refusal(load_events, tmp_path / "a.aedat4", width=5, height=3))
    monkeypatch.setattr(Decoder, "streams", {})
    assert "0 event streams; exactly one" in str(refusal(load_events, tmp_path / "a.aedat4"))


def test_unknown_and_missing_files_are_refused(tmp_path):
    assert "a file .dat; one of .npz, .csv, .bin, .aedat4" in str(refusal(load_events, tmp_path / "a.dat"))
    for name in ("a.csv", "a.bin"):
        assert refusal(load_events, tmp_path / name, width=1, height=1).code == "ND1401"


# --- a made-up recording ----------------------------------------------------------------------------------------------


def test_the_moving_edge_is_as_asked_and_seeded():
    edge = moving_edge()
    assert (len(edge), edge.width, edge.height) == (100_000, 128, 128)
    assert isinstance(edge, Events)
    assert equal(edge, moving_edge())
    assert not equal(edge, moving_edge(seed=1))


def test_the_edge_moves_to_the_right_and_its_back_follows():
    edge = moving_edge(20_000, width=64, height=32)
    columns = [np.median(edge.between(a, a + 100_000).table["x"]) for a in range(100_000, 800_000, 100_000)]
    assert columns == sorted(columns)
    middle = edge.between(450_000, 500_000).table
    front, back = (np.median(middle["x"][middle["p"] == p]) for p in (1, 0))
    assert front > back + 4


@pytest.mark.parametrize("options", [{"count": 0}, {"width": 1}, {"seed": -1}, {"duration_us": 0.5}])
def test_impossible_recordings_are_refused(options):
    assert refusal(moving_edge, **options).code == "ND1503"
