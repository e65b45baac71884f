"""Float against integer: what rounding explains, that every run lies inside it, and that a wrong one does not.

The bracket of ``neurodeploy.quantizer.explain`` is a claim about every step of every neuron. Three kinds of test: the
claim about neurons itself, on random float neurons; integer networks of every form inside; wrong ones outside.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from float_models import Options, counts_of, linear, model_of

from neurodeploy import chips
from neurodeploy.layers import LIF, Delay
from neurodeploy.network import place_identity
from neurodeploy.quantizer import constrain, lower, quantize
from neurodeploy.quantizer.activity import observe
from neurodeploy.quantizer.explain import bracket, explained
from neurodeploy.quantizer.rails import Watch
from neurodeploy.quantizer.registers import build_network
from neurodeploy.quantizer.scale import room_of
from neurodeploy.quantizer.search import settle, trial_of
from neurodeploy.simulator import simulate

torch.set_num_threads(1)
CHIPS = ("xylo_audio2", "xylo_audio3", "xylo_imu")
STEPS = 100


def integer(options, *, chip="xylo_audio3", scales="peaks", seed=0, rate=1.0, samples=3):
    """(lowered, quantized stages, run, watch) of a random model on random counts and a constant sample.

    scales : "weights": without calibration; "peaks": so that no state of the float model meets a rail; "search": as
        quantize chooses on calibration data
    """
    chip = chips.chip(chip)
    model = constrain(model_of(options, seed), chip)
    counts = counts_of(seed, steps=STEPS, samples=samples, inputs=options.inputs, rate=rate)
    return quantized_run(model, chip, counts, scales=scales)


def quantized_run(model, chip, counts, *, scales="peaks"):
    lowered = lower(model, chip)
    activity = None if scales == "weights" else observe(lowered, counts)
    rooms = {s.name: room_of(s, activity.peaks[s.name] if activity else None) for s in lowered.stages}
    choice = settle(lowered, rooms, trial_of(lowered, counts, activity) if scales == "search" else None)
    network, done, faults = build_network(lowered, choice, rooms, until=len(lowered.stages), dt_s=None)
    assert faults == []
    return lowered, done, *simulated(network, counts)


def simulated(network, counts):
    watch = Watch()
    placed = place_identity(network)
    run = simulate(placed, counts, drain=0, executor=watch, observer=watch.look, progress=watch.end_step)
    return run, watch


def assert_explained(lowered, done, run, watch, *, width):
    """Every layer fires, hits no rail, lies inside; the bracket is narrower than ``width`` events in all, per event."""
    widths, events = 0.0, 0.0
    for stage, quantized in zip(lowered.stages, done, strict=True):
        assert watch.hits_of(run.network, stage.name) == 0, stage.name
        share, wide = explained(stage, quantized, run)
        assert share == 1.0, stage.name
        assert run.counts[stage.name].sum() > 0, stage.name
        widths += wide
        events += run.counts[stage.name].sum(0).mean()
    assert widths < width * events, widths / events
    return widths / events


def assert_explained_where_free(lowered, done, run, watch, *, at_least):
    """The same of every layer that hit no rail, of which there are some; how wide the bracket is does not matter."""
    free = [p for p in zip(lowered.stages, done, strict=True) if watch.hits_of(run.network, p[0].name) == 0]
    assert len(free) >= at_least
    assert all(explained(stage, quantized, run)[0] == 1.0 for stage, quantized in free)


# --- integer networks of every form lie inside


CASES = [
    # chip, hidden, recurrent, bias, norm_input, per_neuron, tau_mem, tau_syn, threshold
    ("xylo_audio3", (12,), False, False, False, False, 8.0, 4.0, 1.0),
    ("xylo_audio2", (12,), True, False, False, False, 8.0, 4.0, 1.0),
    ("xylo_imu", (12,), True, True, False, False, 8.0, 4.0, 1.0),
    ("xylo_audio3", (12,), True, True, True, False, 8.0, 4.0, 1.0),
    ("xylo_audio3", (12,), True, True, True, True, 8.0, 4.0, 1.0),
    ("xylo_audio2", (12,), False, True, False, True, 4.0, 8.0, 0.01),
    ("xylo_imu", (12,), False, False, True, True, 16.0, 2.0, 50.0),
    ("xylo_audio3", (12,), True, False, False, False, 1.5, 1.5, 1.0),
    ("xylo_audio2", (12,), True, True, False, True, 1.5, 8.0, 0.3),
    ("xylo_imu", (12,), False, True, True, False, 2.9, 1.5, 7.0),
    ("xylo_audio3", (10, 8), False, False, False, False, 8.0, 4.0, 1.0),
    ("xylo_audio2", (10, 8), True, True, False, True, 8.0, 4.0, 1.0),
    ("xylo_imu", (10, 8), True, True, True, True, 5.8, 2.9, 0.2),
    ("xylo_audio3", (8, 8, 8), False, True, False, False, 8.0, 4.0, 1.0),
    ("xylo_audio2", (8, 8, 8), True, False, True, True, 4.0, 4.0, 3.0),
    ("xylo_imu", (8, 8, 8), True, True, False, True, 11.6, 2.9, 1.0),
    ("xylo_audio3", (12,), True, True, True, True, 32.0, 4.0, 1.0),
    ("xylo_audio3", (12,), False, False, False, True, 16.0, 16.0, 1.0),
]
#: one to three layers, every chip, every option set and not; .ci/run has the others
FEW = (0, 5, 12, 14)


@pytest.mark.parametrize(
    "case",
    [c if i in FEW else pytest.param(c, marks=pytest.mark.slow) for i, c in enumerate(CASES)],
    ids=lambda c: "-".join(map(str, c)),
)
def test_rounding_explains_every_running_count(case):
    chip, hidden, recurrent, bias, norm_input, per_neuron, tau_mem, tau_syn, threshold = case
    options = Options(6, hidden, 4, tau_mem, tau_syn, threshold, 1.0, recurrent, bias, norm_input, per_neuron)
    assert_explained(*integer(options, chip=chip, seed=8), width=0.035)
    assert_explained_where_free(*integer(options, chip=chip, seed=9, scales="weights"), at_least=1)


#: the ends and the middle of the range; .ci/run has those between
TAU = [1.5, 12.0, 60.0, 1000.0, *(pytest.param(tau, marks=pytest.mark.slow) for tau in (3.0, 6.0, 30.0, 200.0))]


@pytest.mark.parametrize("tau", TAU)
def test_rounding_explains_every_membrane_on_the_grid(tau):
    result = integer(Options(tau_mem=tau, tau_syn=3.0, recurrent=True), seed=4)
    assert_explained(*result, width=0.035)


@pytest.mark.parametrize(("tau", "width"), [(1.5, 0.015), (6.0, 0.015), (12.0, 0.02), (30.0, 0.03), (100.0, 0.07)])
def test_rounding_explains_every_current_on_the_grid(tau, width):
    """A slow current falls by 1 in each step at the end, whatever its size: the longer it is, the less is promised."""
    result = integer(Options(tau_mem=8.0, tau_syn=tau, recurrent=True), seed=4)
    assert_explained(*result, width=width)


@pytest.mark.parametrize("drive", [0.3, 3.0, 20.0])
def test_rounding_explains_silent_and_loud_layers(drive):
    """Small drives need large shifts, large ones make a neuron fire dozens of times in a step, up to its cap."""
    result = integer(Options(drive=drive, recurrent=True), seed=2, rate=3.0)
    assert_explained(*result, width=0.05)
    assert result[2].counts["1"].max() == {0.3: 2, 3.0: 20, 20.0: 31}[drive]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_rounding_explains_what_calibration_chose_where_no_rail_was_hit(seed):
    options = Options(hidden=(12, 8), recurrent=True, bias=True, per_neuron=True)
    assert_explained_where_free(*integer(options, scales="search", seed=seed, samples=2), at_least=2)


def test_rounding_explains_a_model_that_is_off_the_grid_and_states_no_delay():
    """The bracket takes the decays and the delays of the chip: what they cost is reported apart."""
    chip = chips.chip("xylo_audio3")
    model = model_of(Options(tau_mem=10.0, tau_syn=4.5))
    capped = [
        LIF(m.shape, m.tau_mem, tau_syn=m.tau_syn, threshold=m.threshold, norm_input=False, max_spikes=cap)
        for m, cap in ((model[1], 31), (model[3], 1))
    ]
    plain = torch.nn.Sequential(model[0], capped[0], model[2], capped[1])
    assert_explained(*quantized_run(plain, chip, counts_of(steps=STEPS)), width=0.05)


def test_the_float_neuron_with_the_decays_of_the_chip_lies_inside_too():
    """The bracket reaches from the float to the integer parameters: it holds what lies between the two."""
    lowered, done, run, _ = integer(Options(), seed=3)
    stage, quantized = lowered.stages[0], done[0]
    low, high = bracket(stage, quantized, run)
    layer = constrain(model_of(Options(), 3), lowered.chip)[1]
    drive = torch.as_tensor(run.counts["channel"] @ stage.edges[0].weight, dtype=torch.float32)
    with torch.no_grad():
        running = np.cumsum(layer(drive).numpy(), axis=0)
    assert running[-1].mean() > 20
    assert np.all((low <= running) & (running <= high))


def test_the_width_is_that_of_the_bracket():
    lowered, done, run, _ = integer(Options(tau_syn=16.0), seed=3)
    low, high = bracket(lowered.stages[0], done[0], run)
    assert np.all(low <= high)
    assert np.all(np.diff(low, axis=0) >= 0)
    assert explained(lowered.stages[0], done[0], run)[1] == pytest.approx((high[-1] - low[-1]).mean())
    assert (high[-1] - low[-1]).mean() > 0


# --- wrong integer networks lie outside


@pytest.fixture(scope="module")
def right():
    """Lowered model, its quantization, its input, and the integer network itself."""
    lowered, done, run, watch = integer(Options(hidden=(12, 8), recurrent=True, bias=True), seed=6)
    assert_explained(lowered, done, run, watch, width=0.05)
    return lowered, done, run


def changed(network, group=None, kind=None, **new):
    """The network with registers of one group, or parameters or fields of one connection kind, recomputed."""
    groups, projections = [], []
    for g in network.groups:
        values = {n: new[n](v) if g.name == group and n in new else v for n, v in g.parameters.items()}
        groups.append(replace(g, parameters=values))
    for p in network.projections:
        fields = {n: new[n](v) if p.kind == kind and n in new else v for n, v in p.fields.items()}
        values = {n: new[n](v) if p.kind == kind and n in new else v for n, v in p.parameters.items()}
        projections.append(replace(p, fields=fields, parameters=values))
    return replace(network, groups=tuple(groups), projections=tuple(projections))


WRONG = {
    "threshold 20 % higher": ("1", None, {"threshold": lambda t: t * 12 // 10}),
    "threshold 20 % lower": ("1", None, {"threshold": lambda t: t * 8 // 10}),
    "threshold of the output 20 % lower": ("5", None, {"threshold": lambda t: t * 8 // 10}),
    "dash of the membrane one more": ("1", None, {"dash_mem": lambda d: d + 1}),
    "dash of the membrane one less": ("3", None, {"dash_mem": lambda d: d - 1}),
    "dash of the current one more": ("1", None, {"dash_syn1": lambda d: d + 1}),
    "dash of the current one less": ("1", None, {"dash_syn1": lambda d: d - 1}),
    "dash of the output's current one less": ("5", None, {"dash_syn1": lambda d: d - 1}),
    "no bias": ("1", None, {"bias": lambda b: b * 0}),
    "bias of the output negated": ("5", None, {"bias": lambda b: -b}),
    "weight shift one more": (None, "in", {"shift": lambda s: s + 1}),
    "weight shift one less": (None, "in", {"shift": lambda s: s - 1}),
    "recurrent shift one more": (None, "rec", {"shift": lambda s: s + 1}),
    "output shift one less": (None, "out", {"shift": lambda s: s - 1}),
    "weights rolled": (None, "in", {"w1": lambda w: np.roll(w, 1)}),
    "weights negated": (None, "out", {"w1": lambda w: -w}),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_register_is_not_explained(right, name):
    lowered, done, run = right
    group, kind, new = WRONG[name]
    wrong, _ = simulated(changed(run.network, group, kind, **new), run.input["channel"])
    shares = {s.name: explained(s, q, wrong)[0] for s, q in zip(lowered.stages, done, strict=True)}
    targets = {group} if group else {p.target for p in run.network.projections if p.kind == kind}
    for target in targets:
        assert shares[target] < 0.6, shares
    for other in shares.keys() - targets:  # driven by other events, and right about them
        assert shares[other] == 1, shares


@pytest.mark.parametrize("source", ["channel", "1", "3"])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_shifted_delay_is_not_explained(right, source, steps):
    """The layer answers to events of other steps than it should: totals would hardly show it, running counts do."""
    lowered, done, run = right
    shifted = np.roll(run.counts[source], -steps, axis=0)
    late = replace(run, counts={**run.counts, source: shifted})
    target = lowered.stages[["channel", "1", "3"].index(source)].name
    share = next(explained(s, q, late)[0] for s, q in zip(lowered.stages, done, strict=True) if s.name == target)
    assert share < 0.4


def test_a_wrong_quantizer_is_not_explained(right):
    """Registers that lie further than half a step from the float parameters do not widen the bracket."""
    lowered, done, run = right
    stage, quantized = lowered.stages[0], done[0]
    for new in ({"threshold": lambda t: t * 12 // 10}, {"bias": lambda b: b * 3}):
        wrong, _ = simulated(changed(run.network, "1", None, **new), run.input["channel"])
        own = replace(quantized, group=wrong.network.group("1"))
        assert explained(stage, own, wrong)[0] < 0.6
    wrong, _ = simulated(changed(run.network, None, "in", w1=lambda w: w // 2), run.input["channel"])
    own = replace(quantized, projections=tuple(p for p in wrong.network.projections if p.target == "1"))
    assert explained(stage, own, wrong)[0] < 0.6


def test_a_rail_is_not_explained_and_is_reported():
    """A current that climbs to twice its register."""
    chip = chips.chip("xylo_audio3")
    model = torch.nn.Sequential(
        linear([[1.0]]),
        LIF(1, tau_mem=8.0, tau_syn=32.0, threshold=10.0, norm_input=False, max_spikes=31),
        Delay(1),
        linear([[1.0]]),
        LIF(1, tau_mem=8.0, tau_syn=4.0, norm_input=False, max_spikes=1),
    )
    lowered, done, run, watch = quantized_run(model, chip, np.full((90, 1, 1), 15), scales="weights")
    assert watch.hits_of(run.network, "1") > 20
    assert explained(lowered.stages[0], done[0], run)[0] == 0
    lowered, done, run, watch = quantized_run(model, chip, np.full((90, 1, 1), 15), scales="peaks")
    assert watch.hits_of(run.network, "1") == 0
    assert explained(lowered.stages[0], done[0], run)[0] == 1


# --- the claim about neurons


def running(drive, keep, threshold, bias, error, *, cap=np.inf, reset=None, strict=False):
    """Running counts of a float neuron; ``error`` is added to the membrane in each step; no reset value: subtract."""
    v, total, result = np.zeros(drive.shape[1:]), np.zeros(drive.shape[1:]), []
    for x, e in zip(drive, error, strict=True):
        v = keep * v + x + bias + e
        reached = np.ceil(v / threshold) - 1 if strict else np.floor(v / threshold)
        fired = np.clip(reached, 0, cap)
        v = v - fired * threshold if reset is None else np.where(fired > 0, reset, v)
        total = total + fired
        result.append(total)
    return np.array(result)


def ahead_and_behind(seed, **options):
    """Running counts of pairs of neurons: one has more drive, bias, rounding, and a lower threshold than the other."""
    rng, neurons, steps = np.random.default_rng(seed), 400, 60
    low = rng.normal(0.1, 1.0, (steps, neurons)) * np.exp(rng.normal(0, 1, neurons))  # of either sign
    high = low + rng.exponential(0.05, (steps, neurons)) * (rng.random((steps, neurons)) < 0.2)
    threshold = np.exp(rng.normal(0, 0.3, neurons))
    lower = threshold * (1 - rng.random(neurons) * 0.1 * (rng.random(neurons) < 0.5))
    error, keep = np.sort(rng.uniform(-0.02, 0.02, (2, steps, neurons)), axis=0), rng.uniform(0, 1, neurons)
    behind = running(low, keep, threshold, 0.0, error[0], **options)
    return running(high, keep, lower, 0.01, error[1], **options), behind


@pytest.mark.parametrize("reset", [None, 0.0])
@pytest.mark.parametrize("cap", [1, 3, np.inf])
@pytest.mark.parametrize("strict", [False, True])
def test_a_neuron_with_more_drive_and_a_lower_threshold_never_falls_behind(reset, cap, strict):
    for seed in range(5):
        ahead, behind = ahead_and_behind(seed, reset=reset, cap=cap, strict=strict)
        assert np.all(ahead >= behind)
        assert np.any(ahead > behind)


def test_the_claim_fails_for_a_reset_below_zero_so_that_no_bracket_is_made():
    pairs = [ahead_and_behind(seed, reset=-1.0) for seed in range(5)]
    assert any(np.any(ahead < behind) for ahead, behind in pairs)
    lowered, done, run, _ = integer(Options())
    for options in ({"reset": "value", "reset_value": -1.0}, {"v_min": -1.0}):
        stage = replace(lowered.stages[0], module=LIF(12, 8.0, tau_syn=4.0, **options))
        assert explained(stage, done[0], run) is None


@pytest.mark.parametrize("dash", range(1, 16))
def test_the_decay_of_the_chip_rounds_to_a_neighbouring_integer(dash):
    """What the bracket assumes of one step, on every value of the register, with the chip's own operator."""
    kind = chips.chip("xylo_audio3").neurons["output"]
    values = np.arange(-32768, 32768)
    size = values.size
    network = quantize(
        torch.nn.Sequential(linear([[1.0]]), LIF(1, 8.0, tau_syn=4.0, norm_input=False, max_spikes=31),
                            Delay(1), linear([[1.0]]), LIF(1, 8.0, tau_syn=4.0, norm_input=False, max_spikes=1)),
        chips.chip("xylo_audio3"),
    ).network  # fmt: skip
    assert network.group("4").kind == kind.name
    environment = {"i1": values, "v": np.zeros(size, np.int64), "count": np.zeros(size, np.int64)}
    parameters = {"dash_syn1": dash, "dash_mem": 1, "threshold": 32767, "bias": 0}
    after = run_step(kind, environment | parameters)["i1"]
    error = after - values * (1 - 2.0**-dash)
    assert np.abs(error).max() == 1 - 2.0**-dash
    up = (values <= 0) | (values >= 2**dash)
    assert np.all(error[up] >= 0)
    assert np.all(error[~up] < 0)
    assert np.all(np.isin(np.diff(after), (0, 1)))  # larger states stay larger, differences never grow


def run_step(kind, environment):
    from neurodeploy.step import NUMPY, run

    run(kind.handlers["step"].text.statements, environment, NUMPY)
    return environment
