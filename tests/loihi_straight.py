"""What Loihi's texts must compute, once more: plain loops in plain integers, from the published rules.

It imports nothing from neurodeploy. One sample; groups and projections are read as data.
"""

from math import floor


def toward_zero(x, d):
    """x * (4096 - d) / 4096 with the magnitude cut."""
    kept = abs(x) * (4096 - d) // 4096
    return kept if x >= 0 else -kept


def turned(x):
    """32 bits, then one turn of 24 bits."""
    x = (x + 2**31) % 2**32 - 2**31
    if x > 2**23:
        return x - 2**24
    return x + 2**24 if x <= -(2**23) else x


def stored(w, bits, mode):
    cut = 8 - bits + (mode == 1)
    if mode == 1:
        return floor(w / 2**cut) * 2**cut
    w = min(max(w, 0), 255) if mode == 2 else max(min(w, 0), -255)
    return int(w / 2**cut) * 2**cut


def scaled(total, exponent):
    return total * 2**exponent if exponent >= 0 else floor(total / 2**-exponent)


class Lif:
    states = ("a", "u", "v", "waiting", "spike")

    def __init__(self, p):
        self.p, self.t = p, 0
        self.a = self.u = self.v = self.waiting = self.spike = 0

    def step(self, a):
        p, self.a = self.p, a
        self.t += 1
        every, first = p.get("reset_every", 0), p.get("reset_first", 0)
        if first and (self.t == first or (every and self.t > first and (self.t - first) % every == 0)):
            self.u = self.v = 0
        self.u = turned(toward_zero(self.u, p["du"] + 1) + 64 * a)
        v = toward_zero(self.v, p["dv"]) + self.u + p["bias_mant"] * 2 ** p["bias_exp"]
        v = min(max(v, 1 - 2 ** p["v_min_exp"]), 2 ** (9 + 2 * p["v_max_exp"]) - 1)
        paused, self.waiting = self.waiting > 0, max(self.waiting - 1, 0)
        self.v = 0 if paused else v
        self.spike = int(self.v > 64 * p["threshold"])
        if self.spike:
            self.v, self.waiting = 0, p["refractory"] - 1


class Atrlif:
    states = ("a", "i", "v", "theta", "r", "spike")

    def __init__(self, p):
        self.p, self.theta = p, p["theta_0"]
        self.a = self.i = self.v = self.r = self.spike = 0

    def step(self, a):
        p, self.a = self.p, a
        self.i = turned(toward_zero(self.i, p["d_i"] + 1) + 64 * a)
        v = toward_zero(self.v, p["d_v"]) + self.i + p["bias_mant"] * 2 ** p["bias_exp"]
        self.v = min(max(v, 1 - 2**23), 2**23 - 1)
        self.theta = p["theta_0"] + toward_zero(self.theta - p["theta_0"], p["d_theta"])
        self.r = toward_zero(self.r, p["d_r"])
        self.spike = int(self.v - self.r >= self.theta)
        if self.spike:
            self.r += 2 * self.theta
            self.theta += p["theta_step"]


CELLS = {"lif": Lif, "atrlif": Atrlif}


def expected(groups, projections, counts, steps):
    """Return group -> state -> step -> neuron.

    groups : name -> (kind, parameters of each neuron)
    projections : (source, target, [(source, target, w, delay)], parameters)
    counts : input group -> step -> channel
    """
    cells = {g: [CELLS[kind](p) for p in many] for g, (kind, many) in groups.items() if kind in CELLS}
    emitted = {g: [] for g in groups}
    seen = {g: {s: [] for s in many[0].states} for g, many in cells.items()}
    for t in range(steps):
        arrived = {g: [0] * len(many) for g, many in cells.items()}
        for source, target, synapses, p in projections:
            sums = {}
            for i, j, w, delay in synapses:
                if t - 1 - delay >= 0 and emitted[source][t - 1 - delay][i]:
                    kept = stored(w, p["bits"], p["sign_mode"]) if p else w
                    sums[j, delay] = sums.get((j, delay), 0) + kept
            for (j, _), total in sums.items():
                arrived[target][j] += scaled(total, p["exponent"]) if p else total
        for g, many in cells.items():
            for cell, a in zip(many, arrived[g], strict=True):
                cell.step(a)
            for state, course in seen[g].items():
                course.append([getattr(cell, state) for cell in many])
        for g, course in emitted.items():
            course.append([cell.spike for cell in cells[g]] if g in cells else counts[g][t])
    return seen
