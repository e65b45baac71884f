"""A program that converts again and again and kills itself on the way: what is left is the old bundle or the new one.

Everything is imported once; each conversion runs in a fork of its own. Prints JSON: how often which bundle was left.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np

from neurodeploy.bundles import verify
from neurodeploy.bundles.place import read_bundle
from neurodeploy.cli import main

TARGET = "xylo_audio3"


def convert(folder, name, data):
    """Convert in this process, in silence."""
    arguments = ["--target", TARGET, "--data", str(folder / data), "--out", str(folder / name)]
    silent = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with silent[0], silent[1], contextlib.suppress(SystemExit):
        main(["convert", str(folder / "model.safetensors"), *arguments])


def start(folder, name, data):
    """Convert in a fork; returns its process."""
    process = os.fork()
    if not process:
        convert(folder, name, data)
        os._exit(0)
    return process


def kill_often(folder, name, count):
    """Kill conversions over an old bundle at moments drawn at random, half of them late, when files are written."""
    for which, data in (("old", "other.npz"), ("new", "data.npz")):
        convert(folder, f"{which}-{name}", data)  # also loads and compiles what every fork then has
        assert verify(folder / f"{which}-{name}").exact
    known = {which: members(folder / f"{which}-{name}") for which in ("old", "new")}
    assert known["old"] != known["new"]
    begin = time.monotonic()
    os.waitpid(start(folder, "another.nd", "data.npz"), 0)
    seconds = time.monotonic() - begin
    left, draw = {"old": 0, "new": 0, "neither": 0}, np.random.default_rng(0)
    copy = shutil.copyfile if name.endswith(".zip") else shutil.copytree
    for i in range(count):
        remove(folder / name)
        copy(folder / f"old-{name}", folder / name)
        process = start(folder, name, "data.npz")
        time.sleep(seconds * draw.uniform(0.5 * (i % 2), 1.2))
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        found = members(folder / name) if (folder / name).exists() else None
        left[next((which for which, files in known.items() if files == found), "neither")] += 1
    return left


def members(path):
    """Content of a bundle that its manifest confirms, the time of making left out."""
    return {n: v for n, v in read_bundle(path)[0].items() if n != "made.json"}


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


if __name__ == "__main__":
    place, times = Path(sys.argv[1]), int(sys.argv[2])
    print(json.dumps({name: kill_often(place, name, times) for name in ("b.nd", "b.nd.zip")}))  # noqa: T201 - its answer
