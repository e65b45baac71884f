"""The import command for float networks: ONNX file to spiking model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from neurodeploy import npz
from neurodeploy.ann import convert_ann, read_onnx
from neurodeploy.cli.output import emit_json
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.models import save_model
from neurodeploy.nir import UNSTATED

_SAMPLES = "samples"
#: Options of the import that a float network has a use for.
_OURS = ("dt_s", "max_spikes", "v_min")


def show_conversion(
    path: Path, out: Path | None, given: Mapping[str, Any], *, calibration: Path | None, as_json: bool
) -> None:
    """Convert a float network, print what its ReLUs became, write the model."""
    out = Path(f"{path.stem}.safetensors") if out is None else out
    npz.refuse_place(out)  # before any work is spent
    stated = {name: value for name, value in given.items() if value is not UNSTATED}
    faults = [
        Fault(
            "ND9002", f"import, {path.name}", f"--{name.replace('_', '-')} for a float network", "it has no spikes yet"
        )
        for name in sorted(set(stated) - set(_OURS))
    ]
    if calibration is None:
        must = f"--calibration FILE.npz with the array {_SAMPLES}, (sample, ...)"
        faults.append(
            Fault("ND9002", f"import, {path.name}", "no typical inputs", must, "thresholds are balanced on them")
        )
    if "dt_s" not in stated:
        faults.append(Fault("ND9002", f"import, {path.name}", "no duration of a step", "--dt SECONDS"))
    raise_if(faults)
    module = read_onnx(path)
    options = {name: stated[name] for name in _OURS if name in stated and name != "dt_s"}
    model, report = convert_ann(module, _samples(calibration), **options)
    save_model(model, out, dt_s=stated["dt_s"])
    if as_json:
        emit_json(report.to_json() | {"model": str(out)})
        return
    click.echo(str(report))
    click.echo(f"Written: {out}. Next: neurodeploy check {out} --target CHIP")


def _samples(path: Path | None) -> Any:
    arrays = {} if path is None else npz.read_arrays(path)
    if set(arrays) != {_SAMPLES}:
        was = f"arrays {', '.join(sorted(arrays)) or 'none'}"
        raise Refusal(Fault("ND1501", str(path), was, f"one array {_SAMPLES}, (sample, ...)"))
    return arrays[_SAMPLES]
