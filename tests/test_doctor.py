"""The doctor looks without touching: nothing is imported that it only asks about."""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import FrozenInstanceError, asdict
from importlib import metadata
from pathlib import Path

import pytest

import neurodeploy
from neurodeploy import doctor
from neurodeploy.chips import target_folders
from neurodeploy.oracles import ORACLES

OWN = Path(neurodeploy.__file__).parent


def by_name(**options):
    return {f.name: f for f in doctor.diagnose(**({"probes": ()} | options))}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder at the front of sys.path, here and in processes started from here."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{OWN.parent}")
    return tmp_path


def samna_package(folder, text="", *, compiled=True):
    place = folder / "samna"
    place.mkdir()
    (place / "__init__.py").write_text(f"import pathlib\npathlib.Path(__file__).with_name('imported').touch()\n{text}")
    if compiled:
        (place / "native.so").write_bytes(b"\x7fELF")
    return place


def test_python_and_the_program_are_found():
    found = by_name()
    assert found["python"].state == "ok"
    assert found["python"].version == ".".join(map(str, sys.version_info[:3]))
    program = found["neurodeploy"]
    assert (program.state, program.version) == ("ok", metadata.version("neurodeploy"))
    assert program.detail == str(OWN)


def test_a_program_that_is_not_installed_is_told(monkeypatch):
    def version(name, known=metadata.version):
        if name == "neurodeploy":
            raise metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(metadata, "version", version)
    program = by_name()["neurodeploy"]
    assert (program.state, program.todo) == ("failed", "pip install .")
    assert str(OWN) in program.detail


def test_every_target_is_loaded():
    found = by_name()
    names = {f"target {name}" for name in target_folders()}
    assert len(names) >= 3
    assert {n: found[n].state for n in names} == dict.fromkeys(names, "ok")
    assert "SYNS65302" in found["target xylo_audio3"].detail


def test_a_target_that_does_not_load_is_told_with_its_fault(tmp_path, monkeypatch):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "chip.toml").write_text("schema_version = 99\n")
    folders = {"broken": tmp_path / "broken", "xylo_imu": target_folders()["xylo_imu"]}
    monkeypatch.setattr(doctor, "target_folders", lambda: folders)
    found = by_name()
    assert found["target broken"].state == "failed"
    assert "schema_version = 99" in found["target broken"].detail
    assert str(tmp_path) in found["target broken"].todo
    assert found["target xylo_imu"].state == "ok"


def test_a_package_of_others_that_fails_is_told(monkeypatch):
    def fails():
        raise ZeroDivisionError("their fault")

    monkeypatch.setattr(doctor, "target_folders", fails)
    assert by_name()["targets"].detail == "ZeroDivisionError: their fault"
    monkeypatch.setattr(doctor, "target_folders", dict)
    assert by_name()["targets"].state == "missing"


def test_packages_are_found_with_their_versions():
    found = by_name()
    assert found["package numpy"].version == metadata.version("numpy")
    assert found["package torch"].state == "ok"


@pytest.mark.parametrize(
    ("package", "todo"),
    [("xylosim", 'pip install "neurodeploy[oracles]"'), ("torch", "pip install neurodeploy")],
)
def test_a_missing_package_is_answered_with_the_line_that_installs_it(monkeypatch, package, todo):
    def version(name, known=metadata.version):
        if name == package:
            raise metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(metadata, "version", version)
    finding = by_name()[f"package {package}"]
    assert (finding.state, finding.version, finding.todo) == ("missing", None, todo)


