import inspect
import sys
from pathlib import Path

import torch

from neurodeploy.layers import Neuron
from neurodeploy.layers.registry import LAYERS
from neurodeploy.plot import plot_evolution, plot_resets, save_picture

# what a constructor asks for without a default, and what some models need beside; time constants in steps
GIVEN = {"tau_mem": 20.0, "tau_syn": 8.0, "tau_adapt": 40.0, "alpha": 0.9, "beta": 0.8, "dt": 1.0}
BESIDE = {
    "Lapicque": {"resistance": 5.0, "capacitance": 4.0},
    "RLeaky": {"rec_weight": -0.3},
    "RSynaptic": {"rec_weight": -0.3},
}


def build(model: type[Neuron], **options: object) -> Neuron:
    """One neuron of a model."""
    takes = inspect.signature(model).parameters
    asked = [name for name, option in takes.items() if option.default is inspect.Parameter.empty]
    given = {name: GIVEN[name] for name in asked if name != "shape"}
    return model(1, **given, **BESIDE.get(model.__name__, {}), **options)


def drive(neuron: Neuron) -> torch.Tensor:
    """A step, a pause and three pulses, as strong as the neuron needs to fire five times in the step."""
    shape = torch.zeros(160, 1, 1)
    shape[10:90] = 1.0
    shape[[105, 115, 125]] = 3.0
    strengths = 0.01 * 1.2 ** torch.arange(60.0)  # all at once, as a batch
    fires = (neuron(shape * strengths.reshape(1, -1, 1))[10:90] > 0).sum((0, 2)) >= 5
    neuron.reset_states()
    return shape * strengths[fires.int().argmax()]


folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name, model in sorted(LAYERS.items()):
    if issubclass(model, Neuron):
        variants = {name: {}}
        if "tau_syn" in inspect.signature(model).parameters:
            variants[f"{name} with a synaptic current"] = {"tau_syn": 8.0}
        for title, options in variants.items():
            neuron = build(model, **options)
            picture = plot_evolution(neuron, drive(neuron), title=title)
            save_picture(picture, folder / f"{title.replace(' ', '_')}.png")
        if "reset" in neuron.options:
            resets = ("hard", "soft") if neuron.options["reset"] == "hard" else ("subtract", "zero")
            save_picture(plot_resets(neuron, 2 * drive(neuron), resets=resets), folder / f"{name}_resets.png")
print(*sorted(file.name for file in folder.glob("*.png")), sep="\n")
