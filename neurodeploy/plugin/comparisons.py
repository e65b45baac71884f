"""What one test compares: bundles and runs with oracles, runs with golden files; what it wrote, what it reports."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurodeploy.archive import canonical_json, write_atomically
from neurodeploy.bundles import Bundle, Check, Verification, ask, load_bundle, names_of, verify
from neurodeploy.chips import Chip
from neurodeploy.chips import chip as read_chip
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Network
from neurodeploy.plugin.golden import compare_run, read_run, write_run
from neurodeploy.simulator import Run, simulate
from neurodeploy.verifier import Comparison, compare

GRADE = "inferred"  # of what our own program says
HARDWARE = "hardware"  # stands for the device of --nd-hardware
_PLAIN = re.compile(r"[a-z0-9_-]{1,60}")
_UPDATE = "look at the run, then write the file with --nd-update"


def target(name: str | None) -> Chip:
    """Chip by name or folder; fails the test where none was named, and where there is no such chip."""
    if name is None:
        pytest.fail("nd_target: no target was named; give --nd-target CHIP", pytrace=False)
    try:
        return read_chip(name)
    except Refusal as refusal:
        pytest.fail(str(refusal), pytrace=False)


def simulated(
    given: Bundle | Network, counts: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None, **options: Any
) -> Run:
    """Simulate a bundle on its golden input, or either on counts, with every state kept.

    options : as in ``neurodeploy.simulate``; ``record`` is every state and ``drain`` 0 for a golden input
    Raises Refusal as ``simulate`` does.
    """
    network = given.network if isinstance(given, Bundle) else given
    if counts is None:
        if not isinstance(given, Bundle):
            raise Refusal(Fault("ND9002", "nd_simulate", "a network without counts", "counts, or a bundle"))
        counts, options = given.input, {"drain": 0} | options
    every = [f"{g.name}.{s}" for g in network.groups for s in network.chip.neurons[g.kind].states]
    return simulate(network, counts, **{"record": every} | options)


@dataclass
class Comparisons:
    """The fixtures of one test.

    test, name : id of the test, and the part of it behind the file
    file, root : its file, and the root folder of the session
    against : names of --nd-against
    hardware : the device, where the test is marked for one
    update, report : --nd-update, and the folder of --nd-report
    written : golden files that were written
    compared : number of values of each comparison
    """

    test: str
    name: str
    file: Path
    root: Path
    against: tuple[str, ...] = ()
    hardware: str | None = None
    update: bool = False
    report: str | None = None
    written: list[Path] = field(default_factory=list)
    compared: list[int] = field(default_factory=list)
    _golden: set[Path] = field(default_factory=set)
    _told: int = 0

    def bundle(self, path: str | os.PathLike[str]) -> Bundle:
        """Read a bundle; a relative path is looked for beside the test, then in the root folder."""
        try:
            return load_bundle(self._found(path))
        except Refusal as refusal:
            pytest.fail(str(refusal), pytrace=False)

    def _found(self, path: str | os.PathLike[str]) -> Path:
        places = [folder / path for folder in dict.fromkeys((self.file.parent, self.root))]
        found = next((place for place in places if place.exists()), None)
        if found is None:
            pytest.fail(
                f"bundle {os.fspath(path)!r}: found neither as {' nor as '.join(map(str, places))}", pytrace=False
            )
        return found

    def equivalent(
        self, given: Bundle | Run | str | os.PathLike[str], against: str | Sequence[str] = "reference"
    ) -> Verification:
        """Fail unless a bundle, or a run from reset, equals every oracle in every value that both have.

        given : a bundle, its path, or what nd_simulate gave; of a bundle its own golden vectors are compared, too
        against : names of oracles; "hardware" is the device of --nd-hardware. Those of --nd-against come on top
        Fails where nothing was compared, and where an oracle that was named is missing.
        """
        asked = list(names_of([*names_of(against), *self.against]))
        if self.hardware is not None and HARDWARE not in asked:
            asked.append(HARDWARE)
        if HARDWARE in asked and self.hardware is None:
            pytest.fail("against='hardware': mark the test with neurodeploy_hardware", pytrace=False)
        names = [self._placed(str(self.hardware) if n == HARDWARE else n) for n in asked]
        if isinstance(given, Run):
            result = _of_run(given, names)
        else:
            result = verify(given.path if isinstance(given, Bundle) else self._found(given), against=names, orders=0)
        self.compared.extend(check.comparison.compared for check in result.checks)
        self._tell("bundle" if not isinstance(given, Run) else "run", result.to_json(), exact=result.exact)
        if not result.exact:
            pytest.fail(str(result), pytrace=False)
        return result

    def _placed(self, name: str) -> str:
        """A recording stands beside the test, in the root folder, or where the session was started."""
        places = [folder / name for folder in dict.fromkeys((self.file.parent, self.root))]
        return next((str(p) for p in places if name.endswith(".npz") and p.is_file()), name)

    def golden(self, run: Run, name: str | None = None) -> Comparison:
        """Fail unless a run equals the golden file of this test in every value; --nd-update writes the file.

        name : where one test has several, comes behind the name of the test
        """
        own = plain(self.name) + ("" if name is None else f".{plain(name)}")
        path = self.file.parent / "golden" / self.file.stem / f"{own}.npz"
        if path in self._golden:
            pytest.fail(f"{path}: this test has used the file already; give each run a name of its own", pytrace=False)
        self._golden.add(path)
        try:
            if self.update and write_run(run, path):
                self.written.append(path)
            if not path.is_file():
                pytest.fail(f"{path}: there is no golden file; {_UPDATE}", pytrace=False)
            found = compare_run(run, read_run(path))
        except Refusal as refusal:
            pytest.fail(str(refusal), pytrace=False)
        self.compared.append(found.compared)
        self._tell("golden", {"file": path.name} | found.to_json(), exact=found.exact)
        if not found.exact:
            pytest.fail(f"{path}: {found}", pytrace=False)
        return found

    def _tell(self, kind: str, content: Mapping[str, object], *, exact: bool) -> None:
        if self.report is None:
            return
        folder = Path(self.report)
        folder.mkdir(parents=True, exist_ok=True)
        self._told += 1
        told = {
            "format": "neurodeploy comparison",
            "schema_version": 1,
            "test": self.test,
            "number": self._told,
            "kind": kind,
            "exact": exact,
            "version": version("neurodeploy"),
        }
        name = f"{plain(self.test)}.{self._told}.json"
        write_atomically(folder / name, canonical_json(told | {"found": dict(content)}).encode())


def plain(name: str) -> str:
    """A name that every file system takes and keeps apart from others: what is not plain is replaced, with a hash."""
    if _PLAIN.fullmatch(name):
        return name
    short = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")[-60:]
    return f"{short}.{sha256(name.encode()).hexdigest()[:8]}"


def _of_run(run: Run, names: Sequence[str]) -> Verification:
    """A run compared with oracles on its input, and with a simulation of now, which they are compared with."""
    where = f"run on {run.network.chip.name}"
    if run.initial is not None:
        must, todo = "a run from reset", "oracles begin at the reset; give them the whole input"
        return Verification(where, (), (Fault("ND2003", where, "it goes on from a state", must, todo),))
    steps = max((len(v) for v in run.counts.values()), default=0)
    whole = {n: np.concatenate([v, np.zeros((steps - len(v), *v.shape[1:]), np.int64)]) for n, v in run.input.items()}
    try:
        again = simulate(run.network, whole, record=_recorded(run), drain=0)
        check = Check("simulation of now", again.trace().made_by, "live", GRADE, compare(run, again), again.executor)
        answers = ask(run.network, whole, names)
    except Refusal as refusal:
        return Verification(where, (), refusal.faults)
    checks = (check, *answers.checks)
    return Verification(where, checks, answers.faults, answers.missing, left_out=answers.left_out)


def _recorded(run: Run) -> list[str]:
    return [f"{g}.{s}" for g, many in run.states.items() for s in many]
