"""A plain reading of NIR: h5py and NumPy, one node and one step after the other, written from the equations alone."""

import h5py
import numpy as np


def read(path):
    """{"nodes": {name: {"type": ..., field: value} or such a graph}, "edges": [(source, target)]}."""
    with h5py.File(path, "r") as file:
        return _graph(file["node"])


def _graph(group):
    nodes = {}
    for name, node in group["nodes"].items():
        kind = node["type"][()].decode()
        plain = {key: _value(data) for key, data in node.items() if isinstance(data, h5py.Dataset)}
        nodes[name] = _graph(node) if kind == "NIRGraph" else plain
    return {"nodes": nodes, "edges": [(a.decode(), b.decode()) for a, b in group["edges"][()]]}


def _value(data):
    value = data[()]
    return value.decode() if isinstance(value, bytes) else np.asarray(value)


def flat(graph, place=""):
    """Names of a nested graph in one level, with the ends of inner graphs as identities."""
    nodes, edges, doors = {}, [], {}
    for name, node in graph["nodes"].items():
        path = place + name
        if "nodes" in node:
            inner, links, ends = flat(node, path + "/")
            nodes |= inner
            edges += links
            doors[name] = ends
        else:
            nodes[path] = dict(node)
            doors[name] = (path, path)
    (start,) = [n for n, node in graph["nodes"].items() if node.get("type") == "Input"]
    (end,) = [n for n, node in graph["nodes"].items() if node.get("type") == "Output"]
    edges += [(doors[a][1], doors[b][0]) for a, b in graph["edges"]]
    return nodes, edges, (doors[start][0], doors[end][1])


class Run:
    """Simulate x (time, *shape) by a contract: a dict with dt and what Contract has."""

    def __init__(self, graph, contract):
        nodes, edges, (self.start, self.end) = flat(graph)
        self.nodes, self.contract, self.state = nodes, contract, {}
        reach = {n: {b for a, b in edges if a == n} for n in nodes}
        for _ in nodes:
            reach = {n: to | set().union(*(reach[t] for t in to)) for n, to in reach.items()}
        fires = {n for n in nodes if nodes[n]["type"] in ("IF", "LIF", "CubaLIF")}
        self.back = {(a, b) for a, b in edges if b in fires and a in reach[b]}
        self.into = {n: sorted({a for a, b in edges if b == n and (a, b) not in self.back}) for n in nodes}
        self.later = {n: sorted(a for a, b in self.back if b == n) for n in nodes}
        self.order, left = [], set(nodes)
        while left:
            ready = sorted(n for n in left if not left & set(self.into[n]))
            assert ready, "a cycle without neurons"
            self.order += ready
            left -= set(ready)

    def __call__(self, x):
        self.shapes, rows = {}, []
        self.values = None
        for row in x:
            if self.values is None:  # what comes back before the first spike: what silence makes of the way back
                self.values = {}
                self.values = self.step(row * 0, silent=True)
                self.state = {}
            self.values = self.step(row)
            rows.append(self.values[self.end])
        return np.stack(rows)

    def step(self, row, *, silent=False):
        now = {}
        for name in self.order:
            arriving = row if name == self.start else sum(now[s] for s in self.into[name])
            if not silent:
                arriving = arriving + sum(self.values[s] for s in self.later[name])
            value = self.compute(name, self.nodes[name], arriving)
            fires = self.nodes[name]["type"] in ("IF", "LIF", "CubaLIF")
            now[name] = value * 0 if silent and fires else value
        return now

    def compute(self, name, node, x):
        kind, c = node["type"], self.contract
        if kind in ("Affine", "Linear"):
            return node["weight"].astype(float) @ x + node.get("bias", 0)
        if kind == "Scale":
            return node["scale"] * x
        if kind == "Threshold":
            return (x > node["threshold"] if c["comparison"] == ">" else x >= node["threshold"]).astype(float)
        if kind in ("Conv1d", "Conv2d"):
            return convolution(node, x)
        if kind in ("SumPool2d", "AvgPool2d"):
            return pool(node, x)
        if kind == "Flatten":
            first, last = int(node["start_dim"]), int(node["end_dim"])
            first, last = first % x.ndim, last % x.ndim
            return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])
        if kind == "Delay":
            line = self.state.setdefault(name, [])
            line.append(x)
            steps = np.broadcast_to(np.rint(node["delay"] / c["dt"]).astype(int), x.shape)
            found = np.zeros(x.shape)
            for at in np.ndindex(x.shape):
                found[at] = line[-1 - steps[at]][at] if len(line) > steps[at] else 0
            return found
        if kind in ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF"):
            return self.neuron(name, node, x)
        return x

    def neuron(self, name, node, x):
        c, kind = self.contract, node["type"]
        i, v = self.state.get(name, (np.zeros(x.shape), np.zeros(x.shape)))
        if kind.startswith("Cuba"):
            keep = self.keep(node["tau_syn"])
            i = x = keep * i + (1 - keep) * node.get("w_in", 1) * x
        if kind in ("I", "IF"):
            v = v + c["dt"] * node["r"] * x
        else:
            keep = self.keep(node.get("tau", node.get("tau_mem")))
            v = keep * v + (1 - keep) * (node["v_leak"] + node["r"] * x)
        if kind in ("I", "LI", "CubaLI"):
            self.state[name] = i, v
            return v
        level = node["v_threshold"].astype(float)
        reached = np.ceil(v / level) - 1 if c["comparison"] == ">" else np.floor(v / level)
        count = np.maximum(reached, 0)
        spikes = count if c["max_spikes"] is None else np.minimum(count, c["max_spikes"])
        if c["reset"] == "subtract":
            v = v - spikes * level
        else:
            v = np.where(spikes > 0, 0 if c["reset"] == "zero" else node["v_reset"], v)
        if c["v_min"] is not None:
            v = np.maximum(v, c["v_min"])
        self.state[name] = i, v
        return spikes

    def keep(self, tau):
        ratio = self.contract["dt"] / tau.astype(float)
        return np.exp(-ratio) if self.contract["integrator"] == "exact" else 1 - ratio


