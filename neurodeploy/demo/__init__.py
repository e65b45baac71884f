"""The demo: data, network and the whole way to a verified bundle."""

from neurodeploy.demo.pipeline import Demo, Trial, run_demo

__all__ = ["Demo", "Trial", "run_demo"]
