"""Placed network -> NetX file, and the same content as plain data for a bundle."""

from pathlib import Path
from typing import Any

from neurodeploy.archive import file_named
from neurodeploy.emit.netx.file import write_file
from neurodeploy.emit.netx.layers import chain_of, to_layers
from neurodeploy.emit.netx.reset import told
from neurodeploy.emit.netx.table import FORMAT, netx_table
from neurodeploy.network import Network

NOTE = (
    "The layers of a NetX file (HDF5) as lava-dl reads them. Written from the published loader; "
    "no chip and no vendor runtime was at hand."
)


def to_netx(network: Network) -> dict[str, Any]:
    """Content of the file as plain data; raises Refusal ND1901 with everything that it cannot express."""
    layers = to_layers(network)
    return {
        "format": FORMAT,
        "chip": network.chip.name,
        "note": NOTE,
        **about(network),
        "layers": [layer.to_json() for layer in layers],
    }


def write_netx(network: Network, path: str | Path) -> None:
    """Write the file. Needs h5py: ``pip install "neurodeploy[netx]"``.

    Raises Refusal ND1901 with everything that the file cannot express, or that its loader would change in silence.
    """
    target = file_named(path, ".net")
    write_file(target, to_layers(network), about(network))


def about(network: Network) -> dict[str, str | int | float]:
    """What the loader has no place for, so that the same network can be read back."""
    chain = chain_of(network)
    names: dict[str, str | int | float] = {f"group{i}": g.name for i, g in enumerate(chain)}
    names |= told(netx_table(network.chip), chain[1:])
    return names | {"chip": network.chip.name} | ({} if network.dt_s is None else {"dt_s": float(network.dt_s)})
