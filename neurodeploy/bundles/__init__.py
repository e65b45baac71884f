"""Bundles: a folder or a .zip with a network, its configuration and golden vectors, that proves itself anywhere."""

from neurodeploy.bundles.against import ALL, Answers, Check, ask, names_of
from neurodeploy.bundles.content import Bundle, add_certificates, bundle, load_bundle, load_placed
from neurodeploy.bundles.place import is_zip, refuse_place
from neurodeploy.bundles.readback import CHECKERS
from neurodeploy.bundles.stated import contract_of, small
from neurodeploy.bundles.verification import Verification, verify

__all__ = [
    "ALL",
    "CHECKERS",
    "Answers",
    "Bundle",
    "Check",
    "Verification",
    "add_certificates",
    "ask",
    "bundle",
    "contract_of",
    "is_zip",
    "load_bundle",
    "load_placed",
    "names_of",
    "refuse_place",
    "small",
    "verify",
]
