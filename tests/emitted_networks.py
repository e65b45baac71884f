"""Networks that are written in C and Verilog: of our clocked chips, and of chips that nobody has seen."""

import numpy as np
from generated_chips import draw, network, plain_network, toml
from random_networks import Options, random_counts, random_network

from neurodeploy.chips import chip, target_folders

CLOCKED = [name for name in target_folders() if not chip(name).event_driven]


def sample(name, seed, steps=14, hidden=(3, 12)):
    """A network of a chip and its input; with an odd seed of several groups, with doubled synapses."""
    rng = np.random.default_rng(seed)
    options = Options(groups=1 + 2 * (seed % 2), doubled=0.1 * (seed % 2), hidden=hidden, steps=(steps, steps))
    made = random_network(chip(name), rng, options)
    return made, random_counts(made, rng, options)


def generated(folder, seed):
    """A network of a chip that was made up, whose file goes to a folder, and its input."""
    drawn = draw(seed)
    folder.mkdir()
    (folder / "chip.toml").write_text(toml(drawn))
    made = network(chip(str(folder)), drawn, plain_network(drawn))
    return made, {g.name: np.random.default_rng(seed).integers(0, 3, (12, 1, g.size)) for g in made.inputs()}
