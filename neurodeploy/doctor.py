"""What is here and what is not: the program, chips, packages, oracles, devices. Looks only; nothing is changed."""

import importlib.util
import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from neurodeploy.archive import canonical_json
from neurodeploy.chips import chip, target_folders
from neurodeploy.emit.samna.detect import SamnaState, advice, detect_samna
from neurodeploy.emit.samna.layers import layers_table
from neurodeploy.errors import Refusal
from neurodeploy.oracles import ORACLES
from neurodeploy.oracles.in_icarus import Program
from neurodeploy.oracles.process import Process

State = Literal["ok", "missing", "failed", "stub", "unknown", "not probed"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    name : the thing, by kind and name: "package torch", "target xylo_imu"
    state : "ok"; "missing"; "failed", it is there and does not work; "stub", a placeholder stands in its place;
        "unknown", it cannot be told; "not probed", looking needs what is not here
    version : its version, None where it has none
    detail : what was found
    todo : what to do about it, empty if nothing
    """

    name: str
    state: State
    version: str | None = None
    detail: str = ""
    todo: str = ""


@dataclass(frozen=True)
class Probe:
    """A small real use of an oracle, run in a process of its own.

    package : the package, as pip calls it
    module : the module, as Python calls it
    program : prints ``ANSWER`` if the oracle does what it should
    """

    package: str
    module: str
    program: str


#: Packages and the extra that installs each ("" is a dependency). Keep equal to pyproject.toml: dependencies, extras.
PACKAGES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("numpy", "pydantic", "rich", "safetensors", "torch"), ""),
        "aedat": "aedat",
        "scikit-learn": "demo",
        "dask": "engines",
        "joblib": "engines",
        "numba": "fast",
        "triton": "gpu",
        "ortools": "map",
        "h5py": "nir",
        "onnx": "onnx",
        "onnxruntime": "oracles",
        "xylosim": "oracles",
        "matplotlib": "plot",
        "z3-solver": "prove",
        "jinja2": "report",
    }
)
ANSWER = "neurodeploy: the oracle answers"
#: One for each oracle of the table that runs in this Python.
PROBES = tuple(
    Probe(o.name, o.package, f"{o.probe}\nprint({ANSWER!r} if answers else 'unexpected spikes or states')")
    for o in ORACLES.values()
    if o.process is None and o.program is None
)
_DEVICES = """
import json, samna
print(json.dumps([str(d.device_type_name) for d in samna.device.get_all_devices()]))
"""


def diagnose(*, probes: Iterable[Probe] = PROBES, timeout_s: float = 20.0) -> list[Finding]:
    """Everything that the program needs or can use, in the order of need.

    probes : oracles to try
    timeout_s : seconds that each process may take
    """
    samna = detect_samna()
    return [
        Finding(
            "python", "ok", platform.python_version(), f"{sys.executable}, {platform.system()} {platform.machine()}"
        ),
        _program(),
        *_targets(),
        *(_package(name, extra) for name, extra in PACKAGES.items()),
        _samna(samna),
        *(_oracle(probe, timeout_s) for probe in probes),
        *(_elsewhere(o.process) for o in ORACLES.values() if o.process is not None),
        *(_on_the_path(o.program) for o in ORACLES.values() if o.program is not None),
        _devices(samna, timeout_s),
    ]


def to_json(findings: Iterable[Finding]) -> str:
    """Findings as JSON text."""
    return canonical_json([asdict(f) for f in findings])


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _install(extra: str) -> str:
    return f'pip install "neurodeploy[{extra}]"' if extra else "pip install neurodeploy"


def _program() -> Finding:
    place, version = str(Path(__file__).resolve().parent), _version("neurodeploy")
    if version is None:
        return Finding("neurodeploy", "failed", None, f"{place}: runs, but is not installed", "pip install .")
    return Finding("neurodeploy", "ok", version, place)


def _targets() -> Iterator[Finding]:
    try:
        folders = target_folders()
    except Exception as error:  # noqa: BLE001 - packages of others name chips too, and may fail in any way
        yield Finding("targets", "failed", None, _words(error), "remove the package that offers this chip, or mend it")
        return
    if not folders:
        yield Finding("targets", "missing", None, "no chip was found", "install neurodeploy anew")
    for name, folder in folders.items():
        try:
            found = chip(folder)
        except Refusal as refusal:
            yield Finding(f"target {name}", "failed", None, str(refusal), f"correct {folder}")
        else:
            yield Finding(f"target {name}", "ok", None, f"{found.title}; {folder}")


def _package(name: str, extra: str) -> Finding:
    version = _version(name)
    if version is None:
        purpose = f"needed for [{extra}]" if extra else "needed"
        return Finding(f"package {name}", "missing", None, f"not installed; {purpose}", _install(extra))
    return Finding(f"package {name}", "ok", version, "installed; not imported")


def _samna(found: SamnaState) -> Finding:
    states: Mapping[str, State] = {"real": "ok", "stub": "stub", "absent": "missing", "unknown": "unknown"}
    words = {
        "real": "the real samna; not imported",
        "stub": "the placeholder from PyPI, which runs pip when it is imported",
        "absent": "not installed; configurations can be written, not applied",
        "unknown": "neither the placeholder nor compiled code; treated as absent",
    }
    detail = words[found.state] + (f": {found.path}" if found.path else "")
    return Finding("samna", states[found.state], found.version, detail, advice(found))


def _oracle(probe: Probe, timeout_s: float) -> Finding:
    name, version = f"oracle {probe.package}", _version(probe.package)
    if importlib.util.find_spec(probe.module) is None:  # a top-level module is found without being executed
        return Finding(name, "missing", version, "not installed", _install(PACKAGES.get(probe.package, "oracles")))
    output, trouble = _python(probe.program, timeout_s)
    if ANSWER in output:
        return Finding(name, "ok", version, "a small network gave the known spikes and currents")
    detail = trouble or f"a wrong answer: {output.strip()[-200:] or 'nothing'}"
    return Finding(name, "failed", version, detail, _install(PACKAGES.get(probe.package, "oracles")))


def _elsewhere(process: Process) -> Finding:
    """Look for an oracle that runs in a Python of its own."""
    name, version = f"oracle {process.package}", process.available()
    if version is None:
        return Finding(name, "missing", None, f"{process.variable} names no Python that has it", process.install)
    return Finding(name, "ok", version, f"in {process.interpreter}; not run")


def _on_the_path(program: Program) -> Finding:
    """Look for an oracle that is a program."""
    name, version = f"oracle {program.name}", program.available()
    if version is None:
        return Finding(name, "missing", None, "not installed", program.install)
    return Finding(name, "ok", version, "found on the path; not run")


def _devices(found: SamnaState, timeout_s: float) -> Finding:
    if found.state != "real":
        detail = f"samna is {found.state}: boards can only be seen through it"
        return Finding("devices", "not probed", None, detail, advice(found))
    output, trouble = _python(_DEVICES, timeout_s)
    try:
        names = json.loads(output.strip().splitlines()[-1]) if not trouble else None
    except (ValueError, IndexError):
        trouble = f"samna answered {output.strip()[-200:] or 'nothing'}"
    if trouble:
        return Finding("devices", "failed", None, trouble, "try samna by itself, then again")
    if not names:
        todo = "plug the board in; on Linux it also needs the vendor's udev rules"
        return Finding("devices", "missing", None, "samna sees no board", todo)
    known = _boards()
    return Finding("devices", "ok", None, ", ".join(f"{n} ({known[n]})" if n in known else str(n) for n in names))


def _boards() -> dict[str, str]:
    """Boards that this program can open, as samna calls them, with the chip that they hold."""
    result = dict[str, str]()
    with suppress(Exception):  # what is wrong with chips of others is said elsewhere
        for name, folder in target_folders().items():
            with suppress(Refusal):
                result |= dict.fromkeys(layers_table(chip(folder)).board.names, name)
    return result


def _python(program: str, timeout_s: float) -> tuple[str, str]:
    """What a program printed, and what went wrong. A process of its own: a crash or a hang stays there."""
    command = [sys.executable, "-P", "-c", program]
    try:
        done = subprocess.run(  # noqa: S603 - our own programs and our own interpreter; nothing of the user's is in them
            command, capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer within {timeout_s:g} s"
    except OSError as error:
        return "", _words(error)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        return done.stdout, last[0]
    return done.stdout, ""


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
