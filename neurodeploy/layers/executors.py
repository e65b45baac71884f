"""Which executor runs a layer's text: the torch table, step by step, or the generated kernels, all steps at once."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch

from neurodeploy.errors import Fault, missing_extra, raise_if
from neurodeploy.kernels import SUPPORTED, Result, has_numba, run_sequence
from neurodeploy.layers.feedback import feedback_of, obstacle
from neurodeploy.layers.registry import dtype_name
from neurodeploy.layers.table import torch_table
from neurodeploy.step import Text

EXECUTORS = ("auto", "torch", "numba")


def takes_kernels(layer: Any, x: torch.Tensor, *, auto: int) -> bool:
    """Whether the kernels run this call of a Neuron.

    auto : updates (time x batch x neurons) from which "auto" takes them
    Raises Refusal (ND1601) for an unknown executor, and where "numba" is asked for and cannot run the layer; Missing
    (ND9001) where it is not installed.
    """
    where, executor = type(layer).__name__, layer.executor
    if executor not in EXECUTORS:
        must = f"it must be one of {', '.join(map(repr, EXECUTORS))}"
        raise_if([Fault("ND1601", where, f"executor is {executor!r}", must)])
    if executor == "torch" or not x.numel() or (executor == "auto" and x.numel() < auto):
        return False
    obstacles = _obstacles(layer, x)
    if executor == "numba":
        was, todo = "executor is 'numba'", "use 'auto'"
        raise_if([Fault("ND1601", where, was, f"it cannot run {what}", todo) for what in obstacles])
        if not has_numba():
            raise missing_extra("numba", "fast", "executor 'numba'")
    return not obstacles and has_numba()


def _obstacles(layer: Any, x: torch.Tensor) -> list[str]:
    """What the kernels cannot run, in words."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    back = None if layer.rec_connect is None else obstacle(layer.rec_connect, x)
    found = {
        str(back): back is not None,
        f"a tensor of {dtype_name(x.dtype)} on {x.device.type}": (x.device.type, x.dtype) not in SUPPORTED
        or type(x) not in (torch.Tensor, torch.nn.Parameter),
        f"the surrogate {type(layer.surrogate).__name__}, which is no expression": not hasattr(
            layer.surrogate, "derivative"
        ),
        "a model that is being traced": traced,
    }
    return [what for what, there in found.items() if there]


def run_kernels(
    layer: Any, text: Text, x: torch.Tensor, states: Mapping[str, torch.Tensor], environment: Mapping[str, Any]
) -> Result:
    """Run the step text of a Neuron over all steps.

    states : at the start, with "spike" where it comes back in the first step, too
    environment : everything else that the text reads but x
    """
    recurrent = layer.rec_connect is not None
    feedback = feedback_of(layer.rec_connect, states.get("spike")) if recurrent else None
    declared = list(layer._states)  # noqa: SLF001 - its executor
    found = run_sequence(
        text,
        x,
        states={name: states[name] for name in declared},
        environment=environment,
        surrogate=layer.surrogate.derivative(),
        options=asdict(layer.surrogate),
        table=torch_table(layer.surrogate, layer.dtype),
        record=layer.record_states,
        feedback=feedback,
    )
    if recurrent and "spike" not in declared:
        return replace(found, states={**found.states, "spike": found.spikes[-1].clone()})
    return found
