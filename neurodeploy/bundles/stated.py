"""What files of results state of a network, and how they keep their numbers."""

from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.network import Network


def contract_of(network: Network) -> dict[str, object]:
    """What decides the spikes of a network, in the words of its chip: neurons, order of phases, length of a step."""
    chip = network.chip
    neurons: dict[str, object] = {}
    for g in network.groups:
        deploy = chip.neurons[g.kind].deploy
        neurons[g.kind] = None if deploy is None else deploy.model_dump(mode="json", exclude_none=True)
    order = [[p.name, *p.connections] if p.neuron else [p.name] for p in chip.schedule]
    return {"neurons": neurons, "schedule": order, "dt_s": network.dt_s}


def small(values: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """The same integers in the narrowest type that holds them all."""
    if not values.size:
        return values.astype(np.int8)
    kinds = (np.int8, np.int16, np.int32, np.int64)
    low, high = int(values.min()), int(values.max())
    return values.astype(next(k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max))
