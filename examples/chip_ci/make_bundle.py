"""Writes digits.nd, the bundle that is deployed and that the tests verify."""

from network import HERE, INPUT, build

import neurodeploy as nd

nd.bundle(build(), INPUT, HERE / "tests" / "digits.nd")
