"""Files for lava-dl's NetX: written, and read as its loader reads them."""

from neurodeploy.emit.netx.loader import load_weights, weight_faults
from neurodeploy.emit.netx.read import from_netx, read_netx
from neurodeploy.emit.netx.table import netx_table
from neurodeploy.emit.netx.write import to_netx, write_netx

__all__ = ["from_netx", "load_weights", "netx_table", "read_netx", "to_netx", "weight_faults", "write_netx"]
