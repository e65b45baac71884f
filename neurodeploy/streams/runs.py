"""A simulation piece by piece: each piece goes on from the state in which the one before it ended."""

from collections.abc import Callable, Collection, Iterator

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Network
from neurodeploy.simulator import Run, Simulation, Snapshot, Stimulus
from neurodeploy.simulator.executors import Executor
from neurodeploy.simulator.footprints import Scan
from neurodeploy.simulator.registry import AUTO
from neurodeploy.simulator.simulation import OUTPUTS
from neurodeploy.streams.pieces import Piece, Source, batch_of, nothing_of, pieces_of, steps_of

#: bytes of 64-bit counts that the pieces are made for where nobody states their length
AT_ONCE = 1 << 26


def stream(
    network: Network,
    source: Source,
    *,
    chunk_steps: int | None = None,
    record: Collection[str] = (),
    keep: str | Collection[str] | None = None,
    state: Snapshot | None = None,
    executor: str | Executor = AUTO,
    device: str | None = None,
    drain: int | None = None,
    raw: bool = False,
    progress: Callable[[int], None] | None = None,
    scan: Scan | None = None,
    order: str | None = None,
    dt_us: int | None = None,
) -> Iterator[Run]:
    """Simulate an input of any length in constant memory; one Run for each piece, equal to ``simulate`` in every bit.

    source : what ``simulate`` takes; a memory map; the path of a .npy (time, batch, channel) or of a count data file
        (.npz), read piece by piece; Events, or the path of a file of them (with ``dt_us``); or an iterable of such
        arrays, mappings and Stimuli, for instance of a sensor that is still running, of any lengths
    chunk_steps : most steps of a piece; None takes as many as need about 64 MB
    drain : silent steps, which are a Run of their own at the end; None for the latency of the network
    dt_us : microseconds of a time step, for Events alone
    state, record, keep, executor, device, raw, scan, order : as in ``simulate``; "auto" chooses for the first piece,
        and what it chose runs all
    progress : called with the number of each step that was taken, from 0
    ``run.final`` is all that is remembered after a piece; ``join_steps`` makes one Run of many. Where events drive the
    chip, steps and numbers of events count from the beginning of the piece.
    Raises Refusal as ``simulate`` does, and ND14xx for files; for the options at once, for a piece when it comes.
    """
    simulation = Simulation(network, executor=executor, device=device, scan=scan, order=order, together=True)
    faults = [
        Fault("ND1303", "stream", f"{name} = {value!r}", must)
        for name, value, low, must in (
            ("chunk_steps", chunk_steps, 1, "a number of steps, 1 or more, or None"),
            ("drain", drain, 0, "a number of steps, 0 or more, or None"),
            ("dt_us", dt_us, 1, "microseconds of a time step, 1 or more"),
        )
        if value is not None and (type(value) is not int or value < low)
    ]
    raise_if(faults)
    kept = [g.size for g in network.groups if keep is None or g.name in keep or keep == OUTPUTS]
    recorded = sum(g.size for g in network.groups) * (1 if isinstance(record, str) else len(record))
    width = 2 * sum(g.size for g in network.inputs()) + sum(kept) + recorded

    def most(batch: int) -> int:
        return chunk_steps or max(AT_ONCE // (8 * max(width * batch, 1)), 1)

    pieces = pieces_of(source, network.inputs(), most, dt_us)

    def run(piece: Piece, state: Snapshot | None, drain: int, taken: int) -> Run:
        told = None if progress is None else lambda t: progress(taken + t)
        counts = piece
        if isinstance(piece, Stimulus) and not network.chip.event_driven:
            counts = piece.counts(network.inputs())
        return simulation.run(counts, record=record, keep=keep, state=state, drain=drain, raw=raw, progress=told)

    return _runs(run, pieces, state, simulation.latency if drain is None else drain)


def _runs(
    run: Callable[[Piece, Snapshot | None, int, int], Run],
    pieces: Iterator[Piece],
    state: Snapshot | None,
    drain: int,
) -> Iterator[Run]:
    taken, batch, last = 0, 0, None
    for number, piece in enumerate(pieces):
        found = batch_of(piece)
        if last is not None and found != batch:
            must = f"a batch of {batch}, as the pieces before it"
            raise Refusal(Fault("ND1301", f"stream, piece {number}, step {taken}", f"a batch of {found}", must))
        made = run(piece, state, 0, taken)
        state, batch, last, taken = made.final, found, nothing_of(piece), taken + steps_of(piece)
        yield made
        del made, piece  # while the next one is made, this one need not be there
    if last is None:
        raise Refusal(Fault("ND1301", "stream", "nothing came in", "at least one piece of input"))
    if drain:
        yield run(last, state, drain, taken)
