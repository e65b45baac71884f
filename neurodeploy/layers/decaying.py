"""Neurons with decaying states and time constants in steps, after sinabs 3.1.3 with its rules corrected."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from neurodeploy.layers.neuron import Neuron
from neurodeploy.layers.parameters import (
    Choice,
    Compat,
    Flag,
    Grid,
    Number,
    Parameter,
    Positive,
    Real,
    TimeConstant,
    TrainTau,
    Whole,
)
from neurodeploy.layers.registry import register

_SHIFTED = "sinabs-record-shift"
_SYNAPSE = """
if with_tau_syn:
    i = alpha_syn * (i + x)
"""
_FIRE_AND_RESET = """
if sinabs_record_shift:
    v_reached = v
fired = count_above(v, threshold) if strict else count(v, threshold)
spike = min(fired, max_spikes) if with_max_spikes else fired
v = v - spike * (reset_amount if with_reset_amount else threshold) if subtract else (reset_value if spike > 0 else v)
if with_v_min:
    v = max(v, v_min)
"""
_ALPHA_MEM = "alpha_mem = clip(decay_mem, 0, 0.9999999) if train_tau else exp(-1 / tau_mem)\n"
_ALPHA_SYN = """
if with_tau_syn:
    alpha_syn = clip(decay_syn, 0, 0.9999999) if train_tau else exp(-1 / tau_syn)
"""
_GAIN = """
if norm_input:
    gain = 1 - alpha_mem
"""
_LEAK: Mapping[str, Parameter] = {"tau_mem": TimeConstant()}
_FIRING: Mapping[str, Parameter] = {
    "tau_syn": TimeConstant(None),
    "threshold": Positive(1.0),
    "bias": Real(None, trained=True),
    "max_spikes": Whole(None),
    "reset": Choice("subtract", flags={"subtract": "subtract", "zero": "zero", "value": "value"}),
    "reset_value": Number(0.0, only=("reset", "value")),
    "reset_amount": Number(None, only=("reset", "subtract")),
    "comparison": Choice(">=", flags={">=": "inclusive", ">": "strict"}),
    "v_min": Number(None),
    "train_tau": TrainTau(),
}


class _Decaying(Neuron):
    """What these neurons share: grids of trained decays, and the decays as properties."""

    def set_grid(self, name: str, grid: Sequence[float]) -> None:
        """Hold a trained decay on a grid: every forward pass uses the nearest of these decay fractions.

        name : "decay_mem" or "decay_syn"; the gradient passes straight through the rounding
        """
        self._options[name.replace("decay_", "grid_")] = tuple(map(float, grid))

    def _parameters_by_name(self) -> dict[str, Any]:
        values = super()._parameters_by_name()
        for name in ("decay_mem", "decay_syn"):
            grid: Any = self._options.get(name.replace("decay_", "grid_"))
            if grid is not None and name in values:
                values[name] = _nearest(values[name], grid)
        return values

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See Neuron; in the mode "sinabs-record-shift" ``recordings`` are those of the source."""
        spikes = super().forward(x)
        if self.record_states and _SHIFTED in self.options["compat"] and len(spikes):
            reached = {"v": self.recordings.pop("v_reached")}
            early = {"v": reached["v"], "i": self.recordings["i"]} if "i" in self.recordings else reached
            for name, rows in early.items():
                self.recordings[name] = torch.cat([rows[1:], self.recordings[name][-1:]])
        return spikes

    @property
    def alpha_mem(self) -> torch.Tensor:
        """Factor by which the membrane shrinks in one step; 1 where it does not."""
        alpha: torch.Tensor | None = self.derived().get("alpha_mem")
        return torch.ones((), dtype=self.dtype) if alpha is None else alpha

    @property
    def alpha_syn(self) -> torch.Tensor | None:
        """Factor by which the synaptic current shrinks in one step; None without a synapse (``tau_syn=None``)."""
        alpha: torch.Tensor | None = self.derived().get("alpha_syn")
        return alpha


def _nearest(value: torch.Tensor, grid: Sequence[float]) -> torch.Tensor:
    points = torch.as_tensor(grid, dtype=value.dtype, device=value.device)
    with torch.no_grad():
        rounded = points[(value.unsqueeze(-1) - points).abs().argmin(-1)]
    return value + (rounded - value).detach()


