"""Icarus Verilog as an oracle: RTL of our own, simulated for chips that are that RTL; widths that a user chooses."""

import os

import numpy as np
import pytest
from emitted_networks import sample
from golden_rtl import CHIPS, TELLER, vectors_of

from neurodeploy.chips import chip, from_raw
from neurodeploy.demo import pipeline, run_demo
from neurodeploy.emit.verilog import lanes_of_design, recorded, to_verilog
from neurodeploy.errors import Missing, Refusal
from neurodeploy.golden import FILE_NAME, read_golden, write_golden
from neurodeploy.oracles import in_icarus, oracle, oracles_of
from neurodeploy.simulator import simulate
from neurodeploy.verifier import compare

REQUIRED = bool(os.environ.get("NEURODEPLOY_REQUIRE_ORACLES"))
SIMULATED = pytest.mark.skipif(oracle(TELLER).available() is None and not REQUIRED, reason="no iverilog")
(DESIGN,) = CHIPS


def equal(network, counts):
    trace = oracle(TELLER).run(network, counts)
    record = [f"{g}.{s}" for g, many in trace.states.items() for s in many]
    found = compare(simulate(network, counts, record=record, drain=0, raw=True), trace)
    found.require()
    return found, trace


@SIMULATED
def test_several_samples_run_one_after_the_other_each_from_a_reset(count):
    network, counts = sample(DESIGN, 3)
    assert {c.shape[1] for c in counts.values()} == {2}
    found, trace = equal(network, counts)
    assert f"{lanes_of_design(network)} lanes" in trace.made_by
    assert set(trace.states) == {g.name for g in network.groups}
    assert found.spikes > 50
    count("values of RTL as an oracle", found.compared)


@SIMULATED
@pytest.mark.parametrize("bits", [12, pytest.param(4, marks=pytest.mark.slow)])
def test_weights_of_another_width_are_a_file_of_some_lines(bits, tmp_path):
    (tmp_path / "chip.toml").write_text(
        f'schema_version = 1\nname = "own"\ntitle = "own"\nextends = "{DESIGN}"\n'
        f"[connection.in]\nsynapse.w = {{ signed = {bits} }}\n[emit.verilog]\nlanes = 2\n"
    )
    network, counts = sample(str(tmp_path), 1)
    weights = np.concatenate([p.fields["w"] for p in network.projections])
    assert (np.abs(weights).max() > 127) == (bits > 8)
    assert np.abs(weights).max() <= 1 << bits - 1
    assert equal(network, counts)[0].spikes > 0


def test_another_chip_is_not_asked():
    network, _ = sample("xylo_imu", 1)
    (fault,) = oracle(TELLER).faults(network)
    assert fault.code == "ND2003"
    assert "no table [oracle.icarus] in chip.toml; a chip that is generated RTL" in str(fault)
    assert oracle(TELLER) not in oracles_of(network.chip)


@pytest.mark.parametrize(("table", "words"), [({"samples": 0}, "samples: found 0"), ({"sample": 3}, "sample: found 3")])
def test_a_table_that_nobody_understands_is_refused(table, words):
    raw = {**chip(DESIGN).raw, "name": "other", "oracle": {TELLER: table}}
    network, _ = sample(DESIGN, 1)
    faults = in_icarus._table(from_raw(raw))[1]
    assert any(words in str(f) for f in faults)
    assert not oracle(TELLER).faults(network)


def test_lanes_of_a_design_that_are_no_number_are_refused():
    raw = {**chip(DESIGN).raw, "name": "other", "emit": {"verilog": {"lanes": "many"}}}
    network, _ = sample(DESIGN, 1)
    with pytest.raises(Refusal, match=r"other, emit\.verilog: found 'many'"):
        lanes_of_design(type(network)(from_raw(raw), (), ()))
    assert lanes_of_design(network) == chip(DESIGN).file.emit["verilog"]["lanes"]


def test_the_demo_is_refused_before_it_trains_where_the_program_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(in_icarus.shutil, "which", lambda _: None)
    monkeypatch.setattr(pipeline, "train", None)
    with pytest.raises(Missing) as caught:
        run_demo(chip(DESIGN), tmp_path / "demo")
    words = "the program iverilog is not installed; it is needed here; apt-get install iverilog. [ND9001]"
    assert str(caught.value) == f"the demo on {DESIGN}: {words}"
    assert not (tmp_path / "demo").exists()


def test_what_the_program_prints_must_be_whole():
    network, _ = sample(DESIGN, 1)
    with pytest.raises(ValueError, match="a text left the width of a register"):
        recorded(network, to_verilog(network, "net"), "a text left the width of a register", 3, 1)
    with pytest.raises(ValueError, match="nothing was printed"):
        recorded(network, to_verilog(network, "net"), "", 3, 1)


@SIMULATED
@pytest.mark.slow  # .ci/run has it
@pytest.mark.parametrize("name", CHIPS)
def test_the_rtl_still_gives_the_golden_file(name, tmp_path):
    golden = read_golden(chip(name).path)
    write_golden(tmp_path, vectors_of(name), made_by=golden.made_by, on=golden.on, grade=golden.grade)
    assert (tmp_path / FILE_NAME).read_text() == (chip(name).path / FILE_NAME).read_text()
