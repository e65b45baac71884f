"""One look for all pictures: colours that everybody can tell apart, axes with units, no state outside a figure."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import Fault, Refusal, missing_extra

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

#: Okabe and Ito 2008: distinct with every kind of colour vision, in print too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, SOFT, FAINT = "#222222", "#8A8A8A", "#E4E4E4"
WIDTH = 7.2  # inches: fits a page and a notebook

_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": SOFT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "figure.dpi": 120,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "font.size": 9,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "savefig.dpi": "figure",
    "text.color": INK,
    "xtick.color": SOFT,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.color": SOFT,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
}


@contextmanager
def styled() -> Iterator[None]:
    """Our look, whatever the user's matplotlibrc says; raises Missing without matplotlib."""
    try:
        import matplotlib.style
    except ImportError:
        raise missing_extra("matplotlib", "plot", "plot") from None
    with matplotlib.style.context(["default", _STYLE]):
        yield


def panels(heights: Sequence[float], title: str, *, widths: Sequence[float] = (1.0,)) -> "tuple[Figure, list[Axes]]":
    """Figure with panels one above the other, sharing the horizontal axis; heights in inches. Call in ``styled()``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, sum(heights) + 0.75), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.05, w_pad=0.06)  # type: ignore[union-attr, call-arg] # the constrained one
    ratios = {"height_ratios": list(heights), "width_ratios": list(widths)}
    grid = figure.subplots(len(heights), len(widths), sharex="col", squeeze=False, gridspec_kw=ratios)
    figure.suptitle(title, x=0.012, ha="left")
    return figure, [axes for row in grid for axes in row]


def time_axis(axes: "Axes", steps: int, dt_s: float | None) -> Floats:
    """Label the horizontal axis; returns the time of each step."""
    times = np.arange(steps) * (1.0 if dt_s is None else dt_s * 1e3)
    unit = times[1] if steps > 1 else 1.0
    axes.set_xlim(-unit, times[-1] + unit)
    axes.set_xlabel("time (steps)" if dt_s is None else "time (ms)")
    if dt_s is None:
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return np.asarray(times, np.float64)


def whole_numbers(axes: "Axes", axis: str = "y", most: int = 5) -> None:
    """Ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    (axes.yaxis if axis == "y" else axes.xaxis).set_major_locator(MaxNLocator(nbins=most, integer=True))


def legend(axes: "Axes", handles: "Sequence[Artist] | None" = None) -> None:
    """Legend to the right of the panel: it never hides data."""
    named = axes.get_legend_handles_labels()[0] if handles is None else handles
    axes.legend(handles=list(named), loc="upper left", bbox_to_anchor=(1.0, 1.04), borderaxespad=0.2, handlelength=1.8)


def save_picture(figure: "Figure", path: str | Path) -> None:
    """Write a figure as PNG, without dates and versions: equal figures give equal bytes. Complete or not there."""
    path = Path(path)
    if path.suffix != ".png":
        raise usage(str(path), f"suffix {path.suffix!r}", "the name must end in .png")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with styled():
            figure.savefig(part, format="png", metadata={"Software": None})
        part.replace(path)
    except OSError as error:
        raise usage(str(path), error.strerror or str(error), "it must be a name that can be written") from None
    finally:
        part.unlink(missing_ok=True)


def usage(where: str, was: str, must: str, todo: str = "", **values: object) -> Refusal:
    """Refusal of an argument of a picture."""
    return Refusal(Fault("ND9002", where, was, must, todo, values))


def check_dt(where: str, dt_s: object) -> None:
    """Refuse a duration of a step that is none."""
    good = isinstance(dt_s, int | float) and not isinstance(dt_s, bool) and 0 < dt_s < np.inf
    if dt_s is not None and not good:
        raise usage(where, f"dt_s is {dt_s!r}", "it must be a finite number of seconds above 0, or None", dt_s=dt_s)


def as_array(where: str, name: str, values: Any) -> Floats:
    """Finite numbers of a tensor or an array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise usage(where, f"{name} is a {type(values).__name__}", "it must be a tensor or an array") from None
    if array.ndim == 0 or array.size == 0:
        raise usage(where, f"{name} has shape {array.shape}", "it must have at least one step", shape=array.shape)
    if not np.isfinite(array).all():
        raise usage(where, f"{name} holds NaN or infinite values", "all must be finite")
    return array


def of_sample(where: str, name: str, values: Any, sample: int) -> Floats:
    """(time, neuron) of one sample of (time, batch, ...); (time, neuron) and (time,) stand for one sample."""
    array = as_array(where, name, values)
    if array.ndim > 2:
        if not 0 <= sample < array.shape[1]:
            must = f"0 to {array.shape[1] - 1}"
            raise usage(where, f"sample {sample} of {array.shape[1]}", must, sample=sample)
        array = array[:, sample]
    return array.reshape(len(array), -1)
