"""Adopt models where their library is: python adopt_there.py LIBRARY FOLDER prints, for each, how many spikes differ.

LIBRARY is sinabs 3.1.3, snntorch 1.0.0, norse 1.1.0 or spikingjelly 2.0.0. Each model is run by its library, step by
step where it is made so, and after ``nd.adopt`` by us, on the same random input. FOLDER gets one model for a chip.
"""

import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

warnings.filterwarnings("ignore")
import neurodeploy as nd  # noqa: E402 - the libraries warn where they are imported

LIBRARY, FOLDER = sys.argv[1], Path(sys.argv[2])
TIME, BATCH = 40, 3
ROW, MAP = (7,), (2, 8, 8)


@dataclass(frozen=True)
class Case:
    """A model of a library.

    make : makes it
    shape : of one step of one sample
    how : how it is called: "batch first", "rows", "time first", or "steps"
    spiking : whether spikes leave it; otherwise membranes, which are compared up to rounding
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = ROW
    how: str = "time first"
    spiking: bool = True


def weights(inputs=7, outputs=9, gain=6.0):
    layer = nn.Linear(inputs, outputs)
    layer.weight.data *= gain
    return layer


def unbiased(inputs, outputs):
    layer = nn.Linear(inputs, outputs, bias=False)
    layer.weight.data *= 8
    return layer


def kernel(inputs, outputs, size=3, **options):
    layer = nn.Conv2d(inputs, outputs, size, **options)
    layer.weight.data *= 3
    return layer


def used_norm(channels):
    norm = nn.BatchNorm2d(channels)
    norm.running_mean.uniform_(-0.2, 0.2)
    norm.running_var.uniform_(0.5, 2)
    return norm


def called(model, x, how):
    """Output of a library's model as (time, batch, ...)."""
    if how == "batch first":
        return model(x.transpose(0, 1).contiguous()).transpose(0, 1)
    if how == "rows":
        return model(x.transpose(0, 1).flatten(0, 1)).unflatten(0, (BATCH, TIME)).transpose(0, 1)
    if how == "time first":
        return first(model(x))
    if LIBRARY == "norse":
        rows, state = [], None
        for row in x:
            found, state = model(row, state)
            rows.append(found)
        return torch.stack(rows)
    return torch.stack([first(model(row)) for row in x])


def first(found):
    return found[0] if isinstance(found, tuple) else found


