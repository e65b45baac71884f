"""Handlers over tensors: the text of a handler with its types, its parameters, and the check of widths."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from neurodeploy.chips import Handler
from neurodeploy.simulator.executors import Widths
from neurodeploy.simulator.machine import Ints, Lane
from neurodeploy.simulator.tensors.table import held_type, integer_table, type_of
from neurodeploy.step import Interval, run

#: state -> (batch, neuron)
Tensors = dict[str, torch.Tensor]


class LeftWidthError(Exception):
    """A text left the width of a register."""


class Watch:
    """Notes values outside their registers: at once on the processor, at the end of a chunk elsewhere."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bad = torch.zeros((), dtype=torch.bool, device=device)

    def look(self, values: torch.Tensor, register: Interval) -> None:
        """Note values that a register does not hold."""
        if values.numel():
            low, high = torch.aminmax(values)
            self.bad = self.bad | (low < register.low) | (high > register.high)
            if self.device.type == "cpu":
                self.check()

    def check(self) -> None:
        """Raise LeftWidthError if a value was outside."""
        if self.bad:
            raise LeftWidthError


def tensor(values: Ints, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Whole numbers on a device."""
    return torch.from_numpy(np.array(values, np.int64)).to(device=device, dtype=dtype)


def range_of(values: Ints) -> Interval:
    """Smallest interval of some numbers."""
    return Interval(int(values.min()), int(values.max())) if values.size else Interval(0, 0)


class Folded:
    """A handler, ready to run on tensors.

    lane : the neurons whose states it reads
    widths : registers that it may write
    given : name -> range, of what it is given
    same : name -> value, of what is one number for all
    """

    def __init__(
        self,
        handler: Handler,
        lane: Lane,
        widths: Widths,
        given: Mapping[str, Interval],
        same: Mapping[str, int],
        watch: Watch,
    ) -> None:
        self.handler, self.widths, self.watch = handler, widths, watch
        needed = handler.reads | handler.writes
        self.read = [n for n in {**lane.kind.states, **widths} if n in needed]
        ranges = {n: w.interval for n, w in {**lane.kind.states, **widths}.items()}
        ranges |= {n: range_of(v) for n, v in lane.parameters.items()}
        ranges |= {n: Interval(v, v) for n, v in same.items()} | dict(given)
        self.dtype = type_of(handler.text, ranges)
        self.table = integer_table(self.dtype, watch.device)
        make = self.dtype, watch.device
        self.parameters = {n: tensor(v, *make) for n, v in lane.parameters.items() if n in needed}
        self.same = {n: tensor(np.array(v), *make) for n, v in same.items() if n in needed}

    def compute(self, environment: dict[str, Any], kept: torch.Tensor | None = None) -> Tensors:
        """New values of the registers that the handler writes, in the registers' types.

        environment : states, parameters and what is given; changed
        kept : where the old value stays
        """
        old = {n: environment[n] for n in self.handler.writes}
        environment |= self.same
        run(self.handler.text.statements, environment, self.table)
        result = {}
        for name in sorted(self.handler.writes):
            value = environment[name]
            if kept is not None:
                value = torch.where(kept, old[name], value)
            if name in self.handler.unproved:
                self.watch.look(value, self.widths[name].interval)
            result[name] = value.to(held_type(self.widths[name].interval))
        return result

    def whole(self, states: Tensors, given: Mapping[str, torch.Tensor]) -> None:
        """Run on all neurons; states are replaced."""
        environment: dict[str, Any] = dict(self.parameters)
        environment |= {n: states[n].to(self.dtype) for n in self.read}
        environment |= {n: v.to(self.dtype) for n, v in given.items() if n in self.handler.reads}
        before = {n: states[n] for n in self.read}
        new = self.compute(environment)
        for name, value in new.items():
            shape = states[name].shape
            shared = value.shape != shape or any(value is v for v in before.values())
            states[name] = value.expand(shape).clone() if shared else value

    def part(self, states: Tensors, part: slice | torch.Tensor, given: Mapping[str, torch.Tensor]) -> None:
        """Run on some neurons, in place."""
        environment: dict[str, Any] = {n: v[part] for n, v in self.parameters.items()}
        environment |= {n: states[n][:, part].to(self.dtype, copy=True) for n in self.read}
        environment |= {n: v[:, part].to(self.dtype) for n, v in given.items() if n in self.handler.reads}
        for name, value in self.compute(environment).items():
            states[name][:, part] = value
