"""Count data: nothing is guessed, nothing repaired, and equal content has equal bytes."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurodeploy.errors import Refusal
from neurodeploy.events import (
    Data,
    data,
    encode_delta,
    encode_frames,
    encode_latency,
    encode_rate,
    load_data,
    save_data,
    split_stratified,
)

COUNTS = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)  # 3 steps, 2 samples, 4 channels
LAYOUT = "time,batch,channel"


def refused(action, *codes):
    with pytest.raises(Refusal) as caught:
        action()
    assert tuple(fault.code for fault in caught.value.faults) == codes
    return caught.value


def assert_same(one, other):
    for field in dataclasses.fields(Data):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert (a is None) == (b is None)
        np.testing.assert_array_equal(a, b)
    assert one.input.dtype == other.input.dtype
    assert one.sample_id.dtype.kind == other.sample_id.dtype.kind


# --- building -----------------------------------------------------------------------------------------------------


def test_data_states_steps_batch_and_shape():
    made = data(COUNTS, layout=LAYOUT, dt_s=0.001, label=[1, 0])
    assert (made.steps, made.batch, made.shape, made.dt_s) == (3, 2, (4,), 0.001)
    assert made.layout == LAYOUT
    assert made.label.tolist() == [1, 0]
    assert made.sample_id.tolist() == [0, 1]


def test_batch_first_is_moved_behind_time():
    made = data(COUNTS.transpose(1, 0, 2).copy(), layout="batch, time, channel", dt_s=0.001)
    np.testing.assert_array_equal(made.input, COUNTS)
    assert made.layout == LAYOUT
    assert made.input.flags.c_contiguous


def test_time_last_is_moved_to_the_front():
    made = data(COUNTS.transpose(1, 2, 0), layout="batch,channel,time", dt_s=0.001)
    np.testing.assert_array_equal(made.input, COUNTS)
    assert made.layout == LAYOUT


def test_a_layout_that_is_not_stated_is_refused_with_both_lines():
    refusal = refused(lambda: data(COUNTS, dt_s=0.001), "ND1501")
    assert str(refusal) == (
        "layout: the layout of an array of shape (3, 2, 4) is not stated; lengths do not tell time from batch; write\n"
        '    data(input, layout="time,batch,channel", dt_s=SECONDS_PER_STEP)\n'
        "if axis 0 (length 3) is time, or\n"
        '    data(input, layout="batch,time,channel", dt_s=SECONDS_PER_STEP)\n'
        "if it is the batch. [ND1501]"
    )


def test_the_line_names_as_many_axes_as_the_array_has():
    for rank in range(2, 8):
        for line in refused(lambda rank=rank: data(np.ones((1,) * rank, int), dt_s=1), "ND1501").values["lines"]:
            names = {"data": data, "input": np.ones((1,) * rank, int), "SECONDS_PER_STEP": 1}
            assert eval(line, names).steps == 1  # noqa: S307 - our own line


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("time,batch", "names 2 axes; the array has 3"),
        ("time,channel,row", "has no batch axis"),
        ("step,batch,channel", "has no time axis"),
        ("time,batch,batch", "contains 'batch' twice"),
        ("time,batch,Channel 1", "contains the name 'Channel 1'"),
        ("", "is not stated"),
        (("time", "batch", "channel"), "a string such as"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(layout, words):
    assert words in str(refused(lambda: data(COUNTS, layout=layout, dt_s=0.001), "ND1501"))


def test_one_axis_is_refused():
    assert "at least a time and a batch axis" in str(
        refused(lambda: data(np.arange(3), layout="time", dt_s=1), "ND1501")
    )


@pytest.mark.parametrize("dt_s", [0, -0.001, float("nan"), float("inf"), True, "0.001"])
def test_a_step_that_is_no_positive_number_is_refused(dt_s):
    refusal = refused(lambda: data(COUNTS, layout=LAYOUT, dt_s=dt_s), "ND1502")
    assert f"dt_s: {dt_s!r}; seconds per time step, a finite number above 0" in str(refusal)


def test_a_step_that_is_not_stated_is_refused():
    assert "write for instance dt_s=0.001" in str(refused(lambda: data(COUNTS, layout=LAYOUT), "ND1502"))


@pytest.mark.parametrize(
    ("values", "dtype"), [(255, np.uint8), (256, np.uint16), (65536, np.uint32), (2**32, np.uint64)]
)
def test_other_types_become_the_smallest_that_holds_the_counts(values, dtype):
    for counts in (np.full((2, 2), values), np.full((2, 2), float(values))):
        made = data(counts, layout="time,batch", dt_s=1)
        assert made.input.dtype == dtype
        assert (made.input == values).all()


def test_unsigned_types_stay_and_booleans_count():
    assert data(COUNTS.astype(np.uint32), layout=LAYOUT, dt_s=1).input.dtype == np.uint32
    made = data(COUNTS > 3, layout=LAYOUT, dt_s=1)
    assert made.input.dtype == np.uint8
    assert made.input.sum() == 20


@pytest.mark.parametrize(
    ("value", "words"), [(-1, "-1.0 is negative"), (0.5, "0.5 is fractional"), (np.nan, "nan is not a finite number")]
)
def test_the_first_value_that_is_no_count_is_named(value, words):
    counts = COUNTS.astype(float)
    counts[1, 1, 2] = counts[2, 0, 0] = value
    refusal = refused(lambda: data(counts, layout=LAYOUT, dt_s=1), "ND1502")
    assert str(refusal).startswith(f"input[time 1, batch 1, channel 2]: {words} (the first of 2); ")
    assert refusal.values["index"] == (1, 1, 2)


def test_counts_that_leave_int64_are_refused():
    for counts in (np.full((1, 1), 2**63, np.uint64), np.full((1, 1), 2.0**63, np.float32)):
        refusal = refused(lambda counts=counts: data(counts, layout="time,batch", dt_s=1), "ND1502")
        assert "is above int64" in str(refusal)
    assert data(np.full((1, 1), 2**63 - 1, np.uint64), layout="time,batch", dt_s=1).input[0, 0] == 2**63 - 1


@pytest.mark.parametrize("counts", [COUNTS.astype(str), COUNTS.astype(complex), COUNTS.astype(object)])
def test_types_that_are_no_numbers_are_refused(counts):
    assert f"input: type {counts.dtype}" in str(refused(lambda: data(counts, layout=LAYOUT, dt_s=1), "ND1502"))


def test_lists_of_unequal_length_are_refused():
    refusal = refused(lambda: data([[1, 2], [3]], layout="time,batch", dt_s=1), "ND1502")
    assert "the nested lists differ in length" in str(refusal)


def test_an_axis_of_length_zero_is_refused():
    assert "holds nothing" in str(refused(lambda: data(COUNTS[:0], layout=LAYOUT, dt_s=1), "ND1502"))


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"label": [1, 0, 1]}, "label: 3 entries; the batch has 2 samples"),
        ({"label": [[1, 0]]}, "label: shape (1, 2)"),
        ({"label": [1.0, 0.0]}, "label: type float64; labels are integers"),
        ({"sample_id": [1]}, "sample_id: 1 entries; the batch has 2 samples"),
        ({"sample_id": ["a", "a"]}, "sample_id: 'a' occurs 2 times; every sample has an id of its own"),
        ({"sample_id": [b"a", b"b"]}, "sample_id: type |S1; ids are integers or strings"),
    ],
)
def test_labels_and_ids_that_do_not_fit_are_refused(part, words):
    assert words in str(refused(lambda: data(COUNTS, layout=LAYOUT, dt_s=1, **part), "ND1502"))


def test_all_faults_come_at_once():
    counts = COUNTS.astype(float)
    counts[0, 0, 0], counts[0, 0, 1] = -1, 0.5
    codes = ("ND1502",) * 5
    refusal = refused(lambda: data(counts, layout=LAYOUT, dt_s=0, label=[1], sample_id=[7, 7]), *codes)
    places = [fault.where for fault in refusal.faults]
    ends = ["dt_s", "input[time 0, batch 0, channel 1]", "input[time 0, batch 0, channel 0]", "label", "sample_id"]
    assert places == ends


def test_data_itself_converts_nothing():
    ids = np.arange(2)
    assert Data(COUNTS, None, ids, 1.0, LAYOUT).batch == 2
    refused(lambda: Data(COUNTS.astype(int), None, ids, 1.0, LAYOUT), "ND1502")
    refused(lambda: Data(COUNTS, [0, 1], ids, 1.0, LAYOUT), "ND1502")
    refused(lambda: Data(COUNTS, None, None, 1.0, LAYOUT), "ND1502")
    refused(lambda: Data(COUNTS, None, ids.astype(np.int32), 1.0, LAYOUT), "ND1502")
    refused(lambda: Data(COUNTS, None, np.arange(3), 1.0, "batch,time,channel"), "ND1501")


def test_a_subset_keeps_labels_and_ids_with_their_samples():
    made = data(COUNTS, layout=LAYOUT, dt_s=1, label=[5, 6], sample_id=["a", "b"])
    part = made.subset([1])
    np.testing.assert_array_equal(part.input, COUNTS[:, 1:])
    assert (part.label.tolist(), part.sample_id.tolist()) == ([6], ["b"])
    assert made.subset([1, 0]).sample_id.tolist() == ["b", "a"]


@pytest.mark.parametrize(
    ("indices", "words"),
    [
        ([], "no sample is chosen"),
        ([0, 2], "indices[1]: 2 is outside the batch"),
        ([-1], "indices[0]: -1 is outside the batch"),
        ([True, False], "np.flatnonzero(mask)"),
        ([0, 0], "0 occurs 2 times"),
    ],
)
def test_a_subset_of_other_positions_is_refused(indices, words):
    made = data(COUNTS, layout=LAYOUT, dt_s=1)
    assert words in str(refused(lambda: made.subset(indices), "ND1502"))


# --- files --------------------------------------------------------------------------------------------------------


@st.composite
def any_data(draw):
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=5, max_side=4))
    names = ("time", "batch", "channel", "row", "column")[: len(shape)]
    counts = draw(hnp.arrays(draw(hnp.unsigned_integer_dtypes(endianness="=")), shape))
    label = draw(st.none() | hnp.arrays(np.int64, shape[1]))
    text = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=5)
    one_id = draw(st.sampled_from([st.integers(-(2**63), 2**63 - 1), text]))
    ids = draw(st.lists(one_id, min_size=shape[1], max_size=shape[1], unique=True))
    dt_s = draw(st.floats(1e-9, 10))
    counts = np.minimum(counts, np.asarray(min(np.iinfo(counts.dtype).max, 2**63 - 1), dtype=counts.dtype))
    return data(counts, layout=",".join(names), dt_s=dt_s, label=label, sample_id=ids)


@settings(max_examples=60, deadline=None)
@given(made=any_data())
def test_what_was_saved_is_loaded(tmp_path_factory, made):
    path = tmp_path_factory.getbasetemp() / "round.npz"
    save_data(path, made)
    once = path.read_bytes()
    loaded = load_data(path)
    assert_same(made, loaded)
    save_data(path, loaded)
    assert path.read_bytes() == once


def test_equal_content_has_equal_bytes(tmp_path):
    ids = ["first", "second"]
    made = data(COUNTS, layout=LAYOUT, dt_s=0.001, label=[0, 1], sample_id=ids)
    wide = data(COUNTS, layout=LAYOUT, dt_s=0.001, label=[0, 1, 2][:2], sample_id=np.array(ids, dtype="U40"))
    swapped = data(COUNTS.transpose(1, 0, 2), layout="batch,time,channel", dt_s=0.001, label=[0, 1], sample_id=ids)
    subset = data(COUNTS[:, [1, 0]], layout=LAYOUT, dt_s=0.001, label=[1, 0], sample_id=ids[::-1]).subset([1, 0])
    three = data(COUNTS[:, [0, 1, 1]], layout=LAYOUT, dt_s=0.001, label=[0, 1, 1], sample_id=[*ids, "third and long"])
    contents = set()
    for number, one in enumerate((made, wide, swapped, subset, three.subset([0, 1]))):
        save_data(tmp_path / f"{number}.npz", one)
        contents.add((tmp_path / f"{number}.npz").read_bytes())
    assert len(contents) == 1
    save_data(tmp_path / "other.npz", data(COUNTS, layout=LAYOUT, dt_s=0.002, label=[0, 1], sample_id=ids))
    assert (tmp_path / "other.npz").read_bytes() not in contents


FILE = {"input": COUNTS, "dt_s": np.array(0.001), "layout": np.array(LAYOUT), "schema_version": np.array(1)}


def file_of(tmp_path, changes=None, without=()):
    path = tmp_path / "d.npz"
    np.savez(path, **{name: array for name, array in (FILE | (changes or {})).items() if name not in without})
    return path


def test_a_file_written_by_numpy_is_loaded(tmp_path):
    loaded = load_data(file_of(tmp_path, {"label": np.array([3, 4])}))
    np.testing.assert_array_equal(loaded.input, COUNTS)
    assert (loaded.label.tolist(), loaded.sample_id.tolist(), loaded.dt_s) == ([3, 4], [0, 1], 0.001)


def test_a_file_of_another_stated_layout_is_transposed(tmp_path):
    path = file_of(tmp_path, {"input": COUNTS.transpose(1, 0, 2), "layout": np.array("batch,time,channel")})
    loaded = load_data(path)
    np.testing.assert_array_equal(loaded.input, COUNTS)
    assert loaded.layout == LAYOUT


def test_the_line_for_a_file_without_layout_writes_a_file_that_loads(tmp_path):
    path = file_of(tmp_path, {"label": np.array([3, 4])}, without=("layout", "schema_version"))
    refusal = refused(lambda: load_data(path), "ND1501", "ND1404")
    lines = refusal.values["lines"]
    call = 'data(f["input"], layout="time,batch,channel", dt_s=f["dt_s"].item(), label=f["label"])'
    assert lines[0] == f"f = dict(np.load({str(path)!r})); save_data({str(path)!r}, {call})"
    assert all(line in str(refusal) for line in lines)
    exec(lines[0], {"np": np, "data": data, "save_data": save_data})  # noqa: S102 - the line is what is tested
    loaded = load_data(path)
    np.testing.assert_array_equal(loaded.input, COUNTS)
    assert loaded.label.tolist() == [3, 4]


@pytest.mark.parametrize(("changes", "without"), [({"layout": np.array("batch,time,channel")}, ()), ({}, ("layout",))])
def test_object_arrays_are_refused_with_two_lines_that_convert(tmp_path, changes, without):
    samples = np.empty(2, dtype=object)
    samples[:] = [COUNTS[:, 0], COUNTS[:, 1]]
    path = file_of(tmp_path, {"input": samples} | changes, without=without)
    refusal = refused(lambda: load_data(path), "ND1402")
    assert "input holds pickled objects; loading them runs code from the file" in str(refusal)
    lines = [line.strip() for line in str(refusal).splitlines()[1:3]]
    exec("\n".join(lines), {"np": np, "data": data, "save_data": save_data})  # noqa: S102 - the lines are what is tested
    np.testing.assert_array_equal(load_data(path).input, COUNTS)


@pytest.mark.parametrize("version", [0, 2, "1"])
def test_another_schema_version_is_refused(tmp_path, version):
    refusal = refused(lambda: load_data(file_of(tmp_path, {"schema_version": np.array(version)})), "ND1404")
    assert f"schema_version is {version!r}; version 1 is read" in str(refusal)


def test_a_misspelt_key_is_refused_and_not_dropped(tmp_path):
    refusal = refused(lambda: load_data(file_of(tmp_path, {"labels": np.array([3, 4])})), "ND1401")
    assert "unknown key 'labels'" in str(refusal)
    assert "perhaps label is meant. [ND1401]" in str(refusal)


def test_a_file_without_input_is_refused(tmp_path):
    refusal = refused(lambda: load_data(file_of(tmp_path, without=("input",))), "ND1401")
    assert "there is no input, only dt_s, layout, schema_version" in str(refusal)


def test_a_truncated_file_is_refused(tmp_path):
    path = file_of(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    assert "damaged or truncated" in str(refused(lambda: load_data(path), "ND1401"))


def test_faults_of_the_content_name_the_file_and_come_at_once(tmp_path):
    changes = {
        "input": COUNTS.astype(float) - 1,
        "dt_s": np.array([1, 2]),
        "layout": np.array([LAYOUT]),
        "label": COUNTS,
    }
    path = file_of(tmp_path, changes)
    refusal = refused(lambda: load_data(path), "ND1501", "ND1502", "ND1502", "ND1502")
    places = [fault.where for fault in refusal.faults]
    assert places == [f"{path}, {name}" for name in ("layout", "dt_s", "input[0, 0, 0]", "label")]


# --- encoders -----------------------------------------------------------------------------------------------------

X = np.linspace(0, 1, 12).reshape(3, 4)
RATE_2026 = [[1, 2, 2], [0, 2, 4], [1, 3, 2], [0, 1, 3], [0, 2, 3], [2, 2, 3]]  # made by numpy 2.4.6, 2026-11-20


def test_rate_is_the_same_for_the_same_seed_and_another_for_another():
    one, two = (encode_rate(X, 50, max_count=3, seed=7) for _ in range(2))
    assert one.tobytes() == two.tobytes()
    assert one.tobytes() != encode_rate(X, 50, max_count=3, seed=8).tobytes()


def test_rate_is_this_one_on_every_machine():
    counts = encode_rate(np.array([[0.25, 0.5, 0.75]]), 6, max_count=4, seed=2026)
    assert counts[:, 0].tolist() == RATE_2026


def test_rate_needs_nothing_of_numpy_but_the_bits_of_pcg64():
    uniform = (np.random.PCG64(7).random_raw(6 * 5 * X.size) >> np.uint64(11)) * 2.0**-53
    expected = (uniform.reshape(6, 5, *X.shape) < X).sum(axis=1)
    np.testing.assert_array_equal(encode_rate(X, 6, max_count=5, seed=7), expected)


def test_rate_has_the_mean_and_the_variance_of_a_binomial():
    counts = encode_rate(np.full((1, 2000), 0.3), 100, max_count=5, seed=1)
    assert counts.shape == (100, 1, 2000)
    assert counts.mean() == pytest.approx(1.5, abs=0.01)
    assert counts.var() == pytest.approx(5 * 0.3 * 0.7, abs=0.02)


def test_rate_is_exact_at_the_ends():
    counts = encode_rate(np.array([[0.0, 1.0]]), 20, max_count=300, seed=0)
    assert counts.dtype == np.uint16
    assert (counts[:, 0, 0] == 0).all()
    assert (counts[:, 0, 1] == 300).all()


def test_latency_fires_once_the_larger_the_earlier_and_zero_never():
    spikes = encode_latency(np.array([[0.0, 1e-300, 0.25, 0.26, 0.5, 1.0]]), 4)
    assert spikes.dtype == np.uint8
    assert spikes.sum(axis=0)[0].tolist() == [0, 1, 1, 1, 1, 1]
    assert spikes.argmax(axis=0)[0, 1:].tolist() == [3, 3, 2, 2, 0]


def test_delta_sends_moves_up_and_down_on_channels_of_their_own():
    x = np.array([0.0, 0.5, 2.25, 1.5, -1.0])[:, None, None]
    sent = encode_delta(x, 1.0)
    assert sent.dtype == np.uint16
    assert sent[:, 0].tolist() == [[0, 0], [0, 0], [2, 0], [0, 0], [0, 3]]


def test_delta_follows_its_signal_within_one_threshold():
    x = np.random.default_rng(0).normal(size=(50, 2, 3)).cumsum(axis=0)
    sent = encode_delta(x, 0.3).astype(int)
    assert sent.shape == (50, 2, 6)
    assert sent.sum() > 100
    followed = x[0] + 0.3 * (sent[..., 0::2] - sent[..., 1::2]).cumsum(axis=0)
    assert np.abs(x - followed).max() < 0.3 + 1e-9


def test_delta_refuses_a_move_that_its_counts_do_not_hold():
    assert encode_delta(np.array([0.0, 65535.0])[:, None, None], 1.0)[1, 0, 0] == 65535
    for far in (65536.0, 1e308):
        x = np.array([-1e308 if far > 1e300 else 0.0, far, far])[:, None, None]
        refusal = refused(lambda x=x: encode_delta(x, 1.0), "ND1502")
        assert "x[time 1, batch 0, feature 0]" in str(refusal)
        assert "raise the threshold" in str(refusal)


def test_frames_are_fed_row_by_row():
    x = np.array([[[0.0, 1.0, 0.37], [0.25, 0.0, 1.0]]])
    counts = encode_frames(x, max_count=10)
    assert counts.dtype == np.uint8
    assert counts[:, 0].tolist() == [[0, 10, 4], [2, 0, 10]]  # 3.7 rounds to 4, 2.5 to the even 2
    held = encode_frames(x, max_count=10, repeat=2)
    assert held[:, 0].tolist() == [[0, 10, 4], [0, 10, 4], [2, 0, 10], [2, 0, 10]]


UNIT_ENCODERS = {
    "rate": (lambda x: encode_rate(x, 3, max_count=1, seed=0), 2),
    "latency": (lambda x: encode_latency(x, 3), 2),
    "frames": (lambda x: encode_frames(x, max_count=1), 3),
}


@pytest.mark.parametrize("encode", UNIT_ENCODERS)
@pytest.mark.parametrize(
    ("value", "words"), [(1.0001, "above 1"), (-0.0001, "below 0"), (np.nan, "not a finite"), (np.inf, "not a finite")]
)
def test_values_outside_zero_to_one_are_refused(encode, value, words):
    function, rank = UNIT_ENCODERS[encode]
    x = np.ones((2,) * rank)
    assert function(x).shape[1] == 2
    x[(1,) * rank] = value
    assert words in str(refused(lambda: function(x), "ND1502"))


@pytest.mark.parametrize("encode", UNIT_ENCODERS)
def test_another_number_of_axes_is_refused(encode):
    function, rank = UNIT_ENCODERS[encode]
    assert f"{rank} axes" in str(refused(lambda: function(np.ones((2,) * (rank + 1))), "ND1501"))


@pytest.mark.parametrize(
    ("action", "names"),
    [
        (lambda: encode_rate(X, 0, max_count=65536, seed=-1), ["steps", "max_count", "seed"]),
        (lambda: encode_rate(X, 1.0, max_count=True, seed=0), ["steps", "max_count"]),
        (lambda: encode_latency(X, 0), ["steps"]),
        (lambda: encode_delta(X[..., None], 0.0), ["threshold"]),
        (lambda: encode_delta(X[..., None], float("nan")), ["threshold"]),
        (lambda: encode_frames(X[..., None], max_count=0, repeat=0), ["max_count", "repeat"]),
    ],
)
def test_options_of_encoders_are_refused_all_at_once(action, names):
    refusal = refused(action, *["ND1503"] * len(names))
    assert [fault.where for fault in refusal.faults] == names


def test_options_and_values_are_refused_together():
    refused(lambda: encode_rate(X + 1, 0, max_count=1, seed=0), "ND1503", "ND1502")


def test_what_is_encoded_is_data():
    counts = encode_rate(X, 5, max_count=1, seed=0)
    assert data(counts, layout="time,batch,feature", dt_s=0.01).steps == 5


# --- splits -------------------------------------------------------------------------------------------------------

LABEL = np.repeat([0, 1, 2], [50, 30, 20])


def test_a_split_is_disjoint_complete_and_stratified():
    parts = split_stratified(LABEL, {"train": 0.7, "validate": 0.2, "test": 0.1}, seed=3)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(100))
    assert all((np.diff(chosen) > 0).all() for chosen in parts.values())
    sizes = {name: np.bincount(LABEL[chosen]).tolist() for name, chosen in parts.items()}
    assert sizes == {"train": [35, 21, 14], "validate": [10, 6, 4], "test": [5, 3, 2]}


def test_a_split_is_the_same_for_the_same_seed_and_another_for_another():
    one, two, other = (split_stratified(LABEL, {"a": 0.5, "b": 0.5}, seed)["a"].tolist() for seed in (3, 3, 4))
    assert one == two
    assert one != other


def test_the_largest_remainder_is_rounded_up():
    parts = split_stratified(np.zeros(10, int), {"a": 0.66, "b": 0.34}, seed=0)
    assert {name: len(chosen) for name, chosen in parts.items()} == {"a": 7, "b": 3}


def test_a_class_that_does_not_reach_a_part_is_refused():
    assert split_stratified([0, 0, 1, 1], {"a": 0.5, "b": 0.5}, seed=0)["b"].size == 2
    refusal = refused(lambda: split_stratified([0, 0, 1], {"a": 0.5, "b": 0.5}, seed=0), "ND1503")
    assert "class 1 has 1 sample(s), of which 'b' gets none; every part holds every class" in str(refusal)


@pytest.mark.parametrize(
    ("label", "fractions", "seed", "codes", "words"),
    [
        (LABEL, {"a": 0.5, "b": 0.2}, 0, ["ND1503"], 'they add up to 0.7; 1; name what is left over, "rest": 0.3'),
        (LABEL, {"a": 0.5, "b": 0.6}, 0, ["ND1503"], "lower one of them"),
        (LABEL, {"a": 1.0, "b": 0.0}, 0, ["ND1503"], "fractions['b']: 0.0; above 0"),
        (LABEL, {}, 0, ["ND1503"], "no part is named"),
        (LABEL / 2, {"a": 1.0}, -1, ["ND1502", "ND1503"], "label: shape (100,), type float64"),
        ([], {"a": 1.0}, 0, ["ND1502"], "at least one"),
    ],
)
def test_a_split_that_is_none_is_refused(label, fractions, seed, codes, words):
    assert words in str(refused(lambda: split_stratified(label, fractions, seed), *codes))
