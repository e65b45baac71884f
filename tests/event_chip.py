"""A made-up chip that events drive: a crossbar whose ticks fire, with or without a bound of the queue."""

import numpy as np

from neurodeploy.chips import from_raw
from neurodeploy.network import Network, group, place_identity, projection

PLAIN = """
schema_version = 1
name = "crossbar"
evidence = "desk"
[sources]
desk = { source = "invented for this test", date = 2026-11-20, grade = "inferred" }
[neuron.line]
role = "input"
emits = "event"
external = { holds = [0, 100] }
[neuron.cell]
role = "hidden output"
emits = "spike"
state.v = { signed = 12, start = "first" }
param.first = { holds = [-2048, 2047], default = 0 }
param.bias = { holds = [-9, 9], default = 0 }
param.threshold = { holds = [1, 2047], default = 100 }
on.tick = '''
v = sat(v + bias, 12)
spike = 1 if v >= threshold else 0
if spike == 1:
    v = 0
'''
[connection.row]
from = ["line", "cell"]
to = "cell"
pattern = "dense"
scan = "target"
weights = ["w"]
synapse.w = { signed = 8 }
on_input = '''
v = sat(v + w, 12)
spike = 1 if v >= threshold else 0
if spike == 1:
    v = 0
'''
[schedule]
kind = "event"
step = ["events", "cell.tick"]
"""
WAITING = (
    PLAIN
    + """
waits = "spike"
depth = 4
when_full = "drop"
"""
)


def chip_of(text):
    import tomllib

    return from_raw(tomllib.loads(text))


def crossbar(chip, weights, *, into=None, start=0, bias=0, rng=None):
    """Two lines and as many cells as the weights have columns; hardware ids are shuffled if there is an rng."""
    size = len(weights)
    given = into if into is not None else np.full((2, size), 60)
    lines = group(chip, "line", "line", 2)
    cells = group(chip, "cell", "cell", size, first=start, bias=bias)
    pieces = (projection(chip, "row", lines, cells, w=given), projection(chip, "row", cells, cells, w=weights))
    return (
        place_identity(Network(chip, (lines, cells), pieces))
        if rng is None
        else scattered(chip, lines, cells, pieces, rng)
    )


def scattered(chip, lines, cells, pieces, rng):
    from dataclasses import replace

    groups = tuple(replace(g, ids=rng.permutation(2 * g.size)[: g.size]) for g in (lines, cells))
    return Network(chip, groups, pieces)
