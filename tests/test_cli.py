"""Each command does what it says: tables for people, JSON for programs, an exit status for scripts."""

import json
import re
import shlex
import zipfile

import click
import pytest
from bundle_files import content
from click.testing import CliRunner
from command_files import folder, made
from command_line import CHIP, CLASSES, PROGRAM, PYTHON, model, refused, run, shell

import neurodeploy as nd
from neurodeploy import conversion
from neurodeploy.bundles import verification, zipped
from neurodeploy.chips import target_folders
from neurodeploy.cli import main
from neurodeploy.cli.targets import _rows
from neurodeploy.codes import CODES
from neurodeploy.doctor import Finding
from neurodeploy.errors import Differs, missing_extra
from neurodeploy.network import Network, group, place_identity, projection, save_network
from neurodeploy.oracles import ORACLES
from neurodeploy.simulator import Trace

assert folder  # a fixture of every test here: commands write below the present folder at most
assert made

CHIPS = ["xylo_audio2", "xylo_audio3", "xylo_imu"]
COMMANDS = [
    "demo",
    "check",
    "convert",
    "search",
    "map",
    "simulate",
    "emit",
    "verify",
    "record",
    "targets",
    "bench",
    "explain",
    "doctor",
]


# help and usage


def test_help_lists_the_commands_in_the_order_of_need():
    answer = run("--help")
    assert answer.status == 0
    positions = [answer.out.index(f"\n  {name}  ") for name in COMMANDS]
    assert positions == sorted(positions)
    assert "..." not in answer.out.split("Commands:")[1], "every command is told in one whole line"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_takes_json(command):
    answer = run(command, "-h")
    assert answer.status == 0
    assert answer.out.startswith(f"Usage: neurodeploy {command} ")
    assert "--json" in answer.out


def test_without_arguments_the_help_goes_to_stderr_and_nothing_is_answered():
    answer = run()
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("Usage: neurodeploy")


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert run("--version").out == f"neurodeploy, version {version('neurodeploy')}\n"


def test_click_finds_a_group_of_commands():
    assert isinstance(main, click.Group)
    assert CliRunner().invoke(main, ["targets", "--json"]).exit_code == 0


def test_help_loads_nothing_heavy():
    code = "import sys\nfrom neurodeploy.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
    code += "print(sorted({'torch', 'sklearn', 'xylosim', 'samna', 'numba'} & set(sys.modules)))"
    done = shell(f"{PYTHON} -c {shlex.quote(code)}")
    assert done.stdout.splitlines()[-1] == "[]"


# targets and doctor


def test_targets_lists_every_chip():
    answer = run("targets")
    assert answer.status == 0
    assert [name for name in CHIPS if name in answer.out] == CHIPS
    rows = run("targets", "--json").json
    assert [row["name"] for row in rows] == sorted(target_folders())
    assert all(row["limits"] == len(nd.chip(row["name"]).limits) for row in rows)
    assert all(row["limits"] > 0 for row in rows if row["name"] in CHIPS)


@pytest.mark.parametrize("name", CHIPS)
def test_show_prints_every_limit_source_text_and_unknown(name):
    chip = nd.chip(name)
    answer = run("targets", "show", name)
    assert answer.status == 0
    for limit in chip.limits.values():
        assert f"at most {limit.entry.at_most} {limit.entry.unit}" in answer.out
    for line in chip.unknown:
        assert f"- {line}\n" in answer.out
    assert "v = sat(v + d, 16)\nif v >= threshold:\n    fired = min(v // threshold, 31 - count)\n" in answer.out
    assert "function.dash(x, d)\n1 if x > 0 and x >> d == 0 else x >> d\n" in answer.out
    assert "xylosim 0.1.3" in answer.out
    assert "2026-11-20" in answer.out


def numbers(node, path=()):
    """Every number of a chip file with the keys that lead to it."""
    for key, value in node.items() if hasattr(node, "items") else ():
        if hasattr(value, "items"):
            yield from numbers(value, (*path, key))
        else:
            parts = value if isinstance(value, list) else [value]
            yield from (((*path, key), v) for v in parts if isinstance(v, int | float) and not isinstance(v, bool))


