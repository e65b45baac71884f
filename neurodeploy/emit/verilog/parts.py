"""What the control steps through: sweeps over neurons, deliveries row by row, each as states of one machine."""

from dataclasses import dataclass, field

from neurodeploy.emit.verilog.datapath import Datapath, Wire


@dataclass
class States:
    """States of the control, in the order of their numbers, and what each does.

    actions : state -> lines of the clocked part
    at : state or flag -> address of the neurons that are read
    op : state or flag -> what is done with them in the cycle after
    """

    names: list[str] = field(default_factory=list)
    actions: dict[str, list[str]] = field(default_factory=dict)
    issues: list[tuple[str, str, str]] = field(default_factory=list)  # condition, address, op
    ops: list[str] = field(default_factory=lambda: ["OP_NONE"])

    def add(self, name: str, *lines: str) -> str:
        """A state and what happens at the end of its cycle."""
        self.names.append(name)
        self.actions[name] = list(lines)
        return name

    def issue(self, condition: str, address: str, op: str) -> None:
        """Neurons at an address are read while a condition holds, and ``op`` is done with them in the next cycle."""
        self.issues.append((condition, address, op))
        if op not in self.ops:
            self.ops.append(op)


@dataclass
class Memory:
    """A register of all neurons of a kind.

    writes : op -> (value, condition under which it is kept as it was or empty)
    """

    name: str
    size: int
    bits: int
    signed: bool
    writes: dict[str, tuple[str, str]] = field(default_factory=dict)

    def write(self, op: str, path: Datapath, register: str) -> None:
        """What an op makes of it."""
        self.writes[op] = (path.results[register].code, path.outside.get(register, ""))

    def lines(self) -> list[str]:
        """One read port at ``at``, one write port at ``at_q``."""
        top = self.bits - 1
        made = [
            f"    reg [{top}:0] {self.name} [0:{self.size - 1}];",
            f"    reg [{top}:0] {self.name}_q;",
            f"    reg {self.name}_we;",
            f"    reg signed [{top}:0] {self.name}_d;",
            "    always @* begin",
            f"        {self.name}_we = 1'b0;",
            f"        {self.name}_d = 0;",
            "        case (op_q)",
        ]
        for op, (value, kept) in self.writes.items():
            enable = f"!{kept}" if kept else f"at_q < {self.size}" if op in {"OP_INIT", "OP_FINISH"} else "1'b1"
            made.append(f"            {op}: begin {self.name}_we = {enable}; {self.name}_d = {value}; end")
        made += [
            "            default: ;",
            "        endcase",
            "    end",
            "    always @(posedge clk) begin",
            f"        {self.name}_q <= {self.name}[at];",
            f"        if ({self.name}_we) {self.name}[at_q] <= {self.name}_d;",
            "    end",
            "",
        ]
        return made


def registers_of(wires: dict[str, Wire]) -> dict[str, Wire]:
    """A copy that a text may add to."""
    return dict(wires)
