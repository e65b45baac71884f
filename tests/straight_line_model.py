"""What a drawn chip must do, once more: a direct loop in plain integers over the same draw.

It imports nothing from neurodeploy; roundings are spelled with fractions, widths with masks.
"""

from fractions import Fraction
from types import SimpleNamespace

from generated_chips import Cell, Draw, Link, Plain


def expected(d: Draw, net: Plain, counts: list[list[int]]) -> dict[str, list[list[dict[str, int]]]]:
    """One sample: kind -> step -> neuron in ascending id -> state -> value after the step."""
    now = {"source": [{"n": 0} for _ in range(net.sizes["source"])]}
    for c in d.cells:
        now[c.name] = [
            dict.fromkeys(c.states(), 0) | {"v": 0 if c.start == "0" else p["v_reset"]} for p in net.parameters[c.name]
        ]
    seen = {kind: [] for kind in now}
    links, cells = {k.name: k for k in d.links}, {c.name: c for c in d.cells}
    for t, given in enumerate(counts):
        for phase in d.order:
            period, offset = d.every.get(phase, (1, 0))
            if t % period != offset:
                continue
            kind, _, handler = phase.partition(".")
            if phase == "source.step":
                for neuron, events in zip(now["source"], given, strict=True):
                    neuron["n"] = min(events, d.cap_in)
            elif phase in links:
                link = links[phase]
                before = d.order.index(f"{link.source}.step") < d.order.index(phase)
                deliver(link, net, now, [*seen[link.source], *([now[link.source]] if before else [])])
            else:
                for i, neuron in enumerate(now[kind]):
                    if handler == "begin":
                        neuron["n"] = 0
                    elif handler == "leak":
                        neuron["v"] -= int(Fraction(neuron["v"], 8))
                    else:
                        step(cells[kind], neuron, net.parameters[kind][i])
                        if kind == "cell" and d.relay:
                            relay(cells[kind], i, now[kind], net.synapses["relay"])
        for kind, neurons in now.items():
            seen[kind].append([dict(n) for n in neurons])
    return seen


def deliver(link: Link, net: Plain, now: dict[str, list[dict[str, int]]], emitted: list[list[dict[str, int]]]) -> None:
    """``emitted`` is the history of the source kind; its last entry is what it last emitted."""
    neurons = now[link.to.name]
    for reached, mine in parts(link, net):
        accumulators = dict.fromkeys(reached, 0)
        for synapse in sorted(mine, key=lambda s: (s.source, -s.delay)):
            events = emitted[-1 - synapse.delay][synapse.source]["n"] if synapse.delay < len(emitted) else 0
            if events == 0:
                continue
            charge = events * stored(link, synapse, net.gains[link.name])
            if link.acc is None:
                neuron = neurons[synapse.target]
                neuron[link.state] = saturated(neuron[link.state] + charge, link.to.bits)
            else:
                accumulators[synapse.target] = saturated(accumulators[synapse.target] + charge, link.acc[0])
        for target, total in accumulators.items():
            added = {"none": total, "floor": total // 2, "to_zero": int(Fraction(total, 4))}[link.acc[1]]
            neurons[target][link.state] = saturated(neurons[target][link.state] + added, link.to.bits)


def parts(link: Link, net: Plain) -> list[tuple[list[int], list[SimpleNamespace]]]:
    """Neurons that are summed up afterwards, and synapses: sums are made by pair of groups and delay, oldest first."""
    mine = net.synapses[link.name]
    if link.acc is None:
        return [([], mine)]
    group_of = {(kind, i): (name, ids) for name, kind, ids in net.groups for i in ids}
    ends = [(group_of[link.source, s.source][0], *group_of[link.to.name, s.target]) for s in mine]
    found = []
    for source, target, ids in {end[:2]: end for end in ends}.values():
        own = [s for s, end in zip(mine, ends, strict=True) if end[:2] == (source, target)]
        delays = sorted({s.delay for s in own}, reverse=True)
        found += [(ids, [s for s in own if s.delay == delay]) for delay in delays]
    return found


def stored(link: Link, synapse: SimpleNamespace, gain: int) -> int:
    w = synapse.w
    if link.stored == "truncate":
        w -= w % 4
    elif link.stored == "to_zero":
        w = int(Fraction(w, 8)) * 8
    elif link.stored == "gain":
        w *= 2**gain
    elif link.stored == "wrap":
        w = wrapped(w * 2**gain, 12)
    return -w if synapse.inhibit else w


def step(c: Cell, s: dict[str, int], p: dict[str, int]) -> None:
    if not c.begin:
        s["n"] = 0
    for i in c.currents:
        s[i] = decayed(*c.decay[i], s[i], p[f"k_{i}"])
    if c.rests and s["rest"] > 0:
        s["rest"] -= 1
    resting = c.rests and s["rest"] > 0
    if not (resting and c.frozen):
        total = decayed(*c.decay["v"], s["v"], p["k_v"]) + sum(s[i] for i in c.currents) + p["bias"]
        s["v"] = wrapped(total, c.bits) if c.bound == "wrap" else saturated(total, c.bits)
        if c.bound == "floor" and s["v"] < 0:
            s["v"] = 0
    fires = s["v"] >= p["threshold"] if c.above == ">=" else s["v"] > p["threshold"]
    if fires and not resting:
        s["n"] = 1
        while s["n"] < c.cap and (s["n"] + 1) * p["threshold"] <= s["v"]:
            s["n"] += 1
        s["v"] = {"zero": 0, "value": p["v_reset"], "subtract": s["v"] - s["n"] * p["threshold"]}[c.reset]
        if c.rests:
            s["rest"] = p["hold"]


def relay(c: Cell, i: int, neurons: list[dict[str, int]], synapses: list[SimpleNamespace]) -> None:
    events = neurons[i]["n"]  # a relay to the neuron itself does not change what its other relays carry
    for synapse in synapses:
        if synapse.source == i:
            target = neurons[synapse.target]
            target["n"] = min(target["n"] + events, c.cap)


def decayed(form: str, places: int, x: int, k: int) -> int:
    if form == "shift":
        return x - x // 2**k
    kept = Fraction(x * k, 2**places)
    return {"floor": kept.__floor__(), "to_zero": int(kept), "half_even": round(kept), "none": x}[form]


def saturated(x: int, bits: int) -> int:
    return min(max(x, -(2 ** (bits - 1))), 2 ** (bits - 1) - 1)


def wrapped(x: int, bits: int) -> int:
    low = x & (2**bits - 1)
    return low - 2**bits if low >> (bits - 1) else low
