"""Files of the golden model: names, bytes, bundles, and what cannot be written."""

import base64
import re
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from command_line import CHIP, make
from command_line import run as command
from onnx_networks import CLOCKED, differences, net, sample
from onnx_runs import called, session

from neurodeploy.bundles import load_bundle
from neurodeploy.chips import chip, target_folders
from neurodeploy.emit import all_formats, emitter
from neurodeploy.emit.onnx import OPSET, graph, to_run_model, to_step_model
from neurodeploy.errors import Missing, Refusal
from neurodeploy.network import (
    Convolution,
    Network,
    convolution,
    group,
    place_identity,
    projection,
    save_network,
)

# --- the files --------------------------------------------------------------------------------------------------------


def names_of(model):
    return {n for node in model.graph.node for n in (node.name, *node.output)} | {
        t.name for t in model.graph.initializer
    }


def test_names_say_group_state_phase_and_line():
    model = to_step_model(net(w1=[[1, 2, -3], [4, 5, 6]], aliases=[(0, 1)]))
    assert [v.name for v in model.graph.input] == [
        "spikes", "spikes.count", "cells.i1", "cells.i2", "cells.v", "cells.count"
    ]  # fmt: skip
    assert [v.name for v in model.graph.output][-1] == "cells.count.next"
    assert {"channel.step/line 1/Where", "in/Scan", "in/i1 weights", "hidden.step/Scan"} <= names_of(model)
    scan = next(n for n in model.graph.node if n.name == "hidden.step/Scan")
    inside = {n.name: n for n in scan.attribute[0].g.node}
    assert inside["hidden.step/line 7/GreaterOrEqual"].doc_string == "if v >= threshold:"
    assert any(name.startswith("alias/line 1") for name in inside)
    assert {"hidden.threshold", "hidden.dash_mem"} <= names_of(model)


def test_the_model_states_its_operators_its_chip_and_its_latency():
    model = to_run_model(net())
    assert (model.opset_import[0].version, model.ir_version, model.producer_name) == (OPSET, 8, "neurodeploy")
    told = {p.key: p.value for p in model.metadata_props}
    assert told == {
        "chip": "xylo_audio2",
        "digest": chip("xylo_audio2").digest,
        "content": "the whole run from the reset",
        "latency": "0",
    }
    assert {n.domain for n in model.graph.node} == {""}


def test_every_state_is_an_output_only_where_it_is_asked_for():
    outputs = [{v.name for v in to_run_model(net(), states=flag).graph.output} for flag in (False, True)]
    assert outputs[1] - outputs[0] == {"cells.i1", "cells.i2", "cells.v"}
    assert "cells.v.final" in outputs[0]


def test_the_same_network_gives_the_same_bytes(tmp_path):
    for name in ("onnx", "onnx_step"):
        written = [tmp_path / f"{name}{i}.onnx" for i in range(2)]
        for path in written:
            emitter(name).write(sample("xylo_imu", 1)[0], path)
        assert written[0].read_bytes() == written[1].read_bytes()
        onnx.checker.check_model(str(written[0]), full_check=True)


def test_a_bundle_holds_the_bytes_that_the_file_has(tmp_path):
    for name in ("onnx", "onnx_step"):
        plain = emitter(name).configure(net())
        emitter(name).write(net(), tmp_path / "a.onnx")
        assert base64.b64decode(plain["model_base64"]) == (tmp_path / "a.onnx").read_bytes()
        assert plain["opset"] == OPSET
        assert "spikes" in plain["inputs"]


def test_every_clocked_chip_has_the_format_and_no_other():
    for name in target_folders():
        assert ("onnx" in all_formats(chip(name))) == ("onnx_step" in all_formats(chip(name))) == (name in CLOCKED)


@pytest.mark.parametrize("make", [to_run_model, to_step_model])
def test_a_chip_that_events_drive_is_refused(make):
    c = next(chip(n) for n in target_folders() if chip(n).event_driven)
    with pytest.raises(Refusal, match="events drive the chip") as caught:
        make(Network(c, (), ()))
    assert caught.value.code == "ND1901"


