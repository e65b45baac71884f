"""Oracles in a Python of their own: what a chip's table says of them, the network in their words, one process for many.

An oracle whose packages cannot stand beside ours runs in another interpreter, which an environment variable names. It
is given JSON on its standard input, a list of cases, and answers with JSON: for each case and group the spikes and
states, (time, batch, neuron). The program that it runs is a file beside this one, which imports nothing of ours.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from neurodeploy.chips import Chip
from neurodeploy.chips.part import Grade
from neurodeploy.errors import Fault, Missing, Refusal, raise_if
from neurodeploy.network import Network, Projection
from neurodeploy.simulator import Trace, assemble, external_counts

Counts = npt.ArrayLike | Mapping[str, npt.ArrayLike]
_VERSION = "from importlib.metadata import version; print(version({!r}))"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NeuronRole(_Table):
    """Which of our neuron kinds an oracle's neuron is: its names on the left, ours on the right.

    uniform : parameters of ours of which a group has one value there
    """

    kind: str
    uniform: tuple[str, ...] = ()
    parameters: Mapping[str, str] = {}
    states: Mapping[str, str] = {}


class ConnectionRole(_Table):
    """Which of our connection kinds an oracle's synapses are.

    only : parameter of ours -> the values that it has there; all that the register holds where it is not named
    """

    kinds: tuple[str, ...]
    fields: Mapping[str, str]
    parameters: Mapping[str, str] = {}
    only: Mapping[str, tuple[int, ...]] = {}


class Roles(_Table):
    """``[oracle.NAME]``: which of the chip's kinds, parameters and states is which of the oracle's.

    dialect : the chip's dialect that the oracle speaks
    """

    evidence: str | None = None
    dialect: str
    neuron: Mapping[str, NeuronRole]
    connection: Mapping[str, ConnectionRole]


@dataclass(frozen=True)
class Process:
    """An oracle that runs in an interpreter of its own.

    name : as in ``[oracle.NAME]``
    package : what that interpreter must have
    variable : environment variable with the path of that interpreter
    install : command that makes such an interpreter
    options : what its program is told beside each case
    """

    name: str
    package: str
    variable: str
    install: str
    grade: Grade
    options: tuple[tuple[str, bool], ...] = ()

    @property
    def interpreter(self) -> str | None:
        """Path of the interpreter, None where nobody named one."""
        return os.environ.get(self.variable) or None

    def available(self) -> str | None:
        """Version of the package there, None where there is none; our own process imports nothing."""
        return _version_in(self.interpreter, self.package) if self.interpreter else None

    def faults(self, network: Network) -> list[Fault]:
        """Why the oracle cannot run a network: every reason; empty where it can."""
        roles, found = self.roles(network.chip)
        if roles is None or found:
            return found
        return [*self._uncovered_groups(network, roles), *self._uncovered_projections(network, roles)]

    def observe(self, network: Network, counts: Counts, first: int = 0) -> Trace:
        """Spikes and states of every neuron at every step from ``first`` on, from reset, each sample on its own."""
        return self.observe_all([(network, counts)], first)[0]

    def observe_all(self, cases: Sequence[tuple[Network, Counts]], first: int = 0) -> list[Trace]:
        """Many networks in one process; raises Refusal with every reason where one of them cannot be run."""
        for network, _ in cases:
            raise_if(self.faults(network))
        told = {"first": first, **dict(self.options)}
        answers = self._ask(json.dumps([self._described(n, c) | told for n, c in cases]))
        made_by = f"{self.package} {self.available()}"
        return [self._trace(n, a, made_by) for (n, _), a in zip(cases, answers, strict=True)]

    def roles(self, chip: Chip) -> tuple[Roles | None, list[Fault]]:
        """The chip's table, or what is wrong with it."""
        where = f"{chip.name}, oracle {self.name}"
        table = chip.oracles.get(self.name)
        if table is None:
            must = "it must say which parts of the chip the oracle computes"
            was = f"no table [oracle.{self.name}] in chip.toml"
            return None, [Fault("ND2003", where, was, must, "choose another oracle, or add the table")]
        try:
            roles = Roles.model_validate(_tuples(table))
        except ValidationError as error:
            return None, [
                Fault("ND1102", f"{where}, {'.'.join(map(str, e['loc']))}", f"found {e['input']!r}"[:80], e["msg"])
                for e in error.errors()
            ]
        return roles, list(_unknown_names(chip, roles, where))

    def _uncovered_groups(self, network: Network, roles: Roles) -> list[Fault]:
        found, known = [], {r.kind: r for r in roles.neuron.values()}
        for g in network.groups:
            where = f"oracle {self.name}, group {g.name!r}"
            if g.kind not in known:
                must = f"neurons that {self.name} has: {', '.join(known)}"
                found.append(Fault("ND2003", where, f"neuron kind {g.kind!r}", must))
                continue
            for name, entry in network.chip.neurons[g.kind].parameters.items():
                values = g.parameters[name]
                if name not in known[g.kind].parameters.values() and np.any(values != entry.default):
                    was = f"{name} = {int(values[values != entry.default][0])}"
                    found.append(Fault("ND2003", where, was, f"{entry.default}: {self.name} has no such parameter"))
            must = f"one for a group: {self.name} has no more"
            several = [n for n in known[g.kind].uniform if len(set(g.parameters[n].tolist())) > 1]
            found += [Fault("ND2003", where, f"{name} of several values", must) for name in several]
        return found

    def _uncovered_projections(self, network: Network, roles: Roles) -> list[Fault]:
        found, known = [], {kind: r for r in roles.connection.values() for kind in r.kinds}
        for p in network.projections:
            where = f"oracle {self.name}, projection {p.source} -> {p.target}"
            if p.kind not in known:
                must = f"connections that {self.name} has: {', '.join(known)}"
                found.append(Fault("ND2003", where, f"connection kind {p.kind!r}", must))
                continue
            for name, values in p.fields.items():
                if name not in known[p.kind].fields.values() and np.any(values != 0):
                    was = f"synapse field {name} = {int(values[values != 0][0])}"
                    found.append(Fault("ND2003", where, was, f"0: {self.name} has no such field"))
            for name, allowed in known[p.kind].only.items():
                if p.parameters[name] not in allowed:
                    must = f"what {self.name} has: {', '.join(map(str, allowed))}"
                    found.append(Fault("ND2003", where, f"{name} = {p.parameters[name]}", must))
            if p.geometry is None and len({*zip(p.sources.tolist(), p.targets.tolist(), strict=True)}) < len(p.sources):
                found.append(Fault("ND2003", where, "a synapse that stands twice", f"{self.name} takes matrices"))
        return found

    def _described(self, network: Network, counts: Counts) -> dict[str, object]:
        """The network in the oracle's words, matrices as (source, target)."""
        roles, _ = self.roles(network.chip)
        assert roles is not None  # noqa: S101 - the caller has asked for faults
        external, steps, batch = external_counts(network, machine := assemble(network), counts, raw=True)
        by_kind = {r.kind: (name, r) for name, r in roles.neuron.items()}
        by_connection = {kind: (name, r) for name, r in roles.connection.items() for kind in r.kinds}
        sizes, groups = {g.name: g.size for g in network.groups}, []
        for g in network.groups:
            name, role = by_kind[g.kind]
            entry: dict[str, object] = {"name": g.name, "role": name, "size": g.size}
            entry["parameters"] = {n: g.parameters[ours].tolist() for n, ours in role.parameters.items()}
            if g.kind in external:
                entry["counts"] = external[g.kind][:, :, machine.lanes[g.kind].slices[g.name]].tolist()
            groups.append(entry)
        projections = []
        for p in network.projections:
            name, connection = by_connection[p.kind]
            entry = {"role": name, "source": p.source, "target": p.target}
            entry["fields"] = {n: _matrix(p, ours, sizes) for n, ours in connection.fields.items()}
            entry["parameters"] = {n: p.parameters[ours] for n, ours in connection.parameters.items()}
            entry["geometry"] = asdict(p.geometry) if p.geometry else None
            projections.append(entry)
        return {"steps": steps, "batch": batch, "groups": groups, "projections": projections}

    def _ask(self, text: str) -> list[Any]:
        if self.available() is None or self.interpreter is None:
            raise self.missing(f"oracle {self.name}")
        program = Path(__file__).with_name(f"in_{self.name}.py")
        done = subprocess.run(  # noqa: S603 - the interpreter that the user named, our own program
            [self.interpreter, "-P", str(program)], input=text, capture_output=True, text=True, check=False
        )
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
            raise Refusal(Fault("ND9001", f"oracle {self.name}", f"it failed: {last[0]}", "an answer", self.install))
        answers: list[Any] = json.loads(done.stdout.splitlines()[-1])
        return answers

    def _trace(self, network: Network, answer: Mapping[str, Any], made_by: str) -> Trace:
        roles, _ = self.roles(network.chip)
        ours = {r.kind: r.states for r in roles.neuron.values()} if roles else {}
        kinds = {g.name: g.kind for g in network.groups}
        return Trace(
            made_by,
            {g: np.asarray(a["spikes"], np.int64) for g, a in answer["groups"].items()},
            {
                g: {ours[kinds[g]][n]: np.asarray(v, np.int64) for n, v in a["states"].items()}
                for g, a in answer["groups"].items()
            },
            self.grade,
            answer["seconds"],
        )

    def missing(self, purpose: str) -> Missing:
        """Refusal that says how to make the interpreter."""
        was = f"{self.variable} names no Python that has {self.package}"
        return Missing(Fault("ND9001", purpose, was, "it is needed here", self.install, {"package": self.package}))


