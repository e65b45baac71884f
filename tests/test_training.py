"""Training is seeded, learns, and refuses; a model runs on counts as a network is simulated on them."""

import numpy as np
import pytest
import torch

import neurodeploy as nd
from neurodeploy.errors import Refusal
from neurodeploy.layers import LIF, Delay, Stateful
from neurodeploy.training import latency_of, run_model, train

CHANNELS, STEPS, SAMPLES = 4, 12, 40


def model(seed=0, hidden=12, dropout=0.0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(CHANNELS, hidden, bias=False),
        LIF(hidden, tau_mem=6, tau_syn=3, norm_input=False, rec_connect=torch.nn.Linear(hidden, hidden, bias=False)),
        torch.nn.Dropout(dropout),
        Delay(1),
        torch.nn.Linear(hidden, 2, bias=False),
        LIF(2, tau_mem=6, tau_syn=3, norm_input=False),
    )


def trivial(seed=0):
    """Two classes: events on the first channels, or on the last."""
    draw = np.random.default_rng(seed)
    labels = np.arange(SAMPLES) % 2
    counts = draw.integers(0, 3, (STEPS, SAMPLES, CHANNELS))
    counts[:, labels == 0, 2:] = 0
    counts[:, labels == 1, :2] = 0
    return nd.data(counts, layout="time,batch,channel", dt_s=1e-3, label=labels)


def weights(trained):
    return {name: value.clone() for name, value in trained.state_dict().items()}


def equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def accuracy(trained, data):
    return nd.evaluate(run_model(trained, data.input), data.label, latency=latency_of(trained)).accuracy


# train


def test_training_learns_a_trivial_task_and_tells_the_loss():
    net, losses = model(), []
    before = accuracy(net, trivial())
    options = {"epochs": 10, "batch_size": 8, "learning_rate": 2e-2}
    final = train(net, trivial(), **options, progress=lambda epoch, loss: losses.append((epoch, loss)))
    assert [epoch for epoch, _ in losses] == list(range(10))
    assert losses[-1][1] == final < losses[0][1]
    assert before < accuracy(net, trivial(1)) == 1.0, "new samples of the same task"


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    results = []
    for seed in (3, 3, 4):
        net = model()
        loss = train(net, trivial(), epochs=3, batch_size=16, seed=seed)
        results.append((loss, weights(net)))
    assert results[0][0] == results[1][0] != results[2][0]
    assert equal(results[0][1], results[1][1])
    assert not equal(results[0][1], results[2][1])


