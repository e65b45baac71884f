"""Mutated files of every kind but NIR, ONNX and NetX, which have programs of their own: what became of each.

python fuzzing.py FOLDER FIRST MANY prints a line of JSON for each, in a process with a bound on memory. An outcome is
"refused"; "read", where the reading is compared with one that shares no code with ours; or whatever escaped.
"""

import copy
import hashlib
import json
import os
import resource
import struct
import sys
import time
import tomllib
import traceback
from pathlib import Path

import numpy as np
import torch
from bundle_files import content, resigned
from command_line import make, run
from small_chip import SOUND

import neurodeploy as nd
from neurodeploy.archive import canonical_json, pack_arrays, read_arrays
from neurodeploy.bundles import verify, zipped
from neurodeploy.chips import chip
from neurodeploy.emit.samna import from_configuration, to_configuration
from neurodeploy.errors import Refusal
from neurodeploy.network.file import FORMAT as NETWORK
from neurodeploy.network.file import _digest as network_digest

MEMORY = 2 << 30
ODD = [None, True, -1, 0, 2**31, 2**63, 2**70, 0.5, 1e308, "", "x", "x" * 3000, [], {}, [[]], [1, "a"], {"a": {}}]


def mutated(data, rng):
    """Bytes with bits, bytes or blocks changed, or the end cut."""
    data, kind = bytearray(data), int(rng.integers(0, 6))
    at = rng.integers(0, len(data), int(rng.integers(1, 9))).tolist()
    size = int(rng.integers(1, 200))
    if kind == 0:
        for place in at:
            data[place] ^= 1 << int(rng.integers(0, 8))
    elif kind == 1:
        for place in at:
            data[place] = int(rng.choice([0, 1, 127, 128, 255]))
    elif kind == 2:
        del data[at[0] :]
    elif kind == 3:
        data[at[0] : at[0] + size] = data[at[-1] : at[-1] + size]
    elif kind == 4:
        del data[at[0] : at[0] + size]
    else:
        data[at[0] : at[0]] = rng.integers(0, 256, size, np.uint8).tobytes()
    return bytes(data)


def odd_text(text, rng):
    """Text with a line lost or doubled, or a word put in the place of another."""
    lines = text.splitlines()
    at, other = (int(rng.integers(0, len(lines))) for _ in range(2))
    kind = int(rng.integers(0, 4))
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, lines[other])
    else:
        words, others = lines[at].split(" "), lines[other].split(" ")
        fresh = [*others, "-1", "0", "1e400", "99999999999999999999", "nan", '"x"', "[]", "{}", "true"]
        words[int(rng.integers(0, len(words)))] = str(rng.choice(fresh if kind == 2 else fresh[len(others) :]))
        lines[at] = " ".join(words)
    return "\n".join(lines) + "\n"


def odd_json(value, rng):
    """A copy with one entry, anywhere, changed to something odd, removed, or put elsewhere."""
    value = copy.deepcopy(value)
    spots = list(_spots(value))
    if not spots:
        return value
    holder, key = spots[int(rng.integers(0, len(spots)))]
    kind = int(rng.integers(0, 4))
    if kind == 0:
        del holder[key]
    elif kind == 1:
        source, other = spots[int(rng.integers(0, len(spots)))]
        holder[key] = copy.deepcopy(source[other])
    elif kind == 2 and type(holder[key]) is int:
        holder[key] += int(rng.choice([-1, 1, 2**20, -(2**40)]))
    else:
        holder[key] = copy.deepcopy(ODD[int(rng.integers(0, len(ODD)))])
    return value


def sealed(manifest):
    """A manifest with its own digest."""
    unsigned = {k: v for k, v in manifest.items() if k != "digest"}
    digest = hashlib.sha256(canonical_json(unsigned).encode()).hexdigest()
    return canonical_json({**unsigned, "digest": digest}).encode()


def _spots(value):
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _spots(value[key])


