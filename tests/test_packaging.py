"""What is shipped: the wheel, the names, the codes, and the rules that hold for every file."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest
from command_line import PYTHON, ROOT, shell

import neurodeploy as nd
from neurodeploy.codes import CODES

PACKAGE = ROOT / "neurodeploy"
FILES = sorted(PACKAGE.rglob("*.py"))
CHIPS = sorted(folder.parent.name for folder in (ROOT / "targets").glob("*/chip.toml"))
DATA = sorted(f for chip in CHIPS for f in (ROOT / "targets" / chip).iterdir())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
#: Files above 350 lines, with the reason.
LONG: dict[str, str] = {
    "neurodeploy/chips/schema.py": "one class for each table that a chip file may have, and nothing else",
}


def name_of(file):
    return str(file.relative_to(ROOT))


def command(line, folder, **environment):
    """Run a line of bash that must succeed."""
    done = shell(line, folder, timeout=300, **environment)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


# the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command(f"{PYTHON} -m build --wheel --no-isolation --outdir {folder} {ROOT}", folder)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    pip = f"{PYTHON} -m pip install --quiet --disable-pip-version-check --no-index --no-deps"
    command(f"{pip} --target {folder} {wheel}", folder)
    return folder


def test_the_wheel_holds_the_package_its_chips_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {str(f.relative_to(ROOT)) for f in FILES}
    data = {f"neurodeploy/{f.relative_to(ROOT)}" for f in DATA}
    info = f"neurodeploy-{version('neurodeploy')}.dist-info/"
    other = {"neurodeploy/py.typed", "neurodeploy/bench/simulations.toml", "neurodeploy/report/page.html"}
    assert ours | data | other == {n for n in names if not n.startswith(info)}
    assert {n.removeprefix(info) for n in names if n.startswith(info)} >= {"METADATA", "entry_points.txt", "RECORD"}
    assert any(n.endswith("LICENSE") for n in names)


def test_the_chips_of_the_wheel_are_those_of_the_repository(wheel):
    archive = zipfile.ZipFile(wheel)
    for file in DATA:
        assert archive.read(f"neurodeploy/{file.relative_to(ROOT)}") == file.read_bytes()


def test_a_chip_without_golden_vectors_is_a_machine_that_is_defined_here():
    assert {f.name for f in DATA} == {"chip.toml", "golden.json"}
    assert {c for c in CHIPS if (ROOT / "targets" / c / "golden.json") not in DATA} == {"fixed"}


def test_the_wheel_names_its_command_its_version_and_its_extras(wheel):
    archive = zipfile.ZipFile(wheel)
    info = f"neurodeploy-{version('neurodeploy')}.dist-info"
    metadata = archive.read(f"{info}/METADATA").decode()
    assert f"\nVersion: {PROJECT['project']['version']}\n" in metadata
    assert "neurodeploy = neurodeploy.cli:main" in archive.read(f"{info}/entry_points.txt").decode()
    extras = set(re.findall(r"^Provides-Extra: (.*)$", metadata, re.MULTILINE))
    assert extras == set(PROJECT["project"]["optional-dependencies"])


def test_the_installed_package_finds_its_own_chips_from_anywhere(installed, tmp_path):
    code = "import neurodeploy, json; from neurodeploy.chips import target_root; "
    code += "print(json.dumps([neurodeploy.__file__, str(target_root())]))"
    places = command(f"{PYTHON} -c {shlex.quote(code)}", tmp_path, PYTHONPATH=str(installed))
    assert places.count(str(installed)) == 2
    program = f"{PYTHON} -c 'from neurodeploy.cli import main; main()'"
    listed = command(f"{program} targets --json", tmp_path, PYTHONPATH=str(installed))
    assert [name for name in CHIPS if f'"{name}"' in listed] == CHIPS
    # every golden vector of an installed chip is run by the installed program
    code = "import neurodeploy as nd; from neurodeploy.golden import check_golden; "
    code += 'print(check_golden(nd.chip("xylo_imu")))'
    assert int(command(f"{PYTHON} -c {shlex.quote(code)}", tmp_path, PYTHONPATH=str(installed))) > 1000


def test_the_version_stands_in_one_place():
    assert version("neurodeploy") == PROJECT["project"]["version"]
    assert not any("__version__ =" in file.read_text() for file in FILES)


# names


def test_importing_the_package_loads_nothing_heavy(tmp_path):
    heavy = {"torch", "numpy", "numba", "onnx", "h5py", "samna", "sklearn", "xylosim", "click", "rich", "pydantic"}
    code = f"import sys, neurodeploy; print(sorted({heavy} & set(sys.modules)))"
    assert command(f"{PYTHON} -c {shlex.quote(code)}", tmp_path).strip() == "[]"


def test_every_public_name_resolves_is_listed_once_and_is_no_module():
    assert len(set(nd.__all__)) == len(nd.__all__)
    assert sorted(nd.__all__) == nd.__all__ == dir(nd)
    modules = {f.stem for f in PACKAGE.glob("*.py")} | {f.name for f in PACKAGE.iterdir() if f.is_dir()}
    for name in nd.__all__:
        assert callable(getattr(nd, name)), name
        assert getattr(nd, name).__doc__, name
        assert name not in modules, f"{name} is a module and a function"
    assert set(nd._HOME) == set(nd.__all__)


def test_what_type_checkers_see_is_what_is_imported():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.asname or alias.name: ((node.module or "").removeprefix("neurodeploy."), alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == nd._HOME


def test_a_misspelt_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'neurodeploy' has no attribute 'simulat'"):
        nd.simulat  # noqa: B018 - the access is the test


# codes


GIVEN = {"allow_pickle"}  # arguments that a rule is about


def called(function):
    """Dotted name of what is called; of what is no name what stands after it."""
    if isinstance(function, ast.Attribute):
        return f"{called(function.value)}.{function.attr}"
    return function.id if isinstance(function, ast.Name) else ""


@cache
def content(file):
    """Codes, calls and imported packages of a file, which is read once for all tests."""
    codes, calls, packages = set(), [], set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"ND\d{4}", node.value):
            codes.add(node.value)
        elif isinstance(node, ast.Call):
            calls.append((called(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords if k.arg in GIVEN}))
        elif isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            packages.add(node.module.split(".")[0])
    return codes, calls, packages


def test_every_code_that_is_used_is_explained_and_every_code_explained_is_used():
    used = set().union(*(content(file)[0] for file in FILES if file.name != "codes.py"))
    assert used - set(CODES) == set()
    assert set(CODES) - used == set()


def test_a_code_is_explained_in_sentences_and_each_in_its_own():
    for code, entry in CODES.items():
        assert re.fullmatch(
            r"(step text|chip file|network|simulation|file|data|evaluation|float model|quantizer|mapper"
            r"|configuration|device|verification|bundle|proof|guard|recording|search): .+|unknown chip|usage"
            r"|optional package .+",
            entry.meaning,
        ), code
        assert not entry.meaning.endswith(".")
        for text in (entry.cause, entry.todo):
            assert re.fullmatch(r"[A-Zn].+[.]", text), (code, text)
    assert len({entry.meaning for entry in CODES.values()}) == len({e.cause for e in CODES.values()}) == len(CODES)


def test_codes_in_docstrings_exist():
    found = {code for file in FILES for code in re.findall(r"\bND\d{4}\b", file.read_text())}
    assert found <= set(CODES)
    assert len(found) > 30


# rules for every file


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_no_file_is_longer_than_350_lines(file):
    lines = len(file.read_text().splitlines())
    assert lines <= 350 or name_of(file) in LONG


def test_the_list_of_long_files_is_true():
    for name, reason in LONG.items():
        assert len((ROOT / name).read_text().splitlines()) > 350, f"{name}: take it off the list"
        assert reason


#: The one place that runs text: kernels that this process has just generated, never text that it has read.
GENERATED = {"neurodeploy/generated.py": {"exec"}}


#: The one place that sends objects to other processes, its own or those of a cluster that the user names; no file.
PROCESSES = {"neurodeploy/simulator/pools.py": {"joblib"}}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_nothing_prints_unpickles_or_runs_text(file):
    unpickling = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    _, calls, packages = content(file)
    assert unpickling & packages - PROCESSES.get(name_of(file), set()) == set()
    for function, given in calls:
        barred = {"print", "eval", "exec", "torch.load", "joblib.load"} - GENERATED.get(name_of(file), set())
        assert function not in barred, function
        if function in {"np.load", "numpy.load"} or function.endswith(("read_array", "write_array")):
            assert given.get("allow_pickle") == "False", f"{function} without allow_pickle=False"


def test_the_rule_about_arrays_meets_some_call():
    reads = [function for file in FILES for function, _ in content(file)[1] if function.endswith("read_array")]
    assert reads


def test_extras_are_told_alike_in_the_project_and_in_the_doctor():
    from neurodeploy.doctor import PACKAGES

    required = " ".join(PROJECT["project"]["dependencies"])
    for package, extra in PACKAGES.items():
        place = " ".join(PROJECT["project"]["optional-dependencies"][extra]) if extra else required
        assert re.search(rf"\b{package}\b", place), package


# tools


SLOW = pytest.mark.slow  # .ci/run has it


MYPY = ["mypy neurodeploy", "mypy neurodeploy --platform win32 --python-version 3.13"]


@pytest.mark.parametrize(
    "line", ["ruff check .", "ruff format --check .", *(pytest.param(line, marks=SLOW) for line in MYPY)]
)
def test_the_tools_have_nothing_to_say(line):
    done = subprocess.run(  # noqa: S603 - our own tools on our own files
        [sys.executable, "-m", *line.split()], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tools_stand_in_the_extra_of_the_tests():
    extra = " ".join(PROJECT["project"]["optional-dependencies"]["test"])
    assert all(tool in extra for tool in ("build", "hatchling", "mypy", "pytest", "ruff"))
    assert not Path(ROOT / "setup.py").exists()
    assert not Path(ROOT / "setup.cfg").exists()
