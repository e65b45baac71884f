"""Generated code on disk: found again, verified, and never run where it is damaged or somebody else's.

Every test runs with object files, which need no numba, and with numba's own files, for code that does.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import neurodeploy
from neurodeploy import generated, native
from neurodeploy.kernels import sequence
from neurodeploy.layers import IAF

pytest.importorskip("numba", reason='numba is not installed: pip install "neurodeploy[fast]"')
torch.set_num_threads(1)


NATIVE = pytest.mark.skipif(not native.is_native(), reason="the platform has numba's own files alone")


@pytest.fixture(params=[pytest.param("*.o", marks=NATIVE), "*.nbc"])
def machine_code(request, monkeypatch):
    """Pattern of the files of machine code."""
    if request.param == "*.nbc":
        monkeypatch.setattr(generated, "is_native", lambda: False)
    return request.param


@pytest.fixture
def folder(tmp_path, monkeypatch, machine_code):  # noqa: ARG001 - which files lie there
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


def test_code_and_machine_code_lie_in_one_folder(folder, machine_code):
    assert spikes() == EXPECTED
    names = {path.name for path in entry(folder).iterdir()}
    assert names == {"kernel.py", "compiled.json", "__pycache__"}
    listed = json.loads((entry(folder) / "compiled.json").read_text())
    assert {path.name for path in (entry(folder) / "__pycache__").iterdir()} == set(listed)
    assert len(listed) == (1 if machine_code == "*.o" else 2)


def test_machine_code_is_used_again(folder, machine_code):
    spikes()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob(machine_code)}
    assert before
    assert spikes() == EXPECTED
    assert {path: path.stat().st_mtime_ns for path in folder.rglob(machine_code)} == before


def test_a_changed_source_is_written_anew_and_never_run(folder):
    spikes()
    file = entry(folder) / "kernel.py"
    right = file.read_text()
    file.write_text(right + "\nraise SystemExit('foreign code ran')\n")
    assert spikes() == EXPECTED
    assert file.read_text() == right


@pytest.mark.parametrize(
    "content",
    [b"cos\nsystem\n(S'false'\ntR.", *(pytest.param(c, marks=pytest.mark.slow) for c in (b"", b"\0" * 999))],
)
def test_damaged_machine_code_is_compiled_again(folder, machine_code, content):
    spikes()
    for pattern in {machine_code, "*.nbi"}:
        for file in folder.rglob(pattern):
            file.write_bytes(content)
            assert spikes() == EXPECTED
            assert file.read_bytes() != content


@NATIVE
def test_changed_machine_code_is_not_used_and_made_again_to_the_byte(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURODEPLOY_CACHE", str(tmp_path))
    spikes()
    (file,) = tmp_path.rglob("*.o")
    right = file.read_bytes()
    file.write_bytes(right.replace(b"neurodeploy_", b"neurodeplay_"))
    assert spikes() == EXPECTED
    assert file.read_bytes() == right


def test_machine_code_that_stands_in_no_list_is_removed(folder, machine_code):
    spikes()
    (entry(folder) / "compiled.json").write_text("[1]")
    stranger = entry(folder) / "__pycache__" / f"kernel.stranger{machine_code[1:]}"
    stranger.write_bytes(b"x")
    assert spikes() == EXPECTED
    assert not stranger.exists()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="the platform has no owners of files")
def test_a_folder_that_others_may_write_is_not_used(folder, caplog, machine_code):
    (folder / "kernels").mkdir()
    (folder / "kernels").chmod(0o777)
    with caplog.at_level("WARNING", "neurodeploy"):
        assert spikes() == EXPECTED
    assert "cannot be kept" in caplog.text
    assert list((folder / "kernels").rglob(machine_code)) == []


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
import sys
import torch
from neurodeploy.layers import LIF, EventLinear
torch.set_num_threads(1)
layer = LIF(4, 5.0, rec_connect=EventLinear(4, 4))
layer.executor = "numba"
x = torch.ones(3, 2, 4, requires_grad=True)
layer(x).sum().backward()
print("numba" in sys.modules, layer(x * 9).sum().item() > 0)
"""
SIMULATED = """
import sys
import numpy as np
from neurodeploy.chips import chip
from neurodeploy.network import Convolution, Network, convolution, group, place_identity, projection
from neurodeploy.simulator import simulate
one = chip("loihi1")
ends = group(one, "in", "input", 2), group(one, "out", "lif", 2, threshold=1, du=4095, dv=4095)
dense = projection(one, "dense", *ends, w=np.full((2, 2), 64))
two = chip("speck2f")
maps = group(two, "in", "pixel", (1, 2, 2)), group(two, "out", "unit", (1, 2, 2), threshold_high=5, threshold_low=-5)
kernel = convolution(two, "convolve", *maps, Convolution((1, 2, 2), (1, 1, 1, 1)), w=np.full((1, 1, 1, 1), 9))
fired = 0
for of, groups, synapses in ((one, ends, dense), (two, maps, kernel)):
    network = place_identity(Network(of, groups, (synapses,)))
    counts = np.ones((9, 1, network.inputs()[0].size), np.int64)
    run = simulate(network, counts, executor="numba")
    fired += run.counts["out"].any()
print("numba" in sys.modules, fired == 2)
"""


