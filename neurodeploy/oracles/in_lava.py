"""Runs in a Python that has lava-nc: cases on the standard input, what its process models make of them on the output.

It imports nothing of ours. The models are Lava's own, bit-accurate ones; they are stepped here one after the other, as
their ports would: first every synapse sends what it has summed up, then the neurons step, then synapses take spikes.
"""

import dataclasses
import json
import sys
import time
from typing import Any

import numpy as np

Case = dict[str, Any]
_dataclass: Any = dataclasses.dataclass


def hashable(cls: Any = None, /, **options: Any) -> Any:
    """Let lava 0.10.0, written for Python 3.10, be imported: it has dataclasses with defaults that need a hash."""
    if cls is None:
        return lambda late: hashable(late, **options)
    if cls.__module__.startswith("lava.") and not options.get("frozen"):
        options.setdefault("unsafe_hash", True)
    return _dataclass(cls, **options)


dataclasses.dataclass = hashable
from lava.proc.atrlif.models import PyATRLIFModelFixed  # noqa: E402
from lava.proc.conv.models import PyConvModelFixed  # noqa: E402
from lava.proc.dense.models import PyDelayDenseModelBitAcc, PyDenseModelBitAcc  # noqa: E402
from lava.proc.lif.models import PyLifModelBitAcc, PyLifResetModelBitAcc  # noqa: E402
from lava.utils.weightutils import SignMode  # noqa: E402

dataclasses.dataclass = _dataclass


class Port:
    """A port that holds what is sent through it."""

    def __init__(self) -> None:
        self.data: Any = None

    def send(self, data: Any) -> None:
        """Keep a copy."""
        self.data = np.array(data)

    def recv(self) -> Any:
        """What was sent last."""
        return self.data


class Lif:
    """A LIF process, with a periodic reset where one is asked for."""

    states = ("u", "v")

    def __init__(self, size: int, p: Case) -> None:
        every, first = p.get("reset_interval", [0])[0], p.get("reset_first", [0])[0]
        if not min(every, 1) <= first <= every:
            raise ValueError(f"a reset first at step {first} and then every {every}: Lava begins in the first period")
        options = {"reset_interval": every, "reset_offset": first % every} if every else {}
        self.model = (PyLifResetModelBitAcc if every else PyLifModelBitAcc)(options)
        self.model.u, self.model.v = np.zeros(size, np.int32), np.zeros(size, np.int32)
        for name in ("du", "dv", "vth"):
            setattr(self.model, name, np.array(p[name], np.int32))
        for name in ("bias_mant", "bias_exp"):
            setattr(self.model, name, np.array(p[name], np.int16))
        self.model.a_in, self.model.s_out = Port(), Port()


class Atrlif:
    """An ATRLIF process; decays are given in 4096ths, thresholds in the unit of v."""

    states = ("i", "v", "theta", "r")

    def __init__(self, size: int, p: Case) -> None:
        self.model = PyATRLIFModelFixed({})
        for name in ("i", "v", "theta", "r"):
            setattr(self.model, name, np.zeros(size, np.int32))
        self.model.s = np.zeros(size, bool)
        for name in ("delta_i", "delta_v", "delta_theta", "delta_r"):
            setattr(self.model, name, np.array(p[name]) / 4096)
        self.model.theta_0, self.model.theta_step = np.array(p["theta_0"]) / 64, p["theta_step"][0] / 64
        for name in ("bias_mant", "bias_exp"):
            setattr(self.model, name, np.array(p[name], np.int16))
        self.model.a_in, self.model.s_out = Port(), Port()


class Dense:
    """A Dense process, or DelayDense where some synapse has a delay."""

    def __init__(self, projection: Case, size: int) -> None:
        fields, p = projection["fields"], projection["parameters"]
        weights, delays = (np.array(fields[n], np.int32).T for n in ("weights", "delays"))
        late = bool(delays.any())
        settings = {n: p[n] for n in ("weight_exp", "num_weight_bits")} | {"sign_mode": SignMode(p["sign_mode"])}
        self.model = (PyDelayDenseModelBitAcc if late else PyDenseModelBitAcc)(settings)
        self.model.weights, self.model.num_message_bits = weights.copy(), np.array([0])
        self.model.a_buff = np.zeros((size, int(delays.max()) + 1) if late else size, np.int32)
        if late:
            self.model.delays = delays
        self.model.s_in, self.model.a_out, self.late = Port(), Port(), late

    def sent(self) -> Any:
        """What it sends in this step."""
        return self.model.a_buff[:, 0] if self.late else self.model.a_buff

    def take(self, spikes: Any) -> None:
        """Let it sum up what the spikes of this step bring."""
        self.model.s_in.send(spikes)
        self.model.run_spk()


class Conv:
    """A Conv process: maps as (row, column, channel), kernels flipped in both, since Lava convolves."""

    def __init__(self, projection: Case, size: int) -> None:
        geometry = projection["geometry"]
        kernel = np.array(projection["fields"]["weight"], np.int32).reshape(geometry["kernel"])
        self.source, self.size = geometry["source"], size
        self.model = PyConvModelFixed({})
        self.model.weight = np.ascontiguousarray(kernel[:, :, ::-1, ::-1].transpose(0, 2, 3, 1))
        for name, value in (("kernel_size", kernel.shape[2:]), ("dilation", (1, 1)), ("groups", [geometry["groups"]])):
            setattr(self.model, name, np.array(value))
        self.model.stride, self.model.padding = np.array(geometry["stride"]), np.array(geometry["padding"])
        self.model.num_message_bits, self.model.a_buf = np.array([0]), np.zeros(1, np.int32)
        self.model.s_in, self.model.a_out, self.first = Port(), Port(), True

    def sent(self) -> Any:
        """What it sends in this step."""
        if self.first:
            return np.zeros(self.size, np.int32)
        return np.asarray(self.model.a_buf).transpose(2, 0, 1).reshape(-1)

    def take(self, spikes: Any) -> None:
        """Let it sum up what the spikes of this step bring."""
        self.model.s_in.send(spikes.reshape(self.source).transpose(1, 2, 0))
        self.model.run_spk()
        self.first = False


