"""NIR, the file between the tools: read and written on h5py alone, with a stated meaning for what it does not say."""

from neurodeploy.nir.contract import UNSTATED, Contract
from neurodeploy.nir.presets import PRESETS
from neurodeploy.nir.reading import NirInspection, NirModel, build_model, inspect_nir, read_nir, settle_contract
from neurodeploy.nir.report import Became, NirReport
from neurodeploy.nir.writing import write_nir

__all__ = [
    "PRESETS",
    "UNSTATED",
    "Became",
    "Contract",
    "NirInspection",
    "NirModel",
    "NirReport",
    "build_model",
    "inspect_nir",
    "read_nir",
    "settle_contract",
    "write_nir",
]
