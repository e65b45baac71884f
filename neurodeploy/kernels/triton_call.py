"""Kernels on a GPU: the code that Triton compiles, whether it can run here, and how it is called.

Triton takes a function by its source. That is handed over in memory, under a name that is no file, so that nothing is
ever read back from a disk; what is compiled lies in Triton's own cache. With TRITON_INTERPRET=1 Triton runs the same
code in Python, on the CPU: so it is tested where there is no device.
"""

import importlib.util
import logging
import os
import threading
from functools import cache, lru_cache
from typing import Any

import torch

from neurodeploy.generated import module_in_memory
from neurodeploy.kernels.call import Call
from neurodeploy.kernels.numba_source import Source

LANES = 128  # columns of a program: one for each thread of its four warps
_LOG = logging.getLogger("neurodeploy")
_LOCK = threading.RLock()


def is_interpreted() -> bool:
    """Whether Triton runs kernels in Python, on the CPU: TRITON_INTERPRET=1."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@cache
def has_triton() -> bool:
    """Whether Triton is installed and has a device to run on; says once what to do where it is not so."""
    if importlib.util.find_spec("triton") is None:
        _LOG.info('on a GPU layers run step by step, as triton is not installed: pip install "neurodeploy[gpu]"')
        return False
    if is_interpreted():
        return True
    try:
        import triton

        triton.runtime.driver.active.get_current_target()
    except Exception as fault:  # noqa: BLE001 - whatever its drivers raise, torch can still run the layer
        _LOG.warning("on a GPU layers run step by step, as triton finds no device: %s", fault)
        return False
    return True


class Jitted:
    """Functions of one source, which Triton compiles for the types that they are called with."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._module: Any = None

    def function(self, name: str) -> Any:
        """Return a function, to be called with a grid."""
        with _LOCK:
            if self._module is None:
                self._module = module_in_memory(self._source.code)
        return getattr(self._module, name)


class DeviceCall(Call):
    """What both kernels of a call are given, as Triton takes it: tensors on the device of the input."""

    def constant(self, value: Any) -> Any:
        """One number for each column, or one for all: a number that lies on the device is not asked for."""
        if not isinstance(value, torch.Tensor):
            return _number(float(value), self.dtype, self.device)
        if value.numel() == 1:
            return value.detach().to(self.device, self.dtype).reshape(1).clone()
        return self.flat(self.columns(value))

    def flat(self, tensor: torch.Tensor) -> Any:
        """View of a tensor as one row of numbers."""
        return tensor.detach().reshape(-1)

    def empty(self, dtype: torch.dtype) -> torch.Tensor:
        """Memory for a whole sequence."""
        return torch.empty(self.shape, dtype=dtype, device=self.device)

    def run(self, name: str, values: Any, *, steps: int) -> None:
        """Run a kernel over all steps."""
        function = self.kernels.compiled.function(name)
        given = [values[argument] for argument, _ in self.kernels.source.functions[name]]
        first, stride = (0, self.width) if name == "forward" else ((steps - 1) * self.width, -self.width)
        with torch.cuda.device_of(given[-1]):  # type: ignore[no-untyped-call] # torch's
            function[(-(-self.width // LANES),)](
                steps, self.width, first, stride, *given, LANES=LANES, enable_fp_fusion=False
            )


@lru_cache(maxsize=1024)
def _number(value: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """A number on a device, brought there once."""
    return torch.full((1,), value, dtype=dtype, device=device)


def signature_of(source: Source, name: str) -> dict[str, str]:
    """Types of a function's arguments, as Triton writes them when it compiles ahead of time."""
    number = {"float32": "fp32", "float64": "fp64"}[source.dtype]
    given = {argument: "*u8" if sort == "bytes" else f"*{number}" for argument, sort in source.functions[name]}
    return {"steps": "i32", "width": "i32", "first": "i64", "stride": "i32", **given, "LANES": "constexpr"}
