"""A model of another library's neurons as one of ours."""

import torch

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.foreign.names import library_of, version_note
from neurodeploy.foreign.neurons import BATCH_FIRST, ROWS, STEP
from neurodeploy.foreign.reader import Reader
from neurodeploy.foreign.report import AdoptionReport
from neurodeploy.layers.graph import arranged
from neurodeploy.layers.stateful import TIME_BATCH
from neurodeploy.layers.values import Checker

_CALLED = {
    STEP: "the model took one step in a call; now it takes all steps at once",
    BATCH_FIRST: "the batch came before time; now time comes first",
    ROWS: "batch and time were one dimension; now they are two",
}


def adopt(model: torch.nn.Module, shape: int | tuple[int, ...]) -> tuple[torch.nn.Sequential, AdoptionReport]:
    """Turn a torch module with neurons of sinabs, snnTorch, Norse or SpikingJelly into a model of our layers.

    model : a Sequential or a module of the user's own that torch.fx follows, with Linear, Conv2d, AvgPool2d, BatchNorm,
        Flatten, Dropout, additions and the containers of these libraries between the neurons. Classes are recognised
        by their qualified names; nothing of a library is imported or run, and the model is not changed
    shape : of one step of one sample, without batch and time: 128, or (2, 34, 34)

    A forward computes one step, or a whole run of layers that keep the time themselves (sinabs, Norse's LIF,
    SpikingJelly's step_mode "m"). One of snnTorch is that of one step: states are passed in and out, kept in
    attributes, or inside the layers (init_hidden=True). A loop over time in forward is refused: its body is what is
    wanted. A forward may return (spikes, states); the states are left out.

    Returns the model, (time, batch, channel) to (time, batch, ...), where a shape of several dimensions is made of the
    channels inside, and a report. It begins at rest, fires the same spikes, and an optimizer may change what it could
    change before: a time constant of sinabs as its decay.

    Raises Refusal that lists everything at once, by the path of the module: ND1603 classes without a meaning here,
    options that no layer has, subclasses that override what the library computes, ND1601 values, ND1602 shapes,
    ND1605 a forward that cannot be followed. Source: neurons.md 3, 4 and 9; for Norse and SpikingJelly the presets of
    their NIR files.
    """
    if not isinstance(model, torch.nn.Module):
        raise Refusal(Fault("ND1603", "adopt", f"a {type(model).__name__}", "a torch.nn.Module"))
    check = Checker("adopt")
    shape = check.shape(shape)
    raise_if(check.faults)
    reader = Reader(model, shape)
    reader.read()
    raise_if(reader.faults)
    begin = torch.nn.Sequential()
    if len(shape) > 1:
        begin.add_module("input", torch.nn.Unflatten(TIME_BATCH, shape))
    for name, layer in arranged(reader.layers, reader.edges).items():
        begin.add_module(name, layer)
    libraries = sorted({library_of(module) for module in model.modules()} - {""})
    notes = [version_note(library) for library in libraries]
    notes += [_CALLED[reader.layout]] if reader.layout in _CALLED else []
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    return begin.to(device).eval(), AdoptionReport(reader.layout, tuple(reader.became), tuple(notes))