@register
class LIF(_Decaying):
    """Leaky integrate-and-fire neurons with an optional synaptic current.

    In each step: the input x enters the current and decays with it; the membrane decays and takes the current and the
    bias; it fires as many spikes at once as it reaches thresholds, at most ``max_spikes``; then it is reset, in the
    same step, and held at or above ``v_min``. The output of a step depends on the input of that step.

    Parameters
    ----------
    shape : int or tuple of int
        Neuron dimensions: 100, or (channels, height, width).
    tau_mem : float or tensor that broadcasts to shape
        Membrane time constant, in time steps; larger decays more slowly: alpha_mem = exp(-1 / tau_mem).
    tau_syn : float or tensor, optional
        The same for the current: alpha_syn = exp(-1 / tau_syn). None: the input is the current.
    threshold : float or tensor
        Fires once for each multiple of it that the membrane reaches. Larger fires less.
    bias : float or tensor, optional
        Added to the membrane in every step; a trainable parameter, one value per neuron.
    max_spikes : int, optional
        Most spikes of one neuron in one step; 1 gives 0/1 spikes. Above it the surrogate gradient is 0. None: no limit.
    norm_input : bool
        Multiply the current by 1 - alpha_mem, so that a constant input x settles at v = x (without a synapse).
    reset : "subtract", "zero" or "value"
        Subtract the threshold once per spike; or set neurons that fired to 0, or to ``reset_value``. The subtraction
        is differentiated too: spikes are not detached.
    reset_amount : float, optional
        What "subtract" takes off for each spike, in place of the threshold.
    comparison : ">=" or ">"
        Whether a membrane equal to the threshold (or to a multiple of it) fires for it.
    v_min : float, optional
        Lowest membrane, applied after the reset; no gradient flows from below it.
    rec_connect : torch.nn.Module, optional
        Maps spikes (batch, *shape) to an input of the next step; exactly 0 in the first step after a reset.
    surrogate : Surrogate
        Derivative of the spikes.
    grid_mem, grid_syn : sequence of float, optional
        Decay fractions that a trained decay is rounded to in every forward pass (straight-through gradient); None:
        any. ``neurodeploy.constrain`` sets the chip's.
    train_tau : bool
        Train the decay factors: parameters ``decay_mem`` and ``decay_syn``, held in [0, 1) by a clamp. One that an
        optimizer has moved outside gets no gradient and stays.
    compat : "sinabs-record-shift", optional
        For comparisons alone: ``recordings`` as the recurrent layers of sinabs make them, v before the reset and i,
        one step ahead (the last row is right). Spikes are the same.
    train, record_states, check_input
        See Neuron.

    Tensors given set the float type; numbers alone take torch's default. Deviations from sinabs: "value" resets only
    the neurons that fired (sinabs adds the value to all); another batch size is refused (sinabs draws random rows).
    Raises Refusal (ND1601) that lists every parameter that is not finite, not above 0 where it must be, or of another
    shape. Source: sinabs 3.1.3, neurons.md 3.
    """

    arguments: ClassVar[Mapping[str, Parameter]] = {
        **_LEAK,
        **_FIRING,
        "norm_input": Flag(True),
        "grid_mem": Grid(),
        "grid_syn": Grid(),
        "compat": Compat(modes=(_SHIFTED,)),
    }
    states: ClassVar[Mapping[str, float | str]] = {"i": 0.0, "v": 0.0, "v_reached": 0.0}
    once: ClassVar[str] = _ALPHA_MEM + _ALPHA_SYN + _GAIN
    step: ClassVar[str] = (
        _SYNAPSE
        + """
current = i if with_tau_syn else x
v = alpha_mem * v + (gain * current if norm_input else current)
if with_bias:
    v = v + bias
"""
        + _FIRE_AND_RESET
    )


@register
class IAF(_Decaying):
    """Integrate-and-fire neurons without a leak: what a membrane holds stays until it fires.

    The step is that of LIF without the decay of the membrane and without ``norm_input``; every parameter means what it
    means there. Source: sinabs 3.1.3, neurons.md 3 (alpha_mem = 1).
    """

    arguments: ClassVar[Mapping[str, Parameter]] = {**_FIRING, "grid_syn": Grid(), "compat": Compat(modes=(_SHIFTED,))}
    states: ClassVar[Mapping[str, float | str]] = LIF.states
    once: ClassVar[str] = _ALPHA_SYN
    step: ClassVar[str] = (
        _SYNAPSE
        + """
v = v + (i if with_tau_syn else x)
if with_bias:
    v = v + bias
"""
        + _FIRE_AND_RESET
    )


