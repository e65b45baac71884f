"""The simulate command."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from neurodeploy import npz
from neurodeploy.bundles import load_placed
from neurodeploy.cli.output import console, emit_json, messages, percent, table
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.evaluation import Tally, decision_faults, evaluate
from neurodeploy.events import load_data
from neurodeploy.events.checks import Ids
from neurodeploy.network import Network
from neurodeploy.simulator import Run, latency_of, simulate, simulate_parts
from neurodeploy.simulator.registry import AUTO
from neurodeploy.streams import Source, is_recording, open_counts, recorded_steps, stream


@dataclass(frozen=True)
class Options:
    """How to simulate.

    chunk : steps of a piece, None for all at once
    dt_us : a step, for files of events
    scan, order : where events drive the chip; scan is the axes with commas between them
    engine, jobs, address : where parts of the samples run; all None for this process
    """

    executor: str = AUTO
    device: str | None = None
    decision: str = "spike_count"
    raw: bool = False
    chunk: int | None = None
    dt_us: int | None = None
    scan: str | None = None
    order: str | None = None
    engine: str | None = None
    jobs: int | None = None
    address: str | None = None

    @property
    def shared(self) -> bool:
        """Whether samples are simulated elsewhere."""
        return (self.engine, self.jobs, self.address) != (None, None, None)

    @property
    def simulation(self) -> dict[str, Any]:
        """What every way to simulate takes alike."""
        scan = None if self.scan is None else tuple(self.scan.split(","))
        where = {"executor": self.executor, "device": self.device}
        return where | {"raw": self.raw, "scan": scan, "order": self.order}


@dataclass(frozen=True)
class _Input:
    """What is simulated; labels and ids where the file has them."""

    source: Source
    steps: int
    batch: int
    label: NDArray[np.int64] | None
    sample_id: Ids


class _Seen:
    """What is told of all runs, which are not kept.

    first : the first of them, without its arrays
    """

    def __init__(self) -> None:
        self.events = dict[str, int]()
        self.operations = self.lost = 0

    def add(self, run: Run) -> NDArray[np.int64]:
        """Count a run in; its output."""
        if not self.events:
            self.first = replace(run, counts={}, states={}, input={}, events={}, stimulus=None)
        for name, counts in run.counts.items():
            self.events[name] = self.events.get(name, 0) + int(counts.sum())
        self.operations += int(run.meetings.sum())
        self.lost += int(run.lost.sum())
        return run.output


def show_simulation(
    network_path: Path, data_path: Path, options: Options, *, out: Path | None, progress: bool | None, as_json: bool
) -> None:
    """Simulate, evaluate if there are labels, print.

    progress : whether a bar is shown on stderr; None shows it on a terminal
    """
    raise_if(decision_faults(options.decision) + _clashes(options))
    if out is not None:
        npz.refuse_place(out)  # before any work is spent
    network = load_placed(network_path)
    given = _input(network, data_path, options)
    tally, seen = Tally(options.decision, latency_of(network)), _Seen()
    screen = messages()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    shown = screen.is_terminal if progress is None else progress
    with Progress(*columns, console=screen, transient=screen.is_terminal, disable=not shown) as bar:
        steps, samples = given.steps + tally.latency, given.batch
        unit, total = ("samples", samples) if options.shared else ("steps", steps)
        task = bar.add_task(unit, total=total)

        def outputs() -> Iterator[NDArray[np.int64]]:
            made = _runs(network, given, options, lambda done: bar.update(task, completed=done))
            counted = (seen.add(run) for run in made)
            for output in [np.concatenate(list(counted), axis=1)] if options.shared else counted:
                tally.add(output)
                yield output

        if out is None:
            deque(outputs(), maxlen=0)
        else:
            shape = (steps, samples, sum(g.size for g in network.outputs()))
            written = npz.Blocks(shape, np.dtype(np.int64), outputs())
            npz.write_arrays(out, {"output": written, "sample_id": np.asarray(given.sample_id)})
    result: dict[str, Any] = {
        "target": network.chip.name,
        "executor": seen.first.executor,
        "why": seen.first.how.why,
        "device": seen.first.how.device,
        "float_products": [str(product) for product in seen.first.how.products],
        "steps": given.steps,
        "samples": given.batch,
        "latency": tally.latency,
        "unchecked": seen.first.unchecked,
        "events": seen.events,
    }
    if network.chip.event_driven:
        (scans,) = seen.first.scans
        result |= {"order": seen.first.order, "scan": {kind: ",".join(axes) for kind, axes in scans.items()}}
        result["synaptic_operations"] = seen.operations
        if network.chip.file.schedule.when_full == "drop":
            result["lost_spikes"] = seen.lost
    if given.label is not None:
        evaluation = evaluate(tally, given.label, sample_id=given.sample_id)
        result |= {
            "accuracy": evaluation.accuracy,
            "interval": [evaluation.low, evaluation.high],
            "ties": evaluation.ties,
            "decision": evaluation.rule,
        }
    if out is not None:
        result["out"] = str(out)
    if as_json:
        emit_json(result)
        return
    console().print(table("Simulation", ("what", "value"), _rows(result)))


def _clashes(options: Options) -> list[Fault]:
    """Options that do not go together."""
    faults = []
    if options.chunk is None and options.dt_us is not None:
        must, todo = "pieces of a stated length, for files of events", "add --chunk 1000"
        faults.append(Fault("ND9002", "simulate", "--dt-us without --chunk", must, todo))
    if options.chunk is not None and options.shared:
        must = "either pieces of time (--chunk), or parts of the samples (--engine, --jobs, --address)"
        faults.append(Fault("ND9002", "simulate", "--chunk with an engine", must))
    return faults


def _input(network: Network, path: Path, options: Options) -> _Input:
    """What a file holds: all of it, or only what must be known before its pieces are read."""
    if options.chunk is None:
        data = load_data(path)
        raise_if(data.step_faults(network.dt_s, str(path)))
        return _Input(data.input, data.steps, data.batch, data.label, data.sample_id)
    if is_recording(path):
        if options.dt_us is None:
            must = "the length of a time step"
            raise Refusal(Fault("ND9002", str(path), "a file of events without --dt-us", must, "add --dt-us 1000"))
        return _Input(path, recorded_steps(path, network.inputs(), options.dt_us), 1, None, np.arange(1))
    saved = open_counts(path)
    if saved.head is None:
        return _Input(path, saved.steps, saved.batch, None, np.arange(saved.batch))
    raise_if(saved.head.step_faults(network.dt_s, str(path)))
    return _Input(path, saved.steps, saved.batch, saved.head.label, saved.head.sample_id)


def _runs(network: Network, given: _Input, options: Options, done: Callable[[int], None]) -> Iterator[Run]:
    """Runs that follow each other in time; of parts of the samples where they are shared out.

    done : told how many steps, or how many samples, are simulated
    """
    how = options.simulation

    def step(t: int) -> None:
        done(t + 1)

    if options.chunk is not None:
        source, chunk = given.source, options.chunk
        yield from stream(network, source, chunk_steps=chunk, dt_us=options.dt_us, progress=step, **how)
        return
    counts = np.asarray(given.source)
    if not options.shared:
        yield simulate(network, counts, progress=step, **how)
        return
    where: dict[str, Any] = {"engine": options.engine, "jobs": options.jobs, "address": options.address}
    samples = 0
    for run in simulate_parts(network, counts, **where, **how):
        samples += run.output.shape[1]
        done(samples)
        yield run


def _rows(result: Mapping[str, Any]) -> list[tuple[str, object]]:
    """The result for a person."""
    rows: list[tuple[str, object]] = []
    for name, value in result.items():
        if name == "events":
            rows += [(f"events of {group}", count) for group, count in value.items()]
        elif name == "scan":
            rows += [(f"scan of {kind}", axes) for kind, axes in value.items()]
        elif name == "float_products":
            rows += [("floating-point product", product) for product in value]
        elif name == "accuracy":
            rows.append((name, percent(value)))
        elif name == "interval":
            rows.append(("95 % interval", f"{percent(value[0])} - {percent(value[1])}"))
        else:
            rows.append((name.replace("_", " "), value))
    return rows
