"""Every registered executor against the reference: all bits, all recorded states, all targets, all features."""

from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import pytest
from drawn_networks import with_delays
from event_networks import CONVOLVE, DRAWN, random_input
from executor_names import CLOCKED, EVENT
from generated_event_chips import generated
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_event_kernels import Plain
from random_networks import Options, random_counts, random_network

from neurodeploy.chips import chip, target_folders
from neurodeploy.errors import Refusal
from neurodeploy.network import Network
from neurodeploy.simulator import EXECUTORS, Run, Snapshot, Stimulus, expand, simulate

CHIPS = [chip(name) for name in target_folders()]
TARGETS = {c.name: c for c in CHIPS if not c.event_driven}
TARGETS["delayed"] = with_delays(next(c for c in TARGETS.values() if "delay" not in str(c.raw["connection"])))
EVENT_TARGETS = {c.name: c for c in CHIPS if CONVOLVE in c.connections}
#: of a Run, what may differ: who computed it, and how
OF_THE_EXECUTOR = {"executor", "how", "network"}
FAMILIES = (
    Options(hidden=(1, 12), steps=(6, 12), groups=3, corners=0.3, doubled=0.1, links=(0, 2)),
    Options(hidden=(2, 12), steps=(8, 14), groups=2, corners=0.05, narrow={"threshold": (1, 300)}),
    Options(hidden=(2, 9), steps=(8, 12), corners=0.6, rates=(3, 12), narrow={"shift": (6, 9), "exponent": (4, 7)}),
)


def narrowed(c, options):
    """The options with the narrow ranges that this chip has."""
    known = {n for part in (c.neurons, c.connections) for kind in part.values() for n in kind.parameters}
    return Options(
        **{f.name: getattr(options, f.name) for f in fields(Options) if f.name != "narrow"},
        narrow={n: v for n, v in options.narrow.items() if n in known},
    )


def differing(a, b, at=""):
    """Places where two values are not the same in every bit."""
    if isinstance(a, np.ndarray):
        same = a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)
        return [] if same else [at]
    if isinstance(a, Mapping | tuple | list):
        keys = list(a) if isinstance(a, Mapping) else range(len(a))
        if len(a) != len(b) or (isinstance(a, Mapping) and set(a) != set(b)):
            return [at]
        return [place for key in keys for place in differing(a[key], b[key], f"{at}.{key}")]
    if isinstance(a, Run | Snapshot | Stimulus):
        names = [f.name for f in fields(a) if f.name not in OF_THE_EXECUTOR]
        return [place for n in names for place in differing(getattr(a, n), getattr(b, n), f"{at}.{n}")]
    return [] if a == b else [at]


def everything(network: Network):
    return sorted({s for g in network.groups for s in network.chip.neurons[g.kind].states})


CLOCKED_CASES = pytest.mark.parametrize("executor", [e for e in CLOCKED if e != "reference"])
EVENT_CASES = pytest.mark.parametrize("executor", [e for e in EVENT if e != "reference"])
ANY_CLOCKED = given(
    seed=st.integers(0, 2**32 - 1),
    options=st.sampled_from(FAMILIES),
    batch=st.sampled_from([1, 3]),
    drain=st.sampled_from([None, 0, 3]),
    cut=st.integers(0, 6),
    recorded=st.booleans(),
)
ANY_EVENT = given(
    seed=st.integers(0, 2**32 - 1),
    order=st.sampled_from(["breadth", "depth"]),
    single=st.booleans(),
    cut=st.integers(0, 2),
)


def compare_clocked(name, executor, seed, options, batch, drain, cut, recorded):
    rng = np.random.default_rng(seed)
    options = Options(**{f.name: getattr(narrowed(TARGETS[name], options), f.name) for f in fields(Options)})
    network = random_network(TARGETS[name], rng, options)
    x = {n: np.concatenate([v] * batch, 1)[:, :batch] for n, v in random_counts(network, rng, options).items()}
    x = {n: v * rng.integers(0, 2, (1, batch, 1)) if batch > 1 else v for n, v in x.items()}
    keep = {"record": everything(network) if recorded else (), "raw": True}
    start = simulate(network, {n: v[:cut] for n, v in x.items()}, drain=0, raw=True).final if cut else None
    rest = {n: v[cut:] for n, v in x.items()}
    must = simulate(network, rest, state=start, drain=drain, executor="reference", **keep)
    found = simulate(network, rest, state=start, drain=drain, executor=executor, **keep)
    assert found.executor == executor
    assert differing(found, must) == []


