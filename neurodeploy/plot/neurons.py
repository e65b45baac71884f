"""One neuron or a few, step by step: input, states with threshold, spikes; and resets side by side."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from neurodeploy.layers import Neuron, build
from neurodeploy.plot.style import (
    COLOURS,
    INK,
    SOFT,
    Floats,
    as_array,
    check_dt,
    legend,
    of_sample,
    panels,
    styled,
    time_axis,
    usage,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN = 4  # neurons that are drawn if nobody chooses
_MEMBRANE = ("v", "mem", "v_mem")  # names of what is compared with the threshold
_THRESHOLD = ("spike_threshold", "v_th", "threshold")  # and of the threshold: a state where it adapts
_HIDDEN = (*_THRESHOLD, "spike")  # states that the panels of the membrane and of the spikes show
_MARKED = 80  # spikes of one neuron that are marked in the membrane panel; half of it for several
_NAMES = {"v": "membrane v", "i": "current i", "b": "adaptation b"}


@dataclass(frozen=True)
class Evolution:
    """What a layer did: all (time, neuron), for the neurons that are drawn."""

    inputs: Floats
    states: dict[str, Floats]
    spikes: Floats
    threshold: Floats | None
    labels: tuple[str, ...]

    @property
    def fires(self) -> bool:
        """Whether the output is spikes, graded or not; a neuron that only leaks returns its membrane."""
        return bool((self.spikes == self.spikes.round()).all()) or len(np.unique(self.spikes)) == 2


def plot_evolution(
    layer: Neuron,
    input: Any,  # noqa: A002 - the name of the argument says what it is
    *,
    neurons: Sequence[int] | None = None,
    states: Sequence[str] | None = None,
    sample: int = 0,
    dt_s: float | None = None,
    title: str | None = None,
) -> "Figure":
    """Input, states and spikes of a layer of neurons, one panel each.

    layer : run from reset, on a copy
    input : (time, batch, *shape) as the layer takes it, or (time,): the same for every neuron
    neurons : positions in the flattened layer; None draws the first 4
    states : names of the states to draw; None: all that move, a threshold that adapts with the membrane
    sample : which of the batch
    dt_s : duration of a step in seconds; None: time in steps
    title : None: the class of the layer

    States are drawn as they stand after each step, so after the reset; a thin line marks each spike. Raises Refusal
    (ND9002) for arguments, ND1602 for an input that the layer does not take, Missing without matplotlib.
    """
    where = "plot_evolution"
    check_dt(where, dt_s)
    shown = observed(where, layer, input, neurons, sample, states)
    names = [_NAMES.get(name, f"state {name}") for name in shown.states]
    with styled():
        figure, axes = panels([0.9, *[1.5] * len(names), 0.9], title or type(layer).__name__)
        times = time_axis(axes[-1], len(shown.inputs), dt_s)
        _lines(axes[0], times, shown.inputs, "input x")
        for panel, (name, values), label in zip(axes[1:-1], shown.states.items(), names, strict=True):
            _lines(panel, times, values, label)
            if name in _MEMBRANE and shown.fires:
                _spike_marks(panel, times, shown.spikes)
                _threshold(panel, times, shown.threshold)
        if shown.fires:
            _spikes(axes[-1], times, shown.spikes)
        else:
            _lines(axes[-1], times, shown.spikes, "output")
        _legend(axes[0], shown.labels)
    return figure


def plot_membrane(
    membrane: Any,
    spikes: Any = None,
    *,
    threshold: Any = None,
    input: Any = None,  # noqa: A002 - the name of the argument says what it is
    sample: int = 0,
    dt_s: float | None = None,
    title: str = "Membrane",
) -> "Figure":
    """Membrane with its threshold and spikes, from arrays of any origin: recordings, a chip, another program.

    membrane, spikes, input : (time,), (time, neuron) or (time, batch, ...); at most 6 neurons
    threshold : number, or (neuron,)
    Raises Refusal (ND9002) for shapes that do not fit together, Missing without matplotlib.
    """
    where = "plot_membrane"
    check_dt(where, dt_s)
    v = of_sample(where, "membrane", membrane, sample)
    _check_number(where, v.shape[1])
    given = {"spikes": spikes, "input": input}
    others = {name: of_sample(where, name, values, sample) for name, values in given.items() if values is not None}
    for name, values in others.items():
        if values.shape not in (v.shape, (len(v), 1)):
            was = f"{name} has shape {values.shape}, the membrane {v.shape}"
            raise usage(where, was, "both must be (time, neuron)", shape=values.shape)
    level = None
    if threshold is not None:
        level = as_array(where, "threshold", np.atleast_1d(threshold))
        if level.shape not in ((1,), (v.shape[1],)):
            raise usage(where, f"threshold has shape {level.shape}", f"a number, or ({v.shape[1]},)")
        level = np.broadcast_to(level, v.shape)
    with styled():
        heights = [*([0.9] if "input" in others else []), 1.9, *([0.7] if "spikes" in others else [])]
        figure, axes = panels(heights, title)
        times = time_axis(axes[-1], len(v), dt_s)
        main = axes[1 if "input" in others else 0]
        if "input" in others:
            _lines(axes[0], times, others["input"], "input")
        _lines(main, times, v, "membrane")
        if "spikes" in others:
            _spike_marks(main, times, others["spikes"])
            _spikes(axes[-1], times, others["spikes"])
        _threshold(main, times, level)
        _legend(axes[0], _labels(range(v.shape[1])))
    return figure


def plot_resets(
    layer: Neuron,
    input: Any,  # noqa: A002 - the name of the argument says what it is
    *,
    resets: Sequence[str] = ("subtract", "zero"),
    neuron: int = 0,
    sample: int = 0,
    dt_s: float | None = None,
) -> "Figure":
    """Compare what the reset mechanisms make of the same neuron and the same input, one panel each.

    layer : any neuron with the option ``reset``; the others are built from its description, with its parameters
    resets : words that its ``reset`` takes; the layer itself refuses others
    input, sample, dt_s : as in ``plot_evolution``
    """
    where = "plot_resets"
    check_dt(where, dt_s)
    if "reset" not in layer.options:
        raise usage(where, f"a {type(layer).__name__}", "a layer with the option reset")
    if not resets:
        raise usage(where, "no reset", "at least one word, such as 'subtract'")
    runs = {reset: observed(where, _with_reset(layer, reset), input, [neuron], sample) for reset in resets}
    first = next(iter(runs.values()))
    with styled():
        figure, axes = panels([0.8, *[1.35] * len(runs)], f"{type(layer).__name__}: what the reset changes")
        times = time_axis(axes[-1], len(first.inputs), dt_s)
        _lines(axes[0], times, first.inputs, "input x")
        for index, (panel, (reset, run)) in enumerate(zip(axes[1:], runs.items(), strict=True)):
            _lines(panel, times, _membrane(where, run), "membrane v", first=index)
            _spike_marks(panel, times, run.spikes, first=index)
            _threshold(panel, times, run.threshold)
            count = int(run.spikes.sum())
            panel.set_title(f"{reset}: {count} spike{'' if count == 1 else 's'}")
        for panel in axes[1:]:
            panel.sharey(axes[1])
        axes[1].autoscale(axis="y")
    return figure


def observed(
    where: str,
    layer: Neuron,
    x: Any,
    neurons: Sequence[int] | None,
    sample: int,
    states: Sequence[str] | None = None,
) -> Evolution:
    """Run a copy of a layer from reset and keep what is to be drawn."""
    twin = copy.deepcopy(layer).eval()
    twin.reset_states()
    twin.record_states = True
    given = _fitting(where, twin, x)
    with torch.no_grad():
        spikes = twin(given)
    size = int(np.prod(twin.shape))
    chosen = list(range(min(size, _SHOWN))) if neurons is None else list(neurons)
    _check_number(where, len(chosen))
    for neuron in chosen:
        if not 0 <= neuron < size:
            raise usage(where, f"neuron {neuron} of {size}", f"0 to {size - 1}", neuron=neuron)

    def rows(name: str, values: torch.Tensor) -> Floats:
        return of_sample(where, name, values.reshape(*values.shape[:2], -1), sample)[:, chosen]

    found = {name: rows(name, values) for name, values in twin.recordings.items()}
    for name in states or ():
        if name not in found:
            raise usage(where, f"state {name!r}", f"one of {', '.join(found) or 'none: the layer has no state'}")
    threshold = _threshold_of(twin, found, rows)
    moving = [n for n, values in found.items() if n in _MEMBRANE or (n not in _HIDDEN and np.ptp(values) > 0)]
    kept = {name: found[name] for name in (moving if states is None else states)}
    return Evolution(rows("input", given), kept, rows("spikes", spikes), threshold, _labels(chosen))


def _fitting(where: str, layer: Neuron, x: Any) -> torch.Tensor:
    """Input of the layer's float type and shape; one row is given to every neuron."""
    given = x if isinstance(x, torch.Tensor) else torch.as_tensor(as_array(where, "input", x))
    if given.dim() == 1:
        given = given.reshape(-1, *[1] * (len(layer.shape) + 1)).expand(-1, 1, *layer.shape)
    given = given.to(next(iter(layer.state_dict().values()), torch.empty(0)).device)
    return given.to(layer.dtype) if given.is_floating_point() else given


