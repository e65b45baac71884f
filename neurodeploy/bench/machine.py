"""The machine that something was measured on, in words."""

import os
import platform
from pathlib import Path


def load_of() -> str:
    """Processes that waited for a core during the last minute, on average."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def machine_of() -> str:
    """Processor, cores, system and Python."""
    told = Path("/proc/cpuinfo")
    names = [line for line in told.read_text().splitlines() if line.startswith("model name")] if told.is_file() else []
    processor = names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()
    python = f"Python {platform.python_version()}"
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, {python}"
