"""Two neurons of a tutorial, written by hand there, as texts: a leaky membrane, and one that fires and is reset."""

from typing import ClassVar

import torch

from neurodeploy.layers import Neuron
from neurodeploy.layers.parameters import Positive, Real


class LeakyIntegrate(Neuron):
    """dU = dt / (R C) * (I R - U), by the forward Euler method; the output is U before the step, in volts."""

    arguments: ClassVar = {"r": Positive(5e7), "c": Positive(1e-10), "dt": Positive(1e-3), "start": Real(0.9)}
    states: ClassVar = {"u": "start"}
    step = """
spike = u
u = u + dt / (r * c) * (x * r - u)
"""


class HandWrittenLIF(Neuron):
    """The same membrane; a spike where the last step left it above the threshold, which is then subtracted."""

    arguments: ClassVar = {"r": Positive(5.1), "c": Positive(5e-3), "dt": Positive(1e-3), "threshold": Positive(1.0)}
    states: ClassVar = {"u": 0.0}
    step = """
spike = above(u, threshold)
u = u + dt / (r * c) * (x * r - u) - spike * threshold
"""


def main() -> None:
    """Run both on the currents of the tutorial."""
    decay = LeakyIntegrate(1)(torch.zeros(100, 1, 1)).flatten()
    print(f"U falls from {decay[0]:.3f} V to {decay[5]:.3f} V in 5 ms, one time constant")
    current = torch.cat((torch.zeros(10), torch.full((190,), 0.2))).reshape(200, 1, 1)
    spikes = HandWrittenLIF(1)(current).flatten()
    print(f"0.2 A from step 10: spikes in steps {spikes.nonzero().flatten().tolist()}")


if __name__ == "__main__":
    main()
