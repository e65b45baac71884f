"""Widths in fixed point: of states, parameters and weights of each layer; rows are derived and simulated networks."""

import copy

import numpy as np
import pytest
import torch
from command_line import run
from float_models import Options, counts_of, model_of

import neurodeploy as nd
from neurodeploy import chips
from neurodeploy.errors import Refusal
from neurodeploy.fixed import Bits
from neurodeploy.layers import ALIF, LIF
from neurodeploy.widths import layer_bits
from neurodeploy.widths.in_fixed import memory_bits, widths_of

torch.set_num_threads(1)
FIXED = nd.chip("fixed")
NARROW = {"bits": 7, "state_bits": [7, 10], "parameter_bits": [5, 7]}
GUARD = FIXED.file.programmable.guard_bits


def machine(**ranges):
    """The machine with other ranges of widths."""
    raw = copy.deepcopy(FIXED.raw)
    raw["programmable"] |= ranges
    return chips.from_raw(raw)


def neuron(size=3):
    return ALIF(size, tau_mem=9.0, tau_adapt=30.0, tau_syn=5.0)


def counts(inputs=3, samples=3):
    return counts_of(1, steps=40, samples=samples, inputs=inputs)


def float_spikes(model, x):
    model = copy.deepcopy(model)
    with torch.no_grad():
        return model(torch.as_tensor(x, dtype=torch.float32)).numpy()


def test_the_table_of_a_layer_is_that_of_brute_force():
    chip, x = machine(**NARROW), counts()
    found = nd.search(neuron(), chip, x, nd.Budget(error=0.05))
    assert found.complete
    wanted, by_hand = float_spikes(neuron(), x), {}
    for state in range(7, 11):
        for parameter in range(5, 8):
            derived = nd.derive(neuron(), chip, calibration=x, bits=Bits(state, parameter, 16, GUARD))
            output = nd.simulate(nd.place_identity(derived.network), derived.encode(x)).output
            error = np.abs(output.sum(axis=0) - wanted.sum(axis=0)).sum() / wanted.sum()
            by_hand[state, parameter] = (memory_bits(derived.network), error)
    rows = {(r.widths["neurons.state"], r.widths["neurons.parameter"]): r for r in found.rows}
    assert {key: (r.memory_bits, r.error) for key, r in rows.items()} == by_hand
    assert len({error for _, error in by_hand.values()}) > 3
    costs = {key: row.cost for key, row in rows.items()}
    front = [
        k for k, own in costs.items() if not any(o != own and max(np.subtract(o, own)) <= 0 for o in costs.values())
    ]
    assert sorted(k for k, row in rows.items() if row.pareto) == sorted(front)
    kept = [memory for memory, error in by_hand.values() if error <= 0.05]
    assert found.chosen.memory_bits == min(kept)
    assert len(kept) < len(by_hand)


def test_of_a_network_every_layer_has_three_widths_and_what_is_chosen_derives_again():
    model, x = model_of(Options(inputs=4, hidden=(5,), outputs=2), 0), counts(4)
    data = nd.data(x, layout="time,batch,channel", dt_s=1e-3, label=[0, 1, 1])
    found = nd.search(model, FIXED, data, nd.Budget(error=0.05))
    assert not found.spent
    names = {f"{layer}.{what}" for layer in "13" for what in ("state", "parameter", "weight")}
    assert all(set(row.widths) == names for row in found.rows)
    chosen = found.chosen
    assert max(chosen.widths.values()) < FIXED.file.programmable.bits
    assert chosen.error <= 0.05
    derived = nd.derive(model, FIXED, calibration=x, bits=layer_bits(chosen.widths, FIXED))
    run = nd.simulate(nd.place_identity(derived.network), derived.encode(x), drain=0)
    wanted = float_spikes(model, x)
    assert np.abs(run.output.sum(axis=0) - wanted.sum(axis=0)).sum() / wanted.sum() == chosen.error
    assert nd.evaluate(run.output, data.label).accuracy == chosen.accuracy
    assert nd.evaluate(wanted.astype(int), data.label).accuracy == found.float_accuracy
    less = [chosen.widths | {n: b - 1} for n, b in chosen.widths.items()]
    tried = {str(row.widths): row for row in found.rows}
    assert all(not tried[str(w)].kept for w in less if str(w) in tried)
    assert sum(str(w) in tried for w in less) == len([n for n, b in chosen.widths.items() if b > floor_of(n)])