@NATIVE
@pytest.mark.parametrize(
    "code",
    [pytest.param(FIRST, id="training", marks=pytest.mark.slow), pytest.param(SIMULATED, id="simulation")],
)
def test_the_next_process_compiles_nothing_and_does_not_import_the_compiler(tmp_path, code):
    environment = os.environ | {"PYTHONPATH": str(Path(neurodeploy.__file__).parents[1])}
    environment |= {"NEURODEPLOY_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    said, files = [], []
    for _ in range(2):
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        said.append(done.stdout.split())
        files.append({(f.name, f.stat().st_mtime_ns) for f in tmp_path.rglob("*.o")})
    assert said == [["True", "True"], ["False", "True"]]
    assert files[0] == files[1] != set()


# functions whose machine code stands alone, and the nearest that cannot


class Written:
    def __init__(self, body, dtype="float64"):
        self.code = f"import numpy as np\n\n\ndef run(n, x):\n    {body}\n"
        self.dtype = dtype

    def signature(self, _name):
        return f"void(int64, {self.dtype}[::1])"


@NATIVE
@pytest.mark.parametrize(
    ("body", "alone"),
    [
        ("x[0] = np.expm1(x[1]) + np.log2(x[2]) + n", True),
        ("x[0] = np.zeros(n)[0] + n", False),  # memory from numba
        ("x[0] = 1 if [1, 2][n] > 1 else 0", False),  # may raise
    ],
)
def test_a_function_that_needs_numba_when_it_runs_is_called_through_numba(tmp_path, monkeypatch, body, alone):
    monkeypatch.setenv("NEURODEPLOY_CACHE", str(tmp_path))
    function = generated.Compiled(Written(body), alone=True).function("run")
    assert isinstance(function, native.Native) == alone
    assert bool(list(tmp_path.rglob("*.o"))) == alone
    x = np.array([0.0, 1e-9, 8.0])
    function(1, x)
    assert x[0] == (np.expm1(1e-9) + 4.0 if alone else 1.0)


@NATIVE
@pytest.mark.parametrize(
    ("body", "alone"), [("y = x[1]; y = n; x[0] = y", True), ("y = x[1]; y = n; x[0] = y / 2", False)]
)
def test_a_name_has_one_type_only_where_all_numbers_are_whole(tmp_path, monkeypatch, body, alone):
    monkeypatch.setenv("NEURODEPLOY_CACHE", str(tmp_path))
    function = generated.Compiled(Written(body, "int8"), alone=True, whole=True).function("run")
    assert isinstance(function, native.Native) == alone
    x = np.zeros(2, np.int8)
    function(4, x)
    assert x[0] == (4 if alone else 2)


@NATIVE
def test_a_fault_that_machine_code_tells_of_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURODEPLOY_CACHE", str(tmp_path))
    function = generated.Compiled(Written("for i in range(0, 3, n): x[0] += 1"), alone=True).function("run")
    x = np.zeros(1)
    function(1, x)
    assert x[0] == 3
    with pytest.raises(RuntimeError, match="machine code tells of a fault"):
        function(0, x)


@NATIVE
def test_an_inner_part_of_the_compiler_that_has_changed_is_done_without(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURODEPLOY_CACHE", str(tmp_path))
    monkeypatch.setattr(native, "_remove_unused", lambda *_: {}["gone"])
    function = generated.Compiled(Written("x[0] = n"), alone=True).function("run")
    x = np.zeros(1)
    function(3, x)
    assert not isinstance(function, native.Native)
    assert x[0] == 3


@NATIVE
def test_machine_code_refuses_arrays_that_it_would_misread(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURODEPLOY_CACHE", str(tmp_path))
    function = generated.Compiled(Written("x[0] = n"), alone=True).function("run")
    for wrong in (np.zeros(4, np.float32), np.zeros(8)[::2]):
        with pytest.raises(TypeError, match="or one with gaps, where one of float64 belongs"):
            function(3, wrong)
