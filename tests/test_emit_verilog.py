"""Networks in Verilog: every register of every neuron after every step, in Icarus Verilog; lint; synthesis."""

import json
import os
import re
import shutil

import pytest
from command_line import run
from drawn_networks import CHIPS as DELAYED
from drawn_networks import random_counts as drawn_counts
from drawn_networks import random_network as drawn_network
from emitted_networks import CLOCKED, generated
from emitted_networks import sample as any_sample
from rtl_runs import compiled, interpreted, judge, shell, told, written
from test_emit_c import corner_cases

from neurodeploy.chips import Handler, chip, target_folders
from neurodeploy.emit import all_formats, emitter
from neurodeploy.emit.verilog import to_verilog, trace_of, verilog_configuration, write_verilog
from neurodeploy.emit.verilog.datapath import Wire, datapath, literal, width_of
from neurodeploy.errors import Refusal
from neurodeploy.network import save_network
from neurodeploy.simulator import assemble
from neurodeploy.step import PYTHON, Interval, parse
from neurodeploy.step.intervals import RANGES

#: In the second stage of .ci/run, which installs them, a missing program is a failure.
REQUIRED = bool(os.environ.get("NEURODEPLOY_REQUIRE_ORACLES"))
SIMULATED, VERILATOR, YOSYS = (
    pytest.mark.skipif(shutil.which(name) is None and not REQUIRED, reason=f"no {name}: apt-get install {name}")
    for name in ("iverilog", "verilator", "yosys")
)
#: Neurons that are computed at once.
SOME = (1, 2, 4)


def sample(name, seed, steps=10):
    return any_sample(name, seed, steps, hidden=(3, 9))


# --- equal in every register ------------------------------------------------------------------------------------------


@SIMULATED
@pytest.mark.parametrize(("name", "lanes"), [(name, SOME[i % 3]) for i, name in enumerate(CLOCKED)])
def test_a_network_in_verilog_has_the_registers_of_the_simulation(name, lanes, tmp_path, count):
    made, values, cycles = judge(*sample(name, 0), tmp_path, count, lanes)
    assert values > 200
    beats = 3 * (sum(1 for _ in made.inputs) + 60)  # of the bus, and waiting for sender and receiver
    assert made.quiet_cycles / 2 < cycles < made.busy_cycles + beats


@SIMULATED
@pytest.mark.slow  # .ci/run has it
@pytest.mark.parametrize(("seed", "lanes"), [(0, (1, 2, 4)), (1, (4,)), (2, (1, 8)), (3, (2,))])
@pytest.mark.parametrize("name", CLOCKED)
def test_many_networks_in_verilog_have_the_registers_of_the_simulation(name, seed, lanes, tmp_path, count):
    steps = [judge(*sample(name, seed), tmp_path / str(many), count, many)[0].busy_cycles for many in lanes]
    assert steps == sorted(set(steps), reverse=True)


@SIMULATED
@pytest.mark.parametrize("seed", [3])
def test_chips_that_nobody_has_seen_are_written_too(seed, tmp_path, count):
    judge(*generated(tmp_path / "chip", seed), tmp_path / "run", count, 2)


@SIMULATED
@pytest.mark.slow  # .ci/run has it
@pytest.mark.parametrize("seed", range(10, 26))
def test_many_chips_that_nobody_has_seen_are_written_too(seed, tmp_path, count):
    made, counts = generated(tmp_path / "chip", seed)
    judge(made, counts, tmp_path / "run", count, SOME[seed % 3])


def test_some_of_these_networks_have_delays():
    made, _ = sample("loihi2", 0)
    assert any(row.delay for many in assemble(made).deliveries.values() for d in many for row in d.rows)


@SIMULATED
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 3, 4, 5))])
def test_a_text_that_writes_what_it_delivers_may_have_delays(seed, tmp_path, count):
    """Its own source may be the target: all its rows see what it showed before the first of them."""
    made = drawn_network(DELAYED[-1], seed)
    assert any(
        row.delay and made.chip.connections[name].target == row.source_kind
        for name, many in assemble(made).deliveries.items()
        if made.chip.neurons[made.chip.connections[name].target].emits in made.chip.connections[name].on_input.writes
        for d in many
        for row in d.rows
    )
    judge(made, drawn_counts(made, seed, steps=12), tmp_path, count, SOME[seed % 3])


@pytest.mark.parametrize("lanes", [0, 3, 64])
def test_another_number_of_lanes_is_refused(lanes):
    with pytest.raises(Refusal, match=rf"{lanes} lanes; one of 1, 2, 4, 8, 16, 32"):
        to_verilog(sample("xylo_imu", 1)[0], "net", lanes)


