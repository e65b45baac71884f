"""The demo's float network: the largest that the chip's limits allow, found by asking them."""

from collections import OrderedDict
from dataclasses import dataclass, replace

import torch

from neurodeploy.checker import Fit, check
from neurodeploy.chips import Chip
from neurodeploy.errors import DoesNotFit
from neurodeploy.layers import LIF, SingleExponential, SparseLinear

#: Sizes to try, the largest first; more neurons than this add training time and little accuracy.
HIDDEN = (126, 96, 64, 48, 32)
FAN_OUT = (126, 96, 64, 48, 32, 16, 8)
#: Wide surrogate: gradients reach neurons far from their threshold.
SURROGATE = SingleExponential(2.0)


@dataclass(frozen=True)
class Shape:
    """Size of the demo network."""

    channels: int
    hidden: int
    fan_out: int
    classes: int

    @property
    def words(self) -> str:
        """What it is, in a line."""
        return f"{self.channels} inputs - {self.hidden} recurrent neurons - {self.classes} outputs"

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return {"classes": self.classes, "hidden": self.hidden, "fan_out": self.fan_out}


def build(shape: Shape, seed: int) -> torch.nn.Sequential:
    """Float network: inputs, recurrent hidden neurons, one output neuron for each class; spikes as on the chip."""
    torch.manual_seed(seed)
    hidden, classes = shape.hidden, shape.classes
    recurrent = SparseLinear(hidden, hidden, fan_out=shape.fan_out, seed=seed)
    first = torch.nn.Linear(shape.channels, hidden, bias=False)
    with torch.no_grad():
        first.weight.mul_(0.4)  # several events arrive in a step
        recurrent.weight.mul_(0.3)
    options = {"norm_input": False, "surrogate": SURROGATE}
    layers: dict[str, torch.nn.Module] = {
        "to_hidden": first,
        "hidden": LIF(hidden, tau_mem=8, tau_syn=3, rec_connect=recurrent, **options),
        "to_output": torch.nn.Linear(hidden, classes, bias=False),
        "output": LIF(classes, tau_mem=8, tau_syn=4, **options),
    }
    return torch.nn.Sequential(OrderedDict(layers))


def largest_shape(chip: Chip, channels: int, classes: int) -> tuple[Shape, Fit]:
    """Largest network that fits: as many classes as the chip has outputs for, then neurons, then recurrent synapses.

    Each size is the largest that fits with the others as small as they can be; limits are upper bounds, so a smaller
    network always fits where a larger one does.
    Raises DoesNotFit with the reasons of the smallest network, if not even that fits.
    """
    shape = Shape(channels, HIDDEN[-1], FAN_OUT[-1], 2)
    fit = check(build(shape, 0), chip)
    if not fit.fits:
        raise DoesNotFit(fit.faults)
    for name, sizes in (("classes", range(classes, 2, -1)), ("hidden", HIDDEN), ("fan_out", FAN_OUT)):
        for size in sizes:
            larger = replace(shape, **{name: size})
            if larger.fan_out <= larger.hidden and (tried := check(build(larger, 0), chip)).fits:
                shape, fit = larger, tried
                break
    return shape, fit
