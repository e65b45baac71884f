"""Pictures: what is drawn is what happened, the same data give the same bytes, and what is refused."""

import builtins
import subprocess
import sys

import numpy as np
import pytest
import torch

import neurodeploy as nd
from neurodeploy.errors import Missing, Refusal
from neurodeploy.layers import IAF, LIF, Neuron
from neurodeploy.plot import (
    plot_evolution,
    plot_float_integer,
    plot_membrane,
    plot_raster,
    plot_rates,
    plot_resets,
    save_picture,
)
from neurodeploy.plot.style import COLOURS

torch.set_num_threads(1)

X = torch.rand(40, 2, 3, generator=torch.Generator().manual_seed(7)) * 0.6


def make_layer(**options):
    return LIF(3, 10.0, tau_syn=4.0, norm_input=False, **options)


def lines(axes):
    """Data of the lines with a value in every step."""
    return [np.asarray(line.get_ydata()) for line in axes.lines if len(line.get_ydata()) > 2]


def bars(axes, collection=0):
    """(time, height) of the vertical bars of one collection."""
    segments = axes.collections[collection].get_segments()
    return [(float(low[0]), float(high[1] - low[1])) for low, high in segments]


def by_label(figure, start):
    (found,) = [axes for axes in figure.axes if axes.get_ylabel().startswith(start)]
    return found


# ---------------------------------------------------------------- one neuron or a few


def test_the_evolution_draws_what_the_layer_did():
    layer = make_layer(record_states=True)
    figure = plot_evolution(layer, X, sample=1, neurons=[2, 0])
    assert not layer.recordings
    spikes = layer(X)
    assert spikes[:, 1].sum() > 5
    assert [a.get_ylabel() for a in figure.axes] == [
        "input x\n(a.u.)", "current i\n(a.u.)", "membrane v\n(a.u.)", "spikes\n(up to 2)"]  # fmt: skip
    for name, values in {"input": X, "current": layer.recordings["i"], "membrane": layer.recordings["v"]}.items():
        drawn = lines(by_label(figure, name))
        for line, neuron in zip(drawn, (2, 0), strict=False):
            assert line == pytest.approx(values[:, 1, neuron].numpy())
    assert lines(by_label(figure, "membrane"))[2] == pytest.approx(np.ones(40))
    for row, neuron in enumerate((2, 0)):
        fired = [float(t) for t in torch.nonzero(spikes[:, 1, neuron]).flatten()]
        assert [at for at, _ in bars(by_label(figure, "spikes"), row)] == fired
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["neuron 2", "neuron 0"]
    assert [line.get_color() for line in figure.axes[1].lines] == list(COLOURS[:2])


def test_the_state_of_the_layer_is_neither_used_nor_changed():
    layer = make_layer()
    expected = [line for axes in plot_evolution(layer, X).axes for line in lines(axes)]
    layer(X)
    kept = {name: value.clone() for name, value in layer._state.items()}
    found = [line for axes in plot_evolution(layer, X).axes for line in lines(axes)]
    assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))
    assert all(torch.equal(layer._state[name], value) for name, value in kept.items())


def test_one_row_of_input_is_given_to_every_neuron():
    figure = plot_evolution(IAF((2, 2)), torch.full((20,), 0.3))
    (line,) = lines(by_label(figure, "input"))
    assert line == pytest.approx(np.full(20, 0.3))
    assert len(by_label(figure, "spikes").collections) == 4
    assert by_label(figure, "input").get_ylim()[0] <= 0


def test_the_height_of_a_bar_is_the_number_of_spikes():
    layer = IAF(1)
    drive = torch.tensor([0.0, 2.5, 0.0, 3.6]).reshape(-1, 1, 1)
    figure = plot_evolution(layer, drive)
    assert bars(by_label(figure, "spikes")) == [(1.0, 2.0), (3.0, 4.0)]


class Rising(Neuron):
    """A neuron that nobody registered: its threshold rises with each spike."""

    step = """
v = v + x
spike = at_or_above(v, spike_threshold)
v = v - spike * spike_threshold
spike_threshold = spike_threshold + 0.5 * spike
still = 0 * v
"""

    def __init__(self, shape):
        super().__init__((shape,), states={"v": 0.0, "spike_threshold": 1.0, "still": 2.0}, tensors={}, options={})


class Summing(Neuron):
    step = "v = v + x\nspike = v"

    def __init__(self, shape):
        super().__init__((shape,), states={"v": 0.0}, tensors={}, options={})


