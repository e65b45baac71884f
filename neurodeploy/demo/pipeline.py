"""The demo: real images become spikes, a trained network becomes a chip configuration, and every bit is checked."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurodeploy.bundles import refuse_place
from neurodeploy.chips import Chip
from neurodeploy.conversion import Conversion, convert, exact_against, write_bundle
from neurodeploy.demo.design import Design, design_for
from neurodeploy.demo.digits import DT_S, Digits, Shifts, digits
from neurodeploy.demo.maps import MapShape
from neurodeploy.demo.network import Shape
from neurodeploy.errors import Fault, Refusal
from neurodeploy.evaluation import Evaluation, evaluate
from neurodeploy.events import Data, save_data
from neurodeploy.models import save_model
from neurodeploy.oracles import oracles_of
from neurodeploy.quantizer import Watch, constrain
from neurodeploy.simulator import simulate
from neurodeploy.training import run_model, train

CALIBRATION_SAMPLES = 96
CLASSES = 10
BUNDLE = "digits.nd"

#: (what is being done, share done in 0..1)
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Trial:
    """One seed: the float and the integer network on the same test images, by the same rule.

    rounded_result : the integer network of the float-trained weights, before it was trained on the chip's own
        arithmetic; None where it was not
    rails_hit : in how many (neuron, image, step) cells a register was too narrow and a value was cut; 0 where events
        drive the chip, whose simulation refuses a value that does not fit
    """

    seed: int
    float_result: Evaluation
    integer_result: Evaluation
    rails_hit: int
    rounded_result: Evaluation | None = None

    @property
    def points_lost(self) -> float:
        """Percentage points that the integer network lost to the float one; below 0 where it is better."""
        return 100 * (self.float_result.accuracy - self.integer_result.accuracy)


@dataclass(frozen=True)
class Demo:
    """What the demo did and found. Conversion, files and comparison are those of the first seed.

    exact_against, unable : as in ``conversion.Exactness``
    """

    chip: Chip
    shape: Shape | MapShape
    trials: tuple[Trial, ...]
    conversion: Conversion
    exact_against: list[dict[str, object]]
    unable: tuple[Fault, ...]
    seconds: float
    folder: Path
    bundle: Path

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        first = self.trials[0]
        lost = [t.points_lost for t in self.trials]
        return {
            "target": self.chip.name,
            "float_accuracy": fmean(t.float_result.accuracy for t in self.trials),
            "integer_accuracy": fmean(t.integer_result.accuracy for t in self.trials),
            "mean_points_lost": fmean(lost),
            "worst_points_lost": max(lost),
            "decision": first.integer_result.rule,
            "interval": [first.integer_result.low, first.integer_result.high],
            "seeds": [
                {
                    "seed": t.seed,
                    "float_accuracy": t.float_result.accuracy,
                    "integer_accuracy": t.integer_result.accuracy,
                    "points_lost": t.points_lost,
                    "rounded_accuracy": None if t.rounded_result is None else t.rounded_result.accuracy,
                    "ties": t.integer_result.ties,
                    "disagreements": len(t.integer_result.disagreements),
                    "rails_hit": t.rails_hit,
                }
                for t in self.trials
            ],
            "test_samples": first.integer_result.total,
            **self.shape.to_json(),
            "usage": self.conversion.to_json()["usage"],
            "exact_against": self.exact_against,
            "unable": [str(fault) for fault in self.unable],
            "seconds": round(self.seconds, 1),
            "folder": str(self.folder),
            "bundle": str(self.bundle),
        }


def run_demo(
    chip: Chip, folder: Path, *, seeds: int = 1, epochs: int | None = None, progress: Progress | None = None
) -> Demo:
    """Run the demo for a chip; files of the first seed go to ``folder``.

    seeds : how many networks to train, with seeds 0, 1, ...
    epochs : of training; None takes those that the network needs
    Raises DoesNotFit if not even the smallest network fits the chip, Refusal for a folder that cannot be written,
    Missing where a program that simulates the chip's own RTL is not installed, all before any training is spent;
    Differs if the bundle differs from what it was compared with.
    """
    if seeds < 1:
        raise Refusal(Fault("ND9002", "demo", f"seeds = {seeds}", "at least 1"))
    for oracle in oracles_of(chip):
        if oracle.program is not None and oracle.available() is None:
            raise oracle.missing(f"the demo on {chip.name}")
    begin = time.perf_counter()
    tell = progress or (lambda _what, _share: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the tensors are small: a second thread costs more than it brings
    try:
        tell("asking the chip what fits", 0.0)
        design = design_for(chip, CLASSES)
        tell("asking the chip what fits", 1.0)
        bundle = _place(folder)
        done = [
            _trial(chip, design, seed, epochs or design.epochs, None if seed else folder, tell) for seed in range(seeds)
        ]
    finally:
        torch.set_num_threads(threads)
    tell("verifying", 0.5)
    exactness = exact_against(bundle, chip)
    tell("verifying", 1.0)
    seconds = time.perf_counter() - begin
    trials, rows = tuple(trial for trial, _ in done), list(exactness.rows)
    return Demo(chip, design.shape, trials, done[0][1], rows, exactness.unable, seconds, folder, bundle)


def _place(folder: Path) -> Path:
    """Make the folder; returns the place of the bundle in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        was = f"no folder can be made there ({error.strerror})"
        todo = "choose another place with --out"
        raise Refusal(Fault("ND1401", str(folder), was, "a folder for the files of the demo", todo)) from None
    refuse_place(folder / BUNDLE)
    return folder / BUNDLE


