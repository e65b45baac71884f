"""A bundle as one file: equal bytes, every change found and named, nothing unpacked that could do harm."""

import io
import json
import os
import struct
import zipfile

import numpy as np
import pytest
from bundle_files import resigned
from xylo_networks import events, small

from neurodeploy.bundles import bundle, files, load_bundle, load_placed, verify, zipped
from neurodeploy.errors import Refusal

NAMES = ("chip.json", "configurations/samna.json", "golden.npz", "made.json", "manifest.json", "network.npz")


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "small.nd.zip"
    bundle(small(), events(samples=2), path, emit=["samna"], samples=[1])
    return path


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {n: archive.read(n) for n in archive.namelist()}


def spans(path):
    """Name -> (begin, end) of its bytes in the archive."""
    with zipfile.ZipFile(path) as archive:
        return {
            e.filename: (e.header_offset + 30 + len(e.filename), e.header_offset + 30 + len(e.filename) + e.file_size)
            for e in archive.infolist()
        }


def refused(path, content):
    path.write_bytes(content)
    result = verify(path)
    assert (result.exit_status, result.exact, result.checks) == (2, False, ())
    with pytest.raises(Refusal):
        load_bundle(path)
    return result


def other_zip(entries, **options):
    """An archive as another program writes it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", **options) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return stream.getvalue()


# --- what is written


def test_other_programs_can_unpack_it_and_the_folder_is_a_bundle(packed, tmp_path):
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None
        assert tuple(archive.namelist()) == NAMES
        archive.extractall(tmp_path / "small.nd")
    assert verify(tmp_path / "small.nd").exact
    assert verify(packed).exact
    assert verify(packed).to_json() | {"bundle": ""} == verify(tmp_path / "small.nd").to_json() | {"bundle": ""}


def test_the_same_content_gives_the_same_bytes_but_for_the_time_of_making(packed, tmp_path):
    bundle(small(), events(samples=2), tmp_path / "again.zip", emit=["samna"], samples=[1])
    first, second = members(packed), members(tmp_path / "again.zip")
    first["made.json"] = second["made.json"]
    assert zipped.pack(first) == (tmp_path / "again.zip").read_bytes()
    bundle(small(), events(samples=2), tmp_path / "folder.nd", emit=["samna"], samples=[1])
    for name in set(NAMES) - {"made.json"}:
        assert (tmp_path / "folder.nd" / name).read_bytes() == first[name]


def test_every_file_names_its_schema(packed):
    for name, content in members(packed).items():
        if name.endswith(".json"):
            assert json.loads(content)["schema_version"] == 1
        else:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                header = archive.read("header.npy")
            assert b'"schema_version": 1' in header


def test_a_file_replaces_an_older_one_and_nothing_else(packed, tmp_path):
    path = tmp_path / "small.zip"
    path.write_bytes(packed.read_bytes())
    bundle(small(), events(), path)
    assert load_bundle(path).configurations == {}
    assert [p.name for p in tmp_path.iterdir()] == ["small.zip"]


@pytest.mark.parametrize("content", [b"", b"mine", other_zip([("thesis.txt", "years of work")])])
def test_a_file_that_is_no_bundle_is_not_replaced(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(Refusal, match="the file exists and is no bundle"):
        bundle(small(), events(), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == content


def test_a_folder_is_not_replaced_by_a_file_nor_a_file_by_a_folder(packed, tmp_path):
    (tmp_path / "a.zip").mkdir()
    with pytest.raises(Refusal, match=r"a folder of that name exists, and \.zip names a file"):
        bundle(small(), events(), tmp_path / "a.zip")
    (tmp_path / "b.nd").write_bytes(packed.read_bytes())
    with pytest.raises(Refusal, match="a file of that name exists"):
        bundle(small(), events(), tmp_path / "b.nd")


def test_an_archive_of_another_name_is_read_and_a_network_comes_from_all_three(packed, tmp_path):
    (tmp_path / "b.bundle").write_bytes(packed.read_bytes())
    assert verify(tmp_path / "b.bundle").exact
    (tmp_path / "n.npz").write_bytes(members(packed)["network.npz"])
    for path in (tmp_path / "n.npz", packed):
        assert [g.name for g in load_placed(path).groups] == ["in", "hid", "out"]


# --- what is found


@pytest.mark.parametrize("name", [n for n in NAMES if n != "made.json"])
def test_one_changed_byte_of_any_file_is_found_and_named(packed, tmp_path, name):
    begin, end = spans(packed)[name]
    for at in {begin, end - 1, *np.random.default_rng(len(name)).integers(begin, end, 20).tolist()}:
        data = bytearray(packed.read_bytes())
        data[at] ^= 1 << at % 8
        result = refused(tmp_path / "a.zip", data)
        (fault,) = result.faults
        assert (fault.code, fault.where) == ("ND1403", f"{tmp_path / 'a.zip'}, {name}")


def test_one_changed_byte_of_any_file_of_the_folder_is_found_and_named(packed, tmp_path):
    """The same for a folder, where every byte belongs to a file."""
    folder = tmp_path / "a.nd"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    draw = np.random.default_rng(0)
    for name in [n for n in NAMES if n != "made.json"]:
        whole = (folder / name).read_bytes()
        for at in {0, len(whole) - 1, *draw.integers(0, len(whole), 20).tolist()}:
            data = bytearray(whole)
            data[at] ^= 1 << int(draw.integers(8))
            (folder / name).write_bytes(data)
            faults = verify(folder).faults
            assert [f.where for f in faults] == [f"{folder}, {name}"]
            assert {f.code for f in faults} <= {"ND1403", "ND2101", "ND1404"}
        (folder / name).write_bytes(whole)
    assert verify(folder).exact


def test_one_changed_byte_around_the_files_is_found(packed, tmp_path):
    inside = {at for begin, end in spans(packed).values() for at in range(begin, end)}
    whole = packed.read_bytes()
    around = [at for at in range(len(whole)) if at not in inside]
    assert len(around) > len(NAMES) * 76
    for at in np.random.default_rng(0).choice(around, 150, replace=False).tolist():
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        assert refused(tmp_path / "a.zip", data).faults[0].code in {"ND1403", "ND2101"}


def test_an_archive_that_is_cut_or_longer_is_refused(packed, tmp_path):
    whole = packed.read_bytes()
    for cut in (0, 1, 21, 22, 23, len(whole) // 2, len(whole) - 1):
        refused(tmp_path / "a.zip", whole[:cut])
    assert "something after its end" in str(refused(tmp_path / "a.zip", whole + b"\0"))
    assert refused(tmp_path / "a.zip", b"\0" + whole)


def test_the_time_of_making_has_no_hash_but_its_checksum(packed, tmp_path):
    changed = members(packed) | {"made.json": b"{}"}
    (tmp_path / "a.zip").write_bytes(zipped.pack(changed))
    assert verify(tmp_path / "a.zip").exact


# --- what is never unpacked


def with_entry(packed, name, content=b"MZ"):
    """The archive with one entry more, otherwise as we write it."""
    return zipped.pack(members(packed) | {name: content})


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/cron.d/job",
        "/etc/passwd",
        "..\\..\\autoexec.bat",
        "C:\\windows\\system32\\a.dll",
        "configurations/../../a.json",
        "configurations/../network.npz",
        "configurations//a.json",
        "configurations/A.json",
        "certificates/a/b.json",
        "./network.npz",
        "network.npz/",
        "virus.exe",
        "a\x00b",
        "",
    ],
)
def test_names_that_lead_elsewhere_are_refused_and_named(packed, tmp_path, name):
    result = refused(tmp_path / "a.zip", with_entry(packed, name))
    (fault,) = result.faults
    assert fault.code == "ND2101"
    assert fault.was == "additional"
    assert (name if name.isprintable() and name else repr(name)) in fault.where
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def entry_offsets(data):
    """Offsets of the entries of the directory."""
    at, found = struct.unpack("<L", data[-6:-2])[0], []
    while data[at : at + 4] == b"PK\1\2":
        found.append(at)
        at += 46 + struct.unpack("<H", data[at + 28 : at + 30])[0]
    return found


def patched(packed, offset, form, *values, entry=0):
    """The archive with numbers of one entry of its directory changed."""
    data = bytearray(packed.read_bytes())
    struct.pack_into(form, data, entry_offsets(data)[entry] + offset, *values)
    return data


@pytest.mark.parametrize("kind", [0o120777, 0o040755, 0o060644, 0o020644, 0o010644, 0o140644])
def test_links_folders_devices_and_pipes_are_refused(packed, tmp_path, kind):
    result = refused(tmp_path / "a.zip", patched(packed, 38, "<L", kind << 16))
    assert f"{NAMES[0]}: a link or a special file; a plain file" in str(result)


def test_a_name_that_stands_twice_is_refused(packed, tmp_path):
    other = with_entry(packed, "made.jsom")
    assert "stands twice" in str(refused(tmp_path / "a.zip", other.replace(b"made.jsom", b"made.json")))


def test_a_compressed_entry_is_refused_before_it_is_unpacked(packed, tmp_path):
    bomb = other_zip([*members(packed).items(), ("report.json", b" " * 2**26)], compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2**20
    result = refused(tmp_path / "a.zip", bomb)
    assert f"{tmp_path / 'a.zip'}, report.json: compressed or encrypted; stored as it is" in str(result)


@pytest.mark.parametrize(("offset", "form"), [(24, "<L"), (20, "<L")])
@pytest.mark.parametrize("size", [2**32 - 1, 2**31, 2**30 + 1, 10**6])
def test_a_stated_size_that_is_not_there_is_refused_before_memory_is_taken(packed, tmp_path, offset, form, size):
    assert refused(tmp_path / "a.zip", patched(packed, offset, form, size, entry=2)).faults[0].code == "ND2101"


def test_entries_over_each_other_are_refused(packed, tmp_path):
    data = packed.read_bytes()
    first = entry_offsets(data)[0]
    assert refused(tmp_path / "a.zip", patched(packed, 42, "<L", 0, entry=2))
    result = refused(tmp_path / "a.zip", data[:-22] + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 55, first, 0))
    assert result.faults[0].code == "ND1403"


def test_a_directory_without_end_is_refused(packed, tmp_path):
    data = packed.read_bytes()
    for count, size in ((65535, 2**31), (1001, 100), (7, 0), (0, 0)):
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, entry_offsets(data)[0], 0)
        refused(tmp_path / "a.zip", data[:-22] + end)


def test_files_larger_than_a_bundle_holds_are_refused_unread_and_unwritten(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", sum(map(len, members(packed).values())))
    assert verify(packed).exact
    monkeypatch.setattr(files, "MOST_BYTES", files.MOST_BYTES - 1)
    assert "bytes in all files" in str(verify(packed))
    with pytest.raises(Refusal, match=r"at most .* in all files of a bundle"):
        bundle(small(), events(samples=2), tmp_path / "a.zip", emit=["samna"], samples=[0, 1])
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(files, "MOST_JSON", 100)
    assert "chip.json: " in str(verify(packed))
    assert "at most 100 in a file of JSON" in str(verify(packed))


def test_a_folder_with_a_huge_hollow_file_is_refused_unread(packed, tmp_path):
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "a.nd")
    with (tmp_path / "a.nd" / "golden.npz").open("r+b") as stream:
        stream.truncate(2**40)
    assert "golden.npz: 1,099,5" in str(verify(tmp_path / "a.nd"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["golden.npz", "manifest.json", "configurations"])
def test_pipes_and_links_in_a_folder_are_refused_and_never_opened(packed, tmp_path, name):
    folder = tmp_path / "a.nd"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    (folder / name).rename(tmp_path / "other")
    os.mkfifo(folder / name)
    assert name in str(verify(folder))
    assert verify(folder).exit_status == 2
    (folder / name).unlink()
    (folder / name).symlink_to(tmp_path / "other")
    assert name in str(verify(folder))
    assert verify(folder).exit_status == 2
    os.mkfifo(tmp_path / "pipe.zip")
    assert "no folder and no plain file" in str(verify(tmp_path / "pipe.zip"))


def test_compressed_arrays_inside_are_refused_before_they_grow(packed, tmp_path):
    folder = tmp_path / "a.nd"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    stream = io.BytesIO()
    np.savez_compressed(stream, header=np.zeros(2**24, np.uint8))
    (folder / "golden.npz").write_bytes(stream.getvalue())
    resigned(folder)
    assert f"{folder}, golden.npz: header.npy is compressed; arrays as they are" in str(verify(folder))
