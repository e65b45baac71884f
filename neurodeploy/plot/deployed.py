"""A deployed neuron beside the float one that it came from, in the same units."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from neurodeploy.models import reset_states
from neurodeploy.plot.style import COLOURS, INK, Floats, check_dt, legend, panels, styled, time_axis, usage
from neurodeploy.quantizer import Stage, lower
from neurodeploy.simulator import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_float_integer(
    model: torch.nn.Module,
    run: Run,
    layer: str,
    *,
    neuron: int = 0,
    sample: int = 0,
    dt_s: float | None = None,
) -> "Figure":
    """Membrane of one neuron, float and integer, in the float unit; their difference; the spikes of both.

    model : the float model that was quantized, as ``constrain`` returned it; run on the input of the run
    run : of the integer network, from reset, with the membrane of the layer recorded
    layer : name of a neuron layer in the model
    neuron, sample : positions in the layer and in the batch

    One unit of the integer membrane is threshold_float / threshold_integer of that neuron: the scale of the quantizer,
    as the threshold register rounded it, so that both thresholds are one line.
    Raises Refusal: ND9002 for arguments and a membrane that was not recorded, Missing without matplotlib.
    """
    where = "plot_float_integer"
    check_dt(where, dt_s)
    stage = _stage(where, model, run, layer)
    name = stage.kind.deploy.states.get("v", "") if stage.kind.deploy else ""
    counts = run.counts[layer]
    if not 0 <= neuron < counts.shape[2] or not 0 <= sample < counts.shape[1]:
        was = f"neuron {neuron}, sample {sample}"
        raise usage(where, was, f"0 to {counts.shape[2] - 1} and 0 to {counts.shape[1] - 1}")
    if name not in run.states.get(layer, {}):
        todo = f'simulate(network, counts, record=["{layer}.{name}"])'
        raise usage(where, f"the state {name!r} of {layer!r} was not recorded", "the run must hold it", todo)
    threshold = float(stage.threshold[neuron] * stage.gain[neuron])
    deploy = stage.kind.deploy
    register = int(run.network.group(layer).parameters[deploy.threshold][neuron]) * deploy.unit if deploy else 1
    membrane, spikes = _float_run(stage, model, run, neuron, sample)
    integer = run.states[layer][name][:, sample, neuron] * (threshold / register)
    fired = counts[:, sample, neuron].astype(np.float64)
    with styled():
        title = f"Layer {layer!r}, neuron {neuron}: float and {run.network.chip.name}"
        figure, axes = panels([1.9, 1.0, 0.9], title)
        times = time_axis(axes[-1], len(integer), dt_s)
        axes[0].axhline(threshold, color=INK, linestyle=(0, (4, 3)), linewidth=1.0, label="threshold")
        axes[0].plot(times, membrane, color=COLOURS[0], linewidth=2.6, alpha=0.55, label="float")
        axes[0].plot(times, integer, color=COLOURS[1], linewidth=1.1, label=f"integer / {register / threshold:.4g}")
        axes[0].set_ylabel("membrane v\n(a.u.)")
        axes[1].plot(times, integer - membrane, color=INK, linewidth=1.0)
        axes[1].set_ylabel("integer - float\n(a.u.)")
        _mirrored(axes[2], times, spikes, fired)
        axes[2].set_title(f"{int(spikes.sum())} spikes float, {int(fired.sum())} integer")
        legend(axes[0])
    return figure


def _stage(where: str, model: torch.nn.Module, run: Run, layer: str) -> Stage:
    if run.initial is not None or run.unchecked:
        was = "a run with an unchecked input" if run.unchecked else "a run that goes on from another"
        raise usage(where, was, "a run from reset, of checked input: the float model starts there too")
    stages = {stage.name: stage for stage in lower(model, run.network.chip).stages}
    if layer not in stages or layer not in run.counts:
        raise usage(where, f"layer {layer!r}", f"one of {', '.join(stages)}", layer=layer)
    return stages[layer]


def _float_run(stage: Stage, model: torch.nn.Module, run: Run, neuron: int, sample: int) -> tuple[Floats, Floats]:
    """(time,) membrane and spikes of the float neuron for the input of the run; the model is left as it was."""
    (counts,) = run.input.values()
    given = counts[:, sample : sample + 1]
    silent = len(run.counts[stage.name]) - len(given)
    x = torch.as_tensor(np.concatenate([given, np.zeros((silent, *given.shape[1:]), given.dtype)]))
    seen: list[torch.Tensor] = []
    module, training = stage.module, {part: part.training for part in model.modules()}
    recorded = module.record_states
    hook = module.register_forward_hook(lambda _module, _input, out: seen.append(out))
    try:
        module.record_states = True
        model.eval()
        reset_states(model)
        with torch.no_grad():
            model(x.to(module.dtype))
        membrane = module.recordings["v"]
    finally:
        hook.remove()
        module.record_states, module.recordings = recorded, {}
        reset_states(model)
        for part, mode in training.items():
            part.training = mode
    pick = [values.reshape(len(values), -1)[:, neuron].double().cpu().numpy() for values in (membrane, seen[0])]
    return pick[0], pick[1]


def _mirrored(axes: "Axes", times: Floats, above: Floats, below: Floats) -> None:
    """Float spikes upwards, integer ones downwards: equal ones form a straight bar."""
    axes.vlines(times[above > 0], 0, above[above > 0], color=COLOURS[0], linewidth=1.6)
    axes.vlines(times[below > 0], 0, -below[below > 0], color=COLOURS[1], linewidth=1.6)
    axes.axhline(0, color=INK, linewidth=0.6)
    top = max(above.max(), below.max(), 1.0) * 1.15
    axes.set_ylim(-top, top)
    axes.set_yticks([-top / 2, top / 2], ["integer", "float"])
    axes.grid(visible=False, axis="y")
    axes.set_ylabel("spikes")
