"""What ``neurodeploy bench`` prints."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from neurodeploy import bench
from neurodeploy.cli.output import console, emit_json, table
from neurodeploy.errors import Fault, raise_if

TRAINING = "w5"


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    steps: int
    threads: int
    rounds: int
    require_peers: bool
    fresh: bool
    floor: bool
    growth: bool
    markdown: bool


def show_bench(workloads: Sequence[str], options: Options, *, as_json: bool) -> None:
    """Measure and print; peers that are missing are named on stderr."""
    known = sorted([*bench.workloads(), TRAINING])
    faults = [
        Fault("ND1601", "bench", f"workload {name!r}", f"one of {', '.join(known)}")
        for name in workloads
        if name not in known
    ]
    if options.markdown and as_json:
        faults.append(Fault("ND1601", "bench", "--markdown and --json", "one of them"))
    raise_if(faults)
    chosen, found = list(workloads) or known, dict[str, Any]()
    if simulated := [name for name in chosen if name != TRAINING]:
        found["simulation"] = _simulation(simulated, options, as_json=as_json)
    if TRAINING in chosen:
        found["training"] = _training(options, as_json=as_json)
    if options.growth:
        points = bench.bench_growth()
        found["growth"] = [asdict(point) for point in points]
        rows = [(p.what, f"{p.milliseconds:.3g}", f"{p.events:,}", round(p.peak_mib)) for p in points]
        if not as_json:
            _show("Growth", ("w2, compiled", "ms", "events", "peak, MiB"), rows, options)
    if as_json:
        emit_json(found)


def _simulation(names: Sequence[str], options: Options, *, as_json: bool) -> dict[str, Any]:
    result = bench.bench_simulation(
        names,
        rounds=options.rounds,
        threads=options.threads,
        require_peers=options.require_peers,
        floor=options.floor,
        tell=lambda what: click.echo(f"neurodeploy: {what}", err=True),
    )
    _tell_missing(result.missing)
    first = bench.bench_first_use() if options.fresh else []
    if not as_json:
        if options.markdown:
            click.echo(result.markdown())
        else:
            rows = [
                (f"{c.workload}, {c.name}", f"{statistics.median(c.milliseconds['numba']):.3g}", _ratios(c))
                for c in result.cells
            ]
            heads = ("workload", "ms", "times longer (goal)")
            console().print(table(f"Simulation, median of {options.rounds} rounds", heads, rows))
        used = [(f.workload, round(f.compiled_ms), round(f.loaded_ms)) for f in first]
        if used:
            _show("First use", ("in a process of its own", "compiled, ms", "loaded, ms"), used, options)
    return result.as_dict() | ({"first_use": [asdict(f) for f in first]} if first else {})


def _ratios(cell: bench.Cell) -> str:
    return ", ".join(
        f"{name} {ratio:.3g}" + (f" ({cell.goals[name]:g})" if cell.goals.get(name) else "")
        for name, ratio in cell.ratios.items()
        if name != "numba"
    )


def _training(options: Options, *, as_json: bool) -> dict[str, Any]:
    steps, threads = options.steps, options.threads
    result = bench.bench_training(
        steps=steps, threads=threads, rounds=options.rounds, require_peers=options.require_peers
    )
    first = bench.bench_fresh(steps=steps, threads=threads) if options.fresh else {}
    _tell_missing(result.missing)
    if as_json:
        return result.as_dict() | ({"fresh": {name: asdict(run) for name, run in first.items()}} if first else {})
    if options.markdown:
        click.echo(result.markdown())
    else:
        ratios, kernels = result.ratios(), result.ratios("kernels")
        title = f"Training step, T = {steps}, {threads} threads, median of {options.rounds} rounds"
        body = [(name, ratios[name], kernels[name], _percent(result.rates.get(name, ()))) for name in ratios]
        console().print(table(title, ("variant", "time / events", "time / kernels", "rates of the layers"), body))
    rows = [
        (name, round(run.first_ms), round(run.loaded_mib), round(run.peak_mib), round(run.peak_mib - run.loaded_mib))
        for name, run in first.items()
    ]
    if rows:
        heads = ("in a process of its own", "first step, ms", "loaded, MiB", "peak, MiB", "data, MiB")
        _show("First use and memory", heads, rows, options)
    return {}


def _tell_missing(missing: Any) -> None:
    for name, reason in missing.items():
        click.echo(f"neurodeploy: {name} did not run: {reason}", err=True)


def _show(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]], options: Options) -> None:
    if options.markdown:
        lines = [f"| {' | '.join(map(str, cells))} |" for cells in rows]
        click.echo("\n".join(["", f"| {' | '.join(heads)} |", f"|---|{'--:|' * (len(heads) - 1)}", *lines]))
    else:
        console().print(table(title, heads, [tuple(row) for row in rows]))


def _percent(rates: tuple[float, ...]) -> str:
    return ", ".join(f"{rate:.1%}" for rate in rates)
