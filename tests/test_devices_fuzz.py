"""Mutated recordings: refused, or read as NumPy reads them and compared without a traceback."""

import json
from collections import Counter

import numpy as np
from fuzzing import Fuzz, mutated
from test_devices import GIVEN, recorded
from xylo_networks import small

from neurodeploy.archive import HEADER, read_arrays, seal, write_arrays
from neurodeploy.bundles.recorded import compare_recording
from neurodeploy.devices import load_recording, save_recording
from neurodeploy.devices.recording import FORMAT
from neurodeploy.errors import Refusal

MANY = 120


def changed(path, rng):
    """Bytes of a recording changed, or an entry or array of it with the right hashes."""
    if rng.random() < 0.4:
        return path.write_bytes(mutated(path.read_bytes(), rng))
    header, arrays = read_arrays(path, what=FORMAT, version=1)
    header, arrays = Fuzz.odd_arrays(None, header, arrays, rng)
    return write_arrays(path, seal({k: v for k, v in header.items() if k not in {"hashes", "digest"}}, arrays), arrays)


def judged(path, rng):
    """Refused; or read, as it stands in the file, and compared with a simulation."""
    try:
        changed(path, rng)
        read = load_recording(path)
        with np.load(path, allow_pickle=False) as plain:
            header = json.loads(plain[HEADER].tobytes())
        assert (dict(read.chip), read.network) == (header["chip"], header["network"])
        assert [note.id for note in read.notes] == [note["id"] for note in header["notes"]]
        compare_recording(small(), GIVEN, read, executor="auto")
    except Refusal:
        return "refused"
    return "read"


def test_a_mutant_of_a_recording_is_refused_or_read_as_it_stands(tmp_path, count):
    sound, path = recorded(), tmp_path / "r.npz"
    save_recording(sound, path)
    whole, outcomes = path.read_bytes(), Counter()
    for seed in range(MANY):
        path.write_bytes(whole)
        outcomes[judged(path, np.random.default_rng(seed))] += 1
    assert outcomes["refused"] > MANY / 2
    assert outcomes["read"] > 0
    count("mutated recordings judged", MANY)
