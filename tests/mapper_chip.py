"""Small made-up chips, written as chip.toml: windows of hardware ids, cores, limits of every scope."""

from pathlib import Path

import numpy as np

from neurodeploy.chips import Chip, chip
from neurodeploy.network import Network, group, projection

HEAD = """
schema_version = 1
name = "small"
evidence = "made_up"

[sources]
made_up = {{ source = "a test", date = 2026-11-20, grade = "inferred" }}

[neuron.channel]
role = "input"
emits = "count"
external = {{ holds = [0, 15] }}
state.count = {{ unsigned = 4 }}
on.step = "count = external"

[neuron.hidden]
role = "hidden"
emits = "count"
state.v = {{ signed = 16 }}
state.count = {{ unsigned = 1 }}
on.step = '''
count = 1 if v >= 3 else 0
v = v - count * v
'''

[neuron.output]
role = "output"
emits = "count"
state.v = {{ signed = 16 }}
state.count = {{ unsigned = 1 }}
on.step = '''
count = 1 if v >= 3 else 0
v = v - count * v
'''

[connection.in]
from = "channel"
to = "hidden"
synapse.w = {{ signed = 8 }}
weights = ["w"]
{reach_in}
on_input = "v = sat(v + arriving * w, 16)"

[connection.rec]
from = "hidden"
to = "hidden"
synapse.w = {{ signed = 8 }}
weights = ["w"]
{reach_rec}
on_input = "v = sat(v + arriving * w, 16)"

[connection.out]
from = {out_from}
to = "output"
synapse.w = {{ signed = 8 }}
param.gain = {{ holds = [0, 9], may = [0, 7], safe = [1, 3], default = 1 }}
weights = ["w"]
{reach_out}
on_input = "v = sat(v + arriving * w * gain, 16)"

[connection.alias]
from = "hidden"
to = "hidden"
forward_only = "{forward_only}"
on_input = "count = max(count, arriving)"

[schedule]
step = ["channel.step", "in", "rec", "out", ["hidden.step", "alias"], "output.step"]
"""


def write_chip(
    folder: Path,
    more: str = "",
    *,
    reach_in: int = 0,
    reach_rec: int = 0,
    reach_out: int = 0,
    out_from: tuple[str, ...] = ("hidden",),
    forward_only: str = "",
) -> Chip:
    """Write a chip and read it.

    more : tables of limits, cores and figures
    reach_in, reach_rec, reach_out : width of the windows; 0 lifts them
    """
    text = HEAD.format(
        reach_in=f"targets_first = {reach_in}",
        reach_rec=f"sources_last = {reach_rec}",
        reach_out=f"sources_last = {reach_out}",
        out_from=str(list(out_from)),
        forward_only=forward_only,
    )
    (folder / "chip.toml").write_text(text + more)
    return chip(folder)


def wired(target: Chip, sizes: dict[str, int], *links: tuple[str, str, str, np.ndarray]) -> Network:
    """Groups named after their kinds' first letter and a number; links are (kind, source, target, weights)."""
    kinds = {"c": "channel", "h": "hidden", "o": "output"}
    groups = {name: group(target, name, kinds[name[0]], size) for name, size in sizes.items()}
    projections = [projection(target, kind, groups[s], groups[t], w=w) for kind, s, t, w in links]
    return Network(target, tuple(groups.values()), tuple(projections))
