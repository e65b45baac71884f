"""What ``neurodeploy bench`` prints."""

from dataclasses import asdict

import click

from neurodeploy.bench import bench_fresh, bench_training
from neurodeploy.cli.output import console, emit_json, table
from neurodeploy.errors import Fault, raise_if


def show_bench(
    *, steps: int, threads: int, rounds: int, require_peers: bool, fresh: bool, markdown: bool, as_json: bool
) -> None:
    """Measure and print; peers that are missing are named on stderr."""
    if markdown and as_json:
        raise_if([Fault("ND1601", "bench", "--markdown and --json", "one of them")])
    result = bench_training(steps=steps, threads=threads, rounds=rounds, require_peers=require_peers)
    first = bench_fresh(steps=steps, threads=threads) if fresh else {}
    if as_json:
        emit_json(result.as_dict() | ({"fresh": {name: asdict(run) for name, run in first.items()}} if fresh else {}))
        return
    for name, reason in result.missing.items():
        click.echo(f"neurodeploy: {name} did not run: {reason}", err=True)
    heads = ("in a process of its own", "first step, ms", "loaded, MiB", "peak, MiB", "data, MiB")
    rows = [
        (name, round(run.first_ms), round(run.loaded_mib), round(run.peak_mib), round(run.peak_mib - run.loaded_mib))
        for name, run in first.items()
    ]
    if markdown:
        click.echo(result.markdown())
        if rows:
            lines = [f"| {' | '.join(map(str, cells))} |" for cells in rows]
            click.echo("\n".join(["", f"| {' | '.join(heads)} |", "|---|--:|--:|--:|--:|", *lines]))
        return
    ratios, kernels = result.ratios(), result.ratios("kernels")
    title = f"Training step, T = {steps}, {threads} threads, median of {rounds} rounds"
    body = [(name, ratios[name], kernels[name], _percent(result.rates.get(name, ()))) for name in ratios]
    console().print(table(title, ("variant", "time / events", "time / kernels", "rates of the layers"), body))
    if rows:
        console().print(table("First use and memory", heads, rows))


def _percent(rates: tuple[float, ...]) -> str:
    return ", ".join(f"{rate:.1%}" for rate in rates)
