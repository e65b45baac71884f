"""Neurons of NIR as float layers: equations become decays and gains, gains enter thresholds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.layers import IAF, LIF, ExpLeak, Integrator, Leaky, RLeaky, RSynaptic, Scale, Synaptic
from neurodeploy.nir.contract import Contract
from neurodeploy.nir.graph import Node
from neurodeploy.nir.primitives import RESETS, array, where
from neurodeploy.nir.shapes import Shape, full

Floats = NDArray[np.float64]
#: Time constant, in steps, whose decay is 0 in every float type: exp(-1000).
_NOTHING_KEPT = 1e-3


@dataclass(frozen=True)
class Loop:
    """What brings the spikes of a layer back to it, one step later.

    module : over (batch, ...), without biases unless ``biased``
    constant : what it adds in every step, of the shape of the neurons; 0 where the module has it itself
    """

    module: torch.nn.Module
    constant: Floats


@dataclass(frozen=True)
class Dynamics:
    """A neuron of NIR step by step: ``i = keep_syn * i + gain_syn * x; v = keep * v + leak + gain * i``.

    base : what is taken off all membranes, so that they begin at 0
    keep_syn, gain_syn : None without a synaptic current (then i = x)
    """

    keep: Floats
    gain: Floats
    leak: Floats
    base: Floats
    keep_syn: Floats | None = None
    gain_syn: Floats | None = None


def dynamics(node: Node, shape: Shape, contract: Contract) -> Dynamics:
    """Decays and gains of a node; raises Refusal (ND1601) where they have no meaning."""
    if node.kind in ("IF", "I"):
        factor = contract.step if contract.charge == "per second" else 1.0
        gain = full(array(node, "r"), shape) * factor
        return Dynamics(np.ones(shape), _plain(gain, node), np.zeros(shape), np.zeros(shape))
    tau = "tau" if "tau" in node.fields else "tau_mem"
    keep, gain = _decay(node, tau, shape, contract, contract.gain)
    gain = _plain(gain * full(array(node, "r"), shape), node)
    rest = full(array(node, "v_leak"), shape)
    base = rest if contract.start == "v_leak" else np.zeros(shape)
    leak = (1 - keep) * (rest - base)
    if "tau_syn" not in node.fields:
        return Dynamics(keep, gain, leak, base)
    keep_syn, gain_syn = _decay(node, "tau_syn", shape, contract, contract.syn_gain)
    return Dynamics(keep, gain, leak, base, keep_syn, _plain(gain_syn * full(array(node, "w_in"), shape), node))


def _decay(node: Node, name: str, shape: Shape, contract: Contract, gain: str) -> tuple[Floats, Floats]:
    tau = full(array(node, name), shape)
    if tau.min() <= 0:
        was = f"{name} is {tau.min():g}"
        raise Refusal(Fault("ND1601", where(node), was, "a time constant above 0"))
    ratio = contract.step / tau
    keep = np.exp(-ratio) if contract.integrator == "exact" else 1 - ratio
    keep = np.where(np.abs(keep) < np.finfo(np.float32).eps, 0.0, keep)  # tau = dt up to rounding
    if keep.min() < 0:
        was = f"{name} is {tau.min():g} and a step {contract.step:g}: 1 - dt / tau is {keep.min():.3g}"
        todo = "use a shorter step, or the exact integrator, if the source did"
        raise Refusal(Fault("ND1601", where(node), was, "a decay from 0 to 1", todo))
    if gain == "dt/tau/kept" and not keep.all():
        must = "a decay above 0: its exporter divides by it"
        raise Refusal(Fault("ND1601", where(node), f"{name} is {tau.min():g}", must))
    with np.errstate(divide="ignore"):
        gains = {
            "integrator": 1 - keep,
            "one": np.ones(shape),
            "kept": keep,
            "dt/tau": ratio,
            "dt/tau/kept": ratio / keep,
        }
    return keep, gains[gain]


def _plain(gain: Floats, node: Node) -> Floats:
    """Exactly 1 where a gain is 1 within the rounding of the file's float type."""
    single = any(array(node, name).dtype.itemsize <= 4 for name in node.fields)  # bytes of a float32
    near = np.abs(gain - 1) <= 8 * np.finfo(np.float32 if single else np.float64).eps
    return np.where(near, 1.0, gain)


def neuron_layers(
    node: Node, shape: Shape, contract: Contract, dtype: torch.dtype, loop: Loop | None
) -> list[torch.nn.Module]:
    """Layers that compute a node, one after the other.

    loop : what brings its spikes back; None where nothing does
    Raises Refusal (ND1601) with everything that no layer computes.
    """
    make = _Maker(node, shape, contract, dtype)
    if node.kind == "I":
        return [*make.scaled(make.of.gain, np.zeros(shape)), Integrator()]
    if node.kind == "Threshold":
        return [make.threshold()]
    if node.kind not in RESETS:
        return make.leaky_integrator()
    late = contract.reset_delay == 1 or (contract.double_reset and contract.reset == "subtract")
    return make.late(loop) if late else make.firing(loop)


