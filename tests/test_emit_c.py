"""Networks in C99: strict compilation, no undefined behaviour, the reference's bits in every state at every step."""

import json
import os
import re

import pytest
from c_runs import COMPILER, compiled, run_differences, self_test
from command_line import run
from drawn_networks import CHIPS as DELAYED
from drawn_networks import random_counts as drawn_counts
from drawn_networks import random_network as drawn_network
from emitted_networks import CLOCKED, generated, sample

from neurodeploy.chips import chip, target_folders
from neurodeploy.emit import all_formats, emitter
from neurodeploy.emit.c import c_configuration, to_c, write_c
from neurodeploy.emit.c.table import HELPERS, call, helpers, needs
from neurodeploy.errors import Refusal
from neurodeploy.step import PYTHON, Interval
from neurodeploy.step.intervals import RANGES

REQUIRED = bool(os.environ.get("NEURODEPLOY_REQUIRE_ORACLES"))
pytestmark = pytest.mark.skipif(COMPILER is None and not REQUIRED, reason="no C compiler")
#: networks of each chip that .ci/run compares
MANY = 8


def judge(made, counts, folder, count):
    bad, values, events = run_differences(made, counts, folder)
    assert bad == []
    assert values > 100
    count("values of networks in C equal to the reference", values)
    return events


# --- equal in every bit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [n if n == "xylo_audio3" else pytest.param(n, marks=pytest.mark.slow) for n in CLOCKED]
)
def test_a_network_in_c_has_the_bits_of_the_reference(name, tmp_path, count):
    assert judge(*sample(name, 1), tmp_path, count) > 0


@pytest.mark.slow  # .ci/run has it
@pytest.mark.parametrize("seed", range(MANY))
@pytest.mark.parametrize("name", CLOCKED)
def test_many_networks_in_c_have_the_bits_of_the_reference(name, seed, tmp_path, count):
    judge(*sample(name, 100 + seed), tmp_path, count)


@pytest.mark.parametrize("seed", [3, 5])
def test_chips_that_nobody_has_seen_are_written_too(seed, tmp_path, count):
    judge(*generated(tmp_path / "chip", seed), tmp_path / "run", count)


@pytest.mark.slow  # .ci/run has it
@pytest.mark.parametrize("seed", range(10, 30))
def test_many_chips_that_nobody_has_seen_are_written_too(seed, tmp_path, count):
    judge(*generated(tmp_path / "chip", seed), tmp_path / "run", count)


@pytest.mark.slow  # .ci/run has it
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("c", DELAYED, ids=lambda c: c.name)
def test_drawn_networks_with_delays_doubles_and_gaps_are_equal(c, seed, tmp_path, count):
    made = drawn_network(c, seed)
    judge(made, drawn_counts(made, seed, steps=12), tmp_path, count)


def test_a_network_with_delays_is_equal(tmp_path, count):
    made = drawn_network(DELAYED[-1], 0)
    assert any("delay" in p.fields and p.fields["delay"].any() for p in made.projections)
    judge(made, drawn_counts(made, 0, steps=12), tmp_path, count)


def test_the_comparison_notices_a_weight_that_is_one_off(tmp_path):
    made, _ = sample("xylo_imu", 1)
    right = to_c(made, "net").code
    table = re.search(r"const \w+ Synapse_in_w1\[\d+\] = \{\n    (-?\d+),", right)
    assert table
    write_c(made, tmp_path / "net.c")
    text = (tmp_path / "net.c").read_text()
    place = text.index("const", text.index("Synapse_in_w1") - 40)
    first = re.compile(r"\{\n    (-?\d+)").search(text, place)
    changed = text[: first.start(1)] + str(int(first[1]) ^ 64) + text[first.end(1) :]
    (tmp_path / "net.c").write_text(changed)
    assert self_test(tmp_path / "net.c") != 0


# --- operators --------------------------------------------------------------------------------------------------------


