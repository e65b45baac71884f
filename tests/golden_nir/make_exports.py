"""Train nothing, export small networks, record what they do: python make_exports.py LIBRARY FOLDER.

LIBRARY is snntorch 1.0.0, norse 1.1.0 or spikingjelly 2.0.0, each with nir 1.0.8 and nirtorch 2.6, or sinabs 3.1.3 or
rockpool 3.1.0 with nir 1.0.4 and nirtorch 1.0, for they take no later ones; torch 2.13.0 with all. For each network a
file LIBRARY-NAME.nir; in LIBRARY.npz all inputs and outputs, and who made them: NAME.input (time, ...) counts,
NAME.output (time, ...) of the last layer, as the library computed them from reset.
"""

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import nir
import numpy as np
import torch

warnings.filterwarnings("ignore")
STEPS = 200
LIBRARY, FOLDER = sys.argv[1], Path(sys.argv[2])
RECORDED = {}


def seeded(seed):
    torch.manual_seed(seed)
    return np.random.default_rng(seed)


def counts(rng, *shape, rate=0.4):
    return rng.poisson(rate, (STEPS, *shape)).astype(np.uint8)


def row(into=8, hidden=12, out=6, *, gain=1.5, bias=True):
    """Two matrices with weights that make neurons fire."""
    first, last = torch.nn.Linear(into, hidden, bias=bias), torch.nn.Linear(hidden, out, bias=bias)
    for layer in (first, last):
        layer.weight.data = gain * torch.randn_like(layer.weight) / layer.in_features**0.5
        if bias:
            layer.bias.data = 0.05 * torch.randn_like(layer.bias)
    return first, last


def keep(name, graph, given, output):
    if not isinstance(graph, Path):
        nir.write(str(FOLDER / f"{LIBRARY}-{name}.nir"), graph)
    found = np.asarray(output.detach().numpy() if isinstance(output, torch.Tensor) else output)
    whole = np.array_equal(found, np.rint(found)) and found.min() >= 0
    RECORDED[f"{name}.input"] = given
    RECORDED[f"{name}.output"] = found.astype(np.uint8) if whole else found.astype(np.float32)
    sys.stdout.write(f"{LIBRARY}-{name}: output {found.shape}, sum {found.sum():g}, largest {found.max():g}\n")


def snntorch():
    import snntorch as snn
    from snntorch import utils
    from snntorch.export_nir import export_to_nir

    def one(value, *shape):
        return torch.full(shape, float(value))

    def record(name, net, given, sample):
        graph = export_to_nir(net, sample, ignore_dims=[0])
        utils.reset(net)  # the export runs it
        outputs = []
        for row_ in given:
            found = net(torch.as_tensor(row_[None], dtype=torch.float32))
            outputs.append(found[0][0] if isinstance(found, tuple) else found[0])
        keep(name, graph, given, torch.stack(outputs))

    def leaky(n, beta, **options):
        return snn.Leaky(beta=one(beta, n), threshold=one(1, n), init_hidden=True, **options)

    def synaptic(n, alpha, beta, **options):
        return snn.Synaptic(alpha=one(alpha, n), beta=one(beta, n), threshold=one(1, n), init_hidden=True, **options)

    for name, options in {
        "subtract": {},
        "zero": {"reset_mechanism": "zero"},
        "zero-now": {"reset_mechanism": "zero", "reset_delay": False},
        "subtract-now": {"reset_delay": False},
    }.items():
        rng = seeded(1)
        first, last = row()
        net = torch.nn.Sequential(first, leaky(12, 0.9, **options), last, synaptic(6, 0.6, 0.8, output=True, **options))
        record(name, net, counts(rng, 8), torch.rand(1, 8))
    rng = seeded(2)
    first, last = row()
    loops = {"linear_features": 12, "init_hidden": True}, {"linear_features": 6, "init_hidden": True, "output": True}
    net = torch.nn.Sequential(
        first, snn.RLeaky(beta=0.85, **loops[0]), last, snn.RSynaptic(alpha=0.5, beta=0.8, **loops[1])
    )
    record("recurrent", net, counts(rng, 8), torch.rand(1, 8))
    rng = seeded(3)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3, padding=1),
        snn.Leaky(beta=one(0.8, 3, 6, 6), threshold=one(0.7, 3, 6, 6), init_hidden=True),
        torch.nn.AvgPool2d(2),
        torch.nn.Flatten(),
        row(27, 5, 2, gain=4.0)[0],
        leaky(5, 0.9, output=True),
    )
    record("map", net, counts(rng, 2, 6, 6), torch.rand(1, 2, 6, 6))


def sinabs():
    from sinabs import layers as sl
    from sinabs.nir import to_nir

    def record(name, net, given):
        x = torch.as_tensor(given, dtype=torch.float32)
        output = net(x)
        graph = to_nir(net, x)
        if hasattr(graph, "infer_types"):
            graph.infer_types()
        keep(name, graph, given, output)

    for name, low in (("map", None), ("map-bounded", -1.0)):
        rng = seeded(1)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(2, 3, 3, padding=1, bias=False),
            sl.IAFSqueeze(batch_size=1, min_v_mem=low),
            sl.SumPool2d(2),
            torch.nn.Flatten(),
            row(27, 6, 2, gain=1.5)[0],
            sl.IAFSqueeze(batch_size=1, min_v_mem=low),
        )
        record(name, net, counts(rng, 2, 6, 6))

    def lif(n, tau):
        return sl.LIFSqueeze(tau_mem=torch.full((n,), float(tau)), spike_threshold=torch.full((n,), 0.1), batch_size=1)

    rng = seeded(2)
    first, last = row()
    record("row", torch.nn.Sequential(first, lif(12, 9), last, lif(6, 15)), counts(rng, 8))
    rng = seeded(3)
    first, last = row()
    leak = sl.ExpLeakSqueeze(tau_mem=torch.full((6,), 5.0), batch_size=1)
    record("leak", torch.nn.Sequential(first, lif(12, 9), last, leak), counts(rng, 8))


