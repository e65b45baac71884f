"""Simulates networks in Verilog with Icarus Verilog, and says where they leave the simulation."""

import re
import subprocess

from neurodeploy.emit.verilog import testbench as bench_of
from neurodeploy.emit.verilog import to_verilog, trace_of


def shell(command, folder, timeout=300):
    return subprocess.run(  # noqa: S602 - our own files
        command, shell=True, cwd=folder, capture_output=True, text=True, check=False, timeout=timeout
    )


def written(network, counts, folder, lanes=1, run=None):
    """The module, with the testbench for these counts, in a folder."""
    counts = {n: c[:, :1] for n, c in counts.items()}
    made = to_verilog(network, "net", lanes)
    folder.mkdir(exist_ok=True)
    run = run or trace_of(network, counts)
    for name, text in {"net.v": made.code, **made.files, **bench_of(network, made, counts, run)}.items():
        (folder / name).write_text(text)
    return made


def interpreted(folder, name):
    """Icarus Verilog."""
    return shell(f"iverilog -g2005 -Wall -o run {name}.v {name}_tb.v && vvp -N run", folder)


def compiled(folder, name):
    """Verilator, which reads module and testbench by itself and compiles both."""
    quiet = "--timing -Wno-fatal -Wno-lint -Wno-style"
    build = "-CFLAGS -O0 -MAKEFLAGS 'OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0'"
    done = shell(f"verilator --binary {quiet} {build} --top-module {name}_tb -o run {name}_tb.v {name}.v", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return shell("./obj_dir/run | grep -v '[$]finish'", folder)


def told(folder, name="net", simulator=interpreted):
    """The line that a testbench ends with."""
    done = simulator(folder, name)
    assert done.returncode == 0, done.stdout + done.stderr
    faults = [x for x in done.stderr.splitlines() if "warning" in x and "timescale" not in x]
    assert not faults, done.stderr
    return done.stdout.strip().splitlines()[-1]


def judge(network, counts, folder, count, lanes=1):
    """Compare; return cycles by step."""
    made = written(network, counts, folder, lanes)
    found = re.fullmatch(r"PASS\s+(\d+) values,\s+(\d+) cycles", line := told(folder))
    assert found, line
    count("values of networks in Verilog equal to the simulation", int(found[1]))
    return made, int(found[1]), int(found[2]) / len(next(iter(counts.values())))
