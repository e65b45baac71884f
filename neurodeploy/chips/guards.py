"""Guards and weight grids of a chip file: which names their formulas may use, and what is wrong with their entries."""

from collections.abc import Iterator

from neurodeploy.chips.schema import ChipFile, ConnectionEntry

WEIGHT = "weight"  # in guards of neuron kinds: all that arrives
ENDS = ("min", "max")

Complaint = tuple[str, str, str]  # where, was, must


def guard_names(file: ChipFile, of: str) -> set[str]:
    """Names that the guard of a neuron or connection kind may use."""
    if of in file.neuron:
        return {f"{name}_{end}" for name in (*file.neuron[of].param, WEIGHT) for end in ENDS}
    entry = file.connection.get(of)
    known = (*entry.synapse, *entry.param) if entry else ()
    return {f"{name}_{end}" for name in known for end in ENDS}


def grid_faults(where: str, entry: ConnectionEntry) -> Iterator[Complaint]:
    """What is wrong with the weight grid of a connection."""
    grid = entry.grid
    if grid is None:
        return
    for role, name in (("sign", grid.sign), ("exponent", grid.exponent), ("bits", grid.bits)):
        if name and name not in entry.param:
            yield where, f"{role} = {name!r}", f"a parameter of the connection: {', '.join(entry.param)}"
    for word, sign in (("mixed", grid.mixed), ("positive", grid.positive), ("negative", grid.negative)):
        low, high = sign.values
        if sign.step & (sign.step - 1) or low % sign.step or high % sign.step or low > 0 or high < 0:
            must = "ends that are multiples of the step, a power of two, with 0 between them"
            yield f"{where}.{word}", f"values = {[low, high]}, step = {sign.step}", must
        if grid.sign in entry.param and sign.code not in entry.param[grid.sign].interval:
            must = f"what {grid.sign} holds, {entry.param[grid.sign].interval}"
            yield f"{where}.{word}", f"code = {sign.code}", must
    if entry.shift is not None:
        yield where, f"a grid beside shift = {entry.shift!r}", "one of both"
