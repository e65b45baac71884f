import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from golden_loihi import SMALL
from loihi_networks import CHIPS
from mutants import Catcher, _plain, mutants, stimuli
from random_networks import Options
from test_mutants import touched

from neurodeploy.chips import chip, from_raw
from neurodeploy.golden import read_golden
from neurodeploy.step import NUMPY, PYTHON, parse, run

SAMPLE = 31  # the default run takes every 31st mutant
#: conditions that are equal for every value of the register
EQUAL = (("spike == 1", "spike >= 1"), ("waiting > 0", "waiting != 0"))
SENSITIVE = Options(**(SMALL | {"batch": 4, "steps": (30, 30)}), corners=0.3)
#: chip and dialect with golden vectors; what an earlier one has, too, is not changed again
SUBJECTS = [
    (name, spoken)
    for i, name in enumerate(CHIPS)
    for spoken in dict.fromkeys(v.network.chip.spoken for v in read_golden(chip(name).path).vectors)
    if not (i and spoken)
]


def plain(target):
    """The merged file without what does not compute: mutants are compiled by the hundred."""
    aside = {"dialect", "agreement", "limit", "report", "oracle", "emit"}
    return {k: v for k, v in target.raw.items() if k not in aside}


def subject(name, spoken):
    target = chip(name).dialect(spoken)
    golden = read_golden(chip(name).path)
    mine = replace(golden, vectors=tuple(v for v in golden.vectors if v.network.chip.spoken == spoken))
    return target, mine


def made_for(name, spoken):
    """Mutants of texts that no chip or dialect before this one has, and no connection before this one."""
    earlier = [chip(other).dialect(dialect).raw for other, dialect in SUBJECTS[: SUBJECTS.index((name, spoken))]]
    seen = {}
    for m in mutants(plain(chip(name).dialect(spoken))):
        if any(same(raw, m.place, m.before) for raw in earlier):
            continue
        first = seen.setdefault((m.place[-1], str(m.before)), m.place)
        if m.place[0] != "connection" or first == m.place:
            yield m


def same(raw, place, before):
    """Whether a file has this text there, or at another connection."""
    if place[0] == "connection":
        return any(entry.get(place[-1]) == before for entry in raw["connection"].values())
    for part in place:
        raw = raw.get(part) if isinstance(raw, dict) else None
    return raw == before


@cache
def catcher(name, spoken):
    target, golden = subject(name, spoken)
    return Catcher(golden, stimuli(target, SENSITIVE, range(4)))


def judged(name, spoken, made, count):
    """Verdicts by mutant; every survivor is proved to compute the same."""
    target, _ = subject(name, spoken)
    asked = catcher(name, spoken)
    assert asked.verdict(plain(target)) == "survived"
    verdicts = {m.name: asked.verdict(m.raw) for m in made}
    survivors = [m for m in made if verdicts[m.name] == "survived"]
    assert [m.name for m in survivors if not proved(target, m)] == []
    label = f"mutants of {name}{', ' * bool(spoken)}{spoken}"
    count(label, len(made))
    for verdict in ("invalid", "golden", "random", "survived"):
        words = {"survived": "proved equivalent", "random": "caught by random networks alone"}.get(verdict, verdict)
        count(f"{label}: {words}", sum(v == verdict for v in verdicts.values()))
    return verdicts


@pytest.mark.parametrize(("name", "spoken"), SUBJECTS)
def test_mutants_are_refused_caught_or_proved_equivalent(name, spoken, count):
    made = list(made_for(name, spoken))[::SAMPLE]
    verdicts = judged(name, spoken, made, count)
    assert "golden" in verdicts.values()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "spoken"), SUBJECTS)
def test_every_mutant_is_refused_caught_or_proved_equivalent(name, spoken, count):
    made = list(made_for(name, spoken))
    verdicts = judged(name, spoken, made, count)
    assert len(made) > 200
    assert {"golden", "invalid"} <= set(verdicts.values())
    assert sum(v == "golden" for v in verdicts.values()) > len(made) * 3 // 4 or len(made) < 400


# --- proofs -----------------------------------------------------------------------------------------------------------


def proved(target, m):
    """Whether a mutant is shown to compute the same for everything that the registers hold."""
    if m.place[0] == "function" or m.place[-1] == "stored":
        # macros of stored texts are used nowhere else, or the mutant would not compile to equal handlers
        return same_handlers(target, m, skip=m.place[-1]) and same_stored(target, from_raw(m.raw))
    if m.place == ("schedule", "step"):
        pairs = zip(m.before, m.after, strict=True)
        moved = [p for p, q in pairs if p != q]
        return len(moved) == 2 and commute(target, *moved)
    if m.place[-1] == "on_input":
        return same_for_one_event(target, m)
    if m.place[-1] == "reset":
        left = [n for n in (1, -1) if m.after in replaced(_plain(m.before), "u = 0", f"u = {n}")]
        return bool(left) and decays_at_once(target, left[0])
    return any(m.after == changed for old, new in EQUAL for changed in replaced(_plain(m.before), old, new))


