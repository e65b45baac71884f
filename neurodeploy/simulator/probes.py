"""What a probe of the chip shows, where that is another number than the state."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from neurodeploy.network import Network
from neurodeploy.step import NUMPY, evaluate
from neurodeploy.step.language import INTEGER, parse_expression

Ints = npt.NDArray[np.int64]


def shown(network: Network, group: str, states: Mapping[str, Ints]) -> dict[str, Ints]:
    """States of a group as a probe shows them: the chip file's formula under ``view``, or the state itself.

    states : every state of the group, (time, batch, neuron)
    """
    g = network.group(group)
    kind = network.chip.neurons[g.kind]
    found = dict(states)
    for name, formula in kind.entry.view.items():
        where = f"{network.chip.name}, neuron.{g.kind}.view.{name}"
        parsed = parse_expression(formula, network.chip.file.function, operators=INTEGER, where=where)
        values = evaluate(parsed, dict(g.parameters) | dict(states), NUMPY)
        found[name] = np.broadcast_to(np.asarray(values, np.int64), np.shape(next(iter(states.values())))).copy()
    return found
