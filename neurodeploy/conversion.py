"""Float model -> placed network -> bundle, in one call; and what is known about the exactness of a bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.approximation import LayerLoss, SpikeError, layer_losses, substitute
from neurodeploy.approximation.report import errors_of, layer_names
from neurodeploy.bundles import bundle, load_bundle, verify
from neurodeploy.chips import Chip
from neurodeploy.emit import formats
from neurodeploy.errors import DoesNotFit, Fault, Refusal, raise_if
from neurodeploy.fixed import Bits, Derivation, derive
from neurodeploy.golden import FILE_NAME, check_golden, read_golden
from neurodeploy.mapper import Placement, map_network, queue_faults, reports
from neurodeploy.network import Network
from neurodeploy.oracles import oracles_of
from neurodeploy.quantizer import Quantization, constrain, quantize

#: Samples of the given input whose states are kept in a bundle.
GOLDEN_SAMPLES = 4
#: Grades of vectors that somebody else's program or a chip made; others show only that we agree with ourselves.
INDEPENDENT = ("silicon", "rtl", "vendor-simulator", "vendor-software")
#: Code of what an oracle does not have; anything else that is wrong with an oracle is raised.
UNABLE = "ND2003"
#: Rules of the approximation that ``constrain`` follows without being asked.
CONSTRAINED = ("max_spikes",)


@dataclass(frozen=True)
class Conversion:
    """A float model on a chip.

    placement : the placed network, what it uses of each limit, warnings
    quantization : scales and errors of each layer; on a programmable chip the derived texts and their formats
    losses : for each layer, whether its neurons are those of the model ("faithful") or others ("approximated"): which,
        and with what error
    """

    placement: Placement
    quantization: Quantization | Derivation
    losses: tuple[LayerLoss, ...]

    @property
    def network(self) -> Network:
        """The placed network."""
        return self.placement.network

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """What is allowed and still worth a look."""
        return self.placement.warnings

    def to_json(self) -> dict[str, Any]:
        """Report as plain data."""
        usage = [
            {"limit": u.limit, "unit": u.unit, "asked": u.asked, "at_most": u.at_most, "grade": u.grade}
            for u in self.placement.usage
        ]
        figures = {name: {"value": value, "unit": unit} for name, (value, unit) in reports(self.network).items()}
        return {
            "target": self.network.chip.name,
            "layers": self.quantization.to_json(),
            "losses": [loss.to_json() for loss in self.losses],
            "usage": usage,
            "cores": [core.to_json() for core in self.placement.cores],
            "hops": None if self.placement.hops is None else self.placement.hops.to_json(),
            "figures": figures,
            "warnings": [str(w) for w in self.warnings],
        }


def convert(
    model: torch.nn.Module,
    chip: Chip,
    *,
    calibration: npt.ArrayLike | None = None,
    dt_s: float | None = None,
    approximate: bool = False,
    parity: str = "",
    weight_bits: Mapping[str, int] | None = None,
    width: int | None = None,
) -> Conversion:
    """Constrain, quantize and map a float model; for a programmable chip derive its network and map that.

    calibration : (time, batch, channel) counts that the scales are chosen by, the errors of substitutes measured, and
        the spikes counted by which cores are laid on a mesh
    approximate : replace neurons that the chip does not compute by the nearest that it does (``nd.approximate``). Only
        the cap of spikes in a step is replaced without it, by ``constrain``, and declared all the same
    parity : name of another quantizer in the chip's file, whose integers are wanted exactly
    weight_bits : layer -> most bits of its weights, as in ``quantize``
    width : bits of states, parameters and weights, as in ``derive``; of a programmable chip alone
    Raises Refusal with all reasons; DoesNotFit where the chip is too small, or its queue loses spikes on
    the calibration data.
    """
    if chip.file.programmable is not None:
        options = {"approximate": approximate, "parity": parity}
        return _derived(model, chip, calibration, dt_s, width, weight_bits or {}, options)
    if width is not None:
        was, must = f"width = {width}", "a chip whose registers have no width of their own"
        raise Refusal(Fault("ND1705", chip.name, was, must, "leave it out; weight_bits may say less"))
    if approximate:
        made, declared = substitute(model, chip)
        constrained = constrain(made, chip)
    else:
        constrained = constrain(model, chip)
        made, declared = substitute(model, chip, only=CONSTRAINED)
    quantized = quantize(constrained, chip, calibration=calibration, dt_s=dt_s, parity=parity, weight_bits=weight_bits)
    errors = tuple[SpikeError, ...]()
    if calibration is not None and not all(step.exact for step in declared):
        errors = errors_of(model, made, constrained, quantized.network, calibration)
    placed = map_network(quantized.network, activity=quantized.spikes)
    if calibration is not None:
        raise_if(queue_faults(placed.network, calibration), DoesNotFit)
    return Conversion(placed, quantized, layer_losses(layer_names(model), declared, errors))


def _derived(
    model: torch.nn.Module,
    chip: Chip,
    calibration: npt.ArrayLike | None,
    dt_s: float | None,
    width: int | None,
    weight_bits: Mapping[str, int],
    options: Mapping[str, object],
) -> Conversion:
    machine, where = chip.file.programmable, chip.name
    if machine is None:
        raise TypeError("only a programmable chip has no neurons of its own")
    names, must = layer_names(model), "nothing to ask for: every neuron is computed as it is"
    faults = [Fault("ND1701", where, f"{n} = {v!r}", must, "leave it out") for n, v in options.items() if v]
    if calibration is None:
        must = "counts that the formats are chosen by"
        faults.append(Fault("ND1704", where, "no calibration data", must, "state calibration"))
    unknown = sorted(set(weight_bits) - set(names))
    faults += [Fault("ND1705", where, f"bits of layer {n!r}", f"one of {', '.join(names)}") for n in unknown]
    raise_if(faults)
    all_ = machine.bits if width is None else width
    bits = {n: Bits(all_, all_, weight_bits.get(n, all_), machine.guard_bits) for n in names}
    made = derive(model, chip, calibration=np.asarray(calibration), bits=bits, dt_s=dt_s)
    return Conversion(map_network(made.network), made, layer_losses(names, ()))


def write_bundle(
    converted: Conversion, counts: npt.ArrayLike, path: str | Path, *, emit: Sequence[str] | None = None
) -> None:
    """Write the bundle of a conversion: network, configurations, golden vectors of the given counts, report, hashes.

    path : of a folder, or of one file if it ends in .zip
    emit : formats of the configurations; None takes the first of the chip's, if there is one
    Raises Refusal ND9002 for a format that the chip has not.
    """
    network = converted.network
    names = formats(network.chip)[:1] if emit is None else emit
    array = np.asarray(counts)
    samples = range(min(GOLDEN_SAMPLES, array.shape[1]))
    bundle(network, array, path, report=converted.to_json(), emit=names, samples=samples)


@dataclass(frozen=True)
class Exactness:
    """What is known about the exactness of a bundle.

    rows : with what the simulation was compared, and found equal value by value
    unable : why oracles that are installed could not run the network
    """

    rows: tuple[dict[str, object], ...]
    unable: tuple[Fault, ...]


def exact_against(path: str | Path, chip: Chip) -> Exactness:
    """With what the simulation of a bundle was compared, and found equal value by value.

    The chip's own golden vectors, made by an oracle and kept with the chip, and every oracle that is installed and
    has what the network needs, run live on the bundle. No rows where nothing independent exists; the bundle's own
    vectors are compared all the same.
    Raises Differs if any comparison found a difference, Refusal where a comparison could not be made.
    """
    rows: list[dict[str, object]] = []
    if chip.path is not None and (chip.path / FILE_NAME).is_file():
        golden = read_golden(chip.path, chip)
        compared = check_golden(chip)
        name, _, version = golden.made_by.partition(" ")
        if golden.grade in INDEPENDENT:
            rows.append(_row(name, version, "golden", compared, golden.grade))
    installed = {o: found for o in oracles_of(chip) if (found := o.available()) is not None}
    network = load_bundle(path).network
    unable = {o.name: tuple(o.faults(network)) for o in installed}
    raise_if([fault for faults in unable.values() for fault in faults if fault.code != UNABLE])
    able: list[tuple[str | None, str]] = [(o.name, found) for o, found in installed.items() if not unable[o.name]]
    for against, version in able or [(None, "")]:
        result = verify(path, against=against)
        raise_if((*result.faults, *result.missing))
        for check in result.checks:
            check.comparison.require()
        rows += [
            _row(check.oracle, version, "live", check.comparison.compared, check.grade)
            for check in result.checks
            if check.oracle == against
        ]
    return Exactness(tuple(rows), tuple(fault for faults in unable.values() for fault in faults))


def _row(oracle: str, version: str, how: str, compared: int, grade: str) -> dict[str, object]:
    return {"oracle": oracle, "version": version, "kind": how, "values_compared": compared, "grade": grade}
