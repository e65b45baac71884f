"""The compare command: two runs, or a run and what somebody else observed."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from neurodeploy.bundles import load_bundle
from neurodeploy.bundles.content import all_states
from neurodeploy.cli.output import console, emit_json, table
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.events import load_data
from neurodeploy.models import SUFFIX, load_model
from neurodeploy.network import Network, load_network
from neurodeploy.report import LayerFidelity, measure_fidelity
from neurodeploy.simulator import Run, Trace, latency_of, simulate
from neurodeploy.verifier import compare
from neurodeploy.verifier.traces import is_trace, load_trace

Input = Mapping[str, NDArray[np.int64]] | NDArray[np.integer]


@dataclass(frozen=True)
class _Side:
    """One of the two: a network with the input that its bundle holds, or the file of a trace."""

    path: Path
    network: Network | None = None
    input: Mapping[str, NDArray[np.int64]] | None = None


def show_comparison(first: Path, second: Path, *, data: Path | None, executor: str, as_json: bool) -> None:
    """Compare, print the first difference and what may have caused it, leave with the exit status."""
    models = [path for path in (first, second) if path.suffix.lower() == SUFFIX]
    if models:
        _show_fidelity(models[0], second if models[0] == first else first, data, as_json=as_json)
        return
    sides = _side(first), _side(second)
    networks = [s.network for s in sides if s.network is not None]
    given, drain = _input(sides, data), 0
    if networks and given is None:
        todo = "add --input DATA, or compare with a bundle"
        raise Refusal(Fault("ND9002", "compare", "networks without an input", "what they run on", todo))
    if data is not None:
        drain = max((latency_of(n) for n in networks), default=0)
    runs = {s.path: _run(s.network, given, drain, executor) for s in sides if s.network and given is not None}
    shapes = _shapes(next(iter(runs.values()), None))
    observed: list[Run | Trace] = [runs[s.path] if s.network else load_trace(s.path, shapes) for s in sides]
    result = compare(observed[0], observed[1])
    if as_json:
        emit_json({"first": str(first), "second": str(second), **result.to_json()})
    else:
        click.echo(str(result))
    if not result.exact:
        refused = [f for f in result.faults if f.code != "ND2001"]
        sys.exit(Refusal.exit_status if refused else 1)


def _show_fidelity(model: Path, network: Path, data: Path | None, *, as_json: bool) -> None:
    """A float model against the network that it became, layer by layer."""
    loaded, info = load_model(model)
    side = _side(network)
    given = _input((side, side), data)
    if side.network is None or given is None:
        must = "a bundle, or the file of a network with --input DATA"
        raise Refusal(Fault("ND9002", "compare", f"{model.name} with {network.name}", must))
    if data is not None:
        raise_if(load_data(data).step_faults(info.dt_s, str(data)))
    found = measure_fidelity(loaded, side.network, given)
    if as_json:
        emit_json(found.to_json())
    else:
        rows = [[_shown(value) for value in asdict(layer).values()] for layer in found.layers]
        columns = [f.name.replace("_", " ") for f in fields(LayerFidelity)]
        console().print(table(f"Float against {found.chip}", columns, rows))
        click.echo(
            f"The error grows first in {found.grows_at!r}." if found.grows_at else "The error grows in no layer."
        )
    if not found.events and not any(v.sum() for v in found.run.counts.values()):
        sys.exit(1)  # nothing fired on either side: no rate was compared


def _shown(value: object) -> object:
    return "-" if value is None else value


def _side(path: Path) -> _Side:
    if path.is_dir() or path.suffix.lower() == ".zip":
        loaded = load_bundle(path)
        return _Side(path, loaded.network, loaded.input)
    return _Side(path) if is_trace(path) else _Side(path, load_network(path))


def _input(sides: tuple[_Side, _Side], data: Path | None) -> Input | None:
    """What both run on: the data that are given, else the golden input of the first bundle."""
    if data is None:
        return next((s.input for s in sides if s.input is not None), None)
    loaded = load_data(data)
    for side in sides:
        if side.network is not None:
            raise_if(loaded.step_faults(side.network.dt_s, str(data)))
    return loaded.input


def _run(network: Network, given: Input, drain: int, executor: str) -> Run:
    return simulate(network, given, record=all_states(network), drain=drain, executor=executor)


def _shapes(run: Run | None) -> dict[str, tuple[int, int, int]]:
    if run is None:
        return {}
    return {g: (v.shape[0], v.shape[1], v.shape[2]) for g, v in run.counts.items()}
