"""Faults of seven sorts, put into one random place of a network; and where each first shows, found by brute force.

Nothing here uses the verifier. A fault is a change of the chip's file that acts where a register ``odd`` is 1, or
another number in the network, or another time of the input or of what is seen.
"""

import ast
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from straight_line_events import StraightLine

from neurodeploy import chips
from neurodeploy.network import Convolution, Network, convolution, group, place_identity, projection
from neurodeploy.simulator import Trace, simulate

ODD = {"holds": [0, 1], "default": 0}
ASIDE = {"dialect", "agreement", "limit", "report", "oracle", "emit", "guard", "parity", "layer_core", "readout"}
CLOCKED = {"xylo_audio3": ("hidden", "output"), "loihi2": ("lif",), "loihi1": ("lif",)}
EVENT = "speck2f"
TARGETS = ("xylo_audio3", "loihi2", EVENT)
CAUSES = (
    "missing-bias",
    "comparison",
    "reset-timing",
    "latency",
    "transposed-axes",
    "wrap-or-saturate",
    "decay-rounding",
)
STEPS = 24


def target_of(cause, name):
    """Where a fault is put: the leak of Speck is a whole number, nothing of it is rounded."""
    return "loihi1" if (cause, name) == ("decay-rounding", EVENT) else name


# --- lines of the texts, and what a faulty program computes instead

XYLO = {
    "comparison": {
        "hidden": [[("if v >= threshold:", "if v >= threshold + odd:")]],
        "output": [[("1 if v >= threshold else 0", "1 if v >= threshold + odd else 0")]],
    },
    "reset-timing": {
        "hidden": [
            [
                ("i1 = i1 - dash(i1", "v = v - late\nlate = 0\ni1 = i1 - dash(i1"),
                ("v = v - fired * threshold", "late = odd * fired * threshold\n    v = v - fired * threshold + late"),
            ]
        ],
        "output": [
            [
                ("i1 = i1 - dash(i1", "v = v - late\nlate = 0\ni1 = i1 - dash(i1"),
                ("v = v - count * threshold", "late = odd * count * threshold\nv = v - count * threshold + late"),
            ]
        ],
    },
    "wrap-or-saturate": {
        "hidden": [
            [("d = sat(d + i1 + i2, 16)", "d = wrap(d + i1 + i2, 16) if odd == 1 else sat(d + i1 + i2, 16)")],
            [("v = sat(v + d, 16)", "v = wrap(v + d, 16) if odd == 1 else sat(v + d, 16)")],
        ],
        "output": [
            [("d = sat(d + i1, 16)", "d = wrap(d + i1, 16) if odd == 1 else sat(d + i1, 16)")],
            [("v = sat(v + d, 16)", "v = wrap(v + d, 16) if odd == 1 else sat(v + d, 16)")],
        ],
    },
    "decay-rounding": {
        kind: [
            [(f"dash({state}, {dash})", f"({wrong} if odd == 1 else dash({state}, {dash}))")]
            for state, dash in (("i1", "dash_syn1"), ("v", "dash_mem"))
            for wrong in (
                f"({state} >> {dash})",
                f"shift_to_zero({state}, {dash})",
                f"round_half_even({state}, {dash})",
            )
        ]
        for kind in ("hidden", "output")
    },
}
U = "u = wrap_once(wrap(decay(u, du + 1) + (a << 6), 32))"
V = "clip(v, 1 - (1 << v_min_exp), (1 << 9 + 2 * v_max_exp) - 1)"
SUM = "decay(u, du + 1) + (a << 6)"
LOIHI = {
    "comparison": {"lif": [[("v > threshold << 6", "v > (threshold << 6) - odd")]]},
    "reset-timing": {
        "lif": [
            [
                (U, f"v = 0 if late == 1 else v\nlate = 0\n{U}"),
                ("    v = 0\n", "    late = odd\n    v = v if odd == 1 else 0\n"),
            ]
        ]
    },
    "wrap-or-saturate": {
        "lif": [
            [(U, f"u = clip({SUM}, -8388607, 8388608) if odd == 1 else wrap_once(wrap({SUM}, 32))")],
            [(U, f"u = sat({SUM}, 24) if odd == 1 else wrap_once(wrap({SUM}, 32))")],
            [(V, f"(wrap(v, 24) if odd == 1 else {V})")],
        ]
    },
    "decay-rounding": {
        "lif": [
            [(f"decay({x}, {d})", f"({wrong}({x} * (4096 - ({d})), 12) if odd == 1 else decay({x}, {d}))")]
            for x, d in (("u", "du + 1"), ("v", "dv"))
            for wrong in ("round_half_even", "down")
        ]
    },
}
SPECK = {
    "comparison": [("v >= threshold_high else", "v >= threshold_high + odd else")],
    "reset-timing": [
        ("v = max(v + w", "v = v + late\nlate = 0\nv = max(v + w"),
        (
            "    v = 0 if return_to_zero == 1 else v - threshold_high",
            """\
    late = odd * (-v if return_to_zero == 1 else -threshold_high)
    v = v if odd == 1 else (0 if return_to_zero == 1 else v - threshold_high)""",
        ),
    ],
    "wrap-or-saturate": [("max(v + w, threshold_low)", "(wrap(v + w, 16) if odd == 1 else max(v + w, threshold_low))")],
}
TABLES = {"xylo_audio3": XYLO, "loihi2": LOIHI, "loihi1": LOIHI}


