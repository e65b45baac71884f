"""The simulate command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from neurodeploy import npz
from neurodeploy.bundles import load_bundle
from neurodeploy.cli.output import console, emit_json, messages, percent, table
from neurodeploy.errors import raise_if
from neurodeploy.evaluation import decision_faults, evaluate
from neurodeploy.events import load_data
from neurodeploy.network import load_network
from neurodeploy.simulator import simulate


def show_simulation(
    network_path: Path,
    data_path: Path,
    *,
    out: Path | None,
    executor: str,
    device: str | None,
    decision: str,
    raw: bool,
    as_json: bool,
) -> None:
    """Simulate, evaluate if there are labels, print."""
    raise_if(decision_faults(decision))
    if out is not None:
        npz.refuse_place(out)  # before any work is spent
    network = load_bundle(network_path).network if network_path.is_dir() else load_network(network_path)
    data = load_data(data_path)
    raise_if(data.step_faults(network.dt_s, str(data_path)))
    screen = messages()
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("simulating", total=data.steps)
        run = simulate(
            network,
            data.input,
            executor=executor,
            device=device,
            raw=raw,
            progress=lambda t: bar.update(task, completed=t + 1),
        )
    result: dict[str, Any] = {
        "target": network.chip.name,
        "executor": run.executor,
        "why": run.how.why,
        "device": run.how.device,
        "float_products": [str(product) for product in run.how.products],
        "steps": data.steps,
        "samples": data.batch,
        "latency": run.latency,
        "unchecked": run.unchecked,
        "events": {name: int(counts.sum()) for name, counts in run.counts.items()},
    }
    if data.label is not None:
        evaluation = evaluate(run, np.asarray(data.label), sample_id=data.sample_id, decision=decision)
        result |= {
            "accuracy": evaluation.accuracy,
            "interval": [evaluation.low, evaluation.high],
            "ties": evaluation.ties,
            "decision": evaluation.rule,
        }
    if out is not None:
        npz.write_arrays(out, {"output": run.output, "sample_id": np.asarray(data.sample_id)})
        result["out"] = str(out)
    if as_json:
        emit_json(result)
        return
    console().print(table("Simulation", ("what", "value"), _rows(result)))


def _rows(result: Mapping[str, Any]) -> list[tuple[str, object]]:
    """The result for a person."""
    rows: list[tuple[str, object]] = []
    for name, value in result.items():
        if name == "events":
            rows += [(f"events of {group}", count) for group, count in value.items()]
        elif name == "float_products":
            rows += [("floating-point product", product) for product in value]
        elif name == "accuracy":
            rows.append((name, percent(value)))
        elif name == "interval":
            rows.append(("95 % interval", f"{percent(value[0])} - {percent(value[1])}"))
        else:
            rows.append((name, value))
    return rows
