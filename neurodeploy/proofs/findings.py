"""What a proof found: one finding for each state of each group, and the inputs that show what does happen."""

from collections.abc import Mapping
from dataclasses import dataclass

from neurodeploy.proofs.boxes import Ints
from neurodeploy.proofs.certificate import Certificate
from neurodeploy.proofs.watch import Hit

CANNOT, DOES, UNDECIDED = "cannot", "does", "undecided"
_WORDS = {CANNOT: "cannot overflow or saturate", DOES: "does", UNDECIDED: "undecided"}


@dataclass(frozen=True)
class Witness:
    """An input that brings a state to a rail.

    counts : input group -> (time, 1, channel), up to the step of the cut
    """

    hit: Hit
    counts: Mapping[str, Ints]

    def to_json(self) -> dict[str, object]:
        """Plain data; each input as [step, channel, count] of what is not 0."""
        shown = {
            g: {
                "steps": len(v),
                "channels": v.shape[2],
                "events": [[int(t), int(c), int(v[t, 0, c])] for t, _, c in zip(*v.nonzero(), strict=True)],
            }
            for g, v in self.counts.items()
        }
        h = self.hit
        return {
            "step": h.step,
            "neuron": h.neuron,
            "where": h.where,
            "line": h.line,
            "rail": h.kind,
            "value": h.value,
            "limits": list(h.limits),
            "input": shown,
        }


@dataclass(frozen=True)
class Finding:
    """One state of a group.

    verdict : cannot, does or undecided; of the worst of its neurons
    proved, solved, does, undecided : neurons; ``solved`` of the proved ones by the solver
    low, high : range that the state never leaves, of all neurons
    free_steps : steps from a reset in which none of the undecided neurons that were asked about is cut
    """

    group: str
    state: str
    verdict: str
    proved: int
    solved: int
    does: int
    undecided: int
    low: int
    high: int
    free_steps: int = 0
    witness: Witness | None = None

    def __str__(self) -> str:
        name = f"{self.group}.{self.state}"
        if self.verdict == CANNOT:
            how = f", {self.solved} neurons by the solver" if self.solved else ""
            return f"{name}: {_WORDS[CANNOT]}, stays in {self.low}..{self.high}{how}"
        counts = f"{self.proved} neurons proved, {self.does} do, {self.undecided} undecided"
        if self.witness is not None:
            return f"{name}: {_WORDS[DOES]} ({counts}): {self.witness.hit}"
        bound = f"; the ranges reached {self.low}..{self.high}"
        bound += f", and it is not cut in the first {self.free_steps} steps" if self.free_steps else ""
        return f"{name}: {_WORDS[UNDECIDED]} ({counts}){bound}"

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return {
            "group": self.group,
            "state": self.state,
            "verdict": self.verdict,
            "neurons": {
                "proved": self.proved,
                "proved_by_solver": self.solved,
                "does": self.does,
                "undecided": self.undecided,
            },
            "range": [self.low, self.high],
            "free_steps": self.free_steps,
            "witness": None if self.witness is None else self.witness.to_json(),
        }


@dataclass(frozen=True)
class Proofs:
    """All findings of a network and the certificate of what is proved.

    missing : package that would have been asked, with the line that installs it; empty if none
    """

    target: str
    findings: tuple[Finding, ...]
    certificate: Certificate
    seconds: float
    missing: str = ""

    @property
    def proved(self) -> bool:
        """Whether no state can overflow or saturate."""
        return all(f.verdict == CANNOT for f in self.findings)

    @property
    def exit_status(self) -> int:
        """0 everything is proved, 1 something does or is undecided."""
        return 0 if self.proved else 1

    def __str__(self) -> str:
        counts = {word: sum(f.verdict == word for f in self.findings) for word in (CANNOT, DOES, UNDECIDED)}
        head = (
            f"{self.target}: of {len(self.findings)} states {counts[CANNOT]} cannot overflow or saturate, "
            f"{counts[DOES]} do, {counts[UNDECIDED]} undecided in {self.seconds:.1f} s"
        )
        lines = [head, *map(str, self.findings)]
        return "\n".join([*lines, f"not asked: {self.missing}"] if self.missing else lines)

    def to_json(self) -> dict[str, object]:
        """Plain data, with the certificate."""
        return {
            "target": self.target,
            "proved": self.proved,
            "exit_status": self.exit_status,
            "seconds": round(self.seconds, 2),
            "states": [f.to_json() for f in self.findings],
            "missing": self.missing,
            "certificate": self.certificate.to_json(),
        }