def same_handlers(target, m, skip):
    """Whether all texts but ``stored`` ones are the same after macros are put in."""
    other = from_raw(m.raw)
    kinds = [(a.on_input, b.on_input) for a, b in paired(target.connections, other.connections)]
    kinds += [(a.on_sum, b.on_sum) for a, b in paired(target.connections, other.connections)]
    for a, b in paired(target.neurons, other.neurons):
        kinds += paired(a.handlers, b.handlers)
    return bool(skip) and all(repr(bare(a)) == repr(bare(b)) for a, b in kinds)


def paired(first, second):
    return [(first[n], second[n]) for n in first]


def bare(handler):
    """A text without its places: only what it computes."""
    return None if handler is None else re.sub(r"(line|column)=\d+", "", repr(handler.text.statements))


def same_stored(first, second):
    """Every connection's stored text over the whole product of its registers."""
    for a, b in paired(first.connections, second.connections):
        known = {n: np.arange(e.interval.low, e.interval.high + 1) for n, e in (a.fields | a.parameters).items()}
        known["delay"] = np.arange(1)
        axes = dict(zip(known, np.meshgrid(*known.values(), indexing="ij", sparse=True), strict=True))
        results = []
        for kind in (a, b):
            environment = dict(axes)
            run(kind.stored.statements, environment, NUMPY)
            results.append(np.broadcast_arrays(environment["w"], *axes.values())[0])
        if not np.array_equal(*results):
            return False
    return True


def commute(target, *phases):
    """Whether two phases can be exchanged: neither sees the other, or both only add to the same sums."""
    order = {p.name: p for p in target.schedule}
    adders = [order[p].connections and adds(target.connections[p].on_sum) for p in phases]
    (reads, writes), (others, changed) = (touched(target, order[p]) for p in phases)
    return all(adders) or not (writes & (changed | others) or changed & reads)


def adds(handler):
    """Whether a text is one line that adds to a state what does not depend on it."""
    (line,) = handler.text.source.strip().splitlines()
    state, _, value = line.partition(" = ")
    return value.startswith(f"{state} + ") and not re.search(rf"\b{state}\b", value.removeprefix(f"{state} + "))


def same_for_one_event(target, m):
    """Both texts over every weight, with the one event that spikes of 0 or 1 can bring."""
    kind = target.connections[m.place[1]]
    if any(target.neurons[s].states[target.neurons[s].emits].bits != 1 for s in kind.sources):
        return False
    results = []
    for source in (m.before, m.after):
        environment = {"arriving": 1, "w": np.arange(-256, 256), "sum": np.arange(-5000, 5000, 7)[:, None]}
        try:
            run(parse(source).statements, environment, NUMPY)
        except KeyError:
            return False
        results.append(environment["sum"])
    return np.array_equal(*results)


def decays_at_once(target, left):
    """Whether what is left in u becomes 0 in the step that follows, whatever du is."""
    text = parse("y = decay(x, du + 1)", {h: b for h, b in target.raw["function"].items() if h.startswith("decay")})
    environment = {"x": left, "du": np.arange(4096)[:, None]}
    run(text.statements, environment, NUMPY)
    return not environment["y"].any()


def replaced(source, old, new):
    """The source with one occurrence replaced, each in turn."""
    parts = source.split(old)
    return [old.join(parts[:i]) + new + old.join(parts[i:]) for i in range(1, len(parts))]


@pytest.mark.parametrize(("old", "new"), [pair for pair in EQUAL if pair[1]])
def test_equal_conditions_are_equal_over_the_whole_register(old, new):
    name = old.split()[0]
    states = {s: e.interval for n in CHIPS for kind in chip(n).neurons.values() for s, e in kind.states.items()}
    for value in range(states[name].low, states[name].high + 1):
        results = []
        for condition in (old, new):
            environment = {name: value}
            run(parse(f"y = 1 if {condition} else 0").statements, environment, PYTHON)
            results.append(environment["y"])
        assert results[0] == results[1]


def test_the_proofs_reject_what_is_wrong():
    target = chip("loihi1")
    made = {m.name.partition(": ")[2]: m for m in mutants(plain(target))}
    wrong = [m for words, m in made.items() if "sign_mode >= 2" in words or "du + 2" in words]
    assert len(wrong) > 1
    assert not any(proved(target, m) for m in wrong if catcher("loihi1", "").verdict(m.raw) != "invalid")
    assert not commute(target, "input.step", "dense")
