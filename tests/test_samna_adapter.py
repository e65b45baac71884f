"""What the user and samna add to a configuration: given entries, detection without an import, a strict stand-in."""

import copy
import sys

import numpy as np
import pytest
import samna_stand_in
from samna_networks import CHIPS, refused, small_network

from neurodeploy.emit import samna
from neurodeploy.errors import Missing, Refusal

# what the user gives


@pytest.mark.parametrize(
    ("chip_name", "given"),
    [
        ("xylo_audio2", {"aer_2_saer": {"anything": 3}}),
        ("xylo_audio3", {"input_source": "PdmEvents", "digital_frontend": {"anything": 3}}),
        ("xylo_imu", {"imu_if_input_enable": True, "input_interface": {"anything": 3}}),
    ],
)
def test_front_ends_pass_through_and_are_marked(chip_name, given):
    configuration = samna.to_configuration(small_network(chip_name), frontend=given)
    assert {n: configuration[n] for n in given} == given
    assert configuration["unverified"] == sorted(given)
    assert samna.from_configuration(configuration).notes["samna"] == given | {"operation_mode": "AcceleratedTime"}


def test_given_entries_are_copied_both_ways():
    given = {"digital_frontend": {"anything": [3]}}
    configuration = samna.to_configuration(small_network(), frontend=given)
    read = samna.from_configuration(configuration)
    configuration["digital_frontend"]["anything"].append(4)
    assert given == {"digital_frontend": {"anything": [3]}}
    assert read.notes["samna"]["digital_frontend"] == {"anything": [3]}


def test_a_front_end_of_another_chip_is_refused():
    error = refused(small_network("xylo_imu"), frontend={"aer_2_saer": {}, "input_interfaces": {}})
    assert "frontend.aer_2_saer: unknown to samna.xyloImu" in str(error)
    assert "did you mean input_interface?" in str(error)
    assert len(error.faults) == 2


def test_what_the_network_decides_cannot_be_given():
    error = refused(small_network(), frontend={"bias_enable": False})
    assert "frontend.bias_enable: the network decides it" in str(error)


@pytest.mark.parametrize("value", [(1, 2), {1: 2}, np.int64(3), float("nan"), object()])
def test_a_value_that_json_would_change_is_refused(value):
    assert "frontend.debug" in str(refused(small_network(), frontend={"debug": {"x": [value]}}))


def test_only_modes_of_the_chip_are_accepted():
    assert samna.to_configuration(small_network(), operation_mode="Recording")["operation_mode"] == "Recording"
    error = refused(small_network("xylo_imu"), operation_mode="Recording")
    assert "found 'Recording'; one of AcceleratedTime, Manual, RealTime" in str(error)


# detection, without an import

STUB = "PYPI_SAMNA = True\ndef install_real_samna(): ...\n"
NOTE_IMPORT = "import pathlib\npathlib.Path(__file__).with_name('imported').touch()\nraise RuntimeError('imported')\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Make a package samna that fails and leaves a mark when it is imported; nobody may."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "samna", raising=False)
    folder = tmp_path / "samna"

    def make(text="", *, compiled=None, version=None):
        folder.mkdir()
        (folder / "__init__.py").write_text(NOTE_IMPORT + text)
        if compiled:
            (folder / compiled).write_bytes(b"\x7fELF")
        if version:
            info = tmp_path / f"samna-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: samna\nVersion: {version}\n")
        return folder

    yield make
    assert not (folder / "imported").exists()
    assert "samna" not in sys.modules


def test_absent_samna_is_absent(monkeypatch):
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "site-packages" not in p])
    assert samna.detect_samna() == samna.SamnaState("absent")


@pytest.mark.parametrize("mark", STUB.splitlines())
def test_the_placeholder_from_pypi_is_a_stub(package, mark):
    folder = package(mark, compiled="native.so", version="0.48.6")
    assert samna.detect_samna() == samna.SamnaState("stub", "0.48.6", str(folder / "__init__.py"))


