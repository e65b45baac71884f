import numpy as np

import neurodeploy as nd
from neurodeploy.network import Convolution, Network, convolution, group

chip = nd.chip("speck2f")
edge = nd.moving_edge(20_000, width=32, height=32)  # made up and seeded; nd.load_events reads npz, csv, N-MNIST, AEDAT4
rng = np.random.default_rng(0)
pixels = group(chip, "pixels", "pixel", (2, 32, 32))
first = Convolution(pixels.shape, (4, 2, 3, 3), stride=(2, 2), padding=(1, 1))
features = group(chip, "features", "unit", first.target, threshold_high=150, threshold_low=-150)
second = Convolution(features.shape, (10, 4, 8, 8), pooling=(2, 2))
classes = group(chip, "classes", "unit", second.target, threshold_high=300, threshold_low=-300)
network = nd.place_identity(
    Network(
        chip,
        (pixels, features, classes),
        (
            convolution(chip, "convolve", pixels, features, first, w=rng.integers(-30, 60, first.kernel)),
            convolution(chip, "convolve", features, classes, second, w=rng.integers(-40, 50, second.kernel)),
        ),
    )
)
given = nd.stimulus(edge, dt_us=10_000)
run = nd.simulate(network, given)
print(run.counts["classes"].sum(axis=0), run.events["classes"][:3])  # per class; input event, step, sample, neuron
print(nd.observe_orders(network, given, orders=8))
