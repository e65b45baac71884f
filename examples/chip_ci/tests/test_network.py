"""Whoever changes the network or the board on purpose looks at the change and runs pytest --nd-update."""

import pytest
from network import INPUT, build


def test_the_network_computes_what_it_did(nd_simulate, nd_golden):
    nd_golden(nd_simulate(build(), INPUT))


@pytest.mark.neurodeploy_hardware
def test_the_board_computes_it_too(nd_bundle, nd_assert_equivalent):
    nd_assert_equivalent(nd_bundle("digits.nd"))