def _plain(name):
    return {k: v for k, v in chips.chip(name).raw.items() if k not in ASIDE}


@cache
def true_chip(name):
    """The chip without what does not compute, so that faulty ones compile fast."""
    return chips.from_raw(_plain(name))


@cache
def faulty_chip(name, cause, kind, number):
    raw = ast.literal_eval(repr(_jsonable(_plain(name))))
    neuron = raw["neuron"][kind]
    neuron["param"]["odd"] = ODD
    if cause == "reset-timing":
        neuron["state"]["late"] = {"signed": 40}
    if name == EVENT:
        place, key, changes = raw["connection"]["convolve"], "on_input", SPECK[cause]
    else:
        place, key, changes = neuron["on"], "step", TABLES[name][cause][kind][number]
    raw["function"] = dict(raw.get("function", {})) | {"down(x, n)": "x >> n"}
    for old, new in changes:
        assert place[key].count(old) == 1, (old, place[key])
        place[key] = place[key].replace(old, new)
    return chips.from_raw(raw)


def _jsonable(value):
    if isinstance(value, dict):
        return {k: _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)


# --- networks


def silent_end(counts):
    """The input with two silent steps, so that nothing has to be appended."""
    return np.concatenate([counts, np.zeros_like(counts[:2])])


def xylo_network(chip, rng, *, loud):
    """Three layers; a synapse has one of its two weights, so that one state can differ after a delivery."""
    sizes = int(rng.integers(2, 5)), int(rng.integers(3, 8)), int(rng.integers(2, 5))

    def weights(*shape):
        drawn = rng.integers(-90, 128, shape) if loud else rng.integers(-30, 34, shape)
        return drawn * (rng.random(shape) < 0.8)

    channel = group(chip, "in", "channel", sizes[0])
    dashes = {n: rng.integers(1, 6, sizes[1]) for n in ("dash_syn1", "dash_syn2", "dash_mem")}
    bias = rng.integers(-10, 20, sizes[1])
    hidden = group(chip, "hid", "hidden", sizes[1], **dashes, threshold=rng.integers(20, 60, sizes[1]), bias=bias)
    settings = {"dash_syn1": rng.integers(1, 6, sizes[2]), "dash_mem": rng.integers(1, 6, sizes[2])}
    bias = rng.integers(-10, 30, sizes[2])
    output = group(chip, "out", "output", sizes[2], **settings, threshold=rng.integers(20, 60, sizes[2]), bias=bias)
    shift = {"shift": 8 if loud else 0}
    none = np.zeros((sizes[0], sizes[1]), int), np.zeros((sizes[1], sizes[1]), int)
    links = (
        projection(chip, "in", channel, hidden, shift, w1=weights(sizes[0], sizes[1]), w2=none[0]),
        projection(chip, "rec", hidden, hidden, shift if loud else {}, w1=none[1], w2=weights(sizes[1], sizes[1])),
        projection(chip, "out", hidden, output, shift if loud else {}, w1=weights(sizes[1], sizes[2])),
    )
    network = place_identity(Network(chip, (channel, hidden, output), links))
    return network, silent_end(rng.poisson(0.8, (STEPS, 1, sizes[0])))


