"""The pytest plugin as a project meets it: the whole CI file of a user, options, markers, golden files, workers."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from command_line import ROOT
from simulated_device import SimulatedDevice
from test_against import StandIn
from test_bundles import resigned
from xylo_networks import events, small, with_parameter, with_weight

from neurodeploy import npz
from neurodeploy.bundles import bundle, load_bundle
from neurodeploy.devices import record, save_recording
from neurodeploy.network import identity, save_network
from neurodeploy.plugin.comparisons import plain, simulated
from neurodeploy.plugin.golden import compare_run, read_run, write_run
from neurodeploy.simulator import Trace

REGISTERED = any(e.value == "neurodeploy.plugin" for e in entry_points(group="pytest11"))
#: without what else is installed here and takes seconds to load anew in every inner session
OPTIONS = ["-p", "no:hypothesispytest", "-p", "no:cacheprovider", *([] if REGISTERED else ["-p", "neurodeploy.plugin"])]
CHIP = """
def test_chip(nd_bundle, nd_assert_equivalent):
    nd_assert_equivalent(nd_bundle("digits.nd"), against="reference")
"""
GOLDEN = """
def test_golden(nd_bundle, nd_simulate, nd_golden):
    nd_golden(nd_simulate(nd_bundle("digits.nd")))
