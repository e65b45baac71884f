"""Where the evidence of every number and text of a chip file stands."""

from collections.abc import Iterator, Mapping

from neurodeploy.chips import cores
from neurodeploy.chips.schema import ChipFile, ConnectionEntry, NeuronEntry

Key = tuple[str, str | None]  # place in the file, name of an entry of [sources]


def evidence_keys(file: ChipFile) -> list[Key]:
    """Place of every number and handler with the name of its evidence, its own or the nearest table's above it."""
    result = [*_kinds(file), *_agreement(file)]
    for limit, bound in file.limit.items():
        result.append((f"limit.{limit}", bound.evidence or file.evidence))
    for table in ("report", "guard", "parity", "erratum"):
        result += [(f"{table}.{name}", part.evidence or file.evidence) for name, part in getattr(file, table).items()]
    for name, block in file.block.items():
        result += [
            (f"block.{name}.number.{n}", v.evidence or block.evidence or file.evidence) for n, v in block.number.items()
        ]
    for name, connection in file.connection.items():
        if connection.grid is not None:
            result.append((f"connection.{name}.grid", connection.grid.evidence or connection.evidence or file.evidence))
    result += cores.evidence_keys(file)
    for kind, tables in (("emit", file.emit), ("oracle", file.oracle)):
        for name, plain in tables.items():
            stated = plain.get("evidence")
            result.append((f"{kind}.{name}", file.evidence if stated is None else str(stated)))
            parts = ((n, v["evidence"]) for n, v in plain.items() if isinstance(v, Mapping) and "evidence" in v)
            result += [(f"{kind}.{name}.{part}", str(own)) for part, own in parts]
    if file.programmable is not None:
        result.append(("programmable", file.programmable.evidence or file.evidence))
    result.append(("schedule", file.schedule.evidence or file.evidence))
    return result


def _kinds(file: ChipFile) -> Iterator[Key]:
    """Kinds of neurons and connections: registers, parameters, and entries that are no tables."""
    for kind, tables in (("neuron", file.neuron), ("connection", file.connection)):
        for name, entry in tables.items():
            own = entry.evidence or file.evidence
            for group in ("state", "param", "synapse", "register_"):
                for key, number in getattr(entry, group, {}).items():
                    yield f"{kind}.{name}.{group.rstrip('_')}.{key}", number.evidence or own
            if isinstance(entry, NeuronEntry):
                for table in ("external", "deploy"):
                    if getattr(entry, table):
                        yield f"{kind}.{name}.{table}", getattr(entry, table).evidence or own
            bare = _bare(entry)
            yield from ((f"{kind}.{name}.{part}", entry.evidence_of.get(part, own)) for part in bare)
            # what names no entry has no evidence either: it is refused as such
            yield from ((f"{kind}.{name}.{part}", None) for part in entry.evidence_of if part not in bare)


def _bare(entry: NeuronEntry | ConnectionEntry) -> list[str]:
    if isinstance(entry, NeuronEntry):
        return [*(f"on.{handler}" for handler in entry.on), *(f"view.{state}" for state in entry.view)]
    texts = [part for part in ("stored", "on_input", "on_sum") if part == "on_input" or getattr(entry, part)]
    stated = [part for part in ("scan", "pooling", "targets_first", "sources_last") if part in entry.model_fields_set]
    return [*texts, *stated, *(f"may.{formula}" for formula in entry.may)]


def _agreement(file: ChipFile) -> Iterator[Key]:
    if file.agreement is not None:
        own = file.agreement.evidence or file.evidence
        for part, tables in (("neuron", file.agreement.neuron), ("connection", file.agreement.connection)):
            for kind, ranges in tables.items():
                yield from ((f"agreement.{part}.{kind}.{formula}", own) for formula in ranges)