def floor_of(name):
    return getattr(FIXED.file.programmable, f"{name.rpartition('.')[2]}_bits")[0]


def test_memory_is_every_register_of_the_network_and_what_neurons_share_counts_once():
    x = counts(2)
    alike, apart = (LIF(2, tau_mem=tau, tau_syn=4.0, norm_input=False) for tau in (8.0, torch.tensor([8.0, 16.0])))
    sizes = []
    for layer in (alike, apart):
        derived = nd.derive(layer, FIXED, calibration=x, bits=Bits(12, 10, 16, GUARD))
        network = derived.network
        (group,) = network.outputs()
        kind = network.chip.neurons[group.kind]
        constants = {n: len(np.unique(v)) for n, v in group.parameters.items()}
        entries = sum(s.bits for s in kind.states.values()) * 2
        inputs = sum(s.bits for s in network.chip.neurons[network.inputs()[0].kind].states.values()) * 2
        assert memory_bits(network) - entries - inputs == sum(
            max(kind.parameters[n].interval.high.bit_length(), 1) * many for n, many in constants.items()
        )
        sizes.append((memory_bits(network), widths_of(derived.layers[0])["parameter"]))
        assert sizes[-1][1] <= sum(10 * many for many in constants.values())
    assert sizes[1] > sizes[0]
    assert sizes[1][1] > sizes[0][1]


def test_results_of_another_neuron_are_refused_and_those_of_the_same_go_on(tmp_path):
    chip, path, x = machine(**NARROW), tmp_path / "widths.json", counts()
    first = nd.search(neuron(), chip, x, nd.Budget(error=0.05, evaluations=12), results=path)
    before = path.read_bytes()
    told = []
    again = nd.search(
        neuron(), chip, x, nd.Budget(error=0.05, evaluations=12), results=path, progress=lambda *n: told.append(n)
    )
    assert (again, path.read_bytes(), len(told)) == (first, before, 12)
    other = ALIF(3, tau_mem=9.0, tau_adapt=30.5, tau_syn=5.0)
    for given, target, part in ((other, chip, "model"), (neuron(), FIXED, "target")):
        with pytest.raises(Refusal, match=f"another {part}.*ND2402"):
            nd.search(given, target, x, nd.Budget(error=0.05), results=path)


def test_what_cannot_be_derived_or_never_fires_is_refused():
    with pytest.raises(Refusal, match="no output of the float model fires"):
        nd.search(neuron(), FIXED, np.zeros((5, 2, 3), int), nd.Budget(error=0.1))
    bare = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    with pytest.raises(Refusal, match="ND1603"):
        nd.search(bare, FIXED, counts(), nd.Budget(error=0.1))


def test_the_command_tabulates_widths_in_fixed_point(tmp_path):
    nd.save_model(model_of(Options(inputs=3, hidden=(), outputs=2), 0), tmp_path / "m.safetensors", dt_s=1e-3)
    nd.save_data(tmp_path / "d.npz", nd.data(counts(), layout="time,batch,channel", dt_s=1e-3))
    place = ("search", tmp_path / "m.safetensors", "--target", "fixed", "--calibration", tmp_path / "d.npz")
    answer = run(*place, "--error", 0.1, "--evaluations", 6, "--out", tmp_path / "w.json")
    assert answer.status == 0
    assert "1.state=" in answer.out
    assert "Next:" not in answer.out
