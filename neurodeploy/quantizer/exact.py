"""Training on the chip's own arithmetic: the forward pass is the integer network, the gradient that of the text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.chips import Chip
from neurodeploy.errors import Fault, Refusal
from neurodeploy.layers import Neuron, Stateful
from neurodeploy.network import Network, place_identity
from neurodeploy.network.network import Ints
from neurodeploy.quantizer.activity import Activity, observe
from neurodeploy.quantizer.agreeing import agreeing_network
from neurodeploy.quantizer.decays import Floats
from neurodeploy.quantizer.explain import arriving, stored_matrix
from neurodeploy.quantizer.lower import lower
from neurodeploy.quantizer.nodes import NORMS
from neurodeploy.quantizer.registers import Quantized
from neurodeploy.quantizer.scale import Choice, Room, room_of, unit_of
from neurodeploy.quantizer.search import settle, trial_of
from neurodeploy.quantizer.stages import Lowered, Stage
from neurodeploy.simulator import Run, simulate

#: of a clocked chip; compiled code would be compiled again where weights reach other ranges
EXECUTOR = "torch"


@dataclass(frozen=True)
class Arithmetic:
    """A chip's arithmetic as a hook before the forward pass of a constrained model.

    choice : shifts and shares that the quantizer settled once; the scales follow the weights with them
    peaks : layer -> float state -> (neuron,) largest magnitude on the calibration data; None without such data
    """

    chip: Chip
    choice: Choice
    peaks: Mapping[str, Mapping[str, Floats]] | None

    def __deepcopy__(self, _memo: dict[int, Any]) -> "Arithmetic":
        return self  # nothing of it changes

    def is_of(self, chip: Chip) -> bool:
        """Whether a chip computes in it."""
        return (self.chip.digest, self.chip.spoken) == (chip.digest, chip.spoken)

    def network(self, lowered: Lowered, dt_s: float | None = None) -> tuple[Network, tuple[Quantized, ...]]:
        """The integer network of the present weights; raises Refusal as ``quantize`` does."""
        return agreeing_network(lowered, self.choice, rooms_of(lowered, self.peaks), dt_s)

    def __call__(self, model: torch.nn.Module, given: tuple[Any, ...]) -> None:
        """Simulate the integer network on the input, and make every neuron layer take the course of its neurons."""
        counts = _counts(model, *given)
        for module in model.modules():
            if isinstance(module, (torch.nn.Dropout, *NORMS)):
                module.eval()  # the chip drops nothing, and knows the running statistics alone
        lowered = lower(model, self.chip)
        network, done = self.network(lowered)
        wanted = [f"{s.name}.{state}" for s in lowered.stages for state in _states_of(s).values()]
        executor = "auto" if self.chip.event_driven else EXECUTOR
        run = simulate(place_identity(network), counts, record=wanted, drain=0, executor=executor)
        for stage, quantized in zip(lowered.stages, done, strict=True):
            module = model.get_submodule(stage.name)
            if isinstance(module, Neuron):
                _lead(module, stage, quantized, run, given[0].device)


def settled(lowered: Lowered, counts: Ints | None, activity: Activity | None, choice: Choice | None) -> Arithmetic:
    """Settle how a float model becomes integers.

    counts, activity : calibration data, and what the float model does on them
    choice : what is settled already
    """
    peaks = None if activity is None else activity.peaks
    if choice is None:
        trial = None if counts is None or activity is None else trial_of(lowered, counts, activity)
        choice = settle(lowered, rooms_of(lowered, peaks), trial)
    return Arithmetic(lowered.chip, choice, peaks)


def rooms_of(lowered: Lowered, peaks: Mapping[str, Mapping[str, Floats]] | None) -> dict[str, Room]:
    """Layer -> upper ends of its scale."""
    return {s.name: room_of(s, None if peaks is None else peaks[s.name]) for s in lowered.stages}


def made_exact(model: torch.nn.Module, chip: Chip, calibration: npt.ArrayLike | None) -> torch.nn.Module:
    """Let a constrained model, which is ours to change, compute in the chip's arithmetic."""
    lowered = lower(model, chip)
    counts = None if calibration is None else np.asarray(calibration)
    arithmetic = settled(lowered, counts, None if counts is None else observe(lowered, counts), None)
    arithmetic.network(lowered)  # what cannot be quantized is refused before any training
    model.register_forward_pre_hook(arithmetic)
    return model


