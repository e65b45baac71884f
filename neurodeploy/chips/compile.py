"""From a validated chip file to a Chip: texts are parsed, names and ranges checked, every fault listed at once."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neurodeploy.chips.chip import Chip, ConnectionKind, Handler, Limit, NeuronKind, Phase
from neurodeploy.chips.schema import ChipFile, ConnectionEntry, Figure, NeuronEntry
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.step import FLOAT, INTEGER, Interval, Text, assigned, check_names, final_intervals, parse
from neurodeploy.step.language import Const, Expression, Name, parse_expression

GIVEN_EXTERNAL = "external"
GIVEN_ARRIVING = "arriving"
DELAY = "delay"
_EMPTY = Text((), "", "")
_INT64 = Interval(-(2**63), 2**63 - 1)


def compile_chip(file: ChipFile, raw: Mapping[str, Any], digest: str, path: Path | None) -> Chip:
    """Parse and check everything that the schema cannot; raises Refusal with all faults."""
    return _Compiler(file).chip(raw, digest, path)


class _Compiler:
    def __init__(self, file: ChipFile) -> None:
        self.file, self.faults = file, list[Fault]()

    def fault(self, where: str, was: str, must: str, todo: str = "", code: str = "ND1103") -> None:
        self.faults.append(Fault(code, f"{self.file.name}, {where}", was, must, todo))

    def chip(self, raw: Mapping[str, Any], digest: str, path: Path | None) -> Chip:
        file = self.file
        neurons = {name: self.neuron(name, entry) for name, entry in file.neuron.items()}
        raise_if(self.faults)  # connections are checked against sound neurons only
        connections = {name: self.connection(name, entry) for name, entry in file.connection.items()}
        schedule = self.schedule(neurons)
        counters = _counters(file)
        limits = {}
        for name, limit in file.limit.items():
            where = f"limit.{name}"
            if limit.per in {"source", "target"} and limit.of not in file.connection:
                self.fault(where, f"of = {limit.of!r}", f"a connection: {', '.join(file.connection)}")
            if limit.per == "core" and file.core is None:
                self.fault(where, 'per = "core" without a [core] table', "say how many cores there are")
            limits[name] = Limit(name, limit, self.formula(limit.value, counters, f"{where}.value"))
        reports: dict[str, tuple[Figure, Expression]] = {
            name: (figure, self.formula(figure.value, counters, f"report.{name}.value"))
            for name, figure in file.report.items()
        }
        self.evidence()
        raise_if(self.faults)
        return Chip(file.name, file.title, file, neurons, connections, schedule, limits, reports, raw, digest, path)

    def neuron(self, name: str, entry: NeuronEntry) -> NeuronKind:
        where = f"neuron.{name}"
        for state, register in entry.state.items():
            if (register.signed is None) == (register.unsigned is None):
                self.fault(f"{where}.state.{state}", "both or neither of signed and unsigned", "exactly one")
            start = register.start
            if isinstance(start, int):
                if start not in register.interval:
                    self.fault(f"{where}.state.{state}", f"start = {start}", f"must lie in {register.interval}")
            elif start not in entry.param:
                self.fault(f"{where}.state.{state}", f"start = {start!r}", "a number or the name of a parameter")
            elif not entry.param[start].interval.within(register.interval):
                self.fault(f"{where}.state.{state}", f"start = {start!r}", f"its range must lie in {register.interval}")
        for parameter, number in entry.param.items():
            self.ranges(f"{where}.param.{parameter}", number.holds, may=number.may, safe=number.safe)
            if number.default is not None and number.default not in number.interval:
                self.fault(f"{where}.param.{parameter}", f"default = {number.default}", f"must lie in {number.holds}")
            if parameter in entry.state:
                self.fault(f"{where}.param.{parameter}", "the name of a state too", "a name of its own")
        if entry.emits not in entry.state:
            self.fault(where, f"emits = {entry.emits!r}", f"a state: {', '.join(entry.state)}")
        if (entry.external is not None) != (entry.role == "input"):
            self.fault(where, f"role = {entry.role!r}", "an input has an external range, and nothing else has")
        if entry.deploy is not None:
            self.deploy(where, entry)
        ranges = {s: r.interval for s, r in entry.state.items()} | {p: n.interval for p, n in entry.param.items()}
        given = {GIVEN_EXTERNAL: entry.external.interval} if entry.external else {}
        handlers = {
            handler: self.handler(text, ranges | given, entry.state, f"{where}.on.{handler}")
            for handler, text in entry.on.items()
        }
        return NeuronKind(name, entry, handlers)

    def deploy(self, where: str, entry: NeuronEntry) -> None:
        deploy = entry.deploy
        if deploy is None:
            return
        parameters = [
            deploy.threshold,
            *([deploy.bias] if deploy.bias else []),
            *(d.param for d in deploy.decay.values()),
        ]
        for parameter in parameters:
            if parameter not in entry.param:
                self.fault(f"{where}.deploy", f"parameter {parameter!r}", f"one of {', '.join(entry.param)}")
        for state in deploy.states.values():
            if state not in entry.state:
                self.fault(f"{where}.deploy.states", f"state {state!r}", f"one of {', '.join(entry.state)}")
        for name, decay in deploy.decay.items():
            self.formula(decay.to_register, {"keep"}, f"{where}.deploy.decay.{name}.to_register")
            self.formula(decay.from_register, {"value"}, f"{where}.deploy.decay.{name}.from_register")

    def ranges(self, where: str, holds: tuple[int, int], **inner: tuple[int, int] | None) -> None:
        if holds[0] > holds[1]:
            self.fault(where, f"holds = {list(holds)}", "the lower end first")
        for name, pair in inner.items():
            if pair and not Interval(*pair).within(Interval(*holds)):
                self.fault(where, f"{name} = {list(pair)}", f"must lie in holds = {list(holds)}")

    def parse(self, source: str, where: str) -> Text:
        try:
            return parse(source, self.file.function, operators=INTEGER, where=f"{self.file.name}, {where}")
        except Refusal as refusal:
            self.faults.extend(refusal.faults)
            return _EMPTY

    def handler(self, source: str, ranges: Mapping[str, Interval], states: Mapping[str, Any], where: str) -> Handler:
        """Parse and check; find the states whose width is not proved."""
        text = self.parse(source, where)
        faults = check_names(text, states=states, readable=set(ranges) - set(states))
        self.faults.extend(faults)
        if faults:
            return Handler(text, frozenset())
        try:
            after = final_intervals(text, ranges)
        except Refusal as refusal:
            self.faults.extend(refusal.faults)
            return Handler(text, frozenset())
        written = {a.name for a in assigned(text.statements)} & set(states)
        return Handler(text, frozenset(s for s in written if not after[s].within(states[s].interval)))

    def connection(self, name: str, entry: ConnectionEntry) -> ConnectionKind:
        where, file = f"connection.{name}", self.file
        source = entry.source or ()
        sources = (source,) if isinstance(source, str) else tuple(source)
        for kind in (*sources, entry.to or ""):
            if kind not in file.neuron:
                self.fault(where, f"neuron kind {kind!r}", f"one of {', '.join(file.neuron)}")
        for parameter, number in entry.param.items():
            self.ranges(f"{where}.param.{parameter}", number.holds, may=number.may, safe=number.safe)
        for weight in (*entry.weights, *([entry.shift] if entry.shift else [])):
            if weight not in entry.synapse and weight not in entry.param:
                self.fault(where, f"field {weight!r}", f"one of {', '.join([*entry.synapse, *entry.param])}")
        parameters = {p: n.interval for p, n in entry.param.items()}
        fields = {f: s.interval for f, s in entry.synapse.items()}
        if DELAY in entry.synapse and entry.synapse[DELAY].unsigned is None:
            self.fault(f"{where}.synapse.delay", "a signed delay", "unsigned steps")
        stored = self.parse(entry.stored, f"{where}.stored")
        faults = check_names(stored, states=fields, readable=parameters)
        self.faults.extend(faults)
        ranges = dict(fields)
        if not faults:
            try:
                ranges = {f: r for f, r in final_intervals(stored, parameters | fields).items() if f in fields}
            except Refusal as refusal:
                self.faults.extend(refusal.faults)
        may = {
            text: (self.integer_formula(text, {*fields, *parameters}, f"{where}.may"), Interval(*bounds))
            for text, bounds in entry.may.items()
        }
        target = file.neuron.get(entry.to or "")
        if target is None or any(s not in file.neuron for s in sources):
            return ConnectionKind(name, entry, sources, "", stored, ranges, Handler(_EMPTY, frozenset()), None, may)
        emitted = [file.neuron[s].state[file.neuron[s].emits].interval for s in sources]
        arriving = Interval(min(e.low for e in emitted), max(e.high for e in emitted))
        own = {s: r.interval for s, r in target.state.items()} | {p: n.interval for p, n in target.param.items()}
        registers = {r: s.interval for r, s in entry.register_.items()}
        synaptic = {f: r for f, r in ranges.items() if f != DELAY} | parameters
        for clash in sorted((set(own) | set(registers)) & (set(synaptic) | {GIVEN_ARRIVING})):
            self.fault(
                where, f"the name {clash!r} on both sides", "a synapse field needs a name the target does not use"
            )
        written: Mapping[str, Any] = entry.register_ or target.state
        given = own | registers | synaptic | {GIVEN_ARRIVING: arriving}
        on_input = self.handler(entry.on_input, given, written, f"{where}.on_input")
        on_sum = None
        if entry.register_ or entry.on_sum:
            on_sum = self.handler(entry.on_sum, own | registers | parameters, target.state, f"{where}.on_sum")
        return ConnectionKind(name, entry, sources, entry.to or "", stored, ranges, on_input, on_sum, may)

    def schedule(self, neurons: Mapping[str, NeuronKind]) -> tuple[Phase, ...]:
        phases, seen = [], list[str]()
        file = self.file
        for item in file.schedule.step:
            first, *inner = (item,) if isinstance(item, str) else item
            neuron, _, handler = first.partition(".")
            seen += [first, *inner]
            every = file.schedule.every.get(first)
            if handler:
                if neuron not in neurons or handler not in neurons[neuron].handlers:
                    known = [f"{n}.{h}" for n, kind in neurons.items() for h in kind.handlers]
                    self.fault("schedule.step", f"phase {first!r}", f"one of {', '.join(known)}")
                phases.append(Phase(first, neuron, handler, tuple(inner), every))
            else:
                phases.append(Phase(first, "", "", (first,), every))
                if inner:
                    self.fault("schedule.step", f"phase {list(item)!r}", "a neuron scan first, connections inside it")
            for connection in inner if handler else [first]:
                if connection not in file.connection:
                    known = list(file.connection)
                    self.fault("schedule.step", f"phase {connection!r}", f"a connection: {', '.join(known)}")
                elif handler and file.connection[connection].source != neuron:
                    self.fault("schedule.step", f"{connection!r} inside the scan of {neuron!r}", f"from = {neuron!r}")
        expected = [f"{n}.{h}" for n, kind in neurons.items() for h in kind.handlers] + list(file.connection)
        for name in expected:
            if seen.count(name) != 1:
                times = "is missing" if name not in seen else f"stands {seen.count(name)} times"
                self.fault("schedule.step", f"phase {name!r} {times}", "each handler and connection stands once")
        for name, every in file.schedule.every.items():
            if name not in seen:
                self.fault("schedule.every", f"phase {name!r}", "a phase of schedule.step")
            if every.offset >= every.period:
                self.fault(f"schedule.every.{name}", f"offset = {every.offset}", f"below the period {every.period}")
        return tuple(phases)

    def formula(self, source: str, names: Iterable[str], where: str) -> Expression:
        return self.expression(source, set(names), where, FLOAT)

    def integer_formula(self, source: str, names: Iterable[str], where: str) -> Expression:
        return self.expression(source, set(names), where, INTEGER)

    def expression(self, source: str, names: set[str], where: str, operators: Mapping[str, str]) -> Expression:
        try:
            result = parse_expression(source, operators=operators, where=f"{self.file.name}, {where}")
        except Refusal as refusal:
            self.faults.extend(refusal.faults)
            return Const(0)
        unknown = sorted(_names(result) - names)
        if unknown:
            self.fault(where, f"unknown name {', '.join(map(repr, unknown))}", f"known: {', '.join(sorted(names))}")
        return result

    def evidence(self) -> None:
        known = self.file.evidence_table
        for place, name in evidence_keys(self.file):
            if name is None:
                self.fault(place, "no evidence", "every number needs a source", "name an entry of [sources]")
            elif name not in known:
                self.fault(place, f"evidence = {name!r}", f"an entry of [sources]: {', '.join(known)}")


def evidence_keys(file: ChipFile) -> list[tuple[str, str | None]]:
    """Place of every number with the name of its evidence, its own or the nearest table's above it."""
    result: list[tuple[str, str | None]] = []
    for kind, tables in (("neuron", file.neuron), ("connection", file.connection)):
        for name, entry in tables.items():
            own = entry.evidence or file.evidence
            for group in ("state", "param", "synapse", "register_"):
                for key, number in getattr(entry, group, {}).items():
                    result.append((f"{kind}.{name}.{group.rstrip('_')}.{key}", number.evidence or own))
            if isinstance(entry, NeuronEntry):
                result += [(f"neuron.{name}.on.{handler}", own) for handler in entry.on]
                if entry.external:
                    result.append((f"neuron.{name}.external", entry.external.evidence or own))
            else:
                result.append((f"connection.{name}.on_input", own))
    result += [(f"limit.{name}", limit.evidence or file.evidence) for name, limit in file.limit.items()]
    result += [(f"report.{name}", figure.evidence or file.evidence) for name, figure in file.report.items()]
    if file.core is not None:
        result.append(("core", file.core.evidence or file.evidence))
    result.append(("schedule", file.schedule.evidence or file.evidence))
    for name, table in file.oracle.items():
        stated = table.get("evidence")
        result.append((f"oracle.{name}", file.evidence if stated is None else str(stated)))
    return result


def _counters(file: ChipFile) -> set[str]:
    return {f"neurons_{n}" for n in file.neuron} | {
        f"{what}_{c}" for c in file.connection for what in ("entries", "sources", "targets")
    }


def _names(expression: Expression) -> set[str]:
    if isinstance(expression, Const):
        return set()
    if isinstance(expression, Name):
        return {expression.id}
    return set().union(*(_names(a) for a in expression.args))
