"""A SynSense board through samna, as a device: configured anew before every sample. Untested on hardware."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurodeploy.devices.device import EVENT, About, Answer, Events, Sample
from neurodeploy.devices.stepped import steps_of_board, undriven
from neurodeploy.emit.samna.detect import detect_samna
from neurodeploy.emit.samna.layers import Setup, apply, events_of_groups, layers_table, open_board, spikes_of_stimulus
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Network
from neurodeploy.simulator import expand

#: samna's reference names no call that tells it
FIRMWARE = "unknown"


class SamnaBoard:
    """A board whose chip holds a network; see Device.

    name : as in ``open_board``; None takes the first that fits
    again : a second run of a sample may be better than the first
    Raises Missing ND9001 where there is no real samna or no such board, Refusal: ND1902 a chip that samna's boards of
    this kind do not hold, a network whose step is no whole number of microseconds, a configuration that samna refuses.
    """

    again = True

    def __init__(self, network: Network, name: str | None = None, **options: Any) -> None:
        chip = network.chip
        if "samna_layers" not in chip.file.emit:
            raise undriven(chip)
        step_us = None if network.dt_s is None else network.dt_s * 1e6
        if step_us is None or step_us < 1 or abs(step_us - round(step_us)) > 1e-6 * step_us:
            was = "no duration of a step" if step_us is None else f"a step of {step_us:g} us"
            raise Refusal(Fault("ND1902", f"{chip.name}, device samna", was, "whole microseconds: set dt_s"))
        self.network, self.dt_us = network, round(step_us)
        setup = Setup()
        self.groups = setup.monitored(network)
        self.board = open_board(chip, name, **options)
        self.config, valid, message = apply(network, options.get("samna_module"), setup=setup)
        if not valid:
            self.board.close()
            raise Refusal(
                Fault("ND1902", f"{chip.name}, {self.board.name}", message, "a configuration that samna takes")
            )

    def about(self) -> About:
        """The board, and the version of samna."""
        sdk = f"samna {detect_samna().version or 'of unknown version'}"
        return About(self.board.name, self.board.name, FIRMWARE, sdk, "silicon")

    def announce(self, samples: Sequence[Sample]) -> None:
        """Nothing: samples are sent one by one."""

    def reset(self) -> None:
        """Reset the board and configure it anew; a configuration holds the start of every state."""
        self.board.soft_reset()
        self.board.configure(self.config)

    def run(self, sample: Sample, timeout_s: float) -> Answer:
        """Send the events of a sample at their times, and collect until the board has been silent for a while."""
        silent = {g: np.zeros((sample.steps - len(v), v.shape[1]), np.int64) for g, v in sample.input.items()}
        counts = {g: np.concatenate([v, silent[g]])[:, None] for g, v in sample.input.items()}
        stimulus = expand(counts, self.network.inputs())
        quiet_s = min(0.5, timeout_s / 2)
        seen = self.board.stream(
            spikes_of_stimulus(self.network, stimulus, dt_us=self.dt_us),
            timeout_s=timeout_s,
            quiet_s=quiet_s,
            poll_s=min(0.1, quiet_s),
        )
        inside = (seen.spikes["t_us"] >= 0) & (seen.spikes["t_us"] < sample.steps * self.dt_us)
        found, strange = events_of_groups(self.network, seen.spikes[inside])
        complete = not (seen.timed_out or seen.trouble or seen.untimed)
        lost = len(strange) + int(np.count_nonzero(~inside))
        return Answer(self._events(found), self.groups, complete=complete, stale=seen.stale, strange=lost)

    def close(self) -> None:
        """Give the board back."""
        self.board.close()

    def _events(self, found: Any) -> Events:
        """Events of all layers, each layer in the order of arrival, by time: samna keeps no order between layers."""
        number = {g.name: i for i, g in enumerate(self.network.groups)}
        parts = [np.zeros(0, EVENT)]
        for name in self.groups:
            table = np.zeros(len(found[name]), EVENT)
            table["step"], table["neuron"] = found[name]["t_us"] // self.dt_us, found[name]["neuron"]
            table["group"], table["count"] = number[name], 1
            parts.append(table)
        return np.concatenate(parts)


def board_names(network: Network) -> tuple[str, ...]:
    """Boards with this chip, as samna calls them."""
    if "samna_layers" in network.chip.file.emit:
        return layers_table(network.chip).board.names
    stepped = steps_of_board(network.chip)
    return stepped.names if stepped else ()
