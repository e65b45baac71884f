"""The command line: thin over the public functions; data on stdout, messages on stderr."""

from neurodeploy.cli.main import main

__all__ = ["main"]
