"""The simulate command."""

from pathlib import Path

import numpy as np
from rich.progress import Progress

from neurodeploy import npz
from neurodeploy.bundles import load_bundle
from neurodeploy.cli.output import console, emit_json, messages, table
from neurodeploy.evaluation import evaluate
from neurodeploy.events import load_data
from neurodeploy.network import load_network
from neurodeploy.simulator import simulate


def show_simulation(
    network_path: Path, data_path: Path, *, out: Path | None, executor: str, decision: str, raw: bool, as_json: bool
) -> None:
    """Simulate, evaluate if there are labels, print."""
    network = load_bundle(network_path).network if network_path.is_dir() else load_network(network_path)
    data = load_data(data_path)
    with Progress(console=messages(), transient=True, disable=as_json) as bar:
        task = bar.add_task("simulating", total=data.steps)
        run = simulate(
            network, data.input, executor=executor, raw=raw, progress=lambda t: bar.update(task, completed=t + 1)
        )
    result: dict[str, object] = {
        "target": network.chip.name,
        "executor": run.executor,
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
    console().print(table("Simulation", ("what", "value"), [(k, v) for k, v in result.items()]))
