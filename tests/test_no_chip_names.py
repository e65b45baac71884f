"""A chip is data: no Python names one, and none stands below targets/."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

import neurodeploy
from neurodeploy.chips import chip, target_root
from neurodeploy.chips.schema import ConnectionEntry

PACKAGE = Path(neurodeploy.__file__).parent
CODE = sorted(f for part in ("chips", "network", "simulator", "step") for f in (PACKAGE / part).rglob("*.py"))
PATTERNS = set(get_args(ConnectionEntry.model_fields["pattern"].annotation))
OURS = sorted(p.parent.name for p in target_root().glob("*/chip.toml"))


def test_there_is_code_to_look_at():
    assert {f.parent.name for f in CODE} >= {"chips", "network", "simulator"}
    assert len(OURS) >= 3


@pytest.mark.parametrize("file", CODE, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_no_chip_is_named_in_code(file):
    text = file.read_text().lower()
    words = {*OURS, *(name.split("_")[0] for name in OURS)}
    assert {w for w in words if re.search(rf"(?<![a-z]){w}", text)} == set()


@cache
def decided():
    """Numbers and names that chips decide."""
    chips = [chip(name) for name in OURS]
    limits = {limit.entry.at_most for c in chips for limit in c.limits.values()}
    kinds = [k for c in chips for k in (*c.neurons.values(), *c.connections.values())]
    ends = {end for k in kinds for p in k.parameters.values() for end in p.interval}
    # small numbers mean many things; 64 is the width of every integer here, 63 of every value
    numbers = {abs(n) for n in limits | ends if abs(n) > 9} - {63, 64}
    roles = {"input", "hidden", "output", "hidden output"}
    return numbers, {n for c in chips for n in (*c.neurons, *c.connections)} - roles - {"in"} - PATTERNS


@pytest.mark.parametrize("file", CODE, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_no_number_that_a_chip_decides_stands_in_code(file):
    """Limits and register ends of our chips, and their kinds of neurons and connections, are nowhere literals."""
    numbers, names = decided()
    found = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
    assert found & numbers == set()
    assert found & names == set()


def test_targets_hold_no_python():
    assert list(target_root().rglob("*.py")) == []
