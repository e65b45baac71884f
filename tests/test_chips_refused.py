"""Refused chip files: everything that is wrong with a file is said at once, in words."""

import pytest
from small_chip import SOUND, refused


def test_faults_of_form_are_listed_all_at_once(tmp_path):
    found = refused(
        tmp_path / "small",
        a=("state.v = { signed = 12 }", "state.v = { signd = 12 }"),
        b=("at_most = 32", 'at_most = "32"'),
        c=('role = "hidden output"', 'role = "hiden"'),
        d=("holds = [1, 2047], ", ""),
        e=('grade = "inferred"', 'grade = "sure"'),
        f=('from = "channel"', "from = 4"),
        g=("[limit.cells]", "[limt.other]\n[limit.Cells]"),
        h=("date = 2026-11-20", 'date = "2026-20-11"'),
        i=("state.n = { unsigned = 1 }", "state.n = { unsigned = true, start = 1.5 }"),
    )
    assert "small, neuron.cell.state.v.signd: unknown entry; known here: evidence, signed, unsigned, start;" in found[3]
    for sentence in (
        "did you mean signed? [ND1102]",
        "small, limit.Cells.at_most: found '32'; it must be a valid integer. [ND1102]",
        "small, neuron.cell.role: found 'hiden'; it must be 'input', 'hidden', 'output' or 'hidden output'.",
        "small, neuron.cell.param.threshold.holds: entry missing; it must be stated. [ND1102]",
        "small, sources.desk.grade: found 'sure'; it must be 'silicon', 'rtl', 'vendor-simulator'",
        "small, connection.in.from: found 4; it must be a list. [ND1102]",
        "small, limt: unknown entry; known here: evidence, schema_version, name, title, sources, function, neuron,",
        "did you mean limit? [ND1102]",
        "small, limit.Cells: found 'Cells'; it must be a name: lower case letters, digits and underscores, first",
        "small, sources.desk.date: found '2026-20-11'; it must be a valid date. [ND1102]",
        "small, neuron.cell.state.n.unsigned: found True; it must be a valid integer. [ND1102]",
        "small, neuron.cell.state.n.start.number: found 1.5; it must be a valid integer. [ND1102]",
    ):
        assert any(sentence in line for line in found), (sentence, found)
    assert len(found) == 11


def test_faults_of_meaning_are_listed_all_at_once(tmp_path):
    found = refused(
        tmp_path / "small",
        a=("may = [1, 1000]", "may = [0, 1000]"),
        b=("state.v = { signed = 12 }", "state.v = { signed = 12, unsigned = 12, start = 5000 }"),
        c=('value = "neurons_cell"', 'value = "neurons_cel / 2 + entries_in"'),
        d=('on_input = "v = sat(v + arriving * w, 12)"', 'on_input = "v = sat(v + ariving * w, 12)"'),
        e=('on.step = "n = external"', 'on.step = "n = external & 15"\nevidence = "book"'),
        f=('weights = ["w"]', 'weights = ["u"]'),
        g=('["channel.step", "in", "rec", "cell.step"]', '["channel.step", "in", "in", "cell.setp"]'),
        h=('like = "in"', 'like = "inn"\nto = "sell"\nsynapse.w = { signed = 6 }'),
    )
    # a connection that is like nothing is reported before its entries are read
    assert found == ["small, connection.rec.like: no connection 'inn'; one of in, rec. [ND1103]"]
    found = refused(
        tmp_path / "small",
        (tmp_path / "small/chip.toml")
        .read_text()
        .replace('like = "inn"\n', "")
        .replace('"cell"\n[limit', '"c"\n[limit'),
    )
    for sentence in (
        "small, neuron.cell.param.threshold: may = [0, 1000]; must lie in holds = [1, 2047]",
        "small, neuron.cell.state.v: both or neither of signed and unsigned; exactly one. [ND1103]",
        "small, neuron.cell.state.v: start = 5000; must lie in -2048..2047. [ND1103]",
        "small, limit.cells.value: unknown name 'neurons_cel'; known: entries_in, entries_rec, neurons_cell,",
        "small, connection.in.on_input, line 1, column 13: unknown name 'ariving'; known here: arriving, n,",
        "small, neuron.channel.on.step, line 1, column 5: operator &; allowed: + - * // << >>. [ND1001]",
        "small, neuron.channel.state.n: evidence = 'book'; an entry of [sources]: desk. [ND1103]",
        "small, connection.in: weight = 'u'; one of w. [ND1103]",
        "small, schedule.step: phase = 'cell.setp'; one of channel.step, cell.step. [ND1103]",
        "small, schedule.step: phase 'in' stands 2 times; each handler and connection stands once. [ND1103]",
        "small, schedule.step: phase 'rec' is missing; each handler and connection stands once. [ND1103]",
        "small, schedule.step: phase 'cell.step' is missing; each handler and connection stands once. [ND1103]",
        "small, connection.rec: neuron kind = 'sell'; one of channel, cell. [ND1103]",
        "small, connection.rec: neuron kind = 'c'; one of channel, cell. [ND1103]",
    ):
        assert any(sentence in line for line in found), (sentence, found)


