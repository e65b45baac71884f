"""Any device, through two csv files in a folder: we write what to run, the board's own program writes what came out.

``input.csv`` and ``output.csv`` have the columns sample, step, what, group, neuron, value. Lines that begin with # come
first and state "# key: value". The README says what each row means. Nothing of the board's program is run from here.
"""

import csv
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from neurodeploy.archive import write_atomically
from neurodeploy.chips.part import Grade
from neurodeploy.devices.device import About, Answer, Sample, events_table
from neurodeploy.errors import Fault, Missing, Refusal, raise_if
from neurodeploy.network import Network, identity

INPUT, OUTPUT = "input.csv", "output.csv"
COLUMNS = ("sample", "step", "what", "group", "neuron", "value")
TOLD = ("session", "device", "firmware", "sdk", "grade", "groups")
RESET, EVENT, END = "reset", "event", "end"
MOST_FAULTS = 20  # that are listed; the rest is counted
MOST_EVENTS = 1 << 31  # of a neuron in a step
POLL_S = 0.2
Ints = npt.NDArray[np.int64]


@dataclass
class _Heard:
    """Rows of one sample, in their order."""

    events: list[tuple[int, int, int, int]] = field(default_factory=list)
    states: dict[tuple[str, str], dict[tuple[int, int], int]] = field(default_factory=dict)
    complete: bool = False