def loihi_network(chip, rng, *, loud, plain):
    """Input, two layers, the first of which feeds itself; ``plain`` ones hold multiples of 64 that meet thresholds."""
    sizes = int(rng.integers(2, 5)), int(rng.integers(3, 7)), int(rng.integers(2, 5))
    source = group(chip, "in", "input", sizes[0])
    layers = []
    for name, size in (("hid", sizes[1]), ("out", sizes[2])):
        decays = {"du": 4095, "dv": 0} if plain else {n: int(rng.integers(50, 2500)) for n in ("du", "dv")}
        threshold = int(rng.integers(5, 90)) if not loud else int(rng.integers(5_000, 131_000))
        bias = rng.integers(-20, 40, size)
        layers.append(group(chip, name, "lif", size, **decays, threshold=threshold, bias_mant=bias, bias_exp=6))
    hidden, output = layers
    exponent = 7 if loud else 0

    def joined(a, b):
        weights = rng.integers(-127 if loud else -60, 128, (a.size, b.size))
        if plain:
            weights = rng.integers(-8, 20, (a.size, b.size)) * 2
        given = {"exponent": exponent, "bits": 8, "sign_mode": 1}
        return projection(chip, "dense", a, b, given, w=weights)

    links = (joined(source, hidden), joined(hidden, hidden), joined(hidden, output))
    network = place_identity(Network(chip, (source, *layers), links))
    return network, silent_end((rng.random((STEPS, 1, sizes[0])) < 0.4).astype(int))