@pytest.mark.parametrize("name", sorted(target_folders()))
def test_show_prints_every_number_beside_its_name(name):
    described = nd.chip(name)
    rows = {place: value for place, value, grade, source in _rows(described) if grade and source}
    aside = ("schema_version", "sources", "dialect")
    found = [(path, v) for path, v in numbers(described.raw) if path[0] not in aside]
    assert len(found) > 30
    missing = []
    for path, number in found:
        place = next((p for n in range(len(path), 0, -1) if (p := ".".join(path[:n])) in rows), None)
        if place is None or not re.search(rf"(?<![\w.-]){re.escape(str(number))}(?![\w.])", rows[place]):
            missing.append((".".join(path), number))
    assert missing == []


@pytest.mark.parametrize("place", [("targets", "--json", "show"), ("targets", "show", "--json")])
def test_show_gives_the_merged_file_as_json_wherever_the_option_stands(place):
    answer = run(*place, CHIP)
    assert answer.json == nd.chip(CHIP).raw
    assert answer.err == ""


def test_show_takes_a_folder(folder):
    source = nd.chip(CHIP).path
    (folder / "mine").mkdir()
    text = 'extends = "xylo_imu"\nname = "mine"\n[limit.hidden]\nat_most = 5\n'
    (folder / "mine" / "chip.toml").write_text(text)
    assert source is not None
    assert "at most 5 hidden neurons" in run("targets", "show", folder / "mine").out


def test_doctor_names_what_is_there():
    answer = run("doctor", "--json")
    assert answer.status == 0
    findings = {f["name"]: f["state"] for f in answer.json}
    assert {f"target {name}" for name in CHIPS} <= set(findings)
    assert findings["package numpy"] == "ok"
    plain = run("doctor")
    assert plain.status == 0
    assert "target xylo_imu" in plain.out


def test_brackets_are_printed_as_they_stand(monkeypatch):
    line = 'pip install "neurodeploy[demo]"'
    monkeypatch.setattr("neurodeploy.doctor.diagnose", lambda: [Finding("package x", "missing", None, "[red]", line)])
    out = run("doctor").out
    assert line in out
    assert "[red]" in out


# check


def test_check_says_that_a_model_fits(made):
    answer = run("check", made / "model.safetensors", "--target", CHIP)
    assert (answer.status, answer.err) == (0, "")
    assert "model.safetensors fits xylo_imu.\n" in answer.out
    shown = run("check", made / "model.safetensors", "--target", CHIP, "--json")
    assert (shown.status, shown.err) == (0, "")
    assert shown.json["fits"] is True
    asked = {row["limit"]: row["asked"] for row in shown.json["usage"]}
    assert (asked["hidden"], asked["outputs"]) == (6, CLASSES)


def test_check_says_why_a_model_does_not_fit(folder):
    nd.save_model(model(hidden=129, classes=17), folder / "large.safetensors", dt_s=1e-3)
    answer = run("check", "large.safetensors", "--target", CHIP)
    assert answer.status == 1
    assert "large.safetensors does not fit xylo_imu.\n" in answer.out
    assert "17 output neurons; at most 16 fit; 1 too many" in answer.out
    assert "129 hidden neurons with input weights; at most 128 fit" in answer.out
    shown = run("check", "large.safetensors", "--target", CHIP, "--json")
    assert shown.status == 1
    assert shown.json["fits"] is False
    assert {row["limit"] for row in shown.json["usage"] if not row["fits"]} >= {"outputs", "in_targets", "out_sources"}
    assert len(shown.json["reasons"]) >= 3


def test_check_names_the_grid_that_a_time_constant_leaves(folder):
    nd.save_model(model(tau_mem=1e6), folder / "slow.safetensors", dt_s=1e-3)
    answer = run("check", "slow.safetensors", "--target", CHIP)
    assert answer.status == 1
    assert "[ND1702]" in answer.out


# convert


def test_convert_writes_a_bundle_that_verifies(made, folder):
    arguments = ["convert", made / "model.safetensors", "--target", CHIP, "--data", made / "data.npz"]
    answer = run(*arguments, "--calibration", made / "data.npz", "--out", "b.nd")
    assert answer.status == 0
    assert "Written: b.nd. Next: neurodeploy verify b.nd\n" in answer.out
    assert nd.verify("b.nd").exact
    shown = run(*arguments, "--out", "c.nd", "--json")
    assert shown.status == 0
    assert shown.err == ""
    assert shown.json["bundle"] == "c.nd"
    assert [layer["layer"] for layer in shown.json["layers"]] == ["1", "3"]
    assert nd.verify("c.nd").exact
    assert sorted(p.name for p in folder.iterdir()) == ["b.nd", "c.nd"], "nothing else is left behind"