def of_sinabs():
    import sinabs.activation as sa
    import sinabs.layers as sl
    from sinabs.from_torch import from_model
    from sinabs.layers.alif import ALIFSqueeze

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.last = weights(), weights(), weights(9, 4)
            self.fire, self.also, self.out, self.merge = sl.IAF(), sl.LIF(tau_mem=5.0), sl.LIF(tau_mem=9.0), sl.Merge()

        def forward(self, x):
            return self.out(self.last(self.merge(self.fire(self.one(x)), self.also(self.two(x)))))

    def pair(*neurons, gain=6.0):
        return lambda: nn.Sequential(weights(gain=gain), neurons[0](), weights(9, 4, gain), neurons[-1]())

    rows = {
        "iaf": pair(sl.IAF),
        "bounded": pair(lambda: sl.IAF(min_v_mem=-1.0, tau_syn=4.0), lambda: sl.IAF(spike_threshold=torch.tensor(0.7))),
        "lif": pair(lambda: sl.LIF(tau_mem=8.0), gain=30),
        "synapse": pair(lambda: sl.LIF(tau_mem=8.0, tau_syn=3.0, norm_input=False)),
        "many": pair(lambda: sl.LIF(torch.linspace(3, 20, 9)), lambda: sl.LIF(tau_mem=8.0, train_alphas=True), gain=30),
        "at most": pair(lambda: sl.LIF(8.0, spike_fn=sa.MaxSpike(3), norm_input=False)),
        "single": pair(lambda: sl.LIF(8.0, spike_fn=sa.SingleSpike, reset_fn=sa.MembraneSubtract(0.6)), gain=30),
        "zero": pair(lambda: sl.LIF(8.0, reset_fn=sa.MembraneReset(), surrogate_grad_fn=sa.Heaviside()), gain=30),
        "adaptive": pair(lambda: sl.ALIF(tau_mem=8.0, tau_adapt=15.0, norm_input=False)),
        "adaptive synapse": pair(lambda: sl.ALIF(8.0, 15.0, tau_syn=4.0, adapt_scale=0.6, spike_threshold=0.05)),
        "recurrent": pair(
            lambda: sl.LIFRecurrent(8.0, rec_connect=weights(9, 9, 1), norm_input=False),
            lambda: sl.IAFRecurrent(rec_connect=weights(4, 4, 1), min_v_mem=-2.0),
        ),
        "adaptive recurrent": pair(
            lambda: sl.ALIFRecurrent(8.0, 9.0, rec_connect=weights(9, 9, 1), norm_input=False), sl.IAF
        ),
        "branches": Branches,
    }
    found = {name: Case(make, how="batch first") for name, make in rows.items()}
    found["leak"] = Case(
        lambda: nn.Sequential(weights(), sl.IAF(), weights(9, 4), sl.ExpLeak(6.0, min_v_mem=-0.1)),
        how="batch first",
        spiking=False,
    )
    found["squeezed leak"] = Case(
        lambda: nn.Sequential(weights(), sl.LIFSqueeze(tau_mem=5.0, batch_size=BATCH), weights(9, 4),
                              sl.ExpLeakSqueeze(tau_mem=4.0, batch_size=BATCH, norm_input=True)),
        how="rows",
        spiking=False,
    )  # fmt: skip
    found["squeezed"] = Case(
        lambda: nn.Sequential(
            kernel(2, 4, padding=1), used_norm(4), sl.IAFSqueeze(batch_size=BATCH, min_v_mem=-1.0), nn.AvgPool2d(2),
            kernel(4, 3, padding=1), ALIFSqueeze(tau_mem=9.0, tau_adapt=5.0, norm_input=False, num_timesteps=TIME),
            sl.SumPool2d(2), nn.Dropout(), nn.Flatten(), weights(12, 5), sl.IAFSqueeze(num_timesteps=TIME),
        ),
        MAP,
        "rows",
    )  # fmt: skip
    found["folded"] = Case(
        lambda: nn.Sequential(
            sl.FlattenTime(), kernel(2, 4), sl.UnflattenTime(BATCH), sl.LIF(7.0), sl.Repeat(kernel(4, 3)),
            sl.IAF(), nn.Flatten(2), weights(48, 5), sl.IAF(),
        ),
        MAP,
        "batch first",
    )  # fmt: skip
    analog = [kernel(2, 4, bias=False), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), weights(36, 5), nn.ReLU()]
    found["converted"] = Case(lambda: from_model(nn.Sequential(*analog), batch_size=BATCH), MAP, "rows")
    chip = nn.Sequential(
        unbiased(7, 20), sl.LIF(8.0, 3.0, norm_input=False), unbiased(20, 4),
        sl.LIF(8.0, 3.0, norm_input=False),
    )  # fmt: skip
    return found, chip


