"""Names of nodes as names of layers: what torch does not take is written otherwise, and can be read back."""

from collections.abc import Iterable
from urllib.parse import quote, unquote

import torch

#: A full stop between two names, as in "lif1.w_rec", which torch would read as a path.
DOT = "__"
_TAKEN = frozenset({"input", "output", *dir(torch.nn.Sequential()), *vars(torch.nn.Sequential())})


def to_layer_names(names: Iterable[str]) -> dict[str, str]:
    """Name of a node -> name of a layer; different ones stay different."""
    return {name: to_layer_name(name) for name in names}


def to_layer_name(name: str) -> str:
    """Name of the layer that a node becomes."""
    plain = name.replace(".", DOT)
    if plain and to_node_name(plain) == name and plain not in _TAKEN and not plain.isspace():
        return plain
    # as in an address: at least one character is written as %XX, so that no plain name looks alike
    coded = quote(name, safe="/ ").replace(".", "%2E").replace("_", "%5F")
    return coded if "%" in coded else f"%{ord(name[0]):02X}{coded[1:]}" if name else "%"


def to_node_name(layer: str) -> str:
    """Name of the node that became a layer of this name."""
    return unquote(layer).rstrip("\0") if "%" in layer else layer.replace(DOT, ".")
