"""Configurations for SynSense's samna: written, read, and applied where the real samna is installed."""

from neurodeploy.emit.samna.adapter import apply
from neurodeploy.emit.samna.detect import SamnaState, advice, detect_samna
from neurodeploy.emit.samna.files import FORMAT
from neurodeploy.emit.samna.read import from_configuration, read_configuration
from neurodeploy.emit.samna.table import SamnaTable, samna_table
from neurodeploy.emit.samna.write import to_configuration, write_configuration

__all__ = [
    "FORMAT",
    "SamnaState",
    "SamnaTable",
    "advice",
    "apply",
    "detect_samna",
    "from_configuration",
    "read_configuration",
    "samna_table",
    "to_configuration",
    "write_configuration",
]
