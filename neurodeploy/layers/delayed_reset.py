"""Neurons that compare strictly and are reset one step after the spike, after snnTorch 1.0.0."""

from collections.abc import Mapping
from typing import ClassVar

from neurodeploy.layers.neuron import Neuron
from neurodeploy.layers.parameters import Choice, Compat, Flag, Fraction, Parameter, Positive, Real, Resolved
from neurodeploy.layers.registry import register
from neurodeploy.layers.surrogates import Atan, Surrogate

_TWICE = "snntorch-double-reset"
_DECAYS = "keep = clip(beta, 0, 1)"
# 0, and the way by which a trained threshold gets its gradient from the spike: minus that of v
_TRAINED_THRESHOLD = """
if train_threshold:
    lift = detach(threshold) - threshold
"""
_FIRED = "fired = above(v + lift if train_threshold else v, threshold)\n"
_PASSED = """
if (subtract or zero) and (reset_delay or snntorch_double_reset):
    passed = detach(above(v, threshold))
"""
_SUBTRACT_LATE = """
if subtract and (reset_delay or snntorch_double_reset):
    v = v - passed * threshold
"""
_RESET_LATE = (
    _SUBTRACT_LATE
    + """
if zero and reset_delay:
    v = v - passed * v
"""
)
_FIRE = (
    "\n"
    + _FIRED
    + """
if snntorch_double_reset:
    v = v - (fired - passed) * threshold
if not reset_delay and not snntorch_double_reset:
    if subtract:
        v = v - detach(fired) * threshold
    if zero:
        v = v - detach(fired) * v
spike = graded * fired
"""
)
_RESETS: Mapping[str, str] = {"subtract": "subtract", "zero": "zero", "none": "never"}
_FIRING: Mapping[str, Parameter] = {
    "threshold": Positive(1.0),
    "reset": Choice("subtract", flags=_RESETS),
    "reset_delay": Flag(True),
    "graded": Real(1.0),
    "compat": Compat(modes=(_TWICE,)),
}


class _DelayedReset(Neuron):
    """What these neurons share: the default surrogate, and options that exclude each other."""

    default_surrogate: ClassVar[Surrogate] = Atan()

    @classmethod
    def check_together(cls, into: Resolved) -> None:
        """Refuse a mode that would do nothing, and two recurrent connections or none where one is needed."""
        values = into.values
        if into.flags.get("snntorch_double_reset") and (values["reset"] != "subtract" or values["reset_delay"]):
            into.check.fault("compat", _TWICE, "it acts only with reset='subtract' and reset_delay=False")
        if "rec_weight" in cls.arguments and (values["rec_weight"] is None) == (values["rec_connect"] is None):
            was = "none" if values["rec_connect"] is None else "both"
            todo = "give a weight for each neuron's own spike, or a module that maps all spikes"
            into.check.fault("rec_weight or rec_connect", was, "exactly one must be given", todo)


@register
class Leaky(_DelayedReset):
    """Leaky integrate-and-fire neurons with the decay factor as the parameter.

    ``v = beta * v + x``, then a spike where v > threshold. With ``reset_delay`` the reset belongs to the next step:
    "subtract" takes the threshold off ``beta * v + x``; "zero" zeroes the old v before it decays, so that the input of
    that step is kept.

    Parameters
    ----------
    beta : float or tensor, from 0 to 1
        What of the membrane is left after a step; larger forgets more slowly. A trained one is clipped to 0..1.
    threshold : float or tensor
        A spike where v exceeds it; equal does not fire. Larger fires less.
    reset : "subtract", "zero" or "none"
        What a spike does to the membrane.
    reset_delay : bool
        Reset at the next step, by the rule above; False: in the same step, after the spike. The reset is detached.
    graded : float or tensor
        Value of a spike; the reset does not depend on it.
    compat : "snntorch-double-reset", optional
        With "subtract" and ``reset_delay=False`` the source takes the threshold off again in the next step if v still
        exceeds it, tests, and adds it back if no spike follows; there the reset is not detached. The default rule
        subtracts once.
    train : tuple of names
        Of beta, threshold, graded: an optimizer may change them (learn_beta, learn_threshold of the source). A
        trained threshold gets its gradient through the spikes, too.
    rec_connect, surrogate, record_states, check_input
        See Neuron. The default surrogate is Atan(2).

    snnTorch's ``inhibition=True`` is refused: which neuron wins depends on the whole layer. Source: snnTorch 1.0.0,
    neurons.md 4.
    """

    arguments: ClassVar[Mapping[str, Parameter]] = {"beta": Fraction(), **_FIRING}
    states: ClassVar[Mapping[str, float | str]] = {"v": 0.0}
    once: ClassVar[str] = _DECAYS + _TRAINED_THRESHOLD
    step: ClassVar[str] = (
        _PASSED
        + """
if zero and reset_delay:
    v = (1 - passed) * v
v = keep * v + x
"""
        + _SUBTRACT_LATE
        + _FIRE
    )


