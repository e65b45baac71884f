"""Headers with entries of unexpected types, arrays of unexpected shapes, damaged bytes: no command lets one through."""

import copy
import json

import numpy as np
import pytest
import safetensors
import safetensors.torch
from command_files import SAMNA, SIMULATE, VERIFY, changed, files, made, resign, seal
from command_line import counts, run

import neurodeploy as nd
from neurodeploy.archive import read_arrays, write_arrays
from neurodeploy.bundles.content import GOLDEN_FORMAT
from neurodeploy.errors import Refusal
from neurodeploy.network import file as network_file

assert files  # a fixture of every test here: a copy of the good files
assert made

# headers with entries of unexpected types, sealed as if they had been written so

VALUES = [None, True, -1, 0, 1.5, 10**30, "x", [], [None], {}, {"a": 1}]


def entries(value, at=()):
    """Places of all entries of a JSON value; of a list the first two stand for all."""
    if at:
        yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from entries(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:2]):
            yield from entries(inner, (*at, index))


def variants(header, part=0, parts=1):
    """Every entry replaced by a value of every type, and left out; or one of the parts of it, a value each in turn."""
    for number, at in enumerate(entries(header)):
        for new in [*VALUES, KeyError][(number + part) % parts :: parts]:
            made = copy.deepcopy(header)
            inner = made
            for key in at[:-1]:
                inner = inner[key]
            if new is KeyError:
                del inner[at[-1]]
            else:
                inner[at[-1]] = new
            if made != header or type(new) is bool:
                yield at, new, made


def refusals(header, attempt, *of):
    """How many variants are refused; whatever else than a refusal escapes fails the test."""
    number = 0
    for at, new, changed_header in variants(header, *of):
        try:
            attempt(changed_header)
        except Refusal as refusal:
            number += 1
            if not all(f.code and f.where and f.was and f.must for f in refusal.faults):
                pytest.fail(f"{at} = {new!r}: {refusal!r} says too little")
        except Exception as error:  # noqa: BLE001 - the claim is that none escapes
            pytest.fail(f"{at} = {new!r}: {type(error).__name__}: {error}")
    return number


#: every entry with half of the values, in turn; .ci/run has the other half
HALVES = pytest.mark.parametrize("half", [0, pytest.param(1, marks=pytest.mark.slow)])


def test_no_entry_of_a_model_file_escapes_its_check(files):
    path = files / "model.safetensors"
    with safetensors.safe_open(path, framework="pt") as opened:
        text = opened.metadata()["neurodeploy"]
        tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 - no mapping

    def attempt(header):
        path.write_bytes(safetensors.torch.save(tensors, metadata={"neurodeploy": json.dumps(header)}))
        nd.load_model(path)

    assert refusals(json.loads(text), attempt) > 400


@HALVES
def test_no_entry_of_a_network_file_escapes_its_check(files, half):
    path = files / "bundle.nd" / "network.npz"
    header, arrays = read_arrays(path, what=network_file.FORMAT, version=1)
    chip = header.pop("chip")

    def attempt(changed_header):
        whole = {"chip": chip, **changed_header}
        whole["content"] = network_file._digest(whole, arrays)
        write_arrays(path, whole, arrays)
        nd.simulate(nd.load_network(path), counts())

    assert refusals(header, attempt, half, 2) > 150


def test_a_network_file_whose_chip_is_no_table_is_refused(files):
    path = files / "bundle.nd" / "network.npz"
    header, arrays = read_arrays(path, what=network_file.FORMAT, version=1)
    for chip in [None, 1, "xylo_imu", [], {}, {"schema_version": 1}]:
        whole = {**header, "chip": chip}
        whole["content"] = network_file._digest(whole, arrays)
        write_arrays(path, whole, arrays)
        answer = run(*changed(SIMULATE, "bundle.nd", str(path)), "--json")
        assert answer.status == 2, chip
        assert set(answer.codes) <= {"ND1401", "ND1102"}


