"""Generated code on disk: found again, verified, and never run where it is damaged or somebody else's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import neurodeploy
from neurodeploy import generated
from neurodeploy.kernels import sequence
from neurodeploy.layers import IAF

pytest.importorskip("numba", reason='numba is not installed: pip install "neurodeploy[fast]"')
torch.set_num_threads(1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURODEPLOY_CACHE", str(tmp_path))
    sequence._kernels.cache_clear()
    yield tmp_path
    sequence._kernels.cache_clear()


def spikes():
    """A fresh layer, kernels looked up anew."""
    sequence._kernels.cache_clear()
    layer = IAF(2)
    layer.executor = "numba"
    return layer(torch.full((3, 1, 2), 0.75)).flatten().tolist()


EXPECTED = [0, 0, 1, 1, 1, 1]


def entry(folder):
    (found,) = (folder / "kernels").iterdir()
    return found


def test_code_and_machine_code_lie_in_one_folder(folder):
    assert spikes() == EXPECTED
    names = {path.name for path in entry(folder).iterdir()}
    assert names == {"kernel.py", "compiled.json", "__pycache__"}
    listed = json.loads((entry(folder) / "compiled.json").read_text())
    assert {path.name for path in (entry(folder) / "__pycache__").iterdir()} == set(listed)
    assert len(listed) == 2


def test_machine_code_is_used_again(folder):
    spikes()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")}
    assert before
    assert spikes() == EXPECTED
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")} == before


def test_a_changed_source_is_written_anew_and_never_run(folder):
    spikes()
    file = entry(folder) / "kernel.py"
    right = file.read_text()
    file.write_text(right + "\nraise SystemExit('foreign code ran')\n")
    assert spikes() == EXPECTED
    assert file.read_text() == right


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("content", [b"", b"cos\nsystem\n(S'false'\ntR.", b"\0" * 999])
def test_damaged_machine_code_is_compiled_again(folder, suffix, content):
    spikes()
    (file,) = folder.rglob(f"*{suffix}")
    file.write_bytes(content)
    assert spikes() == EXPECTED
    (file,) = folder.rglob(f"*{suffix}")
    assert file.read_bytes() != content


def test_machine_code_that_stands_in_no_list_is_removed(folder):
    spikes()
    (entry(folder) / "compiled.json").write_text("[1]")
    stranger = entry(folder) / "__pycache__" / "kernel.stranger.nbc"
    stranger.write_bytes(b"x")
    assert spikes() == EXPECTED
    assert not stranger.exists()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="the platform has no owners of files")
def test_a_folder_that_others_may_write_is_not_used(folder, caplog):
    (folder / "kernels").mkdir()
    (folder / "kernels").chmod(0o777)
    with caplog.at_level("WARNING", "neurodeploy"):
        assert spikes() == EXPECTED
    assert "cannot be kept" in caplog.text
    assert list((folder / "kernels").rglob("*.nbc")) == []


def test_a_folder_that_is_a_file_is_not_used(folder, caplog):
    (folder / "kernels").write_text("")
    with caplog.at_level("WARNING", "neurodeploy"):
        assert spikes() == EXPECTED
    assert "cannot be kept" in caplog.text


@pytest.mark.parametrize(
    ("platform", "settings", "expected"),
    [
        ("linux", {"NEURODEPLOY_CACHE": "/a/b"}, "/a/b"),
        ("linux", {"XDG_CACHE_HOME": "/a"}, "/a/neurodeploy"),
        ("linux", {}, "/home/me/.cache/neurodeploy"),
        ("darwin", {}, "/home/me/Library/Caches/neurodeploy"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/neurodeploy/cache"),
    ],
)
def test_the_folder_is_that_of_the_platform(platform, settings, expected, monkeypatch):
    for name in ("NEURODEPLOY_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert generated.cache_folder() == Path(expected)


FIRST = """
import torch
from numba.core import event
from neurodeploy.layers import LIF
torch.set_num_threads(1)
layer = LIF(4, 5.0)
layer.executor = "numba"
x = torch.ones(3, 2, 4, requires_grad=True)
with event.install_recorder("numba:compile") as compiled:
    layer(x).sum().backward()
print(len(compiled.buffer))
"""


def test_the_next_process_compiles_nothing(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(neurodeploy.__file__).parents[1])}
    environment |= {"NEURODEPLOY_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    compiled, files = [], []
    for _ in range(2):
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", FIRST], env=environment, capture_output=True, text=True, check=True
        )
        compiled.append(int(done.stdout))
        files.append({(f.name, f.stat().st_mtime_ns) for f in tmp_path.rglob("*.nb?")})
    assert compiled[0] > 0
    assert compiled[1] == 0
    assert files[0] == files[1] != set()