def corner_cases(op, width, few):
    """Operands at the ends and in the middle that the ranges allow; few: half of those in the middle."""
    most = (1 << width - 2) - 1 if width == 64 else (1 << 14) - 1
    values = sorted({-most, -7, 0, 1, 5, most} | (set() if few else {-most // 3, -1, 2, most // 2}))
    shifts = [0, 1, 3, 13]
    second = {"shl": shifts, "shr": shifts, "shift_to_zero": shifts, "round_half_even": shifts}.get(op)
    if op == "scale2":
        second = [-13, -1, 0, 1, 13]
    if op == "floordiv":
        second = [1, 2, 7, most]
    if op in {"shl", "scale2"}:
        values = [v >> 14 for v in values] if width == 64 else values
    if op in {"neg", "abs", "not"}:
        return [(v,) for v in values]
    if op == "clip":
        return [(v, low, high) for v in values for low in (-5, 0, 9) for high in (-6, 0, 11)]
    if op in {"sat", "wrap"}:
        return [(v, bits) for v in values for bits in (1, 2, 8, 15 if width == 32 else 62)]
    return [(a, b) for a in values for b in (second or values)]


@pytest.mark.parametrize(
    ("width", "few"), [(64, True), *(pytest.param(w, False, marks=pytest.mark.slow) for w in (32, 64))]
)
def test_every_operator_in_c_means_what_the_reference_says(width, few, tmp_path, count):
    used, lines, wanted = set(), [], []
    for op in ("add", "sub", "neg", "min", "max", "abs", "clip", "sat", "wrap", *HELPERS):
        for case in corner_cases(op, width, few):
            ranges = [Interval(v, v) for v in case]
            result = RANGES[op](*ranges)
            if needs(op, ranges, result) > width:
                continue
            code = call(op, [f"v[{i}]" for i in range(len(case))], ranges, width, used)
            lines.append(f"    {{ volatile int{width}_t v[] = {{{', '.join(f'INT64_C({v})' for v in case)}}};")
            lines.append(f'      (void)v; printf("%" PRId64 "\\n", (int64_t){code}); }}')
            wanted.append(PYTHON[op](*case))
    head = ["#include <inttypes.h>", "#include <stdio.h>", *helpers(used, lambda w: f"int{w}_t"), "int main(void)", "{"]
    (tmp_path / "all.c").write_text("\n".join([*head, *lines, "    return 0;", "}", ""]))
    from c_runs import CHECKED, answer

    got = answer(compiled([tmp_path / "all.c"], tmp_path / "all", *CHECKED)).split()
    assert list(map(int, got)) == wanted
    assert {name for name, _ in used} >= set(HELPERS) - {"max"}
    count(f"operands of operators in C, {width} bits", len(wanted))


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_self_test_passes_with_and_without_optimization(tmp_path):
    made, _ = sample("xylo_audio3", 2)
    write_c(made, tmp_path / "net.c")
    assert self_test(tmp_path / "net.c") == 0
    assert self_test(tmp_path / "net.c", "-O3") == 0


def test_the_same_network_gives_the_same_bytes_and_no_dependency(tmp_path):
    made, _ = sample("xylo_imu", 1)
    write_c(made, tmp_path / "net.c")
    before = (tmp_path / "net.c").read_bytes(), (tmp_path / "net.h").read_bytes()
    write_c(made, tmp_path / "net.c")
    assert before == ((tmp_path / "net.c").read_bytes(), (tmp_path / "net.h").read_bytes())
    included = re.findall(r"#include (\S+)", (before[0] + before[1]).decode())
    assert sorted(included) == ['"net.h"', "<stddef.h>", "<stdint.h>"]
    for word in ("malloc", "float", "double"):
        assert not re.search(rf"\b{word}\b", before[0].decode())


def test_every_line_of_the_text_stands_above_its_code():
    made, _ = sample("xylo_imu", 1)
    code = to_c(made, "net").code
    for handler in chip("xylo_imu").neurons["hidden"].handlers.values():
        for line in filter(None, (x.split("#")[0].strip() for x in handler.text.source.splitlines())):
            assert f"/* {line} */" in code


def test_the_configuration_states_sizes_and_work():
    made, _ = sample("xylo_imu", 1)
    shown = c_configuration(made)
    assert json.loads(json.dumps(shown)) == shown
    assert set(shown["files"]) == {"network.c", "network.h"}
    assert 0 < shown["operators_per_step"]["nothing fires"] < shown["operators_per_step"]["everything fires"]
    assert shown["synapses"] == sum(p.pairwise.sources.size for p in made.projections)
    assert str(shown["table_bytes"]) in shown["files"]["network.h"]


def test_two_networks_stand_in_one_program(tmp_path):
    for name in ("first", "second"):
        write_c(sample("xylo_imu", 1)[0], tmp_path / f"{name}.c")
    main = '#include "first.h"\n#include "second.h"\nint main(void) { return FIRST_LATENCY - SECOND_LATENCY; }\n'
    (tmp_path / "main.c").write_text(main)
    compiled([tmp_path / f"{n}.c" for n in ("main", "first", "second")], tmp_path / "both")


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Net.c", "2net.c", "my-net.c", "while.c"])
def test_a_file_name_that_is_no_name_in_c_is_refused(name, tmp_path):
    with pytest.raises(Refusal, match="names in the file begin with it"):
        write_c(sample("xylo_imu", 1)[0], tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"a name that ends in \.c"):
        write_c(sample("xylo_imu", 1)[0], tmp_path / "net.cpp")


def test_a_chip_that_events_drive_has_no_step_in_c():
    event_driven = [name for name in target_folders() if chip(name).event_driven]
    assert event_driven
    for name in event_driven:
        assert "c" not in all_formats(chip(name))
    for name in CLOCKED:
        assert "c" in all_formats(chip(name))


def test_the_command_writes_both_files(tmp_path):
    from neurodeploy.network import save_network

    save_network(sample("xylo_imu", 1)[0], tmp_path / "net.npz")
    done = run("emit", str(tmp_path / "net.npz"), "--format", "c", "--out", str(tmp_path / "net.c"))
    assert (done.status, done.err) == (0, "")
    assert emitter("c").title in done.out
    assert {p.name for p in tmp_path.iterdir()} == {"net.npz", "net.c", "net.h"}
    assert self_test(tmp_path / "net.c") == 0
