"""Training speed: one step of a spiking network, our kernels against other ways to compute it, in one process.

Only ratios within one run count: the variants take turns, so that what else the machine does meets all of them.
"""

import importlib.metadata
import importlib.util
import itertools
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from neurodeploy.errors import Fault, Missing, Refusal, raise_if
from neurodeploy.layers import LIF, EventLinear, FastSigmoid, Stateful

SIZES, BATCH, RATE, DECAY, SLOPE = (128, 256, 256, 10), 64, 0.05, 0.9, 5.0
OURS = ("events", "kernels", "looped", "products alone")


@dataclass(frozen=True)
class Training:
    """Times of one training step (forward and backward), in milliseconds, by variant.

    steps, threads, rounds : time steps, CPU threads, timed rounds
    milliseconds : of every round
    first : of the first step, which compiles or loads what is not in memory
    versions : of torch and of the peers that ran
    missing : peers that are not installed
    hidden_rates : spikes per neuron and step of the hidden layers of the looped variant
    """

    steps: int
    threads: int
    rounds: int
    milliseconds: Mapping[str, tuple[float, ...]]
    first: Mapping[str, float]
    versions: Mapping[str, str]
    missing: tuple[str, ...]
    hidden_rates: tuple[float, ...]

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
    require_peers : refuse (Missing) where one is not installed
    The looped variant and the kernels compute the same numbers, and that is checked first.
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
    asked = list(PEERS if peers is None else peers)
    missing = [name for name in asked if importlib.util.find_spec(name) is None]
    if require_peers and missing:
        wanted = f"pip install {' '.join(missing)}"
        raise Missing(Fault("ND9001", "bench", f"not installed: {', '.join(missing)}", "every peer must run", wanted))
    names = [name for name in asked if name not in missing]
    variants = {name: _ours(name) for name in OURS} | {name: PEERS[name]() for name in names}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _timed(variants, steps, threads, rounds, names, tuple(missing))
    finally:
        torch.set_num_threads(before)


def _timed(
    variants: Mapping[str, torch.nn.Module],
    steps: int,
    threads: int,
    rounds: int,
    peers: list[str],
    missing: tuple[str, ...],
) -> Training:
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(steps, BATCH, SIZES[0], generator=generator) < RATE).float()
    target = torch.randint(0, SIZES[-1], (BATCH,), generator=generator)
    first = {name: _step(model, x, target) for name, model in variants.items()}
    _check_equal(variants["looped"], variants["kernels"])
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, model in variants.items():
            times[name].append(_step(model, x, target))
    rates = []
    with torch.no_grad():
        value = x
        for layer in variants["looped"].children():
            _forget(layer)
            value = layer(value)
            if isinstance(layer, LIF):
                rates.append(value.mean().item())
    return Training(
        steps,
        threads,
        rounds,
        {name: tuple(found) for name, found in times.items()},
        first,
        {name: importlib.metadata.version(name) for name in ["torch", *peers]},
        missing,
        tuple(rates[:-1]),
    )


def _step(model: torch.nn.Module, x: torch.Tensor, target: torch.Tensor) -> float:
    """Milliseconds of one step from a fresh state."""
    model.zero_grad(set_to_none=True)
    _forget(model)
    begin = time.perf_counter()
    torch.nn.functional.cross_entropy(model(x).sum(0), target).backward()  # type: ignore[no-untyped-call] # torch's
    return (time.perf_counter() - begin) * 1e3


def _forget(model: torch.nn.Module) -> None:
    for layer in model.modules():
        if isinstance(layer, Stateful):
            layer.reset_states()
        elif isinstance(layer, _Peer):
            layer.forget()


def _check_equal(one: torch.nn.Module, other: torch.nn.Module) -> None:
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        if a.grad is None or b.grad is None or not torch.allclose(a.grad, b.grad, rtol=1e-3, atol=1e-5):
            must = "it must be that of the looped executor"
            raise Refusal(Fault("ND1601", "bench", "the gradient of the kernels differs", must))


