import ast
from functools import cache

import pytest
from mutants import EXECUTOR, Catcher, behaviour, edited, independent, mutants, stimuli
from random_networks import Options
from smt_equivalence import commute, equivalent
from variants import VARIANTS, descending, variants

from neurodeploy.chips import chip, from_raw, target_folders
from neurodeploy.errors import Refusal
from neurodeploy.golden import FILE_NAME, differences, read_golden
from neurodeploy.proofs.smt import equal
from neurodeploy.step import Interval, parse, signed

#: Chips with vectors of xylosim, of equal ones the first. Audio 3 computes what Audio 2 does; test_golden.py compares
#: both. Chips with other oracles have mutants in files of their own.
KNOWN = [n for n, folder in target_folders().items() if (folder / FILE_NAME).is_file() and "xylosim" in chip(n).oracles]
CHIPS = XYLO = list({behaviour(chip(n).raw): n for n in reversed(KNOWN)}.values())
SENSITIVE = Options(
    inputs=(3, 3), hidden=(6, 6), outputs=(3, 3), steps=(24, 24), batch=6, corners=0.35, links=(0, 2), rates=(0.3, 2, 8)
)

_DASH = "function.dash(x, d): 1 if x > 0 and x >> d == 0 else x >> d"
_ORDER = "schedule.step: channel.step in rec out hidden.begin [hidden.step alias] output.step"
#: Mutants that nothing can catch: an SMT solver shows that they compute the same for all that registers hold.
EQUIVALENT = {
    f"{_DASH} -> 1 if x != 0 and x >> d == 0 else x >> d",
    f"{_DASH} -> 1 if x > 0 and x >> d <= 0 else x >> d",
    f"{_ORDER} -> channel.step in out rec hidden.begin [hidden.step alias] output.step",
    f"{_ORDER} -> channel.step in rec out hidden.begin output.step [hidden.step alias]",
}


@cache
def made_of(name):
    return tuple(mutants(chip(name).raw))


#: The default run judges every eighth mutant of one chip; the second stage of .ci/run all of the
#: richest chip, -m long all of all chips.
JUDGED = [
    (CHIPS[0], 8),
    *(pytest.param((name, 1), marks=pytest.mark.slow if name == CHIPS[-1] else pytest.mark.long) for name in CHIPS),
]


@pytest.fixture(scope="module", params=JUDGED)
def judged(request):
    """Chip, its mutants by name, and the verdict on each."""
    name, every = request.param
    true = chip(name)
    catcher = Catcher(read_golden(true.path), stimuli(true, SENSITIVE, range(6)))
    assert catcher.verdict(true.raw) == "survived"
    made = {m.name: m for m in made_of(name)[::every]}
    return true, made, {name: catcher.verdict(m.raw) for name, m in made.items()}


def test_every_mutant_is_refused_caught_or_proved_equivalent(judged, count):
    true, made, verdicts = judged
    survivors = {name for name, verdict in verdicts.items() if verdict == "survived"}
    assert [name for name in survivors if not equivalent(true, from_raw(made[name].raw))] == []
    assert survivors <= EQUIVALENT
    assert len(made) > 40
    count(f"mutants of {true.name}", len(made))
    for verdict in ("invalid", "golden", "random", "survived"):
        number = sum(v == verdict for v in verdicts.values())
        what = {
            "invalid": "refused at load",
            "golden": "caught by golden vectors",
            "random": "caught by random networks",
        }
        count(f"mutants of {true.name}: {what.get(verdict, 'equivalent')}", number)


@pytest.mark.slow  # .ci/run has it
def test_every_exception_exists_and_survives():
    seen = {}
    for name in CHIPS:
        true = chip(name)
        catcher = Catcher(read_golden(true.path), [])
        seen |= {m.name: catcher.verdict(m.raw) for m in made_of(name) if m.name in EQUIVALENT}
    assert seen == dict.fromkeys(sorted(EQUIVALENT), "survived")


