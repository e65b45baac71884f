"""A strict stand-in for samna's Xylo modules: only the documented attributes, only values of the documented kind.

Written from the list of field names in the vendor's documentation, not from chip.toml, so that the two are compared.
It proves nothing about samna itself. Sub-fields of the front ends are not documented there; ``anything`` stands for
them.
"""

import enum
import types

import numpy as np


def flag(value):
    return type(value) is bool


def number(low, high):
    return lambda value: type(value) is int and low <= value <= high


def matrix(value):
    """Rows of int8, as the vendor's own software hands them over, or lists of lists of such integers."""
    if isinstance(value, np.ndarray):
        return value.ndim == 2 and value.dtype == np.int8
    rows = isinstance(value, list) and all(isinstance(row, list) for row in value)
    return rows and all(type(v) is int and -128 <= v <= 127 for row in value for v in row)


def optional(check):
    return lambda value: value is None or check(value)


def listed(kind):
    return lambda value: isinstance(value, list) and all(isinstance(v, kind) for v in value)


def instance(kind):
    return lambda value: isinstance(value, kind)


class Strict:
    """Attributes are those of ``FIELDS``, name -> (check, first value or its maker); ``filled`` names those set."""

    FIELDS = types.MappingProxyType({})

    def __init__(self):
        held = {n: first() if callable(first) else first for n, (_, first) in self.FIELDS.items()}
        object.__setattr__(self, "held", held)
        object.__setattr__(self, "filled", set())

    def __getattr__(self, name):
        try:
            return self.__dict__["held"][name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def __setattr__(self, name, value):
        if name not in self.FIELDS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if not self.FIELDS[name][0](value):
            raise TypeError(f"(): incompatible function arguments: {type(self).__name__}.{name} = {value!r}")
        self.held[name] = value
        self.filled.add(name)


def strict(name, **fields):
    return type(name, (Strict,), {"FIELDS": fields})


class NeuronRange:
    def __init__(self, start, end):
        self.start, self.end = start, end


decay, word = number(0, 15), number(-32768, 32767)


def weights(syn2):
    pair = {"weights": (matrix, list), "weight_bit_shift": (number(0, 15), 0)}
    return pair | ({"syn2_weights": (matrix, list)} if syn2 else {})


def module(name, *, hidden, hidden_class, neuron_class, syn2, modes, ram, top):
    """One of samna's Xylo modules."""
    mode = enum.Enum("OperationMode", modes)
    registers = {"i_syn_decay": (decay, 0), "v_mem_decay": (decay, 0), "threshold": (word, 0), "v_mem_bias": (word, 0)}
    second = {"i_syn2_decay": (decay, 0)} if syn2 else {}
    neuron = strict(neuron_class, alias_target=(optional(number(0, 999)), None), **second, **registers)
    output_neuron = strict("OutputNeuron", **registers)
    input_config = strict("InputConfig", **weights(syn2))
    hidden_config = strict(hidden_class, **weights(syn2), aliasing=(flag, False), neurons=(listed(neuron), list))
    readout_config = strict("ReadoutConfig", **weights(False), neurons=(listed(output_neuron), list))
    clocks = ("isyn_clock_enable", "isyn2_clock_enable", "ra_clock_enable", "bias_clock_enable", "hm_clock_enable")
    ranges = ("monitor_neuron_v_mem", "monitor_neuron_i_syn", "monitor_neuron_i_syn2", "monitor_neuron_spike")
    debug = strict(
        "DebugConfig",
        **dict.fromkeys((*clocks, ram, "always_update_omp_stat"), (flag, False)),
        **{n: (optional(instance(NeuronRange)), None) for n in ranges},
    )
    blocks = {"input": input_config, hidden: hidden_config, "readout": readout_config, "debug": debug}
    switches = ("bias_enable", "enable_hibernation_mode", *(["synapse2_enable"] if syn2 else []))
    configuration = strict(
        "XyloConfiguration",
        operation_mode=(instance(mode), lambda: mode.Manual),
        **{n: (instance(kind), kind) for n, kind in blocks.items()},
        **dict.fromkeys(switches, (flag, False)),
        **top,
    )

    def validate_configuration(config):
        n = len(getattr(config, hidden).neurons)
        square = np.shape(getattr(config, hidden).weights) == (n, n)
        reach = np.shape(config.input.weights)[1] <= n and np.shape(config.readout.weights)[0] <= n
        sound = square and reach and np.shape(config.readout.weights)[1] == len(config.readout.neurons)
        return (True, "") if sound else (False, "shapes disagree")

    result = types.ModuleType(f"samna.{name}")
    result.OperationMode = mode
    result.validate_configuration = validate_configuration
    result.configuration = types.ModuleType(f"samna.{name}.configuration")
    for kind in (*blocks.values(), neuron, output_neuron, configuration, NeuronRange):
        setattr(result.configuration, kind.__name__, kind)
    return result


FrontEnd = strict("FrontEnd", anything=(number(0, 9), 0))
InputSource = enum.Enum("InputSource", ["SpikeEvents", "PdmEvents", "DigitalMicrophone"])
MODES = ["Manual", "AcceleratedTime", "RealTime"]
FREQUENCY = (number(0, 10**9), 0)


def samna():
    """A fresh package with the three modules."""
    package = types.ModuleType("samna")
    package.xyloCore2 = module(
        "xyloCore2",
        hidden="reservoir",
        hidden_class="ReservoirConfig",
        neuron_class="ReservoirNeuron",
        syn2=True,
        modes=MODES,
        ram="ram_power_enable",
        top={"aer_2_saer": (instance(FrontEnd), FrontEnd)},
    )
    package.xyloAudio3 = module(
        "xyloAudio3",
        hidden="hidden",
        hidden_class="HiddenConfig",
        neuron_class="HiddenNeuron",
        syn2=True,
        modes=[*MODES, "Recording"],
        ram="ram_access_enable",
        top={
            "time_resolution_wrap": (number(0, 2**31), 0),
            "input_source": (instance(InputSource), lambda: InputSource.SpikeEvents),
            "digital_frontend": (instance(FrontEnd), FrontEnd),
            "main_clock_frequency": FREQUENCY,
            "pdm_clock_frequency": FREQUENCY,
        },
    )
    package.xyloImu = module(
        "xyloImu",
        hidden="hidden",
        hidden_class="HiddenConfig",
        neuron_class="HiddenNeuron",
        syn2=False,
        modes=MODES,
        ram="ram_power_enable",
        top={
            "time_resolution_wrap": (number(0, 2**31), 0),
            "imu_if_input_enable": (flag, False),
            "input_interface": (instance(FrontEnd), FrontEnd),
        },
    )
    return package
