"""Fill the objects of the real samna, attribute by attribute, and read everything back. Untested on the real samna."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.emit.samna.detect import SamnaState, advice, detect_samna
from neurodeploy.errors import Fault, Missing, raise_if


def real_samna(samna_module: Any, purpose: str) -> tuple[Any, SamnaState]:
    """The imported package samna, and what is known of it.

    samna_module : the package, where the caller has it; None imports it, but only where the real one was found
    Raises Missing: ND9001 no real samna.
    """
    state = detect_samna()
    if state.state != "real":
        found = f"samna is {state.state}" + (f": {state.path}" if state.path else "")
        values = {"state": state.state, "version": state.version, "path": state.path}
        must = "the real samna is needed here"
        raise Missing(Fault("ND9001", purpose, found, must, advice(state), values))
    return importlib.import_module("samna") if samna_module is None else samna_module, state


@dataclass(frozen=True)
class Listed:
    """Neurons: made by a class, filled, and set as one list."""

    make: Callable[[], Any]
    name: str
    neurons: tuple[Mapping[str, Any], ...]


class Filler:
    """Sets attributes by a plan of nested names; notes every attribute that samna lacks, refuses or changes.

    A plan holds, under the name of an attribute: a mapping, for an object that is there; a list of mappings, for a
    list of objects that is there; ``Listed``, for objects to be made; or a value.
    """

    def __init__(self, who: str) -> None:
        self.who, self.faults = who, list[Fault]()

    def fault(self, where: str, was: str, must: str) -> None:
        """Note that samna differs."""
        todo = "this version of samna differs from the documented one: write the JSON instead, and tell us the version"
        self.faults.append(Fault("ND1901", f"{self.who}, {where}", was, must, todo))

    def find(self, thing: Any, name: str, where: str) -> Any:
        """An attribute, or None and a fault."""
        if thing is not None and not hasattr(thing, name):
            self.fault(where, f"no {name!r}", "as in samna's reference")
        return getattr(thing, name, None)

    def apply(self, thing: Any, plan: Mapping[str, Any], where: str) -> None:
        """Fill, read back, and refuse with everything that went wrong."""
        self.fill(thing, plan, where)
        raise_if(self.faults)
        self.verify(thing, plan, where)
        raise_if(self.faults)

    def fill(self, thing: Any, plan: Mapping[str, Any], where: str) -> None:
        """Set everything that a plan names."""
        for name, value in plan.items():
            if not hasattr(thing, name):
                self.fault(where, f"no attribute {name!r}", "every field of the configuration has its attribute")
            elif isinstance(value, Mapping):
                self.fill(getattr(thing, name), value, f"{where}.{name}")
            elif _mappings(value):
                self.each(getattr(thing, name), value, f"{where}.{name}", self.fill)
            elif isinstance(value, Listed):
                self.put(thing, name, self.listed(value), where)
            else:
                self.put(thing, name, self.member(getattr(thing, name), value, f"{where}.{name}"), where)

    def each(self, things: Any, plans: Any, where: str, act: Callable[[Any, Mapping[str, Any], str], None]) -> None:
        """Go through a list of objects that samna has made; what several of them lack is said once."""
        if len(things) != len(plans):
            self.fault(where, f"{len(things)} entries", f"{len(plans)}")
            return
        said = set[tuple[str, str]]()
        for i, plan in enumerate(plans):
            place, before = f"{where}[{i}]", len(self.faults)
            act(things[i], plan, place)
            found, self.faults[before:] = self.faults[before:], []
            for fault in found:
                words = (fault.where.replace(place, where), fault.was)
                self.faults += [] if words in said else [fault]
                said.add(words)

    def listed(self, value: Listed) -> list[Any]:
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
        """Set one attribute."""
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
            elif _mappings(value):
                self.each(found, value, f"{where}.{name}", self.verify)
            elif isinstance(value, Listed) and len(found) == len(value.neurons):
                for i, neuron in enumerate(value.neurons):
                    self.verify(found[i], neuron, f"{where}.{name}[{i}]")
            elif not _same(found, value):
                self.fault(f"{where}.{name}", "reads back as something else", "what was set")


def _mappings(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _same(found: Any, value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return np.array_equal(np.asarray(found), value)
    if isinstance(value, str) and not isinstance(found, str):
        return bool(found == getattr(type(found), value, None))
    if isinstance(value, list):
        return np.array_equal(np.asarray(found), np.asarray(value))
    if value is None or isinstance(value, bool | int | float | str):
        return bool(found == value)
    return type(found) is type(value)  # what the vendor's classes made need not know equality