def test_a_mutant_of_an_allowed_line_is_not_allowed_itself(judged):
    _, made, verdicts = judged
    near = f"{_DASH} -> 1 if x >= 0 and x >> d == 0 else x >> d"
    assert near not in made or verdicts[near] == "golden"


@pytest.mark.slow  # .ci/run has it
def test_every_exception_is_proved_by_the_solver():
    seen = [(name, m) for name in CHIPS for m in made_of(name) if m.name in EQUIVALENT]
    assert {m.name for _, m in seen} == EQUIVALENT
    assert [m.name for name, m in seen if not equivalent(chip(name), from_raw(m.raw))] == []


def test_the_solver_finds_the_number_for_which_a_wrong_body_differs():
    macros = [{"dash(x, d)": body} for body in (_DASH.partition(": ")[2], "1 if x >= 0 and x >> d == 0 else x >> d")]
    texts = [parse("y = dash(x, d)", body) for body in macros]
    ranges = {"x": signed(16), "d": Interval(0, 15)}
    assert equal(texts[:1], texts[:1], ranges, ["y"]).proved
    found = equal(texts[:1], texts[1:], ranges, ["y"])
    assert found.proved is False
    assert found.numbers["x"] == 0


def test_phases_that_see_each_other_do_not_commute():
    true = chip(XYLO[0])
    assert commute(true, "rec", "out")
    assert not commute(true, "in", "hidden.step")
    assert not commute(true, "in", "rec")  # both saturate the same current


@pytest.mark.parametrize("name", XYLO)
def test_golden_vectors_reject_every_misreading_of_the_reference(name, count):
    true = chip(name)
    catcher = Catcher(read_golden(true.path), [])
    made = variants(true.raw)
    missed = [label for label, raw in made.items() if not catcher.by_golden(from_raw(raw))]
    assert missed == []
    count(f"misreadings of {name} caught by golden vectors", len(made) + 1)


@pytest.mark.parametrize("name", XYLO)
def test_golden_vectors_reject_sources_in_descending_order(name):
    vectors = {v.name: v for v in read_golden(chip(name).path).vectors}
    vector = vectors["source_order"]
    assert not differences(vector, EXECUTOR.name, "")[0]
    assert differences(descending(vector), EXECUTOR.name, "")[0]


def test_the_list_of_misreadings_is_complete():
    assert len(VARIANTS) + 1 == 22  # descending order is the one that is no edit of a text


def test_a_text_without_meaning_is_refused_not_caught():
    true = chip(XYLO[0])
    path = ("neuron", "hidden", "on", "step")
    raw = edited(true.raw, (path, "v = v + nothing"))
    with pytest.raises(Refusal, match="unknown name 'nothing'"):
        from_raw(raw)
    assert Catcher(read_golden(true.path), []).verdict(raw) == "invalid"


def test_mutation_reaches_operators_constants_names_lines_guards_and_phases():
    made = {m.name for m in made_of(XYLO[0])}
    step = "neuron.output.on.step: "
    assert {
        f"{step}d = sat(d + i1, 16) -> d = sat(d - i1, 16)",
        f"{step}d = sat(d + i1, 16) -> d = wrap(d + i1, 16)",
        f"{step}d = sat(d + i1, 16) -> d = sat(d + i1, 17)",
        f"{step}d = sat(d + i1, 16) -> d = sat(d + v, 16)",
        f"{step}d = sat(d + i1, 16) -> (nothing)",
        f"{step}count = 1 if v >= threshold else 0 -> count = 0 if v >= threshold else 1",
        "neuron.hidden.on.step: if v >= threshold: -> if not v >= threshold:",
        f"{_ORDER} -> in channel.step rec out hidden.begin [hidden.step alias] output.step",
        f"{_ORDER} -> channel.step in rec out hidden.begin hidden.step alias output.step",
    } <= made
    assert any(name.startswith("function.dash") for name in made)


def test_lines_that_cannot_see_each_other_are_not_exchanged():
    first, second, third = ast.parse("a = x + 1\nb = x + 2\nc = a").body
    assert independent(first, second)
    assert not independent(first, third)
