"""A bundle with every kind of file, and what tests of bundles do to its files."""

import hashlib
import json

import pytest
from xylo_networks import events, small

from neurodeploy.archive import canonical_json
from neurodeploy.bundles import bundle


def content(path):
    """Name -> bytes of everything in the folder of a bundle."""
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def resigned(path):
    """Give a manifest the hashes of the files as they are now, as somebody with intent would."""
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"] = {n: hashlib.sha256((path / n).read_bytes()).hexdigest() for n in manifest["files"]}
    del manifest["digest"]
    manifest["digest"] = hashlib.sha256(canonical_json(manifest).encode()).hexdigest()
    (path / "manifest.json").write_text(canonical_json(manifest))


@pytest.fixture
def made(tmp_path):
    """A bundle with every kind of file."""
    path = tmp_path / "small.nd"
    bundle(
        small(),
        events(samples=3),
        path,
        report={"accuracy": 0.5},
        emit=["samna"],
        notes={"from": "a test"},
        samples=[2, 0],
    )
    return path
