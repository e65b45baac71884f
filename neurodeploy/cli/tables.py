"""Tables that several commands print."""

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table

from neurodeploy.approximation import LayerLoss
from neurodeploy.cli.output import percent, table
from neurodeploy.fixed import Derivation, Format
from neurodeploy.mapper import Core, Usage
from neurodeploy.quantizer import LayerReport, Quantization


def usage_table(usage: Sequence[Usage]) -> Table:
    """Every limit of the chip with what is used of it."""
    rows = [(u.unit, u.asked, u.at_most, f"{100 * u.asked / u.at_most:.0f} %", u.grade) for u in usage if u.at_most]
    return table("Limits", ("what", "used", "of", "share", "grade"), rows)


def cores_table(cores: Sequence[Core]) -> Table:
    """Every core in use with what stands on it and how full it is; limits that no core uses are left out."""
    used = {u.unit for c in cores for u in c.usage if u.asked}
    names = [u.unit for u in cores[0].usage if u.unit in used] if cores else []
    rows = [(c.number, c.held, *(f"{u.asked:,} / {u.at_most:,}" for u in c.usage if u.unit in used)) for c in cores]
    return table("Cores", ("core", "holds", *names), rows)


def layers_table(layers: Sequence[LayerReport]) -> Table:
    """What quantization did to each layer."""
    rows = [
        (
            layer.layer,
            f"{layer.neurons} {layer.kind}",
            " - ".join(dict.fromkeys((f"{layer.scale_low:.4g}", f"{layer.scale_high:.4g}"))),
            _weights(layer),
            f"{100 * layer.weight_error:.2f} %",
            f"{100 * layer.clipped_share:.2f} %",
            f"{100 * layer.zeroed_share:.1f} %",
            f"{max((d.error for d in layer.decays), default=0.0):.2g}",
            "-" if layer.count_error is None else f"{100 * layer.count_error:.1f} %",
            "-" if layer.headroom_bits is None else f"{min(layer.headroom_bits.values()):.1f}",
        )
        for layer in layers
    ]
    columns = (
        "layer",
        "neurons",
        "scale",
        "weights",
        "weight error",
        "clipped",
        "to zero",
        "decay error",
        "count error",
        "headroom bits",
    )
    return table("Quantization", columns, rows)


def quantization_table(made: Quantization | Derivation) -> Table:
    """What became of each layer: scales and errors, or derived formats."""
    if isinstance(made, Quantization):
        return layers_table(made.layers)
    rows = [
        (
            layer.name,
            f"{layer.kind.plain.size} {layer.kind.name}",
            _formats(layer.kind.states),
            _formats({n: c.format for n, c in layer.kind.constants.items()}),
            ", ".join(f"{w.format.bits}.{w.format.fraction}" for w in layer.weights),
        )
        for layer in made.layers
    ]
    return table("Bits.fraction bits", ("layer", "neurons", "states", "parameters", "weights"), rows)


def _formats(formats: Mapping[str, Format]) -> str:
    return ", ".join(
        f"{name} {'' if form.signed else 'u'}{form.bits}.{form.fraction}" for name, form in formats.items()
    )


def _weights(layer: LayerReport) -> str:
    """Shifts, and the registers of each matrix by its source."""
    shifts = [f"{kind} << {shift}" for kind, shift in layer.shifts.items()]
    words = {source: " ".join(f"{n} {v}" for n, v in found.items()) for source, found in layer.formats.items()}
    return ", ".join([*shifts, *(f"{source}: {text}" for source, text in words.items() if text)]) or "-"


def losses_lines(losses: Sequence[LayerLoss]) -> Iterator[str]:
    """Each substitution in a sentence, and the errors that were measured."""
    for loss in losses:
        for step in loss.substitutions:
            yield f"- layer {loss.layer!r}, {'rewritten' if step.exact else 'approximated'}: {step.sentence}"
        for error in loss.errors if loss.loss == "approximated" else ():
            counts = "the given neurons never fire" if error.count_error is None else percent(error.count_error)
            yield f"  {error.of}: error of the counts {counts}, of the times {error.time_error:.2f} (0 to 1)"