@SIMULATED
@pytest.mark.parametrize("simulator", [interpreted, pytest.param(compiled, marks=[VERILATOR, pytest.mark.slow])])
def test_the_testbench_names_the_first_difference(simulator, tmp_path):
    made, counts = sample("xylo_imu", 0)
    run = trace_of(made, {n: c[:, :1] for n, c in counts.items()})
    hidden = next(g for g in made.groups if g.kind == "hidden")
    run.states[hidden.name]["v"][4, 0, 1] += 1
    written(made, counts, tmp_path, 2, run)
    right = run.states[hidden.name]["v"][4, 0, 1]
    line = told(tmp_path, simulator=simulator)
    assert re.fullmatch(rf"DIFFERS step 4, hidden\.v, neuron \d+:\s+{right - 1}, must be\s+{right}", line)


@SIMULATED
def test_a_receiver_that_lets_the_network_wait_misses_nothing_and_one_that_is_not_waited_for_is_noticed(tmp_path):
    made, counts = sample("xylo_imu", 0)
    written(made, counts, tmp_path)
    code = (tmp_path / "net.v").read_text()
    (tmp_path / "net.v").write_text(code.replace("if (!out_valid || out_ready) begin", "if (1'b1) begin"))
    assert told(tmp_path).startswith("WITHDRAWN")


@SIMULATED
def test_a_table_that_is_one_bit_off_is_noticed(tmp_path):
    made, counts = sample("xylo_imu", 0)
    written(made, counts, tmp_path)
    table = tmp_path / "net_syn_in.hex"
    words = table.read_text().splitlines()
    words = [f"{int(w, 16) ^ 1:0{len(w)}x}" for w in words]
    table.write_text("\n".join(words) + "\n")
    assert told(tmp_path).startswith("DIFFERS")


@SIMULATED
@pytest.mark.parametrize("width", [32, 64])
def test_every_operator_in_verilog_means_what_the_reference_says(width, tmp_path, count):
    """Each on operands at the corners, in wires as wide as the ranges of all cases together ask for."""
    calls = {"add": "a + b", "sub": "a - b", "mul": "a * b", "neg": "-a", "floordiv": "a // b", "shl": "a << b"}
    calls |= {"shr": "a >> b", "clip": "clip(a, b, c)", "abs": "abs(a)"}
    lines, wanted = [], []
    for op in ("add", "sub", "neg", "min", "max", "abs", "clip", "floordiv", "shl", "shr", "shift_to_zero",
               "round_half_even", "scale2"):  # fmt: skip
        cases = corner_cases(op, width, few=False)
        ranges = [Interval(min(x), max(x)) for x in zip(*cases, strict=True)]
        if width == 64 and op == "shl":
            cases, ranges = [c for c in cases if abs(c[0]) < 1 << 48], [Interval(-(1 << 48), 1 << 48), ranges[1]]
        if not RANGES[op](*ranges).within(Interval(-(1 << 63), (1 << 63) - 1)):
            continue
        text = parse("y = " + calls.get(op, f"{op}(a, b)"))
        wires = {n: Wire(f"{op}_{n}", r) for n, r in zip("abc", ranges, strict=False)}
        made = datapath(Handler(text, writes=frozenset({"y"})), f"p_{op}", wires, {"y": RANGES[op](*ranges)})
        lines += [f"    reg signed [{width_of(w.range) - 1}:0] {w.code};" for w in wires.values()]
        lines += [*made.lines, "    initial begin"]
        for case in cases:
            given = " ".join(f"{wires[n].code} = {literal(v)};" for n, v in zip("abc", case, strict=False))
            lines.append(f'        {given} #1 $display("%0d", {made.results["y"].code}); #1;')
            wanted.append((op, case, PYTHON[op](*case)))
        lines.append("    end")
    # one block after the other
    parts = "\n".join(lines).split("initial begin")
    order = parts[0] + "".join(f"initial begin #{i * 100000};{part}" for i, part in enumerate(parts[1:]))
    (tmp_path / "net.v").write_text(f"module net;\n{order}\nendmodule\n")
    done = shell("iverilog -g2005 -o run net.v && vvp -N run", tmp_path)
    assert done.returncode == 0, done.stderr
    got = list(map(int, done.stdout.split()))
    assert [(*w[:2], g) for w, g in zip(wanted, got, strict=True)] == wanted
    count(f"operands of operators in Verilog, {width} bits", len(wanted))


# --- lint and synthesis -----------------------------------------------------------------------------------------------


