"""A layer on the looped torch executor and on generated kernels: spikes, recordings, states, every gradient."""

import functools
import importlib.util
import types

import numpy as np
import pytest
import torch
from neuron_variants import N, variants

from neurodeploy.kernels import sequence

T, BATCH = 12, 2
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
NUMBA = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason='numba is not installed: pip install "neurodeploy[fast]"'
)


class Plain:
    """Stands for ``generated.Compiled``: the generated code as Python runs it."""

    def __init__(self, source, *, alone=False):  # noqa: ARG002 - says how the code is kept on disk
        code = source.code.replace("import numba\n", "")
        self.names = {"numba": types.SimpleNamespace(njit=lambda **_: lambda function: function)}
        exec(compile(code, "generated", "exec"), self.names)  # noqa: S102 - our own code, generated in this test

    def function(self, name):
        def call(*arguments):
            # numba converts numbers to the type of the signature
            kind = next(a.dtype.type for a in arguments if isinstance(a, np.ndarray) and a.dtype != np.uint8)
            given = [kind(a) if isinstance(a, float) else a for a in arguments]
            with np.errstate(all="ignore"):
                self.names[name](*given)

        return call


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.setattr(sequence, "Compiled", Plain)
    monkeypatch.setattr("neurodeploy.layers.executors.has_numba", lambda: True)
    sequence._kernels.cache_clear()
    yield
    sequence._kernels.cache_clear()


def drive_of(layer, dtype):
    """Scale of an input at which some neuron fires after the first step, whatever its unit; None where none does."""
    generator = torch.Generator().manual_seed(4)
    layer.executor = "torch"
    x = torch.randn(T, BATCH, *layer.shape, generator=generator, dtype=torch.float64) + 0.35
    for drive in (2, 20, 200, 2000):
        layer.reset_states()
        with torch.no_grad():
            layer((x[:1] * drive).to(dtype))
            if layer((x[1:] * drive).to(dtype)).sum() > 0:
                return drive
    return None


@functools.cache
def firing(kind):
    """Options under which a class fires in so short a time."""
    torch.manual_seed(5)
    return next(options for options in variants(kind) if drive_of(kind(N, **options).float(), torch.float32))


def everything(layer, executor, dtype, drive=2):
    """Two calls from given states: what comes out, and the gradients of a random weighting of all of it."""
    layer.record_states, shape = True, (BATCH, *layer.shape)
    generator = torch.Generator().manual_seed(4)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    x = ((draw(T, *shape) + 0.35) * drive).requires_grad_()
    layer.executor = "torch"
    layer.reset_states()
    layer(x[:1].detach())  # states near those of a run, whatever their unit
    states = {name: (layer._state[name].detach() + draw(*shape) * 0.3).requires_grad_() for name in layer._states}
    layer._state, layer.executor = dict(states), executor
    outcome = []
    for part in (x[:5], x[5:]):
        outcome += [layer(part), *layer.recordings.values()]
    outcome += layer._state.values()
    wanted = {"x": x, **states, **{name: getattr(layer, name) for name in layer._tensors}}
    if layer.rec_connect is not None:
        wanted |= {f"rec_connect.{name}": value for name, value in layer.rec_connect.named_parameters()}
    loss = sum((draw(*value.shape) * value).sum() for value in outcome)
    gradients = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    return outcome, dict(zip(wanted, gradients, strict=True))


def largest(gradient):
    values = None if gradient is None else gradient[gradient.isfinite()].abs()
    return 0 if values is None or not values.numel() else values.max().item()


def compare(kind, options, surrogate, dtype, shape=N, *, fire=False, executor="numba"):
    """Compare torch's executor with another on one layer, all of whose numbers are trained.

    fire : use an input at which it fires, whatever its unit
    Returns the sum of its spikes, and how many gradients are not 0 everywhere.
    """
    layer = kind(shape, **options).to(dtype)
    layer.surrogate = surrogate or layer.surrogate
    for name in layer._tensors:
        getattr(layer, name).requires_grad_()
    drive = (drive_of(layer, dtype) if fire else None) or 2
    outcome, gradients = everything(layer, "torch", dtype, drive)
    fused, found = everything(layer, executor, dtype, drive)
    transcendental = any(f"{name}(" in layer.step for name in ("exp", "exp2", "expm1", "log2"))
    for one, other in zip(outcome, fused, strict=True):
        if transcendental:
            assert torch.allclose(one, other, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], equal_nan=True)
        else:
            assert ((one == other) | (one.isnan() & other.isnan())).all()
    # gradients of parameters are sums over batch and time, whose terms may cancel: their rounding is that of the terms
    terms = max(largest(gradients[name]) for name in ("x", *layer._states))
    for name, gradient in gradients.items():
        ours = found[name]
        if gradient is None:
            assert ours is None or not ours.any(), name
            continue
        ours = torch.zeros_like(gradient) if ours is None else ours
        scale = max(largest(gradient), 0 if name == "x" else terms)
        assert torch.allclose(ours, gradient, rtol=0, atol=TOLERANCE[dtype] * scale, equal_nan=True), name
    return outcome[0].sum().item(), sum(bool(g is not None and g.any()) for g in gradients.values())