def norse():
    from norse.torch import (
        IAFCell,
        IAFParameters,
        LIBoxCell,
        LIBoxParameters,
        LIFBoxCell,
        LIFBoxParameters,
        LIFCell,
        LIFParameters,
        SequentialState,
    )
    from norse.torch.utils.export_nir import to_nir

    def one(value, n):
        return torch.full((n,), float(value))

    def record(name, net, given):
        graph = to_nir(net, torch.rand(1, 8))
        state, outputs = None, []
        for row_ in given:
            found, state = net(torch.as_tensor(row_[None], dtype=torch.float32), state)
            outputs.append(found.to_dense()[0] if found.is_sparse else found[0])
        keep(name, graph, given, torch.stack(outputs))

    def box(n, rate, level, leak):
        return LIFBoxCell(LIFBoxParameters(tau_mem_inv=one(rate, n), v_th=one(level, n), v_leak=one(leak, n)))

    rng = seeded(1)
    first, last = row()
    record("row", SequentialState(first, box(12, 100, 0.2, 0.0), last, box(6, 150, 0.2, 0.1)), counts(rng, 8))
    rng = seeded(2)
    first, last = row()
    leak = LIBoxCell(LIBoxParameters(tau_mem_inv=one(200, 6), v_leak=one(0.3, 6)))
    record("leak", SequentialState(first, box(12, 100, 0.2, 0.0), last, leak), counts(rng, 8))
    rng = seeded(3)
    first, last = row()
    steps = SequentialState(
        first, IAFCell(IAFParameters(v_th=one(1, 12))), last, IAFCell(IAFParameters(v_th=one(1, 6)))
    )
    record("sum", steps, counts(rng, 8))
    rng = seeded(4)
    first, _ = row()
    current = LIFParameters(tau_syn_inv=one(200, 12), tau_mem_inv=one(100, 12), v_leak=one(0, 12), v_th=one(0.5, 12))
    record("current", SequentialState(first, LIFCell(current)), counts(rng, 8))


def spikingjelly():
    from spikingjelly.activation_based import layer, neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    def record(name, net, given):
        sample = torch.rand(1, *given.shape[1:])
        graph = export_to_nir(net, sample)
        outputs = [net(torch.as_tensor(row_[None], dtype=torch.float32))[0] for row_ in given]
        keep(name, graph, given, torch.stack(outputs))

    rng = seeded(1)
    first, last = row()
    net = torch.nn.Sequential(
        first, neuron.LIFNode(tau=5.0, v_threshold=0.2), last, neuron.LIFNode(tau=3.0, decay_input=False)
    )
    record("row", net, counts(rng, 8))
    rng = seeded(2)
    first, last = row()
    record("sum", torch.nn.Sequential(first, neuron.IFNode(), last, neuron.IFNode(v_reset=-0.2)), counts(rng, 8))
    rng = seeded(3)
    conv = [layer.Conv2d(2, 3, 3, padding=1), neuron.IFNode(v_threshold=0.7), layer.AvgPool2d(2), layer.Flatten()]
    record(
        "map",
        torch.nn.Sequential(*conv, row(27, 6, 2, gain=9.0)[0], neuron.LIFNode(tau=4.0, v_threshold=0.1)),
        counts(rng, 2, 6, 6),
    )
    if hasattr(neuron, "CUBALIFNode"):
        rng = seeded(4)
        first, last = row()
        record("current", torch.nn.Sequential(first, neuron.CUBALIFNode(c_decay=0.5, v_decay=0.75)), counts(rng, 8))


def rockpool():
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules.torch import LIFNeuronTorch, LIFTorch, LinearTorch
    from rockpool.nn.modules.torch.nir import to_nir

    def record(name, net, given):
        graph = to_nir(net)
        output, *_ = net(torch.as_tensor(given[None], dtype=torch.float32))
        keep(name, graph, given, output[0])

    def linear(module):
        return LinearTorch(
            (module.in_features, module.out_features), weight=module.weight.detach().T.clone(), has_bias=False
        )

    for name, kind, more in (("current", LIFTorch, {"tau_syn": 0.005}), ("row", LIFNeuronTorch, {})):
        rng = seeded(1)
        first, last = row(gain=0.5, bias=False)
        first_, last_ = (kind(n, tau_mem=0.01, dt=1e-3, threshold=torch.ones(n), **more) for n in (12, 6))
        for layer in (first_, last_):
            if getattr(layer, "bias", None) is not None:
                layer.bias.data = torch.zeros_like(layer.bias)
        record(name, Sequential(linear(first), first_, linear(last), last_), counts(rng, 8))


with torch.no_grad():
    {"snntorch": snntorch, "sinabs": sinabs, "norse": norse, "spikingjelly": spikingjelly, "rockpool": rockpool}[
        LIBRARY
    ]()
MADE = {name: version(name) for name in (LIBRARY, "nir", "nirtorch", "torch", "numpy")}
np.savez_compressed(FOLDER / f"{LIBRARY}.npz", made_by=np.array(json.dumps(MADE)), **RECORDED)
