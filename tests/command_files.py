"""Files that the commands are given, and the folder that they write into."""

import hashlib
import json
import shutil

import pytest
from command_line import make

from neurodeploy.archive import canonical_json

SIMULATE = ("simulate", "bundle.nd", "data.npz")
SAMNA = "configurations/samna.json"
VERIFY = ("verify", "bundle.nd")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("made"))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Commands write below the present folder at most."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def files(made, tmp_path, monkeypatch):
    """A copy of the good files in the present folder, and a folder beside them."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def changed(command, old, new):
    assert old in command
    return tuple(new if part == old else part for part in command)


def resign(bundle):
    """Give a manifest the hashes of the files as they are now, as somebody with intent would."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"] = {n: hashlib.sha256((bundle / n).read_bytes()).hexdigest() for n in manifest["files"]}
    seal(bundle, manifest)


def seal(bundle, manifest):
    unsigned = {k: v for k, v in manifest.items() if k != "digest"}
    signed = unsigned | {"digest": hashlib.sha256(canonical_json(unsigned).encode()).hexdigest()}
    (bundle / "manifest.json").write_text(canonical_json(signed))
