"""Mutated bundles, configurations, inputs and command lines are refused or read as an independent reading has them."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import fuzzing
import pytest

import neurodeploy as nd

SECONDS, KIB = 10, 2 << 20
SOUND = {"refused", "read", "answered"}


def in_a_process(folder, first, many):
    """Judgements of a process that may take 2 GiB more than it begins with."""
    here = Path(__file__).parent
    given = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(nd.__file__).parents[1]), str(here)])}
    command = [sys.executable, str(here / "fuzzing.py"), str(folder), str(first), str(many)]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=600)  # noqa: S603
    assert done.returncode == 0, done.stderr[-3000:]
    *lines, last = map(json.loads, done.stdout.splitlines())
    assert last["kib"] < KIB
    return lines


@pytest.mark.parametrize(
    ("first", "many"), [(0, 90), *(pytest.param(n, 500, marks=pytest.mark.slow) for n in range(0, 2000, 500))]
)
def test_a_mutant_of_any_file_is_refused_or_read_as_it_stands(tmp_path, monkeypatch, count, first, many):
    monkeypatch.chdir(tmp_path)
    found = in_a_process(tmp_path, first, many) if many > 100 else list(fuzzing.judgements(tmp_path, first, many))
    assert [line["seed"] for line in found] == list(range(first, first + many))
    assert [line for line in found if line["outcome"] not in SOUND] == []
    assert max(line["s"] for line in found) < SECONDS
    outcomes = Counter((line["kind"], line["outcome"]) for line in found)
    kinds = {line["kind"] for line in found}
    assert len(kinds) == 9
    assert all(outcomes[kind, "refused"] for kind in kinds), "each kind of mutant hits something"
    if many > 100:
        assert all(outcomes[kind, "read"] for kind in ("network", "model", "data", "chip", "configuration"))
    count("mutated files and command lines judged", many)
