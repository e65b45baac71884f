"""The two plain neurons, integrate-and-fire without and with leak, after sinabs 3.1.3 with its rules corrected."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from neurodeploy.errors import raise_if
from neurodeploy.layers.neuron import Neuron
from neurodeploy.layers.registry import register
from neurodeploy.layers.surrogates import SingleExponential, Surrogate
from neurodeploy.layers.values import Checker, Value

_FIRE_AND_RESET = """
fired = count_above(v, threshold) if strict else count(v, threshold)
spike = min(fired, max_spikes) if capped else fired
v = v - spike * threshold if subtract else (reset_value if spike > 0 else v)
if bounded:
    v = max(v, v_min)
"""
_DEFAULT = SingleExponential()


class _Plain(Neuron):
    """What LIF and IAF share: their options, and how these become names and flags of the texts."""

    def __init__(
        self,
        shape: object,
        *,
        taus: dict[str, Any],
        threshold: Value,
        bias: Value | None,
        max_spikes: int | None,
        norm_input: bool | None,
        reset: str,
        reset_value: float,
        comparison: str,
        v_min: float | None,
        train_tau: bool,
        grids: dict[str, Sequence[float] | None],
        rec_connect: torch.nn.Module | None,
        surrogate: Surrogate,
        record_states: bool,
        check_input: bool,
    ) -> None:
        check = Checker(type(self).__name__)
        check.settle_dtype([*taus.values(), threshold, bias])
        neurons = check.shape(shape)
        given = {name: check.tensor(name, tau, positive=True) for name, tau in taus.items()}
        given["threshold"] = check.tensor("threshold", threshold, positive=True)
        if bias is not None:
            given["bias"] = check.tensor("bias", bias)
        if max_spikes is not None:
            check.whole("max_spikes", max_spikes, 1)
        check.choice("reset", reset, ("subtract", "zero", "value"))
        check.choice("comparison", comparison, (">=", ">"))
        check.number("reset_value", reset_value)
        if reset != "value" and reset_value != 0:
            check.fault("reset_value", reset_value, "it counts only with reset='value'")
        if v_min is not None:
            check.number("v_min", v_min)
        flags = {"train_tau": train_tau, "record_states": record_states, "check_input": check_input}
        for name, flag in (flags if norm_input is None else flags | {"norm_input": norm_input}).items():
            check.flag(name, flag)
        if rec_connect is not None and not isinstance(rec_connect, torch.nn.Module):
            check.fault("rec_connect", rec_connect, "it must be a torch.nn.Module, or None")
        if train_tau and not taus:
            check.fault("train_tau", train_tau, "there must be a time constant to train", "give tau_syn")
        for name in taus:
            if not check.faults and not given[name].is_meta and bool((torch.exp(-1 / given[name]) == 1).any()):
                todo = "use a smaller one, or IAF, which does not leak"
                check.fault(name, given[name].max().item(), "its decay exp(-1/tau) must not round to 1", todo)
        for name, grid in grids.items():
            fractions = [keep for keep in grid or () if isinstance(keep, int | float) and 0 <= keep < 1]
            if grid is not None and (not train_tau or not grid or len(fractions) != len(grid)):
                check.fault(name, grid, "decay fractions in [0, 1), for a layer with train_tau=True")
        raise_if(check.faults)
        tensors = _tensors(given, neurons, train_tau=train_tau)
        options = {
            **given,
            **{name: None for name in ("tau_syn", "bias") if name not in given},
            "max_spikes": max_spikes,
            "reset": reset,
            "reset_value": float(reset_value),
            "comparison": comparison,
            "v_min": None if v_min is None else float(v_min),
            "train_tau": train_tau,
            **{name: None if grid is None else tuple(map(float, grid)) for name, grid in grids.items()},
        }
        synapse, biased, bounded = "tau_syn" in taus, bias is not None, v_min is not None
        super().__init__(
            neurons,
            states={"i": 0.0, "v": 0.0} if synapse else {"v": 0.0},
            tensors=tensors,
            positive=tensors.keys() & {*taus, "threshold"},
            numbers={"reset_value": float(reset_value)}
            | ({} if max_spikes is None else {"max_spikes": max_spikes})
            | ({} if v_min is None else {"v_min": float(v_min)}),
            flags={
                "synapse": synapse,
                "norm_input": bool(norm_input),
                "biased": biased,
                "train_tau": train_tau,
                "strict": comparison == ">",
                "capped": max_spikes is not None,
                "subtract": reset == "subtract",
                "bounded": bounded,
            },
            options=options if norm_input is None else options | {"norm_input": norm_input},
            surrogate=surrogate,
            rec_connect=rec_connect,
            record_states=record_states,
            check_input=check_input,
        )

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


def _tensors(given: dict[str, torch.Tensor], neurons: tuple[int, ...], *, train_tau: bool) -> dict[str, torch.Tensor]:
    """Buffers and parameters of the given values: trained time constants stand as their decays."""
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in given.items():
        if name == "bias":
            tensors[name] = torch.nn.Parameter(tensor.expand(neurons).clone())
        elif train_tau and name.startswith("tau_"):
            tensors[name.replace("tau_", "decay_")] = torch.nn.Parameter(torch.exp(-1 / tensor))
        else:
            tensors[name] = tensor
    return tensors


@register
class LIF(_Plain):
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
        Fires once for each multiple of it that the membrane reaches. Larger fires less. Not trained.
    bias : float or tensor, optional
        Added to the membrane in every step; a trainable parameter, one value per neuron.
    max_spikes : int, optional
        Most spikes of one neuron in one step; 1 gives 0/1 spikes. Above it the surrogate gradient is 0. None: no limit.
    norm_input : bool
        Multiply the current by 1 - alpha_mem, so that a constant input x settles at v = x (without a synapse).
    reset : "subtract", "zero" or "value"
        Subtract the threshold once per spike; or set neurons that fired to 0, or to ``reset_value``. The subtraction
        is differentiated too: spikes are not detached.
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
    record_states, check_input : bool
        See Neuron.

    Tensors given set the float type; numbers alone take torch's default. Deviations from sinabs: "value" resets only
    the neurons that fired (sinabs adds the value to all); another batch size is refused (sinabs draws random rows).
    Raises Refusal (ND1601) that lists every parameter that is not finite, not above 0 where it must be, or of another
    shape. Source: sinabs 3.1.3, neurons.md 3.
    """

    once: ClassVar[str] = """
alpha_mem = clip(decay_mem, 0, 0.9999999) if train_tau else exp(-1 / tau_mem)
if synapse:
    alpha_syn = clip(decay_syn, 0, 0.9999999) if train_tau else exp(-1 / tau_syn)
if norm_input:
    gain = 1 - alpha_mem
"""
    step: ClassVar[str] = (
        """
if synapse:
    i = alpha_syn * (i + x)
current = i if synapse else x
v = alpha_mem * v + (gain * current if norm_input else current)
if biased:
    v = v + bias
"""
        + _FIRE_AND_RESET
    )

    def __init__(
        self,
        shape: int | tuple[int, ...],
        tau_mem: Value,
        *,
        tau_syn: Value | None = None,
        threshold: Value = 1.0,
        bias: Value | None = None,
        max_spikes: int | None = None,
        norm_input: bool = True,
        reset: str = "subtract",
        reset_value: float = 0.0,
        comparison: str = ">=",
        v_min: float | None = None,
        rec_connect: torch.nn.Module | None = None,
        surrogate: Surrogate = _DEFAULT,
        train_tau: bool = False,
        grid_mem: Sequence[float] | None = None,
        grid_syn: Sequence[float] | None = None,
        record_states: bool = False,
        check_input: bool = False,
    ) -> None:
        super().__init__(
            shape,
            grids={"grid_mem": grid_mem, "grid_syn": grid_syn},
            taus={"tau_mem": tau_mem} if tau_syn is None else {"tau_mem": tau_mem, "tau_syn": tau_syn},
            threshold=threshold,
            bias=bias,
            max_spikes=max_spikes,
            norm_input=norm_input,
            reset=reset,
            reset_value=reset_value,
            comparison=comparison,
            v_min=v_min,
            train_tau=train_tau,
            rec_connect=rec_connect,
            surrogate=surrogate,
            record_states=record_states,
            check_input=check_input,
        )

    @property
    def alpha_mem(self) -> torch.Tensor:
        """Factor by which the membrane shrinks in one step."""
        alpha: torch.Tensor = self.derived()["alpha_mem"]
        return alpha