@register
class ExpLeak(_Decaying):
    """A leaky integrator that never fires: the layer returns its membrane, before ``v_min`` acts.

    ``v = alpha_mem * v + x``, alpha_mem = exp(-1 / tau_mem); with ``norm_input`` x counts 1 - alpha_mem.

    Parameters
    ----------
    tau_mem : float or tensor
        Time constant in time steps; larger decays more slowly.
    norm_input : bool
        A constant input x settles at v = x; otherwise at x / (1 - alpha_mem).
    v_min : float, optional
        Lowest membrane at the end of a step: the next step starts from it, and it is what is recorded. The output of
        the step itself may lie below.
    train_tau : bool
        As for LIF: the parameter ``decay_mem``.

    Source: sinabs 3.1.3, neurons.md 3.1 and 3.2.
    """

    arguments: ClassVar[Mapping[str, Parameter]] = {
        **_LEAK,
        "norm_input": Flag(False),
        "v_min": Number(None),
        "train_tau": TrainTau(),
        "compat": Compat(),
    }
    states: ClassVar[Mapping[str, float | str]] = {"v": 0.0}
    once: ClassVar[str] = _ALPHA_MEM + _GAIN
    step: ClassVar[str] = """
v = alpha_mem * v + (gain * x if norm_input else x)
spike = v
if with_v_min:
    v = max(v, v_min)
"""


@register
class ALIF(_Decaying):
    """Leaky integrate-and-fire neurons whose threshold rises with each spike and falls back.

    In each step, after current and membrane as in LIF: the threshold is ``threshold + adapt_scale * b``; the membrane
    fires against it and, with "subtract", loses it; then ``b = alpha_adapt * b + (1 - alpha_adapt) * spike``. The
    state ``spike_threshold`` is the threshold of the next step.

    Parameters
    ----------
    tau_mem, tau_syn : float or tensor
        As for LIF.
    tau_adapt : float or tensor
        Time constant of the adaptation b, in time steps; larger forgets more slowly: alpha_adapt = exp(-1 / tau_adapt).
    adapt_scale : float or tensor
        How far b = 1 (firing in every step) raises the threshold, in the unit of the membrane.
    threshold : float or tensor
        The threshold at rest.
    max_spikes : int, optional
        Default 1: spikes are 0/1, with the surrogate gradient at any height of the membrane. More: one for each
        multiple of the raised threshold, as in LIF. None: no limit.
    reset, reset_value, reset_amount, comparison, v_min, bias, norm_input, rec_connect, surrogate, train_tau
        As for LIF; "subtract" takes the raised threshold. train_tau adds ``decay_adapt``.
    compat : one or both of the following
        "sinabs-alif-syn-norm": with tau_syn and norm_input the normalised current is stored, so that the synapse
        decays by alpha_syn * (1 - alpha_mem). "sinabs-record-shift": see LIF.

    Deviations from sinabs: states persist between calls, i included (sinabs restarts i at 0). sinabs' docstring says
    that b returns to 0 and that the resting threshold is subtracted; neither it nor this layer does so.
    Source: sinabs 3.1.3, neurons.md 3.3 and 3.6.
    """

    arguments: ClassVar[Mapping[str, Parameter]] = {
        **_LEAK,
        "tau_adapt": TimeConstant(),
        "adapt_scale": Real(1.8),
        **_FIRING,
        "max_spikes": Whole(1),
        "norm_input": Flag(True),
        "compat": Compat(modes=("sinabs-alif-syn-norm", _SHIFTED)),
    }
    states: ClassVar[Mapping[str, float | str]] = {**LIF.states, "b": 0.0, "spike_threshold": "threshold"}
    once: ClassVar[str] = (
        _ALPHA_MEM
        + "alpha_adapt = clip(decay_adapt, 0, 0.9999999) if train_tau else exp(-1 / tau_adapt)"
        + _ALPHA_SYN
        + _GAIN
    )
    step: ClassVar[str] = (
        _SYNAPSE
        + """
current = i if with_tau_syn else x
current = gain * current if norm_input else current
if with_tau_syn and sinabs_alif_syn_norm:
    i = current
v = alpha_mem * v + current
if with_bias:
    v = v + bias
if sinabs_record_shift:
    v_reached = v
raised = threshold + adapt_scale * b
if single:
    spike = above(v, raised) if strict else at_or_above(v, raised)
if not single:
    fired = count_above(v, raised) if strict else count(v, raised)
    spike = min(fired, max_spikes) if with_max_spikes else fired
v = v - spike * (reset_amount if with_reset_amount else raised) if subtract else (reset_value if spike > 0 else v)
if with_v_min:
    v = max(v, v_min)
b = alpha_adapt * b + (1 - alpha_adapt) * spike
spike_threshold = threshold + adapt_scale * b
"""
    )
