"""What comparisons are told by: where a difference stands, and a network as somebody else observed it."""

from neurodeploy.simulator import Trace, simulate

FIRE = "v = v - fired * threshold"


def place(difference):
    return difference.group, difference.neuron, difference.step, difference.phase, difference.state


def observed(network, counts, change=None, states=("v", "i1")):
    """A foreign trace of a network; ``change`` edits its arrays in place."""
    run = simulate(network, counts, record=states)
    trace = Trace(
        "somebody 1.0",
        {g: v.copy() for g, v in run.counts.items()},
        {g: {s: v.copy() for s, v in many.items()} for g, many in run.states.items()},
    )
    if change is not None:
        change(trace)
    return run, trace
