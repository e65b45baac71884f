"""The demo: honest data, the largest network that a chip's limits allow, one rule for float and integer."""

import copy
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from command_line import run as run_command

import neurodeploy as nd
from neurodeploy.checker import check
from neurodeploy.chips import from_raw
from neurodeploy.demo import digits as digits_module
from neurodeploy.demo import pipeline, run_demo
from neurodeploy.demo.digits import CHANNELS, HOLD, MAX_COUNT, SILENCE, Shifts, digits, encode
from neurodeploy.demo.network import FAN_OUT, HIDDEN, Shape, build, largest_shape
from neurodeploy.demo.pipeline import CLASSES, calibration_of
from neurodeploy.errors import DoesNotFit, Missing, Refusal
from neurodeploy.layers import Neuron

CHIPS = ["xylo_audio2", "xylo_audio3", "xylo_imu"]
ALL_IMAGES = digits_module.images


# data


@pytest.mark.parametrize("classes", [8, 10])
@pytest.mark.parametrize("seed", range(5))
def test_training_test_and_calibration_samples_are_disjoint_and_stratified(classes, seed):
    parts = digits(classes, seed)
    train, test = set(parts.train.sample_id.tolist()), set(parts.test.sample_id.tolist())
    calibration = set(calibration_of(parts.train).sample_id.tolist())
    _, labels = ALL_IMAGES(classes)
    assert not train & test
    assert train | test == set(range(len(labels)))
    assert calibration < train
    for one in range(classes):
        members = int((labels == one).sum())
        assert abs(int((parts.test.label == one).sum()) - members / 4) < 1
        assert one in calibration_of(parts.train).label


def test_every_sample_carries_the_counts_of_its_own_image():
    pictures, labels = ALL_IMAGES(CLASSES)
    parts = digits(CLASSES, 3)
    for part in (parts.train, parts.test):
        assert np.array_equal(part.input, encode(pictures[part.sample_id]))
        assert np.array_equal(part.label, labels[part.sample_id])


def test_another_seed_splits_otherwise_and_the_same_seed_the_same():
    first, again, other = (set(digits(CLASSES, seed).test.sample_id.tolist()) for seed in (0, 0, 1))
    assert first == again != other


