"""The text of the module: ports, memories, what is read and done in each cycle, the control."""

from typing import TYPE_CHECKING

from neurodeploy.emit.verilog.memories import address_bits, bits_for, cut, extended, number
from neurodeploy.emit.verilog.parts import Memory, below

if TYPE_CHECKING:
    from neurodeploy.emit.verilog.module import Writer


def module_code(w: "Writer", count_bits: tuple[int, int], widths: tuple[int, int]) -> str:
    """The whole file."""
    outputs = _outputs(w, count_bits[1], widths[1])
    a = w.address - 1
    lane = [
        "    // neurons at `at` are read in this cycle; in the next, `op_q` is done with those at `at_q`",
        f"    reg [{a}:0] at, at_q;",
        "    reg on, on_q;",
        *_read(w),
        *w.banked,
        "",
        "    // what the texts compute, one wire for each operator",
        "",
        *w.code,
        *_external(w),
        *_past(w),
        *_memories(w),
        *_issue(w),
        *(f"    assign all_{r}[k * {bits} +: {bits}] = {r}_q;" for r, bits in w.buses.items()),
    ]
    lines = [
        *_head(w, count_bits, widths),
        *_numbers(w),
        "    // what every lane has read",
        *(f"    wire [{w.banks * bits - 1}:0] all_{register};" for register, bits in w.buses.items()),
        "",
        "    // tables of parameters and synapses, and what they show",
        *w.declared,
        "",
        *_addressed(w, widths),
        *_remembered(w),
        *_ops(w),
        *([f"    wire [{w.banks - 1}:0] outside;"] if w.faults else []),
        "    // a lane: every LANES-th neuron, its memories and its datapaths",
        "    genvar k;",
        "    generate for (k = 0; k < LANES; k = k + 1) begin : lane",
        *(f"    {line}" if line else "" for line in lane),
        "    end endgenerate",
        "",
        *_fault(w),
        *_control(w),
        *outputs,
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
        f"// {w.banks} of the neurons of a kind are computed at once: neuron i in lane i modulo {w.banks}.",
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
    numbered = [f"    localparam [{s_bits - 1}:0] {name} = {number(i, s_bits)};" for i, name in enumerate(states)]
    numbered += [f"    localparam [{o_bits - 1}:0] {name} = {number(i, o_bits)};" for i, name in enumerate(ops)]
    return [
        f"    localparam LANES = {w.banks};",
        *numbered,
        "",
        f"    reg [{s_bits - 1}:0] state;",
        f"    reg [{a}:0] n;",
        "    // what is done in this cycle with the neurons that were read in the one before",
        f"    reg [{o_bits - 1}:0] op, op_q;",
        "",
    ]


def _addressed(w: "Writer", widths: tuple[int, int]) -> list[str]:
    """Which lane and which of its neurons a beat from outside is for."""
    lines, a, many = ["    // where a count from outside belongs"], widths[0], sum(w.lanes[k].size for k in w.inputs)
    lane_bits = address_bits(w.banks) if w.banks > 1 else 0
    for kind, base in w.inputs.items():
        size = w.lanes[kind].size
        mine = [f"in_address >= {number(base, a)}"] if base else []
        if base + size < 1 << a and (base + size < many or many < 1 << a):
            mine.append(f"in_address < {number(base + size, a)}")
        rows = address_bits(w.rows(size))
        lines += [
            f"    wire [{a - 1}:0] place_{kind} = in_address{f' - {number(base, a)}' if base else ''};",
            f"    wire given_{kind} = {' && '.join(['state == INPUT && in_valid && !in_last', *mine])};",
        ]
        top = min(a - 1, lane_bits + rows - 1)
        row = f"place_{kind}[{top}:{lane_bits}]" if top >= lane_bits else "1'd0"
        lines.append(f"    wire [{rows - 1}:0] row_of_{kind} = {extended(row, max(top - lane_bits + 1, 1), rows)};")
        if lane_bits:
            low = f"place_{kind}[{min(lane_bits, a) - 1}:0]"
            one = f"{{{w.banks - 1}'d0, 1'b1}}"
            lines.append(f"    wire [{w.banks - 1}:0] lane_of_{kind} = {one} << {low};")
    return [*lines, ""]


def _external(w: "Writer") -> list[str]:
    lines = ["    // counts from outside, until the end of the step"]
    for kind in w.inputs:
        entry, rows = w.lanes[kind].kind.entry.external, w.rows(w.lanes[kind].size)
        assert entry is not None  # noqa: S101 - what makes it an input
        bits = bits_for(entry.interval)
        mine = f"given_{kind} && lane_of_{kind}[k]" if w.banks > 1 else f"given_{kind}"
        given = "in_count" if bits == w.in_bits else f"in_count[{bits - 1}:0]"
        lines += [
            f"    reg [{bits - 1}:0] ext_{kind} [0:{rows - 1}];",
            f"    wire ext_{kind}_clear = (op_q == OP_INIT || op_q == OP_FINISH) && {below('at_q', rows, w.address)};",
            f"    wire ext_{kind}_in = {mine};",
            "    always @(posedge clk) begin",
            f"        ext_{kind}_q <= ext_{kind}[{cut('at', rows)}];",
            f"        if (ext_{kind}_clear || ext_{kind}_in)",
            f"            ext_{kind}[ext_{kind}_clear ? {cut('at_q', rows)} : row_of_{kind}]",
            f"                <= ext_{kind}_clear ? {number(0, bits)} : {given};",
            "    end",
            "",
        ]
    return lines


def _remembered(w: "Writer") -> list[str]:
    """Where what was emitted in earlier steps stands."""
    if not w.past:
        return []
    depth, bits = w.depth, address_bits(w.depth)
    zero, last = number(0, bits), number(depth - 1, bits)
    lines = [
        "    // what was emitted in the steps before; `head` is where the newest stands",
        f"    reg [{bits - 1}:0] head;",
        f"    wire [{bits - 1}:0] head_next = (head == {zero}) ? {last} : head - 1'b1;",
    ]
    for kind, name in w.pasts:
        rows = w.rows(w.lanes[kind].size)
        wide, row, place = bits + 1, w.deliverers[name].tables["row"], address_bits(depth * rows)
        sum_, slot, at = (f"{word}_{kind}_{name}" for word in ("back", "slot", "from"))
        wanted = max(place, wide)
        source, turn = row.code("source", wanted), number(depth, wide)
        lines += [
            f"    // what arrives over {name}, its delay before",
            f"    wire [{wide - 1}:0] {sum_} = {extended('head', bits, wide)} + {row.code('back', wide)};",
            f"    wire [{wide - 1}:0] {slot} = ({sum_} >= {turn}) ? {sum_} - {turn} : {sum_};",
            f"    wire [{wanted - 1}:0] {at} = {extended(slot, wide, wanted)} * {number(rows, wanted)} + {source};",
        ]
    return [*lines, ""]


def _past(w: "Writer") -> list[str]:
    lines = []
    for kind in w.past:
        lane, depth = w.lanes[kind], w.depth
        memory, rows = w.memories[kind, lane.kind.emits], w.rows(lane.size)
        bits = address_bits(depth * rows)
        wide = max(bits, address_bits(depth))
        kept = f"{extended('head_next', address_bits(depth), wide)} * {number(rows, wide)}"
        lines += [
            f"    // what {kind} emitted in the steps before",
            f"    reg [{memory.bits - 1}:0] past_{kind} [0:{depth * rows - 1}];",
            f"    wire past_{kind}_clear = op_q == OP_INIT && {below('at_q', depth * rows, w.address)};",
            f"    wire past_{kind}_keep = op_q == OP_FINISH && {below('at_q', rows, w.address)};",
            f"    wire [{wide - 1}:0] past_{kind}_at = {kept} + at_q[{wide - 1}:0];",
            "    always @(posedge clk)",
            f"        if (past_{kind}_clear || past_{kind}_keep)",
            f"            past_{kind}[past_{kind}_clear ? at_q[{bits - 1}:0] : past_{kind}_at[{bits - 1}:0]]",
            f"                <= past_{kind}_clear ? {number(0, memory.bits)} : {memory.name}_q;",
        ]
        for source, name in w.pasts:
            if source == kind:
                here = f"past_{kind}_{name}"
                at = f"past_{kind}[from_{kind}_{name}[{bits - 1}:0]]"
                lines += [f"    reg [{memory.bits - 1}:0] {here}_q;", f"    always @(posedge clk) {here}_q <= {at};"]
        lines.append("")
    return lines


def _read(w: "Writer") -> list[str]:
    """Registers of what was read, before anything names them."""
    lines = [f"    reg [{m.bits - 1}:0] {m.name}_q;" for m in _all_memories(w)]
    for kind in w.inputs:
        entry = w.lanes[kind].kind.entry.external
        assert entry is not None  # noqa: S101 - what makes it an input
        lines.append(f"    reg [{bits_for(entry.interval) - 1}:0] ext_{kind}_q;")
    return lines


def _memories(w: "Writer") -> list[str]:
    lines = ["    // registers of the neurons, and sums of what arrives"]
    for memory in _all_memories(w):
        lines += memory.lines(w.address)
    return lines


def _all_memories(w: "Writer") -> list[Memory]:
    return [*w.memories.values(), *(memory for d in w.deliverers.values() for memory in d.sums.values())]


def _ops(w: "Writer") -> list[str]:
    lines = ["    // what the neurons are read for", "    always @* begin", "        op = OP_NONE;"]
    for i, (condition, _, op, _) in enumerate(w.states.issues):
        lines.append(f"        {'else ' if i else ''}if ({condition}) op = {op};")
    return [*lines, "    end", "    always @(posedge clk) op_q <= rst ? OP_NONE : op;", ""]


def _issue(w: "Writer") -> list[str]:
    """Which neuron each lane reads."""
    lines = ["    // which neuron is read", "    always @* begin", "        at = n;", "        on = 1'b1;"]
    for i, (condition, address, _, on) in enumerate(w.states.issues):
        lines.append(f"        {'else ' if i else ''}if ({condition}) begin at = {address}; on = {on}; end")
    faults = [f"(op_q == {op} && ({' || '.join(many)}))" for op, many in w.faults.items()]
    return [
        *lines,
        "    end",
        "    always @(posedge clk) begin",
        "        at_q <= at;",
        "        on_q <= on;",
        "    end",
        *([f"    assign outside[k] = on_q && ({' || '.join(faults)});"] if faults else []),
        "",
    ]


def _fault(w: "Writer") -> list[str]:
    if not w.faults:
        return ["    always @(posedge clk) fault <= 1'b0;", ""]
    return ["    always @(posedge clk) fault <= !rst && (fault || outside != 0);", ""]


def _control(w: "Writer") -> list[str]:
    zeroed = {"n": w.address} | dict.fromkeys((*w.walks, *(f"valid_{n}" for n in w.deliverers)), 1)
    zeroed |= {"head": address_bits(w.depth)} if w.past else {}
    zeroed |= {f"turn_{i}": address_bits(period) for i, period in w.turns.items()}
    lines = [
        "    // the schedule, state by state",
        "    always @(posedge clk)",
        "        if (rst) begin",
        "            state <= INIT;",
        *(f"            {name} <= {number(0, bits)};" for name, bits in zeroed.items()),
        "        end else case (state)",
    ]
    for name in w.states.names:
        lines += [
            f"            {name}: begin",
            *(f"                {x}" for x in w.states.actions[name]),
            "            end",
        ]
    return [*lines, "            default: state <= INIT;", "        endcase", ""]


def _outputs(w: "Writer", count_bits: int, place_bits: int) -> list[str]:
    shown, address, count, lines = [], number(0, place_bits), number(0, count_bits), ["    // what leaves"]
    for kind, base in w.outputs.items():
        memory = w.memories[kind, w.lanes[kind].kind.emits]
        state, leaves = f"state == OUT_{kind.upper()}_WAIT", f"leaves_{kind}"
        bank = f"n[{address_bits(w.banks) - 1}:0]" if w.banks > 1 else ""
        own = w.chosen(memory.name, memory.bits, bank)
        wide = max(w.address, place_bits)
        lines += [
            f"    wire [{memory.bits - 1}:0] {leaves} = {own};",
            f"    wire [{wide - 1}:0] place_of_{kind} = {extended('n', w.address, wide)} + {number(base, wide)};",
        ]
        shown.append(f"({state} && {leaves} != {number(0, memory.bits)})")
        address = f"({state}) ? place_of_{kind}[{place_bits - 1}:0] : {address}"
        count = f"({state}) ? {extended(leaves, memory.bits, count_bits)} : {count}"
    return [
        *lines,
        "    assign in_ready = state == INPUT;",
        f"    assign out_valid = {' || '.join(['state == LEAVE', *shown])};",
        "    assign out_last = state == LEAVE;",
        f"    assign out_address = {address};",
        f"    assign out_count = {count};",
    ]