def _threshold_of(layer: Neuron, found: dict[str, Floats], rows: Callable[..., Floats]) -> Floats | None:
    """(time, neuron) threshold: a state where there is one, otherwise the parameter."""
    for name in _THRESHOLD:
        if name in found:
            return found[name]
    level = next((getattr(layer, name) for name in _THRESHOLD if hasattr(layer, name)), None)
    if not isinstance(level, torch.Tensor):
        return None
    recorded = next(iter(layer.recordings.values()))
    return rows("threshold", level.detach().expand_as(recorded))


def _with_reset(layer: Neuron, reset: str) -> Neuron:
    description = layer.describe()
    options = description["options"] | {"reset": reset}
    if "reset_value" in options and reset != "value":
        options["reset_value"] = 0.0
    twin = build(description | {"options": options}, device="meta")
    twin.load_state_dict({name: value.clone() for name, value in layer.state_dict().items()}, assign=True)
    if not isinstance(twin, Neuron):
        raise TypeError(type(twin))
    return twin


def _membrane(where: str, run: Evolution) -> Floats:
    for name in _MEMBRANE:
        if name in run.states:
            return run.states[name]
    raise usage(where, f"states {', '.join(run.states) or 'none'}", f"a membrane, named {' or '.join(_MEMBRANE)}")


