"""Machine code without its compiler: a compiled function is taken out of numba, kept, and called by its address.

Importing numba costs 100 MiB and 0.4 s in every process. What it compiles needs neither: where a function calls
nothing but mathematics and makes no array, its machine code alone is written as an object file, which llvmlite loads.
Elsewhere, and where numba hands its arguments over in another way than the one that is known here, there is no such
file.
"""

import ctypes
import hashlib
import importlib
import re
import sys
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

_NUMBERS: dict[str, Any] = {"int64": ctypes.c_int64, "float32": ctypes.c_float, "float64": ctypes.c_double}
#: how numba hands over an array of one dimension: owner, parent, entries, bytes of an entry, data, shape, strides
_PARTS = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
_PARTS += [ctypes.c_int64, ctypes.c_int64]
_NAMES = (".0", ".1", ".2", ".3", ".4", ".5.0", ".6.0")
_DATA = 4
_RESULTS = 2  # arguments before the function's own: its result, what it raises
#: arrays come without an owner, so nobody is ever asked to free one
_NEVER_CALLED = "define void @NRT_MemInfo_call_dtor(ptr %owner) {{\n  ret void\n}}\n"
_LOCK = threading.RLock()


def is_native() -> bool:
    """Whether machine code can be taken out of numba here."""
    return sys.platform == "linux"


@cache
def _machine() -> tuple[Any, str]:
    import llvmlite
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    code = f"{llvmlite.__version__}\n{target.triple}\n{name}\n{features}"
    machine = target.create_target_machine(cpu=name, features=features, opt=3, jit=True)
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine), hashlib.sha256(code.encode()).hexdigest()[:16]


def file_name(function: str) -> str:
    """Name of a function's object file: that of another processor or compiler differs."""
    return f"{function}.{_machine()[1]}.o"


def object_of(function: Any, signature: str, symbol: str, *, whole: bool) -> bytes | None:
    """Object file of a function, under a name of its own; None where it cannot stand alone.

    whole : its numbers are whole; a name then needs no new one at each assignment, as a wider type holds the same value
    """
    import llvmlite.binding as llvm

    compiled, library = _compiled(function, signature, whole=whole)
    if compiled is None:
        return None
    module = llvm.parse_assembly(library.get_llvm_str())
    function = module.get_function(compiled.fndesc.llvm_func_name)
    expected = [name for sort, name in zip(compiled.signature.args, compiled.fndesc.args, strict=True)
                for name in _flat_names(str(sort), name)]  # fmt: skip
    if [argument.name for argument in function.arguments] != ["retptr", "excinfo", *expected]:
        return None
    function.name = symbol
    for other in (*module.functions, *module.global_variables):
        if not other.is_declaration and other.name != symbol:
            other.linkage = "internal"
    _remove_unused(llvm, module, library)
    known = ctypes.CDLL(None)
    needed = [f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")]
    if "NRT_MemInfo_call_dtor" in needed:
        module.link_in(llvm.parse_assembly(_NEVER_CALLED.format()))
        needed.remove("NRT_MemInfo_call_dtor")
    if any(name.startswith(("NRT_", "Py", "_Py", "numba")) or not hasattr(known, name) for name in needed):
        return None
    return bytes(library._codegen._tm.emit_object(module))  # noqa: SLF001 - numba's settings of the processor


def _core(name: str) -> Any:
    """An inner part of numba, which promises no types."""
    return importlib.import_module(f"numba.core.{name}")


def _compiled(function: Any, signature: str, *, whole: bool) -> tuple[Any, Any]:
    """What numba knows of a function, and its code; None where whole numbers are promised and others appear."""
    compiler = _core("compiler")
    arguments, result = _core("sigutils").normalize_signature(signature)
    flags, target = compiler.Flags(), _core("registry").cpu_target
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_rewrites = flags.no_compile = True
    flags.error_model = "numpy"
    library = target.target_context.codegen().create_library(function.__name__)
    # its machine code is not put into memory
    library._finalize_final_module = lambda: setattr(library, "_finalized", True)  # noqa: SLF001
    with _core("compiler_lock").global_compiler_lock:
        compiled = compiler.compile_extra(
            target.typing_context,
            target.target_context,
            function,
            arguments,
            result,
            flags,
            {},
            library=library,
            pipeline_class=_pipeline(reused=not whole),
        )
        if whole and any(isinstance(t, _core("types").Float) for t in compiled.type_annotation.typemap.values()):
            return None, library  # numba's type for what holds int64 and uint64
        library.finalize()
    return compiled, library


def _pipeline(*, reused: bool) -> type:
    """Stages of the compiler, without those for closures, lists and whatever else is not in generated code.

    reused : a name may have several types
    """
    before, after = _core("untyped_passes"), _core("typed_passes")
    chosen = [before.TranslateByteCode, before.FixupArgs, before.IRProcessing, before.InlineInlinables]
    chosen += [before.ReconstructSSA] if reused else []
    chosen += [after.NopythonTypeInference, *([after.PreLowerStripPhis] if reused else [])]
    chosen += [after.IRLegalization, after.AnnotateTypes, after.NativeLowering, after.NoPythonBackend]

    def define_pipelines(_: Any) -> list[Any]:
        passes = _core("compiler_machinery").PassManager("neurodeploy")
        for one in chosen:
            passes.add_pass(one, one.__name__)
        passes.finalize()
        return [passes]

    return type("Pipeline", (_core("compiler").CompilerBase,), {"define_pipelines": define_pipelines})


def _flat_names(sort: str, name: str) -> list[str]:
    return [f"arg.{name}{part}" for part in _NAMES] if sort.startswith("array(") else [f"arg.{name}"]


def _remove_unused(llvm: Any, module: Any, library: Any) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=0)
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(library._codegen._tm, options))  # noqa: SLF001


