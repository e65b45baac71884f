"""A testbench that feeds golden counts and compares every register of every neuron after every step."""

from collections.abc import Mapping

import numpy as np

from neurodeploy.emit.verilog.memories import Ints
from neurodeploy.emit.verilog.module import Module
from neurodeploy.network import Network
from neurodeploy.simulator import Run, simulate
from neurodeploy.simulator.machine import lanes_of


def trace_of(network: Network, counts: Mapping[str, Ints]) -> Run:
    """Every state of one sample, as the simulator gives it."""
    record = [f"{g.name}.{s}" for g in network.groups for s in network.chip.neurons[g.kind].states]
    return simulate(network, counts, record=record, drain=0, raw=True)


def testbench(network: Network, made: Module, counts: Mapping[str, Ints], run: Run) -> dict[str, str]:
    """File name -> content: the testbench, the beats that it sends, what it must find.

    counts : input group -> (time, 1, neuron); run : what ``trace_of`` returned, or anything else to compare with
    It ends with one line, ``PASS`` with the number of values compared, or the first difference.
    """
    steps = len(next(iter(counts.values())))
    beats = beats_of(network, made, {n: c[:, 0] for n, c in counts.items()})
    mask = (1 << _widest(made)) - 1
    wanted = [f"{v & mask:x}" for t in range(steps) for v in _states(network, made, run, t)]
    files = {
        f"{made.name}_beats.hex": "".join(f"{b:x}\n" for b in beats),
        f"{made.name}_wanted.hex": "\n".join(wanted) + "\n",
    }
    files[f"{made.name}_tb.v"] = _text(made, steps, len(beats), len(wanted))
    return files


def beats_of(network: Network, made: Module, counts: Mapping[str, Ints]) -> list[int]:
    """Beats of the input stream for one sample: ``last``, address, count, side by side.

    counts : input group -> (time, neuron)
    """
    lanes, beats = lanes_of(network), list[int]()
    a_in, c_in = made.address_bits[0], made.count_bits[0]
    for t in range(len(next(iter(counts.values())))):
        for kind, base in made.inputs.items():
            for g in network.of_kind(kind):
                places = lanes[kind].slices[g.name].tolist()
                for position, count in zip(places, counts[g.name][t].tolist(), strict=True):
                    if count:
                        beats.append((base + position) << c_in | (count & (1 << c_in) - 1))
        beats.append(1 << a_in + c_in)
    return beats


def _widest(made: Module) -> int:
    """Bits that hold every register with its sign."""
    return max(memory.bits for memory in made.memories.values()) + 1


def _states(network: Network, made: Module, run: Run, t: int) -> list[int]:
    """Registers after a step in the order of the memories, then what the outputs emitted."""
    lanes, values = lanes_of(network), list[int]()

    def whole(kind: str, state: str) -> list[int]:
        row = np.zeros(lanes[kind].size, np.int64)
        for g in network.of_kind(kind):
            row[lanes[kind].slices[g.name]] = run.states[g.name][state][t, 0]
        found: list[int] = row.tolist()
        return found

    for kind, state in made.memories:
        values += whole(kind, state)
    for kind in made.outputs:
        values += whole(kind, lanes[kind].kind.emits)
    return values


