"""Runs in a Python that has nengo-loihi: cases on the standard input, what its emulator makes of them on the output.

It imports nothing of ours. Compartments, synapses and axons are nengo-loihi's own; weights pass its own quantizer.
"""

import json
import sys
import time
import warnings
from typing import Any

import numpy as np
from nengo_loihi.block import Axon, LoihiBlock, Synapse
from nengo_loihi.builder import Model
from nengo_loihi.builder.discretize import array_to_int, discretize_weights
from nengo_loihi.emulator import EmulatorInterface
from nengo_loihi.inputs import SpikeInput

Case = dict[str, Any]


def block_of(group: Case) -> Any:
    """Return compartments with the registers of a group."""
    block = LoihiBlock(group["size"], label=group["name"])
    cells, p = block.compartment, {n: np.array(v) for n, v in group["parameters"].items()}
    for name, values in (
        ("decay_u", p["decay_u"]),
        ("decay_v", p["decay_v"]),
        ("vth", p["vth_mant"] * 64),
        ("bias", p["bias_mant"] * 2 ** p["bias_exp"]),
    ):
        array_to_int(getattr(cells, name), values)
    cells.refract_delay[:] = p["refract_delay"]
    # one value for a whole block, as on the core; the emulator broadcasts it
    cells.vmin, cells.vmax = -(2 ** p["vmin_exp"]) + 1, 2 ** (9 + 2 * p["vmax_exp"]) - 1
    cells.scale_u = cells.scale_v = False
    return block


def synapse_of(projection: Case, n_axons: int) -> Any:
    """Return synapses whose weights nengo-loihi has rounded and shifted."""
    synapse, settings = Synapse(n_axons), projection["parameters"]
    synapse.set_weights(np.array(projection["fields"]["weight"], np.float32))
    widths = synapse.synapse_cfg.WEIGHT_BITS_MAP
    synapse.format(
        weight_exp=settings["weight_exp"],
        weight_bits=widths.index(settings["weight_bits"]),
        fanout_type=settings["fanout_type"],
    )
    for w in synapse.weights:
        array_to_int(w, discretize_weights(synapse.synapse_cfg, w.copy(), check_result=False))
    return synapse


def built(case: Case) -> tuple[Any, Case, Case]:
    """Return a model of a case, its spike inputs and its blocks by group."""
    model: Any = Model()
    inputs: Case = {}
    blocks: Case = {}
    for group in case["groups"]:
        if "counts" in group:
            inputs[group["name"]] = SpikeInput(group["size"])
            model.add_input(inputs[group["name"]])
        else:
            blocks[group["name"]] = block_of(group)
            model.add_block(blocks[group["name"]])
    sizes = {group["name"]: group["size"] for group in case["groups"]}
    for projection in case["projections"]:
        source = projection["source"]
        axon = Axon(sizes[source])
        axon.target = synapse_of(projection, sizes[source])
        axon.set_compartment_axon_map(np.arange(sizes[source]))
        blocks[projection["target"]].add_synapse(axon.target)
        (inputs if source in inputs else blocks)[source].add_axon(axon)
    return model, inputs, blocks


def run(case: Case, sample: int) -> tuple[dict[tuple[str, str], list[Any]], float]:
    """Return (group, name) -> (time, neuron) of one sample, and the seconds that the emulator's steps took."""
    model, inputs, blocks = built(case)
    for group in case["groups"]:
        for t, counts in enumerate(group.get("counts", [])):
            inputs[group["name"]].add_spikes(t + 1, np.flatnonzero(counts[sample]))
    emulator = EmulatorInterface(model, seed=0)
    cells, places = emulator.compartment, dict(emulator.block_info.slices)
    course: dict[tuple[str, str], list[Any]] = {
        (name, what): [] for name in blocks for what in ("spikes", "current", "voltage")
    }
    seconds = 0.0
    for step in range(case["steps"]):
        begin = time.perf_counter()
        emulator.step()
        seconds += time.perf_counter() - begin
        for name, block in blocks.items() if step >= case["first"] else ():
            for what, values in (("spikes", cells.spiked), ("current", cells.current), ("voltage", cells.voltage)):
                course[name, what].append(values[places[block]].astype(int).tolist())
    return course, seconds


def answer(case: Case) -> Case:
    """Return group -> spikes and states, (time, batch, neuron), and seconds."""
    samples, seconds = zip(*(run(case, sample) for sample in range(case["batch"])), strict=True)
    joined = {key: np.array([s[key] for s in samples]).swapaxes(0, 1).tolist() for key in samples[0]}
    names = [group["name"] for group in case["groups"] if "counts" not in group]
    groups = {
        name: {"spikes": joined[name, "spikes"], "states": {w: joined[name, w] for w in ("current", "voltage")}}
        for name in names
    }
    return {"groups": groups, "seconds": sum(seconds)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # it warns where registers overflow, which is what the cases are about
    json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
