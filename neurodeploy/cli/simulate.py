"""The simulate command."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from neurodeploy import npz
from neurodeploy.bundles import load_bundle
from neurodeploy.cli.output import console, emit_json, messages, percent, table
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.evaluation import Tally, decision_faults, evaluate
from neurodeploy.events import load_data
from neurodeploy.events.checks import Ids
from neurodeploy.network import Network, load_network
from neurodeploy.simulator import Run, latency_of, simulate
from neurodeploy.simulator.registry import AUTO
from neurodeploy.streams import Source, is_recording, open_counts, recorded_steps, stream


@dataclass(frozen=True)
class Options:
    """How to simulate.

    chunk : steps of a piece, None for all at once
    dt_us : a step, for files of events
    scan, order : where events drive the chip; scan is the axes with commas between them
    """

    executor: str = AUTO
    device: str | None = None
    decision: str = "spike_count"
    raw: bool = False
    chunk: int | None = None
    dt_us: int | None = None
    scan: str | None = None
    order: str | None = None

    @property
    def engine(self) -> dict[str, Any]:
        """What ``simulate`` and ``stream`` take alike."""
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


def show_simulation(
    network_path: Path, data_path: Path, options: Options, *, out: Path | None, progress: bool | None, as_json: bool
) -> None:
    """Simulate, evaluate if there are labels, print.

    progress : whether a bar is shown on stderr; None shows it on a terminal
    """
    raise_if(decision_faults(options.decision))
    if out is not None:
        npz.refuse_place(out)  # before any work is spent
    network = load_bundle(network_path).network if network_path.is_dir() else load_network(network_path)
    given = _input(network, data_path, options)
    tally, sums = Tally(options.decision, latency_of(network)), dict.fromkeys((g.name for g in network.groups), 0)
    seen, operations = dict[str, Any](), 0
    screen = messages()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    shown = screen.is_terminal if progress is None else progress
    with Progress(*columns, console=screen, transient=screen.is_terminal, disable=not shown) as bar:
        task = bar.add_task("steps", total=given.steps + tally.latency)

        def outputs() -> Iterator[NDArray[np.int64]]:
            nonlocal operations
            for run in _runs(network, given, options, lambda t: bar.update(task, completed=t + 1)):
                for name, counts in run.counts.items():
                    sums[name] += int(counts.sum())
                tally.add(run.output)
                operations += int(run.meetings.sum())
                seen.update(executor=run.executor, how=run.how, unchecked=run.unchecked)
                seen.update(order=run.order, scans=run.scans)
                yield run.output

        if out is None:
            deque(outputs(), maxlen=0)
        else:
            shape = (given.steps + tally.latency, given.batch, sum(g.size for g in network.outputs()))
            written = npz.Blocks(shape, np.dtype(np.int64), outputs())
            npz.write_arrays(out, {"output": written, "sample_id": np.asarray(given.sample_id)})
    result: dict[str, Any] = {
        "target": network.chip.name,
        "executor": seen["executor"],
        "why": seen["how"].why,
        "device": seen["how"].device,
        "float_products": [str(product) for product in seen["how"].products],
        "steps": given.steps,
        "samples": given.batch,
        "latency": tally.latency,
        "unchecked": seen["unchecked"],
        "events": sums,
    }
    if network.chip.event_driven:
        (scans,) = seen["scans"]
        result |= {"order": seen["order"], "scan": {kind: ",".join(axes) for kind, axes in scans.items()}}
        result["synaptic_operations"] = operations
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


def _input(network: Network, path: Path, options: Options) -> _Input:
    """What a file holds: all of it, or only what must be known before its pieces are read."""
    if options.chunk is None:
        if options.dt_us is not None:
            must, todo = "pieces of a stated length, for files of events", "add --chunk 1000"
            raise Refusal(Fault("ND9002", "simulate", "--dt-us without --chunk", must, todo))
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


def _runs(network: Network, given: _Input, options: Options, progress: Callable[[int], None]) -> Iterator[Run]:
    if options.chunk is None:
        yield simulate(network, given.source, progress=progress, **options.engine)  # type: ignore[arg-type] # an array
        return
    chunk, dt_us = options.chunk, options.dt_us
    yield from stream(network, given.source, chunk_steps=chunk, dt_us=dt_us, progress=progress, **options.engine)


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