def test_an_image_becomes_rows_and_columns_and_then_silence():
    image = np.zeros((1, 8, 8))
    image[0, 2, 5] = 0.5
    counts = encode(image)
    assert counts.shape == (8 * HOLD + SILENCE, 1, CHANNELS)
    shown = {(int(t), int(c)): int(counts[t, 0, c]) for t, _, c in np.argwhere(counts)}
    row = {(t, 5): MAX_COUNT // 2 for t in range(2 * HOLD, 3 * HOLD)}
    column = {(t, 8 + 2): MAX_COUNT // 2 for t in range(5 * HOLD, 6 * HOLD)}
    assert shown == row | column


def test_the_augmentation_shifts_training_images_by_one_pixel():
    pictures, _ = ALL_IMAGES(CLASSES)
    train = digits(CLASSES, 0).train
    moved = Shifts(train, CLASSES).moved.numpy()
    right = np.zeros((train.batch, 8, 8))
    right[:, :, 1:] = pictures[train.sample_id][:, :, :-1]
    assert any(np.array_equal(move, encode(right)) for move in moved)
    assert moved.shape == (4, *train.input.shape)


def test_the_augmentation_sees_no_test_image(monkeypatch):
    parts = digits(CLASSES, 0)
    before = Shifts(parts.train, CLASSES).moved
    pictures, labels = ALL_IMAGES(CLASSES)
    pictures = pictures.copy()
    pictures[parts.test.sample_id] = 1 - pictures[parts.test.sample_id]
    monkeypatch.setattr(digits_module, "images", lambda _: (pictures, labels))
    assert torch.equal(Shifts(parts.train, CLASSES).moved, before)
    pictures[parts.train.sample_id] = 0
    assert not torch.equal(Shifts(parts.train, CLASSES).moved, before)


def test_a_moved_sample_stays_itself_and_its_silent_end_stays():
    train = digits(CLASSES, 0).train
    shifts = Shifts(train, CLASSES)
    chosen = torch.tensor([7, 0, 3, 7, 11, 50])
    x = torch.as_tensor(train.input.astype(np.float32))[:, chosen]
    x = torch.cat([x, x.new_full((2, *x.shape[1:]), 5.0)])
    result = shifts(x, chosen, torch.Generator().manual_seed(1))
    changed = 0
    for column, sample in enumerate(chosen.tolist()):
        own = [x[:-2, column], *shifts.moved[:, :, sample]]
        assert any(torch.equal(result[:-2, column], one) for one in own)
        changed += not torch.equal(result[:, column], x[:, column])
    assert 0 < changed < len(chosen)
    assert torch.equal(result[-2:], x[-2:])


def test_without_scikit_learn_the_line_that_installs_it_is_given(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(Missing) as caught:
        run_demo(nd.chip("xylo_imu"), tmp_path)
    assert caught.value.exit_status == 3
    assert str(caught.value) == (
        "the demo's digit images: the package scikit-learn is not installed; it is needed here; "
        'pip install "neurodeploy[demo]". [ND9001]'
    )


# the largest network


def smaller(base="xylo_imu", name="made_up", **limits):
    """A chip that nobody has seen, with other limits."""
    raw = copy.deepcopy(dict(nd.chip(base).raw))
    raw["name"] = name
    for limit, at_most in limits.items():
        raw["limit"][limit]["at_most"] = at_most
    return from_raw(raw)


MADE_UP = {
    "few of all": ({"hidden": 50, "outputs": 5, "fan_out": 20}, Shape(CHANNELS, 48, 16, 5)),
    "few synapses": ({"hidden": 50, "pool": 600}, Shape(CHANNELS, 48, 8, 10)),
    "few inputs": ({"in_targets": 100, "out_sources": 64}, Shape(CHANNELS, 64, 64, 10)),
    "two classes": ({"outputs": 2}, Shape(CHANNELS, 126, 126, 2)),
}


def fits(shape, chip):
    return check(build(shape, 0), chip).fits


@pytest.mark.parametrize("case", MADE_UP)
def test_the_largest_network_follows_from_the_limits_of_a_made_up_chip(case):
    limits, expected = MADE_UP[case]
    shape, fit = largest_shape(smaller(**limits), CHANNELS, CLASSES)
    assert shape == expected
    assert fit.fits


@pytest.mark.parametrize("chip", [*map(nd.chip, CHIPS), *(smaller(**limits) for limits, _ in MADE_UP.values())])
def test_the_largest_network_fits_and_one_step_more_does_not(chip):
    shape, fit = largest_shape(chip, CHANNELS, CLASSES)
    assert fits(shape, chip)
    assert all(u.asked <= u.at_most for u in fit.usage)
    least = Shape(CHANNELS, HIDDEN[-1], FAN_OUT[-1], shape.classes)
    if shape.classes < CLASSES:
        assert not fits(replace(least, classes=shape.classes + 1), chip)
    if shape.hidden < HIDDEN[0]:
        assert not fits(replace(least, hidden=HIDDEN[HIDDEN.index(shape.hidden) - 1]), chip)
    if shape.fan_out < min(FAN_OUT[0], shape.hidden):
        assert not fits(replace(shape, fan_out=FAN_OUT[FAN_OUT.index(shape.fan_out) - 1]), chip)


@pytest.mark.parametrize("base", CHIPS)
def test_the_name_of_a_chip_decides_nothing(base):
    assert (
        largest_shape(smaller(base, "somebody"), CHANNELS, CLASSES)[0] == largest_shape(nd.chip(base), CHANNELS, 10)[0]
    )


def test_a_chip_that_is_too_small_is_answered_with_the_reasons():
    with pytest.raises(DoesNotFit) as caught:
        largest_shape(smaller(hidden=31, outputs=1), CHANNELS, CLASSES)
    assert caught.value.exit_status == 1
    assert "32 hidden neurons; at most 31 fit" in str(caught.value)
    assert "2 output neurons; at most 1 fit" in str(caught.value)


# the whole way


@pytest.fixture(scope="module")
def few_images():
    """Every sixth image: the way is the same, and shorter."""

    def images(classes):
        pictures, labels = ALL_IMAGES(classes)
        return pictures[::6], labels[::6]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits_module, "images", images)
        patch.setattr(pipeline, "CALIBRATION_SAMPLES", 12)
        yield


#: The second stage of .ci/run goes the whole way for each of them, on all images.
DEMOS = [CHIPS[1], *(pytest.param(name, marks=pytest.mark.slow) for name in (CHIPS[0], CHIPS[2]))]


@pytest.fixture(scope="module", params=DEMOS)
def demo(request, few_images, tmp_path_factory):  # noqa: ARG001 - needed for its effect
    chip = nd.chip(request.param)
    folder = tmp_path_factory.mktemp(request.param) / "new" / "digits"
    return run_demo(chip, folder, epochs=2)


def made_up_folder(folder):
    """A chip by path, with nothing to compare it with: no golden vectors, no oracle."""
    chip = folder / "tiny_chip"
    chip.mkdir()
    limits = "[limit.hidden]\nat_most = 40\n[limit.outputs]\nat_most = 3\n"
    text = f'extends = "xylo_imu"\nwithout = ["oracle"]\nname = "tiny_chip"\ntitle = "Tiny"\n{limits}'
    (chip / "chip.toml").write_text(text)
    return chip


@pytest.fixture(scope="module")
def tiny(few_images, tmp_path_factory):  # noqa: ARG001 - needed for its effect
    """Two runs of the same demo."""
    root = tmp_path_factory.mktemp("tiny")
    chip = nd.chip(made_up_folder(root))
    return [run_demo(chip, root / name, epochs=2) for name in ("one", "two")]


def loaded(demo):
    model, info = nd.load_model(demo.folder / "model.safetensors")
    return model, info, nd.load_data(demo.folder / "test.npz"), nd.load_data(demo.folder / "train.npz")


def test_the_demo_tells_what_it_found(demo):
    shown = demo.to_json()
    assert {"target", "float_accuracy", "integer_accuracy", "exact_against", "seconds", "bundle"} <= set(shown)
    assert shown["target"] == demo.chip.name
    assert shown["bundle"] == str(demo.bundle)
    assert shown["classes"] == min(CLASSES, demo.chip.limits["outputs"].entry.at_most)
    assert shown["seconds"] > 0
    assert {u["limit"] for u in shown["usage"]} == set(demo.chip.limits)
    assert all(u["asked"] <= u["at_most"] for u in shown["usage"])


def test_the_demo_writes_its_files_and_a_bundle_that_verifies(demo):
    names = sorted(p.name for p in demo.folder.iterdir())
    assert names == ["digits.nd", "model.safetensors", "test.npz", "train.npz"]
    assert nd.verify(demo.bundle).exact
    model, info, test, train = loaded(demo)
    assert info.dt_s == test.dt_s == train.dt_s
    assert set(test.sample_id.tolist()).isdisjoint(train.sample_id.tolist())
    assert check(model, demo.chip).fits


def test_every_comparison_names_its_maker_its_grade_and_how_many_values(demo):
    rows = demo.exact_against
    assert [row["kind"] for row in rows][:1] == ["golden"]
    for row in rows:
        assert set(row) == {"oracle", "version", "kind", "values_compared", "grade"}
        assert row["kind"] in {"live", "golden"}
        assert row["values_compared"] > 0
        assert row["version"] == "0.1.3", "the version alone, of golden vectors and of live comparisons"
        assert row["grade"] == "vendor-simulator"


@pytest.mark.oracle("xylosim")
def test_an_installed_oracle_is_compared_live(demo):
    assert [(row["oracle"], row["kind"]) for row in demo.exact_against][1:] == [("xylosim", "live")]


def test_accuracy_is_decided_by_one_rule_for_float_and_integer(demo):
    trial = demo.trials[0]
    real, integer = trial.float_result, trial.integer_result
    assert (real.rule, real.latency, real.total) == (integer.rule, integer.latency, integer.total)
    assert np.array_equal(real.sample_id, integer.sample_id)
    model, _, test, _ = loaded(demo)
    run = nd.simulate(nd.load_network(demo.bundle / "network.npz"), test.input)
    shown = demo.to_json()
    for key, output in (("float_accuracy", nd.run_model(model, test.input)), ("integer_accuracy", run.output)):
        assert output.shape == run.output.shape, "both are given the same silent steps"
        spikes = output[run.latency :].sum(0)
        ahead = np.sort(spikes, axis=1)
        right = (ahead[:, -1] > ahead[:, -2]) & (spikes.argmax(1) == test.label)
        assert shown[key] == pytest.approx(right.mean(), abs=1e-12)


def test_spikes_of_both_stay_within_those_of_the_chip(demo):
    model, _, test, _ = loaded(demo)
    run = nd.simulate(nd.load_network(demo.bundle / "network.npz"), test.input)
    seen = {}
    neurons = {name: module for name, module in model.named_modules() if isinstance(module, Neuron)}
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: seen.__setitem__(name, out))
        for name, module in neurons.items()
    ]
    nd.run_model(model, test.input)
    for hook in hooks:
        hook.remove()
    kinds = {g.name: g.kind for g in run.network.groups}
    assert [kinds[name] for name in neurons] == ["hidden", "output"]
    for name, most in zip(neurons, (31, 1), strict=True):
        for spikes in (seen[name].numpy(), run.counts[name]):
            assert spikes.min() == 0
            assert 0 < spikes.max() <= most
            assert np.array_equal(spikes, np.round(spikes))


