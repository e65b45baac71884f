"""Widths of weights that the user may choose: which layers have some, and a model whose weights take no more bits."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from neurodeploy.errors import Fault, raise_if
from neurodeploy.quantizer.grids import reach
from neurodeploy.quantizer.stages import Edge, Lowered, Stage
from neurodeploy.step import Interval


def width_choices(lowered: Lowered) -> dict[str, Interval]:
    """Layer -> the widths that its weights may have, of the layers whose connections have a register of the width.

    Empty where the chip leaves nothing to choose.
    """
    found = {s.name: [i for e in s.edges if (i := _widths(e)) is not None] for s in lowered.stages}
    return {n: Interval(min(i.low for i in own), max(i.high for i in own)) for n, own in found.items() if own}


def narrow(lowered: Lowered, weight_bits: Mapping[str, int]) -> Lowered:
    """The same model, with weights that take no more than so many bits.

    weight_bits : layer -> most bits of every weight that ends there
    Raises Refusal ND1705 with every width that cannot be had.
    """
    if not weight_bits:
        return lowered
    raise_if(list(_faults(lowered, weight_bits)))
    stages = tuple(
        replace(s, edges=tuple(replace(e, bits=weight_bits.get(s.name)) for e in s.edges)) for s in lowered.stages
    )
    return replace(lowered, stages=stages)


def _widths(edge: Edge) -> Interval | None:
    grid = edge.kind.entry.grid
    return edge.kind.parameters[grid.bits].interval if grid is not None and grid.bits else None


def _faults(lowered: Lowered, weight_bits: Mapping[str, int]) -> Iterator[Fault]:
    choices, stages = width_choices(lowered), {s.name: s for s in lowered.stages}
    for name, bits in weight_bits.items():
        where = f"{lowered.chip.name}, layer {name!r}"
        if name not in choices:
            was = "its weights have one width" if name in stages else "no layer of that name"
            must = f"a layer whose weights have a width to choose: {', '.join(choices) or 'this chip has none'}"
            yield Fault("ND1705", where, was, must)
        elif type(bits) is not int or bits not in choices[name]:
            yield Fault("ND1705", where, f"{bits!r} bits", f"a whole number of bits in {choices[name]}")
        elif empty := list(_empty(stages[name], bits)):
            was = f"{bits} bits hold no weight but 0 of those from {', '.join(map(repr, empty))}"
            yield Fault("ND1705", where, was, "bits for at least one other weight", "give the layer a bit more")


def _empty(stage: Stage, bits: int) -> Iterator[str]:
    """Sources whose weights have such signs that so few bits leave nothing of them."""
    for edge in stage.edges:
        if edge.weight.any() and reach(edge.kind, stage.together(edge), bits) == 0:
            yield edge.source
