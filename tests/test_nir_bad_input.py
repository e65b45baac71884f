"""Damaged, huge and hostile NIR files: a refusal, in bounded time and memory, or the network that stands there."""

import json
import os
import resource
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import h5py
import nir_fuzz
import numpy as np
import pytest
from nir_files import DT, affine, end, graph, neurons, write

import neurodeploy as nd
from neurodeploy.errors import Refusal
from neurodeploy.nir.child import ChildFailedError, in_child
from neurodeploy.nir.file import MAX_EDGES, MAX_NODES

HERE = Path(__file__).parent
SECONDS, KIB = 10, 2 << 20
RNG = np.random.default_rng(0)
STATED = {"dt_s": DT, "integrator": "euler", "comparison": ">", "max_spikes": 1, "v_min": None, "reset": "zero"}


def good():
    return {
        "input": end("Input", 5),
        "fc": affine(RNG, 4, 5),
        "n": neurons("LIF", (4,)),
        "output": end("Output", 4),
    }


def refused(path):
    with pytest.raises(Refusal) as caught:
        nd.read_nir(path, **STATED)
    assert caught.value.exit_status == 2
    return str(caught.value)


def mutants(folder, first, many):
    """What became of mutated files, seed by seed, in a process of its own."""
    command = [sys.executable, str(HERE / "nir_fuzz.py"), str(folder), str(first), str(many)]
    path = os.pathsep.join([str(Path(nd.__file__).parents[1]), str(HERE)])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)  # noqa: S603 - our own
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"died after {lines[-1:]}: {done.stderr[-500:]}"
    return lines


@pytest.mark.parametrize(
    ("first", "many"),
    [
        (0, 20),
        *(pytest.param(n, 500, marks=pytest.mark.slow if n < 1000 else pytest.mark.long) for n in range(0, 2000, 500)),
    ],
)
def test_a_mutated_file_is_refused_or_is_the_network_of_a_plain_reading(tmp_path, count, first, many):
    found = mutants(tmp_path, first, many) if many > 100 else list(nir_fuzz.judgements(tmp_path, first, many))
    assert [line["seed"] for line in found] == list(range(first, first + many))
    assert [line for line in found if line["outcome"] not in ("refused", "read")] == []
    read = [line for line in found if line["outcome"] == "read"]
    assert [line for line in read if not line["same"] or line["output"] is False] == []
    assert sum(line["output"] is True for line in read) > many // 20
    assert max(line["s"] for line in found) < SECONDS
    assert max(line["kib"] for line in found) < KIB
    count("mutated files judged", many)


@pytest.mark.parametrize("keep", [0, 1, 50, 99])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = write(tmp_path / "a.nir", good())
    nd.read_nir(path, **STATED)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * keep // 100])
    assert "it cannot be read" in refused(path)


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path):
    assert "it cannot be read (No such file or directory)" in refused(tmp_path / "none.nir")
    assert "it cannot be read" in refused(tmp_path)


def with_link(file):
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc/weight"] = h5py.SoftLink("/version")


def with_outside(file):
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc/weight"] = h5py.ExternalLink("/etc/passwd", "/x")


def with_external_data(file):
    del file["node/nodes/fc/weight"]
    file.create_dataset("node/nodes/fc/weight", (4, 5), "f4", external=[("elsewhere.bin", 0, 80)])


def with_itself(file):
    file["node/nodes/again"] = file["node"]


def with_a_huge_shape(file):
    del file["node/nodes/fc/weight"]
    file.create_dataset("node/nodes/fc/weight", (1 << 20, 1 << 20), "f8", chunks=(64, 64), fillvalue=1.0)


def with_a_huge_chunk(file):
    del file["node/nodes/fc/bias"]
    file.create_dataset("node/nodes/fc/bias", (4,), "f8", chunks=(1 << 27,), maxshape=(None,), compression="gzip")


def with_text(file):
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc/weight"] = np.array([["a"] * 5] * 4, dtype=h5py.string_dtype())


def with_complex(file):
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc/weight"] = np.ones((4, 5), complex)


def with_records(file):
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc/weight"] = np.zeros(4, [("a", "f4"), ("b", "i4")])


def with_numbers_as_edges(file):
    del file["node/edges"]
    file["node/edges"] = np.zeros((3, 2))


