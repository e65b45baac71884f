import json
import shutil
from datetime import UTC, date, datetime

import numpy as np
import pytest
from executor_names import CLOCKED, EVENT
from golden_networks import CHIPS as MADE_BY_XYLOSIM
from golden_networks import vectors_of
from mutants import behaviour, edited

from neurodeploy.chips import chip, from_raw, target_folders
from neurodeploy.errors import Differs, Refusal
from neurodeploy.golden import FILE_NAME, check_golden, read_golden, write_golden
from neurodeploy.oracles import oracle

CHIPS = [name for name, folder in target_folders().items() if (folder / FILE_NAME).is_file()]
HIDDEN = ("neuron", "hidden", "on", "step")


@pytest.fixture
def folder(tmp_path):
    """A copy of a chip folder that a test may spoil."""
    shutil.copytree(target_folders()["xylo_audio2"], tmp_path / "copy")
    return tmp_path / "copy"


def spoiled(folder, *edits):
    path = folder / FILE_NAME
    content = json.loads(path.read_text())
    for place, value in edits:
        node = content
        for part in place[:-1]:
            node = node[part]
        node[place[-1]] = value
    path.write_text(json.dumps(content))
    return folder


def test_every_xylo_has_golden_vectors():
    assert set(MADE_BY_XYLOSIM) <= set(CHIPS)


#: Kernels as Python on one clocked chip; what numba compiles takes seconds for each chip and runs in .ci/run.
RUNS = [(n, e) for n in CHIPS for e in (EVENT if chip(n).event_driven else CLOCKED)]
AS_PYTHON = [n for n in CHIPS if chip(n).event_driven or n == "xylo_audio3"]
GIVEN = [
    *((n, e) for n, e in RUNS if e != "numba" or n in AS_PYTHON),
    *(pytest.param(n, e, marks=[pytest.mark.slow, pytest.mark.compiled]) for n, e in RUNS if e == "numba"),
]


@pytest.mark.parametrize(("name", "executor"), GIVEN)
def test_every_executor_gives_the_golden_vectors(name, executor, count):
    values = check_golden(chip(name), executor)
    assert values > 1000
    count(f"golden values of {name} equal in {executor}", values)


@pytest.mark.parametrize("name", CHIPS)
def test_golden_vectors_are_about_something(name):
    golden = read_golden(chip(name).path)
    assert golden.chip == name
    spikes = [v for vector in golden.vectors for v in vector.counts.values()]
    assert sum(int((s > 0).sum()) for s in spikes) > 200
    assert all(vector.final and vector.claim for vector in golden.vectors)
    assert len({vector.name for vector in golden.vectors}) == len(golden.vectors)


@pytest.mark.oracle("xylosim")
@pytest.mark.parametrize("name", MADE_BY_XYLOSIM)
def test_xylosim_still_gives_the_golden_file(name, tmp_path):
    teller = oracle("xylosim")
    golden = read_golden(chip(name).path)
    made_by = f"{teller.name} {teller.available()}"
    write_golden(tmp_path, vectors_of(name, observe=teller.run), made_by=made_by, on=golden.on, grade=teller.grade)
    assert (tmp_path / FILE_NAME).read_text() == (chip(name).path / FILE_NAME).read_text()


def test_chips_of_equal_behaviour_have_equal_vectors():
    seen = {}
    for name in CHIPS:
        content = json.loads((chip(name).path / FILE_NAME).read_text())
        vectors = seen.setdefault(behaviour(chip(name).raw), content["vectors"])
        assert content["vectors"] == vectors
    assert len(seen) < len(CHIPS)


def test_the_decay_vector_shows_that_signs_decay_differently():
    vector = next(v for v in read_golden(chip("xylo_audio2").path).vectors if v.name == "decay")
    assert vector.states["hidden"]["i1"][0, 0, :2].tolist() == [88, -87]


def test_the_shift_vector_shows_that_100_shifted_by_9_wraps():
    vector = next(v for v in read_golden(chip("xylo_audio2").path).vectors if v.name == "shift_wrap")
    weights = next(p for p in vector.network.projections if p.kind == "in")
    assert (weights.parameters["shift"], weights.fields["w1"][0]) == (9, 100)
    assert check_golden(chip("xylo_audio2")) > 0
    saturating = edited(
        chip("xylo_audio2").raw,
        (("connection", "in", "stored"), "w1 = sat(w1 << shift, 16)\nw2 = sat(w2 << shift, 16)"),
    )
    with pytest.raises(Differs, match="'shift_wrap'"):
        check_golden(from_raw(saturating, chip("xylo_audio2").path))