class Fuzz:
    """Sound files of each kind, and for each kind how one is mutated and judged."""

    def __init__(self, folder):
        os.chdir(folder)  # a name that a mutant makes up is a file in there
        self.folder = make(folder)
        self.whole = content(folder / "bundle.nd")
        self.configuration = to_configuration(nd.load_network(folder / "bundle.nd" / "network.npz"))
        self.files = {n: (folder / n).read_bytes() for n in ("data.npz", "model.safetensors")}
        self.trial = folder / "trial.nd"
        self.kinds = {
            "bundle": self.bundle,
            "archive": self.archive,
            "signed": self.signed,
            "network": self.network,
            "model": self.model,
            "data": self.data,
            "chip": self.chip,
            "configuration": self.samna,
            "command": self.command,
        }

    def judge(self, seed):
        """What became of mutant number ``seed``."""
        rng, begun = np.random.default_rng(seed), time.perf_counter()
        kind = list(self.kinds)[seed % len(self.kinds)]
        try:
            outcome = self.kinds[kind](rng)
        except Refusal:
            outcome = "refused"
        except BaseException:  # noqa: BLE001 - whatever escapes is what is looked for
            outcome = traceback.format_exc()
        return {"seed": seed, "kind": kind, "outcome": outcome, "s": time.perf_counter() - begun}

    def fill(self, files):
        for name, data in files.items():
            (self.trial / name).parent.mkdir(parents=True, exist_ok=True)
            (self.trial / name).write_bytes(data)

    def bundle(self, rng):
        """A byte of any file with a hash: refused, and the file named."""
        self.fill(self.whole)
        name = str(rng.choice(sorted(set(self.whole) - {"made.json"})))
        changed = mutated(self.whole[name], rng)
        (self.trial / name).write_bytes(changed)
        result = verify(self.trial, orders=0)
        if changed == self.whole[name]:
            return "read" if result.exact else "a sound bundle was not exact"
        named = result.faults and name in result.faults[0].where and not result.checks
        return "refused" if result.exit_status == 2 and named else f"{name}: {result}"

    def archive(self, rng):
        """A byte of an archive: refused."""
        whole = zipped.pack(self.whole)
        changed = mutated(whole, rng)
        path = self.folder / "trial.zip"
        path.write_bytes(changed)
        result = verify(path, orders=0)
        if changed == whole:
            return "read" if result.exact else "a sound bundle was not exact"
        return "refused" if result.exit_status == 2 and not result.checks else str(result)

    def signed(self, rng):
        """An entry of a JSON file, or of the header or arrays of the others, with right hashes: an answer, any."""
        self.fill(self.whole)
        name = str(rng.choice(sorted(set(self.whole) - {"made.json"})))
        if name.endswith(".json"):
            self.fill({name: json.dumps(odd_json(json.loads(self.whole[name]), rng)).encode()})
        elif name == "network.npz":
            self.fill({name: self.odd_network(rng)})
        else:
            header, arrays = read_arrays(self.trial / name, what="neurodeploy golden vectors", version=1)
            self.fill({name: pack_arrays(*self.odd_arrays(header, arrays, rng))})
        if name == "manifest.json":
            self.fill({name: sealed(odd_json(json.loads(self.whole[name]), rng))})
        else:
            resigned(self.trial)
        result = verify(self.trial, orders=0)
        return {0: "answered", 1: "answered", 2: "refused", 3: "answered"}[result.exit_status]

    def odd_arrays(self, header, arrays, rng):
        """A header with an odd entry, or arrays of which one is odd."""
        if rng.random() < 0.5:
            for _ in range(int(rng.integers(1, 4))):
                header = odd_json(header, rng)
            return header, arrays
        name = str(rng.choice(sorted(arrays)))
        array, kind = arrays[name], int(rng.integers(0, 4))
        if kind == 0:
            return header, {n: v for n, v in arrays.items() if n != name}
        odd = (
            array.astype("U9" if rng.random() < 0.5 else complex) if array.dtype.kind in "iub" else array.astype("S"),
            array[..., None],
            array.reshape(-1)[:-1],
        )[kind - 1]
        return header, arrays | {name: odd}

    def odd_network(self, rng):
        header, arrays = read_arrays(self.folder / "bundle.nd" / "network.npz", what=NETWORK, version=1)
        header, arrays = self.odd_arrays(header, arrays, rng)
        header = header | {"content": network_digest(header, arrays)}
        return pack_arrays(header, arrays)

    def network(self, rng):
        """A network file with a right digest: refused, or each array as NumPy reads it."""
        path = self.folder / "trial.npz"
        path.write_bytes(self.odd_network(rng))
        network = nd.load_network(path)
        with np.load(path, allow_pickle=False) as plain:
            header = json.loads(plain["header"].tobytes())
            for i, g in enumerate(network.groups):
                raw = header["groups"][i]
                same = (g.name, g.kind, g.size) == (raw["name"], raw["kind"], raw["size"])
                if not same or any(not np.array_equal(v, plain[f"group{i}.{n}"]) for n, v in g.parameters.items()):
                    return f"another group {g.name}"
            for i, p in enumerate(network.projections):
                if any(not np.array_equal(v, plain[f"projection{i}.{n}"]) for n, v in p.fields.items()):
                    return f"another projection {p.source} -> {p.target}"
        return "read"

    def model(self, rng):
        """A model file: refused, or every tensor and description as the bytes of the file say."""
        whole = self.files["model.safetensors"]
        size = struct.unpack("<Q", whole[:8])[0]
        if rng.random() < 0.5:
            whole = mutated(whole, rng)
        else:
            head = json.loads(whole[8 : 8 + size])
            if rng.random() < 0.7:
                head["__metadata__"]["neurodeploy"] = json.dumps(
                    odd_json(json.loads(head["__metadata__"]["neurodeploy"]), rng)
                )
            else:
                head = odd_json(head, rng)
            text = json.dumps(head).encode()
            whole = struct.pack("<Q", len(text)) + text + whole[8 + size :]
        path = self.folder / "trial.safetensors"
        path.write_bytes(whole)
        model, info = nd.load_model(path)
        size = struct.unpack("<Q", whole[:8])[0]
        head = json.loads(whole[8 : 8 + size])
        told = json.loads(head.pop("__metadata__")["neurodeploy"])
        state = model.state_dict()
        if list(info.layers) != told["layers"] or info.dt_s != told["dt_s"] or set(state) != set(head):
            return "another description"
        for name, entry in head.items():
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            plain = np.frombuffer(
                whole[begin:end], {"F32": "<f4", "F64": "<f8", "I64": "<i8", "BOOL": "?"}[entry["dtype"]]
            )
            if not np.array_equal(plain.reshape(entry["shape"]), state[name].numpy()):
                return f"another tensor {name}"
        return "read"

    def data(self, rng):
        """Count data: refused, or the counts, labels and step as NumPy reads them."""
        path = self.folder / "trial.npz"
        if rng.random() < 0.5:
            path.write_bytes(mutated(self.files["data.npz"], rng))
        else:
            with np.load(self.folder / "data.npz") as plain:
                _, arrays = self.odd_arrays({"": 0}, dict(plain), rng)
            np.savez(path, **arrays)
        read = nd.load_data(path)
        with np.load(path, allow_pickle=False) as plain:
            same = np.array_equal(read.input, plain["input"]) and read.dt_s == float(plain["dt_s"])
            same = same and ("label" not in plain or np.array_equal(read.label, plain["label"]))
        return "read" if same else "other data"

    def chip(self, rng):
        """A chip file: refused, or what tomllib reads."""
        folder = self.folder / "small"
        folder.mkdir(exist_ok=True)
        text = odd_text(SOUND, rng)
        (folder / "chip.toml").write_text(text)
        read = chip(folder)
        plain = json.loads(json.dumps(tomllib.loads(text), default=str))
        for kinds in (plain["neuron"], plain["connection"]):  # one like another, but for what it says itself
            for name in [n for n, entry in kinds.items() if "like" in entry]:
                kinds[name] = {n: v for n, v in (kinds[kinds[name]["like"]] | kinds[name]).items() if n != "like"}
        return "read" if read.raw == plain else "another chip"

    def samna(self, rng):
        """A configuration: refused, or a network of which the same configuration is made."""
        odd = odd_json(self.configuration, rng)
        made = to_configuration(from_configuration(odd))
        left_out = {"note", "unverified"}
        differing = {n for n in {*odd, *made} - left_out if n in odd and odd[n] != made.get(n)}
        return "read" if not differing else f"other entries: {sorted(differing)}"

    def command(self, rng):
        """A line of the command line with odd files and arguments: an exit status, and a reason where it is not 0."""
        self.fill(self.whole)
        path = self.folder / "trial.npz"
        path.write_bytes(mutated(self.files["data.npz"], rng) if rng.random() < 0.5 else self.files["data.npz"])
        model = self.folder / "trial.safetensors"
        model.write_bytes(self.files["model.safetensors"])
        lines = (
            ["simulate", self.trial, path],
            ["check", model, "--target", "xylo_imu"],
            ["convert", model, "--target", "xylo_imu", "--data", path, "--out", self.folder / "other.nd"],
            ["map", self.trial],
            ["emit", self.trial, "--out", self.folder / "a.json"],
            ["verify", self.trial],
            ["targets", "show", "xylo_imu"],
            ["explain", "ND1801"],
        )
        line = [str(part) for part in lines[int(rng.integers(0, len(lines)))]]
        at, words = (
            int(rng.integers(1, len(line))),
            ["", "-1", "nan", "--json", "--out", "\0", "ä" * 300, "/", "..", "*", "a b"],
        )
        if rng.random() < 0.7:
            line[at : at + int(rng.integers(0, 2))] = [str(rng.choice(words))]
        answer = run(*line)
        said = answer.out or answer.err
        return ("answered" if answer.status == 0 else "refused") if answer.status in range(4) and said else str(answer)


def judgements(folder, first, many):
    """What became of some mutants, one after the other."""
    torch.set_num_threads(1)
    fuzz = Fuzz(folder)
    for seed in range(first, first + many):
        yield fuzz.judge(seed)


if __name__ == "__main__":
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for line in judgements(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])):
        print(canonical_json(line).replace("\n", ""))  # noqa: T201 - its answer
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"kib": peak}))  # noqa: T201 - the last line
