"""Work for other processes, one piece of which kills its process the first time it is done."""

import os
import signal
from pathlib import Path


def square_or_die(task):
    """The square of a number; number and folder are the task, and the file that is made there marks the death."""
    number, folder, deadly = task
    with Path(folder, "started").open("a", encoding="ascii") as log:
        log.write(f"{number}\n")
    if number == deadly and not Path(folder, "dead").exists():
        Path(folder, "dead").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def always_die(task):
    os.kill(os.getpid(), signal.SIGKILL)
    return task


def square(task):
    return task * task
