"""Integrate-and-fire neurons with a refractory period and a spike trace, after SynapticFlow 0.0.7."""

from collections.abc import Mapping
from typing import ClassVar

from neurodeploy.layers.neuron import Neuron
from neurodeploy.layers.parameters import Compat, Flag, Number, Parameter, Positive, Real, Steps
from neurodeploy.layers.registry import register
from neurodeploy.layers.surrogates import FastSigmoid, Surrogate


@register
class RefractoryIF(Neuron):
    """A population of integrate-and-fire neurons without leak, in mV, that rest for a while after each spike.

    In each step: outside the refractory period ``v = v + resistance * x``, inside it v stands still and the input is
    dropped; a spike where v >= threshold; v returns to ``v_rest`` and a refractory period begins; v is held at or above
    ``v_min``; then the trace decays and takes the spike.

    Parameters
    ----------
    dt : float
        Duration of a step, in the unit of tau_ref and tau_s. It does not enter the integration. (Source: 0.1.)
    threshold, v_rest : float or tensor
        In mV: where a spike is fired, and where v starts and returns to.
    resistance : float or tensor
        R, mV for one unit of input.
    tau_ref : float or tensor
        Refractory period: a spike in step k blocks the ceil(tau_ref / dt) steps that follow.
    v_min : float, optional
        Lowest membrane, after the reset (lower_bound of the source).
    spike_trace : bool
        Keep the state ``trace``, which decays by exp(-dt / tau_s).
    additive_trace : bool
        A spike adds ``trace_scale`` to the trace; otherwise it sets it to 1.
    tau_s, trace_scale : float or tensor
        Time constant of the trace, in the unit of dt, and its step.
    sum_input : bool
        Keep the state ``summed``, the sum of all inputs since the reset, refractory steps included.
    is_inhibitory : bool
        The neurons inhibit what they reach: a spike has the value -1. The trace stays positive.
    compat : "synapticflow-float-refractory", optional
        The period is counted down by dt in floats, as the source does; in float32 its rounding blocks one step more
        for 5 and 0.1 (a spike every 52 steps, not 51).
    train, rec_connect, surrogate, record_states, check_input
        See Neuron. The default surrogate is FastSigmoid(1); the source has none.

    In the source ``sum_input=True`` raises and ``is_inhibitory`` changes nothing; both work here as it documents them.
    Its tau_m is documented and does not exist. Source: SynapticFlow 0.0.7 IFPopulation, neurons.md 5.
    """

    rests_at_zero: ClassVar[bool] = False
    default_surrogate: ClassVar[Surrogate] = FastSigmoid(1.0)
    arguments: ClassVar[Mapping[str, Parameter]] = {
        "dt": Number(positive=True),
        "threshold": Real(-52.0),
        "v_rest": Real(-62.0),
        "resistance": Real(20.0),
        "tau_ref": Steps(5.0, up=True),
        "v_min": Number(None),
        "spike_trace": Flag(True),
        "additive_trace": Flag(False, only=("spike_trace", True)),
        "tau_s": Positive(10.0, only=("spike_trace", True)),
        "trace_scale": Real(1.0, only=("additive_trace", True)),
        "sum_input": Flag(False),
        "is_inhibitory": Flag(False),
        "compat": Compat(modes=("synapticflow-float-refractory",)),
    }
    states: ClassVar[Mapping[str, float | str]] = {
        "v": "v_rest",
        "waiting": 0.0,
        "left": 0.0,
        "trace": 0.0,
        "summed": 0.0,
    }
    once: ClassVar[str] = """
if spike_trace:
    keep_trace = exp(-dt / tau_s)
if train_threshold:
    lift = detach(threshold) - threshold
"""
    step: ClassVar[str] = """
if sum_input:
    summed = summed + x
if synapticflow_float_refractory:
    v = v + resistance * x if left <= 0 else v
if not synapticflow_float_refractory:
    v = v + resistance * x if waiting == 0 else v
fired = at_or_above(v + lift if train_threshold else v, threshold)
if synapticflow_float_refractory:
    left = tau_ref if fired > 0 else left - dt
if not synapticflow_float_refractory:
    waiting = tau_ref_steps if fired > 0 else max(waiting - 1, 0)
v = v_rest if fired > 0 else v
if with_v_min:
    v = max(v, v_min)
if spike_trace:
    trace = keep_trace * trace
    trace = trace + trace_scale * fired if additive_trace else (1 if fired > 0 else trace)
spike = -fired if is_inhibitory else fired
"""
