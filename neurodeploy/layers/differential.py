"""Neurons of differential equations, in ms and mV, by exponential Euler: after brainpy 2.4.3 and brainmodels 0.4.1."""

from collections.abc import Mapping
from typing import ClassVar

from neurodeploy.layers.neuron import Neuron
from neurodeploy.layers.parameters import Choice, Compat, Number, Parameter, Positive, Real, Resolved, Steps
from neurodeploy.layers.registry import register
from neurodeploy.layers.surrogates import FastSigmoid, Surrogate

_FLOATS = "brainpy-float-refractory"
# (exp(z) - 1) / z, by its series near 0: x + dt * phi(dt * slope) * f is the exact step of a linear equation
_PHI: Mapping[str, str] = {
    "phi(z)": "expm1(z) / (z if abs(z) > 1e-5 else 1) if abs(z) > 1e-5 else 1 + z / 2 + z * z / 6",
}
_NOW = """
if brainpy_float_refractory:
    now = passed * dt
    passed = passed + 1
"""
_WAIT = """
if brainpy_float_refractory:
    t_last = now if spike > 0 else t_last
"""


@register
class GIF(Neuron):
    """Generalised integrate-and-fire neurons: two internal currents and a threshold that follows the membrane.

    ``dI1/dt = -k1 I1; dI2/dt = -k2 I2; dV/dt = (v_rest - V + R (x + I1 + I2)) / tau;
    dVth/dt = a (V - v_rest) - b (Vth - v_th_inf)``. Each step solves each equation exactly with the other variables as
    they were before it. A spike where the new V reaches the old Vth (each gets a gradient from it); then
    ``V = v_reset``, ``I1 = r1 I1 + a1``, ``I2 = r2 I2 + a2``, ``Vth = max(v_th_reset, Vth)``.

    Parameters
    ----------
    dt : float
        Duration of a step, in ms. (Source: 0.1.)
    v_rest, v_reset : float or tensor
        In mV: where V settles without input, and where a spike leaves it.
    v_th_inf, v_th_reset : float or tensor
        In mV: where the threshold settles, and its least value after a spike.
    resistance : float or tensor
        R, mV for one unit of input.
    tau : float or tensor
        Membrane time constant, ms; larger is slower.
    a, b : float or tensor
        Per ms: how strongly the threshold follows V, and returns to v_th_inf. b = 0 never returns.
    k1, k2 : float or tensor
        Decay rates of the internal currents, per ms.
    r1, r2, a1, a2 : float or tensor
        A spike multiplies I1 and I2 by r1 and r2 and adds a1 and a2.
    v_init, v_th_init : float or tensor
        V and Vth at the start, mV.
    tau_ref : float or tensor, optional
        After a spike V stands still for floor(tau_ref / dt) steps; the other variables move on.
    reset : "hard" or "soft"
        "hard" sets V to v_reset; "soft" subtracts the old Vth - v_reset, with a gradient through the spike: the
        source's training mode.
    compat : "brainpy-float-refractory", optional
        With tau_ref: V stands while t - t_last <= tau_ref, in floats, as the source has it.
    train, rec_connect, surrogate, record_states, check_input
        See Neuron. The default surrogate is that of the source's training mode, FastSigmoid(100): 1/(100|x| + 1)**2.

    ``GIF_PRESETS`` has the firing patterns of Mihalas and Niebur (2009). Source: brainpy 2.4.3, brainmodels 0.4.1;
    neurons.md 6.
    """

    rests_at_zero: ClassVar[bool] = False
    default_surrogate: ClassVar[Surrogate] = FastSigmoid(100.0)
    arguments: ClassVar[Mapping[str, Parameter]] = {
        "dt": Number(positive=True),
        "v_rest": Real(-70.0),
        "v_reset": Real(-70.0),
        "v_th_inf": Real(-50.0),
        "v_th_reset": Real(-60.0),
        "resistance": Real(20.0),
        "tau": Positive(20.0),
        "a": Real(0.0),
        "b": Real(0.01),
        "k1": Real(0.2),
        "k2": Real(0.02),
        "r1": Real(0.0),
        "r2": Real(1.0),
        "a1": Real(0.0),
        "a2": Real(0.0),
        "v_init": Real(-70.0),
        "v_th_init": Real(-50.0),
        "tau_ref": Steps(None),
        "reset": Choice("hard", flags={"hard": "hard", "soft": "soft"}),
        "compat": Compat(modes=(_FLOATS,)),
    }
    states: ClassVar[Mapping[str, float | str]] = {
        "i1": 0.0,
        "i2": 0.0,
        "v": "v_init",
        "v_th": "v_th_init",
        "waiting": 0.0,
        "passed": 0.0,
        "t_last": -1e7,
    }
    functions: ClassVar[Mapping[str, str]] = _PHI
    once: ClassVar[str] = """
keep1 = exp(-k1 * dt)
keep2 = exp(-k2 * dt)
gain_th = dt * phi(-b * dt)
gain_v = -expm1(-dt / tau)
"""
    step: ClassVar[str] = (
        _NOW
        + """
th_next = v_th + gain_th * (a * (v - v_rest) - b * (v_th - v_th_inf))
v_next = v + gain_v * (v_rest - v + resistance * (x + i1 + i2))
if with_tau_ref and brainpy_float_refractory:
    v_next = v if now - t_last <= tau_ref else v_next
if with_tau_ref and not brainpy_float_refractory:
    v_next = v if waiting > 0 else v_next
i1 = i1 * keep1
i2 = i2 * keep2
spike = at_or_above(v_next + (detach(v_th) - v_th), v_th)
if hard:
    v = v_reset if spike > 0 else v_next
if soft:
    v = v_next - spike * (v_th - v_reset)
i1 = r1 * i1 + a1 if spike > 0 else i1
i2 = r2 * i2 + a2 if spike > 0 else i2
v_th = max(v_th_reset, th_next) if spike > 0 else th_next
if with_tau_ref and not brainpy_float_refractory:
    waiting = tau_ref_steps if spike > 0 else max(waiting - 1, 0)
"""
        + _WAIT
    )

    @classmethod
    def check_together(cls, into: Resolved) -> None:
        """Refuse a mode that would do nothing."""
        if into.flags.get("brainpy_float_refractory") and into.values["tau_ref"] is None:
            into.check.fault("compat", _FLOATS, "it acts only with tau_ref")


