"""Networks in fixed point as any other: converted, bundled, verified, written in C; by function and by command."""

import json

import numpy as np
import pytest
import torch
from c_runs import COMPILER, run_differences
from click.testing import CliRunner

import neurodeploy as nd
from neurodeploy.cli import main
from neurodeploy.errors import Refusal
from neurodeploy.layers import ALIF, GIF, LIF, ExpIF

torch.set_num_threads(1)
CHIP = nd.chip("fixed")
COUNTS = np.random.default_rng(0).poisson(0.8, (30, 3, 4))


def network():
    torch.manual_seed(2)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 6, bias=False),
        ALIF(6, tau_mem=8.0, tau_adapt=20.0, norm_input=False, rec_connect=torch.nn.Linear(6, 6, bias=False)),
        torch.nn.Linear(6, 2),
        LIF(2, tau_mem=8.0, norm_input=False, threshold=0.5),
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fixed")
    nd.save_model(network(), folder / "model.safetensors", dt_s=1e-3)
    nd.save_data(folder / "data.npz", nd.data(COUNTS, layout="time,batch,channel", dt_s=1e-3))
    return folder


def convert(files, *more):
    line = ["convert", str(files / "model.safetensors"), "--target", "fixed", "--data", str(files / "data.npz")]
    return CliRunner().invoke(main, [*line, *more])


def test_the_command_converts_and_the_bundle_verifies(files):
    done = convert(files, "--calibration", str(files / "data.npz"), "--width", "20", "--out", str(files / "made.nd"))
    assert done.exit_code == 0, done.output
    assert "b u20." in done.output.replace("\n", "")
    checked = CliRunner().invoke(main, ["verify", str(files / "made.nd"), "--json"])
    assert checked.exit_code == 0, checked.output
    made = nd.load_network(files / "made.nd" / "network.npz")
    assert {k for k in made.chip.neurons if k != "input"} == {"alif_1", "lif_3"}


def test_the_report_names_every_format(files):
    line = ["--calibration", str(files / "data.npz"), "--out", str(files / "other.nd"), "--json", "--bits", "1=6"]
    done = convert(files, *line)
    assert done.exit_code == 0, done.output
    first, last = json.loads(done.stdout)["layers"]
    assert first["states"]["v"].startswith("signed 16 bits")
    assert all(w["format"].startswith("signed 6 bits") for w in first["weights"])
    assert not last["weights"][0]["format"].startswith("signed 6 bits")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "no calibration data"),
        (["--approximate"], "every neuron is computed as it is"),
        (["--bits", "7=6"], "bits of layer '7'"),
        (["--width", "77"], "77 bits"),
    ],
)
def test_what_cannot_be_asked_of_it_is_refused(files, more, words):
    given = more if not more else [*more, "--calibration", str(files / "data.npz")]
    done = convert(files, *given, "--out", str(files / "none.nd"))
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())
    assert not (files / "none.nd").exists()


def test_a_width_is_refused_by_a_chip_that_has_its_own():
    with pytest.raises(Refusal, match="ND1705"):
        nd.convert(network(), nd.chip("loihi2"), calibration=COUNTS, width=12)


def test_a_model_is_checked_without_data():
    assert nd.check(network(), CHIP).fits
    wrong = network()
    wrong[1].rec_connect = torch.nn.Sequential(torch.nn.Linear(6, 6))
    answer = nd.check(wrong, CHIP)
    assert not answer.fits
    assert "rec_connect = Sequential" in str(answer)


def test_quantize_names_what_suits_a_programmable_chip():
    with pytest.raises(Refusal, match=r"nd\.derive"):
        nd.quantize(nd.constrain(network(), CHIP), CHIP)


DRIVEN = {
    "network": (network(), COUNTS[:, :1]),
    "GIF": (GIF(2, dt=0.1, a=0.005, a1=10.0, a2=-0.6), np.full((300, 1, 2), [2.0, 3.0])),
    "ExpIF": (ExpIF(2, dt=0.1), np.full((200, 1, 2), [10.0, 20.0])),
}


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
@pytest.mark.parametrize("name", DRIVEN)
def test_a_network_in_c_has_the_bits_of_the_reference(name, tmp_path, count):
    model, x = DRIVEN[name]
    made = nd.derive(model, CHIP, calibration=x, bits=24)
    placed = nd.map(made.network).network
    bad, values, _ = run_differences(placed, {"input": made.encode(x)}, tmp_path)
    assert bad == []
    assert nd.simulate(placed, made.encode(x)).counts[made.layers[-1].name].sum() > 0
    count("values of networks in C equal to the reference", values)
