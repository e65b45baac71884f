"""The matrix: each variant as a hidden and as an output layer of each chip; the errors are measured."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch

from neurodeploy.approximation import SpikeError, Substitution, substitute, translate
from neurodeploy.approximation.report import errors_of
from neurodeploy.chips import Chip, NeuronKind
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.layers import IAF, LIF
from neurodeploy.quantizer import constrain, lower, quantize
from neurodeploy.quantizer.compute import most_spikes
from neurodeploy.quantizer.constraint import current
from neurodeploy.quantizer.pieces import Piece
from neurodeploy.quantizer.wiring import choose_kind
from neurodeploy.support.variants import (
    RECURRENT,
    SIZE,
    Variant,
    build_neuron,
    makes,
    neuron_classes,
    value_of,
    variants,
)

ROLES = ("hidden", "output")
SEED, STEPS, SAMPLES = 7, 50, 12
#: Events of an input channel in a step, from the most silent sample to the loudest, which drives a neuron by several
#: thresholds in a step, so that a cap of 1 counts.
RATES = np.geomspace(0.25, 8.0, SAMPLES)
#: Spikes of a neuron in a step that its weights are made for, on the average of the input.
FIRES = 0.5
#: Shares of the mean weight: weights of both signs, so that membranes also fall.
SHARES = (-2.0, 4.0)
#: Weights of neurons that forget nothing are multiples of the threshold's share.
TIES = 16


@dataclass(frozen=True)
class Support:
    """One neuron as a hidden or output layer of one chip.

    neuron, variant : the class, and what the row fixes; other options are as the chip has them
    support : "exact": spikes follow the same rule, up to the rounding of weights and decays that the quantizer reports;
        "approximated": on request (``nd.approximate``), with the errors; "refused": with the reason
    substitutions : what ``nd.approximate`` declares; a rewriting that changes nothing leaves a neuron exact
    errors : measured on the input of the matrix, against the given neurons
    """

    neuron: str
    variant: str
    chip: str
    role: str
    support: str
    reasons: tuple[str, ...] = ()
    substitutions: tuple[Substitution, ...] = ()
    errors: tuple[SpikeError, ...] = ()

    @property
    def error(self) -> SpikeError | None:
        """Error of the substitute alone: float neurons, decays as given."""
        return next((e for e in self.errors if e.of == "substitute"), None)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def support_matrix(
    chips: Iterable[Chip], rows: Iterable[Variant] | None = None, *, integer: bool = True
) -> list[Support]:
    """Every variant on every chip, as a hidden and as an output layer.

    integer : measure the integer networks, too; without, the errors are those of the substitutes alone
    A programmable chip has no rows: it takes every neuron (``nd.derive``).
    """
    asked, known, result = variants() if rows is None else list(rows), dict[object, Support](), list[Support]()
    for chip in chips:
        if chip.file.programmable is not None:
            continue
        same = _arithmetic(chip)
        for row in asked:
            for role in ROLES:
                key = (same, role, row.neuron, *_options(row, chip, role))
                if key not in known:  # many rows fix what the chip has anyway, and many chips share a core
                    known[key] = _support(row, chip, role, integer=integer)
                result.append(replace(known[key], variant=row.name, chip=chip.name))
    return result


#: Keys of a chip file that say nothing about what is computed: who says so, and where the mapper may place what.
_ASIDE = {"evidence", "title", "targets_first", "sources_last"}


def _arithmetic(chip: Chip) -> str:
    """Everything of a chip that the matrix depends on; chips that share it share their cells."""

    def plain(value: object) -> object:
        if isinstance(value, Mapping):
            return {key: plain(part) for key, part in sorted(value.items()) if key not in _ASIDE}
        return [plain(part) for part in value] if isinstance(value, list | tuple) else value

    return repr([plain(chip.raw.get(part)) for part in ("function", "neuron", "connection", "schedule")])


def _options(row: Variant, chip: Chip, role: str) -> tuple[object, ...]:
    try:
        kind = _kinds(chip)[ROLES.index(role)]
    except Refusal:
        return (row.name,)
    return (frozenset(as_the_chip(row, chip, kind).items()),)


def sample_counts(chip: Chip) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(time, batch, channel) input of the measurement, made for what the chip's channels take in a step."""
    counts = np.random.default_rng(SEED).poisson(RATES[:, None], (STEPS, SAMPLES, SIZE))
    external = chip.inputs()[0].entry.external
    return counts if external is None else np.minimum(counts, external.allowed.high)


def sample_model(row: Variant, chip: Chip, role: str) -> torch.nn.Sequential:
    """Two layers: the variant in its role, and beside it a neuron that the chip computes.

    Raises Refusal where the chip has no kind for a role.
    """
    kinds = _kinds(chip)
    rng = np.random.default_rng(SEED + 1)
    layers: list[torch.nn.Module] = []
    for place, kind, rate in zip(ROLES, kinds, (float(sample_counts(chip).mean()), FIRES), strict=True):
        plain = Variant(kind.deploy.model[0] if kind.deploy else "None", "", _needed(kind))
        layers += _driven(row if place == role else plain, chip, kind, rate, rng)
    return torch.nn.Sequential(*layers)


