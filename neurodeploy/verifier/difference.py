"""The first place where two runs differ, in the user's terms and in the chip's."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Difference:
    """The first difference of two runs.

    group : name of the group ("layer")
    neuron, hardware_id : index in the group, and hardware id (None where no network is known)
    sample, step : index into the batch and into time
    phase : entry of the schedule after which the two differ; "start" before the first step
    state : state of the neuron, or what it emits
    before, after : value on either side before and after the phase; of observations before and after the step
    line, where : line of the step text that assigns the state, and the place of that text
    source : (group, neuron) whose event made the difference, if a connection did
    sides : who computed the first and the second value
    notes : configuration, texts and schedules that differ there
    coordinates : (channel, row, column) of the neuron where the group is a map
    """

    group: str
    neuron: int
    hardware_id: int | None
    sample: int
    step: int
    phase: str
    state: str
    before: tuple[int | None, int | None]
    after: tuple[int, int]
    line: str
    where: str
    source: tuple[str, int] | None
    sides: tuple[str, str]
    notes: tuple[str, ...] = ()
    coordinates: tuple[int, ...] = ()

    def __str__(self) -> str:
        number = "" if self.hardware_id is None else f" (hardware id {self.hardware_id})"
        at = f" at {self.coordinates}" if self.coordinates else ""
        place = f"group {self.group!r}, neuron {self.neuron}{at}{number}, sample {self.sample}, step {self.step}"
        phase = f", phase {self.phase}" if self.phase else ""
        was = "" if None in self.before else f", from {self.before[0]} and {self.before[1]} before"
        first, second = self.sides
        parts = [f"{place}{phase}: {self.state} = {self.after[0]} in {first}, {self.after[1]} in {second}{was}"]
        if self.line:
            parts.append(f"{self.where}: {self.line}")
        if self.source is not None:
            parts.append(f"the event came from group {self.source[0]!r}, neuron {self.source[1]}")
        return "; ".join([*parts, *self.notes]) + "."

    def to_json(self) -> dict[str, object]:
        """Plain data with the field names as keys."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
