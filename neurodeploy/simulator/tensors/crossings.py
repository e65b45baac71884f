"""Sums of single neurons that could meet a rail in this very step: only these are made event by event."""

from collections.abc import Sequence

import numpy as np
import torch

from neurodeploy.simulator.machine import Ints
from neurodeploy.simulator.tensors.sums import TOTAL, Addition
from neurodeploy.simulator.tensors.texts import Tensors, tensor
from neurodeploy.step import Table, run


class Crossings:
    """Lines that only add and whose rails hold the whole register: what adds nothing then changes nothing.

    real : type in which no partial sum of what arrives is rounded
    """

    def __init__(
        self, lines: Sequence[Addition], weights: Sequence[Ints], real: torch.dtype, ops: Table, device: torch.device
    ) -> None:
        self.lines, self.ops = lines, ops
        both = [np.concatenate([np.maximum(w, 0), np.maximum(-w, 0)], axis=1) for w in weights]
        self.sides = [tensor(w, torch.int64, device).to(real) for w in both]
        # one more row without weights, for samples with fewer events than others
        dtype = ops["literal"](0).dtype
        self.weights = [tensor(np.concatenate([w, np.zeros_like(w[:1])]), dtype, device) for w in weights]

    def settle(
        self, new: Tensors, before: Tensors, arriving: torch.Tensor, samples: torch.Tensor, most: int
    ) -> int | None:
        """Correct sums of some samples, in place; returns how many were made event by event.

        new : name -> (sample, column) as if no rail were met; before : the same before the delivery
        arriving : (row of ``samples``, row) events, none negative
        most : None is returned, and nothing corrected, where there would be more such sums than this
        """
        unsafe = [self._unsafe(i, before, arriving, samples) for i in range(len(self.lines))]
        found = sum(len(sample) for sample, _ in unsafe)
        if found > most:
            return None
        events = order_of(arriving) if found else []
        for line, weights, (sample, column) in zip(self.lines, self.weights, unsafe, strict=True):
            if len(sample):
                values = before[line.name][samples[sample], column].to(weights.dtype)
                for rows, counts in events:
                    part = counts[sample].to(weights.dtype) * weights[rows[sample], column]
                    environment = {line.name: values, TOTAL: part}
                    run(line.after.statements, environment, self.ops)
                    values = environment[line.name]
                new[line.name][samples[sample], column] = values.to(new[line.name].dtype)
        return found

    def _unsafe(
        self, number: int, before: Tensors, arriving: torch.Tensor, samples: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of ``samples``, and columns, where some order of what arrives meets a rail."""
        line, sides = self.lines[number], self.sides[number]
        if line.rails is None:
            return samples[:0], samples[:0]
        both = (arriving.to(sides.dtype) @ sides).to(torch.int64)
        up, down = torch.split(both, sides.shape[1] // 2, dim=1)
        start = before[line.name][samples]
        meets = (start + up > line.rails.high) | (start - down < line.rails.low)
        sample, column = meets.nonzero(as_tuple=True)
        return sample, column


def order_of(arriving: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Rows that bring events, and how many: the first of every sample, the second, ...

    arriving : (sample, row); a sample that has no more gets the number of rows, and no event
    """
    emitted = arriving != 0
    counts = emitted.sum(1)
    most = int(counts.max()) if counts.numel() else 0
    order = torch.argsort(emitted.to(torch.int8), dim=1, descending=True, stable=True)[:, :most]
    steps = torch.arange(most, device=order.device)
    order = torch.where(steps[None] < counts[:, None], order, arriving.shape[1])
    padded = torch.cat([arriving, arriving.new_zeros(len(arriving), 1)], 1)
    return [(order[:, step], padded.gather(1, order[:, step, None])[:, 0]) for step in range(most)]
