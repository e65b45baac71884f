"""The text of the module: ports, memories, what is read and done in each cycle, the control."""

from typing import TYPE_CHECKING

from neurodeploy.emit.verilog.memories import address_bits, bits_for

if TYPE_CHECKING:
    from neurodeploy.emit.verilog.module import Writer

NEVER = "1'b0"


def module_code(w: "Writer", count_bits: tuple[int, int], widths: tuple[int, int]) -> str:
    """The whole file."""
    lines = [
        *_head(w, count_bits, widths),
        *_numbers(w),
        "    // Operands of different width are meant: they are extended with their sign, and each result is as wide",
        "    // as its range asks for.",
        "    /* verilator lint_off WIDTH */",
        "    // tables of parameters and synapses",
        *w.declared,
        "",
        *_external(w, widths),
        *_past(w),
        *_memories(w),
        "    // what the texts compute, one wire for each operator",
        "",
        *w.code,
        *_issue(w),
        *_control(w),
        *_outputs(w),
        "endmodule",
        "",
    ]
    return "\n".join(lines)


def _head(w: "Writer", count_bits: tuple[int, int], widths: tuple[int, int]) -> list[str]:
    places = [
        f"//   {way} address {base}: {w.lanes[k].size} neurons of kind {k}, in ascending hardware id"
        for way, bases in (("in", w.inputs), ("out", w.outputs))
        for k, base in bases.items()
    ]
    return [
        f"// A network of {w.network.chip.name}. Written by neurodeploy; do not edit.",
        "//",
        "// Spikes come and go over streams: a beat is the event count of one neuron in this step, and a beat with",
        "// `last` carries none and ends the step. The network then takes the step and sends what its outputs emitted.",
        *places,
        "// `fault` stays 1 once a text has left the width of a register, which then kept what it held.",
        f"module {w.name} (",
        "    input wire clk,",
        "    input wire rst,",
        "    input wire in_valid,",
        "    output wire in_ready,",
        "    input wire in_last,",
        f"    input wire [{widths[0] - 1}:0] in_address,",
        f"    input wire [{count_bits[0] - 1}:0] in_count,",
        "    output wire out_valid,",
        "    input wire out_ready,",
        "    output wire out_last,",
        f"    output wire [{widths[1] - 1}:0] out_address,",
        f"    output wire [{count_bits[1] - 1}:0] out_count,",
        "    output reg fault",
        ");",
        "",
    ]


def _numbers(w: "Writer") -> list[str]:
    states, ops = w.states.names, w.states.ops
    s_bits, o_bits, a = address_bits(len(states)), address_bits(len(ops)), w.address - 1
    numbered = [f"    localparam [{s_bits - 1}:0] {name} = {i};" for i, name in enumerate(states)]
    numbered += [f"    localparam [{o_bits - 1}:0] {name} = {i};" for i, name in enumerate(ops)]
    return [
        *numbered,
        "",
        f"    reg [{s_bits - 1}:0] state;",
        f"    reg [{a}:0] n;",
        "    // neurons at `at` are read in this cycle; in the next, `op_q` is done with those at `at_q`",
        f"    reg [{a}:0] at, at_q;",
        f"    reg [{o_bits - 1}:0] op, op_q;",
        "",
    ]


def _external(w: "Writer", widths: tuple[int, int]) -> list[str]:
    lines = ["    // counts from outside, until the end of the step"]
    for kind, base in w.inputs.items():
        entry, size = w.lanes[kind].kind.entry.external, w.lanes[kind].size
        assert entry is not None  # noqa: S101 - what makes it an input
        top = bits_for(entry.interval) - 1
        mine = f"in_address >= {base} && in_address < {base + size}" if len(w.inputs) > 1 else f"in_address < {size}"
        mine = mine.replace("in_address >= 0 && ", "")
        if base + size == 1 << widths[0]:
            mine = mine.replace(f" && in_address < {base + size}", "").replace(f"in_address < {base + size}", "1'b1")
        place = f"in_address - {base}" if base else "in_address"
        lines += [
            f"    reg [{top}:0] ext_{kind} [0:{size - 1}];",
            f"    reg [{top}:0] ext_{kind}_q;",
            f"    wire ext_{kind}_clear = (op_q == OP_INIT || op_q == OP_FINISH) && at_q < {size};",
            f"    wire ext_{kind}_in = state == INPUT && in_valid && !in_last && ({mine});",
            "    always @(posedge clk) begin",
            f"        ext_{kind}_q <= ext_{kind}[at];",
            f"        if (ext_{kind}_clear || ext_{kind}_in)",
            f"            ext_{kind}[ext_{kind}_clear ? at_q : {place}] <= ext_{kind}_clear ? 0 : in_count;",
            "    end",
            "",
        ]
    return lines


