"""Proofs of networks that were trained or published: what is proved is never contradicted; the counts make a table."""

import time

import numpy as np
import pytest
import torch
from test_nir import published

import neurodeploy as nd
from neurodeploy.layers import IAF, LIF
from neurodeploy.proofs import check_certificate, prove, recurrent, replay
from neurodeploy.proofs.watch import watch

SEEDS = [s for s in range(51) if s != 49]  # 49 is refused when it is quantized: a guard of its target
SECONDS = 5
LINEAR = torch.nn.Linear


def data(seed, channels, classes, steps=16, samples=48):
    """Counts of classes that have their own rates."""
    rng = np.random.default_rng(seed)
    label = np.arange(samples) % classes
    rates = rng.random((classes, channels)) * 0.6
    counts = (rng.random((steps, samples, channels)) < rates[label][None]).astype(np.uint8)
    return nd.data(counts, layout="time,batch,channel", dt_s=1e-3, label=label)


def model_of(seed):
    """A small network and its target; every second one is recurrent, where neurons of the target have currents."""
    rng, torch_seed = np.random.default_rng(seed), torch.manual_seed(seed)
    del torch_seed
    n, hidden, classes = int(rng.integers(2, 9)), int(rng.integers(4, 17)), int(rng.integers(2, 5))
    target = ("xylo_audio3", "loihi2", "speck2f")[seed % 3]
    if target == "speck2f":
        kind = {"threshold": 1.0, "v_min": -1.0}
        layers = LINEAR(n, hidden, bias=False), IAF(hidden, **kind), LINEAR(hidden, classes, bias=False)
        return torch.nn.Sequential(*layers, IAF(classes, **kind)), target, n, classes
    reset = {"norm_input": False} | ({"reset": "zero", "comparison": ">"} if target == "loihi2" else {})
    taus = {"tau_mem": float(rng.choice([2, 4, 8])), "tau_syn": float(rng.choice([2, 3, 4])), "threshold": 1.5}
    back = {"rec_connect": LINEAR(hidden, hidden, bias=False)} if seed % 2 else {}
    layers = (
        LINEAR(n, hidden, bias=False),
        LIF(hidden, **taus, **reset, **back),
        LINEAR(hidden, classes, bias=False),
        LIF(classes, **taus, **reset),
    )
    return torch.nn.Sequential(*layers), target, n, classes


def trained(seed):
    """A placed network of a few epochs of training."""
    model, target, n, classes = model_of(seed)
    chip, known = nd.chip(target), data(seed, n, classes)
    model = nd.constrain(model, chip)
    nd.train(model, known, epochs=2)
    return nd.convert(model, chip, calibration=known.input[:, :16], dt_s=known.dt_s).network


def random_counts(network, seed, steps=40, batch=24):
    """Inputs of all densities within the caps; where events are followed one by one, few."""
    rng, single = np.random.default_rng(seed), network.chip.event_driven
    counts = {}
    for g in network.inputs():
        low, high = network.chip.neurons[g.kind].entry.external.allowed
        high, most, samples = (1, min(1, 20 / g.size), 2) if single else (high, 1, batch)
        busy = rng.random((steps, samples, g.size)) < most * rng.random((1, samples, 1))
        counts[g.name] = np.where(busy, high, max(low, 0)).astype(np.int64)
    return counts


def judged(name, network, count, seconds=SECONDS):
    """Prove, check the certificate again, replay what does happen, and try to contradict the rest."""
    begun = time.monotonic()
    found = prove(network, seconds=seconds)
    took = time.monotonic() - begun
    assert check_certificate(network, found.certificate) == []
    assert all(replay(network, f.witness) for f in found.findings if f.witness is not None)
    claims = found.certificate.claims
    hits = watch(network, random_counts(network, len(name)))
    assert [h for h in hits if claims[h.group][h.state][h.neuron]] == []
    verdicts = {v: sum(f.verdict == v for f in found.findings) for v in ("cannot", "does", "undecided")}
    back = [f for f in found.findings if f.group in recurrent(network) and f.verdict == "cannot"]
    count(f"{name}: " + ", ".join(f"{v} {n}" for v, n in verdicts.items()) + f"; {took:.1f} s; recurrent", len(back))
    return verdicts, len(back)


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(s, marks=pytest.mark.long if s % 5 else pytest.mark.slow) for s in SEEDS if s != 1)]
)
def test_a_trained_network_is_never_contradicted(seed, count):
    network = trained(seed)
    verdicts, _ = judged(f"trained {seed:02d} {network.chip.name}", network, count)
    assert verdicts["cannot"] > 0


def cnn():
    found = nd.read_nir(published("nir/cnn_sinabs.nir"), like="sinabs", dt_s=1e-3, v_min=-1.0)
    chip = nd.chip("speck2f")
    return nd.map(nd.quantize(nd.constrain(found.model, chip), chip, dt_s=found.dt_s).network).network


def braille():
    found = nd.read_nir(published("nir/braille_noDelay_bias_zero.nir"), like="nir", dt_s=1e-4, reset="zero")
    chip = nd.chip("loihi2")
    for layer in found.model.modules():
        if isinstance(layer, LINEAR):
            layer.bias = None  # of the synaptic current: no target adds one there
    return nd.map(nd.quantize(nd.constrain(found.model, chip), chip, dt_s=found.dt_s).network).network


def braille_with_biases():
    """In fixed point, derived from the texts of its neurons: the biases pass through the synaptic current."""
    found = nd.read_nir(published("nir/braille_noDelay_bias_zero.nir"), like="nir", dt_s=1e-4, reset="zero")
    assert all(
        layer.bias.abs().max() > 0 for layer in found.model.modules() if getattr(layer, "bias", None) is not None
    )
    sample = np.load(published("recordings/braille_test_sample0.npy"), allow_pickle=False)
    derived = nd.derive(found.model, nd.chip("fixed"), calibration=sample[:, None], bits=16, dt_s=found.dt_s)
    return derived.network if derived.network.placed else nd.map(derived.network).network


@pytest.mark.shared_data
@pytest.mark.slow
def test_the_braille_network_with_its_biases_has_a_verdict_on_every_state(count):
    """Counts at the caps, 15 in every step, saturate what is as wide as its calibration asks for: the input replays."""
    verdicts, back = judged("braille with biases", braille_with_biases(), count, seconds=60)
    assert verdicts["cannot"] >= 6
    assert verdicts["does"] > 0
    assert back > 0


@pytest.mark.shared_data
@pytest.mark.slow
@pytest.mark.parametrize("made", [cnn, braille], ids=lambda f: f.__name__)
def test_a_published_network_is_never_contradicted(made, count):
    verdicts, back = judged(made.__name__, made(), count, seconds=60)
    assert verdicts["cannot"] > 0
    assert made is cnn or back > 0
