"""Mutants of the texts of every chip that no other file of mutants judges: a new chip is judged here at once."""

from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from event_golden import CHIPS as MAPS
from golden_networks import CHIPS as XYLO
from loihi_networks import CHIPS as LOIHI
from mutants import Catcher, behaviour, edited, mutants, stimuli
from random_networks import Options, random_counts, random_network
from smt_equivalence import equivalent

from neurodeploy.chips import chip, from_raw, target_folders
from neurodeploy.errors import Refusal
from neurodeploy.golden import FILE_NAME, read_golden
from neurodeploy.simulator import event_engine, simulate

#: what test_mutants.py, test_mutants_events.py and test_loihi_mutants.py judge
ELSEWHERE = {behaviour(chip(n).raw) for n in (*XYLO, *MAPS, *LOIHI)}
REST = {behaviour(chip(n).raw): n for n in reversed(target_folders())}
CHIPS = [name for texts, name in REST.items() if texts not in ELSEWHERE]
SAMPLE = 48  # the default run takes every 48th mutant
SMALL = Options(
    inputs=(2, 4), hidden=(5, 9), outputs=(2, 3), steps=(10, 14), corners=0.3, links=(1, 3), rates=(0.03, 0.3, 1)
)
CLOCKED = replace(SMALL, hidden=(8, 12), steps=(16, 20), batch=3, rates=(0.3, 1, 3), beyond_cap=False)
#: in the place of golden vectors where nothing but this program computes a chip
NOTHING = SimpleNamespace(vectors=(), made_by="")
#: ranges in which a small network of a chip that events drive meets its ends; without a range all that registers hold
NARROW = {"threshold": (0, 12), "leak": (0, 6), "initial": (-9, 14)}
#: where neurons feed neurons: what fires at every update never comes to rest
SETTLING = NARROW | {"threshold": (2, 7)}
NETWORKS, PATIENCE = 14, 300


def vectors(target):
    return (target.path / FILE_NAME).is_file()


class Events:
    """A network of a chip that events drive with an input, and everything that the true chip makes of them."""

    def __init__(self, network, counts):
        self.network, self.counts = network, counts
        self.true = self.of(network)

    def of(self, network):
        record = [f"{g.name}.{s}" for g in network.groups for s in network.chip.neurons[g.kind].states]
        run = simulate(network, self.counts, raw=True, drain=0, record=record, executor="numpy")
        states = [v.tolist() for many in run.states.values() for v in many.values()]
        return [v.tolist() for v in run.events.values()], states, run.lost.tolist()

    def catches(self, other):
        """Whether another chip differs in any spike, their order, any state after a step, or what is lost."""
        try:
            return self.of(replace(self.network, chip=other)) != self.true
        except Refusal:
            return True


def events(target, number=NETWORKS):
    """Small networks of all kinds of neurons and connections, and of the ends of registers; every other has loops."""
    found, seed = [], 0
    loops = {c.name for c in target.connections.values() if c.target in c.sources}
    known = {p for kind in target.neurons.values() for p in kind.parameters}
    while len(found) < number:
        rng, looped = np.random.default_rng(seed), seed % 2 == 0
        # every third begins anywhere, every third has the full range of everything but what keeps it from settling
        near = [NARROW.keys(), NARROW.keys() - {"initial"}, {"threshold"} if looped else set()][seed % 3]
        narrow = {n: (SETTLING if looped else NARROW)[n] for n in sorted(near & known)}
        corners = 0.3 if "initial" in near else 0.6
        options = replace(SMALL, narrow=narrow, corners=corners, without=frozenset(() if looped else loops))
        seed += 1
        network = thinned(random_network(target, rng, options), loops)
        counts = {n: np.minimum(c, 2) for n, c in random_counts(network, rng, options).items()}
        for drawn in counts.values():
            drawn[:2, 0] = 0  # a silence, in which ticks alone act on what states begin with
        with suppress(Refusal):  # activity that does not end all the same
            found.append(Events(network, counts))
    assert len(found) > seed / 2
    return found


