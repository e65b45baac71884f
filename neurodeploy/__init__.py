"""From a trained spiking network to the integer configuration of a neuromorphic chip, simulated bit for bit.

``import neurodeploy as nd`` loads nothing heavy; each name below is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurodeploy.ann import convert_ann, read_onnx
    from neurodeploy.approximation import approximate
    from neurodeploy.bundles import bundle, verify
    from neurodeploy.checker import check
    from neurodeploy.chips import chip
    from neurodeploy.conversion import convert
    from neurodeploy.evaluation import evaluate
    from neurodeploy.events import data, load_data, load_events, moving_edge, save_data, save_events, stimulus
    from neurodeploy.fixed import derive
    from neurodeploy.foreign import adopt
    from neurodeploy.layers import Graph
    from neurodeploy.mapper import map_network as map  # noqa: A004 - the name of the pass; reached as nd.map
    from neurodeploy.models import load_model, save_model
    from neurodeploy.network import load_network, place_identity, save_network
    from neurodeploy.nir import read_nir, write_nir
    from neurodeploy.proofs import prove
    from neurodeploy.quantizer import constrain, quantize
    from neurodeploy.report import measure_fidelity, write_report
    from neurodeploy.simulator import simulate
    from neurodeploy.streams import stream
    from neurodeploy.training import run_model, train
    from neurodeploy.verifier import compare, load_trace, observe_orders, save_trace
    from neurodeploy.widths import Budget, search

#: public name -> (module, name there)
_HOME = {
    "Budget": ("widths", "Budget"),
    "Graph": ("layers", "Graph"),
    "adopt": ("foreign", "adopt"),
    "approximate": ("approximation", "approximate"),
    "bundle": ("bundles", "bundle"),
    "check": ("checker", "check"),
    "chip": ("chips", "chip"),
    "compare": ("verifier", "compare"),
    "constrain": ("quantizer", "constrain"),
    "convert": ("conversion", "convert"),
    "convert_ann": ("ann", "convert_ann"),
    "data": ("events", "data"),
    "derive": ("fixed", "derive"),
    "evaluate": ("evaluation", "evaluate"),
    "load_data": ("events", "load_data"),
    "load_events": ("events", "load_events"),
    "load_model": ("models", "load_model"),
    "load_network": ("network", "load_network"),
    "load_trace": ("verifier", "load_trace"),
    "map": ("mapper", "map_network"),
    "measure_fidelity": ("report", "measure_fidelity"),
    "moving_edge": ("events", "moving_edge"),
    "observe_orders": ("verifier", "observe_orders"),
    "place_identity": ("network", "place_identity"),
    "prove": ("proofs", "prove"),
    "quantize": ("quantizer", "quantize"),
    "read_nir": ("nir", "read_nir"),
    "read_onnx": ("ann", "read_onnx"),
    "run_model": ("training", "run_model"),
    "save_data": ("events", "save_data"),
    "save_events": ("events", "save_events"),
    "save_model": ("models", "save_model"),
    "save_network": ("network", "save_network"),
    "save_trace": ("verifier", "save_trace"),
    "search": ("widths", "search"),
    "simulate": ("simulator", "simulate"),
    "stimulus": ("events", "stimulus"),
    "stream": ("streams", "stream"),
    "train": ("training", "train"),
    "write_nir": ("nir", "write_nir"),
    "write_report": ("report", "write_report"),
    "verify": ("bundles", "verify"),
}

__all__ = [
    "Budget",
    "Graph",
    "adopt",
    "approximate",
    "bundle",
    "check",
    "chip",
    "compare",
    "constrain",
    "convert",
    "convert_ann",
    "data",
    "derive",
    "evaluate",
    "load_data",
    "load_events",
    "load_model",
    "load_network",
    "load_trace",
    "map",
    "measure_fidelity",
    "moving_edge",
    "observe_orders",
    "place_identity",
    "prove",
    "quantize",
    "read_nir",
    "read_onnx",
    "run_model",
    "save_data",
    "save_events",
    "save_model",
    "save_network",
    "save_trace",
    "search",
    "simulate",
    "stimulus",
    "stream",
    "train",
    "verify",
    "write_nir",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'neurodeploy' has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(import_module(f"neurodeploy.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