def with_three_names_in_an_edge(file):
    del file["node/edges"]
    file["node/edges"] = np.array([["a", "b", "c"]], dtype=h5py.string_dtype())


def with_a_group_as_field(file):
    del file["node/nodes/fc/weight"]
    file.create_group("node/nodes/fc/weight")


def without_type(file):
    del file["node/nodes/n/type"]


def with_a_number_as_type(file):
    del file["node/nodes/n/type"]
    file["node/nodes/n/type"] = 3


def with_an_empty_field(file):
    del file["node/nodes/n/r"]
    file["node/nodes/n/r"] = h5py.Empty("f4")


def without_nodes(file):
    del file["node/nodes"]


def deep(file):
    at = file["node/nodes"].create_group("sub")
    for _ in range(30):
        inner = {"input": end("Input", 5), "output": end("Output", 5)}
        graph(at, inner)
        at = at["nodes"].create_group("sub")


HOSTILE = {
    with_link: "'weight' is a link to somewhere else",
    with_outside: "'weight' is a link to somewhere else",
    with_external_data: "'weight' lies in another file",
    with_itself: "stands in two places",
    with_a_huge_shape: "asks for 8,796,093,022,208 bytes; at most",
    with_a_huge_chunk: "asks for 1,073,741,824 bytes; at most",
    with_text: "numbers, or one string",
    with_complex: "'weight' is of type complex128; numbers of at most 64 bits",
    with_records: "'weight' is of type [('a', '<f4'), ('b', '<i4')]",
    with_numbers_as_edges: "edges: float64 of shape (3, 2); at most",
    with_three_names_in_an_edge: "edges: object of shape (1, 3); at most",
    with_a_group_as_field: "'weight' is no array",
    without_type: "node 'n': no 'type'",
    with_a_number_as_type: "node 'n': type is no string",
    with_an_empty_field: "'r' is no array",
    without_nodes: "the graph: no 'nodes'",
    deep: "graphs nested 17 deep; at most 20,000 nodes, 16 deep",
}


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__)
def test_a_hostile_file_is_refused_before_memory_is_taken(tmp_path, change):
    path = write(tmp_path / "a.nir", good())
    with h5py.File(path, "r+") as file:
        change(file)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert HOSTILE[change] in refused(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_too_many_nodes_and_edges_are_refused_by_their_number(tmp_path):
    path = write(tmp_path / "a.nir", good())
    with h5py.File(path, "r+") as file:
        nodes = file["node/nodes"]
        for number in range(MAX_NODES):
            nodes[f"x{number}"] = nodes["fc"]
    assert "more than 20,000 nodes; at most 20,000 nodes" in refused(path)
    path = write(tmp_path / "b.nir", good())
    with h5py.File(path, "r+") as file:
        del file["node/edges"]
        file.create_dataset("node/edges", (MAX_EDGES + 1, 2), h5py.string_dtype())
    assert "edges: object of shape (100001, 2); at most 100,000 pairs of names" in refused(path)


def test_a_long_chain_is_read_without_recursion(tmp_path):
    many = 300
    chain = {"input": end("Input", 2), **{f"s{i}": {"type": "Scale", "scale": np.ones(2)} for i in range(many)}}
    names = [*chain, "output"]
    ring = [*pairwise(names), (f"s{many - 1}", "s0")]
    path = write(tmp_path / "a.nir", chain | {"output": end("Output", 2)}, ring)
    told = refused(path)
    assert "a cycle of 's0', 's1'" in told
    assert "and 288 more" in told


def test_work_that_hangs_dies_or_takes_too_much_is_ended():
    from contextlib import nullcontext

    bounds = {"seconds": 1.0, "more_bytes": 1 << 28, "holding": nullcontext()}
    assert in_child(lambda: b"x" * 3_000_000, **bounds) == b"x" * 3_000_000
    begun = time.monotonic()
    with pytest.raises(ChildFailedError, match="reading took longer than 1 s"):
        in_child(lambda: time.sleep(30) or b"late", **bounds)
    assert time.monotonic() - begun < SECONDS
    for fails in (lambda: os._exit(3), lambda: os.kill(os.getpid(), 11), lambda: bytes(1 << 30)):
        with pytest.raises(ChildFailedError, match="failed on it"):
            in_child(fails, **bounds)