@register
class Lapicque(_DelayedReset):
    """The circuit of a resistance and a capacitance, by the forward Euler method.

    ``v = v + (dt / (R C)) * (R x - v)``, evaluated as the source does; then as Leaky, but a late "zero" zeroes the
    whole new v: the input of that step is lost.

    Parameters
    ----------
    resistance : float or tensor, optional
        R; a constant input x settles at v = R x.
    capacitance : float or tensor, optional
        C; larger slows the membrane: its time constant is R C, in the unit of dt.
    beta : float or tensor from 0 to 1, optional
        The decay factor 1 - dt / (R C) itself, in place of R, C or both: the missing one follows, R is 1 where both
        are missing.
    dt : float or tensor
        Duration of a step, in the unit of R C.
    threshold, reset, reset_delay, graded, train
        As for Leaky.
    compat : "snntorch-lapicque-beta" or "snntorch-double-reset", or both
        The first: a given beta means R C = dt / ln(1 / beta), so that the decay is 1 + ln(beta) (0.8946 for 0.9).

    Raises Refusal (ND1601) unless it is given R and C, or beta with at most one of them. Source: snnTorch 1.0.0,
    neurons.md 4.1 and 4.2.
    """

    arguments: ClassVar[Mapping[str, Parameter]] = {
        "resistance": Positive(None),
        "capacitance": Positive(None),
        "beta": Fraction(None),
        "dt": Positive(1.0),
        **_FIRING,
        "compat": Compat(modes=("snntorch-lapicque-beta", _TWICE)),
    }
    states: ClassVar[Mapping[str, float | str]] = {"v": 0.0}
    once: ClassVar[str] = (
        _TRAINED_THRESHOLD
        + """
if with_beta:
    loss = log2(1 / beta) * 0.6931471805599453 if snntorch_lapicque_beta else 1 - clip(beta, 0, 1)
    r = dt / (capacitance * loss) if with_capacitance else (resistance if with_resistance else 1)
    c = capacitance if with_capacitance else dt / (r * loss)
if not with_beta:
    r = resistance
    c = capacitance
"""
    )
    step: ClassVar[str] = _PASSED + "v = x * r * (1 / (r * c)) * dt + (1 - dt / (r * c)) * v" + _RESET_LATE + _FIRE

    @classmethod
    def check_together(cls, into: Resolved) -> None:
        """Refuse what does not decide R and C."""
        super().check_together(into)
        given = [name for name in ("resistance", "capacitance", "beta") if into.values[name] is not None]
        if given != ["resistance", "capacitance"] and ("beta" not in given or len(given) == len(_RESETS)):
            must = "resistance and capacitance must be given, or beta with at most one of them"
            into.check.fault("the circuit", ", ".join(given) or "nothing", must)
        if into.flags.get("snntorch_lapicque_beta") and "beta" not in given:
            into.check.fault("compat", "snntorch-lapicque-beta", "it says what beta means, and beta is not given")


@register
class Synaptic(_DelayedReset):
    """Leaky neurons behind a synaptic current.

    ``i = alpha * i + x; v = beta * v + i``; then as Leaky, but a late "zero" zeroes the whole new v and leaves i.

    Parameters
    ----------
    alpha : float or tensor, from 0 to 1
        What of the current is left after a step; 0 makes it the input.
    beta, threshold, reset, reset_delay, graded, compat, train
        As for Leaky; alpha can be trained, too.

    Source: snnTorch 1.0.0, neurons.md 4.1.
    """

    arguments: ClassVar[Mapping[str, Parameter]] = {"alpha": Fraction(), "beta": Fraction(), **_FIRING}
    states: ClassVar[Mapping[str, float | str]] = {"i": 0.0, "v": 0.0}
    once: ClassVar[str] = _DECAYS + "\nkeep_syn = clip(alpha, 0, 1)" + _TRAINED_THRESHOLD
    step: ClassVar[str] = _PASSED + "i = keep_syn * i + x\nv = keep * v + i" + _RESET_LATE + _FIRE


