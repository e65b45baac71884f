"""Which executor runs a layer's text: the torch table, step by step, or the generated kernels, all steps at once."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch

from neurodeploy.errors import Fault, missing_extra, raise_if
from neurodeploy.kernels import DTYPES, SUPPORTED, Result, has_numba, has_triton, is_interpreted, run_sequence
from neurodeploy.layers.feedback import feedback_of, obstacle
from neurodeploy.layers.registry import dtype_name
from neurodeploy.layers.table import torch_table
from neurodeploy.step import Text

EXECUTORS = ("auto", "torch", "numba", "triton")
#: what a generated kernel needs, and the extra that installs it
_EXTRA = {"numba": "fast", "triton": "gpu"}


def takes_kernels(layer: Any, x: torch.Tensor, *, auto: int) -> bool:
    """Whether the kernels run this call of a Neuron.

    auto : updates (time x batch x neurons) from which "auto" takes them
    Raises Refusal (ND1601) for an unknown executor, and where "numba" or "triton" is asked for and cannot run the
    layer; Missing (ND9001) where it is not installed.
    """
    where, executor = type(layer).__name__, layer.executor
    if executor not in EXECUTORS:
        must = f"it must be one of {', '.join(map(repr, EXECUTORS))}"
        raise_if([Fault("ND1601", where, f"executor is {executor!r}", must)])
    if executor == "torch" or not x.numel() or (executor == "auto" and x.numel() < auto):
        return False
    engine = _engine(layer, x)
    obstacles = _obstacles(layer, x, engine)
    if executor != "auto":
        was, todo = f"executor is {executor!r}", "use 'auto'"
        raise_if([Fault("ND1601", where, was, f"it cannot run {what}", todo) for what in obstacles])
        if not _has(engine):
            raise missing_extra(engine, _EXTRA[engine], f"executor {executor!r}")
    return not obstacles and _has(engine)


def _engine(layer: Any, x: torch.Tensor) -> str:
    return str(layer.executor) if layer.executor in _EXTRA else "triton" if x.is_cuda else "numba"


def _has(engine: str) -> bool:
    return has_triton() if engine == "triton" else has_numba()


def _obstacles(layer: Any, x: torch.Tensor, engine: str) -> list[str]:
    """What the kernels cannot run, in words."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    found = {
        f"a tensor of {dtype_name(x.dtype)} on {x.device.type}": not (_takes(engine, x) and _is_plain(x)),
        f"the surrogate {type(layer.surrogate).__name__}, which is no expression": not hasattr(
            layer.surrogate, "derivative"
        ),
        "a model that is being traced": traced,
    }
    if engine == "triton":
        found["a course that the layer is made to take"] = layer.course is not None
        found["rec_connect: between two steps of a recurrent layer stands a product"] = layer.rec_connect is not None
        tensors = [getattr(layer, name) for name in layer._tensors]  # noqa: SLF001 - its executor
        found["parameters on another device than the input"] = any(t.device != x.device for t in tensors)
    elif layer.rec_connect is not None:
        back = obstacle(layer.rec_connect, x)
        found[str(back)] = back is not None
    return [what for what, there in found.items() if there]


def _is_plain(x: torch.Tensor) -> bool:
    return type(x) in (torch.Tensor, torch.nn.Parameter)


def _takes(engine: str, x: torch.Tensor) -> bool:
    if engine == "triton":
        return x.dtype in DTYPES and (x.is_cuda or (x.device.type == "cpu" and is_interpreted()))
    return (x.device.type, x.dtype) in SUPPORTED


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
        course=layer.course,
        engine=_engine(layer, x),
    )
    if recurrent and "spike" not in declared:
        return replace(found, states={**found.states, "spike": found.spikes[-1].clone()})
    return found
