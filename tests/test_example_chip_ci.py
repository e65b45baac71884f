"""The example project as its user meets it: an installed wheel, the commands of its CI file, and four small changes."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from command_line import PYTHON, ROOT, shell

from neurodeploy.plugin.golden import MAKER, read_run

EXAMPLE = ROOT / "examples" / "chip_ci"
TESTS = f"{PYTHON} -m pytest -p no:hypothesispytest"
GOLDEN = "tests/golden/test_network/test_the_network_computes_what_it_did.npz"
#: change -> file, what stands there, what comes in its place, where the first difference is
CHANGES = {
    "weight": (
        "network.py",
        "[[34, -12",
        "[[35, -12",
        r"group 'hidden', neuron 0 .*: sum = 26 in .*, 25 in the golden file, from 0 and 0 .*w is 35 against 34",
    ),
    "threshold": (
        "network.py",
        "THRESHOLD = 60",
        "THRESHOLD = 61",
        r"group 'hidden', neuron 1 .*, step 3, .*, line 3: v = v - threshold if .*threshold is 61 against 60",
    ),
    "delay": (
        "network.py",
        "[[0, 1]",
        "[[0, 2]",
        r"group 'output', neuron 1 .*: sum = 44 in .*, 19 in the golden.*no such event in the first run",
    ),
    "comparison": (
        "board/chip.toml",
        "v >= threshold",
        "v > threshold",
        r"group 'output', neuron 0 .*: spike = 0 in .*, 1 in the golden .* line 2: spike = 1 if v > threshold",
    ),
}

pytestmark = pytest.mark.slow  # half a minute; .ci/run has it


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel, installed into a folder that stands before everything else."""
    folder = tmp_path_factory.mktemp("installed")
    quiet = "--quiet --disable-pip-version-check --no-deps"
    build = f"{PYTHON} -m pip wheel {quiet} --no-build-isolation -w wheel {ROOT}"
    install = f"{PYTHON} -m pip install {quiet} --no-index --target site wheel/*.whl"
    done = shell(f"{build} && {install}", folder, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.fixture
def project(installed, tmp_path):
    """A copy of the example, with its bundle made."""
    folder = tmp_path / "project"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", "*.nd"))
    done = user(f"{PYTHON} make_bundle.py", folder, installed)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def user(line, folder, installed, **environment):
    return shell(line, folder, timeout=300, PYTHONPATH=str(installed), **({"CI": ""} | environment))


def test_the_commands_of_its_ci_file_are_green_and_leave_their_reports(project, installed):
    (line,) = re.findall(r"- run: (pytest .*)", (EXAMPLE / "ci.yml").read_text())
    done = user(f"{TESTS} {line.removeprefix('pytest')} -p no:cacheprovider", project, installed, CI="true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"2 passed, 1 skipped", done.stdout)
    assert "neurodeploy_hardware: no device was named" in done.stdout
    (told,) = [json.loads(p.read_text()) for p in (project / "equivalence").glob("test*test_chip*.json")]
    assert told["exact"] is True
    assert {row["oracle"] for row in told["found"]["exact_against"]} >= {"reference", "numpy", "torch"}
    assert all(row["values_compared"] > 0 for row in told["found"]["exact_against"])
    assert (project / "equivalence" / "junit.xml").read_text().count("<testcase") == 3


def test_the_installed_program_and_no_other_ran(project, installed):
    program = "import neurodeploy, neurodeploy.plugin; print(neurodeploy.__file__)"
    done = user(f'{PYTHON} -c "{program}"', project, installed)
    assert Path(done.stdout.strip()).is_relative_to(installed), sys.path
    assert "neurodeploy = neurodeploy.plugin" in next(installed.glob("*.dist-info/entry_points.txt")).read_text()
    done = user(f"{TESTS} --help", project, installed)
    for option in ("--nd-target", "--nd-against", "--nd-update", "--nd-hardware", "--nd-report"):
        assert option in done.stdout


@pytest.mark.parametrize("name", CHANGES)
def test_a_small_change_turns_it_red_and_names_the_first_difference(project, installed, name):
    file, old, new, words = CHANGES[name]
    text = (project / file).read_text()
    assert text.count(old) == 1
    (project / file).write_text(text.replace(old, new))
    done = user(TESTS, project, installed)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 passed, 1 skipped" in done.stdout
    assert re.search(words, done.stdout), done.stdout
    assert "the golden file was made of another network" in done.stdout
    # the bundle of the changed network is verified by itself, as it should: what is deployed is what was made
    assert user(f"{PYTHON} make_bundle.py && {TESTS} tests/test_chip.py", project, installed).returncode == 0


def test_a_missing_golden_file_is_red_until_somebody_updates_it_and_never_in_ci(project, installed):
    (project / GOLDEN).unlink()
    assert user(TESTS, project, installed).returncode == 1
    assert user(f"{TESTS} --nd-update", project, installed, CI="true").returncode == 4
    assert not (project / GOLDEN).exists()
    done = user(f"{TESTS} --nd-update", project, installed)
    assert done.returncode == 0
    assert f"golden files written: 1; look at them before you commit\n  {GOLDEN}\n" in done.stdout
    made, held = (read_run(folder / GOLDEN).header for folder in (project, EXAMPLE))
    assert {k: v for k, v in made.items() if k not in MAKER} == {k: v for k, v in held.items() if k not in MAKER}


def test_its_ci_file_is_the_one_of_the_readme(project):
    assert (project / "tests" / "test_chip.py").read_text().strip() in (ROOT / "README.md").read_text()