@pytest.mark.slow  # .ci/run has it
def test_the_same_seed_gives_the_same_bytes(tiny):
    one, two = tiny
    names = sorted(str(p.relative_to(one.folder)) for p in one.folder.rglob("*") if p.is_file())
    assert "digits.nd/configurations/samna.json" in names
    for name in set(names) - {"digits.nd/made.json"}:
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes(), name


def test_a_chip_without_anything_to_compare_with_claims_nothing(tiny):
    assert tiny[0].exact_against == []
    assert tiny[0].to_json()["classes"] == 3
    assert tiny[0].shape.hidden == 32
    assert nd.verify(tiny[0].bundle).exact


def test_the_demo_refuses_to_train_no_network(tmp_path):
    with pytest.raises(Refusal, match="seeds = 0; at least 1") as caught:
        run_demo(nd.chip("xylo_imu"), tmp_path, seeds=0)
    assert caught.value.code == "ND9002"


# the command


@pytest.mark.slow  # .ci/run has it
def test_the_command_prints_tables_or_json(few_images, tmp_path, monkeypatch):  # noqa: ARG001 - needed for its effect
    monkeypatch.chdir(tmp_path)
    chip = made_up_folder(tmp_path)
    shown = run_command("demo", "--target", chip, "--epochs", "1", "--seeds", "2", "--json")
    assert shown.status == 0
    assert shown.json["folder"] == "digits-tiny_chip"
    assert [trial["seed"] for trial in shown.json["seeds"]] == [0, 1]
    gaps = [trial["points_lost"] for trial in shown.json["seeds"]]
    assert shown.json["mean_points_lost"] == pytest.approx(np.mean(gaps))
    assert shown.json["worst_points_lost"] == max(gaps)
    assert "training (seed 1)" in shown.err
    plain = run_command("demo", "--target", chip, "--epochs", "1", "--out", "again[x]")
    assert plain.status == 0
    assert "outputs for 3 of the 10 digits: 0 to 2." in plain.out
    assert "Bit-exact against: nothing independent of neurodeploy was compared.\n" in plain.out
    assert plain.out.endswith("Next: neurodeploy verify again[x]/digits.nd\n")
    assert (tmp_path / "again[x]" / "digits.nd").is_dir()
