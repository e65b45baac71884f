"""Float model -> integer Network: scales chosen by the activity that they preserve, and a report for each layer."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.chips import Chip
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Network, place_identity
from neurodeploy.network.network import Ints
from neurodeploy.notebook import show
from neurodeploy.quantizer.activity import Activity, observe
from neurodeploy.quantizer.exact import Arithmetic, arithmetic_of, settled
from neurodeploy.quantizer.explain import explained
from neurodeploy.quantizer.lower import lower
from neurodeploy.quantizer.narrow import narrow
from neurodeploy.quantizer.rails import Watch, share_of_register
from neurodeploy.quantizer.registers import Quantized
from neurodeploy.quantizer.report import LayerReport
from neurodeploy.quantizer.scale import Choice
from neurodeploy.quantizer.search import count_error, wanted_counts
from neurodeploy.quantizer.stages import Lowered, Stage
from neurodeploy.simulator import Run, simulate


@dataclass(frozen=True)
class Quantization:
    """An integer network and what became of each layer.

    spikes : group -> (neuron,) events of each neuron on all of the calibration data; None without it
    """

    network: Network
    layers: tuple[LayerReport, ...]
    spikes: Mapping[str, Ints] | None = None

    def _repr_html_(self) -> str:
        columns = ("layer", "neurons", "kind", "weight_error", "clipped_share", "zeroed_share", "threshold_high")
        rows = [[getattr(layer, name) for name in columns] for layer in self.layers]
        return show(f"{self.network.chip.name}: quantized", [name.replace("_", " ") for name in columns], rows)

    def to_json(self) -> list[dict[str, Any]]:
        """The report as plain data."""
        return [layer.to_json() for layer in self.layers]


def quantize(
    model: torch.nn.Module,
    chip: Chip,
    *,
    calibration: npt.ArrayLike | None = None,
    dt_s: float | None = None,
    parity: str = "",
    weight_bits: Mapping[str, int] | None = None,
) -> Quantization:
    """Turn a float model into an integer network for a chip.

    model : sequential, as ``constrain`` returns it; it is not changed
    calibration : (time, batch, channel) counts; scales are then chosen by the event counts that they preserve. Without
        it they follow from the weights, with room for states of 8 thresholds
    dt_s : duration of a step in seconds, carried along
    parity : name of another quantizer in the chip's file, whose integers are wanted exactly; "" for our own
    weight_bits : layer -> most bits of each weight that ends there, on a chip with a register of their width; what is
        not named has all bits. ``nd.search`` finds the smallest

    Weights, threshold and bias of a neuron share one scale and are rounded to nearest, halves to even. Weights beyond
    the register are cut only where the calibration data say that it helps, and the report states the share.
    A model that ``constrain`` made exact keeps the scales that it was trained with: the network is the one that its
    last forward pass was.
    Where a chip has dialects that could differ on the network, the scale of the layer is lowered until a range proof
    shows that they cannot.
    Raises Refusal with all faults: ND16xx and ND17xx (ND1705 for widths that cannot be had), ND2201 where no scale
    makes the dialects agree, ND2202 where the network breaks a guard of the chip, and ND1302 for calibration counts
    above the cap of the input.
    """
    if chip.file.programmable is not None:
        must = "a chip with neurons of its own"
        raise Refusal(
            Fault("ND1701", chip.name, "a machine that takes any neuron", must, "use nd.derive, or nd.convert")
        )
    if parity and weight_bits:
        must = "either of both: a parity has widths of its own"
        raise Refusal(Fault("ND1705", chip.name, f"parity = {parity!r} and weight_bits", must))
    lowered = narrow(lower(model, chip), weight_bits or {})
    counts = None if calibration is None else np.asarray(calibration)
    activity = None if counts is None else observe(lowered, counts)
    trained = _trained(model, chip, {"parity": parity, "weight_bits": weight_bits})
    given = Choice(parity=parity) if parity else None
    arithmetic = settled(lowered, counts, activity, given) if trained is None else trained
    network, done = arithmetic.network(lowered, dt_s)
    if counts is None or activity is None:
        return Quantization(network, tuple(q.report for q in done))
    return _measured(lowered, network, done, counts, activity)


def _trained(model: torch.nn.Module, chip: Chip, options: Mapping[str, object]) -> Arithmetic | None:
    """The arithmetic that a model was trained in; raises Refusal where another is asked for."""
    own = arithmetic_of(model)
    if own is None:
        return None
    where, faults = f"quantize, {chip.name}", list[Fault]()
    if not own.is_of(chip):
        was, must = f"a model in the arithmetic of {own.chip.name}", "the chip that the model was trained for"
        faults.append(
            Fault("ND1601", where, was, must, "nd.constrain(model, chip) makes it a float model of another chip")
        )
    for name, value in options.items():
        if value:
            must = "the integers that the model was trained with"
            faults.append(Fault("ND1601", where, f"{name} = {value!r} for an exact model", must, f"leave {name} out"))
    raise_if(faults)
    return own


def _measured(
    lowered: Lowered, network: Network, done: tuple[Quantized, ...], counts: npt.NDArray[Any], activity: Activity
) -> Quantization:
    """The network, with reports of what it did on the calibration data."""
    watch, membranes = Watch(), dict[str, str]()
    for stage in lowered.stages:
        if stage.kind.deploy is not None and "v" in stage.kind.deploy.states:
            membranes[stage.name] = stage.kind.deploy.states["v"]
    placed, record = place_identity(network), [f"{name}.{state}" for name, state in membranes.items()]
    run = _watched(placed, counts, record, watch)
    reports = []
    for stage, quantized in zip(lowered.stages, done, strict=True):
        wanted = wanted_counts(stage, activity)
        share = explained(stage, quantized, run)
        report = replace(
            quantized.report,
            rate_float=float(wanted.sum() / run.counts[stage.name].size),
            rate_integer=float(run.counts[stage.name].mean()),
            count_error=count_error(run, stage, wanted),
            explained=None if share is None else share[0],
            explained_width=None if share is None else share[1],
            headroom_bits=_headroom(stage, quantized, run, watch, membranes.get(stage.name)),
            # where events drive the chip a value that no register holds is refused, never cut
            rails_hit=None if network.chip.event_driven else watch.hits_of(placed, stage.name),
        )
        reports.append(report)
    return Quantization(network, tuple(reports), {name: v.sum(axis=(0, 1)) for name, v in run.counts.items()})


def _watched(placed: Network, counts: npt.NDArray[Any], record: list[str], watch: Watch) -> Run:
    if placed.chip.event_driven:
        return simulate(placed, counts, record=record, drain=0)
    return simulate(
        placed, counts, record=record, drain=0, executor=watch, observer=watch.look, progress=watch.end_step
    )


def _headroom(stage: Stage, quantized: Quantized, run: Run, watch: Watch, membrane: str | None) -> Mapping[str, float]:
    """Bits between the largest value of each state and the end of its register."""
    deploy, result = stage.kind.deploy, {}
    for state in deploy.states.values() if deploy else ():
        interval = stage.kind.states[state].interval
        if run.network.chip.event_driven:  # the ends of the steps are what is known
            share = float(share_of_register(run.states[stage.name][state], interval).max(initial=0.0))
        else:
            share = watch.reach_of(run.network, stage.name, state)
        subtracts = state == membrane and stage.module.options.get("reset") == "subtract"
        if deploy is not None and subtracts and not run.network.chip.event_driven:
            # after the phase the membrane is reset already: it stood higher by a threshold for each event
            fired = run.counts[stage.name] * quantized.group.parameters[deploy.threshold]
            before = run.states[stage.name][state] + fired
            share = max(share, float(share_of_register(before, interval).max(initial=0.0)))
        result[state] = math.log2(1 / max(share, 1 / interval.high))
    return result
