"""A board with the chip, driven through samna: open, configure, stream events, collect, reset, close.

Untested on hardware: tried on a made-up device that loses, delays, doubles and reorders events.
"""

from collections import Counter
from types import TracebackType
from typing import Any, Self

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.emit.samna.fill import Filler, real_samna
from neurodeploy.emit.samna.layers.adapter import module_of
from neurodeploy.emit.samna.layers.collect import Collected
from neurodeploy.emit.samna.layers.events import SPIKE, Spikes, from_samna, readings_of, to_samna
from neurodeploy.emit.samna.layers.table import LayersTable, layers_table, number
from neurodeploy.emit.samna.plugged import HOST, Clock, choose_board, not_opened, words_of
from neurodeploy.errors import Fault, Refusal, raise_if


def open_board(chip: Chip, name: str | None = None, *, samna_module: Any = None, clock: Clock = HOST) -> "Board":
    """Open a board with this chip that nobody else has open.

    name : "TYPE:NUMBER" as samna counts the boards of a type; None takes the first that fits
    samna_module : the imported package samna; None imports it, but only where ``detect_samna`` found the real one
    Raises Missing: ND9001 no real samna, no such board. Raises Refusal: ND1901 names that samna does not have, ND1902
    a board that does not open.
    """
    package, state = real_samna(samna_module, f"a board with {chip.name}")
    table = layers_table(chip)
    filler = Filler(f"samna {state.version or 'of unknown version'}")
    module = module_of(filler, package, table)
    needed = ((package, table.board.source), (package, table.board.sink), (package, "device"), (package, "graph"))
    for thing, attribute in needed:
        filler.find(thing, attribute, "samna")
    spike = filler.find(filler.find(module, "event", table.module), "Spike", f"{table.module}.event")
    raise_if(filler.faults)
    chosen = choose_board(chip, table.board.names, package, name)
    try:
        device = package.device.open_device(chosen)
        return Board(chip, table, package, device, spike, clock, name=chosen)
    except Exception as error:  # noqa: BLE001 - the vendor's library states no exceptions of its own
        raise not_opened(chip, chosen, error) from None


