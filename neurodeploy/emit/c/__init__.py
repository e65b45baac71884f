"""C99: the integer network as one file and a header, without dependencies or allocation, for any clocked chip."""

from neurodeploy.emit.c.files import c_configuration, write_c
from neurodeploy.emit.c.source import Source, to_c

__all__ = ["Source", "c_configuration", "to_c", "write_c"]
