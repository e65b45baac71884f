"""What needs somebody else's program or recordings says so; the counts of a session are printed at its end.

``@pytest.mark.oracle("xylosim")`` : needs that oracle (without a name: every oracle)
``@pytest.mark.triton`` : needs Triton, no GPU: it interprets kernels, and compiles for a device that is not here
``@pytest.mark.gpu`` : needs a CUDA device; left out unless a marker expression names it
``@pytest.mark.interpreter("NEURODEPLOY_ORACLE_SINABS")`` : needs the Python that this variable names
``@pytest.mark.browser`` : needs Chromium, node, and the folder of node modules that a variable names
``@pytest.mark.shared_data`` : needs the folder of public recordings
``@pytest.mark.compiled`` : kernels of chips are compiled; everywhere else their code runs as Python, so that
    hundreds of kernels are compared without hours of compiling
``@pytest.mark.slow`` : left out unless a marker expression names it (-m slow)
``@pytest.mark.long`` : left out unless a marker expression names it, and by .ci/run: what half an hour has no room for

NEURODEPLOY_DATA : folder of the public recordings
NEURODEPLOY_BROWSER : folder with node_modules/puppeteer-core and node_modules/axe-core; .ci/run makes it
NEURODEPLOY_ORACLE_SINABS : a Python that has sinabs 3.1.3 but not samna; .ci/run makes it
NEURODEPLOY_ORACLE_SLAYER : a Python that has lava-dl 0.6.0; .ci/run makes it
NEURODEPLOY_NIR_LIBRARIES : a Python that has torch, safetensors, snntorch 1.0.0, norse 1.1.0, sinabs 3.1.3,
    spikingjelly 2.0.0 and nir 1.0.8; .ci/run makes it
NEURODEPLOY_REQUIRE_ORACLES : 1 makes a test fail where it would be skipped because an oracle or the recordings are
    missing, so that a run that compared nothing cannot pass
NEURODEPLOY_ORACLE_NENGO_LOIHI, NEURODEPLOY_ORACLE_LAVA : a Python that has nengo-loihi, one that has lava-nc; .ci/run
    makes both
"""

import gc
import importlib.util
import os
import shutil
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers of a test run share the cores

import pytest
from plain_event_kernels import Plain
from plain_kernels import plain

from neurodeploy.oracles import ORACLES

DATA, REQUIRE, BROWSER = "NEURODEPLOY_DATA", "NEURODEPLOY_REQUIRE_ORACLES", "NEURODEPLOY_BROWSER"
COUNT = "count: "

pytest_plugins = ["pytester"]


def pytest_collection_modifyitems(config, items):
    expression = config.option.markexpr
    left_out = {name for name in ("long", "gpu") if name not in expression}
    left_out |= {"slow"} if not any(name in expression for name in ("long", "slow")) else set()
    gone = {item for item in items if any(item.get_closest_marker(name) for name in left_out)}
    if gone:
        config.hook.pytest_deselected(items=list(gone))
        items[:] = [item for item in items if item not in gone]


def pytest_sessionstart():
    gc.set_threshold(100_000, 20, 20)  # ten thousand tests are walked through each time: a sixth of the whole run


def pytest_collection_finish():
    gc.collect()
    gc.freeze()


def missing(item):
    """What a test needs and does not find, in words; an empty list where it can run."""
    reasons = []
    for mark in item.iter_markers("oracle"):
        absent = [ORACLES[name] for name in mark.args or ORACLES if ORACLES[name].available() is None]
        reasons += [f"oracle {o.name} is not installed: {o.install}" for o in absent]
    for mark in item.iter_markers("interpreter"):
        reasons += [
            f"{name} does not name a Python" for name in mark.args if not Path(os.environ.get(name, "")).is_file()
        ]
    if item.get_closest_marker("triton") and importlib.util.find_spec("triton") is None:
        reasons.append('triton is not installed: pip install "neurodeploy[gpu]"')
    if item.get_closest_marker("gpu"):
        import torch

        reasons += [] if torch.cuda.is_available() else ["torch finds no CUDA device"]
    if item.get_closest_marker("browser"):
        folder = Path(os.environ.get(BROWSER) or "/nowhere")
        reasons += [f"{n} is not installed" for n in ("chromium", "node") if shutil.which(n) is None]
        modules = [folder / "node_modules" / name for name in ("puppeteer-core", "axe-core")]
        reasons += [f"{BROWSER} does not name a folder with {m.name}" for m in modules if not m.is_dir()]
    if item.get_closest_marker("shared_data"):
        folder = os.environ.get(DATA, "")
        if not folder:
            reasons.append(f"{DATA} does not name the folder of the public recordings")
        elif not Path(folder).is_dir():
            reasons.append(f"{DATA} = {folder}: no such folder")
    return reasons


def pytest_runtest_setup(item):
    reasons = missing(item)
    if not reasons:
        return
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{'; '.join(reasons)} ({REQUIRE}=1 allows no skip)", pytrace=False)
    pytest.skip("; ".join(reasons))


@pytest.fixture(autouse=True)
def kernels(request, monkeypatch):
    """Kernels run as Python unless a test says that it wants them compiled; a slow one has many events."""
    if request.node.get_closest_marker("compiled"):
        return
    monkeypatch.setattr("neurodeploy.simulator.fast.prepared.function_of", plain)
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setattr("neurodeploy.simulator.follow.layout._compiled", lambda code, _: Plain(code))


@pytest.fixture
def count(record_property):
    """Add to a number that the end of the session reports: count("networks compared", 10)."""

    def add(what, number):
        record_property(COUNT + what, int(number))

    return add


def pytest_terminal_summary(terminalreporter):
    totals = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name.startswith(COUNT):
                totals[name.removeprefix(COUNT)] = totals.get(name.removeprefix(COUNT), 0) + value
    if totals:
        terminalreporter.section("counts")
        for name in sorted(totals):
            terminalreporter.write_line(f"{totals[name]:>14,}  {name}")
