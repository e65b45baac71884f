"""Refusals: every error that a user can meet says where, what was, what must be and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

#: Stable codes. The first two digits name the module that refuses, the last two the rule.
CODES: Mapping[str, str] = MappingProxyType(
    {
        "ND1001": "step text: not of the language",
        "ND1002": "step text: unknown name",
        "ND1003": "step text: divisor, shift or width outside its range",
        "ND1004": "step text: intervals leave int64",
        "ND1005": "step text: value of a state outside its width after a handler",
        "ND1006": "step text: name never read, or read before it has a value",
        "ND1101": "chip file: unreadable",
        "ND1102": "chip file: entry missing, unknown or of the wrong kind",
        "ND1103": "chip file: entries contradict each other",
        "ND1104": "unknown chip",
        "ND1201": "network: shape or index",
        "ND1202": "network: value outside what the register holds",
        "ND1203": "network: unknown group, kind or parameter",
        "ND1204": "network: not placed",
        "ND1301": "simulation: shape, type or sign of the input",
        "ND1302": "simulation: count above the cap of the input",
        "ND1303": "simulation: unknown state or option",
        "ND1304": "simulation: queue of events full, or activity that never ends",
        "ND1305": "simulation: engine of many processes, its address or workers",
        "ND1401": "file: unreadable, truncated or of another format",
        "ND1402": "file: pickled content",
        "ND1403": "file: changed since it was written",
        "ND1404": "file: schema version",
        "ND1501": "data: layout not stated or wrong",
        "ND1502": "data: values",
        "ND1503": "data: encoder option",
        "ND1504": "evaluation: option or labels",
        "ND1601": "float model: parameter",
        "ND1602": "float model: input shape",
        "ND1603": "float model: module that cannot be deployed",
        "ND1604": "float model: NaN or infinite value",
        "ND1605": "float model: forward that cannot be traced",
        "ND1606": "float model: calibration of a conversion",
        "ND1701": "quantizer: neuron that the chip does not have",
        "ND1702": "quantizer: time constant outside the grid",
        "ND1703": "quantizer: value does not fit its register",
        "ND1704": "quantizer: calibration data",
        "ND1801": "mapper: limit exceeded",
        "ND1802": "mapper: place not available",
        "ND1901": "configuration: cannot be written or read",
        "ND1902": "device: does not open, take its configuration, or offer what is asked",
        "ND2001": "verification: nothing was compared",
        "ND2002": "verification: difference",
        "ND2003": "verification: runs cannot be compared",
        "ND2101": "bundle: unreadable or incomplete",
        "ND2201": "proof: dialects of a chip could differ",
        "ND2202": "guard: outside what is known of the chip",
        "ND2203": "proof: certificate that does not show what it claims",
        "ND2301": "recording: incomplete, contradicts itself, or of another network or input",
        "ND9001": "optional package or oracle missing",
        "ND9002": "usage",
    }
)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, with the numbers that show it.

    code : stable identifier, a key of CODES
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