def _both(value, axes):
    return tuple(int(n) for n in np.broadcast_to(np.asarray(value).reshape(-1), (axes,)))


def convolution(node, x):
    weight, axes = node["weight"].astype(float), node["weight"].ndim - 2
    stride, dilation, groups = _both(node["stride"], axes), _both(node["dilation"], axes), int(node["groups"])
    span = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    if isinstance(node["padding"], str):
        total = [s - 1 if node["padding"] == "same" else 0 for s in span]
        pads = [(n // 2, n - n // 2) for n in total]
    else:
        pads = [(n, n) for n in _both(node["padding"], axes)]
    x = np.pad(x, [(0, 0), *pads])
    size = [(n - s) // d + 1 for n, s, d in zip(x.shape[1:], span, stride, strict=True)]
    out = np.zeros((len(weight), *size))
    per, many = len(weight) // groups, weight.shape[1]
    for at in np.ndindex(*out.shape):
        where = [slice(p * s, p * s + w, d) for p, s, w, d in zip(at[1:], stride, span, dilation, strict=True)]
        first = at[0] // per * many
        out[at] = (x[(slice(first, first + many), *where)] * weight[at[0]]).sum() + np.broadcast_to(
            node["bias"], (len(weight),)
        )[at[0]]
    return out


def pool(node, x):
    kernel, stride, padding = (_both(node[name], 2) for name in ("kernel_size", "stride", "padding"))
    x = np.pad(x, [(0, 0), *((p, p) for p in padding)])
    size = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:], kernel, stride, strict=True)]
    out = np.zeros((len(x), *size))
    for _, i, j in np.ndindex(out.shape):
        block = x[:, i * stride[0] : i * stride[0] + kernel[0], j * stride[1] : j * stride[1] + kernel[1]]
        out[:, i, j] = block.sum((1, 2)) / (kernel[0] * kernel[1] if node["type"] == "AvgPool2d" else 1)
    return out