def test_a_threshold_that_moves_is_drawn_with_the_membrane():
    figure = plot_evolution(Rising(1), torch.full((12,), 0.5))
    membrane = by_label(figure, "membrane")
    expected = np.array([1.0] * 1 + [1.5] * 3 + [2.0] * 4 + [2.5] * 4)
    assert lines(membrane)[-1] == pytest.approx(expected)
    assert [a.get_ylabel()[:8] for a in figure.axes] == ["input x\n", "membrane", "spikes"]


def test_states_can_be_chosen():
    chosen = ["still", "spike_threshold"]
    figure = plot_evolution(Rising(1), torch.full((12,), 0.5), states=chosen)
    assert [a.get_ylabel() for a in figure.axes][1:3] == [f"state {name}\n(a.u.)" for name in chosen]
    with pytest.raises(Refusal, match="state 'w'; one of v, spike_threshold, still"):
        plot_evolution(Rising(1), torch.ones(5), states=["w"])


def test_an_output_that_is_no_spikes_is_drawn_as_a_line():
    figure = plot_evolution(Summing(1), torch.full((12,), 0.3))
    assert lines(by_label(figure, "output"))[0] == pytest.approx(0.3 * np.arange(1, 13))


def test_time_is_in_milliseconds_where_the_step_is_stated():
    figure = plot_evolution(make_layer(), X, dt_s=0.002)
    assert figure.axes[-1].get_xlabel() == "time (ms)"
    assert figure.axes[0].lines[0].get_xdata() == pytest.approx(np.arange(40) * 2.0)
    assert plot_evolution(make_layer(), X).axes[-1].get_xlabel() == "time (steps)"


def test_a_membrane_of_any_origin_is_drawn_with_its_threshold_and_spikes():
    v = np.array([0.1, 0.5, 0.9, 0.0, 0.4])
    figure = plot_membrane(v, [0, 0, 0, 1, 0], threshold=1.0, input=np.full(5, 0.4))
    membrane = by_label(figure, "membrane")
    assert lines(membrane)[0] == pytest.approx(v)
    assert lines(membrane)[-1] == pytest.approx(np.ones(5))
    assert [line.get_xdata()[0] for line in membrane.lines if len(line.get_xdata()) == 2] == [3.0]
    assert [text.get_text() for text in membrane.texts] == ["threshold"]
    assert bars(by_label(figure, "spikes")) == [(3.0, 1.0)]
    assert lines(by_label(figure, "input"))[0] == pytest.approx(np.full(5, 0.4))
    assert len(plot_membrane(v).axes) == 1


def test_resets_are_compared_on_the_same_input():
    layer = make_layer(threshold=0.5)
    with torch.no_grad():
        layer.threshold.fill_(0.7)  # what counts is the layer as it is, not its description alone
    figure = plot_resets(layer, X, resets=("subtract", "zero"), neuron=1)
    for axes, reset in zip(figure.axes[1:], ("subtract", "zero"), strict=True):
        twin = LIF(3, 10.0, tau_syn=4.0, norm_input=False, threshold=0.7, reset=reset, record_states=True)
        spikes = twin(X)[:, 0, 1]
        assert spikes.sum() > 3
        assert axes.get_title(loc="left") == f"{reset}: {int(spikes.sum())} spikes"
        assert lines(axes)[0] == pytest.approx(twin.recordings["v"][:, 0, 1].numpy(), abs=1e-6)
    assert figure.axes[1].get_ylim() == figure.axes[2].get_ylim()
    shown = [lines(axes)[0] for axes in figure.axes[1:]]
    assert not np.allclose(*shown)


def test_a_reset_that_the_layer_does_not_have_is_refused_by_the_layer():
    with pytest.raises(Refusal, match="reset is 'vanish'; it must be one of 'subtract', 'zero', 'value'"):
        plot_resets(make_layer(), X, resets=("subtract", "vanish"))
    plot_resets(make_layer(reset="value", reset_value=-0.5), X, resets=("value", "zero"))


# ---------------------------------------------------------------- populations


def test_the_raster_marks_every_spike_of_the_sample():
    counts = np.random.default_rng(0).poisson(0.4, (30, 2, 8))
    figure = plot_raster(counts, sample=1)
    steps, neurons = np.nonzero(counts[:, 1])
    marks = figure.axes[0].collections[0]
    assert np.array_equal(marks.get_offsets(), np.stack([steps, neurons], 1))
    assert np.array_equal(marks.get_array(), counts[:, 1][steps, neurons])
    assert lines(figure.axes[1])[0] == pytest.approx(counts[:, 1].mean(1))
    assert figure.axes[2].get_ylabel() == "spikes in a step"
    assert len(plot_raster(counts.clip(max=1)).axes) == 2


