"""The network of a choice of scales: inside the guards of its chip, and where all dialects of the chip agree."""

from collections.abc import Mapping
from dataclasses import replace

from neurodeploy.errors import raise_if
from neurodeploy.network import Network, guard_faults
from neurodeploy.quantizer.registers import Quantized, build_network
from neurodeploy.quantizer.scale import Choice, Room
from neurodeploy.quantizer.stages import Lowered
from neurodeploy.ranges import agreement_faults

#: How often a layer's scale is lowered, each time by this factor, to bring it where all dialects of the chip agree.
LOWERINGS, LOWERED = 8, 0.6


def agreeing_network(
    lowered: Lowered, choice: Choice, rooms: Mapping[str, Room], dt_s: float | None
) -> tuple[Network, tuple[Quantized, ...]]:
    """The network of a choice, with scales lowered where the chip's dialects could differ on it, and inside its guards.

    Raises Refusal with all faults.
    """
    for lowering in range(LOWERINGS + 1):
        network, done, faults = build_network(lowered, choice, rooms, until=len(lowered.stages), dt_s=dt_s)
        raise_if(faults)
        if network is None:
            raise RuntimeError("a network is missing only where its registers have faults")
        differing = agreement_faults(network)
        groups = {str(f.values.get("group", "")) for f in differing} & {s.name for s in lowered.stages}
        if not groups or lowering == LOWERINGS or choice.parity:
            raise_if([*differing, *guard_faults(network)])
            return network, done
        lower_by = {name: choice.shrink.get(name, 1.0) * LOWERED for name in groups}
        choice = replace(choice, shrink={**choice.shrink, **lower_by})
    raise RuntimeError("the last lowering returns or refuses")
