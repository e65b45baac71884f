"""The executor of float texts on arrays of float64: what is measured, and what a derived text is compared with."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.step import NUMPY

Floats = npt.NDArray[np.float64]


def _number(condition: Any) -> Any:
    return np.where(condition, 1.0, 0.0)


#: Values are float64 arrays of shapes that broadcast. Operators are total: run under ``np.errstate(all="ignore")``.
FLOATS: dict[str, Callable[..., Any]] = NUMPY | {
    "literal": np.float64,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log2": np.log2,
    "round": np.round,
    "floor": np.floor,
    "detach": lambda x: x,
    "above": lambda v, threshold: _number(v > threshold),
    "at_or_above": lambda v, threshold: _number(v >= threshold),
    "count": lambda v, threshold: np.maximum(np.floor(v / threshold), 0.0),
    "count_above": lambda v, threshold: np.maximum(np.ceil(v / threshold) - 1, 0.0),
}
