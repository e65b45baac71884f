"""Fill the objects of the real samna, attribute by attribute, and let samna judge them. Untested on the real samna."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.emit.samna.fill import Filler, Listed, real_samna
from neurodeploy.emit.samna.table import Block, SamnaTable, samna_table
from neurodeploy.emit.samna.write import to_configuration
from neurodeploy.errors import raise_if
from neurodeploy.network import Network


def apply(
    network: Network,
    samna_module: Any = None,
    *,
    operation_mode: str | None = None,
    frontend: Mapping[str, Any] | None = None,
) -> tuple[Any, bool, str]:
    """Configuration object of samna, whether samna's own check accepts it, and what that check says.

    samna_module : the imported package samna; None imports it, but only where ``detect_samna`` found the real one
    operation_mode, frontend : as in ``to_configuration``

    Every attribute must exist before it is set, and must read back as it was set.
    Raises Missing: ND9001 no real samna. Raises Refusal: ND1901 with every attribute that samna does not have, and
    all of ``to_configuration``.
    """
    package, state = real_samna(samna_module, "configuration objects of samna")
    configuration = to_configuration(network, operation_mode=operation_mode, frontend=frontend)
    table = samna_table(network.chip)
    filler = _Filler(table, f"samna {state.version or 'of unknown version'}")
    module = filler.find(package, table.module.partition(".")[2], table.module.partition(".")[0])
    classes = filler.find(module, "configuration", table.module)
    top = filler.find(classes, "XyloConfiguration", f"{table.module}.configuration")
    validate = filler.find(module, "validate_configuration", table.module)
    raise_if(filler.faults)
    config = top()
    plan = filler.plan(network.chip, configuration, classes)
    raise_if(filler.faults)
    filler.apply(config, plan, "XyloConfiguration")
    valid, message = validate(config)
    return config, bool(valid), str(message)


class _Filler(Filler):
    def __init__(self, table: SamnaTable, who: str) -> None:
        super().__init__(who)
        self.table = table

    def plan(self, chip: Chip, configuration: Mapping[str, Any], classes: Any) -> dict[str, Any]:
        """What is to be set, as nested attributes of the configuration object."""
        table = self.table
        plan: dict[str, Any] = {b.block: self.block(chip, b, configuration[b.block], classes) for b in table.blocks}
        plan |= {name: configuration[name] for name in (*table.enable, "operation_mode")}
        return plan | {n: self.given(n, configuration[n], classes) for n in table.given if n in configuration}

    def block(self, chip: Chip, block: Block, entries: Mapping[str, Any], classes: Any) -> dict[str, Any]:
        fields = chip.connections[block.connection].fields
        plan = dict(entries)
        for name, field in block.weights.items():
            # the vendor's own software sets arrays of the width of the register
            plan[name] = np.asarray(entries[name], f"int{fields[field].bits}")
        if block.neuron:
            make = self.find(classes, block.neuron_class, f"{self.table.module}.configuration")
            plan["neurons"] = Listed(make, block.neuron_class, tuple(entries["neurons"]))
        return plan

    def given(self, name: str, value: Any, classes: Any) -> Any:
        if isinstance(value, Mapping):
            return {n: self.given(n, v, classes) for n, v in value.items()}
        if name in self.table.built and isinstance(value, list):
            make = self.find(classes, self.table.built[name], f"{self.table.module}.configuration")
            return None if make is None else make(*value)
        return value
