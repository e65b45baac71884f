def test_chip(nd_bundle, nd_assert_equivalent):
    nd_assert_equivalent(nd_bundle("digits.nd"), against="reference")
