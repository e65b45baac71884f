"""What makes two networks the same: chip, registers, synapses and places; not what is noted about their making."""

import hashlib
from dataclasses import asdict

import numpy as np

from neurodeploy.archive import canonical_json
from neurodeploy.network.network import Network


def identity(network: Network) -> str:
    """Hash of everything that decides what a network computes; notes are left out."""
    described = {
        "chip": network.chip.digest,
        "spoken": network.chip.spoken,
        "dt_s": None if network.dt_s is None else float(network.dt_s),
        "groups": [[g.name, g.kind, int(g.size), list(g.shape)] for g in network.groups],
        "projections": [
            [p.kind, p.source, p.target, dict(p.parameters), asdict(p.geometry) if p.geometry else None]
            for p in network.projections
        ],
    }
    digest = hashlib.sha256(canonical_json(described).encode())
    for g in network.groups:
        held = dict(g.parameters) | ({} if g.ids is None else {"@ids": g.ids})
        _add(digest, held)
    for p in network.projections:
        _add(digest, dict(p.fields) | {"@sources": p.sources, "@targets": p.targets})
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]) -> None:
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(arrays[name], "<i8").tobytes())
