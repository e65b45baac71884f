"""Exporters by name: what their files mean, so that an import computes what the source computed, defects included."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Preset:
    """One exporter.

    source : program and version that was measured
    values : fields of the contract
    assumed : of these, options of the source's layers that it does not write: the value is the default there
    kinds : fields of single primitives
    ask : field -> why the preset does not decide it
    defects : what the exporter loses or writes otherwise than NIR means it
    """

    name: str
    source: str
    values: Mapping[str, Any]
    assumed: frozenset[str] = frozenset()
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ask: Mapping[str, str] = field(default_factory=dict)
    defects: tuple[str, ...] = ()


_ONE = {"max_spikes": 1, "v_min": None}

#: name -> exporter. "nir" is no exporter: the documentation of NIR and the integrator of its published activities.
PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset(
                "nir",
                "the equations of NIR 1.0.8, forward Euler",
                {"integrator": "euler", "comparison": ">", "recurrent_delay": 1, **_ONE},
            ),
            Preset(
                "snntorch",
                "snnTorch 1.0.0",
                {
                    "dt_s": 1e-4,
                    "integrator": "euler",
                    "comparison": ">",
                    "reset": "subtract",
                    "reset_delay": 1,
                    "double_reset": True,
                    "recurrent_delay": 1,
                    **_ONE,
                },
                frozenset({"reset", "reset_delay"}),
                defects=(
                    "v_reset is written as 0 whatever reset_mechanism was",
                    "reset_delay, graded_spikes_factor, state_quant and inhibition are not written",
                    "with reset_delay=False and subtraction the threshold is taken off again before the next test",
                ),
            ),
            Preset(
                "sinabs",
                "sinabs 3.1.3",
                {
                    "time_unit": "step",
                    "integrator": "exact",
                    "charge": "per step",
                    "comparison": ">=",
                    "reset": "subtract",
                    "max_spikes": None,
                    "recurrent_delay": 1,
                },
                frozenset({"reset", "max_spikes"}),
                kinds={"LI": {"gain": "one"}},
                ask={
                    "v_min": "state min_v_mem of the source (--v-min): its layers have none by default, "
                    "networks made by from_model have -1, and the file tells neither",
                    "dt_s": "state the duration of a step (--dt): sinabs counts time constants in steps",
                },
                defects=(
                    "min_v_mem, reset_fn, spike_fn, tau_syn and norm_input are not written",
                    "time constants are written in steps, not in seconds",
                    "norm_input is taken as the default of the layers: True for LIF, False for ExpLeak",
                ),
            ),
            Preset(
                "norse",
                "norse 1.1.0",
                {
                    "dt_s": 1e-3,
                    "time_unit": "s*dt",
                    "integrator": "euler",
                    "syn_gain": "one",
                    "charge": "per step",
                    "start": "v_leak",
                    "comparison": ">",
                    "reset": "zero",
                    "recurrent_delay": 1,
                    **_ONE,
                },
                frozenset({"dt_s", "reset"}),
                defects=(
                    "time constants are written times dt (tau = dt / tau_mem_inv)",
                    "v_reset and reset_method are not written",
                    "an input enters the current of LIFCell as it is, not times dt / tau_syn",
                    "membranes begin at v_leak",
                ),
            ),
            Preset(
                "rockpool",
                "rockpool 3.1.0",
                {
                    "integrator": "exact",
                    "gain": "dt/tau/kept",
                    "syn_gain": "kept",
                    "comparison": ">=",
                    "reset": "subtract",
                    "max_spikes": None,
                    "v_min": None,
                    "recurrent_delay": 1,
                },
                frozenset({"max_spikes"}),
                ask={"dt_s": "state dt of the source's layers (--dt): the file does not tell it"},
                defects=(
                    "r is written as tau / dt * exp(-dt / tau), where the layers take their input as it is",
                    "w_in is not written; the current of LIFTorch takes its input before it decays",
                    "bias, recurrent weights, max_spikes_per_dt and dt are not written",
                ),
            ),
            Preset(
                "spikingjelly",
                "SpikingJelly 2.0.0",
                {
                    "dt_s": 1e-4,
                    "integrator": "euler",
                    "comparison": ">=",
                    "reset": "value",
                    "recurrent_delay": 1,
                    **_ONE,
                },
                frozenset({"dt_s"}),
                defects=("networks with soft reset are not exported",),
            ),
        )
    }
)
