"""What the order in which one event meets its footprint changes: observed over some orders, never a guarantee."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import Fault, Refusal
from neurodeploy.evaluation import decide
from neurodeploy.network import Network
from neurodeploy.simulator import Run, Stimulus, scan_orders, simulate_orders


@dataclass(frozen=True)
class LayerSpread:
    """One layer over all orders that were tried.

    predicted : the layer sees input events alone, each of which meets a neuron once: no order can change it
    least, most : events of all samples, in the order with fewest and in the one with most
    spread : (most - least) / mean, 0 for a silent layer
    changed : share of (step, sample, neuron) counts that are not the same in all orders
    """

    group: str
    predicted: bool
    least: int
    most: int
    spread: float
    changed: float

    def __str__(self) -> str:
        if self.predicted:
            return f"{self.group!r}: exact, {self.most:,} events; the order inside one event cannot change them"
        events = f"{self.least:,}" if self.least == self.most else f"{self.least:,} to {self.most:,}"
        return f"{self.group!r}: {events} events, spread {self.spread:.2%}, {self.changed:.2%} of the counts changed"


@dataclass(frozen=True)
class OrderReport:
    """What was observed.

    scans : the orders that were tried, connection kind -> axes
    queue : order of the events that waited
    samples : number of samples
    layers : in the order of the network, inputs left out
    reclassified : share of samples whose class is not the same in all orders; None without an output layer
    held : number of samples that there were; the later ones were left out
    """

    chip: str
    scans: tuple[Mapping[str, tuple[str, ...]], ...]
    queue: str
    samples: int
    layers: tuple[LayerSpread, ...]
    reclassified: float | None
    held: int

    def __str__(self) -> str:
        given = (
            f"{self.samples:,} samples" if self.samples == self.held else f"{self.samples:,} of {self.held:,} samples"
        )
        head = f"{self.chip}: observed over {len(self.scans)} scan orders, {given}; other orders untried"
        lines = [head, *map(str, self.layers)]
        if self.reclassified is not None:
            lines.append(f"class changed in {self.reclassified:.2%} of the samples")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {
            "scans": [{k: list(v) for k, v in s.items()} for s in self.scans],
            "layers": [asdict(layer) for layer in self.layers],
        }


def observe_orders(
    network: Network,
    counts: npt.ArrayLike | Mapping[str, npt.ArrayLike] | Stimulus,
    *,
    orders: int | Sequence[Mapping[str, tuple[str, ...]]] = 8,
    queue: str | None = None,
) -> OrderReport:
    """Simulate the same input in several scan orders and report what differs.

    counts : as in simulate
    orders : how many, those that ``scan_orders`` names, or the orders themselves
    queue : "breadth" or "depth"; None takes the chip's
    Raises Refusal ND1303 for a clocked chip and as simulate does, ND2001 where fewer than two orders are compared.
    """
    scans = scan_orders(network.chip, orders) if isinstance(orders, int) else tuple(orders)
    if len(scans) < 2:
        must = "at least two orders: a spread is a difference"
        raise Refusal(Fault("ND2001", f"{network.chip.name}, scan orders", f"{len(scans)} order", must))
    runs = simulate_orders(network, counts, scans, order=queue)
    inputs = {g.name for g in network.inputs()}
    layers = tuple(_spread(network, g.name, runs) for g in network.groups if g.name not in inputs)
    changed = None
    if network.outputs():
        decisions = np.stack([decide(r.output) for r in runs])
        changed = float((decisions != decisions[0]).any(axis=0).mean()) if decisions.size else 0.0
    samples = next(iter(runs[0].counts.values())).shape[1]
    return OrderReport(network.chip.name, scans, runs[0].order, samples, layers, changed, samples)


def _spread(network: Network, name: str, runs: Sequence[Run]) -> LayerSpread:
    counts = [r.counts[name] for r in runs]
    totals = [int(c.sum()) for c in counts]
    least, most = min(totals), max(totals)
    changed = np.zeros(counts[0].shape, bool)
    for other in counts[1:]:
        changed |= other != counts[0]
    spread = (most - least) / (sum(totals) / len(totals)) if most else 0.0
    return LayerSpread(name, _predicted(network, name), least, most, spread, float(changed.mean()))


def _predicted(network: Network, name: str) -> bool:
    """Whether a layer is fed by inputs alone, through synapses that one event meets once for each neuron."""
    inputs = {g.name for g in network.inputs()}
    feeding = [p for p in network.projections if p.target == name]
    once = all(
        p.geometry is not None or len(set(zip(p.sources.tolist(), p.targets.tolist(), strict=True))) == len(p.sources)
        for p in feeding
    )
    joined = network.chip.file.schedule.joined
    return bool(feeding) and once and {p.source for p in feeding} <= inputs and not (joined and len(feeding) > 1)
