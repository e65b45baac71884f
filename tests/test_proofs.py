"""Proofs that states neither overflow nor saturate: never contradicted, checked again, and wrong ones rejected."""

import json
from dataclasses import replace

import command_line
import numpy as np
import pytest
from small_chip import SOUND, write

import neurodeploy as nd
from neurodeploy.bundles import add_certificates
from neurodeploy.chips import chip
from neurodeploy.errors import Missing, Refusal
from neurodeploy.network import Convolution, Network, convolution, group, place_identity, projection, save_network
from neurodeploy.proofs import KIND, check_again, check_certificate, prove, prover, read_certificate, recurrent, replay
from neurodeploy.proofs.attack import Size
from neurodeploy.proofs.boxes import Ends, follow, pieces
from neurodeploy.proofs.rails import marked
from neurodeploy.proofs.watch import watch
from neurodeploy.step import PYTHON, Interval, parse, run

XYLO, LOIHI, SPECK = chip("xylo_audio3"), chip("loihi2"), chip("speck2f")


def recurrent_network(strength, seed=0, neurons=6):
    """Hidden neurons that drive each other, and outputs; ``strength`` is the largest weight."""
    rng = np.random.default_rng(seed)
    x, h, o = (
        group(XYLO, "x", "channel", 3),
        group(XYLO, "h", "hidden", neurons, threshold=700, dash_mem=3, dash_syn1=2),
        group(XYLO, "o", "output", 2, threshold=90, dash_mem=2),
    )
    draw = {n: rng.integers(-strength, strength + 1, s) for n, s in (("in", (3, neurons)), ("out", (neurons, 2)))}
    back = rng.integers(-strength, strength + 1, (neurons, neurons)) // 3 * (rng.random((neurons, neurons)) < 0.3)
    links = (
        projection(XYLO, "in", x, h, w1=draw["in"]),
        projection(XYLO, "rec", h, h, w1=back),
        projection(XYLO, "out", h, o, w1=draw["out"]),
    )
    return place_identity(Network(XYLO, (x, h, o), links))


def verdicts(found):
    return {f"{f.group}.{f.state}": f.verdict for f in found.findings}


@pytest.fixture(scope="module")
def gentle():
    network = recurrent_network(6)
    return network, prove(network)


@pytest.fixture
def _no_solver(monkeypatch):
    """Nothing is asked of the solver, as where it is not installed."""
    monkeypatch.setattr(prover, "available", lambda: False)


@pytest.fixture(scope="module")
def strong():
    """A network that saturates, and what is found of it by few inputs and without the solver."""
    network = recurrent_network(127)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prover, "available", lambda: False)
        patch.setattr(prover, "SHORT", Size(24, 32, 1, 1))
        patch.setattr(prover, "LONG", Size(24, 4, 1, 0))
        return network, prove(network)


# rails


def test_rails_are_named_with_line_and_state():
    kind = XYLO.neurons["hidden"]
    found = marked(kind.handlers["step"].text, {n: s.interval for n, s in kind.states.items()})[1]
    assert [(r.kind, r.line, r.states, r.limits) for r in found] == [
        ("wrap", 3, ("v",), (-32768, 32767)),
        *(("sat", line, ("v",), (-32768, 32767)) for line in (4, 5, 6)),
    ]


def test_a_turn_written_out_and_a_clip_are_rails():
    kind = LOIHI.neurons["lif"]
    found = marked(kind.handlers["step"].text, {n: s.interval for n, s in kind.states.items()})[1]
    assert [(r.kind, r.states) for r in found] == [("turn", ("u",)), ("wrap", ("u",)), ("clip", ("v",))]


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("v = min(v + w, 7)", ["end"]),
        ("v = min(v + w, 6)", []),
        ("v = max(v + w, -8)", ["end"]),
        ("v = max(v + w, 0)", []),
        ("v = v - 16 if v > 7 else v", ["turn"]),
        ("v = v - 15 if v > 7 else v", []),
        ("if sat(w, 3) > 1:\n    v = 2", ["sat"]),
    ],
)
def test_what_is_a_rail_and_what_is_a_rule(source, kinds):
    assert [r.kind for r in marked(parse(source), {"v": Interval(-8, 7)})[1]] == kinds


def test_a_rail_in_an_untaken_branch_shows_nothing():
    text, (rail,) = marked(parse("v = sat(w, 3) if w < 4 else 0"), {"v": Interval(-8, 7)})
    for w, came in ((3, 3), (9, 0), (-9, -9)):
        environment = {"v": 0, "w": w}
        run(text.statements, environment, PYTHON)
        assert environment[rail.name] == came


# ranges of many neurons at once


