"""Float simulators on the workloads: the same sizes, weights and input in other arithmetic, each as it runs fastest."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from neurodeploy.bench.networks import Prepared
from neurodeploy.network import Network, Projection

#: Returns a function that runs once from rest, and gives the spikes of the neurons
Float = Callable[[Prepared], Callable[[], int]]


def _matrix(network: Network, p: Projection) -> torch.Tensor:
    source, target = network.group(p.source).size, network.group(p.target).size
    weights = np.zeros((source, target), np.float32)
    np.add.at(weights, (p.sources, p.targets), next(iter(p.fields.values())))
    return torch.from_numpy(weights)


def _snntorch(task: Prepared) -> Callable[[], int]:
    """Synaptic where neurons feed each other back, else Leaky on the input of each neuron."""
    import snntorch

    network, x = task.network, torch.from_numpy(task.counts.astype(np.float32))
    by_ends = {(p.source, p.target): _matrix(network, p) for p in network.projections}
    back = {p.source: by_ends[p.source, p.source] for p in network.projections if p.source == p.target}
    layers: list[tuple[torch.Tensor, torch.Tensor | None, Any]] = []
    for p in (p for p in network.projections if p.source != p.target):
        last = p.target not in {q.source for q in network.projections}
        threshold = 3000 if back and last else 4000
        cell: Any = (
            snntorch.Synaptic(alpha=0.875, beta=0.9375, threshold=threshold)
            if back
            else snntorch.Leaky(beta=0.9375, threshold=threshold)
        )
        layers.append((by_ends[p.source, p.target], back.get(p.target), cell))

    @torch.no_grad()
    def run() -> int:
        fired = 0
        states = [cell.init_synaptic() if back else (cell.init_leaky(),) for _, _, cell in layers]
        before = [torch.zeros(x.shape[1], w.shape[1]) for w, _, _ in layers]
        for row in x.unbind(0):
            given = row
            for n, (weights, recurrent, cell) in enumerate(layers):
                current = given @ weights if recurrent is None else given @ weights + before[n] @ recurrent
                given, *states[n] = cell(current, *states[n])
                before[n] = given
            fired += int(given.sum())
        return fired

    return run


def _sinabs(task: Prepared) -> Callable[[], int]:
    """Dense convolutions over all steps at once, and IAFSqueeze, which takes each step's sum."""
    from sinabs.layers import IAFSqueeze

    network = task.network
    modules: list[torch.nn.Module] = []
    for p in network.projections:
        geometry, sink = p.geometry, network.group(p.target)
        if geometry is None:
            raise NotImplementedError("dense projections")
        features, channels, rows, columns = geometry.kernel
        conv = torch.nn.Conv2d(channels, features, (rows, columns), geometry.stride, geometry.padding, bias=False)
        weights = next(iter(p.fields.values())).astype(np.float32).reshape(geometry.kernel)
        conv.weight.data = torch.from_numpy(weights)
        threshold = float(sink.parameters[_threshold_of(network, sink.kind)].flat[0])
        modules += [conv, IAFSqueeze(batch_size=1, spike_threshold=threshold, min_v_mem=-threshold)]
    model = torch.nn.Sequential(*modules)
    x = torch.from_numpy(task.counts[:, 0].astype(np.float32)).reshape(-1, *network.inputs()[0].shape)

    @torch.no_grad()
    def run() -> int:
        for module in model:
            if isinstance(module, IAFSqueeze):
                module.reset_states()
        return int(model(x).sum())

    return run


def _threshold_of(network: Network, kind: str) -> str:
    """Parameter of a neuron kind that its threshold becomes."""
    deploy = network.chip.neurons[kind].deploy
    if deploy is None:
        raise NotImplementedError(f"{kind} neurons")
    return deploy.threshold


#: By the name of their package.
FLOATS: Mapping[str, Float] = {"snntorch": _snntorch, "sinabs": _sinabs}
