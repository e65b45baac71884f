"""Neurons in fixed point laid over the float neurons that they were derived from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurodeploy.fixed import Derivation
from neurodeploy.plot.style import COLOURS, check_dt, legend, panels, styled, time_axis, usage
from neurodeploy.simulator import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_derived(
    made: Derivation,
    run: Run,
    layer: str = "",
    *,
    state: str = "v",
    labels: Sequence[str] = (),
    sample: int = 0,
    dt_s: float | None = None,
) -> "Figure":
    """Draw one state of each neuron of a layer, float and fixed point, with the spikes of both above it.

    made : the derivation, which holds what the float neurons did on the calibration data
    run : of its network on the encoded calibration data, without further steps, with the state recorded
    layer : "" for the first
    labels : of the neurons; () numbers them
    Raises Refusal: ND9002 for arguments, a state that was not recorded, and a run of another length, Missing without
    matplotlib.
    """
    where = "plot_derived"
    check_dt(where, dt_s)
    found = next((one for one in made.layers if layer in ("", one.name)), None)
    if found is None:
        raise usage(where, f"layer {layer!r}", f"one of {', '.join(one.name for one in made.layers)}")
    course, seen = found.kind.course, run.states.get(found.name, {})
    if state not in seen or state not in course.states:
        todo = f'simulate(network, counts, record=["{state}"])'
        raise usage(where, f"the state {state!r} of {found.name!r} was not recorded", "the run must hold it", todo)
    if seen[state].shape != course.states[state].shape:
        was = f"a run of shape {seen[state].shape}"
        raise usage(where, was, f"that of the calibration data, {course.states[state].shape}", "use drain=0")
    many = course.spikes.shape[2]
    if labels and len(labels) != many:
        raise usage(where, f"{len(labels)} labels", f"{many}, one for each neuron")
    fixed, fired = made.decode(found.name, state, seen[state])[:, sample], run.counts[found.name][:, sample]
    with styled():
        form = found.kind.states[state]
        figure, axes = panels([1.0] * many, f"{found.kind.name}: float and {form}")
        times = time_axis(axes[-1], len(fixed), dt_s)
        for neuron, one in enumerate(axes):
            real = course.states[state][:, sample, neuron]
            one.plot(times, real, color=COLOURS[0], linewidth=2.6, alpha=0.5, label="float")
            one.plot(times, fixed[:, neuron], color=COLOURS[1], linewidth=1.0, label="fixed point")
            top, height = float(real.max()), max(float(np.ptp(real)), 1e-9) / 8
            for row, spikes in enumerate((fired[:, neuron], course.spikes[:, sample, neuron])):
                base = top + (1 + row) * height
                at = times[np.asarray(spikes) > 0]
                one.vlines(at, base, base + 0.8 * height, color=COLOURS[1 - row], linewidth=1.4)
            one.set_ylabel(state)
            one.set_title(labels[neuron] if labels else f"neuron {neuron}")
        legend(axes[0])
    return figure