def test_pieces_cover_a_range():
    rng = np.random.default_rng(0)
    low = rng.integers(-300, 300, 400)
    ends = Ends(low, low + rng.integers(0, 400, 400))
    cut = pieces(ends)
    for i in range(400):
        values = {v for a, b in zip(cut.low[i], cut.high[i], strict=True) for v in range(a, b + 1)}
        assert values == set(range(ends.low[i], ends.high[i] + 1))


@pytest.mark.parametrize("name", ["xylo_audio2", "loihi2", "speck2f"])
def test_what_a_text_computes_lies_in_the_ranges_that_are_followed(name):
    rng = np.random.default_rng(1)
    for kind in chip(name).neurons.values():
        registers = {n: s.interval for n, s in kind.states.items()}
        known = registers | {n: p.interval for n, p in kind.parameters.items()}
        known |= {"external": kind.entry.external.interval} if kind.entry.external else {}
        for handler in kind.handlers.values():
            text, rails = marked(handler.text, registers)
            box = {}
            for n, (low, high) in known.items():
                width = np.minimum(2 ** rng.integers(0, 20, 60), high - low + 1)
                first = rng.integers(low, high - width + 2)
                box[n] = Ends(first, first + width - 1)
            after = follow(text, box)
            for i in list(range(60)) * 4:
                environment = {n: int(rng.integers(e.low[i], e.high[i] + 1)) for n, e in box.items()}
                run(text.statements, environment, PYTHON)
                for n in [*registers, *(r.name for r in rails)]:
                    assert after[n].low[i] <= environment[n] <= after[n].high[i]


# what is proved is true


@pytest.mark.parametrize("strength", [2, pytest.param(30, marks=pytest.mark.slow), 127])
def test_no_input_contradicts_a_proof(strength):
    network = recurrent_network(strength, seed=strength)
    found = prove(network, seconds=1)
    rng = np.random.default_rng(strength)
    busy = rng.random((60, 40, 3)) < rng.random((1, 40, 3)) ** 2
    worst = np.broadcast_to(rng.random((1, 40, 3)) < 0.5, (60, 40, 3))
    counts = {"x": 15 * np.concatenate([busy, worst], axis=1).astype(np.int64)}
    claimed = found.certificate.claims
    assert not any(claimed[h.group][h.state][h.neuron] for h in watch(network, counts))
    run_ = nd.simulate(network, counts, record=["h.v", "h.i1", "o.v", "o.i1"])
    for g, states in run_.states.items():
        for s, values in states.items():
            ends = found.certificate.ranges[g][s]
            assert (values >= ends.low).all()
            assert (values <= ends.high).all()
    assert np.ptp(run_.states["h"]["v"]) > 0


@pytest.mark.parametrize("weights", [(3, 2), (7, -6), (31, 5), (-32, 31), (12, 31), (1, 0)])
def test_every_state_that_small_networks_reach_lies_where_the_proof_says(tmp_path, weights):
    """A cell that drives itself, over all inputs at every step until no new state comes, in code of this test."""
    made = chip(write(tmp_path / "chip", SOUND.replace("holds = [0, 15]", "holds = [0, 2]")))
    x, y = group(made, "x", "channel", 1), group(made, "y", "cell", 1, threshold=60)
    w, back = weights
    links = projection(made, "in", x, y, w=[[w]]), projection(made, "rec", y, y, w=[[back]])
    found = prove(place_identity(Network(made, (x, y), links)), seconds=20)
    cut, seen, todo = False, {(0, 0, 0)}, [(0, 0, 0)]
    while todo:
        v, n, _ = todo.pop()
        for count in range(3):
            after = v
            for term in (count * w, n * back, None):
                after = after - (after >> 2) if term is None else after + term
                cut |= not -2048 <= after <= 2047
                after = min(max(after, -2048), 2047)
            state = (after - 60 * (after >= 60), int(after >= 60), count)
            if state not in seen:
                seen.add(state)
                todo.append(state)
    ends = found.certificate.ranges["y"]["v"]
    assert ends.low[0] <= min(v for v, _, _ in seen)
    assert ends.high[0] >= max(v for v, _, _ in seen)
    assert verdicts(found)["y.v"] == ("does" if cut else "cannot")
    assert len(seen) > 2


def test_a_recurrent_state_is_proved(gentle):
    network, found = gentle
    assert recurrent(network) == {"h"}
    assert found.proved
    assert found.exit_status == 0
    assert set(verdicts(found).values()) == {"cannot"}
    (v,) = [f for f in found.findings if (f.group, f.state) == ("h", "v")]
    assert v.high == 699  # subtraction leaves less than the threshold
    assert "h.v: cannot overflow or saturate, stays in" in str(found)


