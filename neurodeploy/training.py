"""Train a float model on count data, and run one on counts: short, seeded, the same rule for every layer."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.events import Data
from neurodeploy.layers import Delay
from neurodeploy.models import reset_states

#: (input (time, batch, channel) float, positions of the samples, generator) -> changed input
Augment = Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]


def latency_of(model: torch.nn.Module) -> int:
    """Steps that the answer of a model lags behind its input: the sum of its delays."""
    return sum(module.steps for module in model.modules() if isinstance(module, Delay))


def run_model(model: torch.nn.Module, counts: NDArray[np.integer], *, drain: int | None = None) -> NDArray[np.int64]:
    """Event counts of the last layer of a model, from reset, without gradients.

    counts : (time, batch, channel)
    drain : silent steps to append; None appends the latency of the model, as ``simulate`` does
    Returns (time, batch, neuron).
    Raises Refusal: ND1602 for another number of channels than the model takes, ND1502 for counts that are no integers.
    """
    raise_if(_input_faults(model, counts))
    was_training = {module: module.training for module in model.modules()}
    model.eval()
    reset_states(model)
    try:
        with torch.no_grad():
            out: torch.Tensor = model(_padded(model, counts, drain))
    finally:
        reset_states(model)
        for module, training in was_training.items():
            module.training = training
    return out.round().to(torch.int64).numpy()


def _input_faults(model: torch.nn.Module, counts: NDArray[np.integer]) -> list[Fault]:
    if counts.dtype.kind not in "bui":
        return [Fault("ND1502", "input of the model", f"values of type {counts.dtype}", "whole numbers of events")]
    for module in model.modules():
        if isinstance(module, torch.nn.Flatten | torch.nn.Conv2d):
            return []  # their input has another form, which the layers check
        taken = getattr(module, "in_features", None)
        if taken is not None and taken != counts.shape[-1]:
            was = f"{counts.shape[-1]} channels"
            return [Fault("ND1602", "input of the model", was, f"the model takes {taken}", "", {"channels": taken})]
        if taken is not None:
            return []
    return []


def _label_faults(label: NDArray[np.integer], classes: int) -> list[Fault]:
    """Labels that no output stands for."""
    outside = np.flatnonzero((label < 0) | (label >= classes))
    if not outside.size:
        return []
    first = int(outside[0])
    was = f"label {label[first]} of sample {first}" + (f" and {outside.size - 1} more" if outside.size > 1 else "")
    return [Fault("ND1504", "train", was, f"0..{classes - 1}, one for each output neuron")]


def _padded(model: torch.nn.Module, counts: NDArray[np.integer], drain: int | None) -> torch.Tensor:
    extra = latency_of(model) if drain is None else drain
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    x = torch.as_tensor(counts.astype(np.int64)).to(dtype)
    return torch.cat([x, x.new_zeros((extra, *x.shape[1:]))])


def train(
    model: torch.nn.Module,
    data: Data,
    *,
    epochs: int = 40,
    learning_rate: float = 4e-3,
    batch_size: int = 64,
    sharpness: float = 0.3,
    seed: int = 0,
    augment: Augment | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> float:
    """Train a model in place to fire most with the output of each sample's label; returns the last epoch's loss.

    data : counts (time, batch, channel) with labels
    sharpness : the loss takes this many nats for each spike of lead; smaller asks for a larger lead, so fewer ties
    augment : changes the input of each batch, for instance by small shifts
    progress : called after each epoch with its number and mean loss
    Cross-entropy on the spike counts of the last layer; AdamW with one cycle of the learning rate; gradient norms are
    clipped at 1. The same seed, data and versions give the same weights on one machine; torch's own random numbers are
    as they were afterwards.
    Raises Refusal: ND1504 for data without labels or with labels that no output stands for, ND1602 for another number
    of channels than the model takes, ND1604 if the loss becomes NaN.
    """
    if data.label is None:
        raise Refusal(Fault("ND1504", "train", "data without labels", "a label for each sample", "state label=..."))
    if epochs < 1 or batch_size < 1:
        raise Refusal(Fault("ND1504", "train", f"epochs = {epochs}, batch_size = {batch_size}", "at least 1 each"))
    raise_if(_input_faults(model, data.input))
    raise_if(_label_faults(data.label, run_model(model, data.input[:1, :1]).shape[-1]))
    generator = torch.Generator().manual_seed(seed)
    x, y = _padded(model, data.input, None), torch.as_tensor(np.asarray(data.label))
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=0.0)
    steps = epochs * -(-len(y) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    model.train()
    loss = 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for dropout
        for epoch in range(epochs):
            total = 0.0
            for chosen in _batches(len(y), batch_size, generator):
                reset_states(model)
                rows = x[:, chosen]
                out = model(rows if augment is None else augment(rows, chosen, generator))
                error = torch.nn.functional.cross_entropy(sharpness * out.sum(0), y[chosen])
                optimizer.zero_grad()
                error.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                total += float(error.detach()) * len(chosen)
            loss = total / len(y)
            if not np.isfinite(loss):
                was = f"the loss is {loss} after epoch {epoch}"
                raise_if([Fault("ND1604", "train", was, "a finite loss", "lower the learning rate")])
            if progress is not None:
                progress(epoch, loss)
    reset_states(model)
    model.eval()
    return loss


def _batches(samples: int, size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    order = torch.randperm(samples, generator=generator)
    for first in range(0, samples, size):
        yield order[first : first + size]
