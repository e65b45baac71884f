"""Array files: equal arrays give equal bytes, and damage is noticed."""

import zipfile

import numpy as np
import pytest

from neurodeploy.errors import Refusal
from neurodeploy.npz import read_arrays, replacing, write_arrays

ARRAYS = {"b": np.arange(6, dtype=np.uint16).reshape(2, 3), "a": np.array("text"), "c": np.array(0.25)}


def test_what_was_written_is_read(tmp_path):
    write_arrays(tmp_path / "x.npz", ARRAYS)
    read = read_arrays(tmp_path / "x.npz")
    assert sorted(read) == ["a", "b", "c"]
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_numpy_reads_it_without_pickle(tmp_path):
    write_arrays(tmp_path / "x.npz", ARRAYS)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["b"], ARRAYS["b"])


def test_order_of_names_memory_order_and_byte_order_do_not_change_the_bytes(tmp_path):
    other = {name: ARRAYS[name] for name in sorted(ARRAYS)}
    other["b"] = np.asfortranarray(ARRAYS["b"]).astype(">u2")
    write_arrays(tmp_path / "x.npz", ARRAYS)
    write_arrays(tmp_path / "y.npz", other)
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()


def test_another_value_changes_the_bytes(tmp_path):
    write_arrays(tmp_path / "x.npz", ARRAYS)
    write_arrays(tmp_path / "y.npz", ARRAYS | {"c": np.array(0.5)})
    assert (tmp_path / "x.npz").read_bytes() != (tmp_path / "y.npz").read_bytes()


def test_entries_are_sorted_and_carry_no_time(tmp_path):
    write_arrays(tmp_path / "x.npz", ARRAYS)
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        entries = [(entry.filename, entry.date_time[0]) for entry in archive.infolist()]
    assert entries == [("a.npy", 1980), ("b.npy", 1980), ("c.npy", 1980)]


def test_compressed_files_of_numpy_are_read(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", **ARRAYS)
    np.testing.assert_array_equal(read_arrays(tmp_path / "x.npz")["b"], ARRAYS["b"])


def test_big_endian_arrays_are_read_as_native(tmp_path):
    np.savez(tmp_path / "x.npz", b=ARRAYS["b"].astype(">u2"))
    read = read_arrays(tmp_path / "x.npz")["b"]
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, ARRAYS["b"])


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    write_arrays(tmp_path / "x.npz", ARRAYS)
    before = (tmp_path / "x.npz").read_bytes()
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write_arrays(tmp_path / "x.npz", ARRAYS | {"d": np.array([{}], dtype=object)})
    assert (tmp_path / "x.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_a_file_appears_only_when_its_block_ends(tmp_path):
    with replacing(tmp_path / "x.bin") as stream:
        stream.write(b"part")
        assert not (tmp_path / "x.bin").exists()
    assert (tmp_path / "x.bin").read_bytes() == b"part"


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(Refusal, match=r"none.x\.npz: cannot be written \(No such file") as caught:
        write_arrays(tmp_path / "none" / "x.npz", ARRAYS)
    assert caught.value.code == "ND1401"


def test_every_truncation_is_refused(tmp_path):
    write_arrays(tmp_path / "x.npz", ARRAYS)
    whole = (tmp_path / "x.npz").read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "cut.npz").write_bytes(whole[:length])
        with pytest.raises(Refusal, match=r"\[ND1401\]"):
            read_arrays(tmp_path / "cut.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_changed_byte_of_the_values_is_refused(tmp_path, save):
    save(tmp_path / "x.npz", a=np.arange(2000, dtype=np.uint32) * 2654435761 % 65521)
    whole = bytearray((tmp_path / "x.npz").read_bytes())
    whole[len(whole) // 2] ^= 1
    (tmp_path / "x.npz").write_bytes(whole)
    with pytest.raises(Refusal, match="damaged or truncated") as caught:
        read_arrays(tmp_path / "x.npz")
    assert caught.value.code == "ND1401"


def test_whatever_bit_is_changed_the_arrays_are_the_same_or_refused(tmp_path):
    path = tmp_path / "x.npz"
    write_arrays(path, ARRAYS)
    whole = path.read_bytes()
    refused = 0
    for place in range(0, 8 * len(whole), 5):
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            read = read_arrays(path)
        except Refusal as refusal:
            assert refusal.code == "ND1401"  # noqa: PT017 - either outcome is right
            refused += 1
        else:
            assert sorted(read) == sorted(ARRAYS)
            assert all((read[name] == ARRAYS[name]).all() for name in ARRAYS)
    assert refused > 500


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "ND1401", "the file is empty"),
        (b"time,count\n0,1\n", "ND1401", "begins with b'time,c', so it is no .npz"),
        (b"\x93NUMPY\x01\x00", "ND1401", "a single .npy array without names"),
        (b"\x80\x04\x95\x00\x00", "ND1402", "this is a pickle"),
    ],
)
def test_other_formats_are_named(tmp_path, content, code, words):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(Refusal, match=words) as caught:
        read_arrays(tmp_path / "x.npz")
    assert caught.value.code == code


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"x\.npz: there is no such file; .* check the path"):
        read_arrays(tmp_path / "x.npz")


def test_object_arrays_are_refused_and_named(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{}], dtype=object), b=np.arange(3))
    with pytest.raises(Refusal, match="a holds pickled objects") as caught:
        read_arrays(tmp_path / "x.npz")
    assert caught.value.code == "ND1402"
    assert caught.value.values == {"objects": ("a",)}


def test_a_header_that_states_more_than_the_file_holds_is_refused_before_memory_is_taken(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive, archive.open("a.npy", "w") as member:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 10**6)}
        np.lib.format.write_array_header_1_0(member, header)
    with pytest.raises(Refusal, match="a has 128 bytes, its header states 8000000000000000128"):
        read_arrays(tmp_path / "x.npz")


def test_entries_that_are_no_arrays_are_refused(tmp_path):
    write_arrays(tmp_path / "x.npz", ARRAYS)
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(Refusal, match=r"contains 'notes\.txt'; an \.npz holds \.npy arrays alone"):
        read_arrays(tmp_path / "x.npz")


def test_a_name_that_stands_twice_is_refused(tmp_path):
    write_arrays(tmp_path / "x.npz", ARRAYS)
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        entry = zipfile.ZipInfo("a.npy")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(entry, b"")
    with pytest.raises(Refusal, match="contains 'a' more than once"):
        read_arrays(tmp_path / "x.npz")