def test_what_does_saturate_comes_with_an_input_that_the_simulator_replays(strong):
    network, found = strong
    (v,) = [f for f in found.findings if (f.group, f.state) == ("h", "v")]
    assert v.verdict == "does"
    assert v.witness.hit.line == "v = sat(v + d, 16)"
    assert replay(network, v.witness)
    weaker = replace(v.witness, counts={g: c // 15 for g, c in v.witness.counts.items()})
    assert not replay(network, weaker)
    assert "comes to sat (-32768..32767)" in str(v)
    assert found.exit_status == 1
    events = v.to_json()["witness"]["input"]["x"]["events"]
    assert all(len(e) == 3 and e[2] <= 15 for e in events)


def test_a_state_that_drifts_is_found_by_an_input_that_lasts():
    x, h = group(LOIHI, "x", "input", 2), group(LOIHI, "h", "lif", 2, threshold=5000, dv=0)
    network = Network(LOIHI, (x, h), (projection(LOIHI, "dense", x, h, w=[[-254, 60], [-254, 20]]),))
    found = prove(place_identity(network), seconds=30)
    (v,) = [f for f in found.findings if (f.group, f.state) == ("h", "v")]
    assert (v.verdict, v.proved, v.does) == ("does", 1, 1)
    assert v.witness.hit.step > 200
    assert "clip cuts" in str(v)


def test_leaks_bound_what_drifts_otherwise():
    x, h = group(LOIHI, "x", "input", 2), group(LOIHI, "h", "lif", 2, threshold=5000, dv=100)
    back = np.array([[4, -4], [-8, 2]])
    links = projection(LOIHI, "dense", x, h, w=[[-254, 60], [-254, 20]]), projection(LOIHI, "dense", h, h, w=back)
    assert prove(place_identity(Network(LOIHI, (x, h), links))).proved


def events(high):
    geometry = Convolution((1, 4, 4), (1, 1, 2, 2))
    x = group(SPECK, "x", "pixel", geometry.source)
    h = group(SPECK, "h", "unit", geometry.target, threshold_high=high, threshold_low=-80)
    kernel = np.array([100, 0, -90, 7]).reshape(geometry.kernel)
    return place_identity(Network(SPECK, (x, h), (convolution(SPECK, "convolve", x, h, geometry, w=kernel),)))


def test_event_driven_states_are_proved_up_to_their_guard():
    assert prove(events(100)).proved
    found = prove(events(99), seconds=2)
    assert verdicts(found) == {"h.v": "undecided"}
    assert found.exit_status == 1


def test_an_event_driven_state_that_saturates_comes_with_an_input():
    made = chip("tinyodin")
    x, h = group(made, "x", "row_input", 8), group(made, "h", "unit", 2, threshold=100)
    weights = projection(made, "row", x, h, w=[[-8, 0]] * 8)
    network = place_identity(Network(made, (x, h), (weights,)))
    found = prove(network, seconds=20)
    (v,) = [f for f in found.findings if (f.group, f.state) == ("h", "v")]
    assert (v.verdict, v.proved, v.does) == ("does", 1, 1)
    assert v.witness.hit.line == "v = sat(v + w, 12)"
    assert v.witness.hit.value < -2048
    assert replay(network, v.witness)


# the solver


RELATED = SOUND.replace(
    "v = sat(v - (v >> 2), 12)", "big = 4 * v\nkept = 3 * v\nv = sat(big - kept, 12)\nv = v - (v >> 2)"
)


def test_the_solver_shows_what_ranges_cannot(tmp_path):
    pytest.importorskip("z3")
    made = chip(write(tmp_path / "chip", RELATED))
    x, y = group(made, "x", "channel", 1), group(made, "y", "cell", 1, threshold=2000)
    network = place_identity(Network(made, (x, y), (projection(made, "in", x, y, w=[[30]]),)))
    found = prove(network, seconds=20)
    (v,) = [f for f in found.findings if (f.group, f.state) == ("y", "v")]
    assert (v.verdict, v.solved, v.proved) == ("cannot", 1, 1)
    again = read_certificate(json.loads(json.dumps(found.certificate.to_json())), network)
    assert check_certificate(network, again) == []
    wrong = replace(again, solved=tuple(replace(s, neurons=(5,)) for s in again.solved))
    assert "the solver does not say so" in str(check_certificate(network, wrong)[0])
    wide = {g: {s: Ends(e.low, e.high + 500 * (s == "v")) for s, e in m.items()} for g, m in again.ranges.items()}
    assert "the solver does not say so" in str(check_certificate(network, replace(again, ranges=wide)))


@pytest.mark.usefixtures("_no_solver")
def test_without_the_solver_ranges_still_prove_and_the_rest_says_what_is_missing():
    found = prove(events(99))
    assert "not asked: z3" in str(found)
    assert 'pip install "neurodeploy[prove]"' in found.missing
    assert prove(events(100)).missing == ""


def test_a_missing_solver_is_named_with_its_line(monkeypatch):
    import sys

    from neurodeploy.proofs import smt

    monkeypatch.setitem(sys.modules, "z3", None)
    with pytest.raises(Missing, match=r'pip install "neurodeploy\[prove\]"'):
        smt.table(8)


# certificates


def test_a_certificate_is_plain_data_and_holds_again(gentle):
    network, found = gentle
    content = json.loads(json.dumps(found.certificate.to_json()))
    assert check_again(network, content) == sum(f.proved for f in found.findings) > 30


def edited(content, *path, by):
    """The certificate with one number changed."""
    result = json.loads(json.dumps(content))
    node = result
    for key in path[:-1]:
        node = node[key]
    value = node[path[-1]]
    node[path[-1]] = [value[0] + by, *value[1:]] if isinstance(value, list) else value + by
    return result


@pytest.mark.parametrize(
    ("path", "by", "words"),
    [
        (("ranges", "h", "v", 1), -1, "after a step from inside"),
        (("ranges", "h", "v", 0), 10**6, "after a reset"),
        (("ranges", "o", "i1", 0), 1, "after a step from inside"),
        (("ranges", "h", "i1", 1), -10000, "after a reset"),
        (("emitted", "h", 1), -1, "what it emits"),
        (("emitted", "x", 1), -1, "what it emits"),
        (("ranges", "h", "i1", 1), 33000, "is said never to be cut"),
    ],
)
def test_a_wrong_certificate_is_rejected(gentle, path, by, words):
    network, found = gentle
    with pytest.raises(Refusal, match=words) as caught:
        check_again(network, edited(found.certificate.to_json(), *path, by=by))
    assert {f.code for f in caught.value.faults} == {"ND2203"}


def test_a_claim_that_the_ranges_do_not_show_is_rejected(strong):
    network, certificate = strong[0], strong[1].certificate
    assert check_certificate(network, certificate) == []
    bold = {g: {s: np.ones_like(v) for s, v in many.items()} for g, many in certificate.claims.items()}
    faults = check_certificate(network, replace(certificate, claims=bold))
    assert any("is said never to be cut" in str(f) for f in faults)


def test_a_certificate_of_another_network_is_rejected(gentle):
    _, found = gentle
    other = recurrent_network(6, seed=1)
    assert "it is about another network" in str(check_certificate(other, found.certificate)[0])


@pytest.mark.parametrize("content", ["{", "[]", '{"kind": 3}', '{"kind": "no_overflow", "schema_version": 9}'])
def test_what_is_no_certificate_is_refused(gentle, content):
    with pytest.raises(Refusal, match="a certificate as neurodeploy writes it"):
        read_certificate(content, gentle[0])


# usage


@pytest.mark.usefixtures("_no_solver")
def test_the_command_says_yes_and_no_by_its_exit_status(tmp_path, gentle):
    network = gentle[0]
    save_network(network, tmp_path / "a.npz")
    save_network(events(99), tmp_path / "b.npz")
    written = tmp_path / "certificate.json"
    answer = command_line.run("prove", tmp_path / "a.npz", "--certificate", written)
    assert answer.status == 0
    assert "of 8 states 8 cannot overflow or saturate" in answer.out
    assert check_again(network, json.loads(written.read_text())) > 30
    answer = command_line.run("prove", tmp_path / "b.npz", "--json")
    assert answer.status == 1
    assert [s["verdict"] for s in answer.json["states"]] == ["undecided"]


def test_a_certificate_travels_in_the_bundle_and_verify_rejects_a_wrong_one(tmp_path, gentle):
    network, found = gentle
    folder = tmp_path / "a.nd"
    nd.bundle(network, np.ones((4, 1, 3), np.int64), folder)
    assert command_line.run("prove", folder, "--add").status == 0
    result = nd.verify(folder)
    assert result.exact
    assert result.certificates == {KIND: sum(f.proved for f in found.findings)}
    add_certificates(folder, {KIND: edited(found.certificate.to_json(), "ranges", "h", "v", 1, by=-1)})
    result = nd.verify(folder)
    assert result.exit_status == 2
    assert {f.code for f in result.faults} == {"ND2203"}
    assert "after a step from inside" in str(result)


def test_a_network_file_holds_no_certificate(tmp_path, gentle):
    save_network(gentle[0], tmp_path / "a.npz")
    answer = command_line.run("prove", tmp_path / "a.npz", "--add")
    assert answer.status == 2
    assert "is no bundle" in answer.err


def test_no_time_is_refused():
    with pytest.raises(Refusal, match="seconds = 0"):
        prove(events(100), seconds=0)
