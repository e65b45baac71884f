"""neurodeploy: demo, check, convert, map, simulate, emit, verify, record, targets, bench, explain, doctor."""

import logging
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from neurodeploy.cli.group import Commands
from neurodeploy.cli.looks import compare, report
from neurodeploy.cli.output import bound, console, emit_json, errors, executor_option, json_option, table
from neurodeploy.cli.record import record
from neurodeploy.cli.search import bits_option, search
from neurodeploy.cli.targets import targets
from neurodeploy.errors import raise_if

_FILE = click.Path(path_type=Path)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="neurodeploy")
def main() -> None:
    """Turn a trained spiking network into a chip's integer configuration and prove that it is exact.

    Exit status: 0 yes; 1 the answer is no (does not fit, differs, nothing compared); 2 refused input or usage;
    3 an oracle, an extra or a device is missing.
    """
    logging.basicConfig(stream=sys.stderr, format="neurodeploy: %(message)s", level=logging.INFO)


@main.command(short_help="From digit images to a verified bundle, on any chip.")
@click.option("--target", default="xylo_audio3", show_default=True, help="Chip, by name or by folder.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1), help="Networks to train.")
@click.option("--epochs", default=None, type=click.IntRange(1), help="Training epochs (the default is tuned).")
@click.option("--out", default=None, type=_FILE, help="Folder for the files; the default is digits-TARGET.")
@json_option
def demo(*, target: str, seeds: int, epochs: int | None, out: Path | None, as_json: bool) -> None:
    """Train on real handwritten digits, deploy on a chip, simulate every test image bit for bit, verify."""
    from neurodeploy.cli.demo import show_demo

    show_demo(target, seeds=seeds, epochs=epochs, out=out, as_json=as_json)


@main.command(short_help="Does a float model fit a chip? All reasons if not.")
@click.argument("model", type=_FILE)
@click.option("--target", required=True, help="Chip, by name or by folder.")
@json_option
def check(*, model: Path, target: str, as_json: bool) -> None:
    """Say whether MODEL (.safetensors) fits a chip, before any training is spent."""
    from neurodeploy.checker import check as check_model
    from neurodeploy.chips import chip
    from neurodeploy.models import load_model

    fit = check_model(load_model(model)[0], chip(target))
    if as_json:
        emit_json(fit.to_json())
    else:
        rows = [(u.unit, u.asked, u.at_most, u.fits, u.grade) for u in fit.usage]
        if rows:
            console().print(table(fit.chip, ("what", "asked", "at most", "fits", "grade"), rows))
        if fit.cores:
            from neurodeploy.cli.tables import cores_table

            console().print(cores_table(fit.cores))
        click.echo(f"{model.name} {'fits' if fit.fits else 'does not fit'} {fit.chip}.")
        for fault in (*fit.faults, *fit.warnings):
            click.echo(f"- {fault}")
    sys.exit(0 if fit.fits else 1)


@main.command(short_help="Float model to bundle: network, configuration, vectors.")
@click.argument("model", type=_FILE)
@click.option("--target", required=True, help="Chip, by name or by folder.")
@click.option("--data", "data_file", required=True, type=_FILE, help="Counts (.npz) for the golden vectors.")
@click.option("--calibration", default=None, type=_FILE, help="Counts (.npz) that the scales are chosen by.")
@click.option("--out", required=True, type=_FILE, help="Bundle to write, folder NAME.nd or file NAME.nd.zip.")
@click.option("--emit", multiple=True, metavar="FORMAT", help="Of the configuration; default: the chip's first.")
@click.option("--approximate", is_flag=True, help="Replace neurons that the chip lacks by the nearest, and say so.")
@click.option("--parity", default="", metavar="NAME", help="Integers of another quantizer of the chip's file, exactly.")
@bits_option
@click.option("--width", default=None, type=click.IntRange(1), help="Bits of all registers of a programmable chip.")
@json_option
def convert(
    *,
    model: Path,
    target: str,
    data_file: Path,
    calibration: Path | None,
    out: Path,
    emit: tuple[str, ...],
    approximate: bool,
    parity: str,
    widths: dict[str, int] | None,
    width: int | None,
    as_json: bool,
) -> None:
    """Quantize and map MODEL (.safetensors) and write a bundle that verifies itself."""
    from neurodeploy.bundles import refuse_place
    from neurodeploy.chips import chip
    from neurodeploy.conversion import convert as convert_model
    from neurodeploy.conversion import write_bundle
    from neurodeploy.emit import chip_format
    from neurodeploy.events import load_data
    from neurodeploy.models import load_model

    refuse_place(out)  # before any work is spent
    for name in emit:
        chip_format(chip(target), name)
    loaded, info = load_model(model)
    read = {path: load_data(path) for path in (data_file, calibration) if path is not None}
    raise_if([fault for path, found in read.items() for fault in found.step_faults(info.dt_s, str(path))])
    golden, counts = read[data_file], None if calibration is None else read[calibration].input
    how: dict[str, Any] = {"approximate": approximate, "parity": parity, "weight_bits": widths, "width": width}
    converted = convert_model(loaded, chip(target), calibration=counts, dt_s=info.dt_s, **how)
    write_bundle(converted, golden.input, out, emit=emit or None)
    if as_json:
        emit_json(converted.to_json() | {"bundle": str(out)})
        return
    from neurodeploy.cli.tables import losses_lines, quantization_table, usage_table

    console().print(quantization_table(converted.quantization))
    if converted.placement.usage:
        console().print(usage_table(converted.placement.usage))
    for line in losses_lines(converted.losses):
        click.echo(line)
    for warning in converted.warnings:
        click.echo(f"- {warning}")
    click.echo(f"Written: {out}. Next: neurodeploy verify {out}")


main.add_command(search)


@main.command("import", short_help="NIR or ONNX file to model; asks for what the file does not say.")
@click.argument("file", type=_FILE)
@click.option("-o", "--out", default=None, type=_FILE, help="Model to write; the default is NAME.safetensors here.")
@click.option(
    "--as", "like", default="", metavar="EXPORTER", help="snntorch, sinabs, norse, rockpool, spikingjelly; nir."
)
@click.option("--dt", "dt_s", type=float, help="Duration of a step in seconds.")
@click.option("--reset", help="subtract, zero, or value (v_reset of the file).")
@click.option("--integrator", help="euler (1 - dt / tau) or exact (exp(-dt / tau)).")
@click.option("--compare", "comparison", help="> or >= the threshold.")
@click.option("--max-spikes", callback=partial(bound, int), help="Most spikes in a step, or none.")
@click.option("--v-min", callback=partial(bound, float), help="Lowest membrane in the file's unit, or none.")
@click.option("--recurrent-delay", type=int, help="Steps after which spikes come back along a cycle.")
@click.option("--reset-delay", type=int, help="0: the reset belongs to the step of the spike; 1: to the next.")
@click.option("--time-unit", help="Of the file's time constants: s, ms, step, s*dt.")
@click.option("--gain", help="Of a membrane's input: integrator, one, kept, dt/tau, dt/tau/kept.")
@click.option("--charge", help="What an input adds to an IF: per second (r dt) or per step (r).")
@click.option("--calibration", type=_FILE, help="Of an ONNX network: typical inputs, array samples of an .npz.")
@json_option
def import_(
    *, file: Path, out: Path | None, like: str, calibration: Path | None, as_json: bool, **stated: object
) -> None:
    """Read FILE (NIR), print its graph, who says what decides its spikes, and what was lost; write the model.

    FILE may be an ONNX network of ReLU layers (.onnx), with --calibration and --dt: its ReLUs become spiking neurons.
    """
    from neurodeploy.cli.nir import show_import

    given = {name: value for name, value in stated.items() if value is not None or name in ("max_spikes", "v_min")}
    if file.suffix == ".onnx" or calibration is not None:
        from neurodeploy.cli.onnx import show_conversion

        show_conversion(file, out, given | ({"as": like} if like else {}), calibration=calibration, as_json=as_json)
        return
    show_import(file, out, given, like=like, as_json=as_json)


@main.command("export", short_help="Model to NIR file; names what NIR cannot say.")
@click.argument("model", type=_FILE)
@click.option("-o", "--out", required=True, type=_FILE, help="NIR file to write.")
@click.option("--input-shape", metavar="N,N,N", help="Of one step, where no layer tells it: 2,34,34.")
@click.option("--plain", is_flag=True, help="Write none of our metadata; refuse what NIR itself cannot say.")
@json_option
def export(*, model: Path, out: Path, input_shape: str | None, plain: bool, as_json: bool) -> None:
    """Write MODEL (.safetensors) as a NIR file."""
    from neurodeploy.cli.nir import show_export

    shape = None
    if input_shape is not None:
        parts = input_shape.split(",")
        if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
            raise click.BadParameter(f"{input_shape!r} is no list of sizes", param_hint="--input-shape")
        shape = tuple(int(part) for part in parts)
    show_export(model, out, input_shape=shape, plain=plain, as_json=as_json)


@main.command("map", short_help="Give a network its place on the chip; all reasons if there is none.")
@click.argument("network", type=_FILE)
@click.option("--split", multiple=True, metavar="LAYER", help="A layer that may stand on several cores; repeatable.")
@click.option("--loops", is_flag=True, help="Accept layers that feed themselves, where the chip leaves that to you.")
@click.option("--readout", default=None, metavar="LAYER", help="Layer whose classes the chip's own readout counts.")
@click.option("--seed", default=0, show_default=True, help="Of the annealing that lays cores on a mesh.")
@click.option("--out", default=None, type=_FILE, help="Write the placed network to this file.")
@json_option
def map_(*, network: Path, out: Path | None, as_json: bool, **options: Any) -> None:
    """Place NETWORK (a bundle or a network file) and print what every core and memory holds."""
    from neurodeploy.cli.map import show_placement

    show_placement(network, options=options, out=out, as_json=as_json)


@main.command(short_help="Run a network on data, bit for bit.")
@click.argument("network", type=_FILE)
@click.argument("data_file", metavar="DATA", type=_FILE)
@click.option("--out", default=None, type=_FILE, help="Write the output counts to this .npz.")
@executor_option
@click.option("--device", default=None, help="Where an executor that has a choice computes: cpu, cuda, ...")
@click.option("--decision", default="spike_count", show_default=True, help="spike_count or first_spike.")
@click.option("--raw", is_flag=True, help="Skip the check of the input against the chip's event cap.")
@click.option("--scan", default=None, metavar="AXES", help="Order in one event's footprint, such as -f,ky,kx.")
@click.option("--order", default=None, help="Which waiting event comes next: breadth or depth.")
@click.option("--chunk", default=None, type=click.IntRange(1), help="Read and simulate so many steps at a time.")
@click.option("--dt-us", default=None, type=click.IntRange(1), help="Microseconds of a step, for a file of events.")
@click.option("--engine", default=None, help="Share the samples out: loky (this machine) or dask (--address).")
@click.option("--jobs", default=None, type=click.IntRange(1), help="Processes of loky; the default is one a core.")
@click.option("--address", default=None, help="Scheduler of a Dask cluster, such as tcp://10.0.0.7:8786.")
@click.option("--progress/--no-progress", default=None, help="A bar on stderr; the default is on a terminal.")
@json_option
def simulate(
    *, network: Path, data_file: Path, out: Path | None, progress: bool | None, as_json: bool, **options: Any
) -> None:
    """Simulate NETWORK (a bundle or a network file) on DATA bit for bit.

    DATA is count data (.npz). With --chunk it may be longer than the memory, and also an array (.npy; time, batch,
    channel) or, with --dt-us, a file of events.
    """
    from neurodeploy.cli.simulate import Options, show_simulation

    show_simulation(network, data_file, Options(**options), out=out, progress=progress, as_json=as_json)


@main.command(short_help="Write the file that the chip's own software reads.")
@click.argument("network", type=_FILE)
@click.option("--format", "name", default=None, metavar="FORMAT", help="The default is the chip's first.")
@click.option("--out", required=True, type=_FILE, help="File to write.")
@click.option("--lanes", default=None, type=click.IntRange(1), help="Verilog: neurons that are computed at once.")
@json_option
def emit(*, network: Path, name: str | None, out: Path, lanes: int | None, as_json: bool) -> None:
    """Write NETWORK (a bundle or a placed network file) in a format of its chip; all reasons if it cannot be."""
    from neurodeploy.cli.emit import write_file

    write_file(network, out, name=name, lanes=lanes, as_json=as_json)


@main.command(short_help="Check a bundle again, also against other simulators.")
@click.argument("bundle", type=_FILE)
@click.option(
    "--against",
    multiple=True,
    metavar="ORACLE",
    help="xylosim, lava, nengo_loihi, onnxruntime, icarus, reference, numba, ...; all: what is here; REC.npz; "
    "a device's ID.",
)
@executor_option
@click.option("--orders", default=8, show_default=True, help="Scan orders to observe on event-driven chips; 0: none.")
@json_option
def verify(*, bundle: Path, against: tuple[str, ...], orders: int, executor: str, as_json: bool) -> None:
    """Check the hashes of BUNDLE and the limits of its chip, simulate its golden vectors again, compare every value.

    Its configurations are read back and its certificates checked again. BUNDLE is a folder or a .zip.
    """
    from neurodeploy.bundles import verify as verify_bundle

    result = verify_bundle(bundle, against=against, orders=orders, executor=executor)
    if as_json:
        refused = errors((*result.faults, *result.missing))
        emit_json(result.to_json() | ({"error": refused} if refused else {}))
    else:
        click.echo(str(result))
    sys.exit(result.exit_status)


main.add_command(compare)


main.add_command(report)


@main.command(short_help="Whether states can overflow or saturate: no, an input that does it, or undecided.")
@click.argument("network", type=_FILE)
@click.option("--seconds", default=60.0, show_default=True, type=float, help="Time for all of it, about.")
@click.option("--certificate", default=None, type=_FILE, help="Write what is proved and the ranges that show it.")
@click.option("--add", is_flag=True, help="Put the certificate into the bundle, where verify checks it again.")
@json_option
def prove(*, network: Path, seconds: float, certificate: Path | None, add: bool, as_json: bool) -> None:
    """Prove for each state of NETWORK (a bundle or a network file) that no input within the caps overflows it.

    Where one does, the step, neuron and line are named, and --json holds the input.
    """
    from neurodeploy.cli.prove import show_proofs

    sys.exit(show_proofs(network, seconds=seconds, certificate=certificate, add=add, as_json=as_json))


main.add_command(record)
main.add_command(targets)


@main.command(short_help="Time compiled code against other simulators and libraries.")
@click.argument("workloads", nargs=-1)
@click.option("--steps", default=100, show_default=True, type=click.IntRange(1), help="Time steps of the training.")
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1), help="Threads.")
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1), help="Rounds, all variants in turn.")
@click.option("--require-peers", is_flag=True, help="Fail where a peer is not installed.")
@click.option("--fresh", is_flag=True, help="Also first use and peak memory, each in a process of its own.")
@click.option("--floor", is_flag=True, help="Also the NumPy executor.")
@click.option("--growth", is_flag=True, help="Also how time grows with activity and with neurons.")
@click.option("--markdown", is_flag=True, help="Print Markdown instead of tables.")
@click.option("--readme", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Put the tables there.")
@json_option
def bench(*, workloads: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Time WORKLOADS in one process, all variants in turn; the default is all of them.

    w1 recurrent network, w2 dense network, w3 the first in a batch, w4 event-driven convolutions, w6 a million neurons:
    simulators, compared in every value. w5: a training step.
    """
    from neurodeploy.cli.bench import Options, show_bench

    show_bench(workloads, Options(**options), as_json=as_json)


@main.command(short_help="What a code such as ND1801 means, and what to do.")
@click.argument("code", required=False)
@json_option
def explain(*, code: str | None, as_json: bool) -> None:
    """Say what CODE means, its usual cause and what to do; without CODE, list them all."""
    from neurodeploy.cli.explain import show_code

    show_code(code, as_json=as_json)


@main.command(short_help="What is installed, which oracles and devices answer.")
@json_option
def doctor(*, as_json: bool) -> None:
    """Say what is installed, what is a stub, which oracles and devices answer."""
    from dataclasses import asdict

    from neurodeploy.doctor import diagnose

    findings = diagnose()
    if as_json:
        emit_json([asdict(f) for f in findings])
        return
    rows = [(f.name, f.state, f.version or "", f.detail, f.todo) for f in findings]
    console().print(table("neurodeploy doctor", ("what", "state", "version", "detail", "what to do"), rows))
