"""Bundles: a folder with a network, its configuration and golden vectors, that proves itself on any machine."""

from neurodeploy.bundles.against import ALL, Answers, Check, ask, names_of
from neurodeploy.bundles.content import Bundle, bundle, load_bundle
from neurodeploy.bundles.folder import refuse_place
from neurodeploy.bundles.stated import contract_of, small
from neurodeploy.bundles.verification import Verification, verify

__all__ = [
    "ALL",
    "Answers",
    "Bundle",
    "Check",
    "Verification",
    "ask",
    "bundle",
    "contract_of",
    "load_bundle",
    "names_of",
    "refuse_place",
    "small",
    "verify",
]