def of_snntorch():
    import snntorch as snn
    from snntorch import surrogate

    class Passed(nn.Module):
        """States go in and out, as in the tutorials."""

        def __init__(self):
            super().__init__()
            self.one, self.two = weights(), weights(9, 4)
            self.lif1, self.lif2 = snn.Leaky(beta=0.8), snn.Synaptic(alpha=0.6, beta=0.7)

        def forward(self, x, mem1, syn2, mem2):
            spk1, mem1 = self.lif1(self.one(x), mem1)
            spk2, syn2, mem2 = self.lif2(self.two(spk1), syn2, mem2)
            return spk2, mem1, syn2, mem2

    class Stepped(nn.Module):
        """Runs a model that takes states as one that keeps them, for the comparison."""

        def __init__(self, model):
            super().__init__()
            self.model = model
            self.states = [model.lif1.reset_mem(), *model.lif2.reset_mem()]

        def forward(self, x):
            found, *self.states = self.model(x, *self.states)
            return found

    class Kept(nn.Module):
        """States are attributes."""

        def __init__(self):
            super().__init__()
            self.one, self.two = weights(), weights(9, 4)
            self.lif1, self.lif2 = snn.Leaky(beta=0.8, reset_mechanism="zero"), snn.Leaky(beta=0.5)
            self.mem1 = self.mem2 = None

        def forward(self, x):
            if self.mem1 is None:
                self.mem1, self.mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
            spk1, self.mem1 = self.lif1(self.one(x), self.mem1)
            spk2, self.mem2 = self.lif2(self.two(spk1), self.mem2)
            return spk2, self.mem2

    hidden = {"init_hidden": True}

    def pair(*neurons):
        return lambda: nn.Sequential(weights(), neurons[0](), weights(9, 4), neurons[-1]())

    def leaky(**options):
        return lambda: snn.Leaky(beta=0.8, **hidden, **options)

    many = torch.linspace(0.5, 0.95, 9)
    rows = {
        "leaky": pair(leaky()),
        "zero": pair(leaky(reset_mechanism="zero")),
        "none": pair(leaky(reset_mechanism="none")),
        "at once": pair(leaky(reset_delay=False)),
        "zero at once": pair(leaky(reset_delay=False, reset_mechanism="zero")),
        "learned": pair(
            lambda: snn.Leaky(many, **hidden, learn_beta=True, learn_threshold=True, threshold=0.6),
            leaky(graded_spikes_factor=2.5, spike_grad=surrogate.fast_sigmoid(10), output=True),
        ),
        "circuit": pair(lambda: snn.Lapicque(R=3.0, C=2.0, **hidden), lambda: snn.Lapicque(beta=0.3, **hidden)),
        "circuit at zero": pair(lambda: snn.Lapicque(beta=0.6, C=0.4, reset_mechanism="zero", **hidden)),
        "synaptic": pair(
            lambda: snn.Synaptic(alpha=many, beta=0.7, **hidden),
            lambda: snn.Synaptic(alpha=0.4, beta=0.7, reset_mechanism="zero", learn_alpha=True, **hidden),
        ),
        "alpha": pair(
            lambda: snn.Alpha(alpha=0.85, beta=0.6, threshold=0.5, **hidden),
            lambda: snn.Alpha(alpha=0.9, beta=0.8, threshold=0.5, reset_mechanism="subtract", **hidden),
        ),
        "recurrent": pair(
            lambda: snn.RLeaky(beta=0.8, linear_features=9, **hidden),
            lambda: snn.RLeaky(beta=0.7, V=-0.5, all_to_all=False, reset_mechanism="zero", **hidden),
        ),
        "recurrent synaptic": pair(
            lambda: snn.RSynaptic(alpha=0.5, beta=0.8, linear_features=9, **hidden),
            lambda: snn.RSynaptic(alpha=0.5, beta=0.7, V=torch.linspace(-1, 1, 4), all_to_all=False, **hidden),
        ),
        "kept": Kept,
    }
    found = {name: Case(make, how="steps") for name, make in rows.items()}
    found["maps"] = Case(
        lambda: nn.Sequential(
            kernel(2, 4), snn.Leaky(beta=0.9, **hidden), nn.AvgPool2d(2), kernel(4, 3, padding=1),
            snn.RLeaky(beta=0.8, conv2d_channels=3, kernel_size=3, **hidden), nn.Flatten(), weights(27, 5),
            snn.Leaky(beta=0.7, init_hidden=True, output=True),
        ),
        MAP,
        "steps",
    )  # fmt: skip
    found["passed"] = Case(Passed, how="steps")
    chip = nn.Sequential(
        unbiased(7, 20), snn.Leaky(beta=0.8, **hidden), unbiased(20, 4),
        snn.Leaky(beta=0.8, init_hidden=True, output=True),
    )  # fmt: skip
    run["passed"] = Stepped
    return found, chip


