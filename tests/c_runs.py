"""Compiles networks in C with every warning and the sanitizers on, and says where they leave the simulation."""

import shutil
import subprocess

import numpy as np

from neurodeploy.emit.c import to_c, write_c
from neurodeploy.simulator import assemble, simulate

COMPILER = shutil.which("gcc") or shutil.which("cc")
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
CHECKED = ["-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all"]


def compiled(sources, out, *flags):
    done = subprocess.run(  # noqa: S603 - our own files
        [COMPILER, *STRICT, *flags, *map(str, sources), "-o", str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return out


def answer(program):
    """What a program prints; its exit status must be 0."""
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False, timeout=120)  # noqa: S603
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def self_test(path, *flags):
    """Exit status of the self-test that a file holds."""
    out = compiled([path], path.with_suffix(".test"), f"-D{path.stem.upper()}_SELFTEST", *(flags or CHECKED))
    return subprocess.run([str(out)], check=False, timeout=120).returncode  # noqa: S603


def harness(made, network, counts):
    """A program that runs the counts of one sample and prints every state at every step."""
    steps = len(next(iter(counts.values())))
    lines = [f'#include "{made.prefix}.h"', "#include <inttypes.h>", "#include <stdio.h>", ""]
    for name, argument in made.inputs.items():
        flat = ", ".join(map(str, counts[name][:, 0].ravel().tolist()))
        lines.append(f"static const int32_t given_{argument}[] = {{{flat}}};")
    lines += ["int main(void)", "{", f"    static {made.prefix}_state s;"]
    sizes = {made.inputs[g.name]: g.size for g in network.inputs()} | {
        made.outputs[g.name]: g.size for g in network.outputs()
    }
    (head,) = [x for x in made.header.splitlines() if x.startswith(f"int {made.prefix}_step(")]
    for argument in head[head.index("(") + 1 : head.rindex(")")].split(", ")[1:]:
        kind, _, name = argument.removeprefix("const ").partition(" *")
        lines.append(f"    static {kind} {name}[{sizes[name]}];")
    lines += [f"    {made.prefix}_reset(&s);", f"    for (int t = 0; t < {steps}; t++) {{"]
    for argument in made.inputs.values():
        n = sizes[argument]
        lines.append(f"        for (int n = 0; n < {n}; n++) {argument}[n] = given_{argument}[t * {n} + n];")
    called = ", ".join([*made.inputs.values(), *made.outputs.values()])
    lines.append(f"        if ({made.prefix}_step(&s, {called}) != 0) return 1;")
    for states in made.fields.values():
        for member in states.values():
            size = f"(int)(sizeof s.{member} / sizeof s.{member}[0])"
            lines.append(f'        for (int n = 0; n < {size}; n++) printf("%" PRId64 " ", (int64_t)s.{member}[n]);')
    for argument in made.outputs.values():
        size = sizes[argument]
        lines.append(f'        for (int n = 0; n < {size}; n++) printf("%" PRId64 " ", (int64_t){argument}[n]);')
    return "\n".join([*lines, '        printf("\\n");', "    }", "    return 0;", "}", ""])


def run_differences(network, counts, folder, *flags):
    """(states or counts in which C leaves the reference, how many values were compared, how many events there were)."""
    record = [f"{g.name}.{s}" for g in network.groups for s in network.chip.neurons[g.kind].states]
    run = simulate(
        network, {n: c[:, :1] for n, c in counts.items()}, record=record, drain=0, raw=True, executor="reference"
    )
    folder.mkdir(exist_ok=True)
    write_c(network, folder / "net.c")
    made = to_c(network, "net")
    (folder / "main.c").write_text(harness(made, network, counts))
    program = compiled([folder / "main.c", folder / "net.c"], folder / "run", *(flags or CHECKED))
    table = np.array([list(map(int, line.split())) for line in answer(program).splitlines()])
    lanes, at, bad, values = assemble(network).lanes, 0, [], 0
    for kind, states in made.fields.items():
        for state, member in states.items():
            got = table[:, at : at + lanes[kind].size]
            at += lanes[kind].size
            for g in network.of_kind(kind):
                wanted = run.states[g.name][state][:, 0]
                bad += [member] * (not np.array_equal(got[:, lanes[kind].slices[g.name]], wanted))
                values += wanted.size
    for name, argument in made.outputs.items():
        wanted = run.counts[name][:, 0]
        bad += [argument] * (not np.array_equal(table[:, at : at + wanted.shape[1]], wanted))
        at += wanted.shape[1]
        values += wanted.size
    assert at == table.shape[1]
    return bad, values, sum(int(c.sum()) for c in run.counts.values())
