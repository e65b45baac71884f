"""Dialects of a chip cannot differ on a network: proved from the ranges in which the chip's file says they agree."""

from collections.abc import Iterator, Mapping

import numpy as np

from neurodeploy.errors import Fault
from neurodeploy.network import Group, Network, Projection
from neurodeploy.ranges.proof import Failure, prove_group
from neurodeploy.step import NUMPY, Assign, Interval, Text, evaluate
from neurodeploy.step.language import Expression
from neurodeploy.step.paths import path_intervals

#: Code of a network on which dialects could differ.
DIFFER = "ND2201"


def agreement_faults(network: Network, *, external: Interval | None = None) -> list[Fault]:
    """Why the dialects of the network's chip could differ on it; empty where they are proved equal.

    external : counts from outside in each step; None is all that the inputs take
    Every neuron's ranges are proved by induction (``prove_group``) and compared with the chip's ``[agreement]``, every
    synapse is computed. A network that is refused may still be computed alike by all: this is the worst input.
    """
    found = list[Fault]()
    for projection in network.projections:
        found += _synapse_faults(network, projection)
    for group in network.groups:
        found += _neuron_faults(network, group, external)
    return found


def _texts(network: Network, part: str, kind: str) -> Iterator[tuple[str, Expression, Interval]]:
    entry, formulas = network.chip.file.agreement, network.chip.agreement.get((part, kind), ())
    if entry is not None and formulas:
        written = (entry.neuron if part == "neuron" else entry.connection)[kind]
        for text, (formula, interval) in zip(written, formulas, strict=True):
            yield text, formula, interval


def _who(network: Network) -> str:
    return f"{', '.join(network.chip.dialects)} agree"


def _synapse_faults(network: Network, projection: Projection) -> Iterator[Fault]:
    fields = {n: np.asarray(v) for n, v in projection.fields.items()}
    size = len(next(iter(fields.values()), ()))
    parameters = {n: np.int64(v) for n, v in projection.parameters.items()}
    where = f"{network.chip.name}, projection {projection.source} -> {projection.target}"
    for text, formula, interval in _texts(network, "connection", projection.kind):
        values = np.broadcast_to(evaluate(formula, fields | parameters, NUMPY), (size,))
        bad = np.flatnonzero((values < interval.low) | (values > interval.high))
        if bad.size:
            first = int(bad[0])
            shown = ", ".join(f"{n} = {int(v[first])}" for n, v in fields.items())
            registers = "".join(f", {n} = {v}" for n, v in projection.parameters.items())
            was = f"{text} is {values[first]} at {shown}{registers}" + (f", {bad.size} such in all" * (bad.size > 1))
            todo = "write weights that lie on their grid: nd.quantize does"
            numbers = {"value": int(values[first]), "count": int(bad.size)}
            yield Fault(DIFFER, where, was, f"{_who(network)} where it is in {interval}", todo, numbers)


def _neuron_faults(network: Network, group: Group, external: Interval | None) -> Iterator[Fault]:
    formulas = list(_texts(network, "neuron", group.kind))
    if not formulas:
        return

    def test(states: Mapping[str, Interval], columns: Mapping[str, Interval]) -> str:
        names = {**columns, **states}
        reached = [(text, _interval(formula, names), limit) for text, formula, limit in formulas]
        return "; ".join(
            f"{text} can reach {found}, and {_who(network)} in {limit}"
            for text, found, limit in reached
            if not found.within(limit)
        )

    for failure in prove_group(network, group, external=external, test=test).failures:
        yield _fault(network, failure)


def _interval(formula: Expression, names: Mapping[str, Interval]) -> Interval:
    return path_intervals(Text((Assign("value", formula),), "", "agreement"), names)["value"]


def _fault(network: Network, failure: Failure) -> Fault:
    where = f"{network.chip.name}, group {failure.group!r}, neuron {failure.neuron}"
    more = f", like {failure.others} more neurons" if failure.others else ""
    must = "whatever comes in, a network stays where all that compute this chip agree"
    todo = "make weights or bias smaller, let states decay faster, or connect fewer sources to it"
    values = {"group": failure.group, "neuron": failure.neuron, "others": failure.others}
    return Fault(DIFFER, where, f"with the worst input {failure.reason}{more}", must, todo, values)