class Board:
    """An open board; closes itself at the end of a ``with``.

    chip : the chip that it must hold
    name : as samna calls it
    """

    def __init__(
        self, chip: Chip, table: LayersTable, package: Any, device: Any, spike: Any, clock: Clock, name: str
    ) -> None:
        self.chip, self.name, self._table, self._package = chip, name, table, package
        self._device, self._spike, self._clock = device, spike, clock
        model = device.get_model()
        self._model = model
        self._source, self._sink = getattr(package, table.board.source)(), getattr(package, table.board.sink)()
        # kept as long as the board is: samna stops graphs that nobody holds
        self._graphs = [package.graph.EventFilterGraph() for _ in range(2)]
        self._graphs[0].sequential([self._source, model.get_sink_node()])
        self._graphs[1].sequential([model.get_source_node(), self._sink])
        for graph in self._graphs:
            graph.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def configure(self, config: Any, *, attempts: int = 3, settle_s: float = 1.0) -> int:
        """Send a configuration object (``apply``) to the chip and let it settle; how many attempts it took.

        Raises Refusal ND1902 after the last attempt. Source: sinabs issue 269, time-outs while configuring.
        """
        device, trouble = self._open(), ""
        for attempt in range(1, attempts + 1):
            try:
                device.get_model().apply_configuration(config)
            except Exception as error:  # noqa: BLE001 - the vendor's library states no exceptions of its own
                trouble = words_of(error)
                self._clock.sleep(settle_s)
            else:
                self._clock.sleep(settle_s)
                return attempt
        was = f"configuration not taken in {attempts} attempts, the last: {trouble}"
        todo = "call soft_reset(), which loses all states, and configure again; if it stays, plug the board in anew"
        raise Refusal(self._fault(was, "a board that takes its configuration", todo))

    def set_slow_clock(self, rate_hz: int | None) -> None:
        """Ticks for leak, readout and filter; None switches them off.

        Raises Refusal ND1902 for a rate that the board does not offer.
        """
        io = self._open().get_io_module()
        if rate_hz is None:
            io.set_slow_clk(False)
            return
        low, high = number(self.chip, self._table.board.slow_clock).holds or (0, 0)
        if not low <= rate_hz <= high:
            raise Refusal(self._fault(f"slow clock of {rate_hz} Hz", f"{low}..{high} Hz"))
        io.set_slow_clk(True)
        io.set_slow_clk_rate(rate_hz)

    def start_watch(self) -> None:
        """Set the stop watch to 0 and start it; without it every event has time 0."""
        watch = self._open().get_stop_watch()
        if hasattr(watch, "start"):
            watch.reset()
            watch.start()
        else:  # older versions of samna
            watch.set_enable_value(True)

    def stream(
        self, spikes: Spikes, *, timeout_s: float = 10.0, quiet_s: float = 0.5, poll_s: float = 0.1
    ) -> Collected:
        """Send spikes, and collect what comes back until the board has been silent for a while.

        spikes : (event,) SPIKE in the order of time, from 0 us on
        timeout_s : seconds after the last spike was due; then the collection ends, and says so
        quiet_s : seconds of silence after which nothing more is expected
        poll_s : seconds between two questions
        Ends in any case, also where the host's clock stands still. Raises Refusal ND1902.
        """
        self._refuse(spikes, timeout_s, quiet_s, poll_s)
        self._open()
        stale, clock = len(list(self._sink.get_events())), self._clock
        self.start_watch()
        start = clock.now()
        try:
            self._source.write(to_samna(spikes, self._spike))
        except Exception as error:  # noqa: BLE001 - the vendor's library states no exceptions of its own
            raise Refusal(self._fault(f"events not taken: {words_of(error)}", "a board that takes events")) from None
        due = float(spikes["t_us"].max(initial=0)) / 1e6
        most = int(np.ceil((due + timeout_s) / poll_s)) + 1
        objects, last, polls, silent, trouble = list[Any](), due, 0, False, ""
        while not silent and polls < most and clock.now() - start < due + timeout_s:
            clock.sleep(poll_s)
            polls += 1
            try:
                new = list(self._sink.get_events())
            except Exception as error:  # noqa: BLE001 - what came before it is worth keeping
                trouble = words_of(error)
                break
            elapsed = clock.now() - start
            objects += new
            last = max(last, elapsed) if new else last
            silent = not new and elapsed - last >= quiet_s
        mine, names = [o for o in objects if isinstance(o, self._spike)], self._table.readout
        others = Counter(type(o).__name__ for o in objects if not isinstance(o, self._spike))
        words = [int(getattr(o, names.value)) for o in objects if type(o).__name__ == names.event]
        others.pop(names.event, None)
        waited, told = clock.now() - start, readings_of(self.chip, words)
        return Collected(from_samna(mine), dict(others), stale, len(spikes), polls, waited, not silent, trouble, told)

    def soft_reset(self) -> None:
        """Reset the board; configuration and states are lost."""
        self._open().reset_board_soft(True)

    def close(self) -> None:
        """Give the board back; once is enough."""
        if self._device is not None:
            device, self._device = self._device, None
            self._graphs.clear()
            self._package.device.close_device(device)

    def _open(self) -> Any:
        if self._device is None:
            raise Refusal(self._fault("closed", "an open board", "call open_board again"))
        return self._device

    def _refuse(self, spikes: Spikes, timeout_s: float, quiet_s: float, poll_s: float) -> None:
        faults = []
        if getattr(spikes, "dtype", None) != SPIKE or spikes.ndim != 1:
            faults.append(self._fault("no table of spikes", "(event,) of type SPIKE", "use spikes_of_stimulus"))
        elif np.any(np.diff(spikes["t_us"], prepend=0) < 0):
            at = int(np.argmax(np.diff(spikes["t_us"], prepend=0) < 0))
            was = f"spike {at} at {spikes['t_us'][at]} us"
            faults.append(self._fault(was, "times from 0 us on that never fall", "sort by time, and begin at 0"))
        if not (0 < poll_s <= quiet_s < timeout_s < np.inf):
            was = f"poll_s = {poll_s}, quiet_s = {quiet_s}, timeout_s = {timeout_s}"
            faults.append(self._fault(was, "0 < poll_s <= quiet_s < timeout_s"))
        raise_if(faults)

    def _fault(self, was: str, must: str, todo: str = "") -> Fault:
        return Fault("ND1902", f"{self.chip.name}, {self.name}", was, must, todo)
