"""Configurations and certificates of a bundle, checked again without the model: read back, run, and compared."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from types import MappingProxyType
from typing import Any

from neurodeploy.bundles.content import Bundle
from neurodeploy.emit import EMITTERS, chip_format, emitter
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Network
from neurodeploy.proofs import KIND, check_again
from neurodeploy.verifier import Comparison

#: (network of the bundle, content of the certificate) -> number of statements that were checked again; it refuses a
#: certificate that does not hold.
Checker = Callable[[Network, Mapping[str, Any]], int]
#: The "kind" that stands in a certificate -> what checks it.
CHECKERS: Mapping[str, Checker] = MappingProxyType({KIND: check_again})
_NOTE = "note"  # the one entry of a configuration that is only words
_LISTED = 20


def compare_configuration(loaded: Bundle, name: str, run: Callable[[Network], Comparison]) -> Comparison:
    """Compare what stands in a configuration with the network of the bundle.

    name : format
    run : simulates a network and compares it with the golden vectors
    What is read back is run, and configured again; where nothing reads a
    format back, the network is configured again and every entry compared.
    Raises Refusal as the emitter does, ND2101 for a format that is not in the table.
    """
    where = f"{loaded.path}, configurations/{name}.json"
    if name not in EMITTERS:
        raise Refusal(Fault("ND2101", where, "a format that nobody reads", f"one of {', '.join(EMITTERS)}"))
    made, stored = emitter(chip_format(loaded.network.chip, name)), loaded.configurations[name]
    wanted = made.configure(loaded.network)
    if made.read is None:
        return Comparison(_leaves(wanted), 0, faults=tuple(_difference_faults(where, stored, wanted)))
    network = _placed(made.read(stored, loaded.network.chip), loaded.network)
    faults = tuple(_difference_faults(where, made.configure(network), wanted))
    found = run(network)
    return replace(found, faults=(*found.faults, *faults))


def _placed(network: Network, like: Network) -> Network:
    """A network that came back without places, with those of the groups of the same names."""
    ids = {g.name: g.ids for g in like.groups}
    sized = {g.name: g.size for g in like.groups}
    known = all(sized.get(g.name) == g.size for g in network.groups)
    if network.placed or not known:
        return network
    return replace(network, groups=tuple(replace(g, ids=ids[g.name]) for g in network.groups))


def _difference_faults(where: str, found: object, must: object) -> Iterator[Fault]:
    for path, was, other in islice(_differences(found, must, ""), _LISTED):
        yield Fault("ND2002", f"{where}, {path}", f"{was!r:.60}", f"{other!r:.60}, which the network gives")


def _differences(found: object, must: object, path: str) -> Iterator[tuple[str, object, object]]:
    """Entries that differ; lists of different lengths are one entry."""
    if isinstance(found, Mapping) and isinstance(must, Mapping):
        for key in [k for k in (*must, *(k for k in found if k not in must)) if path or k != _NOTE]:
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(found.get(key), must.get(key), inner)
    elif isinstance(found, list | tuple) and isinstance(must, list | tuple) and len(found) == len(must):
        for i, (one, other) in enumerate(zip(found, must, strict=True)):
            yield from _differences(one, other, f"{path}[{i}]")
    elif found != must or isinstance(found, bool) != isinstance(must, bool):
        yield path, found, must


def _leaves(value: object) -> int:
    if isinstance(value, Mapping):
        return sum(map(_leaves, value.values()))
    return sum(map(_leaves, value)) if isinstance(value, list | tuple) else 1


def check_certificate(loaded: Bundle, name: str) -> int:
    """Check a certificate again; returns the number of statements that hold.

    Raises Refusal of its checker, ND2101 for a kind that no checker knows, ND2001 where nothing was checked.
    """
    where, content = f"{loaded.path}, certificates/{name}.json", loaded.certificates[name]
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in CHECKERS:
        known = ", ".join(CHECKERS) or "none is known"
        raise Refusal(Fault("ND2101", where, f"kind {kind!r:.40}", f"a kind that can be checked: {known}"))
    checked = CHECKERS[kind](loaded.network, content)
    if not checked:
        raise Refusal(Fault("ND2001", where, "it states nothing", "at least one statement"))
    return checked