def arithmetic_of(model: torch.nn.Module) -> Arithmetic | None:
    """The arithmetic that a model computes in; None for a float model."""
    hooks = model._forward_pre_hooks.values()  # noqa: SLF001 - torch has no public way to ask
    return next((hook for hook in hooks if isinstance(hook, Arithmetic)), None)


def release(model: torch.nn.Module) -> Arithmetic | None:
    """Make a model of our own a float model again; returns the arithmetic that it had."""
    own = arithmetic_of(model)
    hooks = model._forward_pre_hooks  # noqa: SLF001 - torch has no public way to ask
    for number in [n for n, hook in hooks.items() if hook is own and own is not None]:
        del hooks[number]
    return own


def _counts(model: torch.nn.Module, x: object) -> np.ndarray[Any, Any]:
    """Input of the integer network; it runs from reset."""
    where = "a model in a chip's arithmetic"
    for module in model.modules():
        if isinstance(module, Stateful) and module._state:  # noqa: SLF001 - its own package
            was, todo = "states kept from the last call", "call reset_states(model) before each"
            raise Refusal(Fault("ND1602", where, was, "every call begins at the reset", todo))
    if not isinstance(x, torch.Tensor) or bool((x != x.round()).any()) or bool((x < 0).any()):
        must = "a tensor of whole numbers of events, (time, batch, channel)"
        raise Refusal(Fault("ND1602", where, "an input that is none", must, "count the events of each step first"))
    return x.detach().to("cpu", torch.int64).numpy()


def _states_of(stage: Stage) -> dict[str, str]:
    """State of the float layer -> register, of those that the layer has."""
    known = stage.kind.deploy.states if stage.kind.deploy else {}
    return {name: state for name, state in known.items() if name != "i" or stage.module.alpha_syn is not None}


def _lead(module: Neuron, stage: Stage, quantized: Quantized, run: Run, device: torch.device) -> None:
    """Make a layer take the course of its neurons on the chip, in the layer's own units."""

    def shaped(values: Any) -> torch.Tensor:
        rows = torch.as_tensor(values).to(device, module.dtype)
        return rows.reshape(*rows.shape[:2], *module.shape)

    states = {}
    for name, state in _states_of(stage).items():
        states[name] = shaped(run.states[stage.name][state] * _worth(stage, quantized.scale, name))
    module.follow(shaped(run.counts[stage.name]), states, shaped(_added(stage, quantized, run)))


def _added(stage: Stage, quantized: Quantized, run: Run) -> Floats:
    """(time, batch, neuron) what the rounding of weights adds to the input of the layer.

    Kernels are left out: spelled out they would be the largest matrices, and they are stored where weights are fine.
    """
    added = np.zeros(run.counts[stage.name].shape)
    for edge, projection in zip(stage.edges, quantized.projections, strict=True):
        if edge.geometry is None:
            rounded = stored_matrix(edge, projection, edge.weight.shape) / quantized.scale
            added += arriving(edge, run) @ (rounded - edge.weight)
    return added


def _worth(stage: Stage, scale: Floats, name: str) -> Floats:
    """(neuron,) what a step of a register is in the float layer."""
    step = 1 / (scale * unit_of(stage))
    deploy = stage.kind.deploy
    late = np.ones(stage.size)
    if deploy is not None and deploy.input == "after decay" and "alpha_syn" in stage.keep:
        late = stage.keep["alpha_syn"]  # the layer's current has decayed once more
    return step * (stage.gain if name == "v" else late)