@register
class RLeaky(_DelayedReset):
    """Leaky neurons whose own spikes come back one step later.

    ``v = beta * v + x + back``; then as Leaky, but a late "zero" zeroes the whole new v. ``back`` is the weight times
    the neuron's last spike (graded), or what a module makes of all last spikes; the state ``spike`` starts at 0, and a
    bias of the module acts in the first step, too.

    Parameters
    ----------
    rec_weight : float or tensor, optional
        Weight of each neuron's own spike (V of the source, which trains it by default; here ``train`` must name it).
    rec_connect : torch.nn.Module, optional
        Maps spikes (batch, *shape) to such an input (all_to_all of the source). Exactly one of the two is given.
    beta, threshold, reset, reset_delay, graded, compat, train
        As for Leaky.

    Source: snnTorch 1.0.0, neurons.md 4.1 and 4.2.
    """

    arguments: ClassVar[Mapping[str, Parameter]] = {"beta": Fraction(), "rec_weight": Real(None), **_FIRING}
    states: ClassVar[Mapping[str, float | str]] = {"v": 0.0, "spike": 0.0}
    once: ClassVar[str] = _DECAYS + _TRAINED_THRESHOLD
    step: ClassVar[str] = (
        _PASSED + "v = keep * v + (x + rec_weight * spike if with_rec_weight else x)" + _RESET_LATE + _FIRE
    )


@register
class RSynaptic(_DelayedReset):
    """Synaptic neurons whose own spikes come back one step later, into the current.

    ``i = alpha * i + x + back; v = beta * v + i``; everything else as in RLeaky.

    Parameters
    ----------
    alpha : float or tensor, from 0 to 1
        What of the current is left after a step.
    beta, rec_weight, rec_connect, threshold, reset, reset_delay, graded, compat, train
        As for RLeaky.

    The source fails with reset_delay=False; here it works as in Synaptic. Source: snnTorch 1.0.0, neurons.md 4.1, 4.3.
    """

    arguments: ClassVar[Mapping[str, Parameter]] = {"alpha": Fraction(), **RLeaky.arguments}
    states: ClassVar[Mapping[str, float | str]] = {"i": 0.0, **RLeaky.states}
    once: ClassVar[str] = Synaptic.once
    step: ClassVar[str] = (
        _PASSED
        + "i = keep_syn * i + (x + rec_weight * spike if with_rec_weight else x)\nv = keep * v + i"
        + _RESET_LATE
        + _FIRE
    )


@register
class Alpha(_DelayedReset):
    """Neurons whose membrane follows an input spike by the difference of two decays, an alpha function.

    ``e = alpha * e + x; i = beta * i - x; v = K * (e + i)``, K = ln(alpha) / (ln(beta) - ln(alpha)) + 1; a spike where
    v > threshold. v is no memory: only the reset of the next step looks back at it.

    Parameters
    ----------
    alpha, beta : float or tensor, from 0 to 1, alpha above beta
        What of the exciting (e) and of the inhibiting current (i) is left after a step.
    threshold : float or tensor
        A spike where v exceeds it.
    reset : "zero", "subtract" or "none"
        In the step after a spike: "zero" zeroes e, i and v, that step's input included. "subtract" does what the
        source does: the threshold is taken off e, i becomes 0, and the old i is added to v.
    graded : float or tensor
        Value of a spike.
    train : tuple of names
        Of alpha, beta, threshold, graded.

    snnTorch's documentation gives another K than its program; this is the program's. Source: snnTorch 1.0.0,
    neurons.md 4.1 and 4.2.
    """

    arguments: ClassVar[Mapping[str, Parameter]] = {
        "alpha": Fraction(),
        "beta": Fraction(),
        "threshold": Positive(1.0),
        "reset": Choice("zero", flags=_RESETS),
        "graded": Real(1.0),
    }
    states: ClassVar[Mapping[str, float | str]] = {"e": 0.0, "i": 0.0, "v": 0.0}
    once: ClassVar[str] = (
        _TRAINED_THRESHOLD
        + """
keep_e = clip(alpha, 0, 1)
keep_i = clip(beta, 0, 1)
gain = log2(keep_e) / (log2(keep_i) - log2(keep_e)) + 1
"""
    )
    step: ClassVar[str] = (
        """
e_next = keep_e * e + x
i_next = keep_i * i - x
v_next = gain * (e_next + i_next)
if subtract or zero:
    passed = detach(above(v, threshold))
    i_next = i_next - passed * i_next
if subtract:
    e_next = e_next - passed * threshold
    v_next = v_next + passed * i
if zero:
    e_next = e_next - passed * e_next
    v_next = v_next - passed * v_next
e = e_next
i = i_next
v = v_next
"""
        + _FIRED
        + "spike = graded * fired"
    )

    @classmethod
    def check_together(cls, into: Resolved) -> None:
        """Refuse an alpha that is not above beta: K would be infinite or negative."""
        alpha, beta = into.tensors.get("alpha"), into.tensors.get("beta")
        if not into.check.faults and alpha is not None and beta is not None and not alpha.is_meta:
            gap = (alpha - beta).detach().min().item()
            if gap <= 0:
                into.check.fault("alpha - beta", gap, "alpha must be above beta")