def test_a_network_without_hardware_ids_or_without_input_is_refused():
    made = net()
    with pytest.raises(Refusal, match="without hardware ids: spikes, cells"):
        to_run_model(replace(made, groups=tuple(replace(g, ids=None) for g in made.groups)))
    with pytest.raises(Refusal, match="a network without an input group"):
        to_run_model(Network(made.chip, made.groups[1:], ()))


def test_weights_beyond_what_a_protobuf_holds_are_refused_before_they_are_made(monkeypatch):
    to_run_model(net())
    monkeypatch.setattr(graph, "MOST_BYTES", 87)
    with pytest.raises(Refusal, match="constants of at least 88 bytes; at most 87") as caught:
        to_run_model(net())  # 40 of the parameters, then 2 x 3 weights of 8 before they are made
    assert caught.value.code == "ND1901"


def test_large_maps_are_written_without_a_matrix_of_all_pairs():
    c, rng = chip("loihi2"), np.random.default_rng(0)
    kernel = Convolution((1, 32, 32), (4, 1, 3, 3), padding=(1, 1))
    x, maps = group(c, "pixels", "input", (1, 32, 32)), group(c, "maps", "lif", kernel.target, du=1, dv=1, threshold=9)
    classes = group(c, "classes", "lif", 3, du=4095, dv=0, threshold=90)
    links = (
        convolution(c, "conv", x, maps, kernel, w=2 * rng.integers(-60, 60, kernel.kernel)),
        projection(c, "dense", maps, classes, w=2 * rng.integers(-60, 60, (maps.size, 3))),
    )
    made = place_identity(Network(c, (x, maps, classes), links))
    assert to_step_model(made).ByteSize() < 2**18  # of the layers' pairs there are 4 Mi, of the lane's 16 Mi
    assert differences(made, {"pixels": rng.integers(0, 2, (4, 1, x.size))}) == []


def test_two_outputs_of_one_name_are_refused():
    c = chip("xylo_audio2")
    x, h = group(c, "a", "channel", 1), group(c, "a.count", "channel", 1)
    with pytest.raises(Refusal, match=r"two inputs or outputs of the name 'a.count'"):
        to_step_model(place_identity(Network(c, (x, h), ())))


def test_a_group_may_have_the_name_of_a_number_or_of_a_step():
    c = chip("xylo_audio2")
    made = place_identity(Network(c, (group(c, "15", "channel", 1), group(c, "step", "hidden", 1, threshold=3)), ()))
    assert differences(made, {"15": np.full((9, 1, 1), 3)}) == []


def test_a_file_has_the_suffix_and_the_package_is_named_where_it_is_missing(tmp_path, monkeypatch):
    with pytest.raises(Refusal, match=re.escape("suffix '.json'; a name that ends in .onnx")):
        emitter("onnx").write(net(), tmp_path / "a.json")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(Missing, match=re.escape('pip install "neurodeploy[onnx]"')):
        emitter("onnx").write(net(), tmp_path / "a.onnx")


def test_a_conversion_writes_it_into_its_bundle(tmp_path):
    made = make(tmp_path)
    given = ("--target", CHIP, "--data", made / "data.npz", "--calibration", made / "data.npz", "--emit", "onnx")
    assert command("convert", made / "model.safetensors", *given, "--out", made / "other.nd").status == 0
    held = load_bundle(made / "other.nd")
    own = session(onnx.load_from_string(base64.b64decode(held.configurations["onnx"]["model_base64"])))
    names = [v.name for v in own.get_inputs()]
    got = called(own, {n: held.input[n] for n in names})
    for g in held.network.outputs():
        (name,) = (n for n in got if n.startswith(f"{g.name}.") and got[n].ndim == 3)
        np.testing.assert_array_equal(got[name], held.golden.counts[g.name])
    assert command("verify", made / "other.nd").status == 0


def test_the_command_writes_it(tmp_path):
    save_network(net(), tmp_path / "n.npz")
    done = command("emit", tmp_path / "n.npz", "--format", "onnx_step", "--out", tmp_path / "n.onnx")
    assert (done.status, "one step with explicit states" in done.out) == (0, True)
    assert onnx.load(tmp_path / "n.onnx").graph.input[0].name == "spikes"
