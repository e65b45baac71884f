"""Time the variants in turn and check that they compute the same."""

import importlib.metadata
import importlib.util
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from neurodeploy.bench.machine import load_of, machine_of
from neurodeploy.bench.peers import PEERS
from neurodeploy.bench.workload import BATCH, OURS, SIZES, ours, sample, spikes_of, step
from neurodeploy.errors import Fault, MissingPeer, Refusal, raise_if

ALIKE = 0.3  # share by which the rate of a layer may differ: nobody is fast because it is silent
FEWEST = 1000  # spikes of a layer from which its rate says something


@dataclass(frozen=True)
class Training:
    """Times of one training step (forward and backward), in milliseconds, by variant.

    steps, threads, rounds : time steps, CPU threads, timed rounds
    milliseconds : of every round
    first : of the first step, which compiles or loads what is not in memory
    rates : spikes per neuron and step, by layer; for "products alone" none
    differing : share of the first layer's outputs that differ from those of the looped variant; none likewise
    versions : of torch and of the peers that ran
    missing : peers that cannot be imported, with the reason
    machine : processor, cores, system, Python, and the load before and after
    """

    steps: int
    threads: int
    rounds: int
    milliseconds: Mapping[str, tuple[float, ...]]
    first: Mapping[str, float]
    rates: Mapping[str, tuple[float, ...]]
    differing: Mapping[str, float]
    versions: Mapping[str, str]
    missing: Mapping[str, str]
    machine: str

    def median(self, variant: str) -> float:
        """Median time of a variant."""
        return statistics.median(self.milliseconds[variant])

    def ratios(self, of: str = "events") -> dict[str, float]:
        """How many times longer each variant takes than one of them: the median over the rounds of their ratios."""
        base = self.milliseconds[of]
        return {
            name: statistics.median(t / b for t, b in zip(times, base, strict=True))
            for name, times in self.milliseconds.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values, with the ratios to ``events`` and ``kernels``."""
        return asdict(self) | {"ratios": {of: self.ratios(of) for of in ("events", "kernels")}}

    def markdown(self) -> str:
        """A table with the machine and the versions; it holds ratios, since times of another machine say nothing."""
        heads = ["variant", "time / events", "time / kernels", "rates of the layers", "first layer differs"]
        lines = [f"| {' | '.join(heads)} |", "|---|--:|--:|---|--:|"]
        events, kernels = self.ratios(), self.ratios("kernels")
        for name in self.milliseconds:
            version = f" {self.versions[name]}" if name in self.versions else ""
            rates = ", ".join(f"{rate:.1%}" for rate in self.rates.get(name, ()))
            differs = f"{self.differing[name]:.2%}" if name in self.differing else ""
            lines.append(f"| {name}{version} | {events[name]:.2f} | {kernels[name]:.2f} | {rates} | {differs} |")
        sizes = "-".join(map(str, SIZES))
        title = f"LIF {sizes}, batch {BATCH}, T = {self.steps}, {self.threads} threads, {self.rounds} rounds"
        return "\n".join([f"{title}; torch {self.versions['torch']}; {self.machine}.", "", *lines])


def bench_training(
    *,
    steps: int = 100,
    threads: int = 2,
    rounds: int = 7,
    peers: Sequence[str] | None = None,
    require_peers: bool = False,
) -> Training:
    """Time one training step of LIF 128-256-256-10, batch 64, float32, input rate 5 %.

    peers : names of PEERS; None: those that are installed
    require_peers : refuse (MissingPeer) where one cannot be imported
    The looped variant and the kernels compute the same numbers, and that is checked first; a peer whose layers spike
    much more or much less than the looped variant is refused (ND1601).
    """
    faults = [
        Fault("ND1601", "bench", f"{name} = {value}", "a whole number of at least 1", "", {name: value})
        for name, value in {"steps": steps, "threads": threads, "rounds": rounds}.items()
        if value < 1
    ]
    faults += [
        Fault("ND1601", "bench", f"peer {name!r}", f"it must be one of {', '.join(PEERS)}")
        for name in peers or ()
        if name not in PEERS
    ]
    raise_if(faults)
    found, missing = _peers(PEERS if peers is None else peers)
    if require_peers and missing:
        was = f"not installed: {', '.join(missing)} ({'; '.join(missing.values())})"
        wanted = f"pip install --no-deps {' '.join(missing)}; README, Training speed, names what they need besides"
        raise MissingPeer(Fault("ND9001", "bench", was, "every peer must run", wanted))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _timed({name: ours(name) for name in OURS} | found, steps, threads, rounds, missing)
    finally:
        torch.set_num_threads(before)


def _peers(names: Sequence[str] | Mapping[str, object]) -> tuple[dict[str, torch.nn.Sequential], dict[str, str]]:
    """Models of the peers, and the reasons of those that are missing."""
    found, missing = {}, {}
    for name in names:
        try:
            if importlib.util.find_spec(name) is None:
                raise ModuleNotFoundError(f"no module named {name}")
            found[name] = PEERS[name]()
        except ImportError as error:  # its own or that of a package that it needs
            missing[name] = str(error)
    return found, missing


def _timed(
    variants: Mapping[str, torch.nn.Sequential], steps: int, threads: int, rounds: int, missing: Mapping[str, str]
) -> Training:
    load = load_of()
    x, target = sample(steps)
    first = {name: step(model, x, target) for name, model in variants.items()}
    _check_equal(variants["looped"], variants["kernels"])
    rates, differing = _compared(variants, x)
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, model in variants.items():
            times[name].append(step(model, x, target))
    return Training(
        steps,
        threads,
        rounds,
        {name: tuple(found) for name, found in times.items()},
        first,
        rates,
        differing,
        {name: importlib.metadata.version(name) for name in ["torch", *(n for n in variants if n not in OURS)]},
        missing,
        f"{machine_of()}, load {load} before and {load_of()} after",
    )


def _check_equal(one: torch.nn.Module, other: torch.nn.Module) -> None:
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        if a.grad is None or b.grad is None or not torch.allclose(a.grad, b.grad, rtol=1e-3, atol=1e-5):
            must = "it must be that of the looped executor"
            raise Refusal(Fault("ND1601", "bench", "the gradient of the kernels differs", must))


def _compared(
    variants: Mapping[str, torch.nn.Sequential], x: torch.Tensor
) -> tuple[dict[str, tuple[float, ...]], dict[str, float]]:
    """Rates by layer and share of the first layer that differs from the looped variant."""
    right = spikes_of(variants["looped"], x)
    rates, differing, faults = {}, {}, []
    for name, model in variants.items():
        if name == "products alone":
            continue
        found = spikes_of(model, x)
        rates[name] = tuple(spikes.float().mean().item() for spikes in found)
        differing[name] = (found[0] != right[0]).float().mean().item()
        for layer, (spikes, expected) in enumerate(zip(found[:-1], right[:-1], strict=True)):
            count, wanted = int(spikes.sum()), int(expected.sum())
            if wanted >= FEWEST and abs(count - wanted) > ALIKE * wanted:
                was = f"{name}: hidden layer {layer} spikes {count} times"
                faults.append(Fault("ND1601", "bench", was, f"about {wanted} times, as the looped executor"))
    raise_if(faults)
    return rates, differing