def test_converting_twice_gives_the_same_bytes(made, folder):
    arguments = ["convert", made / "model.safetensors", "--target", CHIP, "--data", made / "data.npz", "--out"]
    assert run(*arguments, "one.nd").status == run(*arguments, "two.nd").status == 0
    one, two = content(folder / "one.nd"), content(folder / "two.nd")
    assert one.keys() == two.keys()
    assert "configurations/samna.json" in one
    assert [name for name in one if one[name] != two[name] and name != "made.json"] == []
    assert run(*arguments, "three.nd.zip").status == 0
    with zipfile.ZipFile(folder / "three.nd.zip") as archive:
        assert {n: archive.read(n) for n in archive.namelist() if n != "made.json"} == {
            n: v for n, v in one.items() if n != "made.json"
        }


@pytest.mark.parametrize("command", ["verify", "simulate", "map", "emit"])
def test_every_command_takes_a_bundle_that_is_one_file(made, folder, command):
    whole = content(made / "bundle.nd")
    (folder / "b.zip").write_bytes(zipped.pack(whole))
    more = {"simulate": [made / "data.npz"], "emit": ["--out", "a.json"]}.get(command, [])
    answers = [run(command, path, *more, "--json") for path in (made / "bundle.nd", folder / "b.zip")]
    assert [a.status for a in answers] == [0, 0]
    folder_says, file_says = (a.json | {"bundle": ""} for a in answers)
    assert folder_says == file_says


# emit


def test_emit_writes_the_file_of_the_chips_format(made, folder):
    answer = run("emit", made / "bundle.nd", "--out", "c.json", "--json")
    assert (answer.status, answer.err) == (0, "")
    assert answer.json == {"target": CHIP, "format": "samna", "out": "c.json"}
    nd.emit.emitter("samna").write(nd.load_network(made / "bundle.nd" / "network.npz"), folder / "expected.json")
    assert (folder / "c.json").read_bytes() == (folder / "expected.json").read_bytes()
    assert "samna's field names" in run("emit", made / "bundle.nd", "--format", "samna", "--out", "c.json").out


def test_emit_refuses_what_the_format_cannot_hold_before_anything_is_written(made, folder):
    refused("ND9002", 2, "emit", made / "bundle.nd", "--format", "netx", "--out", "net.net")
    refused("ND1401", 2, "emit", made / "bundle.nd", "--out", "nowhere/c.json")
    chip = nd.chip("loihi2")
    groups = (group(chip, "in", "input", 1), group(chip, "out", "lif", 1, dv=0, threshold=9, refractory=2))
    links = (projection(chip, "dense", *groups, {"exponent": -6, "bits": 2, "sign_mode": 2}, w=192),)
    save_network(place_identity(Network(chip, groups, links)), folder / "n.npz")
    answer = refused("ND1901", 2, "emit", "n.npz", "--out", "net.net")
    assert "refractory = 2" in answer.json["error"][0]["was"]
    assert not (folder / "net.net").exists()


# verify


def test_verify_names_every_oracle_in_its_help():
    assert all(name in run("verify", "--help").out for name in ORACLES)


def test_verify_says_with_what_it_compared(made):
    answer = run("verify", made / "bundle.nd")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith(f"{made / 'bundle.nd'}: exact\n")
    shown = run("verify", made / "bundle.nd", "--json").json
    assert shown["exact"] is True
    assert shown["exit_status"] == 0
    assert "error" not in shown
    assert all(row["values_compared"] > 0 for row in shown["exact_against"])


@pytest.mark.oracle("xylosim")
def test_verify_against_an_oracle(made):
    answer = run("verify", made / "bundle.nd", "--against", "xylosim", "--json")
    assert answer.status == 0
    live = [row for row in answer.json["exact_against"] if row["oracle"] == "xylosim"]
    assert live[0]["grade"] == "vendor-simulator"
    assert live[0]["values_compared"] > 0


class Liar:
    """An oracle that adds one spike."""

    name, extra, grade = "liar", "oracles", "rtl"

    def available(self):
        return "1.0"

    def faults(self, _network):
        return []

    def missing(self, purpose):
        return missing_extra("liar", "oracles", purpose)

    def samples(self, _chip):
        return None

    def run(self, network, given):
        run = nd.simulate(network, given, drain=0)
        output = network.outputs()[0].name
        wrong = run.counts[output].copy()
        wrong[4, 2, 1] += 1
        return Trace("liar 1.0", {**run.counts, output: wrong}, {}, self.grade)


