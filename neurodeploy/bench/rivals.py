"""Simulators of others that are timed: the oracles, and Lava's runtime, which computes what its models compute."""

from collections.abc import Mapping
from dataclasses import replace

from neurodeploy.oracles import ORACLES, Oracle

RUNTIME = "lava_runtime"


def _runtime() -> dict[str, Oracle]:
    lava = ORACLES["lava"]
    if lava.process is None:
        return {}
    process = replace(lava.process, options=(("runtime", True),))
    return {RUNTIME: replace(lava, name=RUNTIME, process=process, observe=process.observe)}


#: By the name in the tables of goals.
RIVALS: Mapping[str, Oracle] = dict(ORACLES) | _runtime()
#: Those that tell nothing but the states after the last step.
LAST_ONLY = (RUNTIME,)