class Native:
    """A function in machine code; numbers and arrays as its signature says."""

    def __init__(self, content: bytes, symbol: str, signature: str) -> None:
        import llvmlite.binding as llvm

        sorts = re.findall(r"[\w:\[\]]+", signature.removeprefix("void("))
        self._kinds = [np.dtype(sort.removesuffix("[::1]")) if sort.endswith("[::1]") else None for sort in sorts]
        self._types = [_NUMBERS.get(sort, ctypes.c_void_p) for sort in sorts]
        types = [part for sort in sorts for part in ([_NUMBERS[sort]] if sort in _NUMBERS else _PARTS)]
        with _LOCK:
            engine = _machine()[0]
            engine.add_object_file(llvm.ObjectFileRef.from_data(content))
            engine.finalize_object()
            address = engine.get_function_address(symbol)
        self._results = (ctypes.c_int64 * _RESULTS)()  # nobody reads them
        place = ctypes.addressof(self._results)
        self._first = [ctypes.c_void_p(place), ctypes.c_void_p(place + ctypes.sizeof(ctypes.c_int64))]
        self._function = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * _RESULTS, *types)(address)

    def __call__(self, *given: Any) -> None:
        """Call it; other Python code runs meanwhile. Raises RuntimeError where the code raised."""
        self.call(self.flat(given)[0])

    def call(self, flat: list[Any]) -> None:
        """Call it with what ``flat`` returned."""
        if self._function(*flat):
            raise RuntimeError("machine code tells of a fault")

    def flat(self, given: Sequence[Any]) -> tuple[list[Any], dict[int, int]]:
        """Return what the machine code is given, and the place there of the address of each array, by argument."""
        found: list[Any] = [*self._first]
        addresses = {}
        for argument, (value, kind) in enumerate(zip(given, self._kinds, strict=True)):
            if kind is None:
                found.append(self._types[argument](value))
                continue
            if value.dtype != kind or not value.flags.c_contiguous:
                msg = f"an array of {value.dtype}, or one with gaps, where one of {kind} belongs"
                raise TypeError(msg)
            addresses[argument] = len(found) + _DATA
            entries, size = ctypes.c_int64(value.size), ctypes.c_int64(kind.itemsize)
            found += [None, None, entries, size, ctypes.c_void_p(value.ctypes.data), entries, size]
        return found, addresses
