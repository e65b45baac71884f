"""A SynSense board with a clocked chip, as a device: counts go in, a readout comes back for every step.

Untested on hardware: tried on a made-up board that loses, delays, doubles and reorders readouts.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.devices.device import About, Answer, Sample, events_table
from neurodeploy.emit.samna import apply, detect_samna, samna_table
from neurodeploy.emit.samna.fill import Filler, real_samna
from neurodeploy.emit.samna.plugged import HOST, Clock, choose_board, not_opened, words_of
from neurodeploy.emit.samna.table import BoardNames, SamnaTable
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Network

ATTEMPTS = 3  # of a configuration; the vendor's event-driven boards are known to need more than one
PAUSE_S = 1.0
POLL_S = 0.02
QUIET_S = 0.2  # in which a second readout of a step would show
UNKNOWN = "unknown"


def steps_of_board(chip: Chip) -> BoardNames | None:
    """How a board with this clocked chip is driven; None where its description does not say."""
    return samna_table(chip).board if "samna" in chip.file.emit else None


@dataclass(frozen=True)
class Words:
    """Classes of the events of a run."""

    spike: Callable[..., Any]
    process: Callable[..., Any]
    ask: Callable[..., Any]
    readout: type


class SteppedBoard:
    """A board whose clocked chip holds a network; see Device. Only output neurons are observed.

    The network is run in the chip's accelerated mode, so that the end of a sample is due at once.
    name : "TYPE:NUMBER" as samna counts the boards of a type; None takes the first that fits
    again : a second run of a sample may be better than the first
    Raises Missing ND9001 where there is no real samna or no such board, Refusal: ND1901 what samna does not have,
    ND1902 a chip of whose boards too little is known, a configuration that samna refuses, a board that does not open.
    """

    again = True

    def __init__(
        self, network: Network, name: str | None = None, *, samna_module: Any = None, clock: Clock = HOST
    ) -> None:
        chip, names = network.chip, steps_of_board(network.chip)
        if names is None:
            raise undriven(chip)
        package, state = real_samna(samna_module, f"a board with {chip.name}")
        self.network, self.names, self.clock = network, names, clock
        self._device: Any = None
        table = samna_table(chip)
        self._words = _words(package, table, names, f"samna {state.version or 'of unknown version'}")
        self._config, valid, message = apply(network, samna_module, frontend=names.given)
        self.outputs = list(network.of_kind(table.readout.kind))
        self.name = choose_board(chip, names.names, package, name)
        if not valid:
            raise Refusal(self._fault(message, "a configuration that samna takes"))
        self._open(package)

    def about(self) -> About:
        """The board, what its firmware says of itself, and the version of samna."""
        sdk = f"samna {detect_samna().version or 'of unknown version'}"
        return About(self.name, self.name, self.firmware, sdk, "silicon")

    def announce(self, samples: Sequence[Sample]) -> None:
        """Nothing: samples are sent one by one."""

    def reset(self) -> None:
        """Configure the board anew; a configuration holds the start of every state."""
        trouble = ""
        for _ in range(ATTEMPTS):
            try:
                self._device.get_model().apply_configuration(self._config)
            except Exception as error:  # noqa: BLE001 - the vendor's library states no exceptions of its own
                trouble = words_of(error)
                self.clock.sleep(PAUSE_S)
            else:
                return
        was = f"configuration not taken in {ATTEMPTS} attempts, the last: {trouble}"
        raise Refusal(self._fault(was, "a board that takes its configuration", "plug the board in anew"))

    def run(self, sample: Sample, timeout_s: float) -> Answer:
        """Ask at which step the chip stands, send the counts of the steps after it, and collect a readout of each."""
        waiting, trouble = self._listen(lambda _: True, timeout_s)
        groups = tuple(g.name for g in self.outputs)
        if not trouble:
            self._send([self._words.ask()])
            told, trouble = self._listen(bool, timeout_s)
        if trouble:
            said = f"the board does not say at which step it stands: {trouble}"
            return Answer(events_table([]), groups, complete=False, stale=len(waiting), trouble=said)
        # what was still on its way comes before the answer; below 0 the chip has not run yet
        first = max(self._step(told[-1]), -1) + 1
        self._send(self._stimulus(sample, first))
        every = set(range(first, first + sample.steps))
        found, trouble = self._listen(lambda seen: every <= {self._step(r) for r in seen}, timeout_s)
        if not trouble:
            self.clock.sleep(min(QUIET_S, timeout_s / 2))
            more, trouble = self._listen(lambda _: True, timeout_s)
            found += more
        late = [r for r in found if self._step(r) < first]
        mine = [r for r in found if self._step(r) in every]
        beyond = sum(self._step(r) > first + sample.steps - 1 + self.names.beyond for r in found)
        rows, strange, short = self._rows(mine, first)
        whole, words = judge([self._step(r) - first for r in mine], sample.steps)
        # of an earlier run, or the chip ran steps that nobody asked for: then its states are not those of the sample
        words += [f"{_readouts(late)} of an earlier step"] * bool(late)
        words += [f"{_readouts(short)} with too few neurons"] * bool(short)
        complete = whole and not (late or short or trouble)
        return Answer(
            events_table(rows),
            groups,
            complete=complete,
            stale=len(waiting) + len(told) - 1 + len(late),
            strange=strange + beyond,
            trouble="; ".join([*words, trouble] if trouble else words),
        )

    def close(self) -> None:
        """Give the board back; once is enough."""
        if self._device is not None:
            device, self._device = self._device, None
            self._package.device.close_device(device)

    def _open(self, package: Any) -> None:
        self._package, self.firmware = package, UNKNOWN
        try:
            self._device = device = package.device.open_device(self.name)
            for switch, value in self.names.switches.items():
                getattr(device, switch)(value)
            self._sink = package.graph.sink_from(device.get_model_source_node())
            self._source = package.graph.source_to(device.get_model_sink_node())
            if hasattr(device, "get_firmware_versions"):
                versions = device.get_firmware_versions()
                parts = [f"{n} {getattr(versions, n)}" for n in self.names.firmware if hasattr(versions, n)]
                self.firmware = ", ".join(parts) or UNKNOWN
        except Exception as error:  # noqa: BLE001 - the vendor's library states no exceptions of its own
            self.close()
            raise not_opened(self.network.chip, self.name, error) from None

    def _stimulus(self, sample: Sample, first: int) -> list[Any]:
        """One event for each count, by time, and the event that runs the chip to the end of the sample."""
        names, rows = self.names, list[tuple[int, int]]()
        for name, counts in sample.input.items():
            ids = np.asarray(self.network.group(name).ids)
            for step, neuron in np.argwhere(counts):
                rows += [(first + int(step), int(ids[neuron]))] * int(counts[step, neuron])
        spikes = [self._words.spike(**{names.neuron: i, names.step: t}) for t, i in sorted(rows)]
        return [*spikes, self._words.process(**{names.until: first + sample.steps - 1 + names.beyond})]

    def _send(self, events: list[Any]) -> None:
        try:
            self._source.write(events)
        except Exception as error:  # noqa: BLE001 - the vendor's library states no exceptions of its own
            raise Refusal(self._fault(f"events not taken: {words_of(error)}", "a board that takes events")) from None

    def _listen(self, enough: Callable[[list[Any]], bool], timeout_s: float) -> tuple[list[Any], str]:
        """Readouts in the order of arrival until they are enough, and why not; it ends in any case."""
        start, found = self.clock.now(), list[Any]()
        pause = min(POLL_S, timeout_s / 2)
        for _ in range(int(np.ceil(timeout_s / pause)) + 1):
            try:
                found += [e for e in self._sink.get_events() if isinstance(e, self._words.readout)]
            except Exception as error:  # noqa: BLE001 - what came before it is worth keeping
                return found, words_of(error)
            if enough(found):
                return found, ""
            if self.clock.now() - start >= timeout_s:
                break
            self.clock.sleep(pause)
        return found, f"nothing more in {timeout_s:g} s"

    def _step(self, readout: Any) -> int:
        return int(getattr(readout, self.names.at))

    def _rows(self, readouts: list[Any], first: int) -> tuple[list[tuple[int, int, int, int]], int, list[Any]]:
        """Events in the order of arrival, how many no neuron can have sent, and the readouts that lack neurons."""
        number = {g.name: i for i, g in enumerate(self.network.groups)}
        place = {int(i): (number[g.name], n) for g in self.outputs for n, i in enumerate(np.asarray(g.ids))}
        rows, strange, short = list[tuple[int, int, int, int]](), 0, list[Any]()
        for readout in readouts:
            counts = [int(c) for c in getattr(readout, self.names.outputs)]
            short += [readout] * (len(counts) <= max(place))
            step = self._step(readout) - first
            rows += [(step, *place[i], c) for i, c in enumerate(counts) if i in place and c > 0]
            strange += sum(c < 0 or i not in place for i, c in enumerate(counts) if c)
        return rows, strange, short

    def _fault(self, was: str, must: str, todo: str = "") -> Fault:
        return Fault("ND1902", f"{self.network.chip.name}, {self.name}", was, must, todo)


def judge(steps: Sequence[int], count: int) -> tuple[bool, list[str]]:
    """Whether each of so many steps was read out exactly once, and what happened otherwise, with its first step.

    steps : of the readouts, in the order of arrival. One that came after a later step is told, and harms nothing: a
        readout names its step.
    """
    seen = Counter(steps)
    lost = [s for s in range(count) if not seen[s]]
    doubled = [s for s in range(count) if seen[s] > 1]
    highest = np.maximum.accumulate(np.asarray(steps, np.int64))
    behind = sorted({s for s, high in zip(steps, highest.tolist(), strict=True) if s < high})
    kinds = {"lost or too late": lost, "doubled": doubled, "out of order": behind}
    words = [f"{_readouts(at)} {what}, the first of step {at[0]}" for what, at in kinds.items() if at]
    return not lost and not doubled, words


def undriven(chip: Chip) -> Refusal:
    """Refusal of a chip whose boards this program does not drive, with the way out."""
    must = "a chip whose boards this program drives through samna"
    todo = "record through two csv files: --device csv:FOLDER"
    return Refusal(Fault("ND1902", f"{chip.name}, device samna", "no driver for its boards", must, todo))


def _readouts(many: Collection[Any]) -> str:
    return f"{len(many):,} readout{'s' * (len(many) != 1)}"


def _words(package: Any, table: SamnaTable, names: BoardNames, who: str) -> Words:
    """Classes of the events; raises Refusal ND1901 with all that samna lacks."""
    filler = Filler(who)
    for part in ("device", "graph"):
        filler.find(package, part, "samna")
    whole, _, name = table.module.partition(".")
    events = filler.find(filler.find(package, name, whole), "event", table.module)
    found = [filler.find(events, n, f"{table.module}.event") for n in _classes(names)]
    raise_if(filler.faults)
    return Words(*found)


def _classes(names: BoardNames) -> tuple[str, str, str, str]:
    return names.spike, names.process, names.ask, names.readout
