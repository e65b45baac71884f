"""Bundles: a folder with a network, its configuration and golden vectors, that proves itself on any machine."""

from neurodeploy.bundles.content import Bundle, bundle, load_bundle
from neurodeploy.bundles.folder import refuse_place
from neurodeploy.bundles.verification import Check, Verification, verify

__all__ = ["Bundle", "Check", "Verification", "bundle", "load_bundle", "refuse_place", "verify"]
