"""Network -> placed Network, or all reasons why not, each with the number asked, the number available and a way out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import DoesNotFit, Fault, Refusal, raise_if
from neurodeploy.mapper.cores import Cores, fill_cores
from neurodeploy.mapper.counts import Tally, usage
from neurodeploy.mapper.layer_cores import LayerCores, assign_layers
from neurodeploy.mapper.mesh import Hops
from neurodeploy.mapper.rows import Core, Usage
from neurodeploy.mapper.values import backward_links, figures_beyond, unsafe_values, value_faults
from neurodeploy.network import Network
from neurodeploy.network.network import Ints
from neurodeploy.notebook import show


@dataclass(frozen=True)
class Placement:
    """A placed network and what it uses.

    usage : every limit with what is asked of it, on the fullest core where it is a limit of each
    warnings : what is allowed and still worth a look
    cores : the cores in use, with what stands on each and what it uses
    hops : how far spikes go from core to core, on chips that say how their cores lie
    """

    network: Network
    usage: tuple[Usage, ...]
    warnings: tuple[Fault, ...]
    cores: tuple[Core, ...] = ()
    hops: Hops | None = None

    def _repr_html_(self) -> str:
        rows = [(u.unit, u.asked, u.at_most, u.where, u.grade) for u in self.usage]
        columns = ("what", "asked", "at most", "where", "grade")
        return show(f"{self.network.chip.name}: placed", columns, rows, self.warnings)

    def to_json(self) -> dict[str, Any]:
        """What the report of a placement says, as plain data."""
        return {
            "usage": [u.to_json() for u in self.usage],
            "cores": [core.to_json() for core in self.cores],
            "hops": None if self.hops is None else self.hops.to_json(),
            "warnings": [str(w) for w in self.warnings],
        }


@dataclass(frozen=True)
class Window:
    """Hardware ids low..high - 1 of a kind that the neurons of one end of a connection must have.

    neurons : numbers of these neurons
    what : "'in' reaches"
    """

    kind: str
    neurons: Ints
    low: int
    high: int
    what: str

    @property
    def size(self) -> int:
        """Number of ids."""
        return self.high - self.low

    def __str__(self) -> str:
        return f"{self.what} ids {self.low}..{self.high - 1} of kind {self.kind!r}"


_NO_CORES = Cores(np.zeros(0, np.int64), (), ())
_NO_LAYERS = LayerCores({}, (), (), (), ())


def map_network(
    network: Network,
    *,
    split: Iterable[str] = (),
    loops: bool = False,
    readout: str | None = None,
    activity: Mapping[str, npt.ArrayLike] | None = None,
    seed: int = 0,
) -> Placement:
    """Give every neuron a hardware id within all limits of the chip; ids that it has already are not looked at.

    split : layers that may stand on several cores, on chips whose cores hold one layer each
    loops : accept layers that feed themselves on a way round, where such a chip leaves that to the caller
    readout : layer whose classes the readout of such a chip counts: it gets a core with room for them
    activity : group -> (neuron,) spikes of each neuron, by which cores are laid on a mesh; without it each counts once
    seed : of the annealing that lays them there; the same seed gives the same ids
    Raises DoesNotFit with every reason: ND1801 limits, ND1802 places, ND1703 values that the chip should not get.
    """
    tally, core, filled = Tally(network), network.chip.core, _NO_CORES
    asked = usage(network)
    faults = [u.fault(network.chip.name) for u in asked if not u.fits] + list(value_faults(network))
    ids = np.full(tally.size, -1, np.int64)
    if core is not None:
        filled = fill_cores(tally, core, activity=activity, seed=seed)
        asked, ids = asked + filled.usage, filled.ids
        faults += filled.faults
    layered, split = _NO_LAYERS, tuple(split)
    if network.chip.layer_core:
        layered = assign_layers(network, split=split, loops=loops, readout=readout)
    elif split or readout:
        was = "layers to split" if split else f"readout {readout!r}"
        raise Refusal(Fault("ND1203", network.chip.name, was, "none: no core of this chip holds a layer of its own"))
    for name, own in layered.ids.items():
        ids[tally.first[name] : tally.first[name] + len(own)] = own
    asked, faults = asked + layered.usage, faults + list(layered.faults)
    for kind, span in tally.spans.items():
        if network.chip.layer_core and kind in network.chip.layer_core.kinds:
            continue
        on_cores = core is not None and kind in core.kinds
        windows = tuple(_windows(tally, kind, core.count * core.neurons if core and on_cores else len(span)))
        own = ids[span.start : span.stop]
        if not on_cores:
            own[:] = earliest_deadline(*_bounds(span, windows))
        if not np.any(own < 0):
            faults += _place_faults(tally, ids, windows, asked)
    if np.any(ids < 0):
        raise DoesNotFit(faults)
    placed = _with_ids(network, tally, ids)
    backward = list(backward_links(placed))
    faults += [fault for rule, fault in backward if rule == "refuse"]
    raise_if(faults, DoesNotFit)
    warnings = [
        *layered.warnings,
        *unsafe_values(placed),
        *(fault for rule, fault in backward if rule == "warn"),
        *figures_beyond(placed),
    ]
    return Placement(placed, asked, tuple(warnings), filled.cores + layered.cores, filled.hops)


def fit_faults(network: Network) -> list[Fault]:
    """All reasons why a network does not fit; empty if it does."""
    try:
        map_network(network)
    except DoesNotFit as refusal:
        return list(refusal.faults)
    return []


def _with_ids(network: Network, tally: Tally, ids: Ints) -> Network:
    first = tally.first
    groups = tuple(replace(g, ids=ids[first[g.name] : first[g.name] + g.size].copy()) for g in network.groups)
    return replace(network, groups=groups)


def kind_faults(tally: Tally, ids: Ints, kind: str, room: int, asked: tuple[Usage, ...]) -> list[Fault]:
    """Neurons of a kind that do not stand where their connections reach.

    ids : (neuron,) hardware id of every neuron; room : hardware ids of the kind; asked : limits that were reported
    """
    return _place_faults(tally, ids, tuple(_windows(tally, kind, room)), asked)


def _windows(tally: Tally, kind: str, room: int) -> Iterator[Window]:
    """Windows of the connections that reach only some of the ``room`` hardware ids of a kind."""
    span = tally.spans[kind]
    for name, kind_of in tally.chip.connections.items():
        entry = kind_of.entry
        if not (entry.targets_first or entry.sources_last):
            continue
        link = tally.links[name]
        if entry.targets_first and link.kind.target == kind:
            yield Window(kind, np.unique(link.targets), 0, min(entry.targets_first, room), f"{name!r} reaches")
        if entry.sources_last and kind in link.kind.sources:
            sources = np.unique(link.sources)
            sources = sources[(sources >= span.start) & (sources < span.stop)]
            yield Window(kind, sources, max(room - entry.sources_last, 0), room, f"{name!r} leaves from")


def _bounds(span: range, windows: tuple[Window, ...]) -> tuple[Ints, Ints]:
    """Lowest id of each neuron of a kind, and one above the highest."""
    low, high = np.zeros(len(span), np.int64), np.full(len(span), len(span), np.int64)
    for window in windows:
        at = window.neurons - span.start
        low[at], high[at] = np.maximum(low[at], window.low), np.minimum(high[at], window.high)
    return low, high


def _place_faults(tally: Tally, ids: Ints, windows: tuple[Window, ...], asked: tuple[Usage, ...]) -> list[Fault]:
    """Windows of one kind that want more neurons than they have ids; if there is none, neurons that stand outside."""
    chip, faults = tally.chip.name, list[Fault]()
    crowded = [w for w in windows if len(w.neurons) > w.size]
    for window in crowded:
        wanted = len(window.neurons)
        if any(not u.fits and (u.asked, u.at_most) == (wanted, window.size) for u in asked):
            continue  # a limit of the chip file has said the same
        given = {"kind": window.kind, "asked": wanted, "at_most": window.size}
        was, todo = f"{wanted:,} neurons for {window.size:,} places", f"{wanted - window.size:,} too many"
        faults.append(Fault("ND1802", chip, was, str(window), todo, given))
    outside = [w.neurons[(ids[w.neurons] < w.low) | (ids[w.neurons] >= w.high)] for w in windows]
    late = np.unique(np.concatenate([np.zeros(0, np.int64), *outside]))
    if late.size and not crowded:
        kind = windows[0].kind
        was = f"{late.size:,} of {len(tally.spans[kind]):,} {kind} neurons without a place, first "
        must = "; ".join(map(str, windows))
        todo = "let fewer neurons stand at both ends, or make one of the layers smaller"
        given = {"kind": kind, "count": int(late.size)}
        faults.append(Fault("ND1802", chip, was + tally.name_of(int(late[0])), must, todo, given))
    return faults


def earliest_deadline(low: Ints, high: Ints) -> Ints:
    """Ids 0..n-1 for n neurons with windows low..high - 1, in order where the windows leave the choice.

    Each id goes to the waiting neuron whose window ends first: this finds a placement whenever there is one (unit jobs
    with release times and deadlines on one machine). If there is none, some neurons get an id outside their window.
    """
    count = len(low)
    ids = np.full(count, -1, np.int64)
    waiting: list[tuple[int, int]] = []
    order = np.argsort(low, kind="stable").tolist()
    after = 0
    for place in range(count):
        while after < count and (low[order[after]] <= place or not waiting):
            # where nobody may stand, the next neuron must: it then stands outside its window
            heappush(waiting, (int(high[order[after]]), order[after]))
            after += 1
        ids[heappop(waiting)[1]] = place
    return ids