@register
class IAF(_Plain):
    """Integrate-and-fire neurons without a leak: what a membrane holds stays until it fires.

    The step is that of LIF without the decay of the membrane and without ``norm_input``; every parameter means what it
    means there. Source: sinabs 3.1.3, neurons.md 3 (alpha_mem = 1).
    """

    once: ClassVar[str] = """
if synapse:
    alpha_syn = clip(decay_syn, 0, 0.9999999) if train_tau else exp(-1 / tau_syn)
"""
    step: ClassVar[str] = (
        """
if synapse:
    i = alpha_syn * (i + x)
v = v + (i if synapse else x)
if biased:
    v = v + bias
"""
        + _FIRE_AND_RESET
    )

    def __init__(
        self,
        shape: int | tuple[int, ...],
        *,
        tau_syn: Value | None = None,
        threshold: Value = 1.0,
        bias: Value | None = None,
        max_spikes: int | None = None,
        reset: str = "subtract",
        reset_value: float = 0.0,
        comparison: str = ">=",
        v_min: float | None = None,
        rec_connect: torch.nn.Module | None = None,
        surrogate: Surrogate = _DEFAULT,
        train_tau: bool = False,
        grid_syn: Sequence[float] | None = None,
        record_states: bool = False,
        check_input: bool = False,
    ) -> None:
        super().__init__(
            shape,
            grids={"grid_syn": grid_syn},
            taus={} if tau_syn is None else {"tau_syn": tau_syn},
            threshold=threshold,
            bias=bias,
            max_spikes=max_spikes,
            norm_input=None,
            reset=reset,
            reset_value=reset_value,
            comparison=comparison,
            v_min=v_min,
            train_tau=train_tau,
            rec_connect=rec_connect,
            surrogate=surrogate,
            record_states=record_states,
            check_input=check_input,
        )

    @property
    def alpha_mem(self) -> torch.Tensor:
        """Factor by which the membrane shrinks in one step: 1, it does not."""
        return torch.ones((), dtype=self.dtype)