def _model(neurons: Callable[[int], torch.nn.Module], linear: type[torch.nn.Linear]) -> torch.nn.Sequential:
    generator = torch.Generator().manual_seed(1)
    model = torch.nn.Sequential()
    for inputs, outputs in itertools.pairwise(SIZES):
        layer = linear(inputs, outputs, bias=False)
        torch.nn.init.normal_(layer.weight, std=1.6 / math.sqrt(inputs), generator=generator)
        model.extend([layer, neurons(outputs)])
    return model


def _ours(name: str) -> torch.nn.Module:
    if name == "products alone":
        return _model(lambda _: torch.nn.Identity(), torch.nn.Linear)

    def neurons(count: int) -> torch.nn.Module:
        surrogate = FastSigmoid(SLOPE)
        layer = LIF(count, _TAU, norm_input=False, max_spikes=1, comparison=">", surrogate=surrogate)
        layer.executor = "torch" if name == "looped" else "numba"
        return layer

    return _model(neurons, EventLinear if name == "events" else torch.nn.Linear)


_TAU = -1 / math.log(DECAY)


class _Peer(torch.nn.Module):
    """A layer of another library, run over (time, batch, neuron)."""

    def __init__(
        self, layer: Any, run: Callable[[Any, torch.Tensor], torch.Tensor], forget: Callable[[Any], object]
    ) -> None:
        super().__init__()
        self.layer, self._run, self._forget = layer, run, forget

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Spikes (time, batch, neuron)."""
        return self._run(self.layer, x)

    def forget(self) -> None:
        """Start the next sequence from rest."""
        self._forget(self.layer)


def _snntorch() -> torch.nn.Module:
    import snntorch

    def run(layer: Any, x: torch.Tensor) -> torch.Tensor:
        membrane, spikes = layer.reset_mem(), []
        for row in x.unbind(0):
            spike, membrane = layer(row, membrane)
            spikes.append(spike)
        return torch.stack(spikes)

    def neurons(_: int) -> torch.nn.Module:
        surrogate = snntorch.surrogate.fast_sigmoid(slope=SLOPE)
        return _Peer(snntorch.Leaky(beta=DECAY, spike_grad=surrogate), run, lambda _: None)

    return _model(neurons, torch.nn.Linear)


def _sinabs() -> torch.nn.Module:
    from sinabs.layers import LIF as Other  # noqa: N811 - beside our own

    def run(layer: Any, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = layer(x.transpose(0, 1)).transpose(0, 1)
        return found

    def neurons(_: int) -> torch.nn.Module:
        return _Peer(Other(tau_mem=_TAU, norm_input=False), run, lambda layer: layer.reset_states())

    return _model(neurons, torch.nn.Linear)


def _norse() -> torch.nn.Module:
    from norse.torch import LIFBoxCell, LIFBoxParameters, Lift

    def neurons(_: int) -> torch.nn.Module:
        parameters = LIFBoxParameters(tau_mem_inv=torch.tensor(100.0), v_th=torch.tensor(0.1))
        layer = Lift(LIFBoxCell(parameters, dt=0.001))
        return _Peer(layer, lambda layer, x: layer(x)[0], lambda _: None)

    return _model(neurons, torch.nn.Linear)


def _spikingjelly() -> torch.nn.Module:
    from spikingjelly.activation_based import functional, neuron, surrogate

    def neurons(_: int) -> torch.nn.Module:
        layer = neuron.LIFNode(
            tau=1 / (1 - DECAY),
            decay_input=False,
            detach_reset=False,
            v_reset=None,
            step_mode="m",
            surrogate_function=surrogate.ATan(),
        )
        return _Peer(layer, lambda layer, x: layer(x), functional.reset_net)

    return _model(neurons, torch.nn.Linear)


#: Other libraries by the name of their package; each is run where it is installed.
PEERS: Mapping[str, Callable[[], torch.nn.Module]] = {
    "snntorch": _snntorch,
    "sinabs": _sinabs,
    "norse": _norse,
    "spikingjelly": _spikingjelly,
}
