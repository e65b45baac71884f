"""Many neurons at once: who fired when, and how often."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodeploy.plot.style import (
    COLOURS,
    INK,
    SOFT,
    Floats,
    as_array,
    check_dt,
    of_sample,
    panels,
    styled,
    time_axis,
    usage,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_raster(spikes: Any, *, sample: int = 0, dt_s: float | None = None, title: str = "Spikes") -> "Figure":
    """Raster of one sample, and below it the mean rate of all neurons in each step.

    spikes : (time, neuron) or (time, batch, ...) counts; where a neuron fires several times in a step, the colour says
        how often
    Raises Refusal (ND9002) for negative counts and shapes, Missing without matplotlib.
    """
    where = "plot_raster"
    check_dt(where, dt_s)
    counts = of_sample(where, "spikes", spikes, sample)
    _check_counts(where, counts)
    number, most = counts.shape[1], int(counts.max())
    with styled():
        figure, (raster, rate) = panels([min(0.9 + 0.05 * number, 3.4), 0.9], title)
        times = time_axis(rate, len(counts), dt_s)
        steps, neurons = np.nonzero(counts)
        values = counts[steps, neurons]
        # as high as the row of a neuron allows, in points
        size = np.clip(72 * 0.8 * min(0.9 + 0.05 * number, 3.4) / number, 2.0, 14.0) ** 2
        look = {"marker": "|", "s": size, "linewidths": 1.1}
        if most > 1:
            drawn = raster.scatter(times[steps], neurons, c=values, cmap="viridis_r", vmin=1, vmax=most, **look)
            bar = figure.colorbar(drawn, ax=[raster, rate], pad=0.01, aspect=30, label="spikes in a step")
            whole_numbers(bar.ax, most=6)
        else:
            raster.scatter(times[steps], neurons, color=INK, **look)
        if not most:
            raster.text(0.5, 0.5, "no spikes", transform=raster.transAxes, ha="center", va="center", color=SOFT)
        raster.set_ylim(-0.8, number - 0.2)
        raster.set_ylabel("neuron")
        whole_numbers(raster)
        raster.grid(visible=False, axis="y")
        rate.plot(times, counts.mean(1) / (dt_s or 1.0), color=COLOURS[0], drawstyle="steps-mid")
        rate.set_ylabel("mean rate\n(per step)" if dt_s is None else "mean rate\n(Hz)")
        rate.set_ylim(bottom=0)
    return figure


def plot_rates(spikes: Any, *, dt_s: float | None = None, bins: int = 24, title: str = "Firing rates") -> "Figure":
    """Histogram of the firing rates of all neurons, each the mean over time and batch.

    spikes : (time, batch, ...) counts, or a mapping of layer to such, for instance ``run.counts``: a panel for each
    dt_s : duration of a step in seconds: rates in Hz; None: spikes per step
    """
    where = "plot_rates"
    check_dt(where, dt_s)
    given = spikes if isinstance(spikes, Mapping) else {"": spikes}
    if not given or bins < 1:
        raise usage(where, f"{len(given)} layers, {bins} bins", "at least 1 of each")
    rates = {str(name): _rates(where, str(name) or "spikes", values, dt_s) for name, values in given.items()}
    top = max(float(values.max()) for values in rates.values()) or 1.0
    edges = np.linspace(0.0, top, bins + 1)
    with styled():
        figure, axes = panels([1.5] * len(rates), title)
        for panel, (name, values) in zip(axes, rates.items(), strict=True):
            panel.hist(values, bins=list(edges), color=COLOURS[0], edgecolor="white", linewidth=0.6)
            mean = float(values.mean())
            panel.axvline(mean, color=INK, linestyle=(0, (4, 3)), linewidth=1.0)
            panel.set_ylabel("neurons")
            whole_numbers(panel)
            panel.grid(visible=False, axis="x")
            silent = int((values == 0).sum())
            told = f"mean {mean:.3g}{' Hz' if dt_s else ''}, {silent} of {values.size} silent"
            panel.set_title(f"{name}: {told}" if name else told)
        axes[-1].set_xlim(0, top)
        axes[-1].set_xlabel("firing rate (spikes per step)" if dt_s is None else "firing rate (Hz)")
    return figure


def _rates(where: str, name: str, values: Any, dt_s: float | None) -> Floats:
    counts = as_array(where, name, values)
    _check_counts(where, counts)
    if counts.ndim < 3:
        must = "(time, batch, ...): a rate is a mean over both"
        raise usage(where, f"{name} has shape {counts.shape}", must, shape=counts.shape)
    return np.asarray(counts.mean((0, 1)).reshape(-1) / (dt_s or 1.0))


def _check_counts(where: str, counts: Floats) -> None:
    if (counts < 0).any():
        raise usage(where, f"a count of {counts.min():g}", "counts are 0 or more")
