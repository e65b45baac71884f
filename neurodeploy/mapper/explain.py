"""Why some layers cannot stand on a chip together, in words."""

from collections.abc import Sequence

from neurodeploy.mapper.assign import Assignment

KI = 1024


def explain(of: Assignment, members: Sequence[str]) -> tuple[str, str]:
    """What a minimal set of layers asks for, and what the chip has."""
    plan = of.plan
    if plan.split & set(members):
        return _split(of, members)
    able = sorted({core for name in members for core in of.able(name)})
    outside = [core for core in range(plan.cores.count) if core not in able]
    if not outside:
        return f"{len(members)} layers: {listed(members)}", f"{plan.cores.count} cores, each for one layer"
    needs = {name: plan.needs(plan.layer(name)) for name in members}
    for memory, entry in plan.cores.memory.items():
        most = max(entry.each[core] for core in outside)
        if all(need[memory] > most for need in needs.values()):
            if not able:
                was = f"layer {members[0]!r} needs {words(needs[members[0]][memory])} {entry.unit}"
                return was, f"the largest core has {words(most)}"
            was = f"{_layers(members)} each need more than {words(most)} {entry.unit}"
            if len(members) == 1:
                was = was.replace(" each need ", " needs ")
            return was, f"only {_cores(able)} {'has' if len(able) == 1 else 'have'} it"
    each = "; ".join(f"{_said(of, name)}, which {_where(of.able(name))}" for name in members)
    room = f"only {_cores(able)}" if able else "no core"
    return each, f"{room} for {'it' if len(members) == 1 else f'these {len(members)} layers'}"


def _split(of: Assignment, members: Sequence[str]) -> tuple[str, str]:
    """Where layers may be split, blocks need room together and destinations of what feeds them."""
    plan, parts, must = of.plan, [], []
    for name in members:
        layer, count, rooms = plan.layer(name), of.at_least(name), of.rooms[name]
        if count is None:
            parts.append(f"layer {name!r} has {layer.shape[0]} features")
            must.append(f"all cores together take {sum(rooms)} of them")
        else:
            more = "" if count == 1 else f", so it needs {count} cores or more"
            parts.append(f"layer {name!r} has {layer.shape[0]} features, at most {max(rooms)} on one core{more}")
    for source in dict.fromkeys([*members, *plan.inputs]):
        fed = [t for t in dict.fromkeys(plan.feeds(source)) if t in members]
        if any(t in plan.split for t in fed):
            must.append(f"{source!r}, which feeds {listed(fed)}, reaches at most {plan.reaches(source)} cores")
    must.append(f"{plan.cores.count} cores")
    return "; ".join(parts), ", ".join(must)


def _said(of: Assignment, name: str) -> str:
    needs = of.plan.needs(of.plan.layer(name))
    texts = [f"{words(needs[m])} {entry.unit}" for m, entry in of.plan.cores.memory.items() if needs[m]]
    return f"layer {name!r} needs {' and '.join(texts) or 'nothing'}"


def _where(cores: Sequence[int]) -> str:
    if not cores:
        return "no core has"
    return f"only {_cores(cores)} {'has' if len(cores) == 1 else 'have'}"


def words(count: int) -> str:
    """A number of words as people say it."""
    return f"{count // KI} Ki" if count and count % KI == 0 else f"{count:,}"


def listed(names: Sequence[object]) -> str:
    """'a', 'b' and 'c'."""
    texts = [repr(n) for n in names]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _layers(names: Sequence[str]) -> str:
    return f"layer{'s' if len(names) > 1 else ''} {listed(names)}"


def _cores(numbers: Sequence[int]) -> str:
    return f"core{'s' if len(numbers) > 1 else ''} {listed(numbers)}"
