"""Our neurons against recorded runs of the libraries that they come from; tests/golden_neurons says how they were made.

Tolerances are those of the reference: sinabs, snnTorch and SynapticFlow: equal spikes and states within 1e-5; GIF:
equal spikes and V within 2e-3 mV; ExpIF: the same number of spikes, each within one step, V where none is near.
"""

import json
from pathlib import Path

import pytest
import torch

from neurodeploy import layers
from neurodeploy.layers.registry import LAYERS

torch.set_num_threads(1)

FILES = {path.stem: json.loads(path.read_text()) for path in sorted(Path(__file__).parent.glob("golden_neurons/*.json"))}
CASES = [pytest.param(one, id=f"{name}-{one['name']}") for name, file in FILES.items() for one in file["cases"]]
WITHIN = {"GIF": 2e-3}
NEAR = 3  # steps on each side of a spike in which V of ExpIF is not compared


def values_of(columns, dtype=torch.float32):
    """(time, 1, neurons) of the columns of a file: lists with runs as "value*count", or a word of digits."""
    found = []
    for column in columns:
        values = []
        for entry in column:  # of a list, or a digit of a word
            value, _, count = str(entry).partition("*")
            values += [float(value)] * int(count or 1)
        found.append(values)
    return torch.tensor(found, dtype=dtype).T.unsqueeze(1)


def layer_of(one, neurons):
    options = dict(one["options"])
    if "rec_connect" in options:
        weight, bias = options["rec_connect"]
        module = torch.nn.Linear(neurons, neurons)
        module.weight.data, module.bias.data = torch.tensor(weight), torch.tensor(bias)
        options["rec_connect"] = module
    options = {n: torch.tensor(v) if isinstance(v, list) and n != "compat" else v for n, v in options.items()}
    return getattr(layers, one["layer"])(neurons, **options, record_states=True)


@pytest.mark.parametrize("one", CASES)
def test_a_layer_does_what_its_source_did(one, count):
    x, spikes = values_of(one["x"]), values_of(one["spikes"])
    layer = layer_of(one, x.shape[-1])
    if "start" in one:
        layer.set_states(**{name: torch.tensor([value]) for name, value in one["start"].items()})
    with torch.no_grad():
        found = layer(x)
    states = {name: values_of(columns) for name, columns in one["states"].items()}
    assert states.keys() <= layer.recordings.keys()
    deviations = {name: (layer.recordings[name][:: one.get("every", 1)] - values).abs() for name, values in states.items()}
    if one["layer"] == "ExpIF":
        near = compare_times(found, spikes)[:: one.get("every", 1)]
        deviations = {name: off * ~near for name, off in deviations.items()}
    elif one["layer"] == "ExpLeak":
        deviations["output"] = (found - spikes).abs()
    else:
        assert torch.equal(found, spikes)
    for name, off in deviations.items():
        assert off.max() <= WITHIN.get(one["layer"], 1e-5), name
    count("golden runs of neurons", 1)


def compare_times(found, spikes):
    """Every spike has its partner at most one step away; return which steps are near a spike of either."""
    assert torch.equal(found.sum(0), spikes.sum(0))
    for ours, theirs in zip(found[:, 0].T, spikes[:, 0].T, strict=True):
        assert ((ours.nonzero() - theirs.nonzero()).abs() <= 1).all()
    either = ((found + spikes) > 0).float().movedim(0, -1)
    return torch.nn.functional.max_pool1d(either, 2 * NEAR + 1, 1, NEAR).movedim(-1, 0) > 0


def test_every_neuron_of_a_source_has_golden_runs_in_which_it_fires():
    from neurodeploy.layers import Neuron

    fired = {one["layer"] for file in FILES.values() for one in file["cases"] if str(one["spikes"]) and fires(one)}
    assert fired == {name for name, kind in LAYERS.items() if issubclass(kind, Neuron) and "golden" not in name}


def fires(one):
    return bool(values_of(one["spikes"]).abs().sum() > 0)


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_who_made_it(name):
    file = FILES[name]
    assert set(file) == {"made_by", "with", "on", "script", "cases"}
    assert file["made_by"].split()[0] == name
    assert (Path(__file__).parent.parent / file["script"]).is_file()
    assert all(one["call"] for one in file["cases"])
