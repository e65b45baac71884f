"""Bundles: a folder or a .zip with a network, its configuration and golden vectors, that proves itself anywhere."""

from neurodeploy.bundles.content import Bundle, add_certificates, bundle, load_bundle, load_placed
from neurodeploy.bundles.place import is_zip, refuse_place
from neurodeploy.bundles.readback import CHECKERS
from neurodeploy.bundles.verification import Check, Verification, verify

__all__ = [
    "CHECKERS",
    "Bundle",
    "Check",
    "Verification",
    "add_certificates",
    "bundle",
    "is_zip",
    "load_bundle",
    "load_placed",
    "refuse_place",
    "verify",
]