@pytest.mark.parametrize("compiled", ["samna.cpython-311-x86_64-linux-gnu.so", "samna.pyd", "libsamna.dylib"])
def test_a_package_with_compiled_code_is_real(package, compiled):
    folder = package(compiled=compiled, version="0.50.0")
    assert samna.detect_samna() == samna.SamnaState("real", "0.50.0", str(folder / "__init__.py"))


def test_a_package_without_compiled_code_is_unknown(package):
    package(compiled="data.bin")
    assert samna.detect_samna().state == "unknown"


def test_a_folder_without_a_package_is_unknown(package):
    folder = package(compiled="native.so")
    (folder / "__init__.py").unlink()
    assert samna.detect_samna().state == "unknown"


def test_a_module_put_in_place_by_hand_is_unknown(monkeypatch):
    stand_in = samna_stand_in.samna()
    monkeypatch.setitem(sys.modules, "samna", stand_in)
    assert samna.detect_samna().state == "unknown"


# the adapter

DEBUG = {
    "isyn_clock_enable": True,
    "isyn2_clock_enable": True,
    "ra_clock_enable": True,
    "bias_clock_enable": True,
    "hm_clock_enable": True,
    "always_update_omp_stat": True,
    "monitor_neuron_v_mem": [0, 7],
    "monitor_neuron_i_syn": [0, 7],
    "monitor_neuron_i_syn2": [0, 4],
    "monitor_neuron_spike": [0, 4],
}
GIVEN = {
    "xylo_audio2": {"aer_2_saer": {"anything": 3}, "debug": DEBUG | {"ram_power_enable": True}},
    "xylo_audio3": {
        "input_source": "DigitalMicrophone",
        "digital_frontend": {"anything": 3},
        "main_clock_frequency": 50_000_000,
        "pdm_clock_frequency": 1_500_000,
        "time_resolution_wrap": 7,
        "debug": DEBUG | {"ram_access_enable": True},
    },
    "xylo_imu": {
        "imu_if_input_enable": True,
        "input_interface": {"anything": 3},
        "time_resolution_wrap": 7,
        "debug": DEBUG | {"ram_power_enable": True},
    },
}


def unfilled(thing, path=""):
    """Documented attributes that nobody set, here and below."""
    for name in thing.FIELDS:
        value = getattr(thing, name)
        if isinstance(value, samna_stand_in.Strict):
            yield from unfilled(value, f"{path}{name}.")
            continue
        if name not in thing.filled:
            yield f"{path}{name}"
        if isinstance(value, list):
            for i, item in enumerate(value):
                yield from unfilled(item, f"{path}{name}[{i}].")


@pytest.mark.parametrize("chip_name", CHIPS)
def test_every_documented_field_is_filled(package, chip_name):
    package(compiled="native.so")
    network, given = small_network(chip_name), GIVEN[chip_name] | {"enable_hibernation_mode": True}
    config, valid, message = samna.apply(network, samna_stand_in.samna(), operation_mode="RealTime", frontend=given)
    assert (valid, message) == (True, "")
    assert list(unfilled(config)) == []
    configuration = samna.to_configuration(network)
    assert config.operation_mode.name == "RealTime"
    assert config.debug.monitor_neuron_spike.end == 4
    assert config.input.weights.tolist() == configuration["input"]["weights"]
    hidden = getattr(config, samna.samna_table(network.chip).hidden.block)
    assert [n.v_mem_bias for n in hidden.neurons] == [-1, 0, 1, 2]
    assert [n.alias_target for n in hidden.neurons] == [None, 0, None, None]
    assert [n.v_mem_bias for n in config.readout.neurons] == [0, -3, 3]


def test_what_is_not_given_is_left_as_samna_has_it(package):
    package(compiled="native.so")
    config, _, _ = samna.apply(small_network("xylo_imu"), samna_stand_in.samna())
    untouched = ["debug.", "enable_hibernation_mode", "time_resolution_wrap", "imu_if_input_enable", "input_interface."]
    names = list(unfilled(config))
    assert all(any(n.startswith(u) for u in untouched) for n in names)
    assert all(any(n.startswith(u) for n in names) for u in untouched)