def test_training_does_not_touch_the_random_numbers_of_the_caller():
    net = model()
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    train(net, trivial(), epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_a_trained_model_is_in_evaluation_mode_with_its_states_reset():
    net = model(dropout=0.5)
    train(net, trivial(), epochs=1)
    assert not net.training
    assert all(not module._state for module in net.modules() if isinstance(module, Stateful))


def test_the_augmentation_gets_each_sample_once_an_epoch_with_its_position():
    data, seen = trivial(), []

    def augment(x, chosen, generator):
        assert isinstance(generator, torch.Generator)
        assert torch.equal(x[:STEPS], torch.as_tensor(data.input.astype(np.float32))[:, chosen])
        seen.append(chosen)
        return x

    train(model(), data, epochs=2, batch_size=16, augment=augment)
    assert [len(chosen) for chosen in seen] == [16, 16, 8] * 2
    for epoch in (seen[:3], seen[3:]):
        assert sorted(torch.cat(epoch).tolist()) == list(range(SAMPLES))


def test_dropout_is_drawn_from_the_seed_too():
    results = []
    for caller in (0, 1):
        net = model(dropout=0.5)
        torch.manual_seed(caller)
        train(net, trivial(), epochs=2)
        results.append(weights(net))
    assert equal(*results)


def test_an_augmentation_that_changes_nothing_changes_nothing():
    plain, same = model(), model()
    train(plain, trivial(), epochs=2)
    train(same, trivial(), epochs=2, augment=lambda x, _chosen, _generator: x)
    assert equal(weights(plain), weights(same))


def test_data_without_labels_is_refused():
    data = nd.data(trivial().input, layout="time,batch,channel", dt_s=1e-3)
    net = model()
    before = weights(net)
    with pytest.raises(Refusal, match="data without labels; a label for each sample") as caught:
        train(net, data)
    assert caught.value.code == "ND1504"
    assert equal(weights(net), before)


@pytest.mark.parametrize("options", [{"epochs": 0}, {"batch_size": 0}, {"epochs": -1}])
def test_training_without_epochs_or_samples_is_refused(options):
    with pytest.raises(Refusal, match="at least 1 each") as caught:
        train(model(), trivial(), **options)
    assert caught.value.code == "ND1504"


@pytest.mark.parametrize("label", [2, -1])
def test_labels_that_no_output_stands_for_are_refused(label):
    labels = trivial().label.copy()
    labels[7] = label
    data = nd.data(trivial().input, layout="time,batch,channel", dt_s=1e-3, label=labels)
    with pytest.raises(Refusal, match=rf"label {label} of sample 7; 0\.\.1") as caught:
        train(model(), data, epochs=1)
    assert caught.value.code == "ND1504"


def test_a_loss_that_is_no_number_is_refused():
    net = model()
    with torch.no_grad():
        net[4].weight[:] = torch.nan
    with pytest.raises(Refusal, match="the loss is nan after epoch 0; a finite loss") as caught:
        train(net, trivial(), epochs=2)
    assert caught.value.code == "ND1604"


def test_data_of_another_shape_is_refused_by_the_layers():
    wide = nd.data(np.ones((3, 2, CHANNELS + 1)), layout="time,batch,channel", dt_s=1e-3, label=[0, 1])
    for call in (lambda: train(model(), wide), lambda: run_model(model(), wide.input)):
        with pytest.raises(Refusal, match=f"{CHANNELS + 1} channels; the model takes {CHANNELS}") as caught:
            call()
        assert caught.value.code == "ND1602"


# run_model


def test_run_model_is_the_model_on_padded_input():
    net, counts = model().eval(), trivial().input
    padded = torch.cat([torch.as_tensor(counts.astype(np.float32)), torch.zeros(1, SAMPLES, CHANNELS)])
    nd.models.reset_states(net)
    with torch.no_grad():
        expected = net(padded)
    found = run_model(net, counts)
    assert found.dtype == np.int64
    assert found.shape == (STEPS + 1, SAMPLES, 2)
    assert np.array_equal(found, expected.numpy())
    assert found.sum() > 0


@pytest.mark.parametrize("drain", [0, 3])
def test_the_silent_steps_can_be_stated(drain):
    net, counts = model(), trivial().input
    found = run_model(net, counts, drain=drain)
    assert len(found) == STEPS + drain
    assert np.array_equal(found[:STEPS], run_model(net, counts)[:STEPS])


def test_latency_is_the_sum_of_the_delays():
    assert latency_of(model()) == 1
    assert latency_of(torch.nn.Sequential(Delay(2), torch.nn.Linear(2, 2), torch.nn.Sequential(Delay(3)))) == 5
    assert latency_of(torch.nn.Linear(2, 2)) == 0


def test_states_are_reset_before_and_after():
    net, counts = model().eval(), trivial().input
    fresh = run_model(net, counts)
    net(torch.full((5, 3, CHANNELS), 9.0))  # another batch, and charge left behind
    assert np.array_equal(run_model(net, counts), fresh)
    assert all(not module._state for module in net.modules() if isinstance(module, Stateful))


@pytest.mark.parametrize("training", [True, False])
def test_run_model_drops_nothing_and_leaves_the_mode_alone(training):
    net = model(dropout=0.9).train(training)
    assert np.array_equal(run_model(net, trivial().input), run_model(model(), trivial().input))
    assert net.training is training
    assert net[2].training is training


def test_counts_that_are_no_integers_are_refused_not_cut():
    with pytest.raises(Refusal, match="values of type float64; whole numbers of events") as caught:
        run_model(model(), trivial().input + 0.5)
    assert caught.value.code == "ND1502"


def test_run_model_follows_the_float_type_of_the_model():
    torch.manual_seed(0)
    net = model().double()
    assert run_model(net, trivial().input).dtype == np.int64


def test_a_constrained_model_lags_as_its_network_does():
    net = torch.nn.Sequential(*[part for part in model() if not isinstance(part, Delay)])
    chip = nd.chip("xylo_imu")
    constrained = nd.constrain(net, chip)
    converted = nd.convert(net, chip, calibration=trivial().input)
    run = nd.simulate(converted.network, trivial().input)
    assert latency_of(constrained) == run.latency == 1
    assert run_model(constrained, trivial().input).shape == run.output.shape