NEURONS: Case = {"LIF": Lif, "ATRLIF": Atrlif}
SYNAPSES: Case = {"Dense": Dense, "Conv": Conv}


def run(case: Case, sample: int) -> tuple[dict[tuple[str, str], list[Any]], float]:
    """Return (group, name) -> (time, neuron) of one sample, and the seconds that the models took."""
    sizes = {g["name"]: g["size"] for g in case["groups"]}
    neurons = {g["name"]: NEURONS[g["role"]](g["size"], g["parameters"]) for g in case["groups"] if "counts" not in g}
    links = [(p["source"], p["target"], SYNAPSES[p["role"]](p, sizes[p["target"]])) for p in case["projections"]]
    course: dict[tuple[str, str], list[Any]] = {
        (n, what): [] for n, neuron in neurons.items() for what in ("spikes", *neuron.states)
    }
    seconds = 0.0
    for t in range(case["steps"]):
        spikes = {g["name"]: np.array(g["counts"][t][sample]) for g in case["groups"] if "counts" in g}
        arrived = {n: np.zeros(sizes[n], np.int32) for n in neurons}
        begin = time.perf_counter()
        for _, target, link in links:
            arrived[target] = arrived[target] + link.sent().astype(np.int32)
        for n, neuron in neurons.items():
            neuron.model.time_step = t + 1
            neuron.model.a_in.send(arrived[n])
            neuron.model.run_spk()
            spikes[n] = neuron.model.s_out.data
        for source, _, link in links:
            link.take(spikes[source].astype(int))
        seconds += time.perf_counter() - begin
        for n, neuron in neurons.items() if t >= case["first"] else ():
            course[n, "spikes"].append(spikes[n].astype(int).tolist())
            for what in neuron.states:
                course[n, what].append(getattr(neuron.model, what).tolist())
    return course, seconds


def run_on_runtime(case: Case) -> Case:
    """Let Lava's own runtime take all steps of one sample: each process in a process of the system, messages between.

    Returns the states after the last step, and the seconds of its ``run``; making the network and starting it is not
    counted. It has LIF and Dense processes without delays.
    """
    dataclasses.dataclass = hashable
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.dense.process import Dense as DenseProcess
    from lava.proc.io.source import RingBuffer
    from lava.proc.lif.process import LIF as LifProcess  # noqa: N811 - Lava's name

    dataclasses.dataclass = _dataclass
    processes: Case = {}
    for g in case["groups"]:
        name, p = g["name"], g["parameters"]
        if "counts" in g:
            processes[name] = RingBuffer(data=np.array(g["counts"], np.int32)[:, 0].T)
        else:
            several = [n for n, values in p.items() if len(set(values)) > 1]
            if g["role"] != "LIF" or several or any(p.get("reset_interval", [0])):
                raise ValueError(f"group {name}: LIF neurons without resets, and one value for all of {several}")
            shared = {n: p[n][0] for n in ("du", "dv", "vth", "bias_mant", "bias_exp")}
            processes[name] = LifProcess(shape=(g["size"],), **shared)
    for p in case["projections"]:
        if p["role"] != "Dense" or np.any(p["fields"]["delays"]):
            raise ValueError("matrices without delays")
        settings = p["parameters"] | {"sign_mode": SignMode(p["parameters"]["sign_mode"])}
        link = DenseProcess(weights=np.array(p["fields"]["weights"]).T, **settings)
        processes[p["source"]].s_out.connect(link.s_in)
        link.a_out.connect(processes[p["target"]].a_in)
    neurons = {n: process for n, process in processes.items() if isinstance(process, LifProcess)}
    first = next(iter(neurons.values()))
    first.create_runtime(Loihi2SimCfg(select_tag="fixed_pt"))
    begin = time.perf_counter()
    first.run(condition=RunSteps(num_steps=case["steps"]))
    seconds = time.perf_counter() - begin
    states = {n: {s: [[getattr(p, s).get().astype(int).tolist()]] for s in Lif.states} for n, p in neurons.items()}
    first.stop()
    return {"groups": {n: {"spikes": [], "states": many} for n, many in states.items()}, "seconds": seconds}


def answer(case: Case) -> Case:
    """Return group -> spikes and states, (time, batch, neuron), and seconds."""
    if case.get("runtime"):
        return run_on_runtime(case)
    samples, seconds = zip(*(run(case, sample) for sample in range(case["batch"])), strict=True)
    result: Case = {}
    for name, what in samples[0]:
        values = np.array([s[name, what] for s in samples]).swapaxes(0, 1).tolist()
        entry = result.setdefault(name, {"spikes": None, "states": {}})
        if what == "spikes":
            entry["spikes"] = values
        else:
            entry["states"][what] = values
    return {"groups": result, "seconds": sum(seconds)}


if __name__ == "__main__":
    json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
