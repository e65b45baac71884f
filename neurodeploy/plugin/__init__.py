"""The pytest plugin: options, fixtures and markers for tests of hardware equivalence.

pytest loads this file in every session of an environment that has neurodeploy, so it imports nothing heavy: what the
fixtures need is imported when a test calls them.
"""

import os
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

from neurodeploy.plugin.summary import COMPARED, WRITTEN, Summary

if TYPE_CHECKING:
    from neurodeploy.bundles import Bundle
    from neurodeploy.chips import Chip
    from neurodeploy.plugin.comparisons import Comparisons
    from neurodeploy.simulator import Run
    from neurodeploy.verifier import Comparison

HARDWARE, SLOW = "neurodeploy_hardware", "neurodeploy_slow"
MARKERS = {
    HARDWARE: "compares with a connected device, which --nd-hardware names; skipped without one",
    SLOW: f"takes long; skipped unless the marker expression names it (-m {SLOW})",
}
_OF_TEST = pytest.StashKey["Comparisons"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options to those of pytest."""
    group = parser.getgroup("neurodeploy", "equivalence of simulation and hardware")
    target = "run tests that ask for nd_target on this chip, by name or folder; repeatable"
    against = "compare with this too, besides what a test names: reference, xylosim, REC.npz, ..., all; repeatable"
    update = "write golden files anew, and list them; refused where CI is set"
    hardware = f"the device of tests that are marked {HARDWARE}"
    report = "write a JSON file for each comparison into this folder"
    group.addoption("--nd-target", action="append", default=[], metavar="CHIP", help=target)
    group.addoption("--nd-against", action="append", default=[], metavar="ORACLE", help=against)
    group.addoption("--nd-update", action="store_true", help=update)
    group.addoption("--nd-hardware", default=None, metavar="ID", help=hardware)
    group.addoption("--nd-report", default=None, metavar="DIR", help=report)


def pytest_configure(config: pytest.Config) -> None:
    """Make our markers known; refuse to make golden files where nobody looks at them."""
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    if config.getoption("--nd-update") and os.environ.get("CI"):
        raise pytest.UsageError(
            "--nd-update where CI is set: golden files are made on purpose, looked at and committed; "
            "run it on your own machine"
        )
    folder = config.getoption("--nd-report")
    if folder:  # the same for every worker, wherever it stands
        config.option.nd_report = str(config.invocation_params.dir / folder)
    config.pluginmanager.register(Summary(), "neurodeploy-summary")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for a target once for each that was named."""
    targets = dict.fromkeys(metafunc.config.getoption("--nd-target"))
    stated = any("nd_target" in str(mark.args[:1]) for mark in metafunc.definition.iter_markers("parametrize"))
    if targets and "nd_target" in metafunc.fixturenames and not stated:
        metafunc.parametrize("nd_target", list(targets), indirect=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a device that nobody named, and what takes long."""
    if item.get_closest_marker(HARDWARE) and not item.config.getoption("--nd-hardware"):
        pytest.skip(f"{HARDWARE}: no device was named; connect one and give --nd-hardware ID")
    if item.get_closest_marker(SLOW) and SLOW not in item.config.getoption("-m"):
        pytest.skip(f"{SLOW}: takes long; run with -m {SLOW}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach to the report of a test what it compared and wrote: reports travel from workers to the main process."""
    report = yield
    made = item.stash.get(_OF_TEST, None)
    if made is not None and report.when == "call":
        vars(report).update({WRITTEN: [str(path) for path in made.written], COMPARED: list(made.compared)})
    return report


def _comparisons(request: pytest.FixtureRequest) -> "Comparisons":
    """What this test compares; made when it is first asked for."""
    from neurodeploy.plugin.comparisons import Comparisons

    item: pytest.Item = request.node
    if _OF_TEST not in item.stash:
        hardware = item.config.getoption("--nd-hardware")
        item.stash[_OF_TEST] = Comparisons(
            test=item.nodeid,
            file=item.path,
            name=item.nodeid.partition("::")[2] or item.name,
            root=item.config.rootpath,
            against=tuple(item.config.getoption("--nd-against")),
            hardware=hardware if item.get_closest_marker(HARDWARE) else None,
            update=bool(item.config.getoption("--nd-update")),
            report=item.config.getoption("--nd-report"),
        )
    return item.stash[_OF_TEST]


@pytest.fixture
def nd_target(request: pytest.FixtureRequest) -> "Chip":
    """Chip of --nd-target; a test that asks for it runs once for each that was named."""
    from neurodeploy.plugin.comparisons import target

    return target(getattr(request, "param", None))


@pytest.fixture
def nd_bundle(request: pytest.FixtureRequest) -> "Callable[[str | os.PathLike[str]], Bundle]":
    """Read a bundle: ``nd_bundle("digits.nd")`` looks beside the test file, then in the root folder of the tests."""
    return _comparisons(request).bundle


@pytest.fixture
def nd_simulate() -> "Callable[..., Run]":
    """Simulate a bundle on its golden input, or a placed network on counts, with every state kept."""
    from neurodeploy.plugin.comparisons import simulated

    return simulated


@pytest.fixture
def nd_golden(request: pytest.FixtureRequest) -> "Callable[..., Comparison]":
    """Compare a run with the golden file of this test, beside it in ``golden``; --nd-update writes the file."""
    return _comparisons(request).golden


@pytest.fixture
def nd_assert_equivalent(request: pytest.FixtureRequest) -> "Callable[..., Any]":
    """Fail unless a bundle, or a run, equals every oracle that is asked in every value."""
    return _comparisons(request).equivalent
