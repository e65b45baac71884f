"""Adding a chip is data only: chips drawn at random run bit for bit as a second, independent model says."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from executor_names import CLOCKED
from generated_chips import DECAYS, STORED, draw, network, plain_network, toml
from straight_line_model import expected

from neurodeploy.chips import chip
from neurodeploy.simulator import Run, simulate

SEEDS = range(72)
STEPS, BATCH, CUT = 14, 2, 6


def inputs(seed: int, channels: int, cap: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2 * cap + 3, (STEPS, BATCH, channels)) * (rng.random((STEPS, BATCH, channels)) < 0.6)


def written(folder, text: str):
    folder.mkdir(exist_ok=True)
    (folder / "chip.toml").write_text(text)
    return chip(folder)


def differences(model: list, net, runs: list[Run]) -> list[str]:
    """Places where runs that follow each other leave the model; all states of all neurons at every step."""
    found = []
    for name, kind, ids in net.groups:
        for state in runs[0].states[name]:
            got = np.concatenate([r.states[name][state] for r in runs])
            must = np.array([[[neurons[i][state] for i in ids] for neurons in sample[kind]] for sample in model])
            if not np.array_equal(got, must.swapaxes(0, 1)):
                found.append(f"{name}.{state} at step {np.argwhere(got != must.swapaxes(0, 1))[0][0]}")
    return found


def compared(seed: int, text: str, folder, executors=CLOCKED) -> tuple[list[str], Counter]:
    d = draw(seed)
    net = plain_network(d)
    x = inputs(seed, net.sizes["source"], d.cap_in)
    by_id = np.empty_like(x)
    by_id[..., next(ids for _, kind, ids in net.groups if kind == "source")] = x
    model = [expected(d, net, by_id[:, b].tolist()) for b in range(BATCH)]
    whole = network(written(folder, text), d, net)
    record = sorted({s for kind in whole.chip.neurons.values() for s in kind.states})
    found = []
    for executor in executors:
        first = simulate(whole, x[:CUT], record=record, executor=executor, drain=0)
        rest = simulate(whole, x[CUT:], record=record, executor=executor, drain=0, state=first.final)
        found += [f"{executor}: {place}" for place in differences(model, net, [first, rest])]
    events = Counter({kind: sum(n["n"] for s in model for step in s[kind] for n in step) for kind in model[0]})
    return found, events


#: a dozen by default, eight more in .ci/run
DRAWN = [
    *SEEDS[:12],
    *(pytest.param(s, marks=pytest.mark.slow) for s in SEEDS[12:20]),
    *(pytest.param(s, marks=pytest.mark.long) for s in SEEDS[20:]),
]


@pytest.mark.parametrize("seed", DRAWN)
def test_a_drawn_chip_runs_as_the_straight_line_model(seed, tmp_path):
    found, _ = compared(seed, toml(draw(seed)), tmp_path / "drawn")
    assert found == []


def test_the_drawn_networks_are_alive():
    events = Counter()
    alive = 0
    for seed in SEEDS:
        d = draw(seed)
        net = plain_network(d)
        model = expected(d, net, inputs(seed, net.sizes["source"], d.cap_in)[:, 0].tolist())
        fired = {kind: sum(n["n"] for step in model[kind] for n in step) for kind in model}
        events.update(fired)
        alive += fired["cell"] > 0
    assert alive > 0.7 * len(SEEDS)
    assert events["reader"] > 0


def test_every_option_is_drawn():
    draws = [draw(seed) for seed in SEEDS]
    cells, links = [c for d in draws for c in d.cells], [k for d in draws for k in d.links]
    assert {form for c in cells for form, _ in c.decay.values()} == set(DECAYS)
    assert {k.stored for k in links} == set(STORED)
    assert {c.reset for c in cells} == {"subtract", "zero", "value"}
    assert {(c.bound, c.above) for c in cells} == {(b, a) for b in ("sat", "wrap", "floor") for a in (">=", ">")}
    assert {len(c.states()) - 1 for c in cells} == {1, 2, 3, 4}
    assert {min(c.bits for c in cells), max(c.bits for c in cells)} == {8, 40}
    assert {c.cap for c in cells} >= {1, 2, 15}
    for field in ("rests", "frozen", "begin", "leaks"):
        assert {getattr(c, field) for c in cells} == {True, False}
    assert {k.signed for k in links} == {k.delays for k in links} == {True, False}
    assert {k.acc[1] if k.acc else "" for k in links} == {"", "none", "floor", "to_zero"}
    assert {d.relay for d in draws} == {True, False}
    assert {bool(d.every) for d in draws} == {True, False}
    assert {d.order.index("cell.step") < d.order.index("source.step") for d in draws} == {True, False}
    delays = {s.delay for d in draws for many in plain_network(d).synapses.values() for s in many}
    assert delays == set(range(8))


@pytest.mark.parametrize("seed", range(4))
def test_limits_of_a_drawn_chip_load(seed, tmp_path):
    d = draw(seed)
    c = written(tmp_path / "drawn", toml(d))
    assert set(c.limits) == {"fan_in", "memory"}
    assert (c.limits["fan_in"].entry.per, c.limits["fan_in"].entry.at_most) == ("target", d.fan_in)
    assert (c.limits["memory"].entry.per, c.limits["memory"].entry.at_most) == ("core", d.memory)
    assert c.core is not None
    assert (c.core.count, c.core.neurons, c.core.kinds) == (4, 16, ("cell",))


MUTANTS = {
    "inclusive threshold": ("if v >= threshold", "if v > threshold"),
    "strict threshold": ("if v > threshold", "if v >= threshold"),
    "saturation for wrapping": ("v = wrap(", "v = sat("),
    "wrapping for saturation": ("v = sat(v + ", "v = wrap(v + "),
    "one spike more": ("n = min(v // threshold, 3)", "n = min(v // threshold, 2)"),
    "rounding to zero for floor": ("v = (v * k_v) >> ", "v = shift_to_zero(v * k_v, X"),
    "floor for half even": ("round_half_even(", "shift_to_zero("),
    "refractory one step longer": ("rest = max(rest - 1, 0)\n", ""),
    "weight not truncated": ('stored = "w = w >> 2 << 2"', 'stored = ""'),
    "weight not wrapped": ('stored = "w = wrap(w << gain, 12)"', 'stored = "w = w << gain"'),
    "inhibition as excitation": ("else -arriving * w", "else arriving * w"),
    "accumulator wider": ("acc = sat(acc + arriving * w, 10)", "acc = clip(acc + arriving * w, -512, 400)"),
    "sum rounded otherwise": ("(acc >> 1)", "shift_to_zero(acc, 1)"),
    "relay without cap": ("n = min(n + arriving, 3)", "n = min(n + arriving, 2)"),
    "leak of another size": ("v = v - shift_to_zero(v, 3)", "v = v - (v >> 3)"),
    "start elsewhere": ("start = 'v_reset'", "start = 0"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_text_is_noticed(mutant, tmp_path):
    old, new = MUTANTS[mutant]
    for seed in SEEDS:
        text = toml(draw(seed))
        if old not in text:
            continue
        places = draw(seed).cells[0].decay["v"][1]
        changed = text.replace(f"{old}{places}\n", f"{new[:-1]}{places})\n") if "X" in new else text.replace(old, new)
        if compared(seed, changed, tmp_path / "drawn", executors=("numpy",))[0]:
            return
    pytest.fail("no drawn network notices it")


def test_the_order_of_phases_is_the_delay(tmp_path):
    """Input before the neurons arrives in the same step, behind them one step later."""
    d = next(d for d in map(draw, range(500)) if len(d.cells) == 1 and not d.every and not d.links[0].delays)
    first = dataclasses.replace(d, order=("source.step", "in", "rec", *[p for p in d.order if p.startswith("cell")]))
    last = dataclasses.replace(d, order=(*[p for p in d.order if p.startswith("cell")], "source.step", "in", "rec"))
    assert written(tmp_path / "first", toml(first)).delay("in", "source") == 0
    assert written(tmp_path / "last", toml(last)).delay("in", "source") == 1
    assert written(tmp_path / "first", toml(first)).delay("rec", "cell") == 1
    assert written(tmp_path / "last", toml(last)).delay("rec", "cell") == 1


def test_an_input_shows_at_the_output_after_the_latency_and_never_before(tmp_path):
    tight = set()
    for seed in SEEDS:
        d = draw(seed)
        net = plain_network(d)
        whole = network(written(tmp_path / "drawn", toml(d)), d, net)
        if not whole.outputs():  # two groups that feed each other: none is the last
            continue
        silence = np.zeros((12, 1, net.sizes["source"]), np.int64)
        impulse = silence.copy()
        impulse[0] = d.cap_in
        run = simulate(whole, impulse, drain=0)
        differs = np.argwhere(run.output != simulate(whole, silence, drain=0).output)
        if len(differs):
            first = int(differs[:, 0].min())
            assert first >= run.latency, d
            tight |= {run.latency} if first == run.latency else set()
    assert tight >= {2, 3}
