"""Golden vectors in the file itself: what this program computed, checked by whoever compiled it."""

from collections.abc import Iterator

import numpy as np

from neurodeploy.emit.c.source import Source
from neurodeploy.emit.c.tables import Tables, indented, loop
from neurodeploy.network import Network
from neurodeploy.simulator import Run, simulate
from neurodeploy.simulator.selftest import STEPS, self_test_counts

MULTIPLIER = 2654435762  # even, so that the number of each place is odd


def with_self_test(network: Network, made: Source) -> str:
    """The code with a self-test that is compiled where PREFIX_SELFTEST is defined, ``main`` included.

    It returns 0, or the number of the first step, counted from 1, after which a count or a state differs.
    """
    given = self_test_counts(network)
    run = simulate(network, given, record=[s for own in made.fields.values() for s in own], drain=0)
    tables = Tables()
    for g in network.inputs():
        tables.array(f"Test_{made.inputs[g.name]}", given[g.name])
    for g in network.outputs():
        tables.array(f"Test_{made.outputs[g.name]}", run.counts[g.name])
    digests = _digests(network, made, run)
    tables.lines += [
        "/* sum of all states after each step, each times a number of its own, in 64 bits */",
        f"static const uint64_t Test_digest[{STEPS}] = {{",
        *(f"    UINT64_C({d})," for d in digests),
        "};",
        "",
    ]
    p = made.prefix
    lines = [f"#ifdef {p.upper()}_SELFTEST", "", *tables.lines]
    lines += [f"int {p}_selftest(void);", "", f"int {p}_selftest(void)", "{", *indented(_body(network, made)), "}"]
    lines += ["", "int main(void)", "{", f"    return {p}_selftest();", "}", "", "#endif", ""]
    return made.code + "\n".join(lines)


def _digests(network: Network, made: Source, run: Run) -> list[int]:
    """What all states are after each step, in 64 bits: their sum, each times an odd number of its place."""
    total, at = np.zeros(STEPS, np.uint64), 0
    for kind, states in made.fields.items():
        groups = network.of_kind(kind)
        order = np.argsort(np.concatenate([np.asarray(g.ids) for g in groups]), kind="stable")
        for state in states:
            values = np.concatenate([run.states[g.name][state][:, 0] for g in groups], axis=1)[:, order]
            place = np.arange(at, at + order.size, dtype=np.uint64) * np.uint64(MULTIPLIER) + np.uint64(1)
            total += (values.astype(np.uint64) * place).sum(axis=1, dtype=np.uint64)
            at += order.size
    return [int(d) for d in total]


def _body(network: Network, made: Source) -> Iterator[str]:
    p = made.prefix
    yield f"static {p}_state state;"
    inputs = [(made.inputs[g.name], g.size) for g in network.inputs()]
    outputs = [(made.outputs[g.name], g.size) for g in network.outputs()]
    types = dict(_argument_types(made))
    for name, size in [*inputs, *outputs]:
        yield f"{types[name]} {name}[{size}];"
    yield f"{p}_reset(&state);"
    body = ["uint64_t digest = 0, place = 1;"]
    body += [line for n, size in inputs for line in loop("n", "0", str(size), [f"{n}[n] = Test_{n}[t * {size} + n];"])]
    body += [f"if ({p}_step(&state, {', '.join(n for n, _ in [*inputs, *outputs])}) != 0) {{", "    return t + 1;", "}"]
    for n, size in outputs:
        unequal = [f"if ({n}[n] != Test_{n}[t * {size} + n]) {{", "    return t + 1;", "}"]
        body += loop("n", "0", str(size), unequal)
    for member in (m for states in made.fields.values() for m in states.values()):
        added = [f"digest += (uint64_t)(int64_t)state.{member}[n] * place;", f"place += UINT64_C({MULTIPLIER});"]
        body += loop("n", "0", f"(int32_t)(sizeof state.{member} / sizeof state.{member}[0])", added)
    body += ["if (digest != Test_digest[t]) {", "    return t + 1;", "}"]
    yield from loop("t", "0", str(STEPS), body)
    yield "return 0;"


def _argument_types(made: Source) -> Iterator[tuple[str, str]]:
    """C types of the arguments, as the header declares them."""
    (line,) = [x for x in made.header.splitlines() if x.startswith(f"int {made.prefix}_step(")]
    for argument in line[line.index("(") + 1 : line.rindex(")")].split(", ")[1:]:
        kind, _, name = argument.removeprefix("const ").partition(" *")
        yield name, kind
