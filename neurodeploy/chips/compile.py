"""From a validated chip file to a Chip: texts are parsed, names and ranges checked, every fault listed at once."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from neurodeploy.chips import cores
from neurodeploy.chips.chip import Chip, ConnectionKind, Guard, Handler, Limit, NeuronKind
from neurodeploy.chips.event_driven import Complaint, emission_faults, emitter_faults, scan_faults
from neurodeploy.chips.evidence import evidence_keys
from neurodeploy.chips.guards import grid_faults, guard_names
from neurodeploy.chips.phases import phases_of
from neurodeploy.chips.schema import (
    AgreementEntry,
    ChipFile,
    ConnectionEntry,
    DeployEntry,
    Figure,
    GuardEntry,
    NeuronEntry,
    ParameterEntry,
    StateEntry,
)
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.step import FLOAT, FORMULA, INTEGER, Interval, Text, assigned, check_names, final_intervals, parse
from neurodeploy.step.language import Const, Expression, parse_expression
from neurodeploy.step.tree import names as names_in
from neurodeploy.step.tree import read as read_in

GIVEN_EXTERNAL = "external"
GIVEN_ARRIVING = "arriving"
DELAY = "delay"
_EMPTY = Text((), "", "")
_FORMULA_OPERATORS = {name: sorts for name, sorts in FLOAT.items() if name in FORMULA} | {"ceil": "n"}


def compile_chip(file: ChipFile, raw: Mapping[str, Any], digest: str, path: Path | None) -> Chip:
    """Parse and check everything that the schema cannot; raises Refusal with all faults."""
    return _Compiler(file).chip(raw, digest, path)


class _Compiler:
    def __init__(self, file: ChipFile) -> None:
        self.file, self.faults = file, list[Fault]()
        self.event_driven = file.schedule.kind == "event"
        self.unsound: set[str] = set()  # neuron kinds whose registers are at fault: nothing follows from their ranges

    def fault(self, where: str, was: str, must: str, todo: str = "", code: str = "ND1103") -> None:
        self.faults.append(Fault(code, f"{self.file.name}, {where}", was, must, todo))

    def add(self, found: Iterable[Complaint]) -> None:
        for complaint in found:
            self.fault(*complaint)

    def chip(self, raw: Mapping[str, Any], digest: str, path: Path | None) -> Chip:
        file = self.file
        neurons = {name: self.neuron(name, entry) for name, entry in file.neuron.items()}
        connections = {name: self.connection(name, entry) for name, entry in file.connection.items()}
        schedule, faults = phases_of(file, [f"{n}.{h}" for n, kind in neurons.items() for h in kind.handlers])
        self.add(faults)
        counters = _counters(file)
        limits = {}
        for name, limit in file.limit.items():
            where = f"limit.{name}"
            if limit.per in {"source", "target", "axon"}:
                self.one_of(where, "of", limit.of, file.connection)
            elif limit.of is not None:
                self.fault(where, f"of = {limit.of!r} with per = {limit.per!r}", 'it belongs to "source" and "target"')
            if limit.per in {"core", "axon"} and file.core is None:
                self.fault(where, f'per = "{limit.per}" without a [core] table', "say how many cores there are")
            names = cores.counters(file, limit, counters)
            limits[name] = Limit(name, limit, self.formula(limit.value, names, f"{where}.value"))
        layer_formulas = cores.check(file, self)
        reports = self.reports(counters)
        agreement = self.agreement(file.agreement) if file.agreement else {}
        guards = tuple(self.guard(name, entry) for name, entry in file.guard.items())
        for name, connection in file.connection.items():
            self.add(grid_faults(f"connection.{name}.grid", connection))
        self.evidence()
        raise_if(self.faults)
        made = (neurons, connections, schedule, limits, reports)
        result = Chip(file.name, file.title, file, *made, raw, digest, path, layer_formulas)
        result = replace(result, guards=guards, agreement=agreement)
        self.between_emissions(result)
        raise_if(self.faults)
        return result

    def guard(self, name: str, entry: GuardEntry) -> Guard:
        """Parse a guard, whose formula speaks of smallest and largest registers and weights."""
        file, where = self.file, f"guard.{name}"
        self.one_of(where, "of", entry.of, (*file.neuron, *file.connection))
        return Guard(name, entry, self.formula(entry.value, guard_names(file, entry.of), f"{where}.value", INTEGER))

    def one_of(self, where: str, what: str, name: str | None, known: Iterable[str]) -> None:
        names = list(known)
        if name not in names:
            self.fault(where, f"{what} = {name!r}", f"one of {', '.join(names)}")

    def neuron(self, name: str, entry: NeuronEntry) -> NeuronKind:
        where, before = f"neuron.{name}", len(self.faults)
        for state, register in entry.state.items():
            place = f"{where}.state.{state}"
            self.width(place, register)
            start = register.start
            if isinstance(start, int):
                if start not in register.interval:
                    self.fault(place, f"start = {start}", f"must lie in {register.interval}")
            elif start not in entry.param:
                self.fault(place, f"start = {start!r}", "a number or the name of a parameter")
            elif not entry.param[start].interval.within(register.interval):
                self.fault(place, f"start = {start!r}", f"its range must lie in {register.interval}")
        numbers = {**entry.param, **({GIVEN_EXTERNAL: entry.external} if entry.external else {})}
        for parameter, number in numbers.items():
            self.ranges(f"{where}.{'' if number is entry.external else 'param.'}{parameter}", number)
            if number.per == "projection":
                self.fault(f"{where}.param.{parameter}", 'per = "projection"', '"neuron" or "layer"')
            if parameter in entry.state or (number is entry.external and parameter in entry.param):
                self.fault(f"{where}.param.{parameter}", "the name stands twice", "a name of its own")
        if self.event_driven:
            self.add(emitter_faults(where, entry))
        else:
            self.one_of(where, "emits", entry.emits, entry.state)
        if (entry.external is not None) != (entry.role == "input"):
            self.fault(where, f"role = {entry.role!r}", "an input has an external range, and nothing else has")
        if len(self.faults) > before:
            self.unsound.add(name)
        if entry.deploy is not None:
            self.deploy(f"{where}.deploy", entry, entry.deploy)
        for view, formula in entry.view.items():
            self.formula(formula, {*entry.state, *entry.param}, f"{where}.view.{view}", INTEGER)
        ranges = _ranges(entry.state, numbers)
        handlers = {
            handler: self.handler(
                text, ranges, entry.state, f"{where}.on.{handler}", sound=name not in self.unsound, emits=entry.emits
            )
            for handler, text in entry.on.items()
        }
        return NeuronKind(name, entry, handlers)

    def agreement(self, entry: AgreementEntry) -> dict[tuple[str, str], tuple[tuple[Expression, Interval], ...]]:
        """Parse the formulas of the ranges in which all dialects are equal, by neuron or connection and kind."""
        if not self.file.dialect:
            self.fault("agreement", "a table without dialects", "[dialect.NAME] beside it")
        found = {}
        known = (("neuron", entry.neuron, self.file.neuron), ("connection", entry.connection, self.file.connection))
        for part, tables, kinds in known:
            for kind, ranges in tables.items():
                where = f"agreement.{part}.{kind}"
                self.one_of("agreement", f"{part} kind", kind, kinds)
                owner = kinds.get(kind)
                own = owner.state if isinstance(owner, NeuronEntry) else owner.synapse if owner else {}
                names = {*own, *(owner.param if owner else ())}
                found[part, kind] = tuple(
                    (self.formula(text, names, where, INTEGER), Interval(*bounds)) for text, bounds in ranges.items()
                )
        return found

    def width(self, where: str, register: StateEntry) -> None:
        if (register.signed is None) == (register.unsigned is None):
            self.fault(where, "both or neither of signed and unsigned", "exactly one")

    def deploy(self, where: str, entry: NeuronEntry, deploy: DeployEntry) -> None:
        optional = [name for name in (deploy.bias, deploy.lower_bound) if name]
        for parameter in (deploy.threshold, *optional, *deploy.chosen, *(d.param for d in deploy.decay.values())):
            self.one_of(where, "parameter", parameter, entry.param)
        for state in deploy.states.values():
            self.one_of(f"{where}.states", "state", state, entry.state)
        for parameter, words in deploy.chosen.items():
            held = entry.param[parameter].interval if parameter in entry.param else None
            for word, register in words.items():
                self.one_of(f"{where}.chosen.{parameter}", "word", word, (*deploy.reset, *deploy.comparison))
                if held is not None and register not in held:
                    self.fault(f"{where}.chosen.{parameter}", f"{word} = {register}", f"what it holds, {held}")
        for name, decay in deploy.decay.items():
            self.formula(decay.to_register, {"keep"}, f"{where}.decay.{name}.to_register")
            self.formula(decay.from_register, {"value"}, f"{where}.decay.{name}.from_register")

    def ranges(self, where: str, number: ParameterEntry) -> None:
        low, high = number.holds
        if low > high:
            self.fault(where, f"holds = {[low, high]}", "the lower end first")
            return
        for name, pair in (("may", number.may), ("safe", number.safe)):
            if pair and (pair[0] > pair[1] or not Interval(*pair).within(number.interval)):
                self.fault(where, f"{name} = {list(pair)}", f"must lie in holds = {[low, high]}, the lower end first")
        if number.default is not None and number.default not in number.interval:
            self.fault(where, f"default = {number.default}", f"must lie in holds = {[low, high]}")

    def handler(
        self,
        source: str,
        ranges: Mapping[str, Interval],
        states: Mapping[str, StateEntry],
        where: str,
        *,
        sound: bool,
        emits: str = "",
    ) -> Handler:
        """Parse and check; find the states whose width is not proved. Without sound ranges only names are checked.

        emits : the name that makes an event where its value is 1; it counts only where events drive the chip
        """
        try:
            text = parse(source, self.file.function, operators=INTEGER, where=f"{self.file.name}, {where}")
            emits = emits if self.event_driven and emits in {a.name for a in assigned(text.statements)} else ""
            kept = [emits] if emits else []
            raise_if(check_names(text, states=states, readable=set(ranges) - set(states), kept=kept))
            after = final_intervals(text, ranges) if sound else {}
        except Refusal as refusal:
            self.faults.extend(refusal.faults)
            return Handler(_EMPTY)
        writes = frozenset(a.name for a in assigned(text.statements)) & frozenset(states)
        unproved = frozenset(s for s in writes if sound and not after[s].within(states[s].interval))
        if emits:
            self.add(emission_faults(where, text, emits, after.get(emits)))
        return Handler(text, frozenset(read_in(text.statements)), writes, unproved, emits)

    def connection(self, name: str, entry: ConnectionEntry) -> ConnectionKind:
        where, file, before = f"connection.{name}", self.file, len(self.faults)
        for kind in (*entry.source, entry.to):
            self.one_of(where, "neuron kind", kind, file.neuron)
        for group, registers in (("synapse", entry.synapse), ("register", entry.register_)):
            for key, register in registers.items():
                self.width(f"{where}.{group}.{key}", register)
                if "start" in register.model_fields_set:
                    self.fault(f"{where}.{group}.{key}", "a start value", "only states of neurons have one")
        for parameter, number in entry.param.items():
            self.ranges(f"{where}.param.{parameter}", number)
            if number.per == "layer":
                self.fault(f"{where}.param.{parameter}", 'per = "layer"', '"projection", or nothing: one for the kind')
        for weight in entry.weights:
            self.one_of(where, "weight", weight, entry.synapse)
        if entry.shift is not None:
            self.one_of(where, "shift", entry.shift, [*entry.synapse, *entry.param])
        parameters = _ranges(entry.param)
        fields = _ranges(entry.synapse)
        may = {
            text: (self.formula(text, {*fields, *parameters}, f"{where}.may", INTEGER), Interval(*bounds))
            for text, bounds in entry.may.items()
        }
        sound = len(self.faults) == before
        stored, ranges = self.stored(entry, fields, parameters, where, sound=sound)
        target = file.neuron.get(entry.to)
        if target is None or any(s not in file.neuron for s in entry.source):
            return ConnectionKind(name, entry, entry.source, "", stored, ranges, Handler(_EMPTY), None, may)
        sound = sound and not self.unsound & {*entry.source, entry.to}
        self.add(scan_faults(file, where, entry, DELAY))
        emitted = [self.emitted(file.neuron[s]) for s in entry.source] if sound else []
        arriving = Interval(min((e.low for e in emitted), default=0), max((e.high for e in emitted), default=0))
        own = _ranges(target.state, target.param)
        accumulators = _ranges(entry.register_)
        synaptic = {f: r for f, r in ranges.items() if f != DELAY}
        names = [*own, *accumulators, *fields, *parameters, GIVEN_ARRIVING]
        for clash in sorted({n for n in names if names.count(n) > 1} - {DELAY}):
            self.fault(where, f"the name {clash!r} stands twice", "one name for each number of target and synapse")
        sound = sound and len(set(names) - {DELAY}) == len([n for n in names if n != DELAY])
        shared = own | accumulators | parameters
        written = entry.register_ or target.state
        given = shared | synaptic | {GIVEN_ARRIVING: arriving}
        emits = target.emits if not entry.register_ else ""
        on_input = self.handler(entry.on_input, given, written, f"{where}.on_input", sound=sound, emits=emits)
        on_sum = None
        if entry.register_ or entry.on_sum:
            on_sum = self.handler(entry.on_sum, shared, target.state, f"{where}.on_sum", sound=sound)
        return ConnectionKind(name, entry, entry.source, entry.to, stored, ranges, on_input, on_sum, may)

    def emitted(self, source: NeuronEntry) -> Interval:
        """What a source can deliver: its counts, or single events."""
        return Interval(1, 1) if self.event_driven else source.state[source.emits].interval

    def stored(
        self,
        entry: ConnectionEntry,
        fields: Mapping[str, Interval],
        parameters: Mapping[str, Interval],
        where: str,
        *,
        sound: bool,
    ) -> tuple[Text, Mapping[str, Interval]]:
        """Parse ``stored``; the ranges of the fields as the chip keeps them."""
        given = {**parameters, **fields}
        text = self.handler(entry.stored, given, entry.synapse, f"{where}.stored", sound=sound).text
        ranges = {f: r for f, r in final_intervals(text, given).items() if f in fields} if sound else fields
        if DELAY in ranges and ranges[DELAY].low < 0:
            self.fault(f"{where}.synapse.delay", f"a delay of {ranges[DELAY]} steps", "0 steps or more")
        return text, ranges

    def reports(self, counters: set[str]) -> dict[str, tuple[Figure, Expression]]:
        """Figures in an order in which each can be computed: those that it is made of come first."""
        figures = self.file.report
        formulas = {n: self.formula(f.value, counters | set(figures), f"report.{n}.value") for n, f in figures.items()}
        missing = {n: set(names_in(formula)) & set(figures) for n, formula in formulas.items()}
        ordered: dict[str, tuple[Figure, Expression]] = {}
        while ready := sorted(n for n in set(figures) - set(ordered) if missing[n] <= set(ordered)):
            ordered |= {n: (figures[n], formulas[n]) for n in ready}
        for name in sorted(set(figures) - set(ordered)):
            was = f"made of {', '.join(sorted(missing[name] - set(ordered)))}, which need it or each other"
            self.fault(f"report.{name}.value", was, "figures without a circle")
        for name in sorted(set(figures) & counters):
            self.fault(f"report.{name}", "the name of a count", "a name of its own")
        return ordered

    def between_emissions(self, chip: Chip) -> None:
        """What a source emits must be complete when it is delivered."""
        if self.event_driven:
            return
        for at, phase in enumerate(chip.schedule):
            for connection in phase.connections:
                for source in chip.connections[connection].sources:
                    writes = chip.emitting(source)
                    if any(i <= at for i in writes) and any(i > at for i in writes):
                        was = f"{connection!r} stands between two handlers of {source!r} that write what it emits"
                        self.fault("schedule.step", was, "before the first or after the last of them")

    def formula(
        self, source: str, names: Iterable[str], where: str, operators: Mapping[str, str] = _FORMULA_OPERATORS
    ) -> Expression:
        try:
            macros = self.file.function if operators is INTEGER else {}
            result = parse_expression(source, macros, operators=operators, where=f"{self.file.name}, {where}")
        except Refusal as refusal:
            self.faults.extend(refusal.faults)
            return Const(0)
        unknown = sorted(set(names_in(result)) - set(names))
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


def _ranges(*tables: Mapping[str, StateEntry] | Mapping[str, ParameterEntry]) -> dict[str, Interval]:
    return {name: number.interval for table in tables for name, number in table.items()}


def _counters(file: ChipFile) -> set[str]:
    ends = {f"{what}_{c}" for c in file.connection for what in ("entries", "sources", "targets")}
    weights = {f"nonzero_{c}_{w}" for c, entry in file.connection.items() for w in entry.weights if w in entry.synapse}
    return {f"neurons_{n}" for n in file.neuron} | ends | weights