def test_a_difference_says_vector_step_neuron_and_who_says_otherwise():
    true = chip("xylo_audio2")
    above = true.raw["neuron"]["hidden"]["on"]["step"].replace("v >= threshold", "v > threshold")
    with pytest.raises(Differs) as caught:
        check_golden(from_raw(edited(true.raw, (HIDDEN, above)), true.path))
    fault = next(f for f in caught.value.faults if "'threshold'" in f.where)
    assert str(fault) == (
        "xylo_audio2, golden vector 'threshold', hidden: spikes = 0 at step 0, neuron 0; xylosim 0.1.3 has 1; "
        "a neuron fires at the threshold, not only above it; the threshold is subtracted and the rest stays. [ND2002]"
    )
    assert caught.value.exit_status == 1


def test_a_changed_spike_in_the_file_is_a_difference(folder):
    vector = read_golden(folder).vectors[1]
    here = int(vector.counts["hidden"][0, 0, 0])
    spoiled(folder, (("vectors", 1, "counts", "hidden", 0, 0), here + 1))
    with pytest.raises(
        Differs, match=f"'threshold', hidden: spikes = {here} at step 0, neuron 0; xylosim 0.1.3 has {here + 1}"
    ):
        check_golden(chip(folder))


def test_a_changed_final_state_is_a_difference(folder):
    spoiled(folder, (("vectors", 2, "final", "out", "v", 1), 12345))
    with pytest.raises(Differs, match=r"out: v = .* neuron 1; xylosim 0.1.3 has 12345"):
        check_golden(chip(folder))


def test_a_file_without_vectors_compares_nothing(folder):
    spoiled(folder, (("vectors",), []))
    with pytest.raises(Differs, match="no value was compared") as caught:
        check_golden(chip(folder))
    assert caught.value.code == "ND2001"


def test_a_course_of_another_length_cannot_be_compared(folder):
    spoiled(folder, (("vectors", 0, "counts", "out"), [[0, 0]]))
    with pytest.raises(Differs, match=r"spikes of shape \(21, 1, 1\); shape \(2, 1, 1\)"):
        check_golden(chip(folder))


@pytest.mark.parametrize(
    ("place", "value", "code", "words"),
    [
        (("schema_version",), 2, "ND1404", "this program reads 1"),
        (("format",), "another", "ND1401", "no golden vectors"),
        (("grade",), "sure", "ND1401", "grade 'sure'"),
        (("on",), "yesterday", "ND1401", "entry missing or of the wrong kind"),
        (("vectors", 0, "groups", 0), {}, "ND1401", "entry missing or of the wrong kind: 'name'"),
        (("vectors", 0, "counts", "out"), [[0.5]], "ND1401", "float64 where integers belong"),
        (("vectors", 0, "projections", 0, "fields", "w1", 0), 128, "ND1202", "w1 = 128 at index 0"),
    ],
)
def test_a_spoiled_file_is_refused(folder, place, value, code, words):
    with pytest.raises(Refusal, match=words) as caught:
        read_golden(spoiled(folder, (place, value)))
    assert caught.value.code == code


def test_a_truncated_or_missing_file_is_refused(folder):
    path = folder / FILE_NAME
    path.write_text(path.read_text()[:1000])
    with pytest.raises(Refusal, match="cannot be read") as caught:
        read_golden(folder)
    assert caught.value.code == "ND1401"
    path.unlink()
    with pytest.raises(Refusal, match="No such file"):
        read_golden(folder)


def test_a_chip_without_a_folder_has_no_golden_vectors():
    with pytest.raises(Refusal, match="a chip without a folder"):
        check_golden(from_raw(chip("xylo_audio2").raw))


def test_what_is_written_is_read_back_and_gives_the_same_bytes(tmp_path):
    golden = read_golden(chip("xylo_imu").path)
    path = write_golden(tmp_path, golden.vectors, made_by=golden.made_by, on=golden.on, grade=golden.grade)
    assert path.read_bytes() == (chip("xylo_imu").path / FILE_NAME).read_bytes()
    again = read_golden(tmp_path, chip("xylo_imu"))
    for one, other in zip(golden.vectors, again.vectors, strict=True):
        for group, values in one.counts.items():
            np.testing.assert_array_equal(values, other.counts[group])


def test_a_golden_file_without_vectors_is_not_written(tmp_path):
    with pytest.raises(Refusal, match="no vectors; at least one"):
        write_golden(tmp_path, [], made_by="nobody", on=datetime.now(UTC).date(), grade="unknown")
    assert list(tmp_path.iterdir()) == []


def test_golden_files_state_maker_day_and_grade():
    golden = read_golden(chip("xylo_audio3").path)
    assert (golden.made_by, golden.grade) == ("xylosim 0.1.3", "vendor-simulator")
    assert golden.on >= date(2026, 11, 20)