def of_norse():
    import norse.torch as snn
    from norse.torch.functional.iaf import IAFParameters
    from norse.torch.functional.leaky_integrator import LIParameters
    from norse.torch.functional.leaky_integrator_box import LIBoxParameters
    from norse.torch.functional.lif import LIFParameters
    from norse.torch.functional.lif_box import LIFBoxParameters
    from norse.torch.functional.reset import reset_subtract
    from norse.torch.module.iaf import IAF, IAFCell
    from norse.torch.module.leaky_integrator_box import LIBoxCell

    def tensors(kind, **values):
        return kind(**{n: torch.as_tensor(v) if isinstance(v, float) else v for n, v in values.items()})

    quick = tensors(LIFParameters, tau_syn_inv=400.0, tau_mem_inv=300.0, v_th=0.4)
    apart = tensors(LIFParameters, v_leak=0.1, v_reset=-0.2, v_th=0.3)
    many = LIFParameters(tau_mem_inv=torch.linspace(80, 500, 9), v_th=torch.as_tensor(0.3), method="triangle")

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.three = weights(gain=6), weights(9, 9, 6), weights(9, 4, 6)
            self.fire, self.also, self.out = snn.LIFCell(quick), snn.LIFBoxCell(), snn.LIFCell(quick)

        def forward(self, x, state=None):
            a, b, c = (None, None, None) if state is None else state
            one, a = self.fire(self.one(x), a)
            two, b = self.also(self.two(one), b)
            out, c = self.out(self.three(one + two), c)
            return out, (a, b, c)

    def cells(*neurons):
        return lambda: snn.SequentialState(weights(gain=9), neurons[0](), weights(9, 4, 9), neurons[-1]())

    low = tensors(LIFBoxParameters, v_th=0.2)
    box = tensors(LIFBoxParameters, v_th=0.4, v_leak=0.05, reset_method=reset_subtract)
    steps = {
        "cells": cells(lambda: snn.LIFCell(quick)),
        "apart": cells(lambda: snn.LIFCell(apart)),
        "many": cells(lambda: snn.LIFCell(many), lambda: snn.LIFCell(quick, dt=0.002)),
        "box": cells(snn.LIFBoxCell, lambda: snn.LIFBoxCell(box)),
        "integrate": cells(IAFCell, lambda: IAFCell(tensors(IAFParameters, v_th=0.8, v_reset=-0.3))),
        "recurrent cell": lambda: snn.SequentialState(snn.LIFRecurrentCell(7, 9, quick), weights(9, 4, 9), IAFCell()),
        "own": Own,
    }
    found = {name: Case(make, how="steps") for name, make in steps.items()}
    leaks = {
        "leak": lambda: snn.SequentialState(weights(gain=9), snn.LIFCell(quick), snn.LILinearCell(9, 4)),
        "box leak": cells(snn.LIFBoxCell, lambda: LIBoxCell(tensors(LIBoxParameters, v_leak=0.2))),
        "plain leak": cells(IAFCell, lambda: snn.LICell(tensors(LIParameters, v_leak=0.1))),
    }
    found |= {name: Case(make, how="steps", spiking=False) for name, make in leaks.items()}
    found["layers"] = Case(cells(lambda: snn.LIF(quick), lambda: snn.LIF(apart)))
    found["recurrent"] = Case(
        lambda: snn.SequentialState(snn.LIFRecurrent(7, 9, quick, autapses=True), weights(9, 4, 9), IAF())
    )
    found["leaky"] = Case(cells(IAF, snn.LI), spiking=False)
    found["lifted"] = Case(
        lambda: snn.SequentialState(
            snn.Lift(nn.Sequential(kernel(2, 4), nn.AvgPool2d(2))), snn.Lift(snn.LIFBoxCell()), snn.Lift(kernel(4, 3)),
            IAF(), nn.Flatten(2), weights(3, 5, 9), snn.LIF(quick),
        ),
        MAP,
    )  # fmt: skip
    chip = snn.SequentialState(unbiased(7, 20), snn.LIFBoxCell(low), unbiased(20, 4), snn.LIFBoxCell(low))
    return found, chip


