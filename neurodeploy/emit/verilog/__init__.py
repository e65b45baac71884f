"""Verilog-2005: the integer network as one synthesizable module with a self-checking testbench, for clocked chips."""

from neurodeploy.emit.verilog.files import lanes_of_design, verilog_configuration, write_verilog
from neurodeploy.emit.verilog.module import Module, to_verilog
from neurodeploy.emit.verilog.recorder import recorded, recorder
from neurodeploy.emit.verilog.testbench import testbench, trace_of

__all__ = [
    "Module",
    "lanes_of_design",
    "recorded",
    "recorder",
    "testbench",
    "to_verilog",
    "trace_of",
    "verilog_configuration",
    "write_verilog",
]
