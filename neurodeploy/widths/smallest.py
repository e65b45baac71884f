"""The search for the smallest widths that keep what is asked."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.chips import Chip
from neurodeploy.errors import Fault, Refusal
from neurodeploy.events import Data
from neurodeploy.widths.budget import CODE, Budget
from neurodeploy.widths.in_fixed import InFixed
from neurodeploy.widths.ledger import Ledger, Name, name_of
from neurodeploy.widths.on_chip import OnChip
from neurodeploy.widths.table import Row, WidthTable, tabulate
from neurodeploy.widths.target import Target
from neurodeploy.widths.walk import Spent, walk


def search(
    model: torch.nn.Module,
    target: Chip,
    calibration: Data | npt.ArrayLike,
    budget: Budget,
    *,
    dt_s: float | None = None,
    results: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> WidthTable:
    """Find the smallest widths with which a model on a target keeps a stated spike error or accuracy.

    Each set of widths is quantized, placed, simulated bit for bit on the calibration data and compared with the float
    model there; no row of the table is anything else. One width for all is found by bisection, then each by itself
    gets as small as the others allow. Nothing is drawn at random: the same arguments give the same table.

    model : as for ``convert``; it is not changed
    target : a chip whose weights have a width to choose: each layer then has one of its own. Or a machine that is
        programmed with the neurons of a model (``nd.chip("fixed")``): each layer has a width of its states, of its
        parameters and of its weights
    calibration : counts with labels (``load_data``), or (time, batch, channel) counts where no accuracy is asked; the
        scales and formats are chosen by the same data that the errors are measured on
    budget : what must be kept, and how many sets of widths may be evaluated
    dt_s : duration of a step in seconds; None takes that of the data
    results : a file that holds every evaluation as soon as it is made. A search that was interrupted goes on from it.
        One that is of another model, target, calibration or version, or that is damaged, is refused and left as it is
    progress : called after each evaluation with the number of those made and the most there can be
    Raises Refusal: ND1705 for a target that leaves nothing to choose, ND2401 for data without labels where an accuracy
    is asked, ND2402 and ND14xx for the results file, and what ``convert`` refuses of the model.
    """
    counts, label = _unpacked(calibration, budget)
    given = calibration.dt_s if dt_s is None and isinstance(calibration, Data) else dt_s
    made = OnChip if target.file.programmable is None else InFixed
    return run_search(made(model, target, counts, label, given), budget, results=results, progress=progress)


def run_search(
    target: Target,
    budget: Budget,
    *,
    results: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> WidthTable:
    """Search the widths of anything that can be measured; see ``search``."""
    ledger, asked = Ledger(None if results is None else Path(results), target.key), dict[Name, Row]()

    def ask(widths: Mapping[str, int]) -> Row:
        name = name_of(widths)
        if name not in asked:
            if len(asked) == budget.evaluations:
                raise Spent
            asked[name] = ledger.rows.get(name) or ledger.add(target.measure(widths))
            if progress is not None:
                progress(len(asked), budget.evaluations)
        return asked[name]

    def keeps(row: Row) -> bool:
        return not row.refused and budget.keeps(row.error, row.accuracy)

    complete, spent = False, False
    try:
        complete = walk(target.choices, ask, keeps, budget.evaluations)
    except Spent:
        spent = True
    return tabulate(
        target.name,
        budget,
        asked.values(),
        complete=complete,
        spent=spent,
        float_accuracy=target.float_accuracy,
    )


def _unpacked(
    calibration: Data | npt.ArrayLike, budget: Budget
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64] | None]:
    """Counts, and labels where an accuracy is asked or they are there."""
    counts = np.asarray(calibration.input if isinstance(calibration, Data) else calibration)
    label = calibration.label if isinstance(calibration, Data) else None
    if budget.accuracy is not None and label is None:
        was, must = "counts without labels", "a label for each sample, where an accuracy is to be kept"
        raise Refusal(Fault(CODE, "calibration", was, must, "nd.data(counts, label=...), or state an error instead"))
    return counts, label
