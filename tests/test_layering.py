"""The order of the layers: a module imports only what stands above it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import neurodeploy

PACKAGE = Path(neurodeploy.__file__).parent
LAYERS = [
    "codes", "notebook", "errors", "npz", "archive", "native", "generated", "step", "chips", "network", "simulator",
    "ranges", "kernels", "layers", "models", "nir", "ann", "foreign", "events", "evaluation", "streams", "quantizer",
    "fixed", "approximation", "mapper", "checker", "emit", "devices", "oracles", "golden", "verifier", "proofs",
    "bundles", "training", "conversion", "widths", "support", "plot", "report", "bench", "demo", "doctor",
    "cli", "plugin",
]  # fmt: skip
STRANGERS = {"emit", "oracles"}  # one file per format or program: they never know each other
TORCH_AT_THE_TOP = {
    "bench",
    "kernels",
    "layers",
    "models",
    "nir",
    "ann",
    "foreign",
    "approximation",
    "quantizer",
    "fixed",
    "checker",
    "training",
    "conversion",
    "widths",
    "support",
    "plot",
    "report",
    "demo",
}
TORCH_INSIDE_FUNCTIONS = {"cli"}
TORCH_PACKAGES = {("simulator", "tensors")}  # loaded when it is asked for
HEAVY = {
    "aedat",
    "xylosim",
    "samna",
    "sklearn",
    "h5py",
    "onnx",
    "numba",
    "llvmlite",
    "triton",
    "z3",
    "ortools",
    "matplotlib",
    "joblib",
    "dask",
    "distributed",
}

Import = tuple[str, bool]  # dotted name, whether it stands at the top of the module


def imports(source: str, package: str) -> Iterator[Import]:
    """All imports of a file; those under ``if TYPE_CHECKING`` do not run and do not count as top."""

    def walk(node: ast.AST, *, top: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                continue  # no import stands inside an expression
            if isinstance(child, ast.Import):
                yield from ((alias.name, top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                parts = package.split(".")[: len(package.split(".")) - child.level + 1] if child.level else []
                base = ".".join([*parts, *([child.module] if child.module else [])])
                if base == "neurodeploy":
                    yield from ((f"{base}.{alias.name}", top) for alias in child.names)
                else:
                    yield base, top
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                typing = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
                yield from walk(child, top=top and not inside and not typing)

    yield from walk(ast.parse(source), top=True)


def layer_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def faults_of(source: str, layer: str, file: str = "") -> list[str]:
    """What a file of a layer imports that it must not."""
    found = []
    package = f"neurodeploy.{layer}"
    own = f"{package}.{file}"
    torch_stands = layer in TORCH_AT_THE_TOP or (layer, file) in TORCH_PACKAGES
    for name, top in imports(source, package):
        root, *rest = name.split(".")
        if root == "neurodeploy" and rest:
            other = rest[0]
            if other not in LAYERS or LAYERS.index(other) > LAYERS.index(layer):
                found.append(f"{layer} imports {name}, which stands below")
            elif other == layer and layer in STRANGERS and file != "__init__" and len(rest) > 1 and rest[1] != file:
                found.append(f"{own} imports its sibling {name}")
        elif root == "torch" and not (torch_stands or (layer in TORCH_INSIDE_FUNCTIONS and not top)):
            found.append(f"{layer} imports torch")
        elif root in HEAVY and top:
            found.append(f"{layer} imports {root} outside a function")
    return found


FILES = sorted(f for f in PACKAGE.rglob("*.py") if f.parent != PACKAGE or f.stem not in {"__init__", "__main__"})
FILES = [f for f in FILES if layer_of(f) != "targets"]


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_a_module_imports_only_what_stands_above_it(file):
    assert layer_of(file) in LAYERS, "put the new module into LAYERS, where it belongs"
    below = file.relative_to(PACKAGE).parts[1:]  # a format or program may be a package of its own
    assert faults_of(file.read_text(), layer_of(file), below[0].removesuffix(".py") if below else file.stem) == []


def test_the_rule_has_modules_to_judge():
    assert {layer_of(f) for f in FILES} >= {"errors", "step", "archive", "chips", "network", "simulator"}


@pytest.mark.parametrize(
    ("layer", "file", "source", "words"),
    [
        ("step", "a", "from neurodeploy.chips import chip", "step imports neurodeploy.chips"),
        ("step", "a", "def f():\n    import neurodeploy.network.file", "step imports neurodeploy.network.file"),
        ("step", "a", "from neurodeploy import simulator", "step imports neurodeploy.simulator"),
        ("step", "a", "from ..chips import chip", "step imports neurodeploy.chips"),
        ("chips", "a", "from neurodeploy import brandnew", "chips imports neurodeploy.brandnew"),
        ("emit", "xylo", "from neurodeploy.emit.loihi import write", "neurodeploy.emit.xylo imports its sibling"),
        ("oracles", "xylosim", "from .other import run", "neurodeploy.oracles.xylosim imports its sibling"),
        ("simulator", "run", "def f():\n    import torch", "simulator imports torch"),
        ("cli", "cli", "import torch.nn", "cli imports torch"),
        ("oracles", "xylosim", "import xylosim.v2", "oracles imports xylosim outside a function"),
        ("demo", "a", "class A:\n    from sklearn import svm", "demo imports sklearn outside a function"),
    ],
)  # fmt: skip
def test_a_wrong_import_is_noticed(layer, file, source, words):
    assert len(faults_of(source, layer, file)) == 1
    assert words in faults_of(source, layer, file)[0]


@pytest.mark.parametrize(
    ("layer", "file", "source"),
    [
        ("simulator", "run", "from neurodeploy.network import Network\nfrom neurodeploy.simulator.machine import Row"),
        ("emit", "__init__", "from neurodeploy.emit.samna import write"),
        ("layers", "table", "import torch"),
        ("simulator", "tensors", "import torch"),
        ("cli", "cli", "def f():\n    import torch"),
        ("oracles", "xylosim", "def f():\n    import xylosim.v2"),
        ("chips", "read", "from .schema import ChipFile"),
    ],
)
def test_a_right_import_is_let_through(layer, file, source):
    assert faults_of(source, layer, file) == []


def test_importing_the_program_loads_nothing_heavy():
    code = "import sys, neurodeploy; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    environment = {"PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    loaded = set(done.stdout.split())
    assert "neurodeploy" in loaded
    assert loaded & {"torch", *HEAVY} == set()
