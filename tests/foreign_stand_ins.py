"""Stand-ins for the layers of other libraries: their names and attributes, nothing that computes.

What the attributes are was seen in sinabs 3.1.3, snnTorch 1.0.0, Norse 1.1.0 and SpikingJelly 2.0.0; with these
libraries, tests/golden_foreign/adopt_there.py adopts real ones.
"""

from types import SimpleNamespace

import torch
from torch import nn


def named(place, name, base=nn.Module, **body):
    """Class of a library by name."""
    return type(name, (base,), {"__module__": place, "__qualname__": name, **body})


def value_of(place, name, **attributes):
    """Object of a library's plain class."""
    made = named(place, name, object)()
    vars(made).update(attributes)
    return made


def instance(kind, **attributes):
    """Module with parameters, modules and plain attributes."""
    made = kind()
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def parameter(value, *, learned=True):
    return nn.Parameter(torch.as_tensor(float(value)), requires_grad=learned)


# sinabs

SINABS_FILES = {"LIF": "lif", "IAF": "iaf", "ALIF": "alif", "ExpLeak": "exp_leak"}


def sinabs(name="LIF", **changes):
    kind = next(k for k in ("ALIF", "LIF", "IAF", "ExpLeak") if name.startswith(k))
    own = {
        "spike_fn": named("sinabs.activation.spike_generation", "MultiSpike", object),
        "reset_fn": value_of("sinabs.activation.reset_mechanism", "MembraneSubtract", subtract_value=None),
        "surrogate_grad_fn": value_of(
            "sinabs.activation.surrogate_gradient_fn", "SingleExponential", grad_width=0.5, grad_scale=1.0
        ),
        "tau_mem": None if kind == "IAF" else parameter(8),
        "tau_syn": None,
        "tau_adapt": parameter(5),
        "train_alphas": False,
        "norm_input": kind != "IAF",
        "min_v_mem": None,
        "spike_threshold": parameter(1, learned=False),
        "b0": torch.tensor(1.0),
        "adapt_scale": 1.8,
    }
    if name.endswith("Recurrent"):
        own["rec_connect"] = nn.Linear(4, 4, bias=False)
    place = f"sinabs.layers.{SINABS_FILES[kind]}"
    # squeezed and recurrent layers are subclasses there, too
    base = named(place, kind)
    return instance(base if name == kind else named(place, name, base), **(own | changes))


def sinabs_plain(name, file="reshape", **attributes):
    return instance(named(f"sinabs.layers.{file}", name), **attributes)


# snnTorch


def spike_grad(name="atan", place="snntorch.surrogate"):
    alpha = 2.0

    def inner(x):
        return x * alpha

    inner.__module__, inner.__qualname__ = place, f"{name}.<locals>.inner"
    return inner


def _base_sub():
    """What snnTorch chooses for a reset by subtraction."""


def _base_zero():
    """And for one to zero."""


def snntorch(name="Leaky", **changes):
    own = {
        "beta": torch.tensor(0.8),
        "alpha": torch.tensor(0.9),
        "threshold": torch.tensor(1.0),
        "graded_spikes_factor": torch.tensor(1.0),
        "reset_mechanism": "subtract",
        "state_function": _base_sub,
        "reset_delay": True,
        "inhibition": False,
        "state_quant": False,
        "init_hidden": True,
        "output": False,
        "spike_grad": spike_grad(),
        "surrogate_disable": False,
        "R": torch.tensor(2.0),
        "C": torch.tensor(3.0),
        "time_step": torch.tensor(1.0),
        "all_to_all": True,
        "recurrent": nn.Linear(4, 4),
        "V": parameter(0.5),
    }
    return instance(named(f"snntorch._neurons.{name.lower()}", name), **(own | changes))


# Norse

NORSE_FILES = {
    **dict.fromkeys(("LIF", "LIFCell", "LIFRecurrent", "LIFRecurrentCell"), "lif"),
    **dict.fromkeys(("LI", "LICell", "LILinearCell"), "leaky_integrator"),
    **dict.fromkeys(("IAF", "IAFCell"), "iaf"),
    "LIFBoxCell": "lif_box",
    "LIBoxCell": "leaky_integrator_box",
}


def norse(name="LIFCell", dt=0.001, **changes):
    own = {"tau_syn_inv": 200.0, "tau_mem_inv": 100.0, "v_leak": 0.0, "v_th": 1.0, "v_reset": 0.0, "method": "super"}
    p = SimpleNamespace(**(own | changes))
    place = f"norse.torch.module.{NORSE_FILES.get(name, 'other')}"
    made = instance(named(place, name), p=p, dt=dt, autapses=False)
    if "Recurrent" in name or "Linear" in name:
        made.input_weights, made.recurrent_weights = nn.Parameter(torch.rand(4, 4)), nn.Parameter(torch.rand(4, 4))
    return made


def reset_method(name, place="norse.torch.functional.reset"):
    def method():
        """Nothing: stand-ins compute nothing."""

    method.__name__, method.__module__ = name, place
    return method


class InOrder(nn.Sequential):
    """What Norse's SequentialState is called."""

    __module__, __qualname__ = "norse.torch.module.sequential", "SequentialState"


# SpikingJelly

SJ = "spikingjelly.activation_based"


def spikingjelly(name="LIFNode", step_mode="s", **changes):
    surrogate = instance(named(f"{SJ}.surrogate", changes.pop("surrogate", "Sigmoid")), spiking=True, alpha=2.0)
    own = {"v_threshold": 1.0, "v_reset": 0.0, "tau": 2.0, "decay_input": True, "step_mode": step_mode}
    own |= {"surrogate_function": surrogate, "w": parameter(0), "_neuron_precision": None}
    own |= {"_memories_rv": {"v": own["v_reset"] if changes.get("v_reset", 0.0) is not None else 0.0}}
    if "v_reset" in changes and changes["v_reset"] is not None:
        own["_memories_rv"] = {"v": changes["v_reset"]}
    base = named(f"{SJ}.neuron.base_node", "SimpleBaseNode") if name.startswith("Simple") else nn.Module
    return instance(named(f"{SJ}.neuron.some_file", name, base), **(own | changes))


def spikingjelly_layer(name, made, step_mode="m"):
    """One of torch's layers as SpikingJelly has it."""
    kind = type(made)
    made.__class__ = named(f"{SJ}.layer.stateless_wrapper", name, kind)
    made.step_mode = step_mode
    return made


MAKES = {"sinabs": sinabs, "snntorch": snntorch, "norse": norse, "spikingjelly": spikingjelly}
