"""Recorded runs of float layers: files that say which layer, which options and which input."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurodeploy.errors import Fault, Refusal
from neurodeploy.fixed.floats import Floats
from neurodeploy.layers import Neuron
from neurodeploy.layers.registry import LAYERS


@dataclass(frozen=True)
class Recorded:
    """One run: the layer in double precision, without the compatibility modes of its source, and its input.

    neuron : class, and with which options that other rows have not
    x : (time, batch, neuron)
    """

    neuron: str
    name: str
    layer: Neuron
    x: Floats


def recorded_runs(folder: str | Path) -> Iterator[Recorded]:
    """Runs of all .json files of a folder, in their order; each once where only a compatibility mode differs.

    Raises Refusal (ND1401) where there are none.
    """
    seen: set[str] = set()
    files = sorted(Path(folder).glob("*.json"))
    for file in files:
        for case in json.loads(file.read_text())["cases"]:
            options = {name: value for name, value in case["options"].items() if name != "compat"}
            key = json.dumps([case["layer"], options, case["x"]])
            if key not in seen:
                seen.add(key)
                yield _recorded(case, options)
    if not files:
        raise Refusal(Fault("ND1401", str(folder), "no .json file", "recorded runs of float layers"))


def _recorded(case: Mapping[str, Any], options: dict[str, Any]) -> Recorded:
    x = np.stack([_unrolled(column) for column in case["x"]], axis=1)[:, None]
    given = {n: torch.tensor(v) if isinstance(v, list) and n != "rec_connect" else v for n, v in options.items()}
    if "rec_connect" in options:
        weight, bias = (torch.tensor(part) for part in options["rec_connect"])
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bool(bias.any()))
        linear.weight.data = weight
        if bias.any():
            linear.bias.data = bias
        given["rec_connect"] = linear
    layer: Any = LAYERS[case["layer"]](x.shape[-1], **given)
    kind = case["layer"] + (" with a synapse" if options.get("tau_syn") is not None else "")
    return Recorded(kind, case["name"], layer.double(), x)


def _unrolled(column: Sequence[Any]) -> Floats:
    """Values of a column, whose runs stand as "value*count"."""
    values: list[float] = []
    for entry in column:
        value, _, count = str(entry).partition("*")
        values += [float(value)] * int(count or 1)
    return np.array(values)
