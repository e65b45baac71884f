"""Neurons of other libraries as they train fastest on the CPU, set to the dynamics of the workload.

Where the library's own loop over time reads ``x[t]``, whose gradient fills a tensor of the whole length in every step,
it is given one step or a piece of the sequence at a time: as written it would take minutes for 1000 steps.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from neurodeploy.bench.workload import DECAY, SLOPE, TAU, Peer, model_of

PIECE = 25  # steps that sinabs is given at once; it is about as fast with 5 and slower with 1 and 100


class _SnnTorch(Peer):
    """Leaky, which keeps its membrane itself; the reset follows one step after the spike, as is its default."""

    def __init__(self) -> None:
        super().__init__()
        import snntorch

        surrogate = snntorch.surrogate.fast_sigmoid(slope=SLOPE)
        self.layer: Any = snntorch.Leaky(beta=DECAY, spike_grad=surrogate, init_hidden=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.layer(row) for row in x.unbind(0)])

    def forget(self) -> None:
        self.layer.reset_mem()


class _Sinabs(Peer):
    """LIF with at most one spike per step, over (batch, time, neuron); its state goes on from piece to piece."""

    def __init__(self) -> None:
        super().__init__()
        from sinabs.activation import SingleSpike
        from sinabs.layers import LIF

        self.layer: Any = LIF(tau_mem=TAU, norm_input=False, spike_fn=SingleSpike)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pieces = torch.split(x.transpose(0, 1), PIECE, dim=1)
        return torch.cat([self.layer(piece) for piece in pieces], 1).transpose(0, 1)

    def forget(self) -> None:
        self.layer.reset_states()


class _Norse(Peer):
    """LIFBoxCell in a loop, with reset by subtraction; all its voltages are a tenth of ours, its surrogate the same."""

    def __init__(self) -> None:
        super().__init__()
        from norse.torch import LIFBoxCell, LIFBoxParameters
        from norse.torch.functional.reset import reset_subtract

        gain = 1 - DECAY
        parameters = LIFBoxParameters(
            tau_mem_inv=torch.tensor(gain / 0.001),
            v_th=torch.tensor(gain),
            alpha=torch.tensor(SLOPE / gain),
            reset_method=reset_subtract,
        )
        self.layer: Any = LIFBoxCell(parameters, dt=0.001)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state, spikes = None, []
        for row in x.unbind(0):
            spike, state = self.layer(row, state)
            spikes.append(spike)
        return torch.stack(spikes)


class _SpikingJelly(Peer):
    """LIFNode over all steps at once, soft reset, the default surrogate (its speed does not depend on which)."""

    def __init__(self) -> None:
        super().__init__()
        from spikingjelly.activation_based import neuron, surrogate

        self.layer: Any = neuron.LIFNode(
            tau=1 / (1 - DECAY),
            decay_input=False,
            detach_reset=False,
            v_reset=None,
            step_mode="m",
            surrogate_function=surrogate.ATan(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spikes: torch.Tensor = self.layer(x)
        return spikes

    def forget(self) -> None:
        self.layer.reset()


def _model(layer: Callable[[], Peer]) -> Callable[[], torch.nn.Sequential]:
    return lambda: model_of(lambda _: layer(), torch.nn.Linear)


#: Other libraries by the name of their package; each is run where it is installed.
PEERS: Mapping[str, Callable[[], torch.nn.Sequential]] = {
    "snntorch": _model(_SnnTorch),
    "sinabs": _model(_Sinabs),
    "norse": _model(_Norse),
    "spikingjelly": _model(_SpikingJelly),
}