def test_verify_shows_the_first_difference(made, monkeypatch):
    monkeypatch.setattr("neurodeploy.oracles.ORACLES", {"liar": Liar()})
    answer = run("verify", made / "bundle.nd", "--against", "liar")
    assert answer.status == 1
    assert "group '3', neuron 1 (hardware id 1), sample 2, step 4" in answer.out
    shown = run("verify", made / "bundle.nd", "--against", "liar", "--json")
    assert shown.status == 1
    assert shown.json["exact"] is False
    (row,) = shown.json["differences"]
    assert row["oracle"] == "liar"
    assert row["comparison"]["difference"]["step"] == 4


def test_an_oracle_that_is_not_installed_is_status_3(made, monkeypatch):
    monkeypatch.setattr(Liar, "available", lambda _: None)
    monkeypatch.setattr("neurodeploy.oracles.ORACLES", {"liar": Liar()})
    answer = run("verify", made / "bundle.nd", "--against", "liar")
    assert answer.status == 3
    assert 'pip install "neurodeploy[oracles]"' in answer.out
    shown = run("verify", made / "bundle.nd", "--against", "liar", "--json")
    assert shown.status == 3
    assert shown.codes == ["ND9001"]
    assert len(shown.json["exact_against"]) == 4, "the bundle's own vectors are compared all the same"


def test_a_live_comparison_that_differs_is_never_left_out(made, monkeypatch):
    monkeypatch.setattr("neurodeploy.oracles.ORACLES", {"liar": Liar()})
    monkeypatch.setattr(conversion, "oracles_of", lambda _: (Liar(),))
    assert verification.verify(made / "bundle.nd", against="liar").exit_status == 1
    with pytest.raises(Differs, match=r"1 of \d+ values differ"):
        conversion.exact_against(made / "bundle.nd", nd.chip(CHIP))


# streams


def test_json_stands_alone_on_stdout_and_messages_on_stderr(made):
    done = shell(f"{PROGRAM} simulate {made}/bundle.nd {made}/data.npz --json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["target"] == CHIP
    done = shell(f"{PROGRAM} simulate {made}/bundle.nd {made}/nowhere.npz --json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"][0]["code"] == "ND1401"
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("neurodeploy: ")


def test_a_reader_that_leaves_early_meets_no_traceback():
    done = shell(f"{PROGRAM} targets show xylo_imu | head -1")
    assert done.stdout.startswith("SynSense Xylo IMU")
    assert "Traceback" not in done.stderr


def test_an_interrupted_command_answers_neither_yes_nor_no(made, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("neurodeploy.bundles.verify", interrupted)
    answer = run("verify", made / "bundle.nd")
    assert answer.status == 130
    assert answer.err.strip() == "neurodeploy: interrupted"


# bench


def test_bench_tells_ratios_of_one_run():
    told = json.loads(run("bench", "w5", "--steps", "2", "--rounds", "1", "--json").out)
    assert told["training"]["ratios"]["events"]["events"] == 1
    assert set(told["training"]["ratios"]["kernels"]) >= {"events", "kernels", "looped", "products alone"}


def test_a_peer_that_must_run_and_is_missing_is_told(monkeypatch):
    from neurodeploy.bench import training

    monkeypatch.setattr(training, "PEERS", {"no_such_peer": None})
    answer = run("bench", "w5", "--steps", "2", "--rounds", "1", "--require-peers")
    assert answer.status == 1
    assert "not installed: no_such_peer" in answer.err
    assert "[ND9001]" in answer.err


# explain


def test_a_code_is_explained_however_it_is_written():
    answers = [run("explain", code) for code in ("ND1801", "nd1801", "1801", "[ND1801]")]
    assert {a.out for a in answers} == {answers[0].out}
    assert answers[0].out.startswith("ND1801: mapper: limit exceeded\nUsual cause: More neurons")
    assert "\nWhat to do: The message gives the number asked" in answers[0].out
    assert run("explain", "ND1801", "--json").json["code"] == "ND1801"


def test_all_codes_are_listed_and_an_unknown_one_is_refused_with_what_is_near():
    assert run("explain", "--json").json.keys() == CODES.keys()
    assert all(code in run("explain").out for code in CODES)
    answer = run("explain", "ND1811")
    assert answer.status == 2
    assert "no code 'ND1811'; a code as it ends a refusal, such as ND1801; near it: " in answer.err
