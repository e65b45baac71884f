"""What a chip file says of cores: the checks that the schema cannot make."""

from collections.abc import Iterable
from typing import Protocol

from neurodeploy.chips.core_tables import LayerCoreEntry, LayerLimitEntry, LimitEntry
from neurodeploy.chips.schema import ChipFile
from neurodeploy.step.language import Expression

#: What formulas over the geometry of a layer may ask.
GEOMETRY = frozenset(
    f"{what}_{axis}"
    for what in ("kernel", "stride", "padding", "source", "pooling", "input", "output")
    for axis in ("rows", "columns")
) | {"channels", "features", "groups", "shift"}


class Compiler(Protocol):
    """The part of the compiler that is needed here."""

    def fault(self, where: str, was: str, must: str) -> None:
        """Add a fault."""

    def one_of(self, where: str, what: str, name: str | None, known: Iterable[str]) -> None:
        """Check that a name is known."""

    def formula(self, source: str, names: Iterable[str], where: str) -> Expression:
        """Parse a formula over names."""


def counters(file: ChipFile, limit: LimitEntry, plain: set[str]) -> set[str]:
    """Names that the formula of a limit may use; ``plain`` are those of every limit."""
    if limit.per == "core":
        sums = {name for name, entry in file.limit.items() if entry.per == "axon"}
        return plain | sums | {f"{what}_{c}" for c in file.connection for what in ("axons", "leaving")}
    of = file.connection.get(limit.of or "")
    if limit.per == "axon" and of is not None:
        return {"entries", "reach", "reach_all", "gaps"} | set(of.param) | {f"most_{f}" for f in of.synapse}
    return plain


def check(file: ChipFile, compiler: Compiler) -> dict[str, Expression]:
    """Check [core], [mesh] and [layer_core]; formulas by "memory.NAME", "limit.NAME" and "readout.features"."""
    for kind in file.core.kinds if file.core else ():
        compiler.one_of("core.kinds", "kind", kind, file.neuron)
    if file.mesh is not None and file.core is None:
        compiler.fault("mesh", "no [core] table", "say how many cores there are")
    elif file.mesh is not None and file.core is not None and file.core.count > file.mesh.rows * file.mesh.columns:
        was = f"{file.core.count} cores on {file.mesh.rows} x {file.mesh.columns} places"
        compiler.fault("mesh", was, "a place for every core")
    return _check_layers(file, file.layer_core, compiler) if file.layer_core is not None else {}


def _check_layers(file: ChipFile, entry: LayerCoreEntry, compiler: Compiler) -> dict[str, Expression]:
    for kind in entry.kinds:
        compiler.one_of("layer_core.kinds", "kind", kind, file.neuron)
    for kind in entry.inputs:
        compiler.one_of("layer_core.inputs", "kind", kind, [n for n, e in file.neuron.items() if e.role == "input"])
    if both := sorted(set(entry.kinds) & set(file.core.kinds if file.core else ())):
        compiler.fault("layer_core.kinds", f"{', '.join(both)} in [core], too", "one sort of core for a kind")
    sizes = {len(m.each) for m in entry.memory.values()}
    if len(sizes) != 1 or 0 in sizes:
        was = ", ".join(f"{n} of {len(m.each)} cores" for n, m in entry.memory.items()) or "no memory"
        compiler.fault("layer_core.memory", was, "the words of every core, for the same number of cores")
    parameters = {f"set_{p}" for k in entry.kinds if k in file.neuron for p in file.neuron[k].param}
    found = {}
    for sort, table in (("memory", entry.memory), ("limit", entry.limit)):
        for name, part in table.items():
            place = f"layer_core.{sort}.{name}"
            found[f"{sort}.{name}"] = compiler.formula(part.value, GEOMETRY | parameters, f"{place}.value")
            if isinstance(part, LayerLimitEntry) and (part.at_most is None) == (not part.one_of):
                compiler.fault(place, "both or neither of at_most and one_of", "exactly one")
    if entry.readout is not None:
        place = "layer_core.readout.value"
        found["readout.features"] = compiler.formula(entry.readout.value, {"classes"}, place)
    return found


def evidence_keys(file: ChipFile) -> list[tuple[str, str | None]]:
    """Place of every number about cores with the name of its evidence."""
    result: list[tuple[str, str | None]] = []
    for name, table in (("core", file.core), ("mesh", file.mesh), ("layer_core", file.layer_core)):
        if table is not None:
            result.append((name, table.evidence or file.evidence))
    if file.layer_core is not None:
        own = file.layer_core.evidence or file.evidence
        for sort, parts in (("memory", file.layer_core.memory), ("limit", file.layer_core.limit)):
            result += [(f"layer_core.{sort}.{name}", part.evidence or own) for name, part in parts.items()]
        if file.layer_core.readout is not None:
            result.append(("layer_core.readout", file.layer_core.readout.evidence or own))
    return result
