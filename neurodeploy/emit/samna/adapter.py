"""Fill the objects of the real samna, attribute by attribute, and let samna judge them. Untested on the real samna."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.emit.samna.detect import advice, detect_samna
from neurodeploy.emit.samna.table import Block, SamnaTable, samna_table
from neurodeploy.emit.samna.write import to_configuration
from neurodeploy.errors import Fault, Missing, raise_if
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
    state = detect_samna()
    if state.state != "real":
        found = f"samna is {state.state}" + (f": {state.path}" if state.path else "")
        values = {"state": state.state, "version": state.version, "path": state.path}
        must = "the real samna is needed here"
        raise Missing(Fault("ND9001", "configuration objects of samna", found, must, advice(state), values))
    configuration = to_configuration(network, operation_mode=operation_mode, frontend=frontend)
    package = importlib.import_module("samna") if samna_module is None else samna_module
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
    filler.fill(config, plan, "XyloConfiguration")
    raise_if(filler.faults)
    filler.verify(config, plan, "XyloConfiguration")
    raise_if(filler.faults)
    valid, message = validate(config)
    return config, bool(valid), str(message)


@dataclass(frozen=True)
class _Listed:
    """Neurons: made by a class, filled, and set as one list."""

    make: Callable[[], Any]
    name: str
    neurons: tuple[Mapping[str, Any], ...]


class _Filler:
    def __init__(self, table: SamnaTable, who: str) -> None:
        self.table, self.who, self.faults = table, who, list[Fault]()

    def fault(self, where: str, was: str, must: str) -> None:
        todo = "this version of samna differs from the documented one: write the JSON instead, and tell us the version"
        self.faults.append(Fault("ND1901", f"{self.who}, {where}", was, must, todo))

    def find(self, thing: Any, name: str, where: str) -> Any:
        if thing is not None and not hasattr(thing, name):
            self.fault(where, f"no {name!r}", "as in samna's reference")
        return getattr(thing, name, None)

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
            plan["neurons"] = _Listed(make, block.neuron_class, tuple(entries["neurons"]))
        return plan

    def given(self, name: str, value: Any, classes: Any) -> Any:
        if isinstance(value, Mapping):
            return {n: self.given(n, v, classes) for n, v in value.items()}
        if name in self.table.built and isinstance(value, list):
            make = self.find(classes, self.table.built[name], f"{self.table.module}.configuration")
            return None if make is None else make(*value)
        return value

    def fill(self, thing: Any, plan: Mapping[str, Any], where: str) -> None:
        for name, value in plan.items():
            if not hasattr(thing, name):
                self.fault(where, f"no attribute {name!r}", "every field of the configuration has its attribute")
            elif isinstance(value, Mapping):
                self.fill(getattr(thing, name), value, f"{where}.{name}")
            elif isinstance(value, _Listed):
                self.put(thing, name, self.listed(value), where)
            else:
                self.put(thing, name, self.member(getattr(thing, name), value, f"{where}.{name}"), where)

    def listed(self, value: _Listed) -> list[Any]:
        """Neuron objects; an attribute that is missing is named once, not once for each neuron."""
        made = []
        for neuron in value.neurons:
            before = len(self.faults)
            made.append(value.make())
            self.fill(made[-1], neuron, value.name)
            if len(self.faults) > before:
                break
        return made

    def member(self, current: Any, value: Any, where: str) -> Any:
        """Enumerations are written by name: the member of the type that stands there now."""
        if not isinstance(value, str) or isinstance(current, str):
            return value
        member = getattr(type(current), value, None)
        if not isinstance(member, type(current)):
            self.fault(where, f"{type(current).__name__} has no member {value!r}", "a member of that enumeration")
            return current
        return member

    def put(self, thing: Any, name: str, value: Any, where: str) -> None:
        try:
            setattr(thing, name, value)
        except (TypeError, ValueError, AttributeError) as error:
            self.fault(f"{where}.{name}", f"refused: {error}", "it takes what its reference says")

    def verify(self, thing: Any, plan: Mapping[str, Any], where: str) -> None:
        """Read everything back: an object that hands out copies would lose what was set."""
        for name, value in plan.items():
            found = getattr(thing, name)
            if isinstance(value, Mapping):
                self.verify(found, value, f"{where}.{name}")
            elif isinstance(value, _Listed) and len(found) == len(value.neurons):
                for i, neuron in enumerate(value.neurons):
                    self.verify(found[i], neuron, f"{where}.{name}[{i}]")
            elif not _same(found, value):
                self.fault(f"{where}.{name}", "reads back as something else", "what was set")


def _same(found: Any, value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return np.array_equal(np.asarray(found), value)
    if isinstance(value, str) and not isinstance(found, str):
        return bool(found == getattr(type(found), value, None))
    if value is None or isinstance(value, bool | int | float | str | list):
        return bool(found == value)
    return type(found) is type(value)  # what the vendor's classes made need not know equality
