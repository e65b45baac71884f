"""A small sound chip as text, for tests that change one thing of it."""

import pytest

from neurodeploy.chips import Chip, chip
from neurodeploy.errors import Refusal
from neurodeploy.network import Network, group, place_identity, projection

SOUND = """
schema_version = 1
name = "small"
evidence = "desk"
[sources]
desk = { source = "invented for this test", date = 2026-11-20, grade = "inferred" }
[neuron.channel]
role = "input"
emits = "n"
external = { holds = [0, 15] }
state.n = { unsigned = 4 }
on.step = "n = external"
[neuron.cell]
role = "hidden output"
emits = "n"
state.v = { signed = 12 }
state.n = { unsigned = 1 }
param.threshold = { holds = [1, 2047], may = [1, 1000], default = 100 }
on.step = '''
v = sat(v - (v >> 2), 12)
n = 1 if v >= threshold else 0
v = v - n * threshold
'''
[connection.in]
from = "channel"
to = "cell"
weights = ["w"]
synapse.w = { signed = 6 }
on_input = "v = sat(v + arriving * w, 12)"
[connection.rec]
like = "in"
from = "cell"
[limit.cells]
value = "neurons_cell"
at_most = 32
unit = "neurons"
[schedule]
step = ["channel.step", "in", "rec", "cell.step"]
"""


def write(folder, text=SOUND, **changes):
    """A chip folder with the sound text, pieces of it replaced."""
    for old, new in changes.values():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "chip.toml").write_text(text)
    return folder


def refused(folder, text=SOUND, **changes) -> list[str]:
    with pytest.raises(Refusal) as caught:
        chip(write(folder, text, **changes))
    return [str(fault) for fault in caught.value.faults]


def small_network(c: Chip) -> Network:
    source, cell = group(c, "x", "channel", 2), group(c, "y", "cell", 2)
    weights = projection(c, "in", source, cell, w=[[31, 0], [31, 20]])
    return place_identity(Network(c, (source, cell), (weights,)))
