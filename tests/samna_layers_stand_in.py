"""A strict stand-in for samna's modules of event-driven chips, and a made-up board that computes what was configured.

Only the documented attributes, only values of the documented kind; written from the list of field names in the
vendor's documentation, not from chip.toml, so that the two are compared. It proves nothing about samna itself.
"""

import types
from collections import deque

import numpy as np
from samna_stand_in import flag, number, strict


def integers(depth, low, high):
    """Nested lists, or an array, of whole numbers."""

    def check(value):
        array = np.asarray(value)
        plain = isinstance(value, (np.ndarray, list))
        sound = plain and array.ndim == depth and array.dtype.kind == "i"
        return sound and (array.size == 0 or (array.min() >= low and array.max() <= high))

    return check


def never(_value):
    return False


def part(kind):
    """An object that is there and cannot be replaced."""
    return (never, kind)


def several(kind, count):
    return (never, lambda: [kind() for _ in range(count)])


U8, WORD = number(0, 255), number(-32768, 32767)
Vec2 = strict("Vec2_unsigned_char", x=(U8, 0), y=(U8, 0))
Flags = strict("Vec2_bool", x=(flag, True), y=(flag, False))
Shape = strict("Shape", size=part(Vec2), feature_count=(number(1, 1024), 1))
Dimensions = strict(
    "Dimensions",
    padding=part(Vec2),
    stride=part(Vec2),
    kernel_size=(number(1, 16), 1),
    input_shape=part(Shape),
    output_shape=part(Shape),
)
LAYER = number(0, 12)
Destination = strict(
    "CnnLayerDestination",
    enable=(flag, False),
    layer=(LAYER, 0),
    pooling=(lambda v: type(v) is int and v in {1, 2, 4}, 1),
    feature_shift=(number(0, 1023), 0),
)
DvsDestination = strict("DvsLayerDestination", enable=(flag, False), layer=(LAYER, 0))
CnnLayer = strict(
    "CnnLayerConfig",
    dimensions=part(Dimensions),
    weights=(integers(4, -128, 127), list),
    biases=(integers(1, -32768, 32767), list),
    neurons_initial_value=(integers(3, -32768, 32767), list),
    threshold_high=(WORD, 0),
    threshold_low=(lambda v: WORD(v) and v != 0, -1),
    output_decimator_interval=(number(0, 7), 0),
    destinations=several(Destination, 2),
    **dict.fromkeys(
        (
            "return_to_zero",
            "leak_enable",
            "leak_internal_slow_clk_enable",
            "monitor_enable",
            "input_congestion_balancer_enable",
            "output_decimator_enable",
        ),
        (flag, False),
    ),
)
DvsLayer = strict(
    "DvsLayerConfig",
    **{n: part(Vec2) for n in ("origin", "cut", "pooling")},
    mirror=part(Flags),
    mirror_diagonal=(flag, True),
    destinations=several(DvsDestination, 2),
    pass_sensor_events=(flag, True),
    **dict.fromkeys(("merge", "monitor_enable", "raw_monitor_enable"), (flag, False)),
    **dict.fromkeys(("on_channel", "off_channel"), (flag, True)),
)
FILTER = ("enable", "hot_pixel_filter_enable", "low_pass_mode_enable", "internal_slow_clk")
DvsFilter = strict(
    "DvsFilterConfig",
    filter_size=part(Vec2),
    threshold=(number(0, 255), 0),
    **dict.fromkeys(FILTER, (flag, False)),
)
READOUT = (
    "enable",
    "monitor_enable",
    "readout_pin_monitor_enable",
    "internal_slow_clk",
    "override_threshold_max",
    "low_pass_filter_disable",
    "low_pass_filter32_not16",
)
Readout = strict(
    "ReadoutConfig",
    output_mode_sel=(number(0, 3), 0),
    readout_configuration_sel=(number(0, 3), 0),
    threshold=(number(0, 65535), 0),
    output_neuron_num=(number(0, 15), 0),
    **dict.fromkeys(READOUT, (flag, False)),
)
#: Bias currents and timing of memories: nothing of ours may touch them.
Factory = strict("FactoryConfig", io_sel=(never, 0), fast_output=(never, False))


class Spike:
    """Attributes of samna's event; made by keyword."""

    __slots__ = ("feature", "layer", "timestamp", "x", "y")

    def __init__(self, *, layer, feature, y, x, timestamp):
        self.layer, self.feature, self.y, self.x, self.timestamp = layer, feature, y, x, timestamp
        assert all(type(getattr(self, n)) is int for n in self.__slots__)


class ReadoutValue:
    """An event that is no spike, and has no time stamp."""

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


class ReadoutPinValue:
    """An event that the program only counts."""

    __slots__ = ("index", "timestamp")

    def __init__(self):
        self.index, self.timestamp = 1, 0