def speck_network(chip, rng):
    """Two layers of square kernels on a map, and classes; biases are leaks."""
    source = group(chip, "in", "pixel", (2, 6, 6))
    first = Convolution(source.shape, (2, 2, 3, 3), padding=(1, 1))
    second = Convolution(first.target, (3, 2, 2, 2), stride=(2, 2))
    third = Convolution(second.target, (4, 3, 3, 3))
    groups, links = [source], []
    for name, geometry in (("a", first), ("b", second), ("c", third)):
        features = geometry.kernel[0]
        size = int(np.prod(geometry.target))
        leak = np.repeat(-rng.integers(0, 4, features), size // features)
        low, high = -int(rng.integers(5, 40)), int(rng.integers(40, 70))
        settings = {"threshold_low": low, "threshold_high": high, "return_to_zero": int(rng.integers(2)), "bias": leak}
        groups.append(group(chip, name, "unit", geometry.target, **settings))
        weights = rng.integers(-25, 40, geometry.kernel)
        links.append(convolution(chip, "convolve", groups[-2], groups[-1], geometry, w=weights))
    network = place_identity(Network(chip, tuple(groups), tuple(links)))
    return network, silent_end(rng.poisson(0.25, (8, 1, source.size)))


# --- faults


@dataclass(frozen=True)
class Case:
    """A fault in one place. seen : step by which an output group is seen late, the fault then is in the observation."""

    cause: str
    name: str
    network: Network
    faulty: Network
    counts: np.ndarray
    faulty_counts: np.ndarray
    late_group: str = ""

    def runs(self):
        states = [f"{g.name}.{s}" for g in self.network.groups for s in self.network.chip.neurons[g.kind].states]
        a = simulate(self.network, self.counts, record=states, executor="numpy", drain=0)
        faulty = [f"{g.name}.{s}" for g in self.faulty.groups for s in self.faulty.chip.neurons[g.kind].states]
        return a, simulate(self.faulty, self.faulty_counts, record=faulty, executor="numpy", drain=0)

    def traces(self):
        """The run, and what somebody else shows of the faulty one."""
        a, b = self.runs()
        counts = {g: v.copy() for g, v in b.counts.items()}
        if self.late_group:
            counts[self.late_group] = np.concatenate([counts[self.late_group][:1] * 0, counts[self.late_group][:-1]])
        kept = {g: {s: v for s, v in m.items() if s in a.states.get(g, {})} for g, m in b.states.items()}
        return a, Trace("somebody", counts, {} if self.late_group else kept)


def equal(a, b):
    """Whether two runs, or a run and a trace, show the same in everything that both have."""
    return all(np.array_equal(v, b.counts[g]) for g, v in a.counts.items()) and all(
        np.array_equal(v, b.states[g][s])
        for g, many in a.states.items()
        for s, v in many.items()
        if s in b.states.get(g, {})
    )


def shown(cause, name, number):
    """So many faults that show, each with what compares it; and how many had to be drawn."""
    found, seed = [], 0
    while len(found) < number:
        case = draw(cause, name, seed)
        pair = case.traces() if case.late_group else case.runs()
        seed += 1
        if not equal(*pair):
            found.append((case, pair))
        assert seed < 60 * number
    return found, seed


def draw(cause, name, seed):
    """A fault in a random place; whether it ever shows is for the caller to see."""
    name = target_of(cause, name)
    rng = np.random.default_rng([CAUSES.index(cause), *name.encode(), seed])
    chip = true_chip(name)
    if name == EVENT:
        network, counts = speck_network(chip, rng)
    elif "xylo" in name:
        network, counts = xylo_network(chip, rng, loud=cause == "wrap-or-saturate")
    else:
        network, counts = loihi_network(chip, rng, loud=cause == "wrap-or-saturate", plain=cause == "comparison")
    if cause == "missing-bias":
        return Case(cause, name, network, _without_bias(network, rng), counts, counts)
    if cause == "latency":
        return _late(cause, name, network, counts, rng)
    if cause == "transposed-axes":
        return Case(cause, name, network, _transposed(network, rng), counts, counts)
    return Case(cause, name, network, _with_odd(network, cause, name, rng, counts), counts, counts)


def _with_odd(network, cause, name, rng, counts):
    g = network.groups[int(rng.integers(1, len(network.groups)))]
    number = 0 if name == EVENT else int(rng.integers(len(TABLES[name][cause][g.kind])))
    chip = faulty_chip(name, cause, g.kind, number)
    places = np.arange(g.size)
    if cause == "comparison" and name not in ("loihi1", "loihi2"):
        # a reset by subtraction leaves 0 of a membrane that met the threshold: only there the comparison decides
        run = simulate(network, counts, record=["v"], executor="numpy", drain=0)
        places = np.flatnonzero(((run.counts[g.name] > 0) & (run.states[g.name]["v"] == 0)).any(axis=(0, 1)))
        places = places if places.size else np.arange(g.size)
    neuron = int(rng.choice(places))
    groups = []
    for other in network.groups:
        values = dict(other.parameters)
        if "odd" in chip.neurons[other.kind].parameters:
            values["odd"] = np.zeros(other.size, np.int64)
            if other is g:
                values["odd"][neuron] = 1
        groups.append(replace(other, parameters=values))
    return replace(network, chip=chip, groups=tuple(groups))


def _without_bias(network, rng):
    chosen = network.groups[int(rng.integers(1, len(network.groups)))]
    name = "bias_mant" if "bias_mant" in chosen.parameters else "bias"
    values = chosen.parameters[name].copy()
    if chosen.shape:
        values.reshape(chosen.shape)[int(rng.integers(chosen.shape[0]))] = 0  # one register of a feature
    else:
        values[int(rng.integers(chosen.size))] = 0
    changed = replace(chosen, parameters=chosen.parameters | {name: values})
    return replace(network, groups=tuple(changed if g is chosen else g for g in network.groups))


def _late(cause, name, network, counts, rng):
    if name != EVENT:
        number = int(rng.integers(len(network.projections)))
        kind = network.projections[number].kind
        chip = network.chip
        if "delay" not in chip.connections[kind].fields:
            chip = _with_delay(name, kind)
        projections = []
        for i, p in enumerate(network.projections):
            fields = dict(p.fields)
            if "delay" in chip.connections[p.kind].fields:
                fields["delay"] = np.full(len(p.sources), int(i == number))
            projections.append(replace(p, fields=fields))
        return Case(cause, name, network, replace(network, chip=chip, projections=tuple(projections)), counts, counts)
    if rng.random() < 0.5:
        late = np.concatenate([counts[:1] * 0, counts[:-1]])
        return Case(cause, name, network, network, counts, late)
    return Case(cause, name, network, network, counts, counts, network.groups[int(rng.integers(1, 4))].name)


@cache
def _with_delay(name, kind):
    raw = ast.literal_eval(repr(_jsonable(_plain(name))))
    raw["connection"][kind]["synapse"]["delay"] = {"unsigned": 3}
    return chips.from_raw(raw)


def _transposed(network, rng):
    number = int(rng.integers(len(network.projections)))
    p = network.projections[number]
    if p.geometry is not None:
        features, channels, rows, columns = p.geometry.kernel
        kernel = p.fields["w"].reshape(features, channels, rows, columns)
        fields = {"w": np.stack([[k.T for k in many] for many in kernel]).reshape(-1)}
        changed = replace(p, fields=fields)
    else:
        source, target = network.group(p.source).size, network.group(p.target).size
        dense = {n: np.zeros((source, target), np.int64) for n in p.fields}
        for name, values in p.fields.items():
            dense[name][p.sources, p.targets] = values
        if len(p.sources) < source * target:  # stored as pairs
            turned = {n: m.T for n, m in dense.items()}
        else:
            turned = {n: np.reshape(m.reshape(-1), (target, source)).T for n, m in dense.items()}
        kept = np.any([m != 0 for m in turned.values()], axis=0) | (len(p.sources) == source * target)
        sources, targets = np.nonzero(kept)
        fields = {n: m[sources, targets] for n, m in turned.items()}
        changed = replace(p, sources=sources, targets=targets, fields=fields)
    return replace(network, projections=tuple(changed if i == number else q for i, q in enumerate(network.projections)))


# --- the truth, by looking at everything


def truth(case):
    """(step, group, neuron, state) of the first difference, or None where the fault never shows."""
    if case.late_group or (case.cause == "latency" and case.name == EVENT):
        return _seen(case)
    return _by_events(case) if case.name == EVENT else _by_phases(case)


def _seen(case):
    """The first step in which counts differ, the group nearest to the input, the lowest neuron."""
    a, b = case.traces()
    for t in range(len(case.counts)):
        for g in case.network.groups:
            found = np.flatnonzero(a.counts[g.name][t, 0] != b.counts[g.name][t, 0])
            if found.size:
                return t, g.name, int(found[0]), case.network.chip.neurons[g.kind].emits
    return None


def _by_phases(case):
    """Every state after every phase; inside a phase the neuron with the lowest id, and its line by line."""
    one, other = (_phases(n, c) for n, c in ((case.network, case.counts), (case.faulty, case.faulty_counts)))
    before = None
    for at, here in one.items():
        hits = [
            (int(n), kind, state)
            for (kind, state), values in here.items()
            for n in np.flatnonzero(values[0] != other[at][kind, state][0])
        ]
        if hits:
            number, kind, _ = min(hits, key=lambda hit: hit[:2])
            states = {s for n, k, s in hits if (n, k) == (number, kind)}
            name, neuron = _neuron(case.network, kind, number)
            state = states.pop() if len(states) == 1 else _by_lines(case, at[1], kind, number, states, before)
            return at[0], name, neuron, state
        before = (here, other[at])
    return None


def _phases(network, counts):
    seen = {}

    def look(step, phase, engine):
        states = {(k, s): v.copy() for k, many in engine.states.items() for s, v in many.items()}
        seen[step, phase.name] = states

    simulate(network, counts, executor="reference", observer=look, drain=0)
    return seen


def _neuron(network, kind, number):
    for g in network.groups:
        if g.kind == kind and number in g.ids:
            return g.name, int(np.flatnonzero(g.ids == number)[0])
    raise AssertionError


def _by_lines(case, phase, kind, number, states, before):
    """Which of several states of a neuron parted first and for good, the text run by Python itself."""
    handler = phase.partition(".")[2]
    courses = []
    for network, views in ((case.network, before[0]), (case.faulty, before[1])):
        name, neuron = _neuron(network, kind, number)
        given = {n: int(v[neuron]) for n, v in network.group(name).parameters.items()}
        given |= {s: int(v[0, number]) for (k, s), v in views.items() if k == kind}
        raw = network.chip.raw
        courses.append((given, list(_executed(raw["neuron"][kind]["on"][handler], given, raw.get("function", {})))))
    parted = {}
    lines = [[(line - _added(case, i), n, v) for line, n, v in done] for i, (_, done) in enumerate(courses)]
    for state in states:
        values = [given[state] for given, _ in courses]
        keys = sorted({(line, n) for done in lines for line, n, _ in done})
        for line in keys:
            for side, done in enumerate(lines):
                values[side] = next((v for key, n, v in done if (key, n) == line and n == state), values[side])
            if values[0] == values[1]:
                parted.pop(state, None)
            else:
                parted.setdefault(state, line[0])
    return min(parted, key=lambda state: parted[state])


def _added(case, side):
    """Lines that the fault put in front of the text."""
    return 2 * side * (case.cause == "reset-timing")


def _executed(source, given, functions):
    """(line, name, value) of everything that a text assigns."""
    known = {
        "sat": lambda x, b: min(max(x, -(1 << b - 1)), (1 << b - 1) - 1),
        "wrap": lambda x, b: (x + (1 << b - 1)) % (1 << b) - (1 << b - 1),
        "clip": lambda x, low, high: min(max(x, low), high),
        "shift_to_zero": lambda x, n: abs(x) // (1 << n) * (1 if x >= 0 else -1),
        "round_half_even": lambda x, n: round(x / (1 << n)),
    }
    for head, body in functions.items():
        name, _, rest = head.partition("(")
        known[name] = eval(f"lambda {rest[:-1]}: {body}", known)  # noqa: S307 - our own chip files
    environment = dict(given)

    def walk(body):
        for statement in body:
            if isinstance(statement, ast.If):
                if eval(compile(ast.Expression(statement.test), "text", "eval"), known, environment):  # noqa: S307
                    yield from walk(statement.body)
            else:
                name = statement.targets[0].id
                code = compile(ast.Expression(statement.value), "text", "eval")
                environment[name] = eval(code, known, environment)  # noqa: S307
                yield statement.lineno, name, environment[name]

    yield from walk(ast.parse(source.strip()).body)


class _Logged(StraightLine):
    """Loops that keep every change of a neuron, with a fault in the neurons whose register odd is 1."""

    def __init__(self, network, cause):
        super().__init__(network)
        self.cause, self.log, self.shown, self.number = cause, [], [], 0
        self.late = {name: np.zeros_like(v) for name, v in self.v.items()}

    def odd(self, name, i):
        return bool(self.network.group(name).parameters.get("odd", np.zeros(i + 1))[i])

    def one_synapse(self, name, i, w):
        p, v, odd = self.network.group(name).parameters, self.v[name], self.odd(name, i)
        v[i] += self.late[name][i]
        self.late[name][i] = 0
        v[i] += w
        if not (odd and self.cause == "wrap-or-saturate"):
            v[i] = max(v[i], p["threshold_low"][i])
        high = p["threshold_high"][i] + (odd and self.cause == "comparison")
        fired = v[i] >= high
        if fired:
            self.fired[name][i] += 1
            left = 0 if p["return_to_zero"][i] else v[i] - p["threshold_high"][i]
            if odd and self.cause == "reset-timing":
                self.late[name][i] = left - v[i]
            else:
                v[i] = left
        self.log.append((self.number, name, i, int(v[i]), bool(fired)))
        return fired

    def step(self, counts):
        for name, values in counts.items():
            for neuron, times in enumerate(values.tolist()):
                for _ in range(times):
                    self.follow(name, neuron)
        for name, v in self.v.items():
            p = self.network.group(name).parameters
            for i in range(v.size):
                v[i] = max(v[i] + p["bias"][i], p["threshold_low"][i])
                self.log.append((self.number, name, i, int(v[i]), False))
        shown = [v.tolist() for v in (*self.v.values(), *self.fired.values())]
        self.shown.append(shown)
        self.number += 1
        for values in self.fired.values():
            values[:] = 0


def _by_events(case):
    logs, shown = [], []
    for network, counts in ((case.network, case.counts), (case.faulty, case.faulty_counts)):
        line = _Logged(network, case.cause)
        for values in counts:
            line.step({"in": values[0]})
        logs.append(line.log)
        shown.append(line.shown)
    if shown[0] == shown[1]:
        return None  # every step ends with equal states and counts
    for x, y in zip(*logs, strict=False):
        if x != y:
            assert x[:3] == y[:3]
            return *x[:3], "v" if x[3] != y[3] else "fire"
    return None
