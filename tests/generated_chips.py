"""Chips nobody has seen: drawn at random, written as chip.toml, with random networks for them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.network import Group, Network, Projection

DECAYS = ("shift", "floor", "to_zero", "half_even", "none")
STORED = ("plain", "truncate", "to_zero", "gain", "wrap")
RESETS = {"subtract": "v - n * threshold", "zero": "0", "value": "v_reset"}
CAPS = (1, 1, 2, 3, 7, 15)


@dataclass(frozen=True)
class Cell:
    """A neuron kind: what of its arithmetic was drawn."""

    name: str
    role: str
    bits: int
    currents: tuple[str, ...]
    decay: dict[str, tuple[str, int]]  # state -> form, binary places
    bound: str  # sat, wrap, floor at 0
    above: str  # >= or >
    reset: str  # subtract, zero, value
    cap: int
    rests: bool
    frozen: bool  # a resting neuron does not integrate
    begin: bool
    leaks: bool
    start: str  # 0 or v_reset

    def states(self) -> list[str]:
        return ["v", *self.currents, *(["rest"] if self.rests else []), "n"]


@dataclass(frozen=True)
class Link:
    """A connection kind."""

    name: str
    source: str
    to: Cell
    state: str
    signed: bool
    stored: str
    gain: int
    delays: bool
    acc: tuple[int, str] | None  # width of the accumulator, how its sum is shifted


@dataclass(frozen=True)
class Draw:
    """A chip."""

    seed: int
    cap_in: int
    cells: tuple[Cell, ...]
    links: tuple[Link, ...]
    relay: bool
    order: tuple[str, ...]
    every: dict[str, tuple[int, int]]
    fan_in: int
    memory: int


def draw(seed: int) -> Draw:
    """Draw a chip; equal seeds, equal chips."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    separate = rng.random() < 0.7
    cells = [_cell(rng, "cell", "hidden" if separate else "hidden output")]
    links = [_link(rng, "in", "source", cells[0]), _link(rng, "rec", "cell", cells[0])]
    relay = rng.random() < 0.4
    scan = ["cell.step"]
    blocks = [["source.step"], ["in"], ["rec"], [*(["cell.begin"] if cells[0].begin else []), *scan]]
    if separate:
        cells.append(_cell(rng, "reader", "output"))
        links.append(_link(rng, "out", "cell", cells[1]))
        blocks += [["out"], [*(["reader.begin"] if cells[1].begin else []), "reader.step"]]
    blocks += [[f"{c.name}.leak"] for c in cells if c.leaks]
    rng.shuffle(blocks)
    order = tuple(phase for block in blocks for phase in block)
    every = {p: (period, rng.randrange(period)) for p in order if rng.random() < 0.12 for period in [rng.randint(2, 4)]}
    cap_in = rng.choice(CAPS)
    return Draw(
        seed, cap_in, tuple(cells), tuple(links), relay, order, every, rng.randint(2, 64), rng.randint(64, 4096)
    )


def _cell(rng: random.Random, name: str, role: str) -> Cell:
    bits, currents = rng.randint(8, 40), ("i1", "i2")[: rng.randint(0, 2)]
    decay = {s: (rng.choice(DECAYS), rng.randint(2, 12)) for s in ("v", *currents)}
    rests = rng.random() < 0.4
    return Cell(
        name,
        role,
        bits,
        currents,
        decay,
        bound=rng.choice(["sat", "wrap", "floor"]),
        above=rng.choice([">=", ">"]),
        reset=rng.choice(["subtract", "zero", "value"]),
        cap=rng.choice(CAPS),
        rests=rests,
        frozen=rests and rng.random() < 0.5,
        begin=rng.random() < 0.5,
        leaks=rng.random() < 0.3,
        start=rng.choice(["0", "0", "v_reset"]),
    )


def _link(rng: random.Random, name: str, source: str, to: Cell) -> Link:
    acc = (rng.choice([10, 48]), rng.choice(["none", "floor", "to_zero"])) if rng.random() < 0.4 else None
    stored, gain, signed = rng.choice(STORED), rng.randint(0, min(to.bits - 8, 20)), rng.random() < 0.6
    return Link(name, source, to, rng.choice(["v", *to.currents]), signed, stored, gain, rng.random() < 0.5, acc)


# --- the chip as text -------------------------------------------------------------------------------------------------