@dataclass(frozen=True)
class _Trained:
    """A trained model, and what it gave on the test images: as floats, and rounded before it was trained on that."""

    model: torch.nn.Module
    outputs: NDArray[np.int64]
    rounded: NDArray[np.int64] | None


def _train(chip: Chip, design: Design, seed: int, epochs: int, parts: Digits, tell: Progress) -> _Trained:
    """Train as the design says: in float, then on the chip's own arithmetic where that is worth it."""
    augment = Shifts(parts.train, design.shape.classes, design.moved, encode=design.encode)

    def go(model: torch.nn.Module, epochs: int, rate: float, label: str) -> None:
        train(
            model,
            parts.train,
            epochs=epochs,
            seed=seed,
            learning_rate=rate,
            sharpness=design.sharpness,
            augment=augment,
            progress=lambda epoch, _loss: tell(label, (epoch + 1) / epochs),
        )

    model = constrain(design.build(seed), chip)
    go(model, epochs, design.learning_rate, f"training (seed {seed})")
    outputs = run_model(model, parts.test.input)
    if not design.exact_epochs:
        return _Trained(model, outputs, None)
    model = constrain(model, chip, exact=True, calibration=calibration_of(parts.train).input)
    rounded = run_model(model, parts.test.input)
    label = f"training on the chip's arithmetic (seed {seed})"
    go(model, min(design.exact_epochs, epochs), design.exact_rate, label)
    return _Trained(model, outputs, rounded)


def _trial(
    chip: Chip, design: Design, seed: int, epochs: int, folder: Path | None, tell: Progress
) -> tuple[Trial, Conversion]:
    parts = digits(design.shape.classes, seed, design.encode)
    trained = _train(chip, design, seed, epochs, parts, tell)
    tell("quantizing and mapping", 0.0)
    calibration = calibration_of(parts.train)
    converted = convert(trained.model, chip, calibration=calibration.input, dt_s=DT_S)
    tell("quantizing and mapping", 1.0)
    watch = None if chip.event_driven else Watch()

    def step_done(t: int) -> None:
        if watch is not None:
            watch.end_step(t)
        tell("simulating every test image", (t + 1) / parts.test.steps)

    looking: dict[str, Any] = {} if watch is None else {"executor": watch, "observer": watch.look}
    run = simulate(converted.network, parts.test.input, progress=step_done, **looking)
    labels, ids = np.asarray(parts.test.label), parts.test.sample_id
    real = evaluate(trained.outputs, labels, latency=run.latency, sample_id=ids)
    rounded = trained.rounded
    before = None if rounded is None else evaluate(rounded, labels, latency=run.latency, sample_id=ids)
    integer = evaluate(run, labels, sample_id=ids, against=real)
    if folder is not None:
        tell("writing the bundle", 0.0)
        save_model(trained.model, folder / "model.safetensors", dt_s=DT_S)
        save_data(folder / "train.npz", parts.train)
        save_data(folder / "test.npz", parts.test)
        write_bundle(converted, parts.test.input, folder / BUNDLE)
        tell("writing the bundle", 1.0)
    hits = 0 if watch is None else sum(watch.hits_of(converted.network, g.name) for g in converted.network.groups)
    return Trial(seed, real, integer, hits, before), converted


def calibration_of(train_data: Data) -> Data:
    """The training samples that scales are chosen by."""
    return train_data.subset(np.arange(min(CALIBRATION_SAMPLES, train_data.batch)))