def requirements():
    """Extra -> names of its packages, "" for those that are always there, as pyproject.toml has them."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: {re.match(r"[\w-]+", line).group() for line in lines} for extra, lines in lists.items()}


def test_packages_and_extras_are_those_that_install_them():
    lists = requirements()
    assert {package: extra for package, extra in doctor.PACKAGES.items() if package not in lists[extra]} == {}
    same = {"netx": "nir"}  # of one package
    assert {same.get(extra, extra) for extra in lists if extra != "test"} == set(doctor.PACKAGES.values())


def test_nothing_is_imported_that_is_only_asked_about(elsewhere):
    place = samna_package(elsewhere, "PYPI_SAMNA = 1")
    program = (
        "import sys\nfrom neurodeploy import doctor\ndoctor.diagnose(probes=())\n"
        "print([m for m in ('torch', 'sklearn', 'xylosim', 'samna') if m in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - our own program
    assert done.stdout.strip() == "[]"
    assert not (place / "imported").exists()


# samna and devices


@pytest.mark.parametrize(
    ("text", "compiled", "state", "samna"),
    [("PYPI_SAMNA = 1", True, "stub", "stub"), ("", False, "unknown", "unknown")],
)
def test_without_the_real_samna_devices_are_not_probed(elsewhere, text, compiled, state, samna):
    place = samna_package(elsewhere, text, compiled=compiled)
    found = by_name()
    assert found["samna"].state == state
    assert str(place) in found["samna"].detail
    assert "SynSense's own package index" in found["samna"].todo
    assert found["devices"].state == "not probed"
    assert f"samna is {samna}" in found["devices"].detail
    assert not (place / "imported").exists()


def test_absent_samna_is_missing(monkeypatch):
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "site-packages" not in p])
    found = by_name()
    assert found["samna"].state == "missing"
    assert found["devices"].state == "not probed"


@pytest.mark.parametrize(
    ("answer", "state", "detail"),
    [
        ("[types.SimpleNamespace(device_type_name='XyloAudio3TestBoard')]", "ok", "XyloAudio3TestBoard"),
        ("[types.SimpleNamespace(device_type_name='Speck2fDevKit')]", "ok", "Speck2fDevKit (speck2f)"),
        ("[]", "missing", "samna sees no board"),
        ("1 / 0", "failed", "ZeroDivisionError: division by zero"),
    ],
)
def test_with_the_real_samna_devices_are_asked_for_in_another_process(elsewhere, answer, state, detail):
    text = f"import types\ndevice = types.SimpleNamespace(get_all_devices=lambda: {answer})\n"
    place = samna_package(elsewhere, text)
    found = by_name()
    assert found["samna"].state == "ok"
    assert (found["devices"].state, found["devices"].detail) == (state, detail)
    assert (place / "imported").exists()
    assert "samna" not in sys.modules


def test_a_samna_that_hangs_is_left_after_the_timeout(elsewhere):
    samna_package(elsewhere, "import time\ntime.sleep(60)\n")
    finding = by_name(timeout_s=0.5)["devices"]
    assert (finding.state, finding.detail) == ("failed", "no answer within 0.5 s")


# oracles


@pytest.mark.oracle
def test_xylosim_answers():
    finding = by_name(probes=doctor.PROBES)["oracle xylosim"]
    assert (finding.state, finding.version) == ("ok", metadata.version("xylosim"))


@pytest.mark.parametrize(
    ("program", "timeout_s", "detail"),
    [
        ("print('0')", 30, "a wrong answer: 0"),
        ("", 30, "a wrong answer: nothing"),
        ("raise OSError('no library')", 30, "OSError: no library"),
        ("import os; os.abort()", 30, "exit status -6"),
        ("import time; time.sleep(60)", 1, "no answer within 1 s"),
    ],
)
def test_an_oracle_that_does_not_answer_has_failed(program, timeout_s, detail):
    probe = doctor.Probe("xylosim", "json", program)
    finding = by_name(probes=[probe], timeout_s=timeout_s)["oracle xylosim"]
    assert (finding.state, finding.detail) == ("failed", detail)
    assert finding.todo == 'pip install "neurodeploy[oracles]"'


def test_an_oracle_that_is_not_installed_is_missing():
    finding = by_name(probes=[doctor.Probe("lava", "no_such_module", "")])["oracle lava"]
    assert (finding.state, finding.todo) == ("missing", 'pip install "neurodeploy[oracles]"')


# what comes out


def test_findings_are_frozen_and_come_as_json():
    findings = doctor.diagnose(probes=())
    assert json.loads(doctor.to_json(findings)) == [asdict(f) for f in findings]
    with pytest.raises(FrozenInstanceError):
        findings[0].state = "ok"


def test_the_doctor_prints_nothing(capfd):
    doctor.diagnose(probes=())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("process", [o.process for o in ORACLES.values() if o.process], ids=lambda p: p.name)
def test_an_oracle_in_a_python_of_its_own_is_found_or_said_how_to_make(process, monkeypatch):
    monkeypatch.setenv(process.variable, "")
    missing = by_name()[f"oracle {process.package}"]
    assert (missing.state, missing.todo) == ("missing", process.install)
    assert process.variable in missing.detail
    monkeypatch.setattr(type(process), "available", lambda _: "9.9")
    assert by_name()[f"oracle {process.package}"].version == "9.9"
