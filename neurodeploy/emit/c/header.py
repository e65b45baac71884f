"""The header of a network in C: its state and its functions, with a word on each."""

from collections.abc import Mapping, Sequence

from neurodeploy.emit.c.tables import indented
from neurodeploy.network import Network
from neurodeploy.simulator import latency_of


def header_of(
    network: Network,
    prefix: str,
    names: Mapping[str, str],
    members: Sequence[str],
    arguments: Sequence[str],
    told: Sequence[str],
) -> list[str]:
    """Lines of the header.

    names : group -> its C name
    members : declarations of the state struct
    arguments : declarations of what a step is given, after the state
    told : what the comment at the top begins with
    """
    guard, latency, given = f"{prefix.upper()}_H", latency_of(network), ", ".join(arguments)
    comment = [
        *told,
        f"Chip description {network.chip.digest}.",
        "",
        "Counts are event counts of one step, in the group's own order. The last input has reached the outputs",
        f"after {latency} more step(s) of silence. Members of the state stand in ascending hardware id.",
    ]
    return [
        "/*",
        *(f" * {line}".rstrip() for line in comment),
        " */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        *(f"#define {prefix.upper()}_{names[g.name].upper()}_SIZE {g.size}" for g in network.groups),
        f"#define {prefix.upper()}_LATENCY {latency}",
        "",
        "typedef struct {",
        *indented(members),
        f"}} {prefix}_state;",
        "",
        "/* Before the first step, and whenever the network is to forget. */",
        f"void {prefix}_reset({prefix}_state *S);",
        "",
        "/* One step: counts in, counts out. Returns the member fault. */",
        f"int {prefix}_step({prefix}_state *S, {given});",
        "",
        "/* Steps one after the other; arrays are (step, neuron). */",
        f"int {prefix}_run({prefix}_state *S, int32_t steps, {given});",
        "",
        "#endif",
    ]