@VERILATOR
@pytest.mark.parametrize(("name", "lanes"), [(name, SOME[i % 3]) for i, name in enumerate(CLOCKED)])
def test_verilator_has_nothing_to_say(name, lanes, tmp_path):
    """All its warnings, but for the upper bits of intermediate values that nobody needs."""
    written(*sample(name, 0, steps=2), tmp_path, lanes)
    assert "lint_off" not in (tmp_path / "net.v").read_text()
    done = shell("verilator --lint-only -Wall -Wno-UNUSEDSIGNAL -Wno-DECLFILENAME net.v", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


COMPILED = ("fixed", "fpga", "xylo_imu", "loihi2")  # each takes a compiler of C++ ten seconds


@VERILATOR
@SIMULATED
@pytest.mark.parametrize(
    ("name", "lanes"),
    [
        pytest.param(name, SOME[i % 3], marks=pytest.mark.slow if name in COMPILED else pytest.mark.long)
        for i, name in enumerate(CLOCKED)
    ],
)
def test_two_simulators_of_verilog_say_the_same(name, lanes, tmp_path, count):
    network, counts = sample(name, 5, steps=6)
    written(network, counts, tmp_path, lanes)
    said = told(tmp_path, simulator=compiled)
    assert said == told(tmp_path)
    found = re.fullmatch(r"PASS\s+(\d+) values,\s+\d+ cycles", said)
    assert found, said
    count("values of networks in Verilog equal to the simulation in Verilator", int(found[1]))


@YOSYS
@pytest.mark.slow  # .ci/run has it
@pytest.mark.parametrize(("name", "lanes"), [("xylo_imu", 2), ("loihi2", 1)])
def test_yosys_synthesises_it(name, lanes, tmp_path, count):
    made = written(*sample(name, 0, steps=2), tmp_path, lanes)
    done = shell("yosys -q -p 'read_verilog net.v; synth_ice40 -top net; tee -o cells.txt stat'", tmp_path, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    report = (tmp_path / "cells.txt").read_text()
    cells = {kind: int(number) for kind, number in re.findall(r"(SB_\w+)\s+(\d+)", report)}
    assert cells["SB_LUT4"] > 100
    assert not re.search(r"\$_?DLATCH", report)
    what = f"{name}, {lanes} lanes"
    count(f"{what}: SB_LUT4", cells["SB_LUT4"])
    count(f"{what}: SB_RAM40_4K", cells.get("SB_RAM40_4K", 0))
    count(f"{what}: bits of memory", made.bits)
    count(f"{what}: cycles of the busiest step", made.busy_cycles)


# --- files ------------------------------------------------------------------------------------------------------------


@SIMULATED
def test_the_command_writes_a_module_whose_testbench_passes(tmp_path):
    save_network(sample("xylo_imu", 1)[0], tmp_path / "net.npz")
    options = ("--format", "verilog", "--out", str(tmp_path / "imu.v"), "--lanes", "2")
    done = run("emit", str(tmp_path / "net.npz"), *options)
    assert (done.status, done.err) == (0, "")
    assert "localparam LANES = 2;" in (tmp_path / "imu.v").read_text()
    assert emitter("verilog").title in done.out
    assert told(tmp_path, "imu").startswith("PASS")


def test_lanes_are_refused_for_a_format_that_has_none(tmp_path):
    save_network(sample("xylo_imu", 1)[0], tmp_path / "net.npz")
    done = run("emit", str(tmp_path / "net.npz"), "--format", "c", "--out", str(tmp_path / "imu.c"), "--lanes", "2")
    assert done.status == 2
    assert "format 'c'; a format that computes several neurons at once: verilog" in done.err
    assert not (tmp_path / "imu.c").exists()


def test_every_line_of_the_text_stands_above_its_wires():
    code = to_verilog(sample("xylo_imu", 1)[0], "net").code
    for handler in chip("xylo_imu").neurons["hidden"].handlers.values():
        for line in filter(None, (x.split("#")[0].strip() for x in handler.text.source.splitlines())):
            assert f"// {line}\n" in code


def test_the_configuration_states_memory_and_cycles_and_the_same_network_gives_the_same_bytes():
    made, _ = sample("xylo_imu", 1)
    shown = verilog_configuration(made)
    assert json.loads(json.dumps(shown)) == shown == verilog_configuration(made)
    assert 0 < shown["cycles_per_step"]["nothing fires"] < shown["cycles_per_step"]["everything fires"]
    assert {"network.v", "network_tb.v", "network_syn_in.hex"} <= set(shown["files"])


@pytest.mark.parametrize("name", ["Net.v", "2net.v", "my-net.v", "module.v"])
def test_a_file_name_that_no_module_can_have_is_refused(name, tmp_path):
    with pytest.raises(Refusal, match="names in the file begin with it"):
        write_verilog(sample("xylo_imu", 1)[0], tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_chip_that_events_drive_is_not_written():
    for name in target_folders():
        assert ("verilog" in all_formats(chip(name))) == (name in CLOCKED)
