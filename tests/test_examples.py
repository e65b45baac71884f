"""The first hour: both examples run as they stand, and the README shows them word for word."""

import importlib.util
import re
from pathlib import Path

import pytest
from command_line import ROOT, shell

EXAMPLES = ROOT / "examples"
#: Longest file of each kind, in lines.
LONGEST = {"digits.py": 25, "deploy.sh": 10, "events.py": 30, "moving_edges.py": 45}
FLOOR = 90.0  # percent
OWN = "own_neuron.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder in which one follows the other."""
    return tmp_path_factory.mktemp("first_hour")


@pytest.fixture(scope="module")
def deployed(folder):
    found = shell("command -v neurodeploy")
    if found.returncode:
        pytest.fail('the command neurodeploy is not installed beside this Python: pip install -e ".[test]"')
    return shell(f"bash -e {EXAMPLES / 'deploy.sh'}", folder, timeout=600)


@pytest.fixture(scope="module")
def trained(folder, deployed):
    assert deployed.returncode == 0, deployed.stderr
    return shell(f"python {EXAMPLES / 'digits.py'}", folder, timeout=600)


@pytest.mark.slow  # a minute; .ci/run has it
def test_the_shell_example_runs(folder, deployed):
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert "Traceback" not in deployed.stderr
    for part in ("model.safetensors", "train.npz", "test.npz", "digits.nd", "imu.nd"):
        assert (folder / "digits" / part).exists()
    assert '"exact": true' in deployed.stdout


@pytest.mark.slow  # a minute; .ci/run has it
def test_the_demo_of_the_shell_example_is_accurate(deployed):
    (row,) = re.findall(r"│\s+0 │ +([\d.]+) % │ +([\d.]+) % │", deployed.stdout)
    assert all(float(share) > 95 for share in row)


@pytest.mark.slow  # a minute; .ci/run has it
def test_the_python_example_runs_and_decides(trained, folder):
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert trained.stderr == ""
    ((real, integer, others),) = re.findall(r"float ([\d.]+)%, integer ([\d.]+)%, (\d+) decided", trained.stdout)
    assert float(real) > FLOOR
    assert float(integer) > FLOOR
    assert 0 <= int(others) <= 447
    assert "digits/mine.nd: exact" in trained.stdout
    assert (folder / "digits" / "mine.nd" / "manifest.json").exists()


@pytest.mark.slow  # .ci/run has it
def test_the_example_of_moving_edges_decides_and_says_what_the_order_changes(tmp_path):
    done = shell(f"python {EXAMPLES / 'moving_edges.py'}", tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    ((real, integer, _),) = re.findall(r"float ([\d.]+)%, integer ([\d.]+)%, (\d+) decided", done.stdout)
    assert float(real) > FLOOR
    assert float(integer) > FLOOR
    assert "speck2f: fits" in done.stdout
    assert "edges.nd: exact" in done.stdout


def test_the_example_of_single_events_runs_and_says_what_was_observed(tmp_path):
    done = shell(f"python {EXAMPLES / 'events.py'}", tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "observed over 8 scan orders" in done.stdout
    assert re.search(r"'features': exact, [\d,]{4,} events", done.stdout)
    assert re.search(r"'classes': [\d,]{3,}", done.stdout)


@pytest.mark.parametrize("name", LONGEST)
def test_an_example_is_short(name):
    assert 0 < len((EXAMPLES / name).read_text().rstrip().splitlines()) <= LONGEST[name]


def blocks(text):
    """Fenced blocks of a Markdown text."""
    return re.findall(r"^```[^\n]*\n(.*?)^```\s*$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", sorted(LONGEST))
def test_the_readme_shows_an_example_word_for_word(name):
    shown = [block.strip("\n") for block in blocks((ROOT / "README.md").read_text())]
    assert (EXAMPLES / name).read_text().strip("\n") in shown


@pytest.mark.slow  # .ci/run has it
def test_a_neuron_of_ones_own_is_ten_lines_learns_and_is_drawn(tmp_path):
    source = (EXAMPLES / OWN).read_text()
    (neuron,) = re.findall(r"class Resonator.*?\n\n\n", source, re.DOTALL)
    assert len(neuron.strip().splitlines()) <= 11
    done = shell(f"python {EXAMPLES / OWN} --out own.png", tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    executors, losses = zip(*re.findall(r"(\w+), step \d+: loss ([\d.]+)", done.stdout), strict=True)
    assert set(executors) == {"numba" if importlib.util.find_spec("numba") else "torch"}
    assert float(losses[-1]) < 0.7 * float(losses[0])
    assert (tmp_path / "own.png").read_bytes().startswith(b"\x89PNG")
    assert done.stdout.splitlines()[-1] == "own.png"


#: Examples that the tests of their subject run.
RUN_ELSEWHERE = {
    "draw_neurons.py": "test_plot.py",
    "fixed_patterns.py": "test_fixed_patterns.py",
    "tutorial_neurons.py": "test_golden_neurons.py",
    "first_network.ipynb": "test_notebook.py",
}


def test_every_example_is_one_of_those_that_run():
    assert {p.name for p in EXAMPLES.iterdir() if p.is_file()} == {*LONGEST, *RUN_ELSEWHERE, OWN}
    assert len((EXAMPLES / OWN).read_text().splitlines()) < 60
    for name, test in RUN_ELSEWHERE.items():
        assert name in (Path(__file__).parent / test).read_text()
        assert name.endswith(".ipynb") or len((EXAMPLES / name).read_text().splitlines()) < 60