def _check_number(where: str, number: int) -> None:
    if not 1 <= number <= len(COLOURS):
        must = f"1 to {len(COLOURS)}: more colours cannot be told apart"
        raise usage(where, f"{number} neurons in one picture", must, "choose neurons=[...]", neurons=number)


def _labels(neurons: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"neuron {neuron}" for neuron in neurons) if len(neurons) > 1 else ()


def _lines(axes: "Axes", times: Floats, values: Floats, label: str, *, first: int = 0) -> None:
    """A line for each neuron; one dark line where several are alike, and for the input of one neuron."""
    drawstyle: Literal["steps-mid", "default"] = "steps-mid" if label.startswith("input") else "default"
    alike = bool((values == values[:, :1]).all()) and (values.shape[1] > 1 or label.startswith("input"))
    for index, column in enumerate(values.T[:1] if alike else values.T):
        colour = INK if alike else COLOURS[(first + index) % len(COLOURS)]
        axes.plot(times, column, color=colour, drawstyle=drawstyle)
    axes.set_ylabel(f"{label}\n(a.u.)")
    axes.margins(y=0.12)
    if label.startswith("input"):
        axes.update_datalim([(0.0, 0.0)])  # 0 belongs to every input: nothing comes in
        axes.autoscale_view(scalex=False)


def _threshold(axes: "Axes", times: Floats, threshold: Floats | None) -> None:
    """Dashed, named at its right end; one line where all neurons share it."""
    if threshold is None:
        return
    alike = bool((threshold == threshold[:, :1]).all())
    for index, column in enumerate(threshold.T[:1] if alike else threshold.T):
        colour = INK if alike else COLOURS[index]
        axes.plot(times, column, color=colour, linestyle=(0, (4, 3)), linewidth=1.0)
    end = (1.0, float(threshold[-1].max()))
    beside = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "annotation_clip": False}
    axes.annotate("threshold", end, xytext=(4, 0), fontsize=8, va="center", **beside)  # type: ignore[arg-type] # a mix


def _spike_marks(axes: "Axes", times: Floats, spikes: Floats, *, first: int = 0) -> None:
    """Thin lines over the height of the panel where a neuron fired, as long as they can be told apart."""
    if np.count_nonzero(spikes) > (_MARKED if spikes.shape[1] == 1 else _MARKED // 2):
        return
    for index, column in enumerate(spikes.T):
        for at in times[column > 0]:
            axes.axvline(at, color=COLOURS[(first + index) % len(COLOURS)], alpha=0.28, linewidth=0.8, zorder=0.5)


def _spikes(axes: "Axes", times: Floats, spikes: Floats) -> None:
    """Bars as high as the number of spikes, a row for each neuron."""
    number, most = spikes.shape[1], max(float(spikes.max()), 1.0)
    for index, column in enumerate(spikes.T):
        fired = column > 0
        base = 0.0 if number == 1 else float(number - 1 - index)
        height = column[fired] if number == 1 else 0.8 * column[fired] / most
        axes.vlines(times[fired], base, base + height, color=COLOURS[index], linewidth=1.4)
    axes.grid(visible=False, axis="y")
    axes.set_ylabel("spikes" if number == 1 or most == 1 else f"spikes\n(up to {most:g})")
    if number == 1:
        axes.set_ylim(0, most * 1.1)
        whole_numbers(axes, most=3)
    else:
        axes.set_ylim(-0.1, number)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    if not spikes.any():
        axes.text(0.5, 0.5, "no spikes", transform=axes.transAxes, ha="center", va="center", color=SOFT)


def _legend(axes: "Axes", labels: Sequence[str]) -> None:
    """Which colour is which neuron."""
    from matplotlib.lines import Line2D

    if labels:
        legend(axes, [Line2D([], [], color=COLOURS[i], label=label) for i, label in enumerate(labels)])
