"""Inputs that try to bring a state to a rail: the worst that the weights suggest, and drawn ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.network import Network
from neurodeploy.proofs.boxes import Ints
from neurodeploy.proofs.watch import Hit, watch
from neurodeploy.simulator.machine import stored_fields

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """How much is tried: steps of a sample, samples that are simulated together, how often, and how often drawn."""

    steps: int
    batch: int
    batches: int
    drawn: int


#: Many short inputs; and few that last, for states that drift.
SHORT, LONG = Size(32, 128, 3, 1), Size(1024, 16, 2, 0)
#: Where events drive the chip, which takes them one by one; and events of a channel in a step there.
SINGLE, MOST_EVENTS = Size(24, 8, 2, 1), 2
#: Densities of drawn inputs.
DENSITIES = (1.0, 0.5, 0.2, 0.05)
#: Connections that an input is followed along.
HOPS = 4
#: Weights that are followed at most, as matrices.
MOST_WEIGHTS = 4_000_000


def attack(
    network: Network, wanted: Mapping[str, Ints], time_left: Callable[[], bool], size: Size, *, seed: int = 0
) -> list[tuple[Hit, dict[str, Ints]]]:
    """Cuts that were found, each with the input of its one sample up to the step of the cut.

    wanted : group -> neurons that are not proved, and that inputs are aimed at
    """
    caps = _caps(network)
    if not caps:
        return []
    found = list[tuple[Hit, dict[str, Ints]]]()
    seen = set[tuple[str, str, int]]()
    drawn = [_drawn(network, caps, size, seed) for _ in range(size.drawn)]
    for counts in (*_aimed(network, wanted, caps, size), *drawn):
        if not time_left():
            break
        for hit in watch(network, counts, time_left):
            if (hit.group, hit.state, hit.neuron) not in seen:
                seen.add((hit.group, hit.state, hit.neuron))
                found.append((hit, {g: v[: hit.step + 1, hit.sample : hit.sample + 1] for g, v in counts.items()}))
    return found


def _caps(network: Network) -> dict[str, tuple[int, int]]:
    """Input group -> least and most events of a channel in a step."""
    entries = {g.name: network.chip.neurons[g.kind].entry.external for g in network.inputs()}
    most = MOST_EVENTS if network.chip.event_driven else None  # each event is followed on its own there
    return {
        g: (max(e.allowed.low, 0), min(e.allowed.high, most or e.allowed.high))
        for g, e in entries.items()
        if e is not None
    }


def _aimed(
    network: Network, wanted: Mapping[str, Ints], caps: Mapping[str, tuple[int, int]], size: Size
) -> list[dict[str, Ints]]:
    """Inputs that stay on all channels whose weights push a neuron up, or down, over one to some connections."""
    rows = dict[str, list[Ints]]()
    for reach in _reaches(network):
        for name, neurons in wanted.items():
            for source, matrix in reach.get(name, {}).items():
                for column in matrix[:, neurons].T:
                    rows.setdefault(source, []).extend((column > 0, column < 0))
    if not rows:
        return []
    sizes = {g: network.group(g).size for g in caps}
    count = max(map(len, rows.values()))
    full = {g: [np.asarray(r, bool) for r in rows.get(g, [])] or [np.ones(sizes[g], bool)] for g in caps}
    table = np.stack([np.concatenate([full[g][i % len(full[g])] for g in caps]) for i in range(count)])
    _, first = np.unique(table, axis=0, return_index=True)
    table = table[np.sort(first)][: size.batches * size.batch]
    made = list[dict[str, Ints]]()
    for begin in range(0, len(table), size.batch):
        chosen, counts, at = table[begin : begin + size.batch], {}, 0
        for g, (low, high) in caps.items():
            steady = np.where(chosen[:, at : at + sizes[g]], high, low).astype(np.int64)
            counts[g], at = np.repeat(steady[None], size.steps, axis=0), at + sizes[g]
        made.append(counts)
    return made


def _reaches(network: Network) -> list[dict[str, dict[str, Ints]]]:
    """For each number of connections: group -> input group -> summed weights (channel, neuron) along them."""
    sizes = {g.name: g.size for g in network.groups}
    if sum(sizes[p.source] * sizes[p.target] for p in network.projections) > MOST_WEIGHTS:
        return []
    matrices = list[tuple[str, str, Floats]]()
    for p in network.projections:
        kind = network.chip.connections[p.kind]
        if not kind.entry.weights:
            continue
        spelled = p.pairwise
        fields = stored_fields(kind, spelled.fields, spelled.parameters)
        matrix = np.zeros((sizes[p.source], sizes[p.target]))
        np.add.at(matrix, (spelled.sources, spelled.targets), sum(fields[w].astype(float) for w in kind.entry.weights))
        matrices.append((p.source, p.target, matrix))
    here: dict[str, dict[str, Floats]] = {g.name: {g.name: np.eye(g.size)} for g in network.inputs()}
    found = []
    for _ in range(HOPS):
        following: dict[str, dict[str, Floats]] = {}
        for source, target, matrix in matrices:
            for entry, reach in here.get(source, {}).items():
                into = following.setdefault(target, {})
                into[entry] = into.get(entry, 0.0) + reach @ matrix
        if not following:
            break
        largest = max(float(np.abs(m).max(initial=1.0)) for many in following.values() for m in many.values())
        here = {g: {e: m / largest for e, m in many.items()} for g, many in following.items()}
        found.append({g: {e: np.sign(m).astype(np.int64) for e, m in many.items()} for g, many in here.items()})
    return found


def _drawn(network: Network, caps: Mapping[str, tuple[int, int]], size: Size, seed: int) -> dict[str, Ints]:
    """Random inputs of several densities, half of them the same at every step."""
    rng = np.random.default_rng(seed)
    counts = {}
    for g, (low, high) in caps.items():
        density = np.array(DENSITIES)[np.arange(size.batch) % len(DENSITIES)][:, None]
        busy = rng.random((size.steps, size.batch, network.group(g).size)) < density
        busy[:, : size.batch // 2] = busy[:1, : size.batch // 2]
        counts[g] = np.where(busy, high, low).astype(np.int64)
    return counts
