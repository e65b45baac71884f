"""Refusals: every error that a user can meet says where, what was, what must be and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from neurodeploy.notebook import show


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, with the numbers that show it.

    code : stable identifier, a key of neurodeploy.codes.CODES
    where : the place in the user's terms ("xylo_audio3, layer 2")
    was : what was found
    must : what had to be
    todo : what the user can do about it
    values : the same as numbers, for programs
    """

    code: str
    where: str
    was: str
    must: str
    todo: str = ""
    values: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.was}", self.must] + ([self.todo] if self.todo else [])
        text = "; ".join(parts)
        return f"{text}{'' if text.endswith(('.', '?')) else '.'} [{self.code}]"


class Refusal(ValueError):
    """Input that is not accepted. Lists every fault that was found, not only the first.

    exit_status : what the command line returns for it (2: refused input)
    """

    exit_status = 2

    def __init__(self, faults: Fault | Sequence[Fault]) -> None:
        self.faults: tuple[Fault, ...] = (faults,) if isinstance(faults, Fault) else tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))

    def _repr_html_(self) -> str:
        rows = [(f.code, f.where, f.was, f.must, f.todo) for f in self.faults]
        return show(type(self).__name__, ("code", "where", "was", "must", "what to do"), rows)

    @property
    def code(self) -> str:
        """Code of the first fault."""
        return self.faults[0].code

    @property
    def values(self) -> Mapping[str, object]:
        """Values of the first fault."""
        return self.faults[0].values


class DoesNotFit(Refusal):
    """The answer is no: the network does not fit the chip (exit status 1)."""

    exit_status = 1


class Differs(Refusal):
    """The answer is no: two runs differ, or nothing was compared (exit status 1)."""

    exit_status = 1


class Missing(Refusal):
    """An optional package, an oracle or a device is not there (exit status 3)."""

    exit_status = 3


class MissingPeer(Missing):
    """A program that a comparison is told to require is not there: the answer is no (exit status 1)."""

    exit_status = 1


class TextAtFault(Refusal):
    """A step text broke its own width contract: the chip file is wrong, never the value."""


def missing_extra(package: str, extra: str, purpose: str) -> Missing:
    """Refusal for an optional package, with the exact line that installs it."""
    return Missing(
        Fault(
            "ND9001",
            purpose,
            f"the package {package} is not installed",
            "it is needed here",
            f'pip install "neurodeploy[{extra}]"',
            {"package": package, "extra": extra},
        )
    )


def raise_if(faults: Sequence[Fault], kind: type[Refusal] = Refusal) -> None:
    """Raise one refusal that lists all faults, if there are any."""
    if faults:
        raise kind(faults)