def toml(d: Draw) -> str:
    """The text of chip.toml."""
    steps = [f'["{p}", "relay"]' if p == "cell.step" and d.relay else f'"{p}"' for p in d.order]
    lines = [
        "schema_version = 1",
        f'name = "drawn_{d.seed}"',
        'evidence = "dice"',
        f'[sources]\ndice = {{ source = "seed {d.seed}", date = 2026-11-20, grade = "inferred" }}',
        f'[neuron.source]\nrole = "input"\nemits = "n"\nexternal = {{ holds = [0, {2 * d.cap_in + 3}] }}',
        f"state.n = {{ unsigned = {d.cap_in.bit_length()} }}",
        f'on.step = "n = min(external, {d.cap_in})"',
        *(line for c in d.cells for line in _neuron_toml(c)),
        *(line for k in d.links for line in _link_toml(k)),
        *([_relay_toml(d.cells[0])] if d.relay else []),
        '[core]\ncount = 4\nneurons = 16\nkinds = ["cell"]',
        f'[limit.fan_in]\nper = "target"\nof = "rec"\nvalue = "entries_rec"\nat_most = {d.fan_in}\nunit = "sources"',
        f'[limit.memory]\nper = "core"\nvalue = "3 * neurons_cell + 2 * entries_rec"\nat_most = {d.memory}',
        'unit = "words"',
        f"[schedule]\nstep = [{', '.join(steps)}]",
        *(f'every."{p}" = {{ period = {period}, offset = {offset} }}' for p, (period, offset) in d.every.items()),
    ]
    return "\n".join(lines) + "\n"


def _decay_toml(form: str, places: int, state: str) -> str:
    keep = f"{state} * k_{state}"
    return {
        "shift": f"{state} = {state} - ({state} >> k_{state})",
        "floor": f"{state} = ({keep}) >> {places}",
        "to_zero": f"{state} = shift_to_zero({keep}, {places})",
        "half_even": f"{state} = round_half_even({keep}, {places})",
        "none": "",
    }[form]


def _neuron_toml(c: Cell) -> Iterator[str]:
    low, high = -(1 << c.bits - 1), (1 << c.bits - 1) - 1
    yield f'[neuron.{c.name}]\nrole = "{c.role}"\nemits = "n"'
    yield f"state.v = {{ signed = {c.bits}, start = {c.start if c.start == '0' else repr(c.start)} }}"
    yield from (f"state.{i} = {{ signed = {c.bits} }}" for i in c.currents)
    yield f"state.n = {{ unsigned = {c.cap.bit_length()} }}"
    yield f"param.threshold = {{ holds = [1, {high}] }}\nparam.bias = {{ holds = [{low}, {high}], default = 0 }}"
    yield f"param.v_reset = {{ holds = [{low}, {high}], default = 0 }}"
    for state, (form, places) in c.decay.items():
        yield f"param.k_{state} = {{ holds = {[1, c.bits] if form == 'shift' else [0, 1 << places]} }}"
    if c.rests:
        yield "state.rest = { unsigned = 3 }\nparam.hold = { holds = [0, 7] }"
    if c.begin:
        yield 'on.begin = "n = 0"'
    if c.leaks:
        yield 'on.leak = "v = v - shift_to_zero(v, 3)"'
    yield 'on.step = """'
    yield from _step_toml(c)
    yield '"""'


def _step_toml(c: Cell) -> Iterator[str]:
    if not c.begin:
        yield "n = 0"
    yield from (_decay_toml(*c.decay[i], i) for i in c.currents)
    if c.rests:
        yield "rest = max(rest - 1, 0)"
    total = " + ".join(["v", *c.currents, "bias"])
    bound = f"clip({total}, 0, {(1 << c.bits - 1) - 1})" if c.bound == "floor" else f"{c.bound}({total}, {c.bits})"
    indent = "    " if c.frozen else ""
    if c.frozen:
        yield "if rest == 0:"
    yield from (f"{indent}{line}" for line in (_decay_toml(*c.decay["v"], "v"), f"v = {bound}") if line)
    yield f"if v {c.above} threshold{' and rest == 0' if c.rests else ''}:"
    # the interval of n * threshold must fit 64 bits where the guard does not hold, too
    count = f"min(v // threshold, {c.cap})" if c.bits <= 30 else f"clip(v // threshold, 0, {c.cap})"
    yield f"    n = {count}" if c.cap > 1 else "    n = 1"
    yield f"    v = {RESETS[c.reset]}"
    if c.rests:
        yield "    rest = hold"


def _link_toml(k: Link) -> Iterator[str]:
    yield f'[connection.{k.name}]\nfrom = "{k.source}"\nto = "{k.to.name}"\nweights = ["w"]'
    yield (
        "synapse.w = { signed = 8 }" if k.signed else "synapse.w = { unsigned = 8 }\nsynapse.inhibit = { unsigned = 1 }"
    )
    if k.delays:
        yield "synapse.delay = { unsigned = 3 }"
    yield f"param.gain = {{ holds = [0, {k.gain}], default = {k.gain} }}"
    stored = {
        "plain": "",
        "truncate": "w = w >> 2 << 2",
        "to_zero": "w = shift_to_zero(w, 3) * 8",
        "gain": "w = w << gain",
        "wrap": "w = wrap(w << gain, 12)",
    }
    yield f'stored = "{stored[k.stored]}"'
    charge = "arriving * w" if k.signed else "(arriving * w if inhibit == 0 else -arriving * w)"
    if k.acc is None:
        yield f'on_input = "{k.state} = sat({k.state} + {charge}, {k.to.bits})"'
        return
    width, form = k.acc
    added = {"none": "acc", "floor": "(acc >> 1)", "to_zero": "shift_to_zero(acc, 2)"}[form]
    yield f'register.acc = {{ signed = {width} }}\non_input = "acc = sat(acc + {charge}, {width})"'
    yield f'on_sum = "{k.state} = sat({k.state} + {added}, {k.to.bits})"'


