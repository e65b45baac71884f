"""What every generated kernel begins with: memory by address, numbers in their own width, lists of what is not 0.

Arrays of numba count references and test indices for signs; plain addresses do neither, which is faster to compile
and to run. numba widens every operation to 64 bits, and LLVM narrows some of them again: here none is widened.
"""

#: Types that memory has.
TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")

_INTRINSICS = '''"""Generated from the texts of a chip; changes are not read."""

import numba
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic


def _pointer(kind):
    @intrinsic
    def at(typing, address):
        def lines(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), lines

    return at


@intrinsic
def _from(typing, pointer, offset):
    def lines(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), lines


@intrinsic
def _move(typing, to, source, size):
    def lines(context, builder, signature, arguments):
        pointer = context.get_value_type(types.CPointer(types.uint8))
        ends = [builder.inttoptr(a, pointer) for a in arguments[:2]]
        cgutils.raw_memcpy(builder, *ends, arguments[2], 1)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, types.int64), lines


def _narrow(name):
    @intrinsic
    def operator(typing, x, y):
        def lines(context, builder, signature, arguments):
            return getattr(builder, name)(*arguments)

        return x(x, x), lines

    return operator


_add, _sub, _mul, _shr, _shl = map(_narrow, ("add", "sub", "mul", "ashr", "shl"))
'''
_PLACES = '''

@numba.njit(error_model="numpy", _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True, no_rewrites=True)
def _places(words, many, values, places, busy):
    """Positions of the bytes that are not 0, in order, eight to a word; without a branch that depends on the values."""
    some = np.uint64(0)
    for w in range(many):
        some |= words[w]
    if some == np.uint64(0):
        return 0
    several = 0
    for w in range(many):
        busy[several] = w * 8
        several += np.int64(words[w] != np.uint64(0))
    found = 0
    for w in range(several):
        for j in range(busy[w], busy[w] + 8):
            places[found] = j
            found += np.int64(values[j] != 0)
    return found


@numba.njit(error_model="numpy", _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True, no_rewrites=True)
def _wide_places(size, values, places):
    found = 0
    for j in range(size):
        places[found] = j
        found += np.int64(values[j] != 0)
    return found


'''
PRELUDE = _INTRINSICS + "".join(f"_{t} = _pointer(types.{t})\n{t}_ = np.{t}\n" for t in TYPES) + _PLACES
#: A name is found faster than an attribute, many hundred times in one kernel: what the code calls NumPy's types.
CASTS = {f"np.{t}(": f"{t}_(" for t in TYPES}


def short(code: str) -> str:
    """Call types by their names alone."""
    for long, name in CASTS.items():
        code = code.replace(long, name)
    return code