def validate_configuration(config):
    """Whether every destination's map agrees with the map that it leads to."""
    for core in config.cnn_layers:
        for d in core.destinations:
            if d.enable and d.layer < 9:
                size, target = core.dimensions.output_shape, config.cnn_layers[d.layer].dimensions.input_shape
                if any(getattr(size.size, a) // d.pooling != getattr(target.size, a) for a in "xy"):
                    return False, "input and target shape do not match"
                if size.feature_count + d.feature_shift > target.feature_count:
                    return False, "too many features"
    return True, ""


class Chip:
    """Nine cores that compute what a configuration object says; events wait in one queue."""

    def __init__(self, config):
        self.cores = config.cnn_layers
        self.w = [np.asarray(core.weights).tolist() for core in self.cores]
        self.v = [np.array(core.neurons_initial_value, np.int64).tolist() for core in self.cores]
        self.readout = []

    def send(self, layer, feature, y, x):
        """Spikes of every core that one spike causes, in order."""
        waiting, out = deque([(layer, feature, y, x)]), []
        while waiting:
            layer, feature, y, x = waiting.popleft()
            if layer == 12:
                self.readout.append(feature)
                continue
            for spike in self.meet(layer, feature, y, x):
                out.append(spike)
                core, f, ny, nx = spike
                waiting += [
                    (d.layer, f + d.feature_shift, ny // d.pooling, nx // d.pooling)
                    for d in self.cores[core].destinations
                    if d.enable
                ]
        return out

    def meet(self, layer, feature, y, x):
        core, w, v = self.cores[layer], self.w[layer], self.v[layer]
        size, step, pad, k = (getattr(core.dimensions, n) for n in ("output_shape", "stride", "padding", "kernel_size"))
        assert 0 <= feature < core.dimensions.input_shape.feature_count
        assert 0 <= x < core.dimensions.input_shape.size.x
        assert 0 <= y < core.dimensions.input_shape.size.y
        rows = [(ky, *divmod(y + pad.y - ky, step.y)) for ky in range(k)]
        columns = [(kx, *divmod(x + pad.x - kx, step.x)) for kx in range(k)]
        reached = [
            (ky, kx, ny, nx)
            for ky, ny, beside in rows
            for kx, nx, apart in columns
            if not beside and not apart and 0 <= ny < size.size.y and 0 <= nx < size.size.x
        ]
        low, high, zero = core.threshold_low, core.threshold_high, core.return_to_zero
        for f in range(size.feature_count):
            for ky, kx, ny, nx in reached:
                now = max(v[f][nx][ny] + w[f][feature][kx][ky], low)
                if fires := now >= high:
                    now = 0 if zero else now - high
                v[f][nx][ny] = now
                if fires:
                    yield layer, f, ny, nx

    def tick(self):
        for core, v in zip(self.cores, self.v, strict=True):
            if core.leak_enable:
                for f, bias in enumerate(np.asarray(core.biases).tolist()):
                    v[f] = [[max(now + bias, core.threshold_low) for now in column] for column in v[f]]


class Clock:
    """A host clock that runs only while somebody sleeps."""

    def __init__(self, *, stopped=False):
        self.time, self.stopped, self.slept = 100.0, stopped, 0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.slept += 1
        assert self.slept < 10_000, "it never ends"
        self.time += 0 if self.stopped else seconds


class Node:
    """A node of samna's graphs; ``ends`` is what it was joined to."""

    def __init__(self):
        self.joined = None


class Source(Node):
    def write(self, events):
        self.joined.device.take(events)


class Sink(Node):
    def get_events(self):
        return self.joined.device.give()


class Graph:
    def __init__(self):
        self.pairs, self.started = [], False

    def sequential(self, nodes):
        a, b = nodes
        (a if isinstance(a, Source | Sink) else b).joined = b if isinstance(a, Source) else a
        self.pairs.append((a, b))

    def start(self):
        self.started = True


class End:
    """Where a model takes, or gives, events."""

    def __init__(self, device):
        self.device = device


class Model:
    def __init__(self, device):
        self.device = device

    def apply_configuration(self, config):
        if self.device.refusals:
            self.device.refusals -= 1
            raise RuntimeError("timeout while applying")
        self.device.config = config

    def get_sink_node(self):
        return End(self.device)

    def get_source_node(self):
        return End(self.device)


class Watch:
    def __init__(self, device):
        self.device = device

    def reset(self):
        self.device.calls.append("reset")

    def start(self):
        self.device.calls.append("start")
        self.device.started = self.device.clock.now()


class Io:
    def __init__(self, device):
        self.device = device

    def set_slow_clk(self, on):
        assert type(on) is bool
        self.device.calls.append(("slow_clk", on))

    def set_slow_clk_rate(self, rate):
        self.device.calls.append(("rate", rate))
        self.device.rate = rate


class Device:
    """A board: what comes out passes a line that loses, delays, doubles and reorders events, or never falls silent.

    refusals : configurations that it does not take first
    lose, double, reorder : share of events
    late_s : seconds by which events come late
    babble : an event at every poll, for ever
    breaks : polls after which the connection breaks
    """

    def __init__(self, clock, *, refusals=0, lose=0.0, double=0.0, reorder=0.0, late_s=0.0, babble=False, breaks=None):
        self.clock, self.refusals, self.late_s, self.babble, self.breaks = clock, refusals, late_s, babble, breaks
        self.lose, self.double, self.reorder = lose, double, reorder
        self.config, self.started, self.calls, self.waiting, self.polls, self.rate = None, None, [], [], 0, 0
        self.lost, self.doubled, self.rng = 0, 0, np.random.default_rng(0)

    # what the program may call

    def get_model(self):
        return Model(self)

    def get_stop_watch(self):
        return Watch(self)

    def get_io_module(self):
        return Io(self)

    def reset_board_soft(self, hard):
        assert hard is True
        self.calls.append("soft reset")

    # the line

    def take(self, events):
        chip, sent, ticks = Chip(self.config), [], 0
        for event in events:
            while ticks < event.timestamp * self.rate // 10**6:
                chip.tick()
                ticks += 1
            found = chip.send(event.layer, event.feature, event.y, event.x)
            time = event.timestamp + 3 if self.started is not None else 0
            sent += [
                Spike(layer=c, feature=int(f), y=int(y), x=int(x), timestamp=time)
                for c, f, y, x in found
                if self.config.cnn_layers[c].monitor_enable
            ]
        if self.config.readout.enable and self.config.readout.monitor_enable:
            # class n, 1 to 15, listens to feature 4 (n - 1); a word is valid, class and data, from bit 20 down
            counts = [chip.readout.count(4 * (n - 1)) for n in range(1, 16)]
            best = counts.index(max(counts))
            self.waiting.append((self.clock.now(), ReadoutValue(1 << 20 | (best + 1) << 16 | counts[best])))
        for event in sent:
            due = (self.started or self.clock.now()) + event.timestamp / 1e6 + self.late_s
            if self.rng.random() < self.lose:
                self.lost += 1
                continue
            self.waiting.append((due, event))
            if self.rng.random() < self.double:
                self.doubled += 1
                self.waiting.append((due, event))
        if self.reorder and self.waiting:
            keys = [due + 0.2 * self.rng.random() * (self.rng.random() < self.reorder) for due, _ in self.waiting]
            self.waiting = [(keys[i], self.waiting[i][1]) for i in np.argsort(keys, kind="stable")]

    def give(self):
        self.polls += 1
        if self.breaks is not None and self.polls > self.breaks:
            raise OSError("the cable is out")
        now = self.clock.now()
        ready = [event for due, event in self.waiting if due <= now]
        self.waiting = [(due, event) for due, event in self.waiting if due > now]
        return [*ready, *([ReadoutPinValue()] if self.babble else [])]


def samna(name="speck2f", *, boards=("Speck2fDevKit",), device=None, nodes=None):
    """A fresh package with one module, and boards that are plugged in."""
    package = types.ModuleType("samna")
    module = types.ModuleType(f"samna.{name}")
    module.validate_configuration = validate_configuration
    module.configuration = types.ModuleType(f"samna.{name}.configuration")
    module.configuration.SpeckConfiguration = strict(
        "SpeckConfiguration",
        cnn_layers=several(CnnLayer, 9),
        dvs_layer=part(DvsLayer),
        dvs_filter=part(DvsFilter),
        readout=part(Readout),
        factory_config=part(Factory),
    )
    module.event = types.ModuleType(f"samna.{name}.event")
    module.event.Spike, module.event.ReadoutValue = Spike, ReadoutValue
    setattr(package, name, module)
    source, sink = nodes or (f"BasicSourceNode_{name}_event_input_event", f"BasicSinkNode_{name}_event_output_event")
    setattr(package, source, Source)
    setattr(package, sink, Sink)
    package.graph = types.SimpleNamespace(EventFilterGraph=Graph)
    opened = []

    def open_device(which):
        if device is None:
            raise RuntimeError(f"{which} is busy")
        opened.append(which)
        return device

    infos = [types.SimpleNamespace(device_type_name=b, usb_bus_number=1, serial_number="0") for b in boards]
    package.device = types.SimpleNamespace(
        get_unopened_devices=lambda: infos, open_device=open_device, close_device=lambda d: opened.append(("closed", d))
    )
    package.opened = opened
    return package
