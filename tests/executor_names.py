"""Registered executors by the sort of chip that they take; a new one joins every test that is parametrised by these."""

from neurodeploy.simulator import EXECUTORS

CLOCKED = [name for name, entry in EXECUTORS.items() if "clocked" in entry.schedules and entry.installed]
EVENT = [name for name, entry in EXECUTORS.items() if "event" in entry.schedules and entry.installed]