def test_the_mean_rate_below_the_raster_is_in_hertz_where_the_step_is_stated():
    figure = plot_raster(np.ones((10, 4)), dt_s=0.01)
    assert figure.axes[1].get_ylabel() == "mean rate\n(Hz)"
    assert lines(figure.axes[1])[0] == pytest.approx(np.full(10, 100.0))


def test_silence_is_said():
    assert [t.get_text() for t in plot_raster(np.zeros((10, 4))).axes[0].texts] == ["no spikes"]
    assert [t.get_text() for t in plot_evolution(IAF(2), torch.zeros(10, 1, 2)).axes[-1].texts] == ["no spikes"]


def test_the_histogram_counts_every_neuron_once():
    counts = np.zeros((10, 5, 6))
    counts[:, :, 1:] = np.random.default_rng(1).poisson(np.arange(1, 6), (10, 5, 5))
    figure = plot_rates({"hidden": counts, "out": counts[:, :, :2]}, dt_s=0.01, bins=7)
    rates = counts.mean((0, 1)) / 0.01
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == np.histogram(rates, bins=7, range=(0, rates.max()))[0].tolist()
    assert sum(heights) == 6
    assert figure.axes[0].get_title(loc="left") == f"hidden: mean {rates.mean():.3g} Hz, 1 of 6 silent"
    assert figure.axes[0].lines[0].get_xdata()[0] == pytest.approx(rates.mean())
    assert figure.axes[1].get_xlabel() == "firing rate (Hz)"
    assert figure.axes[1].get_title(loc="left").startswith("out: ")


# ---------------------------------------------------------------- deployed layers


@pytest.fixture(scope="module")
def deployed():
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 6, bias=False),
        LIF(6, tau_mem=8.0, tau_syn=3.0, norm_input=True, threshold=0.6),
        torch.nn.Linear(6, 2, bias=False),
        LIF(2, tau_mem=8.0, tau_syn=4.0, norm_input=False),
    )
    chip = nd.chip("xylo_audio3")
    model = nd.constrain(model, chip)
    counts = np.random.default_rng(0).integers(0, 4, (60, 2, 4))
    quantized = nd.quantize(model, chip, calibration=counts)
    network = nd.map(quantized.network).network
    return model, network, counts


def test_the_integer_membrane_lies_on_the_float_one(deployed):
    model, network, counts = deployed
    run = nd.simulate(network, counts, record=["1.v"])
    fired = run.counts["1"][:, 1].sum(0)
    neuron = int(np.where(fired > 0, fired, 1000).argmin())  # one whose resets do not hide its membrane
    figure = plot_float_integer(model, run, "1", neuron=neuron, sample=1, dt_s=0.01)
    threshold, real, integer = lines_of_membrane(figure)
    assert threshold == pytest.approx(0.6)
    register = network.group("1").parameters["threshold"][neuron]
    assert integer == pytest.approx(run.states["1"]["v"][:, 1, neuron] * 0.6 / register)
    layer = model.get_submodule("1")
    layer.record_states = True
    nd.run_model(model, counts)
    assert real == pytest.approx(layer.recordings["v"][: len(real), 1, neuron].numpy(), abs=1e-6)
    layer.record_states = False
    assert np.corrcoef(real, integer)[0, 1] > 0.9
    assert lines(by_label(figure, "integer"))[0] == pytest.approx(integer - real)
    below = bars(by_label(figure, "spikes"), 1)
    assert sum(-height for _, height in below) == run.counts["1"][:, 1, neuron].sum() > 0
    assert "float and xylo_audio3" in figure.get_suptitle()


def lines_of_membrane(figure):
    axes = by_label(figure, "membrane")
    return (axes.lines[0].get_ydata()[0], *[np.asarray(line.get_ydata()) for line in axes.lines[1:]])


