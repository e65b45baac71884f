"""A made-up board with a clocked chip behind a strict stand-in of samna, at the end of a line that is not perfect.

Only the calls that the vendor's own software makes; the names of events stand here a second time, not read from
chip.toml, so that the two are compared. It proves nothing about samna itself.
"""

import types

import numpy as np
import samna_stand_in

from neurodeploy.simulator import simulate

MODULES = {"xylo_audio3": "xyloAudio3", "xylo_imu": "xyloImu"}
BOARDS = {"xylo_audio3": "XyloAudio3TestBoard", "xylo_imu": "XyloImuTestBoard"}


class Spike:
    def __init__(self, *, neuron_id, timestep):
        assert type(neuron_id) is int
        assert type(timestep) is int
        self.neuron_id, self.timestep = neuron_id, timestep


class TriggerProcessing:
    def __init__(self, *, target_timestep):
        self.target_timestep = target_timestep


class TriggerReadout:
    pass


class Readout:
    def __init__(self, timestep, output_spikes):
        self.timestep, self.output_spikes = timestep, output_spikes


class PowerMeasurement:
    """What else comes from a board."""


class Board:
    """Computes the network from the last configuration on; a run that nobody configured anew goes on where it was.

    lose, double, swap : places of readouts in the order of a run; swap changes places with the next
    delay : place -> seconds
    wrong : how many runs the line is like that
    mute : it computes and says nothing; deaf : it does not tell its step either
    trailing : it reads out the target step, too
    outputs : neurons in a readout; None takes those of the network
    refusals : configurations that it does not take first; breaks : polls after which the connection breaks
    """

    def __init__(self, network, clock, **line):
        self.network, self.clock, self.step, self.calls, self.waiting = network, clock, -1, [], []
        self.counts, self.start, self.config, self.polls, self.runs = {}, 0, None, 0, 0
        plain = {"lose": (), "double": (), "swap": (), "delay": {}, "wrong": 99, "mute": False, "deaf": False}
        plain |= {"trailing": False, "outputs": None, "refusals": 0, "breaks": None, "stray": 0}
        assert set(line) <= set(plain)
        self.__dict__ |= plain | line

    # what the program may call

    def get_model(self):
        return types.SimpleNamespace(apply_configuration=self.configure)

    def get_model_source_node(self):
        return self

    def get_model_sink_node(self):
        return self

    def get_firmware_versions(self):
        return types.SimpleNamespace(fxtree="0.11.5", unifirm="1.4.0", other=1)

    def enable_manual_input_acceleration(self, on):
        self.calls.append(("manual", on))

    def configure(self, config):
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("timeout while applying")
        self.calls.append("configure")
        self.config, self.counts, self.start = config, {}, self.step + 1

    def write(self, events):
        for event in events:
            if isinstance(event, Spike):
                assert event.timestep > self.step, "a spike of a step that is over"
                place = (event.timestep, event.neuron_id)
                self.counts[place] = self.counts.get(place, 0) + 1
            elif isinstance(event, TriggerReadout):
                if not self.deaf:
                    self.waiting.append((self.clock.now(), Readout(self.step, [1] * self.size())))
            else:
                assert isinstance(event, TriggerProcessing)
                self.process(event.target_timestep)

    def get_events(self):
        self.polls += 1
        if self.breaks is not None and self.polls > self.breaks:
            raise OSError("the cable is out")
        now = self.clock.now()
        ready = [event for due, event in self.waiting if due <= now]
        self.waiting = [(due, event) for due, event in self.waiting if due > now]
        return [*ready, PowerMeasurement()]

    # the chip, and the line

    def size(self):
        return self.outputs or sum(g.size for g in self.network.of_kind("output"))

    def process(self, target):
        last = target if self.trailing else target - 1
        given = {g.name: np.zeros((last + 1 - self.start, 1, g.size), np.int64) for g in self.network.inputs()}
        for (step, neuron), count in self.counts.items():
            (group,) = given
            given[group][step - self.start, 0, np.flatnonzero(np.asarray(self.network.group(group).ids) == neuron)] = (
                count
            )
        run = simulate(self.network, given, executor="reference", drain=0)
        readouts = []
        for step in range(self.step + 1, last + 1):
            spikes = [0] * self.size()
            for g in self.network.of_kind("output"):
                for neuron, place in enumerate(g.ids):
                    if place < len(spikes):
                        spikes[place] = int(run.counts[g.name][step - self.start, 0, neuron])
            readouts.append(Readout(step, spikes))
        self.step, self.runs = last, self.runs + 1
        if not self.mute:
            self.waiting += self.line(readouts) if self.runs <= self.wrong else [(0, r) for r in readouts]

    def line(self, readouts):
        now, found = self.clock.now(), []
        for i, readout in enumerate(readouts):
            due = now + self.delay.get(i, 0.0)
            found += [(due, readout)] * (0 if i in self.lose else 2 if i in self.double else 1)
        for i in self.swap:
            found[i], found[i + 1] = found[i + 1], found[i]
        return [*found, *[(now, Readout(self.step + 50, [1] * self.size()))] * self.stray]


def samna(chip_name, board=None, boards=None):
    """A fresh package with the chip's module, and boards that are plugged in."""
    package = samna_stand_in.samna()
    events = types.SimpleNamespace(
        Spike=Spike, TriggerProcessing=TriggerProcessing, TriggerReadout=TriggerReadout, Readout=Readout
    )
    getattr(package, MODULES[chip_name]).event = events
    package.graph = types.SimpleNamespace(sink_from=lambda node: node, source_to=lambda node: node)
    package.opened = []

    def open_device(which):
        if board is None:
            raise RuntimeError(f"{which} is busy")
        package.opened.append(which)
        return board

    infos = [types.SimpleNamespace(device_type_name=b) for b in boards or (BOARDS[chip_name],)]
    package.device = types.SimpleNamespace(
        get_unopened_devices=lambda: infos,
        open_device=open_device,
        close_device=lambda device: package.opened.append(("closed", device)),
    )
    return package
