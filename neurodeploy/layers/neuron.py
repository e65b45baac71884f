"""Neurons as texts: a layer is a docstring and a step text; this class runs the text over the torch table."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from inspect import Signature
from typing import Any, ClassVar

import torch

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.kernels import Course
from neurodeploy.layers.declared import parsed, resolve, signature
from neurodeploy.layers.executors import run_kernels, takes_kernels
from neurodeploy.layers.parameters import Parameter, Resolved
from neurodeploy.layers.registry import describe, dtype_name, plain
from neurodeploy.layers.stateful import TIME_BATCH, Stateful
from neurodeploy.layers.surrogates import SingleExponential, Surrogate, describe_surrogate
from neurodeploy.layers.table import torch_table
from neurodeploy.layers.values import value_faults
from neurodeploy.step import Assign, Name, Text, assigned, check_names, run
from neurodeploy.step.tree import read


@dataclass(frozen=True)
class Anatomy:
    """What a layer computes, options resolved.

    once, step : its texts
    starts : state -> start value, a number or the name of a value
    values : everything else that the texts read, by name: tensors that broadcast to the neurons, and numbers
    """

    once: Text
    step: Text
    starts: Mapping[str, float | str]
    values: Mapping[str, Any]


class Neuron(Stateful):
    """A population of neurons whose meaning is a text.

    A subclass gives the class attributes

    arguments : name -> kind (``neurodeploy.layers.parameters``): what the constructor takes after ``shape``, how it
        is checked, and what the texts may read of it. Required ones may be given by position
    states : name -> start value, a number or the name of a parameter. A state that the texts do not mention under the
        options of a layer does not exist there
    once : text that runs once per call, for what follows from parameters alone (decays); differentiated too
    step : text that runs in every time step. It reads ``x`` (this step's input, the recurrent part included), the
        states, the parameters and what ``once`` assigned; it must assign ``spike``, which the layer returns
    functions : macros of both texts
    default_surrogate : where the constructor is given none
    rests_at_zero : whether the membrane rests at 0, so that the threshold is also the distance to it; without it,
        surrogates that measure in thresholds are refused

    The names ``x`` and ``spike`` belong to every neuron. A subclass without ``arguments`` and ``states`` hands them
    to the constructor itself, with the keywords of ``_make``.

    Parameters
    ----------
    shape : int or tuple of int
        Neuron dimensions.
    *values, **options
        The parameters that the class declares; ``help`` of the class lists them with their defaults.
    train : tuple of names, optional
        Parameters that an optimizer may change; each keeps the shape that it was given with.
    surrogate : Surrogate, optional
        Derivative of the firing functions; a hashable value with ``gradient(v, threshold)``.
    rec_connect : torch.nn.Module, optional
        Maps the spikes (batch, *shape) of one step to an input of the next. Exactly 0 in the first step after a reset,
        except where ``spike`` is a state: there it maps the start value.
    record_states : bool
        Keep every state of every step of the last call in ``recordings``: name -> (time, batch, *shape), taken at the
        end of the step, so after the reset. They are copies, and differentiable.
    check_input : bool
        Refuse NaN and infinite input (ND1604); costs one more pass over the input.
    executor : "auto", "torch", "numba" or "triton"
        What runs the text; it decides no spikes and is not described. "torch": one operator after the other, the
        definition. "numba": one generated kernel for all steps, and one for the gradient; float32 and float64 on the
        CPU; rec_connect a Linear, SparseLinear, EventLinear, Conv2d or Identity, computed as "torch" does. "triton":
        the same two kernels on a GPU; no rec_connect. "auto": the one of these two that belongs to the device of the
        input, for calls of ``AUTO`` updates or more that it can take, where it is installed; else "torch". It may be
        set at any time.
    """

    arguments: ClassVar[Mapping[str, Parameter]] = {}
    states: ClassVar[Mapping[str, float | str]] = {}
    AUTO: ClassVar[int] = 1 << 14  # time steps x batch x neurons; below, compiling would take longer than running

    once: ClassVar[str] = ""
    step: ClassVar[str] = ""
    functions: ClassVar[Mapping[str, str]] = {}
    default_surrogate: ClassVar[Surrogate] = SingleExponential()
    rests_at_zero: ClassVar[bool] = True
    __signature__: ClassVar[Signature]

    def __init_subclass__(cls) -> None:
        """Give a class that declares parameters the signature of its constructor."""
        super().__init_subclass__()
        if cls.arguments or cls.states:
            cls.__signature__ = signature(cls.arguments)

    @classmethod
    def check_together(cls, into: Resolved) -> None:
        """Note faults of options that are right one by one and wrong together, with ``into.check.fault``."""

    def __init__(self, shape: int | tuple[int, ...], *values: Any, **options: Any) -> None:
        declared = bool(self.arguments or self.states)
        self._make(**(resolve(type(self), shape, values, options) if declared else {"shape": shape, **options}))

    def _make(
        self,
        shape: tuple[int, ...],
        *,
        states: Mapping[str, float | str],
        tensors: Mapping[str, torch.Tensor],
        options: Mapping[str, object],
        positive: Collection[str] = (),
        numbers: Mapping[str, float] | None = None,
        flags: Mapping[str, bool] | None = None,
        surrogate: Surrogate | None = None,
        rec_connect: torch.nn.Module | None = None,
        record_states: bool = False,
        check_input: bool = False,
        executor: str = "auto",
    ) -> None:
        """Make the layer.

        states : start values; a name stands for that tensor or number. States live until ``reset_states()``
        tensors : names that the texts read; a torch.nn.Parameter is trained, any other tensor becomes a buffer. Both
            travel in ``state_dict``
        positive : tensors that must stay above 0
        numbers : names that the texts read and nobody trains
        flags : conditions of the texts, resolved here: an unused branch does not exist
        options : what ``describe()`` tells: every constructor option, tensors as they were given
        """
        super().__init__()
        self.shape, self.executor = shape, executor
        self.surrogate = SingleExponential() if surrogate is None else surrogate
        if not self.rests_at_zero and getattr(self.surrogate, "relative", False):
            was = f"surrogate {type(self.surrogate).__name__}, which measures in thresholds"
            must = "its membrane does not rest at 0, so the threshold is no distance"
            todo = "use one in the unit of the membrane: FastSigmoid, Atan, Gaussian, Triangle"
            raise Refusal(Fault("ND1601", type(self).__name__, was, must, todo))
        self.rec_connect = rec_connect
        self.record_states, self.check_input = record_states, check_input
        self.recordings: dict[str, torch.Tensor] = {}
        self.course: Course | None = None
        self._states, self._numbers = dict(states), dict(numbers or {})
        self._tensors, self._positive = tuple(tensors), frozenset(positive)
        self._options = {"shape": shape, **{name: _described(value) for name, value in options.items()}}
        for name, tensor in tensors.items():
            if isinstance(tensor, torch.nn.Parameter):
                self.register_parameter(name, tensor)
            else:
                self.register_buffer(name, tensor)
        self._once = self._parsed("once", flags or {})
        self._step = self._parsed("step", flags or {})
        raise_if(self._text_faults())

    def _parsed(self, which: str, flags: Mapping[str, bool]) -> Text:
        return parsed(type(self), which, flags)

    def _text_faults(self) -> list[Fault]:
        given = {*self._tensors, *self._numbers}
        derived = {statement.name for statement in assigned(self._once.statements)}
        faults = check_names(self._once, states=derived, readable=given)
        # reading the spikes once more, as a state of their own, demands that the text assigns them
        emits = Text((*self._step.statements, Assign("emitted", Name("spike"))), self._step.source, self._step.where)
        faults += check_names(emits, states={*self._states, "emitted"}, readable={*given, *derived, "x"})
        unread = derived - set(read(self._once.statements)) - set(read(self._step.statements))
        for name in sorted(unread):
            was, must = f"{name!r} is assigned and never read", "both texts must read what once assigns"
            faults.append(Fault("ND1006", self._once.where, was, must, "remove the line"))
        return faults

    def __getstate__(self) -> dict[str, Any]:
        # copies take the values of what was recorded, not its history
        return super().__getstate__() | {"recordings": {n: value.detach() for n, value in self.recordings.items()}}

    @property
    def dtype(self) -> torch.dtype:
        """Float type of the parameters, the states and the spikes."""
        first = next((getattr(self, name) for name in self._tensors), None)
        return torch.get_default_dtype() if first is None else first.dtype

    @property
    def options(self) -> dict[str, Any]:
        """Copy of the constructor's options; tensors as {"shape": [...]}."""
        return dict(self._options)

    def anatomy(self) -> Anatomy:
        """Return the texts of the layer under its options, with what they read."""
        return Anatomy(self._once, self._step, dict(self._states), self._parameters_by_name())

    def derived(self) -> dict[str, Any]:
        """Return what ``once`` assigns, as the next call would see it."""
        environment = self._parameters_by_name()
        names = {statement.name for statement in assigned(self._once.statements)}
        run(self._once.statements, environment, torch_table(self.surrogate, self.dtype))
        return {name: environment[name] for name in sorted(names)}

    def describe(self) -> dict[str, Any]:
        """JSON-able description: class, float type and every option that decides spikes or gradients; no weights.

        Raises Refusal for a surrogate (ND1601) or a module in ``rec_connect`` (ND1603) that cannot be described.
        """
        back = None if self.rec_connect is None else describe(self.rec_connect)
        options = {name: plain(value) for name, value in self._options.items()}
        options |= {"surrogate": describe_surrogate(self.surrogate), "rec_connect": back}
        return {"class": type(self).__name__, "dtype": dtype_name(self.dtype), "options": options}

    def set_states(self, **states: torch.Tensor) -> None:
        """Say from which states the next call continues; those that are not named begin at their start values.

        states : (batch, *shape) each; a gradient flows back to them
        Raises Refusal (ND1602) for an unknown name, another shape or float type.
        """
        for name, value in states.items():
            was = f"state {name} is {dtype_name(value.dtype)} of shape {tuple(value.shape)}"
            if name not in self._states:
                raise self._refuse_input(f"state {name!r}", f"its states are {', '.join(self._states)}")
            if tuple(value.shape[1:]) != self.shape or value.dtype != self.dtype:
                raise self._refuse_input(was, f"it must be {dtype_name(self.dtype)} of shape (batch, *{self.shape})")
            if value.shape != next(iter(states.values())).shape:
                raise self._refuse_input(was, "all must have the same batch size")
        if states:
            like = next(iter(states.values())).unsqueeze(0)
            self._state = self._started(like, self._parameters_by_name()) | states

    def follow(
        self, spikes: torch.Tensor, states: Mapping[str, torch.Tensor], added: torch.Tensor | None = None
    ) -> None:
        """Say what the next call returns and where its steps leave the states, whatever the text would make of them.

        spikes, states : (time, batch, *shape), of the layer's float type; states that are not named stay the text's
        added : (time, batch, *shape), a constant that its input lacks: what the text reads is the sum
        The gradient is that of the text, every step taken from the states that it was told. Later calls are free again.
        Raises Refusal (ND1602) for a state that the layer has not.
        """
        unknown = sorted(set(states) - set(self._states))
        if unknown:
            raise self._refuse_input(f"state {unknown[0]!r}", f"its states are {', '.join(self._states)}")
        self.course = Course(spikes, dict(states), added)

    def faults(self) -> list[Fault]:
        """Faults of the present values of the parameters, for instance after loading them."""
        found: list[Fault] = []
        for name in self._tensors:
            found += value_faults(self._where(), name, getattr(self, name), positive=name in self._positive)
        return found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run all steps.

        x : (time, batch, *shape), of the layer's float type, or integer counts
        Returns the spikes, (time, batch, *shape), whole numbers in the layer's float type.
        Raises Refusal (ND1602) for another shape or float type, and for a batch other than that of the kept state.
        """
        try:
            x = self._checked(x)
            return self._run(x if self.course is None or self.course.added is None else x + self.course.added)
        finally:
            self.course = None

    def _run(self, x: torch.Tensor) -> torch.Tensor:
        environment = self._parameters_by_name()
        run(self._once.statements, environment, torch_table(self.surrogate, self.dtype))
        start = self._state or self._started(x, environment)
        if takes_kernels(self, x, auto=self.AUTO):
            found = run_kernels(self, self._step, x, start, environment)
            self._state, self.recordings = found.states, found.recordings
            return found.spikes
        environment |= start
        table = torch_table(self.surrogate, self.dtype)
        spikes: list[torch.Tensor] = []
        recorded: dict[str, list[torch.Tensor]] = {name: [] for name in self._states if self.record_states}
        # never x[t]: its backward fills a tensor of the whole length in every step
        for t, row in enumerate(x.unbind(0)):
            environment["x"] = self._with_feedback(row, environment)
            run(self._step.statements, environment, table)
            if self.course is not None:
                self.course.stand_in(t, environment)
            spikes.append(environment["spike"])
            for name, rows in recorded.items():
                rows.append(environment[name])
        kept = [*self._states, "spike"] if self.rec_connect is not None else [*self._states]
        self._state = {name: environment[name] for name in kept if name in environment}
        self.recordings = {name: torch.stack(rows) if rows else x.clone() for name, rows in recorded.items()}
        return torch.stack(spikes) if spikes else x.clone()

    def _started(self, x: torch.Tensor, environment: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """States at the first step after a reset, (batch, *shape) each."""
        starts = {n: environment[s] if isinstance(s, str) else s for n, s in self._states.items()}
        return {name: x.new_zeros(x.shape[1:]) + start for name, start in starts.items()}

    def _with_feedback(self, row: torch.Tensor, environment: Mapping[str, Any]) -> torch.Tensor:
        if self.rec_connect is None or "spike" not in environment:
            return row
        back: torch.Tensor = self.rec_connect(environment["spike"])
        if back.shape != row.shape:
            was = f"rec_connect returns shape {tuple(back.shape)}"
            raise self._refuse_input(was, f"it must return that of the spikes, {tuple(row.shape)}")
        return row + back

    def _parameters_by_name(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._tensors} | self._numbers

    def _checked(self, x: object) -> torch.Tensor:
        x = self._check_tensor(x)
        if tuple(x.shape[TIME_BATCH:]) != self.shape:
            was = f"the input has shape {tuple(x.shape)}"
            must = f"it must be (time, batch, {', '.join(map(str, self.shape))})"
            raise self._refuse_input(was, must, shape=tuple(x.shape), neurons=self.shape)
        self._check_continues(tuple(x.shape[1:]))
        if not x.is_floating_point():
            return x.to(self.dtype)  # counts
        if x.dtype != self.dtype:
            was, must = f"the input is {dtype_name(x.dtype)}", f"the layer is {dtype_name(self.dtype)}; both must agree"
            raise self._refuse_input(was, must, "convert one of them with .to(...)")
        if self.check_input and not bool(torch.isfinite(x).all()):
            bad = ~torch.isfinite(x)
            place = tuple(int(i) for i in bad.nonzero()[0])
            was, must = f"{int(bad.sum())} NaN or infinite values, the first at {place}", "the input must be finite"
            raise Refusal(Fault("ND1604", self._where(), was, must, "", {"count": int(bad.sum()), "first": place}))
        return x


def _described(value: object) -> object:
    return {"shape": list(value.shape)} if isinstance(value, torch.Tensor) else value
