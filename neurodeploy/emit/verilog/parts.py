"""What the control steps through, and memories: one bank of each in every lane."""

from dataclasses import dataclass, field

from neurodeploy.emit.verilog.datapath import Datapath, Wire
from neurodeploy.emit.verilog.memories import address_bits, cut, number

#: Ops that walk all addresses, be there a neuron or not.
WALKS = ("OP_INIT", "OP_FINISH")


@dataclass
class States:
    """States of the control, in the order of their numbers, and what each does.

    actions : state -> lines of the clocked part
    issues : condition, address of the neurons that are read, what is done with them in the cycle after, and in which
        lanes; address and lanes are read inside the block of a lane, whose number is ``k``
    """

    names: list[str] = field(default_factory=list)
    actions: dict[str, list[str]] = field(default_factory=dict)
    issues: list[tuple[str, str, str, str]] = field(default_factory=list)
    ops: list[str] = field(default_factory=lambda: ["OP_NONE"])

    def add(self, name: str, *lines: str) -> str:
        """A state and what happens at the end of its cycle."""
        self.names.append(name)
        self.actions[name] = list(lines)
        return name

    def issue(self, condition: str, address: str, op: str, on: str = "1'b1") -> None:
        """Neurons at an address are read while a condition holds, and ``op`` is done with them in the next cycle."""
        self.issues.append((condition, address, op, on))
        if op not in self.ops:
            self.ops.append(op)


@dataclass
class Memory:
    """A register of all neurons of a kind, in banks: neuron i lies in bank i modulo their number.

    rows : words of a bank
    writes : op -> (value, condition under which it is kept as it was or empty)
    """

    name: str
    size: int
    rows: int
    bits: int
    signed: bool
    writes: dict[str, tuple[Wire, str]] = field(default_factory=dict)

    def write(self, op: str, path: Datapath, register: str) -> None:
        """What an op makes of it."""
        self.writes[op] = (path.results[register], path.outside.get(register, ""))

    def lines(self, address: int) -> list[str]:
        """One read port at ``at``, one write port at ``at_q``, inside the block of a lane.

        address : bits of ``at``
        """
        top = self.bits - 1
        made = [
            f"    reg [{top}:0] {self.name} [0:{self.rows - 1}];",
            f"    reg {self.name}_we;",
            f"    reg [{top}:0] {self.name}_d;",
            "    always @* begin",
            f"        {self.name}_we = 1'b0;",
            f"        {self.name}_d = {number(0, self.bits)};",
            "        case (op_q)",
        ]
        for op, (value, kept) in self.writes.items():
            enable = below("at_q", self.rows, address) if op in WALKS else f"on_q && !{kept}" if kept else "on_q"
            set_ = f"{self.name}_we = {enable}; {self.name}_d = {value.sized(self.bits)};"
            made.append(f"            {op}: begin {set_} end")
        made += [
            "            default: ;",
            "        endcase",
            "    end",
            "    always @(posedge clk) begin",
            f"        {self.name}_q <= {self.name}[{cut('at', self.rows)}];",
            f"        if ({self.name}_we) {self.name}[{cut('at_q', self.rows)}] <= {self.name}_d;",
            "    end",
            "",
        ]
        return made


def below(address: str, rows: int, bits: int) -> str:
    """Whether an address of so many bits is one of a memory."""
    return f"{address} < {number(rows, bits)}" if rows < 1 << bits else "1'b1"


def last_of(rows: int, bits: int) -> str:
    """The highest address of a memory, in so many bits."""
    return number(rows - 1, max(bits, address_bits(rows)))