def _relay_toml(c: Cell) -> str:
    return f'[connection.relay]\nfrom = "cell"\nto = "cell"\non_input = "n = min(n + arriving, {c.cap})"'


# --- a network for it -------------------------------------------------------------------------------------------------


@dataclass
class Plain:
    """A network as lists: neurons in ascending hardware id, synapses in the order they were made."""

    sizes: dict[str, int]
    parameters: dict[str, list[dict[str, int]]]
    synapses: dict[str, list[SimpleNamespace]]
    gains: dict[str, int]
    groups: list[tuple[str, str, list[int]]] = field(default_factory=list)  # name, kind, hardware id of each neuron


def plain_network(d: Draw) -> Plain:
    """A random network for a drawn chip, on hardware ids in random order."""
    rng = random.Random(d.seed + 10**6)  # noqa: S311 - no secret
    sizes = {"source": rng.randint(2, 4), "cell": rng.randint(4, 7), "reader": rng.randint(1, 3)}
    sizes = {k: n for k, n in sizes.items() if k == "source" or any(c.name == k for c in d.cells)}
    net = Plain(sizes, {"source": [{} for _ in range(sizes["source"])]}, {}, {})
    for c in d.cells:
        net.parameters[c.name] = [_parameters(rng, c) for _ in range(sizes[c.name])]
    for k in d.links:
        net.gains[k.name] = rng.randint(0, k.gain)
        net.synapses[k.name] = [
            SimpleNamespace(
                source=rng.randrange(sizes[k.source]),
                target=rng.randrange(sizes[k.to.name]),
                w=rng.choice([rng.randint(-128, 127), rng.randint(0, 127)]) if k.signed else rng.randint(0, 255),
                inhibit=0 if k.signed else int(rng.random() < 0.3),
                delay=rng.randint(0, 7) if k.delays else 0,
            )
            for _ in range(rng.randint(4, 20))
        ]
    if d.relay:
        pairs = [(rng.randrange(sizes["cell"]), rng.randrange(sizes["cell"])) for _ in range(4)]
        net.synapses["relay"] = [SimpleNamespace(source=s, target=t, delay=0) for s, t in pairs]
    for kind, size in sizes.items():
        ids = rng.sample(range(size), size)
        cut = size // 2 if kind == "cell" else 0
        net.groups += [(f"{kind}{i}", kind, part) for i, part in enumerate([ids[:cut], ids[cut:]]) if part]
    return net


def _parameters(rng: random.Random, c: Cell) -> dict[str, int]:
    scale = rng.randint(4, c.bits - 1)
    k = {
        f"k_{s}": rng.randint(1, min(c.bits, 6)) if form == "shift" else rng.randint(0, 1 << places)
        for s, (form, places) in c.decay.items()
    }
    threshold = rng.randint(1, (1 << scale) - 1)
    bias, v_reset = rng.randint(-threshold, threshold), rng.randint(-threshold, threshold)
    rest = {"hold": rng.randint(0, 4)} if c.rests else {}
    return k | {"threshold": threshold, "bias": bias, "v_reset": v_reset} | rest


def network(chip: Chip, d: Draw, net: Plain) -> Network:
    """The same network as the program takes it."""
    groups = []
    for name, kind, ids in net.groups:
        columns = [net.parameters[kind][i] for i in ids]
        parameters = {p: np.array([c[p] for c in columns], np.int64) for p in chip.neurons[kind].parameters}
        groups.append(Group(name, kind, len(ids), parameters, np.array(ids, np.int64)))
    where = {(kind, i): (name, ids.index(i)) for name, kind, ids in net.groups for i in ids}
    kinds = {k.name: (k.source, k.to.name) for k in d.links} | {"relay": ("cell", "cell")}
    projections = []
    for kind, synapses in net.synapses.items():
        ends = [(where[kinds[kind][0], s.source], where[kinds[kind][1], s.target]) for s in synapses]
        for pair in dict.fromkeys((a, b) for (a, _), (b, _) in ends):
            chosen = [i for i, ((a, _), (b, _)) in enumerate(ends) if (a, b) == pair]
            at = [np.array([ends[i][side][1] for i in chosen], np.int64) for side in (0, 1)]
            columns = {f: np.array([getattr(synapses[i], f) for i in chosen]) for f in chip.connections[kind].fields}
            gain = {"gain": net.gains[kind]} if kind in net.gains else {}
            projections.append(Projection(kind, *pair, *at, columns, gain))
    return Network(chip, tuple(groups), tuple(projections))
