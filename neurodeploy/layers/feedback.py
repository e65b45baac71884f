"""Recurrent connections that the kernels can run: modules whose output is affine in the spikes of one step."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch.nn.functional import conv2d, linear
from torch.nn.grad import conv2d_input, conv2d_weight

from neurodeploy.kernels import SUPPORTED, Feedback, weight_gradient
from neurodeploy.layers.sparse import EventLinear, SparseLinear, event_product

_IMAGES = 4  # dimensions of (batch, channel, row, column)
Make = Callable[[Any, torch.Tensor | None], Feedback]


def _rows(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(-1, x.shape[-1])


def _linear(module: Any, first: torch.Tensor | None, *, events: bool = False) -> Feedback:
    return Feedback(
        first=first,
        weight=module.effective_weight() if isinstance(module, SparseLinear) else module.weight,
        bias=getattr(module, "bias", None),
        product=event_product if events else linear,
        to_spikes=lambda gradient, weight: gradient @ weight,
        to_weight=weight_gradient if events else lambda gradient, spikes: _rows(gradient).t() @ _rows(spikes),
        to_bias=lambda gradient: _rows(gradient).sum(0),
    )


def _convolution(module: Any, first: torch.Tensor | None) -> Feedback:
    form = {"stride": module.stride, "padding": module.padding, "dilation": module.dilation, "groups": module.groups}
    to_input: Any = conv2d_input  # torch leaves them untyped
    to_weight: Any = conv2d_weight
    shape = module.weight.shape
    return Feedback(
        first=first,
        weight=module.weight,
        bias=module.bias,
        product=partial(conv2d, **form),
        # its outputs are shaped as its inputs
        to_spikes=lambda gradient, weight: to_input(gradient.shape, weight, gradient, **form),
        to_weight=lambda gradient, spikes: to_weight(spikes.flatten(0, 1), shape, gradient.flatten(0, 1), **form),
        to_bias=lambda gradient: gradient.sum((0, 1, 3, 4)),
    )


def _nothing(_module: Any, first: torch.Tensor | None) -> Feedback:
    return Feedback(
        first=first,
        weight=None,
        bias=None,
        product=lambda spikes, _weight, _bias: spikes,
        to_spikes=lambda gradient, _weight: gradient,
        to_weight=lambda _gradient, spikes: spikes,  # there is none, and nobody asks
        to_bias=lambda gradient: gradient,
    )


#: The exact class counts: a subclass may compute anything.
_MAKE: Mapping[type[torch.nn.Module], Make] = MappingProxyType(
    {
        torch.nn.Linear: _linear,
        SparseLinear: _linear,
        EventLinear: partial(_linear, events=True),
        torch.nn.Conv2d: _convolution,
        torch.nn.Identity: _nothing,
    }
)


def feedback_of(module: Any, first: torch.Tensor | None) -> Feedback:
    """Feedback of a module that ``obstacle`` has nothing against.

    first : spikes before the first step (batch, ...); None: nothing comes back in that step
    """
    return _MAKE[type(module)](module, first)


def obstacle(module: Any, x: torch.Tensor) -> str | None:
    """Why the kernels cannot run a recurrent connection over (time, batch, ...), in words; None where they can."""
    kind, like = type(module), x[0]
    if kind not in _MAKE:
        return f"rec_connect, a {kind.__name__}, which is none of {', '.join(known.__name__ for known in _MAKE)}"
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(module, hook) for hook in hooks) or "forward" in vars(module):
        return "rec_connect with hooks or a forward of its own"
    if kind is torch.nn.Conv2d and (module.padding_mode != "zeros" or isinstance(module.padding, str)):
        return f"rec_connect with padding {module.padding!r} of {module.padding_mode}"
    if any((p.device.type, p.dtype) not in SUPPORTED or p.dtype != x.dtype for p in module.parameters()):
        return "rec_connect of another float type or device than the input"
    sizes = (module.in_features, module.out_features) if hasattr(module, "in_features") else ()
    if kind is torch.nn.Conv2d:
        fits = like.dim() == _IMAGES and _shape_after(module, like) == like.shape[1:]
    else:
        fits = all(size == like.shape[-1] for size in sizes)
    return None if fits else "rec_connect that changes the shape"


def _shape_after(module: Any, like: torch.Tensor) -> tuple[int, ...]:
    if like.shape[1] != module.in_channels:
        return ()
    form = zip(like.shape[2:], module.kernel_size, module.stride, module.padding, module.dilation, strict=True)
    sizes = [(n + 2 * pad - far * (k - 1) - 1) // step + 1 for n, k, step, pad, far in form]
    return (module.out_channels, *sizes)