class _Maker:
    def __init__(self, node: Node, shape: Shape, contract: Contract, dtype: torch.dtype) -> None:
        self.node, self.shape, self.contract, self.dtype = node, shape, contract, dtype
        if node.kind != "Threshold":
            self.of = dynamics(node, shape, contract)

    def refuse(self, was: str, must: str, todo: str = "") -> Refusal:
        return Refusal(Fault("ND1601", where(self.node), was, must, todo))

    def tensor(self, values: Floats) -> torch.Tensor:
        """One number where all are equal."""
        flat = np.unique(values)
        return torch.as_tensor(flat[0] if flat.size == 1 else values.copy(), dtype=self.dtype)

    def scaled(self, factor: Floats, offset: Floats) -> list[torch.nn.Module]:
        """Layer before the neurons; none where it would change nothing."""
        if np.all(factor == 1) and not offset.any():
            return []
        return [Scale(self.shape, self.tensor(factor), self.tensor(offset) if offset.any() else None)]

    def steps(self, keep: Floats) -> torch.Tensor:
        """Time constants in steps of decays exp(-1 / tau)."""
        with np.errstate(divide="ignore"):
            tau = np.maximum(-1 / np.log(np.maximum(keep, np.finfo(float).tiny)), _NOTHING_KEPT)
        return self.tensor(np.where(keep == 0, _NOTHING_KEPT, tau))

    def leaky_integrator(self) -> list[torch.nn.Module]:
        """LI and CubaLI: membranes that are returned; the current is a membrane of its own."""
        of, layers = self.of, list[torch.nn.Module]()
        gain, behind = of.gain, self.scaled(np.ones(self.shape), of.base)
        if of.keep_syn is not None and of.gain_syn is not None:
            layers.append(ExpLeak(self.shape, self.steps(of.keep_syn)))
            gain = gain * of.gain_syn
        if np.all(gain == 1) and not of.leak.any():
            return [*layers, ExpLeak(self.shape, self.steps(of.keep)), *behind]
        share = 1 - of.keep
        factor = np.where(np.isclose(gain, share, rtol=1e-12, atol=0), 1.0, gain / share)
        layers += self.scaled(factor, of.leak / share)
        return [*layers, ExpLeak(self.shape, self.steps(of.keep), norm_input=True), *behind]

    def threshold(self) -> torch.nn.Module:
        """Heaviside step: neurons that keep nothing and are not reset."""
        level = full(array(self.node, "threshold"), self.shape)
        found = self.tensor(self.above_zero(level))
        if self.contract.comparison == ">=":  # for floats the same as above the next smaller one
            found = torch.nextafter(found, torch.zeros_like(found))
        return Leaky(self.shape, torch.zeros((), dtype=self.dtype), threshold=found, reset="none")

    def above_zero(self, level: Floats) -> Floats:
        if level.min() <= 0:
            raise self.refuse(f"a threshold of {level.min():g}", "above 0: layers measure it from a membrane at rest")
        return level

    def reset(self, gain: Floats, level: Floats) -> tuple[str, dict[str, float]]:
        """Kind of reset, and its value in the unit of the layer."""
        kind = self.contract.reset
        if kind == "subtract":
            return kind, {"reset_amount": self.one(level / gain, "threshold")} if self.of.base.any() else {}
        found = full(array(self.node, "v_reset"), self.shape) if kind == "value" else np.zeros(self.shape)
        value = self.one((found - self.of.base) / gain, "v_reset")
        return ("zero", {}) if value == 0 else ("value", {"reset_value": value})

    def one(self, values: Floats, name: str) -> float:
        different = np.unique(values)
        if different.size > 1:
            raise self.refuse(f"{name} {different[:3].tolist()}, from rest", "one value for the layer")
        return float(different[0])

    def levels(self) -> tuple[Floats, Floats]:
        """Threshold, and its distance from where membranes begin."""
        level = full(array(self.node, "v_threshold"), self.shape)
        return level, self.above_zero(level - self.of.base)

    def firing(self, loop: Loop | None) -> list[torch.nn.Module]:
        """IF, LIF, CubaLIF with a reset in the step of the spike: IAF or LIF."""
        of, contract = self.of, self.contract
        gain, synapse = of.gain, dict[str, torch.Tensor]()
        norm = of.keep_syn is None and not np.all(of.keep == 1) and np.allclose(gain, 1 - of.keep, rtol=1e-12, atol=0)
        share = gain if norm else np.ones(self.shape)
        if norm:
            gain = np.ones(self.shape)  # the layer has this gain itself, so that its membrane is the file's
        if of.keep_syn is not None and of.gain_syn is not None:
            gain = gain * of.gain_syn
            if of.keep_syn.any():
                if not of.keep_syn.all():
                    raise self.refuse("tau_syn equal to a step for some neurons", "for all of a layer, or none")
                gain = gain / of.keep_syn  # the layer decays an input in the step in which it arrives
                synapse = {"tau_syn": self.steps(of.keep_syn)}
        level, distance = self.levels()
        apart = contract.reset == "value" and bool(np.any(array(self.node, "v_reset")))
        bounded = contract.v_min is not None or apart or bool(of.base.any())
        front, scale = list[torch.nn.Module](), np.ones(self.shape)
        if gain.min() <= 0 or (bounded and np.unique(gain).size > 1):
            gain, scale = np.ones(self.shape), gain  # no threshold takes it up: the input does
        constant = np.zeros(self.shape) if loop is None else loop.constant * scale * share
        bias = of.leak / gain
        if synapse:  # the constant of a recurrent connection passes the synapse, the leak does not
            front = self.scaled(scale, constant)
        else:
            front, bias = self.scaled(scale, np.zeros(self.shape)), bias + constant
        kind, value = self.reset(gain, level)
        low = None if contract.v_min is None else self.one((contract.v_min - of.base) / gain, "v_min")
        options: dict[str, Any] = {
            **synapse,
            **value,
            "threshold": self.tensor(distance / gain),
            "bias": torch.as_tensor(bias, dtype=self.dtype) if bias.any() else None,
            "reset": kind,
            "comparison": contract.comparison,
            "v_min": low,
            "max_spikes": contract.max_spikes,
            "rec_connect": None if loop is None else self.scaled_loop(loop.module, scale),
        }
        if np.all(of.keep == 1):
            return [*front, IAF(self.shape, **options)]
        return [*front, LIF(self.shape, self.steps(of.keep), norm_input=bool(norm), **options)]

    def scaled_loop(self, module: torch.nn.Module, scale: Floats) -> torch.nn.Module:
        behind = self.scaled(scale, np.zeros(self.shape))
        return torch.nn.Sequential(module, *behind) if behind else module

    def late(self, loop: Loop | None) -> list[torch.nn.Module]:
        """The same with the reset one step later, or snnTorch's own arithmetic of one in the same step."""
        of, contract = self.of, self.contract
        faults = []
        for name, found, needed in (
            ("comparison", contract.comparison, ">"),
            ("max_spikes", contract.max_spikes, 1),
            ("v_min", contract.v_min, None),
        ):
            if found != needed:
                was, must = f"{name} = {found!r} and the reset one step later", f"{needed!r}: no layer has both"
                faults.append(Fault("ND1601", where(self.node), was, must))
        raise_if(faults)
        gain = of.gain if of.gain_syn is None else of.gain * of.gain_syn
        level, _ = self.levels()
        scale = np.ones(self.shape)
        if gain.min() <= 0:
            gain, scale = scale, gain
        if of.base.any():
            raise self.refuse("start = 'v_leak' and the reset one step later", "v_leak 0, or start = 'zero'")
        if of.keep_syn is not None and of.leak.any():
            must = "v_leak 0, or the reset in the same step"
            raise self.refuse("v_leak behind a synaptic current and the reset one step later", must)
        kind, value = self.reset(gain, level)
        if value:
            raise self.refuse("v_reset and the reset one step later", "v_reset 0, or the reset in the same step")
        double = contract.reset_delay == 0
        options: dict[str, Any] = {
            "threshold": self.tensor(level / gain),
            "reset": kind,
            "reset_delay": not double,
            "compat": ("snntorch-double-reset",) if double else (),
        }
        front = self.scaled(scale, of.leak / gain + (0 if loop is None else loop.constant * scale))
        beta = {"beta": self.tensor(of.keep)}
        if loop is not None:
            options["rec_connect"] = self.scaled_loop(loop.module, scale)
        if of.keep_syn is None:
            return [*front, (Leaky if loop is None else RLeaky)(self.shape, **beta, **options)]
        alpha = {"alpha": self.tensor(of.keep_syn)}
        return [*front, (Synaptic if loop is None else RSynaptic)(self.shape, **alpha, **beta, **options)]


def delays_of(node: Node, shape: Shape, contract: Contract) -> tuple[NDArray[np.int64], float]:
    """Whole steps of a Delay node, and the largest difference from what the file states, in steps."""
    exact = full(array(node, "delay"), shape) / contract.step
    whole = np.round(exact)
    if exact.min() < 0 or exact.max() > MAX_DELAY:
        was = f"delays of {exact.min():.4g} to {exact.max():.4g} steps"
        raise Refusal(Fault("ND1601", where(node), was, f"0 to {MAX_DELAY:,} steps"))
    error = float(np.abs(exact - whole).max())
    # delays are written in float32 seconds: what rounding alone explains is none
    return whole.astype(np.int64), 0.0 if error <= 1e-6 * max(1.0, float(exact.max())) else error


MAX_DELAY = 100_000