def compare_event(name, sort, executor, seed, order, single, cut):
    rng = np.random.default_rng(seed)
    network = DRAWN[sort](EVENT_TARGETS[name], rng)
    x = random_input(network, rng)
    x = x if isinstance(x, dict) else {g.name: x for g in network.inputs()}
    start = simulate(network, {n: v[:cut] for n, v in x.items()}, executor="reference").final if cut else None
    rest = {n: v[cut:] for n, v in x.items()}
    given_input = expand(rest, network.inputs()) if single else rest
    options = {"record": everything(network), "order": order, "state": start}
    must = simulate(network, given_input, executor="reference", **options)
    assert differing(simulate(network, given_input, executor=executor, **options), must) == []


def outcome(network, x, **options):
    """A run, or the words of its refusal: a queue is full, activity does not end, a text leaves a register."""
    try:
        return simulate(network, x, **options)
    except Refusal as refusal:
        return f"{type(refusal).__name__}: {refusal}"


def compare_drawn_event(executor, seed, order, single, cut, *, compiled=True):
    """A chip that nobody has seen; its kernel also as plain Python, as compiling it takes seconds."""
    network, x = generated(seed)
    (entry,) = network.inputs()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neurodeploy.simulator.event_engine.SETTLED_AFTER", 400)
        if not compiled:
            patch.setattr("neurodeploy.simulator.follow.layout._compiled", lambda code, _: Plain(code))
        start = outcome(network, x[:cut], executor="reference") if cut else None
        rest = expand({entry.name: x[cut:]}, network.inputs()) if single else x[cut:]
        options = {
            "record": everything(network),
            "order": order,
            "state": start.final if isinstance(start, Run) else None,
        }
        must, found = (outcome(network, rest, executor=e, **options) for e in ("reference", executor))
    assert differing(found, must) == []


#: Without compiled code, which takes seconds for each chip: the long version below has it, in .ci/run.
@pytest.mark.parametrize("executor", [e for e in CLOCKED if e not in {"reference", "numba"}])
@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=3, deadline=None, derandomize=True)
@ANY_CLOCKED
def test_clocked_networks_are_equal_in_every_bit(name, executor, **drawn):
    compare_clocked(name, executor, **drawn)


@pytest.mark.slow
@pytest.mark.compiled
@CLOCKED_CASES
@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=15, deadline=None, derandomize=True)
@ANY_CLOCKED
def test_many_clocked_networks_are_equal_in_every_bit(name, executor, **drawn):
    compare_clocked(name, executor, **drawn)


@EVENT_CASES
@pytest.mark.parametrize("sort", DRAWN)
@pytest.mark.parametrize("name", EVENT_TARGETS)
@settings(max_examples=2, deadline=None, derandomize=True)
@ANY_EVENT
def test_event_driven_networks_are_equal_in_every_bit(name, sort, executor, **drawn):
    compare_event(name, sort, executor, **drawn)


@pytest.mark.slow
@pytest.mark.compiled
@EVENT_CASES
@pytest.mark.parametrize("sort", DRAWN)
@pytest.mark.parametrize("name", EVENT_TARGETS)
@settings(max_examples=12, deadline=None, derandomize=True)
@ANY_EVENT
def test_many_event_driven_networks_are_equal_in_every_bit(name, sort, executor, **drawn):
    compare_event(name, sort, executor, **drawn)


@EVENT_CASES
@settings(max_examples=20, deadline=None, derandomize=True)
@ANY_EVENT
def test_drawn_chips_that_events_drive_are_equal_in_every_bit(executor, **drawn):
    compare_drawn_event(executor, **drawn, compiled=False)


@pytest.mark.slow
@EVENT_CASES
@settings(max_examples=6, deadline=None, derandomize=True)
@ANY_EVENT
def test_drawn_chips_that_events_drive_are_equal_when_compiled(executor, **drawn):
    compare_drawn_event(executor, **drawn)


def test_every_executor_is_compared():
    assert set(CLOCKED) | set(EVENT) == {n for n, e in EXECUTORS.items() if e.installed}


def test_a_value_that_is_off_by_one_is_seen():
    network = random_network(CHIPS[0] if not CHIPS[0].event_driven else CHIPS[-1], np.random.default_rng(1))
    x = random_counts(network, np.random.default_rng(1))
    a, b = (simulate(network, x, record=everything(network), raw=True) for _ in range(2))
    assert differing(a, b) == []
    group, states = next((g, s) for g, s in b.states.items() if s)
    states[next(iter(states))][-1, 0, 0] += 1
    assert len(differing(a, b)) == 1
    assert differing(a, b)[0].startswith(f".states.{group}.")