DEPLOY = """deploy = { model = "IAF", reset = ["zero"], comparison = [">="], max_spikes = 1, \
synaptic_current = "absent", threshold = "thr", states = { v = "u" } }"""
ONE_FAULT = {
    "range upside down": (("holds = [1, 2047]", "holds = [2047, 1]"), "holds = [2047, 1]; the lower end first"),
    "default outside": (("default = 100", "default = 0"), "default = 0; must lie in holds = [1, 2047]"),
    "external range": (("holds = [0, 15] }", "holds = [0, 15], may = [0, 16] }"), "channel.external: may = [0, 16]"),
    "parameter named as state": (("param.threshold", "param.n = { holds = [0, 1] }\nparam.threshold"), "stands twice"),
    "emits no state": (('output"\nemits = "n"', 'output"\nemits = "s"'), "neuron.cell: emits = 's'; one of v, n."),
    "input without range": (("external = { holds = [0, 15] }", ""), "an input has an external range, and nothing else"),
    "delay with sign": (("synapse.w", "synapse.delay = { signed = 3 }\nsynapse.w"), "a delay of -4..3 steps; 0 steps"),
    "delay made negative": (
        ("synapse.w", 'synapse.delay = { unsigned = 3 }\nstored = "delay = delay - 1"\nsynapse.w'),
        "a delay of -1..6 steps; 0 steps or more",
    ),
    "field named as state": (("synapse.w", "synapse.v = { signed = 3 }\nsynapse.w"), "the name 'v' stands twice"),
    "register named as state": (("synapse.w", "register.v = { signed = 12 }\nsynapse.w"), "the name 'v' stands twice"),
    "register with a start": (
        ("synapse.w", 'register.s = { signed = 9, start = 1 }\non_sum = ""\nsynapse.w'),
        "a start value; only states of neurons have one",
    ),
    "connection with a layer's parameter": (
        ("synapse.w", 'param.g = { holds = [0, 3], per = "layer" }\nsynapse.w'),
        'connection.in.param.g: per = "layer"; "projection", or nothing: one for the kind.',
    ),
    "neuron with a projection's parameter": (
        ("param.threshold", 'param.g = { holds = [0, 3], per = "projection" }\nparam.threshold'),
        'neuron.cell.param.g: per = "projection"; "neuron" or "layer".',
    ),
    "agreement without dialects": (
        ("[schedule]", "[agreement.neuron.cell]\nv = [0, 9]\n[schedule]"),
        "agreement: a table without dialects; [dialect.NAME] beside it.",
    ),
    "agreement of an unknown kind": (
        ("[schedule]", "[dialect.other]\n[agreement.neuron.cel]\nv = [0, 9]\n[schedule]"),
        "agreement: neuron kind = 'cel'; one of channel, cell.",
    ),
    "agreement of an unknown name": (
        ("[schedule]", "[dialect.other]\n[agreement.connection.in]\nv = [0, 9]\n[schedule]"),
        "agreement.connection.in: unknown name 'v'; known: w.",
    ),
    "dialect with a fault": (
        ("[schedule]", "[dialect.other]\nneuron.cell.on.step = 'v = u'\n[schedule]"),
        "dialect 'other' of small, neuron.cell.on.step, line 1, column 5: unknown name 'u'",
    ),
    "shift unknown": (('weights = ["w"]', 'weights = ["w"]\nshift = "s"'), "connection.in: shift = 's'; one of w."),
    "may unknown name": (('weights = ["w"]', 'weights = ["w"]\nmay = { "w << s" = [0, 9] }'), "unknown name 's'"),
    "stored unknown name": (('weights = ["w"]', 'weights = ["w"]\nstored = "w = s"'), "unknown name 's'"),
    "view unknown name": (("state.v =", 'view.x = "v + u"\nstate.v ='), "neuron.cell.view.x: unknown name 'u'"),
    "view no expression": (("state.v =", 'view.x = "v = 3"\nstate.v ='), "neuron.cell.view.x, line 1, column"),
    "handler unknown name": (("v = sat(v - (v", "v = sat(u - (v"), "cell.on.step, line 1, column 9: unknown name 'u'"),
    "handler assigns parameter": (("n * threshold\n", "n * threshold\nthreshold = 1\n"), "'threshold' is assigned"),
    "text with a bad line": (("v = v - n * threshold", "v = v - n *"), "line 3, column 12: invalid syntax"),
    "text with else": (("v = v - n * threshold", "if v > 3:\n  v = 3\nelse:\n  v = 2"), "an else branch"),
    "divisor can be zero": (("v = v - n * threshold", "v = v // n"), "line 3, column 5: the divisor of // can be 0..1"),
    "phase every unknown": (('"cell.step"]', '"cell.step"]\nevery.x = { period = 2 }'), "schedule.every: phase 'x'"),
    "offset beyond period": (
        ('"cell.step"]', '"cell.step"]\nevery.in = { period = 2, offset = 2 }'),
        "schedule.every.in: offset = 2; below the period 2",
    ),
    "every inside a scan": (
        ('"rec", "cell.step"]', '["cell.step", "rec"]]\nevery.rec = { period = 2 }'),
        "phase 'rec'; a phase of schedule.step, not one inside a scan",
    ),
    "foreign connection inside a scan": (
        ('"in", "rec", "cell.step"]', '"rec", ["cell.step", "in"]]'),
        "'in' inside the scan of 'cell'; from = 'cell'",
    ),
    "scan of connections": (('"in", "rec",', '["in", "rec"],'), "phase ['in', 'rec']; a neuron scan first"),
    "between two emissions": (
        ('"rec", "cell.step"]', '"cell.clear", "rec", "cell.step"]'),
        "'rec' stands between two handlers of 'cell' that write what it emits",
    ),
    "core kinds": (("[limit.cells]", '[core]\ncount = 1\nneurons = 4\nkinds = ["x"]\n[limit.cells]'), "kind = 'x'"),
    "limit per core without cores": (("at_most = 32", 'per = "core"\nat_most = 32'), 'per = "core" without a [core]'),
    "limit per source of nothing": (("at_most = 32", 'per = "source"\nat_most = 32'), "of = None; one of in"),
    "limit of without per": (("at_most = 32", 'of = "in"\nat_most = 32'), "of = 'in' with per = 'chip'"),
    "no evidence": (('evidence = "desk"\n[s', "[s"), "schedule: no evidence; every number needs a source"),
    "no emitter evidence": (("[limit.cells]", '[emit.x]\nevidence = "no"\n[limit.cells]'), "emit.x: evidence = 'no'"),
    "schema version": (("schema_version = 1", "schema_version = 2"), "this program reads version 1"),
    "deploy": (("param.threshold", f"{DEPLOY}\nparam.threshold"), "cell.deploy: parameter = 'thr'; one of threshold."),
    "like in a circle": (('to = "cell"\nweights', 'like = "rec"\nto = "cell"\nweights'), "in -> rec -> in; no circle"),
    "extends nothing": (("schema_version = 1", 'schema_version = 1\nextends = "xylo"'), "no chip 'xylo'; one of"),
    "extends itself": (("schema_version = 1", 'schema_version = 1\nextends = "small"'), "small -> small; no circle"),
    "without a parent": (("schema_version = 1", 'schema_version = 1\nwithout = ["core"]'), "found ['core']; a list of"),
    "no toml": (("[neuron.channel]", "[neuron.channel"), "no TOML: Expected ']' at the end of a table declaration"),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_FAULT)
def test_a_fault_is_refused_in_words(name, tmp_path):
    change, words = ONE_FAULT[name]
    text = SOUND.replace("on.step = '''", "on.clear = 'n = 0'\non.step = '''") if "cell.clear" in change[1] else SOUND
    found = refused(tmp_path / "small", text, change=change)
    assert any(words in line for line in found), found