def test_the_judgement_of_samna_is_handed_on(package):
    package(compiled="native.so")
    stand_in = samna_stand_in.samna()
    stand_in.xyloAudio3.validate_configuration = lambda config: (False, f"no {type(config).__name__}")
    assert samna.apply(small_network(), stand_in)[1:] == (False, "no XyloConfiguration")


@pytest.mark.parametrize(("text", "state"), [(STUB, "stub"), ("", "unknown")])
def test_without_the_real_samna_nothing_is_applied(package, text, state):
    package(text, version="0.48.6")
    with pytest.raises(Missing) as missing:
        samna.apply(small_network(), samna_stand_in.samna())
    assert f"samna is {state}" in str(missing.value)
    assert "SynSense's own package index" in str(missing.value)
    assert (missing.value.code, missing.value.exit_status) == ("ND9001", 3)
    assert missing.value.values["version"] == "0.48.6"


def test_absent_samna_is_missing(monkeypatch):
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "site-packages" not in p])
    with pytest.raises(Missing, match="samna is absent; the real samna is needed here"):
        samna.apply(small_network())


def lacking(kind, *names):
    """The stand-in with a class that has fewer attributes."""
    stand_in = samna_stand_in.samna()
    cls = getattr(stand_in.xyloAudio3.configuration, kind)
    for name in names:
        del cls.FIELDS[name]
    return stand_in


def test_attributes_that_samna_lacks_are_named_together(package):
    package(compiled="native.so", version="0.50.0")
    stand_in = lacking("HiddenNeuron", "v_mem_bias", "alias_target")
    del stand_in.xyloAudio3.configuration.ReadoutConfig.FIELDS["weight_bit_shift"]
    with pytest.raises(Refusal) as refusal:
        samna.apply(small_network(), stand_in)
    text = str(refusal.value)
    assert "samna 0.50.0, HiddenNeuron: no attribute 'v_mem_bias'" in text
    assert "HiddenNeuron: no attribute 'alias_target'" in text
    assert "XyloConfiguration.readout: no attribute 'weight_bit_shift'" in text
    assert len(refusal.value.faults) == 3


def test_a_module_or_class_that_samna_lacks_is_named(package):
    package(compiled="native.so")
    stand_in = samna_stand_in.samna()
    del stand_in.xyloAudio3.configuration.HiddenNeuron
    with pytest.raises(Refusal, match=r"samna.xyloAudio3.configuration: no 'HiddenNeuron'"):
        samna.apply(small_network(), stand_in)
    del stand_in.xyloAudio3
    with pytest.raises(Refusal, match=r"samna: no 'xyloAudio3'"):
        samna.apply(small_network(), stand_in)


def test_a_given_attribute_or_member_that_samna_lacks_is_named(package):
    package(compiled="native.so")
    given = {"debug": {"colour": 1}, "input_source": "Radio", "digital_frontend": {"anything": 77}}
    with pytest.raises(Refusal) as refusal:
        samna.apply(small_network(), samna_stand_in.samna(), frontend=given)
    text = str(refusal.value)
    assert "XyloConfiguration.debug: no attribute 'colour'" in text
    assert "InputSource has no member 'Radio'" in text
    assert "XyloConfiguration.digital_frontend.anything: refused" in text
    assert len(refusal.value.faults) == 3


def test_objects_that_hand_out_copies_are_noticed(package, monkeypatch):
    package(compiled="native.so")
    stand_in = samna_stand_in.samna()

    def handing_out_copies(self, name):
        held = object.__getattribute__(self, "held")
        if name not in held:
            raise AttributeError(name)
        return copy.copy(held[name]) if not isinstance(held[name], samna_stand_in.Strict) else type(held[name])()

    monkeypatch.setattr(stand_in.xyloAudio3.configuration.XyloConfiguration, "__getattr__", handing_out_copies)
    with pytest.raises(Refusal, match=r"XyloConfiguration.input.weights: reads back as something else"):
        samna.apply(small_network(), stand_in)
