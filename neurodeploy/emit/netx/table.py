"""What chip.toml says about NetX: which of its datasets holds which register. Read from ``[emit.netx]``, checked."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from neurodeploy.chips import Chip
from neurodeploy.chips.formats import table_of
from neurodeploy.chips.part import Part
from neurodeploy.errors import Fault

FORMAT = "netx/1"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Reset(_Table):
    """A periodic reset: parameters of the step of the first one, counted from 1, and of the steps between two."""

    first: str
    every: str


class Neurons(_Table):
    """A neuron kind as NetX knows it.

    type : what stands under ``neuron/type``
    registers : dataset -> (our parameter, what is added to it in the file)
    bias : parameter that the layer's ``bias`` holds
    fixed : parameters that the format cannot carry -> the value that the loader gives them
    idle : of these, what may be anything where the named parameter is 0: a bias exponent without a bias
    reset : of a periodic reset the loader is told by its caller, one for all layers, each a step after the one before
    """

    type: str
    registers: Mapping[str, Annotated[tuple[str, int], BeforeValidator(tuple)]]
    bias: str | None = None
    fixed: Mapping[str, int] = {}
    idle: Mapping[str, str] = {}
    reset: Reset | None = None

    @property
    def told(self) -> tuple[str, ...]:
        """Parameters that stand in no layer."""
        return () if self.reset is None else (self.reset.first, self.reset.every)


class Weights(_Table):
    """A connection kind as NetX knows it.

    weight, delay : synapse fields; delay "" where the connection has none
    exponent, bits, sign_mode : parameters that the loader chooses for a matrix; "" where there are none
    fixed : parameters that the format cannot carry -> the value that the loader gives them
    """

    weight: str
    delay: str = ""
    exponent: str = ""
    bits: str = ""
    sign_mode: str = ""
    fixed: Mapping[str, int] = {}

    def chosen(self) -> dict[str, str]:
        """What the loader chooses -> our parameter."""
        names = {"exponent": self.exponent, "bits": self.bits, "sign_mode": self.sign_mode}
        return {role: name for role, name in names.items() if name}


class NetxTable(Part):
    """The whole table.

    input : neuron kind of the events from outside
    neuron : neuron kind -> how it is written
    dense, conv : connection kind -> how it is written
    delay : delays that the loader keeps; beyond it cuts them
    """

    input: str
    neuron: Mapping[str, Neurons]
    dense: Mapping[str, Weights]
    conv: Mapping[str, Weights] = {}
    delay: Annotated[int, Field(ge=0)]


def netx_table(chip: Chip) -> NetxTable:
    """Table of a chip.

    Raises Refusal: ND1901 the chip has none, ND1102 and ND1103 with every fault of the table.
    """
    return table_of(chip, "netx", NetxTable, _contradictions, "file for NetX")


def _contradictions(chip: Chip, table: NetxTable) -> Iterator[Fault]:
    """Registers without a place are faults: they would be dropped."""
    where = f"{chip.name}, emit.netx"
    for kind, neurons in table.neuron.items():
        if kind not in chip.neurons:
            yield Fault("ND1103", f"{where}.neuron", f"kind {kind!r}", f"one of {', '.join(chip.neurons)}")
            continue
        named = [name for name, _ in neurons.registers.values()] + ([neurons.bias] if neurons.bias else [])
        yield from _uncovered(
            f"{where}.neuron.{kind}", [*named, *neurons.fixed, *neurons.told], list(chip.neurons[kind].parameters)
        )
    for group, many in (("dense", table.dense), ("conv", table.conv)):
        for kind, weights in many.items():
            if kind not in chip.connections:
                yield Fault("ND1103", f"{where}.{group}", f"kind {kind!r}", f"one of {', '.join(chip.connections)}")
                continue
            place, connection = f"{where}.{group}.{kind}", chip.connections[kind]
            fields = [weights.weight] + [weights.delay] * bool(weights.delay)
            yield from _uncovered(place, fields, list(connection.fields))
            yield from _uncovered(place, [*weights.chosen().values(), *weights.fixed], list(connection.parameters))


def _uncovered(where: str, named: list[str], known: list[str]) -> Iterator[Fault]:
    for name in sorted({*named, *known}):
        if named.count(name) != 1 or name not in known:
            was = f"{name!r} stands {named.count(name)} times"
            yield Fault("ND1103", where, was, f"each of {', '.join(known) or 'nothing'} once, and no other")