def tested(role: str) -> str:
    """Name of the layer of the sample model that the row is about."""
    return str(2 * ROLES.index(role) + 1)


def _kinds(chip: Chip) -> tuple[NeuronKind, ...]:
    source, kinds, faults = chip.inputs()[0], list[NeuronKind](), list[Fault]()
    for role in ROLES:
        kind, more = choose_kind(chip, [source], _blank(), last=role == ROLES[-1])
        faults += more
        if kind is None:
            break
        kinds.append(kind)
        source = kind
    raise_if(faults)
    return tuple(kinds)


@cache
def _blank() -> Piece:
    """Stand-in for a layer of which only the place counts."""
    return Piece("neurons", LIF(SIZE, 8.0), (), None, None, "neurons")


def _needed(kind: NeuronKind) -> Mapping[str, Any]:
    """What the chip's own neuron must be given beside what ``as_the_chip`` sets."""
    return {"tau_mem": value_of("tau_mem", neuron_classes()["LIF"].arguments["tau_mem"])} if _leaks(kind) else {}


def _leaks(kind: NeuronKind) -> bool:
    return kind.deploy is not None and "tau_mem" in neuron_classes()[kind.deploy.model[0]].arguments


def as_the_chip(row: Variant, chip: Chip, kind: NeuronKind) -> Mapping[str, Any]:
    """Options of a row on a kind: those that it fixes, and for the others what the chip declares, where it can be."""
    deploy, neuron = kind.deploy, neuron_classes()[row.neuron]
    if deploy is None or not row.free:
        return row.fixed
    offered: dict[str, Any] = {
        "reset": next(iter(deploy.reset), None),
        "comparison": next(iter(deploy.comparison), None),
        "max_spikes": most_spikes(chip, kind),
        "norm_input": False,
    }
    if deploy.synaptic_current != "absent" and "tau_syn" in neuron.arguments:
        offered["tau_syn"] = value_of("tau_syn", neuron.arguments["tau_syn"])
    if deploy.lower_bound and kind.parameters[deploy.lower_bound].default is None:
        offered["v_min"] = -neuron.arguments["threshold"].default if "threshold" in neuron.arguments else None
    options = dict(row.fixed)
    for name, value in offered.items():
        if name not in options and name in neuron.arguments and makes(neuron, options | {name: value}):
            options[name] = value
    return options


def _driven(row: Variant, chip: Chip, kind: NeuronKind, rate: float, rng: np.random.Generator) -> list[torch.nn.Module]:
    """Weights that make the neurons fire about FIRES times in a step at this rate of the source, and the neurons."""
    options, neuron = as_the_chip(row, chip, kind), neuron_classes()[row.neuron]
    shares = rng.uniform(*SHARES, (2, SIZE, SIZE))
    shares /= shares.mean(axis=2, keepdims=True).clip(0.5)  # each neuron is driven alike
    known = translate(build_neuron(neuron, options)).layer
    unit = (1.0 if known is None else _steady_input(known)) / SIZE  # whatever the others get, they are refused
    back = torch.as_tensor(shares[1] * unit / 2)
    linear = torch.nn.Linear(SIZE, SIZE, bias=False).double()
    weight = torch.as_tensor(shares[0] * unit / rate)
    if isinstance(known, IAF) and known.alpha_syn is None:  # sums meet the threshold exactly, so the comparison counts
        step = float(current(known, "threshold").max()) / TIES
        weight = torch.round(weight / step) * step
    linear.weight.data = weight
    return [linear, build_neuron(neuron, options, back if options.get(RECURRENT) else None)]


def _steady_input(known: LIF | IAF) -> float:
    """Input of a step that makes a neuron fire FIRES times in it."""
    charge = 1.0 if known.alpha_syn is None else float((known.alpha_syn / (1 - known.alpha_syn)).detach().mean())
    keep = float(known.alpha_mem.detach().mean())
    gain = 1 - keep if known.options.get("norm_input") else 1.0
    lost = FIRES + (1 - keep) / 2  # by spikes, and by the leak at half the threshold
    return float(current(known, "threshold").mean()) * lost / (charge * gain)


def _support(row: Variant, chip: Chip, role: str, *, integer: bool) -> Support:
    try:
        model = sample_model(row, chip, role)
        made, substitutions = substitute(model, chip)
        constrained = constrain(made, chip)
        lower(constrained, chip)
    except Refusal as refusal:
        return Support(row.neuron, row.name, chip.name, role, "refused", _reasons(refusal))
    own = tuple(s for s in substitutions if s.layer == tested(role))
    if all(s.exact for s in own):
        return Support(row.neuron, row.name, chip.name, role, "exact", (), own)
    network = quantize(constrained, chip).network if integer else None
    errors = errors_of(model, made, constrained, network, sample_counts(chip))
    found = tuple(e for e in errors if e.layer == tested(role))
    return Support(row.neuron, row.name, chip.name, role, "approximated", (), own, found)


def _reasons(refusal: Refusal) -> tuple[str, ...]:
    found: list[str] = []
    for fault in refusal.faults:
        own = fault.values.get("reasons")
        found += own if isinstance(own, tuple) else [f"{fault.was}: {fault.must}"]
    return tuple(dict.fromkeys(found))
