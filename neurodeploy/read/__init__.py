"""Models of others as float models; one file per format."""

from neurodeploy.read.nir import NirModel, read_nir

__all__ = ["NirModel", "read_nir"]