def test_an_overlay_needs_the_recorded_membrane(deployed):
    model, network, counts = deployed
    run = nd.simulate(network, counts)
    with pytest.raises(Refusal, match=r"the state 'v' of '1' was not recorded; .* record=\[\"1\.v\"\]"):
        plot_float_integer(model, run, "1")
    run = nd.simulate(network, counts, record=["1.v"])
    with pytest.raises(Refusal, match="layer 'hidden'; one of 1, 3"):
        plot_float_integer(model, run, "hidden")
    with pytest.raises(Refusal, match="neuron 6, sample 0; 0 to 5 and 0 to 1"):
        plot_float_integer(model, run, "1", neuron=6)
    further = nd.simulate(network, counts, record=["1.v"], state=run.final)
    with pytest.raises(Refusal, match="a run that goes on from another; a run from reset"):
        plot_float_integer(model, further, "1")


# ---------------------------------------------------------------- files, refusals, the example


def test_the_same_data_give_the_same_bytes(tmp_path):
    import matplotlib as mpl

    for name, settings in {"a": {}, "b": {"lines.linewidth": 9, "font.size": 30}}.items():
        with mpl.rc_context(settings):
            save_picture(plot_evolution(make_layer(), X), tmp_path / f"{name}.png")
    first, second = (tmp_path / "a.png").read_bytes(), (tmp_path / "b.png").read_bytes()
    assert first == second
    assert b"Software" not in first
    save_picture(plot_evolution(make_layer(), 2 * X), tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes() != first
    assert {file.name for file in tmp_path.iterdir()} == {"a.png", "b.png", "c.png"}


@pytest.mark.slow  # .ci/run has it
def test_nothing_is_shown_and_no_state_is_left():
    code = "import sys, torch; from neurodeploy.layers import IAF; from neurodeploy.plot import plot_evolution;"
    code += "plot_evolution(IAF(1), torch.ones(5)); print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own
    assert done.stdout.strip() == "False"


def test_without_matplotlib_the_line_that_installs_it_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Missing, match=r'pip install "neurodeploy\[plot\]"'):
        plot_evolution(make_layer(), X)


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: plot_evolution(make_layer(), X, neurons=[3]), "neuron 3 of 3; 0 to 2"),
        (lambda: plot_evolution(make_layer(), X, sample=2), "sample 2 of 2; 0 to 1"),
        (lambda: plot_evolution(make_layer(), X, dt_s=0), "dt_s is 0; it must be a finite number of seconds above 0"),
        (lambda: plot_evolution(make_layer(), X[..., :2]), "it must be (time, batch, 3)"),
        (
            lambda: plot_evolution(IAF(9), torch.ones(5), neurons=range(7)),
            "7 neurons in one picture; 1 to 6: more colours cannot",
        ),
        (lambda: plot_evolution(IAF(1), "loud"), "input is a str; it must be a tensor or an array"),
        (lambda: plot_membrane(np.zeros((5, 7))), "7 neurons in one picture"),
        (lambda: plot_membrane(np.zeros(5), np.zeros(4)), "spikes has shape (4, 1), the membrane (5, 1)"),
        (lambda: plot_membrane([0.0, np.nan]), "membrane holds NaN or infinite values"),
        (lambda: plot_membrane(np.zeros(5), threshold=[1, 2]), "threshold has shape (2,); a number, or (1,)"),
        (lambda: plot_resets(make_layer(), X, resets=()), "no reset; at least one word"),
        (lambda: plot_raster(np.full((5, 2), -1)), "a count of -1; counts are 0 or more"),
        (lambda: plot_raster(np.zeros((0, 2))), "spikes has shape (0, 2); it must have at least one step"),
        (lambda: plot_rates(np.zeros((5, 2))), "(time, batch, ...): a rate is a mean over both"),
        (lambda: plot_rates({}), "0 layers, 24 bins; at least 1 of each"),
        (lambda: save_picture(plot_raster(np.ones((5, 2))), "a.pdf"), "the name must end in .png"),
        (lambda: save_picture(plot_raster(np.ones((5, 2))), "/nowhere/a.png"), "No such file or directory"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, words):
    with pytest.raises(Refusal) as refusal:
        draw()
    assert words in str(refusal.value)


@pytest.mark.slow  # .ci/run has it
def test_the_example_draws_every_neuron_of_the_registry(tmp_path):
    from neurodeploy.layers.registry import LAYERS

    example = __file__.replace("tests/test_plot.py", "examples/draw_neurons.py")
    done = subprocess.run([sys.executable, example, tmp_path], capture_output=True, text=True, check=True)  # noqa: S603 - our own
    ours = {name for name, kind in LAYERS.items() if issubclass(kind, Neuron) and kind.__module__.startswith("neuro")}
    assert ours >= {"IAF", "LIF"}
    assert {f"{name}.png" for name in ours} <= set(done.stdout.split())
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in done.stdout.split())