def thinned(network, loops):
    """A network some of whose neurons feed no others."""
    pieces = []
    for p in network.projections:
        kept = p.sources % 3 > 0 if p.kind in loops else np.ones(len(p.sources), bool)
        fields = {n: v[kept] for n, v in p.fields.items()}
        pieces.append(replace(p, sources=p.sources[kept], targets=p.targets[kept], fields=fields))
    return replace(network, projections=tuple(pieces))


@pytest.fixture(scope="module")
def patience():
    """Activity that never ends is noticed soon: what one event causes here ends long before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_engine, "SETTLED_AFTER", PATIENCE)
        yield


@pytest.fixture(scope="module", params=CHIPS)
def asked(request, patience):  # noqa: ARG001 - it acts
    """Chip, and what catches its mutants."""
    true = chip(request.param)
    networks = events(true) if true.event_driven else stimuli(true, CLOCKED, range(NETWORKS))
    catcher = Catcher(read_golden(true.path) if vectors(true) else NOTHING, networks)
    assert catcher.verdict(true.raw) == "survived"
    return true, catcher


def proved(true, made, verdicts, words, count):
    """Survivors; each is proved to compute the same."""
    survivors = [m for m in made if verdicts[m.name] == "survived"]
    assert [m.name for m in survivors if not equivalent(true, from_raw(m.raw))] == []
    count(f"mutants of {true.name}", len(made))
    for verdict in sorted(set(verdicts.values())):
        number = sum(v == verdict for v in verdicts.values())
        count(f"mutants of {true.name}: {words.get(verdict, verdict)}", number)
    return survivors


def test_every_chip_is_judged_in_one_file_and_only_what_nobody_else_computes_has_no_vectors(count):
    """Whatever stands under targets, a chip that comes tomorrow among it."""
    judged = ELSEWHERE | {behaviour(chip(n).raw) for n in CHIPS}
    assert {behaviour(chip(n).raw) for n in target_folders()} == judged
    without = [chip(n) for n in target_folders() if not vectors(chip(n))]
    assert [c.name for c in without if c.oracles or c.name not in CHIPS] == []
    count("targets whose mutants are judged by networks of our own alone", len(without))


def test_mutants_are_refused_caught_or_proved_equivalent(asked, count):
    true, catcher = asked
    made = list(mutants(true.raw))[::SAMPLE]
    verdicts = {m.name: catcher.verdict(m.raw) for m in made}
    proved(true, made, verdicts, {"survived": "proved equivalent", "random": "caught by random networks alone"}, count)
    assert {"invalid", "golden" if vectors(true) else "random"} <= set(verdicts.values())
    assert len(made) > 6


@pytest.mark.slow
def test_every_mutant_is_refused_caught_or_proved_equivalent(asked, count):
    """Random networks first, as they are faster than the vectors."""
    true, catcher = asked
    made, verdicts = list(mutants(true.raw)), {}
    for m in made:
        try:
            other = from_raw(m.raw, true.path)
        except Refusal:
            verdicts[m.name] = "invalid"
            continue
        caught = any(n.catches(other) for n in catcher.networks) or catcher.by_golden(other)
        verdicts[m.name] = "caught" if caught else "survived"
    survivors = proved(true, made, verdicts, {"survived": "proved equivalent"}, count)
    assert 0 < len(survivors) < len(made) / 8


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("name", [name for name in CHIPS if chip(name).event_driven])
def test_another_queue_is_noticed(name):
    """Words and numbers of the schedule are no texts and decide as much; a queue of three is full in small networks."""
    true = chip(name)
    catcher, short = Catcher(read_golden(true.path), []), edited(true.raw, (("schedule", "depth"), 3))
    networks = events(from_raw(short), 16)
    stated = true.raw["schedule"]
    other = {"queue": ["depth"], "waits": ["spike"], "when_full": ["refuse"]}
    other["depth"] = [stated["depth"] + by for by in (1, -1)] if "depth" in stated else []
    changed = [(("schedule", key), value) for key, values in other.items() if key in stated for value in values]
    assert len(changed) > 1
    assert not any(n.catches(from_raw(short)) for n in networks)
    caught = [
        catcher.by_golden(from_raw(edited(true.raw, edit)))
        or any(n.catches(from_raw(edited(short, edit))) for n in networks)
        for edit in changed
    ]
    assert dict(zip(map(str, changed), caught, strict=True)) == dict.fromkeys(map(str, changed), True)