"""


@pytest.fixture
def project(pytester, monkeypatch):
    """A folder with a bundle; tests are added to it."""
    monkeypatch.delenv("CI", raising=False)
    bundle(small(), events(samples=2), pytester.path / "digits.nd")
    return pytester


def run(project, *options):
    return project.runpytest_inprocess(*OPTIONS, *options)


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file())


def golden_file(project):
    (found,) = (project.path / "golden").rglob("*.npz")
    return found


def output(result):
    return result.stdout.str()


# the user's file


def test_the_whole_ci_file_of_a_user_passes_and_says_how_much_was_compared(project):
    project.makepyfile(test_chip=CHIP)
    result = run(project)
    result.assert_outcomes(passed=1)
    values = 13 * 2 * 7 + 3 * 13 * 2 * (7 + 2 + 3 * 4 + 2 * 3)
    result.stdout.fnmatch_lines(["*= neurodeploy =*", f"comparisons: 4; values compared: {values - 13 * 27:,}"])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            with_parameter(small(), "hid", "threshold", 1, 101),
            "group 'hid', neuron 1 (hardware id 1), sample 0, step 2",
        ),
        (with_parameter(small(), "out", "dash_mem", 0, 3), "group 'out', neuron 0"),
    ],
)
def test_a_bundle_whose_network_is_off_by_one_turns_it_red_with_the_first_difference(project, changed, words):
    project.makepyfile(test_chip=CHIP)
    shutil.rmtree(project.path / "digits.nd")
    bundle(changed, events(samples=2), project.path / "digits.nd")
    network = (project.path / "digits.nd" / "network.npz").read_bytes()
    shutil.rmtree(project.path / "digits.nd")
    bundle(small(), events(samples=2), project.path / "digits.nd")
    resign(project.path / "digits.nd", network)
    result = run(project)
    result.assert_outcomes(failed=1)
    assert words in output(result)
    assert "Traceback" not in output(result)


def resign(folder, network):
    """Exchange the network and its hashes, as somebody with intent would."""
    (folder / "network.npz").write_bytes(network)
    resigned(folder)


def test_a_bundle_with_a_changed_byte_turns_it_red_by_name(project):
    project.makepyfile(test_chip=CHIP)
    held = bytearray((project.path / "digits.nd" / "golden.npz").read_bytes())
    held[len(held) // 2] ^= 1
    (project.path / "digits.nd" / "golden.npz").write_bytes(held)
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*golden.npz: changed since it was written*ND1403*"])


def test_a_bundle_is_looked_for_beside_the_test_and_then_in_the_root_folder(project):
    inner = project.mkdir("inner")
    (inner / "test_chip.py").write_text(CHIP)
    run(project, f"--rootdir={project.path}", inner).assert_outcomes(passed=1)
    shutil.move(project.path / "digits.nd", inner / "digits.nd")
    run(project, f"--rootdir={project.path}", inner).assert_outcomes(passed=1)
    shutil.rmtree(inner / "digits.nd")
    result = run(project, f"--rootdir={project.path}", inner)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [f"bundle 'digits.nd': found neither as {inner}*digits.nd nor as {project.path}*digits.nd"]
    )


@pytest.mark.parametrize("given", ["nd_bundle('digits.nd')", "'digits.nd'", "nd_simulate(nd_bundle('digits.nd'))"])
def test_a_bundle_a_path_and_a_run_can_be_asserted(project, given):
    project.makepyfile(
        f"def test_it(nd_bundle, nd_simulate, nd_assert_equivalent):\n"
        f"    found = nd_assert_equivalent({given}, against=['numpy', 'reference'])\n"
        f"    assert [c.oracle for c in found.checks][-2:] == ['numpy', 'reference']\n"
    )
    run(project).assert_outcomes(passed=1)


def test_a_run_that_somebody_edited_and_one_that_goes_on_from_a_state_are_no_proof(project):
    project.makepyfile(
        """
        from dataclasses import replace

        def test_edited(nd_bundle, nd_simulate, nd_assert_equivalent):
            run = nd_simulate(nd_bundle("digits.nd"))
            counts = {g: v.copy() for g, v in run.counts.items()}
            counts["hid"][4, 1, 2] += 1
            nd_assert_equivalent(replace(run, counts=counts))

        def test_later(nd_bundle, nd_simulate, nd_assert_equivalent):
            bundle = nd_bundle("digits.nd")
            later = nd_simulate(bundle, bundle.input, state=nd_simulate(bundle).final)
            nd_assert_equivalent(later)
        """
    )
    result = run(project)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*group 'hid', neuron 2 (hardware id 2), sample 1, step 4*"])
    result.stdout.fnmatch_lines(["*it goes on from a state; a run from reset*"])


# options


def test_what_an_option_names_is_compared_on_top_of_what_a_test_names(project):
    project.makepyfile(
        "def test_it(nd_bundle, nd_assert_equivalent):\n"
        "    found = nd_assert_equivalent(nd_bundle('digits.nd'), against='numpy')\n"
        "    assert [c.oracle for c in found.checks][3:] == ['numpy', 'torch', 'reference']\n"
    )
    run(project, "--nd-against", "torch,numpy", "--nd-against", "reference").assert_outcomes(passed=1)


@pytest.mark.parametrize(("name", "words"), [("xylosin", "no oracle of that name"), ("absent", "pip install")])
def test_an_oracle_that_is_unknown_or_missing_fails_it_is_never_skipped(project, monkeypatch, name, words):
    monkeypatch.setattr("neurodeploy.oracles.ORACLES", {"absent": StandIn(None)})
    project.makepyfile(test_chip=CHIP)
    result = run(project, "--nd-against", name)
    result.assert_outcomes(failed=1)
    assert words in output(result)


def test_all_names_what_was_not_asked_in_its_report(project, monkeypatch):
    monkeypatch.setattr("neurodeploy.oracles.ORACLES", {"absent": StandIn(None), "willing": StandIn()})
    project.makepyfile(test_chip=CHIP)
    run(project, "--nd-against", "all", "--nd-report", "told").assert_outcomes(passed=1)
    (told,) = [json.loads((project.path / "told" / name).read_text()) for name in files(project.path / "told")]
    assert told["test"] == "test_chip.py::test_chip"
    assert (told["kind"], told["exact"], told["schema_version"]) == ("bundle", True, 1)
    asked = [row["oracle"] for row in told["found"]["exact_against"]]
    assert asked[3:] == ["reference", "numba", "torch", "numpy", "willing"]
    assert "standin" in told["found"]["left_out"][0]


def test_comparing_nothing_fails(project, monkeypatch):
    monkeypatch.setattr("neurodeploy.oracles.ORACLES", {"silent": StandIn(answer=Trace("silent 1.0", {}, {}))})
    project.makepyfile(test_chip=CHIP.replace("reference", "silent"))
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no value of any neuron stands on both sides*ND2001*"])


def test_a_test_that_asks_for_a_target_runs_once_for_each_that_is_named(project):
    project.makepyfile("def test_it(nd_target, record_property):\n    assert nd_target.limits\n")
    result = run(project, "-v", "--nd-target", "xylo_imu", "--nd-target", "loihi2", "--nd-target", "xylo_imu")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_it?xylo_imu? PASSED*", "*test_it?loihi2? PASSED*"])


def test_without_a_target_or_with_an_unknown_one_it_is_an_error_in_words(project):
    project.makepyfile("def test_it(nd_target):\n    pass\n")
    result = run(project)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["nd_target: no target was named; give --nd-target CHIP"])
    result = run(project, "--nd-target", "xylo_imo")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*xylo_imo*ND1104*"])


def test_a_target_that_a_test_states_itself_stays(project):
    project.makepyfile(
        "import pytest\n"
        "@pytest.mark.parametrize('nd_target', ['loihi1'], indirect=True)\n"
        "def test_it(nd_target):\n    assert nd_target.name == 'loihi1'\n"
    )
    run(project, "--nd-target", "xylo_imu").assert_outcomes(passed=1)


# markers


def test_a_test_of_hardware_is_skipped_without_a_device_and_says_why(project):
    project.makepyfile("import pytest\n@pytest.mark.neurodeploy_hardware\n" + CHIP.strip())
    result = run(project, "-rs", "--strict-markers")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        ["SKIPPED*neurodeploy_hardware: no device was named; connect one and give --nd-hardware ID"]
    )


def test_a_slow_test_is_skipped_unless_it_is_asked_for(project):
    project.makepyfile("import pytest\n@pytest.mark.neurodeploy_slow\ndef test_it():\n    pass\n")
    result = run(project, "-rs", "--strict-markers")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*neurodeploy_slow: takes long; run with -m neurodeploy_slow"])
    run(project, "-m", "neurodeploy_slow").assert_outcomes(passed=1)


def test_hardware_stands_for_the_device_and_only_in_marked_tests(project):
    project.makepyfile(test_chip=CHIP.replace("reference", "hardware"))
    result = run(project, "--nd-hardware", "board")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["against='hardware': mark the test with neurodeploy_hardware"])
    project.makepyfile(test_chip="import pytest\n@pytest.mark.neurodeploy_hardware\n" + CHIP.strip())
    result = run(project, "--nd-hardware", "numpy")
    result.assert_outcomes(passed=1)
    result = run(project, "--nd-hardware", "no board")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*against = 'no board': no oracle of that name*"])


def test_a_recording_beside_the_test_and_a_device_behind_files_are_compared(project):
    held = load_bundle(project.path / "digits.nd")
    recording = record(held.network, held.input, SimulatedDevice(held.network))
    save_recording(recording, project.path / "rec.npz")
    project.makepyfile(test_chip=CHIP.replace("reference", "rec.npz"))
    run(project).assert_outcomes(passed=1)
    save_recording(record(held.network, held.input, SimulatedDevice(held.network, lose=(1,))), project.path / "rec.npz")
    result = run(project)
    result.assert_outcomes(failed=1)
    assert " lost, the first at group 'hid'" in output(result)
    project.makepyfile(test_chip="import pytest\n@pytest.mark.neurodeploy_hardware\n" + CHIP.strip())
    result = run(project, "--nd-hardware", "csv:nowhere")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*device csv:nowhere: no such folder*"])


# golden files


def test_a_missing_golden_file_fails_and_is_not_written(project):
    project.makepyfile(test_run=GOLDEN)
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test_golden.npz: there is no golden file; look at the run*--nd-update"])
    assert not (project.path / "golden").exists()


def test_an_update_writes_lists_and_states_maker_version_contract_and_hashes(project):
    project.makepyfile(test_run=GOLDEN)
    result = run(project, "--nd-update")
    result.assert_outcomes(passed=1)
    assert "golden files written: 1; look at them before you commit\n  golden/test_run/test_golden.npz\n" in output(
        result
    )
    held = read_run(golden_file(project))
    assert held.trace.made_by.startswith("neurodeploy ")
    assert set(held.header["versions"]) == {"neurodeploy", "numpy"}
    assert held.header["contract"]["neurons"]["hidden"]["comparison"] == [">="]
    assert held.header["chip"] == {"name": "xylo_audio3", "digest": small().chip.digest}
    arrays = {f"counts.{g}" for g in held.trace.counts}
    arrays |= {f"states.{g}.{s}" for g, many in held.trace.states.items() for s in many}
    assert set(held.header["hashes"]) == arrays | {"network"}
    assert held.trace.counts["out"].sum() > 0
    run(project).assert_outcomes(passed=1)


def test_an_update_without_a_change_writes_nothing(project):
    project.makepyfile(test_run=GOLDEN)
    run(project, "--nd-update")
    before = golden_file(project).read_bytes(), golden_file(project).stat().st_mtime_ns
    result = run(project, "--nd-update")
    result.assert_outcomes(passed=1)
    assert "golden files written" not in output(result)
    assert (golden_file(project).read_bytes(), golden_file(project).stat().st_mtime_ns) == before


def test_an_update_where_ci_is_set_is_wrong_usage_and_writes_nothing(project, monkeypatch):
    project.makepyfile(test_run=GOLDEN)
    monkeypatch.setenv("CI", "true")
    result = run(project, "--nd-update")
    assert result.ret == pytest.ExitCode.USAGE_ERROR == 4
    result.stderr.fnmatch_lines(["ERROR: --nd-update where CI is set: *"])
    assert not (project.path / "golden").exists()


def test_each_test_has_a_golden_file_of_its_own_and_each_run_a_name(project):
    project.makepyfile(
        test_run="""
        import pytest

        class TestOne:
            def test_it(self, nd_bundle, nd_simulate, nd_golden):
                nd_golden(nd_simulate(nd_bundle("digits.nd")))

        @pytest.mark.parametrize("name", ["a", "A", "a/b"])
        def test_it(name, nd_bundle, nd_simulate, nd_golden):
            run = nd_simulate(nd_bundle("digits.nd"))
            nd_golden(run)
            nd_golden(run, "again")

        def test_twice(nd_bundle, nd_simulate, nd_golden):
            run = nd_simulate(nd_bundle("digits.nd"))
            nd_golden(run)
            nd_golden(run)
        """
    )
    result = run(project, "--nd-update")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*this test has used the file already; give each run a name of its own"])
    names = files(project.path / "golden" / "test_run")
    assert len(names) == 8
    assert len({n.lower() for n in names}) == 8
    assert all(set(n) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-.") for n in names)
    run(project, "-k", "not twice").assert_outcomes(passed=4)


#: changes, and the place inside the step, as the network of the file makes it known
MUTANTS = {
    "weight": (
        lambda: with_weight(small(), "in", 0, 1, 102),
        [
            "group 'hid', neuron 1 (hardware id 1)",
            "step 2, phase in: i1 = 102 in",
            ", 101 in the golden file, from 0 and 0",
            "connection.in.on_input, line 1: i1 = sat(i1 + arriving * w1, 16)",
            "w1 is 102 against 101",
        ],
    ),
    "threshold": (
        lambda: with_parameter(small(), "hid", "threshold", 1, 101),
        ["group 'hid', neuron 1", "step 2", "line 9: v = v - fired * threshold", "threshold is 101 against 100"],
    ),
    "decay": (
        lambda: with_parameter(small(), "out", "dash_mem", 0, 3),
        [
            "group 'out', neuron 0",
            ": v = 98 in",
            ", 93 in the golden file, from 38 and 38 before",
            "dash_mem is 3 against 2",
        ],
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_golden_file_names_the_first_difference_of_another_network(project, name):
    project.makepyfile(test_run=GOLDEN)
    run(project, "--nd-update").assert_outcomes(passed=1)
    shutil.rmtree(project.path / "digits.nd")
    changed, words = MUTANTS[name]
    bundle(changed(), events(samples=2), project.path / "digits.nd")
    result = run(project)
    result.assert_outcomes(failed=1)
    assert all(part in output(result) for part in words)
    assert "in the golden file" in output(result)
    assert "the golden file was made of another network" in output(result)


def test_without_its_network_a_golden_file_still_names_the_first_value_that_differs(tmp_path):
    run, other = (simulated(network, events(samples=2)) for network in (small(), MUTANTS["weight"][0]()))
    write_run(run, tmp_path / "g.npz")
    held = read_run(tmp_path / "g.npz")
    inside, without = (str(compare_run(other, h)) for h in (held, replace(held, network=b"")))
    assert "phase in: i1 = 102" in inside
    assert "phase hidden.step: i1 = 101" in without
    assert compare_run(run, held).exact
    spoilt = replace(held, trace=replace(held.trace, counts={n: v + 1 for n, v in held.trace.counts.items()}))
    assert "phase in: i1" not in str(compare_run(other, replace(spoilt, trace=spoilt.trace)))


def test_another_input_is_said_to_be_one(project):
    project.makepyfile(test_run=GOLDEN)
    run(project, "--nd-update").assert_outcomes(passed=1)
    shutil.rmtree(project.path / "digits.nd")
    other = events(samples=2)
    other[3, 1, 1] = 1
    bundle(small(), other, project.path / "digits.nd")
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*input 'in': the run has another input*ND2003*"])


def test_a_golden_file_with_a_changed_value_is_refused_by_the_name_of_the_array(project):
    project.makepyfile(test_run=GOLDEN)
    run(project, "--nd-update").assert_outcomes(passed=1)
    arrays = npz.read_arrays(golden_file(project))
    arrays["counts.hid"] = arrays["counts.hid"].copy()
    arrays["counts.hid"][2, 0, 1] += 1
    npz.write_arrays(golden_file(project), arrays)
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*counts.hid: changed since it was written*ND1403*"])


def test_a_longer_run_is_compared_as_far_as_both_go_and_then_fails(project):
    project.makepyfile(
        "def test_golden(nd_bundle, nd_simulate, nd_golden):\n"
        "    bundle = nd_bundle('digits.nd')\n"
        "    nd_golden(nd_simulate(bundle, bundle.input, drain=STEPS))\n".replace("STEPS", "0")
    )
    run(project, "--nd-update").assert_outcomes(passed=1)
    (source,) = project.path.glob("test_*.py")
    source.write_text(source.read_text().replace("drain=0", "drain=1"))
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*14 steps; 13 steps; all values of the steps that both have are equal*"])


def test_a_run_of_nothing_is_not_written(project):
    project.makepyfile(
        "import numpy as np\n"
        "def test_golden(nd_bundle, nd_simulate, nd_golden):\n"
        "    nd_golden(nd_simulate(nd_bundle('digits.nd'), np.zeros((5, 0, 2), int)))\n"
    )
    result = run(project, "--nd-update")
    result.assert_outcomes(failed=1)
    assert "ND2001" in output(result)
    assert not (project.path / "golden").exists()


# together with others


@pytest.mark.slow  # .ci/run has it: three processes, each with all imports
def test_two_workers_update_and_report_and_the_main_process_lists_all(project):
    many = "".join(GOLDEN.replace("test_golden", f"test_{i}") for i in range(4))
    project.makepyfile(test_run=many, test_more=many)
    result = project.runpytest_subprocess(*OPTIONS, "-n", "2", "--nd-update", "--nd-report", "told", "-q")
    result.assert_outcomes(passed=8)
    names = [f"golden/{module}/test_{i}.npz" for module in ("test_more", "test_run") for i in range(4)]
    assert "golden files written: 8; look at them before you commit\n  " + "\n  ".join(names) in output(result)
    assert files(project.path / "golden") == [n.removeprefix("golden/") for n in names]
    assert len({p.read_bytes() for p in (project.path / "golden").rglob("*.npz")}) == 1
    assert len(files(project.path / "told")) == 8
    assert "comparisons: 8;" in output(result)


def test_junit_is_what_pytest_writes_with_the_first_difference_as_the_message(project):
    project.makepyfile(test_run=GOLDEN, test_chip=CHIP)
    run(project, "--junitxml=junit.xml")
    suite = ET.parse(project.path / "junit.xml").getroot().find("testsuite")  # noqa: S314 - pytest wrote it
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    (failure,) = suite.iter("failure")
    assert "there is no golden file" in failure.get("message") + (failure.text or "")
    assert list(suite.iter("properties")) == []


def test_the_plugin_loads_nothing_heavy():
    code = (
        "import sys, pytest; "
        f"status = pytest.main([*{OPTIONS!r}, '--co', '-q', '-p', 'no:cacheprovider', '.']); "
        "assert 'neurodeploy.plugin' in sys.modules; "
        "print(sorted({'torch', 'numba', 'numpy', 'pydantic', 'click'} & set(sys.modules)), int(status))"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter, a fixed program
        [sys.executable, "-c", code],
        cwd=ROOT / "examples" / "chip_ci" / "board",
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "[] 5", done.stdout + done.stderr


def test_the_entry_point_of_the_project_names_the_plugin():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"neurodeploy": "neurodeploy.plugin"}


def test_names_of_files_are_plain_and_stay_apart():
    given = ["test_a", "test_A", "test_a[x/y]", "test_a[x\\y]", "test_a" * 20, "test_a" * 21, "té", "tè"]
    made = [plain(n) for n in given]
    assert made[0] == "test_a"
    assert len({m.lower() for m in made}) == len(given)
    assert all(len(m) < 80 and set(m) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-.") for m in made)


def test_identity_is_what_decides_and_not_what_is_noted(tmp_path):
    base = small()
    assert identity(base) == identity(replace(base, notes={"made": "today"})) == identity(small())
    others = [
        with_weight(base, "in", 0, 1, 102),
        with_parameter(base, "hid", "threshold", 1, 101),
        small("xylo_audio2"),
        replace(base, dt_s=0.001),
        replace(base, groups=tuple(replace(g, ids=g.ids[::-1].copy()) for g in base.groups)),
    ]
    assert len({identity(n) for n in (base, *others)}) == 6
    save_network(base, tmp_path / "n.npz")
    assert np.asarray(base.group("hid").ids).tolist() == [0, 1, 2]