def _past(w: "Writer") -> list[str]:
    if not w.past:
        return []
    depth, bits = w.depth, address_bits(w.depth)
    lines = [
        "    // what was emitted in the steps before; `head` is where the newest stands",
        f"    reg [{bits - 1}:0] head;",
        f"    wire [{bits - 1}:0] head_next = (head == 0) ? {depth - 1} : head - 1'b1;",
    ]
    for kind in w.past:
        lane = w.lanes[kind]
        memory, size = w.memories[kind, lane.kind.emits], lane.size
        lines += [
            f"    reg [{memory.bits - 1}:0] past_{kind} [0:{depth * size - 1}];",
            f"    wire past_{kind}_clear = op_q == OP_INIT && at_q < {depth * size};",
            f"    wire past_{kind}_keep = op_q == OP_FINISH && at_q < {size};",
            "    always @(posedge clk)",
            f"        if (past_{kind}_clear || past_{kind}_keep)",
            f"            past_{kind}[past_{kind}_clear ? at_q : head_next * {size} + at_q]",
            f"                <= past_{kind}_clear ? 0 : {memory.name}_q;",
            "",
        ]
    for kind, name, back in w.pasts:
        memory, size = w.memories[kind, w.lanes[kind].kind.emits], w.lanes[kind].size
        row = w.deliverers[name].tables["row"]
        back_, slot, place = (f"{word}_{kind}_{name}" for word in ("back", "slot", "from"))
        lines += [
            f"    // what arrives over {name}, its delay before",
            f"    wire signed [31:0] {back_} = $signed({{1'b0, head}}) + {row.wire('delay').code} + {back};",
            f"    wire signed [31:0] {slot} = ({back_} >= {depth}) ? {back_} - {depth} : {back_};",
            f"    wire signed [31:0] {place} = {slot} * {size} + {row.wire('source').code};",
            f"    reg [{memory.bits - 1}:0] past_{kind}_{name}_q;",
            f"    always @(posedge clk) past_{kind}_{name}_q <= past_{kind}[{place}];",
            "",
        ]
    return lines


def _memories(w: "Writer") -> list[str]:
    lines = ["    // registers of the neurons"]
    for memory in w.memories.values():
        lines += memory.lines()
    sums = [memory for d in w.deliverers.values() for memory in d.sums.values()]
    if sums:
        lines.append("    // sums of what arrives")
    for memory in sums:
        lines += memory.lines()
    return lines


def _issue(w: "Writer") -> list[str]:
    lines = [
        "    // which neurons are read, and what for",
        "    always @* begin",
        "        at = n;",
        "        op = OP_NONE;",
    ]
    for i, (condition, address, op) in enumerate(w.states.issues):
        lines.append(f"        {'else ' if i else ''}if ({condition}) begin at = {address}; op = {op}; end")
    faults = [f"(op_q == {op} && ({' || '.join(many)}))" for op, many in w.faults.items()]
    return [
        *lines,
        "    end",
        "    always @(posedge clk) begin",
        "        at_q <= at;",
        "        op_q <= rst ? OP_NONE : op;",
        "    end",
        f"    wire outside = {' || '.join(faults) or NEVER};",
        "    always @(posedge clk) fault <= !rst && (fault || outside);",
        "",
    ]


def _control(w: "Writer") -> list[str]:
    zeroed = ["n", *w.walks, *(f"valid_{n}" for n in w.deliverers), *(["head"] if w.past else [])]
    zeroed += [f"turn_{i}" for i in w.turns]
    lines = [
        "    // the schedule, state by state",
        "    always @(posedge clk)",
        "        if (rst) begin",
        "            state <= INIT;",
        *(f"            {name} <= 0;" for name in zeroed),
        "        end else case (state)",
    ]
    for name in w.states.names:
        lines += [
            f"            {name}: begin",
            *(f"                {x}" for x in w.states.actions[name]),
            "            end",
        ]
    return [*lines, "            default: state <= INIT;", "        endcase", ""]


def _outputs(w: "Writer") -> list[str]:
    shown, address, last = [], "0", "0"
    for kind, base in w.outputs.items():
        memory = w.memories[kind, w.lanes[kind].kind.emits]
        state = f"state == OUT_{kind.upper()}_WAIT"
        shown.append(f"({state} && {memory.name}_q != 0)")
        address = f"({state}) ? n + {base} : {address}"
        last = f"({state}) ? {memory.name}_q : {last}"
    return [
        "    assign in_ready = state == INPUT;",
        f"    assign out_valid = {' || '.join(['state == LEAVE', *shown])};",
        "    assign out_last = state == LEAVE;",
        f"    assign out_address = {address};",
        f"    assign out_count = {last};",
    ]