@lru_cache
def _version_in(interpreter: str, package: str) -> str | None:
    command = [interpreter, "-P", "-c", _VERSION.format(package)]
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter that the user named, a fixed program
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except OSError:
        return None
    return done.stdout.strip() or None


def _matrix(p: Projection, name: str, sizes: Mapping[str, int]) -> list[Any]:
    if p.geometry is not None:
        return list(p.fields[name].tolist())
    matrix = np.zeros((sizes[p.source], sizes[p.target]), np.int64)
    matrix[p.sources, p.targets] = p.fields[name]
    return list(matrix.tolist())


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _tuples(v) for k, v in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _unknown_names(chip: Chip, roles: Roles, where: str) -> list[Fault]:
    found = list[Fault]()

    def known(what: str, names: Mapping[str, object], wanted: Sequence[str]) -> None:
        must = f"a {what} of the chip: {', '.join(names)}"
        found.extend(Fault("ND1102", where, f"{what} {name!r}", must) for name in wanted if name not in names)

    if not chip.spoken:
        known("dialect", chip.dialects, [roles.dialect])
    for neuron in roles.neuron.values():
        known("neuron kind", chip.neurons, [neuron.kind])
        if neuron.kind in chip.neurons:
            known("parameter", chip.neurons[neuron.kind].parameters, [*neuron.parameters.values()])
            known("state", chip.neurons[neuron.kind].states, [*neuron.states.values()])
    for role in roles.connection.values():
        known("connection kind", chip.connections, role.kinds)
        for kind in (k for k in role.kinds if k in chip.connections):
            known("synapse field", chip.connections[kind].fields, [*role.fields.values()])
            known("parameter", chip.connections[kind].parameters, [*role.parameters.values()])
    return found
