"""A testbench that compares nothing: it tells every register of every neuron after every step of many samples."""

from collections.abc import Mapping

import numpy as np

from neurodeploy.emit.verilog.memories import Ints
from neurodeploy.emit.verilog.module import Module
from neurodeploy.emit.verilog.testbench import beats_of
from neurodeploy.network import Network
from neurodeploy.simulator.machine import lanes_of

Courses = Mapping[str, Ints]


def recorder(network: Network, made: Module, counts: Courses) -> dict[str, str]:
    """File name -> content: a testbench that runs each sample from a reset, and the beats that it sends.

    counts : input group -> (time, batch, neuron)
    It prints a line for each step: all registers in the order of ``made.memories``, then what left over the stream.
    """
    steps, samples = next(iter(counts.values())).shape[:2]
    beats = [b for s in range(samples) for b in beats_of(network, made, {n: c[:, s] for n, c in counts.items()})]
    return {
        f"{made.name}_beats.hex": "".join(f"{b:x}\n" for b in beats),
        f"{made.name}_rec.v": _text(made, len(beats), steps, steps * samples),
    }


def recorded(
    network: Network, made: Module, told: str, steps: int, samples: int
) -> tuple[dict[str, dict[str, Ints]], dict[str, Ints]]:
    """What a recorder printed: states and emitted counts of every group, (time, batch, neuron).

    What an output emitted is what left over the stream; of others it is read in the register.
    Raises ValueError where a line is missing, or a text left a register.
    """
    width = sum(m.size for m in made.memories.values()) + sum(_sizes(made)[k] for k in made.outputs)
    try:
        values = np.array(told.split(), np.int64).reshape(samples, steps, width).transpose(1, 0, 2)
    except ValueError:
        raise ValueError(told.strip()[-200:] or "nothing was printed") from None
    lanes, at = lanes_of(network), 0
    states: dict[str, dict[str, Ints]] = {g.name: {} for g in network.groups}
    counts: dict[str, Ints] = {}
    for (kind, state), memory in made.memories.items():
        for g in network.of_kind(kind):
            states[g.name][state] = values[:, :, at + lanes[kind].slices[g.name]]
            if state == made.emits[kind]:
                counts[g.name] = states[g.name][state]
        at += memory.size
    for kind in made.outputs:
        for g in network.of_kind(kind):
            counts[g.name] = values[:, :, at + lanes[kind].slices[g.name]]
        at += _sizes(made)[kind]
    return states, counts


def _sizes(made: Module) -> dict[str, int]:
    return {kind: memory.size for (kind, _), memory in made.memories.items()}


def _text(made: Module, beats: int, steps: int, total: int) -> str:
    a_in, c_in, a_out, c_out = made.address_bits[0], made.count_bits[0], made.address_bits[1], made.count_bits[1]
    sizes = _sizes(made)
    outputs = max(sum(sizes[k] for k in made.outputs), 1)
    shown = []
    for memory in made.memories.values():
        for place in range(memory.size):
            name = f"dut.lane[{place % made.lanes}].{memory.name}[{place // made.lanes}]"
            shown.append(f'$write("%0d ", {f"$signed({name})" if memory.signed else name});')
    for kind, base in made.outputs.items():
        memory = made.memories[kind, made.emits[kind]]
        for place in range(base, base + sizes[kind]):
            name = f"seen[{place}][{memory.bits - 1}:0]"
            shown.append(f'$write("%0d ", {f"$signed({name})" if memory.signed else name});')
    lines = "\n".join(f"                {line}" for line in shown)
    return f"""`timescale 1ns / 1ps
// Tells all registers of {made.name} after every step; each sample begins with a reset. Written by neurodeploy.
module {made.name}_rec;
    reg clk = 0, rst = 1;
    reg [{a_in + c_in}:0] beats [0:{beats - 1}];
    reg [{c_out - 1}:0] seen [0:{outputs - 1}];
    integer beat = 0, step = 0, held = 3, i;
    wire in_ready, out_valid, out_last, fault;
    wire [{a_out - 1}:0] out_address;
    wire [{c_out - 1}:0] out_count;
    wire in_valid = beat < {beats} && !rst;
    wire [{a_in + c_in}:0] now = beats[beat];

    {made.name} dut (
        .clk(clk), .rst(rst), .fault(fault),
        .in_valid(in_valid), .in_ready(in_ready), .in_last(now[{a_in + c_in}]),
        .in_address(now[{a_in + c_in - 1}:{c_in}]), .in_count(now[{c_in - 1}:0]),
        .out_valid(out_valid), .out_ready(1'b1), .out_last(out_last),
        .out_address(out_address), .out_count(out_count)
    );

    always #5 clk = !clk;

    initial begin
        $readmemh("{made.name}_beats.hex", beats);
        for (i = 0; i < {outputs}; i = i + 1) seen[i] = 0;
    end

    always @(posedge clk) if (rst) begin
        held <= held - 1;
        if (held == 0) rst <= 0;
    end else begin
        if (fault) begin
            $display("a text left the width of a register");
            $finish(0);
        end
        if (in_valid && in_ready) beat <= beat + 1;
        if (out_valid) begin
            if (!out_last) seen[out_address] = out_count;
            else begin
{lines}
                $write("\\n");
                for (i = 0; i < {outputs}; i = i + 1) seen[i] = 0;
                step = step + 1;
                if (step % {steps} == 0) begin
                    rst <= 1;
                    held <= 3;
                end
                if (step == {total}) $finish(0);
            end
        end
    end
endmodule
"""
