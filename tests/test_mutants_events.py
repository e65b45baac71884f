"""Mutants of the texts of chips that events drive: golden vectors notice every one that computes something else."""

import pytest
from event_golden import CHIPS, CONVOLVE, MADE_BY, UNIT, vectors_of
from mutants import Catcher, behaviour, edited, mutants
from smt_equivalence import equivalent

from neurodeploy.chips import chip, from_raw
from neurodeploy.golden import FILE_NAME, differences, read_golden, write_golden
from neurodeploy.simulator import scan_orders, simulate

#: chips of equal behaviour need one test
DIFFERENT = list({behaviour(chip(n).raw): n for n in CHIPS}.values())
FLAGS = ("fire", "return_to_zero")


#: What the guards of the chip keep wherever an event arrives.
LEGAL = ("threshold_low <= v", "v < threshold_high")


#: the default run judges every third mutant, .ci/run all
JUDGED = [pytest.param((n, e), id=f"{n}-{e}", marks=[pytest.mark.slow] * (e == 1)) for n in DIFFERENT for e in (3, 1)]


@pytest.fixture(scope="module", params=JUDGED)
def judged(request):
    """Chip, its mutants by name, and the verdict of the golden vectors on each."""
    name, every = request.param
    true = chip(name)
    catcher = Catcher(read_golden(true.path), [])
    assert catcher.verdict(true.raw) == "survived"
    made = {m.name: m for m in list(mutants(true.raw))[::every]}
    return true, made, {name: catcher.verdict(m.raw) for name, m in made.items()}


def test_every_mutant_is_refused_caught_or_proved_equivalent(judged, count):
    true, made, verdicts = judged
    survivors = [m for name, m in made.items() if verdicts[name] == "survived"]
    assert [m.name for m in survivors if not equivalent(true, from_raw(m.raw), legal=LEGAL)] == []
    assert len(made) > 20
    count(f"mutants of {true.name}", len(made))
    for verdict, words in (
        ("invalid", "refused at load"),
        ("golden", "caught by golden vectors"),
        ("survived", "proved equivalent"),
    ):
        count(f"mutants of {true.name}: {words}", sum(v == verdict for v in verdicts.values()))


def test_survivors_are_few_and_concern_flags_alone(judged):
    _, made, verdicts = judged
    survivors = [m for name, m in made.items() if verdicts[name] == "survived"]
    assert 0 < len(survivors) < len(made) / 4
    assert all(any(flag in m.name for flag in FLAGS) for m in survivors)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (("connection", CONVOLVE, "on_input"), "v >= threshold_high", "v > threshold_high"),
        (("neuron", UNIT, "on", "tick"), "max(v + bias, threshold_low)", "v + bias"),
    ],
)
def test_the_solver_rejects_a_wrong_text(path, old, new):
    true = chip(CHIPS[0])
    source = edited(true.raw)
    for key in path:
        source = source[key]
    assert equivalent(true, from_raw(edited(true.raw, (path, source))), legal=LEGAL)
    assert not equivalent(true, from_raw(edited(true.raw, (path, source.replace(old, new)))), legal=LEGAL)


@pytest.mark.parametrize("name", DIFFERENT)
def test_golden_vectors_reject_the_other_order_of_step_queue_and_scan(name):
    true = chip(name)
    vectors = read_golden(true.path).vectors
    for scan in scan_orders(true, 6)[1:]:
        runs = [simulate(v.network, v.inputs, drain=0, raw=True, scan=scan) for v in vectors]
        assert any((r.counts[g] != c).any() for r, v in zip(runs, vectors, strict=True) for g, c in v.counts.items())
    runs = [simulate(v.network, v.inputs, drain=0, raw=True, order="depth") for v in vectors]
    assert any((r.counts[g] != c).any() for r, v in zip(runs, vectors, strict=True) for g, c in v.counts.items())


@pytest.mark.parametrize("name", CHIPS)
def test_the_loops_still_give_the_golden_file(name, tmp_path):
    golden = read_golden(chip(name).path)
    write_golden(tmp_path, vectors_of(name), made_by=MADE_BY, on=golden.on, grade=golden.grade)
    assert (tmp_path / FILE_NAME).read_text() == (chip(name).path / FILE_NAME).read_text()


@pytest.mark.parametrize("name", CHIPS)
def test_the_file_claims_nothing_independent(name):
    golden = read_golden(chip(name).path)
    assert golden.grade == "inferred"
    assert "nothing independent" in golden.made_by


def test_a_vector_on_another_scan_order_still_has_its_first_layer():
    true = chip(CHIPS[0])
    vector = next(v for v in read_golden(true.path).vectors if v.name == "geometry")
    assert not differences(vector, "numpy", "")[0]
    turned = simulate(vector.network, vector.inputs, drain=0, raw=True, scan=scan_orders(true, 2)[1])
    assert all((turned.counts[g] == c).all() for g, c in vector.counts.items())
