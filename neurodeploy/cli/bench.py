"""What ``neurodeploy bench`` prints."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from neurodeploy import bench
from neurodeploy.cli.output import console, emit_json, table
from neurodeploy.errors import Fault, raise_if
from neurodeploy.npz import replacing

TRAINING = "w5"
#: What surrounds the tables of the simulators in the README
BEGIN, END = "<!-- simulation speed: begin -->", "<!-- simulation speed: end -->"


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
    readme: Path | None


def show_bench(workloads: Sequence[str], options: Options, *, as_json: bool) -> None:
    """Measure and print, or write into a README; peers that are missing are named on stderr."""
    known = sorted([*bench.workloads(), TRAINING])
    faults = [
        Fault("ND1601", "bench", f"workload {name!r}", f"one of {', '.join(known)}")
        for name in workloads
        if name not in known
    ]
    if options.markdown and as_json:
        faults.append(Fault("ND1601", "bench", "--markdown and --json", "one of them"))
    chosen = list(workloads) or known
    if options.readme is not None:
        faults += _readme_faults(options, chosen, as_json=as_json)
    raise_if(faults)
    shown = Shown(markdown=options.markdown or options.readme is not None, silent=as_json)
    found = dict[str, Any]()
    if simulated := [name for name in chosen if name != TRAINING]:
        found["simulation"] = _simulation(simulated, options, shown)
    if TRAINING in chosen:
        found["training"] = _training(options, shown)
    if options.growth:
        points = bench.bench_growth()
        found["growth"] = [asdict(point) for point in points]
        rows = [(p.what, f"{p.milliseconds:.3g}", f"{p.events:,}", round(p.peak_mib)) for p in points]
        shown.table("Growth", ("w2, compiled", "ms", "events", "peak, MiB"), rows)
    if as_json:
        emit_json(found)
    elif options.readme is not None:
        before, after = _around(options.readme)
        with replacing(options.readme) as file:
            file.write(f"{before}{BEGIN}\n{shown.text()}\n{END}{after}".encode())
    elif shown.markdown:
        click.echo(shown.text())


def _around(readme: Path) -> tuple[str, str]:
    """What stands before and after the place of the tables; empty where there is none."""
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    return (before, after) if begin and end else ("", "")


def _readme_faults(options: Options, chosen: Sequence[str], *, as_json: bool) -> Iterator[Fault]:
    if as_json:
        yield Fault("ND1601", "bench", "--readme and --json", "one of them")
    if TRAINING in chosen:
        yield Fault("ND1601", "bench", f"--readme with {TRAINING}", "simulators alone: their tables are replaced")
    if options.readme is not None and not any(_around(options.readme)):
        yield Fault("ND1601", str(options.readme), f"no lines {BEGIN} and {END}", "a file with a place for the tables")


class Shown:
    """Tables as they are printed: on the terminal one by one, in Markdown all at the end.

    markdown : keep Markdown
    silent : show nothing
    """

    def __init__(self, *, markdown: bool, silent: bool) -> None:
        self.markdown, self.silent = markdown and not silent, silent
        self._parts: list[str] = []

    def text(self) -> str:
        """All that was shown, in Markdown."""
        return "\n\n".join(self._parts)

    def part(self, text: str) -> None:
        """Take Markdown."""
        self._parts.append(text)

    def table(self, title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Take a table, its first column of words and the others of numbers."""
        if self.silent:
            return
        if not self.markdown:
            console().print(table(title, heads, [tuple(row) for row in rows]))
            return
        lines = [f"| {' | '.join(map(str, cells))} |" for cells in rows]
        self.part("\n".join([f"| {' | '.join(heads)} |", f"|---|{'--:|' * (len(heads) - 1)}", *lines]))


def _simulation(names: Sequence[str], options: Options, shown: Shown) -> dict[str, Any]:
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
    if shown.markdown:
        shown.part(result.markdown())
    else:
        rows = [
            (f"{c.workload}, {c.name}", f"{statistics.median(c.milliseconds['numba']):.3g}", _ratios(c))
            for c in result.cells
        ]
        heads = ("workload", "ms", "times longer (goal)")
        shown.table(f"Simulation, median of {options.rounds} rounds", heads, rows)
    used = [(f.workload, round(f.compiled_ms), round(f.loaded_ms)) for f in first]
    if used:
        shown.table("First use", ("in a process of its own", "compiled, ms", "loaded, ms"), used)
    return result.as_dict() | ({"first_use": [asdict(f) for f in first]} if first else {})


def _ratios(cell: bench.Cell) -> str:
    return ", ".join(
        f"{name} {ratio:.3g}" + (f" ({cell.goals[name]:g})" if cell.goals.get(name) else "")
        for name, ratio in cell.ratios.items()
        if name != "numba"
    )


def _training(options: Options, shown: Shown) -> dict[str, Any]:
    steps, threads = options.steps, options.threads
    result = bench.bench_training(
        steps=steps, threads=threads, rounds=options.rounds, require_peers=options.require_peers
    )
    first = bench.bench_fresh(steps=steps, threads=threads) if options.fresh else {}
    _tell_missing(result.missing)
    if shown.markdown:
        shown.part(result.markdown())
    else:
        ratios, kernels = result.ratios(), result.ratios("kernels")
        title = f"Training step, T = {steps}, {threads} threads, median of {options.rounds} rounds"
        body = [(name, ratios[name], kernels[name], _percent(result.rates.get(name, ()))) for name in ratios]
        shown.table(title, ("variant", "time / events", "time / kernels", "rates of the layers"), body)
    rows = [
        (name, round(run.first_ms), round(run.loaded_mib), round(run.peak_mib), round(run.peak_mib - run.loaded_mib))
        for name, run in first.items()
    ]
    if rows:
        heads = ("in a process of its own", "first step, ms", "loaded, MiB", "peak, MiB", "data, MiB")
        shown.table("First use and memory", heads, rows)
    return result.as_dict() | ({"fresh": {name: asdict(run) for name, run in first.items()}} if first else {})


def _tell_missing(missing: Any) -> None:
    for name, reason in missing.items():
        click.echo(f"neurodeploy: {name} did not run: {reason}", err=True)


def _percent(rates: tuple[float, ...]) -> str:
    return ", ".join(f"{rate:.1%}" for rate in rates)