@pytest.mark.parametrize("what", ["float", "flat", "short", "scalar", "text", "huge"])
def test_arrays_of_unexpected_shape_and_type_are_refused(files, what):
    path = files / "bundle.nd" / "network.npz"
    header, arrays = read_arrays(path, what=network_file.FORMAT, version=1)
    for name, array in arrays.items():
        bad = {
            "float": array.astype(float),
            "flat": array[None],
            "short": array[:-1],
            "scalar": np.array(3),
            "text": array.astype(str),
            "huge": np.full(array.shape, 2**64 - 1, np.uint64),
        }[what]
        whole = {**arrays, name: bad}
        write_arrays(path, {**header, "content": network_file._digest(header, whole)}, whole)
        answer = run(*changed(SIMULATE, "bundle.nd", str(path)), "--json")
        assert answer.status == 2, name
        assert answer.codes[0] in {"ND1201", "ND1202", "ND1401"}


@HALVES
def test_no_entry_of_golden_vectors_escapes_verification(files, half):
    golden = files / "bundle.nd" / "golden.npz"
    header, arrays = read_arrays(golden, what=GOLDEN_FORMAT, version=1)
    statuses = []

    def attempt(changed_header):
        write_arrays(golden, changed_header, arrays)
        resign(files / "bundle.nd")
        result = nd.verify(files / "bundle.nd")
        json.dumps(result.to_json(), allow_nan=False)
        statuses.append(result.exit_status)

    refusals(header, attempt, half, 2)
    assert statuses.count(2) > 75
    assert set(statuses) <= {0, 1, 2}


@pytest.mark.parametrize("name", ["counts.3", "states.3.v", "input.channel"])
def test_golden_arrays_of_unexpected_shape_and_type_never_verify(files, name):
    golden = files / "bundle.nd" / "golden.npz"
    header, arrays = read_arrays(golden, what=GOLDEN_FORMAT, version=1)
    for bad in (
        arrays[name].astype(float),
        arrays[name][0],
        arrays[name][:-1],
        arrays[name][:, :-1],
        arrays[name][:0],
        np.array(3),
        arrays[name].astype(np.int64) - 2**40,
    ):
        write_arrays(golden, header, {**arrays, name: bad})
        resign(files / "bundle.nd")
        assert run(*VERIFY).status in {1, 2}
        assert run(*VERIFY, "--json").json["exact"] is False


def test_no_entry_of_a_manifest_escapes_verification(files):
    manifest = json.loads((files / "bundle.nd" / "manifest.json").read_text())
    statuses = []

    def attempt(changed_manifest):
        seal(files / "bundle.nd", changed_manifest)
        statuses.append(nd.verify(files / "bundle.nd").exit_status)

    refusals({k: manifest[k] for k in ("chip", "files", "format", "schema_version")}, attempt)
    assert statuses.count(2) == len(statuses) > 80


@pytest.mark.parametrize("name", ["manifest.json", "report.json", SAMNA])
@pytest.mark.parametrize(
    "content", [b"", b"[", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b'{"a":' * 300 + b"}" * 300]
)
def test_json_that_is_none_is_refused(files, name, content):
    (files / "bundle.nd" / name).write_bytes(content)
    if name != "manifest.json":
        resign(files / "bundle.nd")
    answer = run(*VERIFY, "--json")
    assert answer.status == 2


def test_damaged_bytes_anywhere_are_refused_or_harmless(files):
    draw = np.random.default_rng(7)
    for name, load in (("data.npz", nd.load_data), ("model.safetensors", nd.load_model)):
        whole = (files / name).read_bytes()
        harmless = 0
        for _ in range(60):
            content = bytearray(whole)
            content[draw.integers(len(content))] ^= 1 << draw.integers(8)
            (files / name).write_bytes(bytes(content))
            try:
                load(files / name)
            except Refusal:
                continue
            harmless += 1
        assert harmless < 60
