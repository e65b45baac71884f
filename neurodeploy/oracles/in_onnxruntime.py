"""onnxruntime: runs the ONNX model that the step texts of a clocked chip become.

Another program computes our own texts: a difference is a defect of an executor or of the model, and equality says
nothing about the chip. No chip names it as an oracle of its own.
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.chips.part import Grade
from neurodeploy.emit.onnx import OPSET, to_run_model
from neurodeploy.errors import Fault, Refusal, missing_extra
from neurodeploy.network import Network
from neurodeploy.simulator import Trace, assemble, external_counts

NAME = "onnxruntime"
GRADE: Grade = "inferred"
#: -5 - 2 = -7, divided by 2 toward zero, as ONNX has it.
PROBE = """
import numpy, onnxruntime
from onnx import TensorProto, helper
tensor = lambda name: helper.make_tensor_value_info(name, TensorProto.INT64, [1])
nodes = [helper.make_node("Sub", ["a", "b"], ["c"]), helper.make_node("Div", ["c", "b"], ["y"])]
graph = helper.make_graph(nodes, "probe", [tensor("a"), tensor("b")], [tensor("y")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
own = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
answers = own.run(None, {"a": numpy.array([-5]), "b": numpy.array([2])})[0].tolist() == [-3]
"""


def faults(network: Network) -> list[Fault]:
    """Why it cannot run a network: events drive the chip."""
    if not network.chip.event_driven:
        return []
    where, was = f"{network.chip.name}, oracle {NAME}", "events drive the chip"
    return [Fault("ND2003", where, was, "a chip that takes steps", "choose another oracle")]


def observe(network: Network, counts: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> Trace:
    """Counts and states of every group at every step."""
    try:
        import onnxruntime
    except ImportError:
        raise missing_extra(NAME, "oracles", f"oracle {NAME}") from None
    machine = assemble(network)
    external, steps, batch = external_counts(network, machine, counts, raw=True)
    if 0 in {steps, batch}:
        was = f"{steps} steps of {batch} samples"
        raise Refusal(Fault("ND2001", f"{network.chip.name}, oracle {NAME}", was, "at least one of each"))
    given = {g.name: external[g.kind][:, :, machine.lanes[g.kind].slices[g.name]] for g in network.inputs()}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    content = to_run_model(network, states=True).SerializeToString()
    own = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [v.name for v in own.get_outputs() if not v.name.endswith(".final")]
    found: dict[str, Any] = dict(zip(names, own.run(names, given), strict=True))
    kinds = network.chip.neurons
    states = {g.name: {s: np.asarray(found[f"{g.name}.{s}"]) for s in kinds[g.kind].states} for g in network.groups}
    emitted = {g.name: states[g.name][kinds[g.kind].emits] for g in network.groups}
    return Trace(f"{NAME} {version(NAME)}, our texts in opset {OPSET}", emitted, states, GRADE)
