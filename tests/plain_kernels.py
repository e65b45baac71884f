"""Generated kernels of clocked chips as Python runs them: the same code, its memory read and written through ctypes.

What numba compiles is the same text; only the functions of the prelude that speak to the compiler are replaced, and
``np.int16(x)`` and its like by functions that wrap. So hundreds of kernels can be compared that nobody has to compile.
"""

import ctypes
import operator
from types import SimpleNamespace

import numpy as np

from neurodeploy.simulator.fast.prelude import TYPES


def _wrapping(name):
    bits, is_signed = int(name.lstrip("uint")), name.startswith("int")

    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)

    def wrap(x):
        value = int(x)
        return value if low <= value <= high else (value - low) % (1 << bits) + low

    return wrap


class Pointer:
    """Memory from an address on."""

    def __init__(self, address, name):
        self.address, self.name = int(address), name
        self.kind, self.size = getattr(ctypes, f"c_{name}"), np.dtype(name).itemsize

    def __getitem__(self, index):
        return self.kind.from_address(self.address + index * self.size).value

    def __setitem__(self, index, value):
        assert value == WIDTHS[self.name](value), "a value is stored that its type does not hold"
        self.kind.from_address(self.address + index * self.size).value = value


WIDTHS = {name: _wrapping(name) for name in TYPES}
PRELUDE = {
    "np": SimpleNamespace(**WIDTHS),
    "_from": lambda pointer, offset: Pointer(pointer.address + offset * pointer.size, pointer.name),
    "_move": ctypes.memmove,
    "_add": operator.add,
    "_sub": operator.sub,
    "_mul": operator.mul,
    "_shr": operator.rshift,
    "_shl": operator.lshift,
}
PRELUDE |= {f"_{name}": lambda address, name=name: Pointer(address, name) for name in TYPES}
PRELUDE |= {f"{name}_": wrap for name, wrap in WIDTHS.items()}


def plain(kernel):
    """Stands for ``prepared.function_of``."""
    begin = kernel.code.index("@numba.njit")  # before it stands what speaks to the compiler
    code = "\n".join(line for line in kernel.code[begin:].splitlines() if not line.startswith("@numba"))
    names = dict(PRELUDE)
    exec(compile(code, "a generated kernel", "exec"), names)  # noqa: S102 - our own, generated a moment ago
    return names["run"]