def _text(made: Module, steps: int, beats: int, wanted: int) -> str:
    a_in, c_in, a_out, c_out = made.address_bits[0], made.count_bits[0], made.address_bits[1], made.count_bits[1]
    sizes = {kind: memory.size for (kind, _), memory in made.memories.items()}
    outputs = max(sum(sizes[k] for k in made.outputs), 1)
    checks = []
    for (kind, state), memory in made.memories.items():
        checks.append(f"            for (i = 0; i < {memory.rows}; i = i + 1) begin")
        for k in range(made.lanes):
            place = f"lane[{k}].{memory.name}[i]"
            value = f"$signed(dut.{place})" if memory.signed else f"dut.{place}"
            there = f"i * {made.lanes} + {k}"
            partly = f"if ({there} < {memory.size}) " if k >= memory.size % made.lanes > 0 else ""
            checks.append(f'                {partly}check({value}, "{kind}.{state}", {there});')
        checks.append("            end")
    for kind, base in made.outputs.items():
        memory = made.memories[kind, made.emits[kind]]
        value = f"$signed(seen[i][{memory.bits - 1}:0])" if memory.signed else f"seen[i][{memory.bits - 1}:0]"
        checks.append(f'            for (i = {base}; i < {base + memory.size}; i = i + 1) check({value}, "out", i);')
    return f"""`timescale 1ns / 1ps
// Feeds golden counts to {made.name} and compares every register after every step. Written by neurodeploy; do not edit.
module {made.name}_tb;
    reg clk = 0, rst = 1;
    reg [{a_in + c_in}:0] beats [0:{beats - 1}];
    reg [{_widest(made) - 1}:0] wanted [0:{wanted - 1}];
    reg [{c_out - 1}:0] seen [0:{outputs - 1}];
    integer beat = 0, place = 0, step = 0, i, cycles = 0;
    wire in_ready, out_valid, out_last, fault;
    wire [{a_out - 1}:0] out_address;
    wire [{c_out - 1}:0] out_count;
    // now and then the sender has nothing, and the receiver makes the network wait
    reg out_ready = 0, sent = 0;
    wire in_valid = sent && beat < {beats};
    reg waiting = 0;
    reg [{a_out + c_out}:0] held;
    wire [{a_in + c_in}:0] now = beats[beat];

    {made.name} dut (
        .clk(clk), .rst(rst), .fault(fault),
        .in_valid(in_valid), .in_ready(in_ready), .in_last(now[{a_in + c_in}]),
        .in_address(now[{a_in + c_in - 1}:{c_in}]), .in_count(now[{c_in - 1}:0]),
        .out_valid(out_valid), .out_ready(out_ready), .out_last(out_last),
        .out_address(out_address), .out_count(out_count)
    );

    always #5 clk = !clk;

    task check(input signed [{_widest(made) - 1}:0] value, input [8 * 64 - 1:0] name, input integer neuron);
        begin
            if (value !== $signed(wanted[place])) begin
                $display("DIFFERS step %0d, %0s, neuron %0d: %0d, must be %0d", step, name, neuron, value,
                         $signed(wanted[place]));
                $finish(0);
            end
            place = place + 1;
        end
    endtask

    initial begin
        $readmemh("{made.name}_beats.hex", beats);
        $readmemh("{made.name}_wanted.hex", wanted);
        for (i = 0; i < {outputs}; i = i + 1) seen[i] = 0;
        repeat (3) @(posedge clk);
        #1 rst = 0;
    end

    always @(posedge clk) if (!rst) begin
        cycles <= cycles + 1;
        if (fault) begin
            $display("FAULT step %0d", step);
            $finish(0);
        end
        if (in_valid && in_ready) beat <= beat + 1;
        // what was offered stays until it is taken, on both sides
        sent <= (in_valid && !in_ready) || cycles % 5 != 0;
        out_ready <= cycles % 3 != 0;
        if (waiting && (!out_valid || {{out_last, out_address, out_count}} !== held)) begin
            $display("WITHDRAWN step %0d", step);
            $finish(0);
        end
        waiting <= out_valid && !out_ready;
        held <= {{out_last, out_address, out_count}};
        if (out_valid && out_ready) begin
            if (!out_last) seen[out_address] = out_count;
            else begin
{chr(10).join(f"    {c}" for c in checks)}
                for (i = 0; i < {outputs}; i = i + 1) seen[i] = 0;
                step = step + 1;
                if (step == {steps}) begin
                    $display("PASS %0d values, %0d cycles", place, cycles);
                    $finish(0);
                end
            end
        end
    end
endmodule
"""
