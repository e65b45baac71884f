"""The neurons of other libraries that have layers here: by class, what each takes and gives, and who makes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from neurodeploy.foreign import of_norse, of_sinabs, of_snntorch, of_spikingjelly
from neurodeploy.foreign.names import class_name, library_of
from neurodeploy.foreign.values import Made, Source

# how the first dimensions of a value lie
STEP = "(batch, ...), one step in a call"
ROWS = "(batch * time, ...)"
BATCH_FIRST = "(batch, time, ...)"
TIME_FIRST = "(time, batch, ...)"
#: Number of dimensions before those of a sample.
LEAD: Mapping[str, int] = MappingProxyType({STEP: 1, ROWS: 1, BATCH_FIRST: 2, TIME_FIRST: 2})


@dataclass(frozen=True)
class Kind:
    """A class of neurons.

    layout : how its input lies
    make : makes layers of a module
    pair : whether a call gives (spikes, states ...)
    """

    layout: Callable[[Any], str]
    make: Callable[[Source], Made]
    pair: Callable[[Any], bool]


def _kind(layout: str, make: Callable[[Source], Made], *, pair: bool = False) -> Kind:
    return Kind(lambda _: layout, make, lambda _: pair)


def _step_mode(module: Any) -> str:
    return TIME_FIRST if getattr(module, "step_mode", "s") == "m" else STEP


def _sinabs() -> dict[str, Kind]:
    made = {"LIF": of_sinabs.make_lif, "IAF": of_sinabs.make_lif, "ALIF": of_sinabs.make_alif}
    found = {name: _kind(BATCH_FIRST, make) for name, make in made.items()}
    found |= {f"{name}Recurrent": _kind(BATCH_FIRST, make) for name, make in made.items()}
    found["ExpLeak"] = _kind(BATCH_FIRST, of_sinabs.make_leak)
    squeezed = {**made, "ExpLeak": of_sinabs.make_leak}
    return found | {f"{name}Squeeze": _kind(ROWS, make) for name, make in squeezed.items()}


def _snntorch() -> dict[str, Kind]:
    makes = {
        "Leaky": of_snntorch.make_leaky,
        "Lapicque": of_snntorch.make_lapicque,
        "Synaptic": of_snntorch.make_synaptic,
        "Alpha": of_snntorch.make_alpha,
        "RLeaky": of_snntorch.make_rleaky,
        "RSynaptic": of_snntorch.make_rsynaptic,
    }
    return {name: Kind(lambda _: STEP, make, of_snntorch.returns_states) for name, make in makes.items()}


def _norse() -> dict[str, Kind]:
    cells = {
        "LIFCell": of_norse.make_lif,
        "LIFBoxCell": of_norse.make_box,
        "LICell": of_norse.make_leak,
        "LIBoxCell": of_norse.make_box_leak,
        "LILinearCell": of_norse.make_linear_leak,
        "IAFCell": of_norse.make_iaf,
        "LIFRecurrentCell": of_norse.make_recurrent,
    }
    layers = {
        "LIF": of_norse.make_lif,
        "LI": of_norse.make_leak,
        "IAF": of_norse.make_iaf,
        "LIFRecurrent": of_norse.make_recurrent,
    }
    found = {name: _kind(STEP, make, pair=True) for name, make in cells.items()}
    return found | {name: _kind(TIME_FIRST, make, pair=True) for name, make in layers.items()}


def _spikingjelly() -> dict[str, Kind]:
    makes = {
        "IFNode": of_spikingjelly.make_if,
        "SimpleIFNode": of_spikingjelly.make_if,
        "LIFNode": of_spikingjelly.make_lif,
        "SimpleLIFNode": of_spikingjelly.make_lif,
        "ParametricLIFNode": of_spikingjelly.make_plif,
    }
    return {name: Kind(_step_mode, make, lambda _: False) for name, make in makes.items()}


#: Library -> class -> kind.
NEURONS: Mapping[str, Mapping[str, Kind]] = MappingProxyType(
    {"sinabs": _sinabs(), "snntorch": _snntorch(), "norse": _norse(), "spikingjelly": _spikingjelly()}
)


def neuron_kind(module: torch.nn.Module) -> Kind | None:
    """Kind of a module that is a neuron layer of one of the libraries."""
    return NEURONS.get(library_of(module), {}).get(class_name(module))


def known_names(library: str) -> str:
    """Names of the classes of a library that have layers here, for messages."""
    return f"{library}'s {', '.join(NEURONS[library])}"
