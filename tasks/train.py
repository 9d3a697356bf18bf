"""One variant trained, watched and recorded."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fcn.errors import UserError
from fcn.hardware import distribution
from fcn.input import records, stream
from fcn.io import files
from fcn.net import surgery
from fcn.spec import ModelSpec, TrainSpec
from fcn.train import fit, training
from tasks import look, tracking
from tasks.report import charts, pictures
from tasks.tracking import Progress, RunSpec, duration, durations, kept, provenance, steps


@steps.step("train {wanted.variant}")
def train(wanted: RunSpec, data: Path, data_look: Path, parent: Path, out: Path) -> None:
    """Trains a variant and writes its model folder.

    A training that was interrupted goes on from its checkpoint. One that ended is not repeated if
    DVC could not keep its model: see `tasks.tracking.kept`. Curves and parameters go to MLflow as
    they come. Of several processes that train together, see `distribution.join`, the first one does
    all that, and the others compute.

    Args:
        wanted: which variant, by which recipe.
        data: folder of the records.
        data_look: folder with the look at the data, which is kept with the run.
        parent: weight file or model folder from which it starts.
        out: model folder.

    Raises:
        UserError: see `fit.run` and `distribution.join`; processes with other parameters, records,
            weights or code.
    """
    log, variant, recipe = steps.logger(), wanted.variant, wanted.recipe
    if recipe.deterministic and keras.backend.backend() == "jax":  # before JAX starts
        os.environ["XLA_FLAGS"] = (
            f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true"
        ).strip()
    share = distribution.join(os.environ)
    classes = tuple(records.read_index(data)["classes"])
    spec = ModelSpec(variant=variant, classes=classes, **asdict(wanted.settings.model))
    facts = fit.facts(spec, recipe, data, parent)
    key, needed = fit.fingerprint(facts), fit.resumable(facts)
    made = kept.CHECKPOINTS / f"{wanted.name}-{key}"
    checkpoint = kept.CHECKPOINTS / f"{wanted.name}-{fit.fingerprint(needed)}.npz"
    _agree(share, key)
    if share.from_first(made.is_dir):
        if share.first:
            said = "%s is trained already, but DVC does not have it: it is taken from %s"
            log.info(said, variant, made)
            steps.remark("trained already; the model was taken from its checkpoint")
            kept.copy(made, out)
        return
    if not share.first:
        said = "process %d of %d computes; the first one reports and writes"
        log.info(said, share.process, share.processes)
        fit.run(spec, recipe, data, parent, out, checkpoint)
        return
    if resumed := checkpoint.is_file():
        log.info("going on from %s", checkpoint)
    for text in kept.others(wanted.name, checkpoint, needed):
        log.warning(text)
    kept.note(checkpoint, needed)
    made_from = provenance.tags([str(data), str(parent)])
    tags = {
        **wanted.tags(made_from),
        "prefect.flow_run_id": steps.run_id(),
        tracking.NOTE: f"{wanted}.",
    }
    with tracking.training(
        wanted.experiment, variant, key, params=wanted.params, tags=tags, resumed=resumed
    ) as run:
        origin = {"parent": str(parent), "training.key": key, **made_from}
        _note_origin(run, wanted.profile, data, data_look, origin)
        told = _Told(spec, recipe, data, parent, run, durations.facts(made_from), log, resumed)
        # DVC cannot know a model that is kept apart, nor one that it did not ask for.
        first = made if not wanted.apart and "DVC_STAGE" in os.environ else out
        hears = training.Listener(told.begins, told.report, told.watch, told.note)
        with _kept(checkpoint, recipe.iterations):
            fit.run(spec, recipe, data, parent, first, checkpoint, hears)
        if first != out:
            kept.copy(first, out)
        run.tags({tracking.MODEL: files.digest(out / "weights.npz")})
        run.made(out / "weights.npz")
        told.link()
    curves = pictures.figure_url(charts.learning(out))
    steps.show("curves", f"{variant}: loss and scores as it was trained", image=curves)
    kept.remove_others(wanted.name, made)


@contextlib.contextmanager
def _kept(checkpoint: Path, iterations: int) -> Iterator[None]:
    """Notes on Ctrl-C what it leaves."""
    try:
        yield
    except KeyboardInterrupt as error:
        with contextlib.suppress(OSError, ValueError, KeyError):
            with np.load(checkpoint, allow_pickle=False) as arrays:  # reads what is asked for
                step = int(arrays["optimizer/0"])
            error.add_note(f"the checkpoint of iteration {step} of {iterations} is kept")
        raise


def _note_origin(
    run: tracking.Run, profile: str, data: Path, data_look: Path, origin: dict[str, str]
) -> None:
    """What a training was made from goes to its run: facts, records, and the look at them."""
    facts = dict(origin)
    for split, context in (("train", "training"), ("val", "validation")):
        info = records.split_info(data, split)
        facts[f"dataset.{context}"] = info["digest"]
        run.dataset(f"{profile}/{info['list']}", info["digest"], context)
    run.facts("training", facts)
    with look.charts(data_look) as paths:
        for path in (data_look, *paths):
            run.artifact(path, "data")


@dataclass
class _Told:
    """What is told of a training while it runs: to the log, to Prefect, and to its ledger."""

    spec: ModelSpec
    recipe: TrainSpec
    data: Path
    parent: Path
    run: tracking.Run
    machine: dict[str, Any]
    log: Any
    resumed: bool = False
    progress: Progress | None = None
    notes: dict[str, str] = field(default_factory=dict)
    loss: str = ""
    score: str = ""
    linked: bool = False

    def __post_init__(self) -> None:
        if self.resumed:
            self.notes |= self.run.said(durations.HEALTH)

    def begins(self, device: str, transfers: list[surgery.Transfer]) -> None:
        self.log.info(
            "training %s for %d iterations on %s", self.spec.variant, self.recipe.iterations, device
        )
        self.run.facts(durations.MACHINE.format("train"), {**self.machine, "device": device})
        _warn_if_slow(device, self.spec, self.recipe.iterations, self.data)
        for action in ("copied", "new", "dropped"):
            names = dict.fromkeys(t.name.rsplit("/", 1)[0] for t in transfers if t.action == action)
            self.log.info("weights %s: %s", action, ", ".join(names) or "none")
        title = f"Weights of {self.spec.variant} from {self.parent}"
        steps.show("weights", title, markdown=_table(transfers))

    def report(self, step: int, values: dict[str, float]) -> None:
        self.run.metrics(values, step)
        self.link()
        if "loss" not in values:
            scores = ", ".join(
                f"{name.removeprefix('val_')} {value:.4f}" for name, value in values.items()
            )
            self.log.info("%s: validation at %d: %s", self.spec.variant, step, scores)
            self.score = f", mean IU {values['val_mean_iu']:.4f}"
        # The clock starts at the first report: what comes before builds and traces the graph.
        if not self.progress:
            self.progress = Progress(
                self.log.info, self.spec.variant, "iterations", start=step, show=steps.Bar()
            )
            if self.resumed and "loss" in values:
                steps.remark(f"resumed at step {step - self.recipe.log_every}")
        if "loss" in values:
            self.loss = f"loss {values['loss']:.6g}"
        # The last validation comes after the last loss: with its score the training ends.
        if "loss" in values or (self.loss and step == self.recipe.iterations):
            self.progress(step, self.recipe.iterations, self.loss + self.score)

    def watch(self, examples: Iterable[Any]) -> Iterator[Any]:
        say = Progress(self.log.info, f"{self.spec.variant}: validating", "images")
        total = stream.count(self.data, "val", self.recipe.validate_images)
        for number, example in enumerate(examples, 1):
            yield example
            if number < total:
                say(number, total)

    def note(self, kind: str, text: str) -> None:
        say = self.log.info if kind in ("resolution", "stopped_early") else self.log.warning
        say("%s: %s", self.spec.variant, text)
        title = f"Health of {self.spec.variant}"
        steps.show(f"health-{kind.replace('_', '-')}", title, markdown=text)
        self.notes.setdefault(kind, text)
        self.run.tags({"health": ", ".join(self.notes)})
        self.run.facts(durations.HEALTH, self.notes)

    def link(self) -> None:
        """Shows where the run is in MLflow, as soon as it is there and somebody serves it."""
        if not self.linked and self.run.id:
            self.linked = True
            if url := self.run.url:
                steps.show("mlflow", f"{self.spec.variant} in MLflow", link=url)
                self.log.info("MLflow: %s", self.run.models_url)


def _agree(share: distribution.Share, key: str) -> None:
    """All processes of a training must have the same fingerprint."""
    mine = np.frombuffer(key.encode(), np.uint8)
    if not np.array_equal(share.from_first(lambda: mine), mine):
        raise UserError(
            f"process {share.process} of {share.processes} has other parameters, records, weights "
            "or code than the first one: bring params.yaml, fcn/, data/records and models/ of the "
            "first machine here"
        )


def _table(transfers: list[surgery.Transfer]) -> str:
    rows = [f"| {t.name} | {' x '.join(map(str, t.shape))} | {t.action} |" for t in transfers]
    return "\n".join(["| weight | shape | what |", "|---|---|---|", *rows])


def _warn_if_slow(device: str, spec: ModelSpec, iterations: int, data: Path) -> None:
    """Warns before a full-size training begins on a CPU."""
    if device != "CPU":
        return
    # Operations of a forward pass of VGG-16 at 500 x 375 pixels; a training step takes three times
    # as many.
    forward = {"caffe": 0.293e12, "same": 0.162e12}[spec.padding] * spec.width**2
    info = records.split_info(data, "train")
    pixels = (sum(info["pixels"].values()) + info["void_pixels"]) / info["images"]
    # a rate that two good cores reach
    seconds = 3 * forward * (pixels / 187_500) * iterations / 0.3e12
    if seconds > 3600:
        steps.logger().warning(
            "There is no GPU: at 0.3 TFLOP/s, %d iterations of this net take about %s. Stop now "
            "(Ctrl-C) if that is not what you want; `profile: sample` in params.yaml runs in "
            "minutes.",
            iterations,
            duration(seconds),
        )
