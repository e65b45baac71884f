"""Chips nobody has seen that events drive: texts drawn at random, with crossbars for them."""

import random
from dataclasses import dataclass

import numpy as np
from event_chip import chip_of, crossbar

DECAYS = ("v >> {0}", "shift_to_zero(v, {0})", "round_half_even(v, {0})", "v // {0}")
RESETS = {"subtract": "v - threshold", "zero": "0", "value": "first"}
ARRIVALS = ("v + w", "v + (w << {0})", "v + w - (v >> {0})", "v + w * t", "v + shift_to_zero(w * 3, {0})")


@dataclass(frozen=True)
class Draw:
    """A chip's text, and what holds for its registers."""

    text: str
    most: int  # that the membrane's register holds
    signed: bool


def draw(seed: int) -> Draw:
    """Draw a chip; equal seeds, equal chips."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    bits = rng.choice([8, 12, 16, 20, 30, 40])
    bound = rng.choice(["sat({}, N)", "wrap({}, N)", "clip({}, -low, high)"]).replace("N", str(bits))
    most = (1 << bits - 1) - 1
    bound = bound.replace("low", str(rng.randint(0, most))).replace("high", str(rng.randint(most // 2, most)))
    reset = f"v = {bound.format(RESETS[rng.choice(sorted(RESETS))])}"
    fires = f"spike = 1 if v {rng.choice(['>=', '>'])} threshold else 0\nif spike == 1:\n    {reset}"
    traced = rng.random() < 0.5  # a second state: what arrived lately
    arrival = rng.choice([a for a in ARRIVALS if traced or "t" not in a.split()]).format(rng.randint(1, 6))
    arriving = [f"v = {bound.format(arrival)}", *(["t = sat(t + 1, 8)"] if traced else [])]
    tick = [f"v = {bound.format('v + bias')}"] if rng.random() < 0.7 else []
    tick += [f"v = v - ({rng.choice(DECAYS).format(rng.randint(1, 7))})"] if rng.random() < 0.5 else []
    tick += ["t = t - (t >> 2)"] if traced else []
    fires_on = rng.choice(["both", "event", "tick"])
    arriving += [fires] if fires_on != "tick" or not tick else []
    tick += [fires] if tick and fires_on != "event" else []
    every = rng.random() < 0.5
    queue = [f'waits = "{rng.choice(["destination", "spike"])}"', f"depth = {rng.randint(2, 9)}"]
    queue.append(f'when_full = "{rng.choice(["drop", "refuse"])}"')
    lines = [
        f'schema_version = 1\nname = "drawn_event_{seed}"\nevidence = "dice"',
        f'[sources]\ndice = {{ source = "seed {seed}", date = 2026-11-21, grade = "inferred" }}',
        '[neuron.line]\nrole = "input"\nemits = "event"\nexternal = { holds = [0, 100] }',
        f'[neuron.cell]\nrole = "hidden output"\nemits = "spike"\nstate.v = {{ signed = {bits}, start = "first" }}',
        *(["state.t = { signed = 8 }"] if traced else []),
        f"param.first = {{ holds = [{-most}, {most}], default = 0 }}",
        "param.bias = { holds = [-60, 60], default = 0 }",
        f"param.threshold = {{ holds = [1, {most}], default = {rng.randint(1, min(most, 200))} }}",
        *([f"on.tick = '''\n{_joined(tick)}\n'''"] if tick else []),
        '[connection.row]\nfrom = ["line", "cell"]\nto = "cell"\npattern = "dense"\nscan = "target"\nweights = ["w"]',
        f"synapse.w = {{ signed = {rng.choice([4, 8, 12])} }}",
        f"on_input = '''\n{_joined(arriving)}\n'''",
        f'[schedule]\nkind = "event"\nstep = ["events"{", " + chr(34) + "cell.tick" + chr(34) if tick else ""}]',
        *(queue if rng.random() < 0.4 else []),
        *(['every."cell.tick" = { period = 2, offset = 1 }'] if tick and every else []),
    ]
    return Draw("\n".join(lines) + "\n", most, traced)


def _joined(lines: list[str]) -> str:
    return "\n".join(lines)


def generated(seed: int):
    """A network of a drawn chip, and its input."""
    drawn, rng = draw(seed), np.random.default_rng(seed)
    chip = chip_of(drawn.text)
    size = int(rng.integers(1, 8))
    reach = chip.connections["row"].fields["w"].interval
    scale = max(1, int(reach.high * rng.choice([0.3, 1])))
    weights = rng.integers(-scale, max(2, scale // 3), (size, size))
    into = rng.integers(-scale // 2, scale + 1, (2, size))
    start = rng.integers(-min(50, drawn.most), min(100, drawn.most), size)
    network = crossbar(chip, weights, into=into, start=start, bias=rng.integers(-9, 30, size), rng=rng)
    return network, rng.integers(0, 4, (5, 2, 2))
