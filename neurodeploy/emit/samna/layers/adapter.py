"""Fill samna's configuration object for cores that hold a layer each, and let samna judge it. Untested on samna."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.emit.samna.fill import Filler, real_samna
from neurodeploy.emit.samna.layers.setup import Setup
from neurodeploy.emit.samna.layers.table import LayersTable, layers_table
from neurodeploy.emit.samna.layers.write import FRAME, to_configuration
from neurodeploy.errors import raise_if
from neurodeploy.network import Network


def apply(network: Network, samna_module: Any = None, *, setup: Setup | None = None) -> tuple[Any, bool, str]:
    """Configuration object of samna, whether samna's own check accepts it, and what that check says.

    samna_module : the imported package samna; None imports it, but only where ``detect_samna`` found the real one
    setup : as in ``to_configuration``

    Every attribute must exist before it is set, and must read back as it was set.
    Raises Missing: ND9001 no real samna. Raises Refusal: ND1901 with every attribute that samna does not have, and
    all of ``to_configuration``.
    """
    package, state = real_samna(samna_module, "configuration objects of samna")
    table, configuration = layers_table(network.chip), to_configuration(network, setup)
    filler = Filler(f"samna {state.version or 'of unknown version'}")
    module = module_of(filler, package, table)
    classes = filler.find(module, "configuration", table.module)
    top = filler.find(classes, table.configuration, f"{table.module}.configuration")
    validate = filler.find(module, "validate_configuration", table.module)
    raise_if(filler.faults)
    config = top()
    filler.apply(config, _plan(network.chip, table, configuration), table.configuration)
    valid, message = validate(config)
    return config, bool(valid), str(message)


def module_of(filler: Filler, package: Any, table: LayersTable) -> Any:
    """Samna's module of the chip."""
    whole, _, name = table.module.partition(".")
    return filler.find(package, name, whole)


def _plan(chip: Chip, table: LayersTable, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be set; weights as arrays of the width of the register, as the vendor's own software sets them."""
    fields = chip.connections[table.connection].fields
    plan = {name: value for name, value in configuration.items() if name not in FRAME}
    cores = []
    for core in configuration[table.layers]:
        names = {n: f for n, f in table.layer.weights.items() if n in core}
        cores.append(core | {n: np.asarray(core[n], f"int{fields[f].bits}") for n, f in names.items()})
    return plan | {table.layers: cores}
