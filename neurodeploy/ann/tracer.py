"""torch.fx's tracer, made to go on after what it cannot follow, so that every fault is found at once, with its line."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
import torch.fx

from neurodeploy.errors import Fault

#: (file, line) in the user's code
Place = tuple[str, int]

_TORCH = str(Path(torch.__file__).parent)
_OURS = str(Path(__file__).parents[1])
_BRANCH = "a forward that takes the same way for every input and every shape"
_GIVE_UP = 100  # a condition met so often at one line is a loop that waits for data


class Tracer(torch.fx.Tracer):
    """Runs ``forward`` on stand-ins and notes where each operation stands in the user's file.

    faults : control flow that depends on data
    places : name of a node -> its place; None where no user code is involved (torch.nn.Sequential)
    """

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[Fault] = []
        self.places: dict[str, Place | None] = {}
        self._met: dict[Place | None, int] = {}

    def run(self, module: torch.nn.Module) -> torch.fx.Graph:
        """Graph of the module, as far as it could be followed; look at ``faults``."""
        try:
            return self.trace(module)
        except Exception as error:  # noqa: BLE001 - the user's forward meets stand-ins; whatever it raises is a fault
            place = _innermost(error.__traceback__)
            if place not in self._met:
                was = f"forward cannot be followed with a stand-in for the data ({_first_line(error)})"
                self.faults.append(_fault(place, was))
            return self.graph

    def create_proxy(self, *args: Any, **kwargs: Any) -> Any:
        """Note the place of each operation."""
        proxy = super().create_proxy(*args, **kwargs)
        self.places[proxy.node.name] = _here()
        return proxy

    def to_bool(self, obj: torch.fx.Proxy) -> bool:
        """``if``, ``while``, ``and``, ``not`` and assert on data: a fault; the other way is tried the second time."""
        return self._control_flow("a condition on", obj) > 1

    def iter(self, obj: torch.fx.Proxy) -> Iterator[Any]:
        """Loop over data, or unpack it: a fault; goes on as if it were empty."""
        self._control_flow("a loop over, or unpacking of,", obj)
        return iter(())

    def _control_flow(self, what: str, obj: torch.fx.Proxy) -> int:
        place = _here()
        self._met[place] = self._met.get(place, 0) + 1
        if self._met[place] == 1:
            self.faults.append(_fault(place, f"{what} the value {obj.node.name!r}, which is known only with the data"))
        if self._met[place] >= _GIVE_UP:
            raise RecursionError
        return self._met[place]


def _fault(place: Place | None, was: str) -> Fault:
    values = {} if place is None else {"file": place[0], "line": place[1]}
    todo = "use torch operations on all samples alike, or convert the part before and the part after"
    return Fault("ND1605", shown(place) or "forward", was, _BRANCH, todo, values)


def shown(place: Place | None) -> str:
    """Place in words."""
    return "" if place is None else f"{place[0]}, line {place[1]}"


def _here() -> Place | None:
    """Innermost frame of the user's code that is running inside ``Tracer.run``."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way to the running frames
    while frame is not None and frame.f_code is not Tracer.run.__code__:
        if _is_user_code(frame):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def _innermost(traceback: TracebackType | None) -> Place | None:
    place = None
    while traceback is not None:
        if _is_user_code(traceback.tb_frame):
            place = (traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return place


def _is_user_code(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return not file.startswith((_TORCH, _OURS))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