def of_spikingjelly():
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    def pair(*neurons):
        return lambda: nn.Sequential(weights(), neurons[0](), weights(9, 4), neurons[-1]())

    def parametric():
        made = neuron.ParametricLIFNode(init_tau=3.0)
        made.w.data.add_(0.3)
        return made

    def many_steps():
        net = nn.Sequential(
            layer.Conv2d(2, 4, 3, bias=False), layer.BatchNorm2d(4), neuron.IFNode(), layer.AvgPool2d(2),
            layer.Conv2d(4, 3, 3), neuron.LIFNode(v_threshold=0.2), layer.Flatten(), layer.Dropout(),
            layer.Linear(3, 5), neuron.ParametricLIFNode(v_threshold=0.1),
        )  # fmt: skip
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data *= 5
        functional.set_step_mode(net, "m")
        return net

    rows = {
        "if": pair(neuron.IFNode),
        "soft": pair(lambda: neuron.IFNode(v_reset=None), lambda: neuron.LIFNode(tau=4.0, v_reset=None)),
        "elsewhere": pair(lambda: neuron.IFNode(0.7, -0.4), lambda: neuron.LIFNode(3.0, v_threshold=0.6, v_reset=0.1)),
        "lif": pair(lambda: neuron.LIFNode(tau=3.0, surrogate_function=surrogate.ATan())),
        "input as it is": pair(lambda: neuron.LIFNode(tau=5.0, decay_input=False, detach_reset=True)),
        "parametric": pair(parametric, lambda: neuron.ParametricLIFNode(2.5, decay_input=False, v_reset=None)),
        "simple": pair(neuron.SimpleIFNode, lambda: neuron.SimpleLIFNode(tau=3.0, decay_input=True)),
    }
    found = {name: Case(make, how="steps") for name, make in rows.items()}
    found["many steps"] = Case(many_steps, MAP)
    found["containers"] = Case(
        lambda: nn.Sequential(
            layer.SeqToANNContainer(kernel(2, 4), used_norm(4)), layer.MultiStepContainer(neuron.LIFNode()),
            layer.SeqToANNContainer(nn.AvgPool2d(2), nn.Flatten()), weights(36, 5), neuron.IFNode(step_mode="m"),
        ),
        MAP,
    )  # fmt: skip
    chip = nn.Sequential(
        unbiased(7, 20), neuron.LIFNode(tau=4.0, v_reset=None, decay_input=False),
        unbiased(20, 4), neuron.LIFNode(tau=4.0, v_reset=None, decay_input=False),
    )  # fmt: skip
    return found, chip


run: dict[str, Callable[[nn.Module], nn.Module]] = {}
torch.manual_seed(0)
cases, chip = {"sinabs": of_sinabs, "snntorch": of_snntorch, "norse": of_norse, "spikingjelly": of_spikingjelly}[
    LIBRARY
]()
told = {}
for name, case in cases.items():
    model = case.make().eval()
    adopted, report = nd.adopt(model, case.shape)
    x = torch.randn(TIME, BATCH, *case.shape) * 0.8
    with torch.no_grad():
        ours = adopted(x.flatten(2))
        theirs = called(run.get(name, lambda kept: kept)(model), x, case.how)
    if theirs.shape != ours.shape:
        raise SystemExit(f"{name}: {tuple(theirs.shape)} there, {tuple(ours.shape)} here")
    told[name] = {
        "values": theirs.numel(),
        "spikes": float(theirs.abs().sum()),
        "differ": int((ours != theirs).sum()) if case.spiking else int(((ours - theirs).abs() > 1e-5).sum()),
        "classes": sorted({layer.kind for layer in report.layers}),
        "trained": sum(p.requires_grad for p in adopted.parameters()),
    }
torch.manual_seed(1)
adopted, _ = nd.adopt(chip.eval(), ROW)
nd.save_model(adopted, FOLDER / "chip.safetensors", dt_s=0.001)
sys.stdout.write("\n" + json.dumps(told) + "\n")