#: Firing patterns of Mihalas and Niebur (2009) as brainpy's examples have them: options of GIF, input beside the name.
GIF_PRESETS: Mapping[str, Mapping[str, float]] = {
    "tonic spiking": {},  # 1.5
    "spike frequency adaptation": {"a": 0.005},  # 2
    "phasic spiking": {"a": 0.005},  # 1.5
    "accommodation": {"a": 0.005},  # steps of different lengths and heights
    "tonic bursting": {"a": 0.005, "a1": 10.0, "a2": -0.6},  # 2
    "rebound burst": {"a": 0.005, "a1": 10.0, "a2": -0.6},  # -3.5 for 500 ms, then 0
    "hyperpolarization-induced bursting": {"v_th_inf": -120.0, "v_th_reset": -60.0, "a1": 10.0, "a2": -0.6},  # -1
}


@register
class ExpIF(Neuron):
    """Exponential integrate-and-fire neurons: near the threshold the membrane runs away by itself.

    ``tau dV/dt = v_rest - V + delta_t exp((V - v_t) / delta_t) + R x``, each step by the exponential Euler method with
    the slope at its beginning. A spike where V reaches ``v_th``; V goes to ``v_reset`` and stands still for the
    refractory period.

    Parameters
    ----------
    dt : float
        Duration of a step, in ms. (Source: 0.1.)
    v_rest, v_reset : float or tensor
        In mV: where V settles without input, and where a spike leaves it.
    v_th : float or tensor
        In mV: a spike where V reaches it. Far up the upswing, so it matters little.
    v_t : float or tensor
        In mV: where the upswing begins; larger fires less.
    delta_t : float or tensor
        Sharpness of the upswing, mV; towards 0 the neuron becomes an LIF with threshold v_t.
    resistance, tau : float or tensor
        R, mV for one unit of input, and the membrane time constant, ms.
    tau_ref : float or tensor
        Refractory period, ms: V stands still for the floor(tau_ref / dt) steps after the spike.
    v_init : float or tensor
        V at the start, mV. The source's 0 lies above v_th: the neuron fires in the first step.
    compat : "brainpy-float-refractory", optional
        V stands while t - t_last <= tau_ref, in floats: in float32 16 or 17 steps for 1.7 and 0.1, depending on t.
    train, rec_connect, surrogate, record_states, check_input
        See Neuron. The default surrogate is FastSigmoid(1).

    Beyond exp(60) a step lands above every v_th and is not computed further. Source: brainmodels 0.4.1 (brainpy moved
    its defaults later), neurons.md 7.
    """

    rests_at_zero: ClassVar[bool] = False
    default_surrogate: ClassVar[Surrogate] = FastSigmoid(1.0)
    arguments: ClassVar[Mapping[str, Parameter]] = {
        "dt": Number(positive=True),
        "v_rest": Real(-65.0),
        "v_reset": Real(-68.0),
        "v_th": Real(-30.0),
        "v_t": Real(-59.9),
        "delta_t": Positive(3.48),
        "resistance": Real(1.0),
        "tau": Positive(10.0),
        "tau_ref": Steps(1.7),
        "v_init": Real(0.0),
        "compat": Compat(modes=(_FLOATS,)),
    }
    states: ClassVar[Mapping[str, float | str]] = {"v": "v_init", "waiting": 0.0, "passed": 0.0, "t_last": -1e7}
    functions: ClassVar[Mapping[str, str]] = _PHI
    once: ClassVar[str] = """
if train_v_th:
    lift = detach(v_th) - v_th
"""
    step: ClassVar[str] = (
        _NOW
        + """
e = exp((v - v_t) / delta_t)
change = dt * phi(min(dt * (e - 1) / tau, 60)) * (v_rest - v + delta_t * e + resistance * x) / tau
if brainpy_float_refractory:
    v = v if now - t_last <= tau_ref else v + change
if not brainpy_float_refractory:
    v = v + change if waiting == 0 else v
spike = at_or_above(v + lift if train_v_th else v, v_th)
v = v_reset if spike > 0 else v
if not brainpy_float_refractory:
    waiting = tau_ref_steps if spike > 0 else max(waiting - 1, 0)
"""
        + _WAIT
    )