class Exchange:
    """A device behind two files; see Device.

    folder : where both stand
    now, sleep : the clock of the host
    again : what stands in a file is the same the second time
    """

    again = False

    def __init__(
        self,
        network: Network,
        folder: str | Path,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.network, self.folder, self._now, self._sleep = network, Path(folder), now, sleep
        self._told: Mapping[str, str] = {}
        self._heard: dict[str, _Heard] | None = None
        self._samples: tuple[Sample, ...] = ()
        self._session = ""
        if not self.folder.is_dir():
            raise Refusal(Fault("ND1902", f"device csv:{folder}", "no such folder", "a folder", "create it first"))

    def about(self) -> About:
        """Who answers, as ``output.csv`` states it."""
        told = self._told
        grade: Grade = told["grade"]  # type: ignore[assignment] # checked where it was read
        return About(f"csv:{self.folder.name}", told["device"], told["firmware"], told["sdk"], grade)

    def announce(self, samples: Sequence[Sample]) -> None:
        """Write ``input.csv``; the same samples give the same file and the same session."""
        self._samples = tuple(samples)
        rows = "".join(self._rows())
        self._session = sha256(rows.encode()).hexdigest()[:16]
        head = f"# session: {self._session}\n# target: {self.network.chip.name}\n# network: {identity(self.network)}\n"
        write_atomically(self.folder / INPUT, (head + rows).encode())

    def _rows(self) -> Iterator[str]:
        yield ",".join(COLUMNS) + "\n"
        for sample in self._samples:
            yield f"{sample.id},0,{RESET},,,\n"
            found = []
            for order, (group, counts) in enumerate(sample.input.items()):
                step, neuron = np.nonzero(counts)
                value = counts[step, neuron]
                columns = zip(step.tolist(), neuron.tolist(), value.tolist(), strict=True)
                found += [(s, order, n, f"{sample.id},{s},{EVENT},{group},{n},{v}\n") for s, n, v in columns]
            yield from (text for *_, text in sorted(found))
            yield f"{sample.id},{sample.steps},{END},,,\n"

    def reset(self) -> None:
        """Nothing: each sample of the file begins with a reset."""

    def run(self, sample: Sample, timeout_s: float) -> Answer:
        """Answer of a sample; the first waits for ``output.csv``.

        Raises Missing ND9001 where no answer of this session came in time, Refusal ND2301 with every row that is wrong.
        """
        if self._heard is None:
            self._heard = self._read(self._wait(timeout_s))
        heard = self._heard.get(sample.id, _Heard())
        states: dict[str, dict[str, Ints]] = {}
        complete = heard.complete
        for (group, state), values in heard.states.items():
            size = self.network.group(group).size
            table = np.zeros((sample.steps, size), np.int64)
            for place, value in values.items():
                table[place] = value
            states.setdefault(group, {})[state] = table
        return Answer(events_table(heard.events), self._groups(), states if complete else {}, complete)

    def close(self) -> None:
        """Nothing: the files stay."""

    def _groups(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self._told["groups"].split("|") if name.strip())

    def _wait(self, timeout_s: float) -> str:
        path, until, other = self.folder / OUTPUT, self._now() + timeout_s, ""
        while True:
            if path.is_file():
                text = path.read_text(encoding="utf-8", errors="replace")
                found = _head(text).get("session", "")
                if found == self._session:
                    return text
                other = f"{path} answers session {found!r}"
            if self._now() >= until:
                break
            self._sleep(min(POLL_S, timeout_s))
        todo = f"run the board's program on {self.folder / INPUT}, then this command again"
        was = other or f"no {path}"
        must = f"an answer of session {self._session!r} within {timeout_s:g} s"
        raise Missing(Fault("ND9001", f"device csv:{self.folder}", was, must, todo))

    def _read(self, text: str) -> dict[str, _Heard]:
        self._told = _head(text)
        where = str(self.folder / OUTPUT)
        faults = [
            Fault(
                "ND2301", where, f"no line '# {key}: ...'", "who answers, and how: session, device, firmware, sdk, ..."
            )
            for key in TOLD
            if not self._told.get(key)
        ]
        if self._told.get("grade") and self._told["grade"] not in get_args(Grade):
            faults.append(
                Fault("ND2301", where, f"grade {self._told['grade']!r}", f"one of {', '.join(get_args(Grade))}")
            )
        names = [g.name for g in self.network.groups]
        strange = [n for n in (self._groups() if self._told.get("groups") else ()) if n not in names]
        faults += [Fault("ND2301", where, f"group {n!r}", f"of {', '.join(names)}") for n in strange]
        raise_if(faults)
        heard, wrong = {s.id: _Heard() for s in self._samples}, list[Fault]()
        body = [(n, line) for n, line in enumerate(text.splitlines(), 1) if not line.startswith("#") and line.strip()]
        if not body or tuple(body[0][1].strip().split(",")) != COLUMNS:
            raise Refusal(Fault("ND2301", where, "no line of columns", ",".join(COLUMNS)))
        for number, line in body[1:]:
            trouble = self._take(line, heard)
            if trouble:
                was, must = trouble
                wrong.append(Fault("ND2301", f"{where}, line {number}", was, must))
        wrong += self._gaps(heard, where)
        if len(wrong) > MOST_FAULTS:
            more = len(wrong) - MOST_FAULTS
            wrong = [*wrong[:MOST_FAULTS], Fault("ND2301", where, f"{more:,} more lines like these", "rows as stated")]
        raise_if(wrong)
        return heard

    def _gaps(self, heard: Mapping[str, _Heard], where: str) -> Iterator[Fault]:
        """What is missing of a state is never filled in: it is shown of every neuron at every step, or not at all."""
        for sample in self._samples:
            for (group, state), values in heard[sample.id].states.items():
                every = sample.steps * self.network.group(group).size
                if heard[sample.id].complete and len(values) < every:
                    was = f"{len(values):,} values of {group}.{state}"
                    yield Fault("ND2301", f"{where}, sample {sample.id!r}", was, f"{every:,}: each neuron at each step")

    def _take(self, line: str, heard: Mapping[str, _Heard]) -> tuple[str, str] | None:
        """Take a row; what is wrong with it, and what must be, or None."""
        row = _cells(line)
        if len(row) != len(COLUMNS):
            return f"{len(row)} columns", ",".join(COLUMNS)
        sample, step, what, group, neuron, value = row
        steps = next((s.steps for s in self._samples if s.id == sample), None)
        if steps is None:
            return f"sample {sample!r} was not asked for", "a sample of input.csv"
        mine = heard[sample]
        if mine.complete:
            return f"a row after the end of sample {sample!r}", "the end of a sample as its last row"
        if not _whole(step) or not 0 <= int(step) <= steps - (what != END):
            return f"step {step!r}", f"0..{steps - (what != END)}"
        if what == RESET:
            return None
        if what == END:
            mine.complete = int(step) == steps
            return None if mine.complete else (f"the sample ended after {step} steps", f"{steps}, as input.csv asks")
        known = {g.name: (number, g) for number, g in enumerate(self.network.groups)}
        if group not in known:
            return f"group {group!r}", f"one of {', '.join(known)}"
        number, g = known[group]
        if not _whole(neuron) or not 0 <= int(neuron) < g.size:
            return f"neuron {neuron!r} of group {group!r}", f"0..{g.size - 1}"
        if not _whole(value):
            return f"value {value!r}", "a whole number"
        if what == EVENT:
            if group not in self._groups() or not 1 <= int(value) < MOST_EVENTS:
                return (
                    f"{value} events of group {group!r}",
                    f"1 or more, of {' and '.join(self._groups())}, as stated above",
                )
            mine.events.append((int(step), number, int(neuron), int(value)))
            return None
        states = self.network.chip.neurons[g.kind].states
        if what not in states:
            return f"what = {what!r}", f"{RESET}, {EVENT}, {END}, or a state of the neuron: {', '.join(states)}"
        held = mine.states.setdefault((group, what), {})
        if (int(step), int(neuron)) in held:
            return f"{what} of neuron {neuron} at step {step} for the second time", "once"
        held[int(step), int(neuron)] = int(value)
        return None


def _head(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        key, colon, value = line[1:].partition(":")
        if colon:
            found[key.strip()] = value.strip()
    return found


def _whole(text: str) -> bool:
    """Of a size that 64 bits hold."""
    return len(text) < 19 and text.removeprefix("-").isdecimal() and text.isascii()


def _cells(line: str) -> list[str]:
    """Cells of a row; none of what is no row."""
    try:
        return next(csv.reader(io.StringIO(line)), [])
    except csv.Error:
        return []
