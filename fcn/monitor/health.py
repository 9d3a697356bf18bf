"""What goes wrong in a training and is no error: told from numbers, with the likely cause and the
remedy.

Every function takes numbers that the training has at hand anyway and returns findings; what lies on
the device is seen to by `fcn.monitor.watches`. The bounds are such that healthy trainings are
silent; where data may well be as is reported, the text says so. Imports no framework.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcn.errors import enumeration
from fcn.spec import TrainSpec


@dataclass(frozen=True)
class Finding:
    """What was seen.

    Attributes:
        kind: one of a kind is reported in a training; also the end of MLflow's tag `health.<kind>`.
        text: what was seen, with the numbers; the likely cause; the remedy.
    """

    kind: str
    text: str


def once(note: Callable[[str, str], None]) -> Callable[[Iterable[Finding]], None]:
    """A function that hands findings on to `note(kind, text)`, the first of each kind only."""
    said = set()

    def tell(findings: Iterable[Finding]) -> None:
        for finding in findings:
            if finding.kind not in said:
                said.add(finding.kind)
                note(finding.kind, finding.text)

    return tell


def from_labels(splits: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Labels that look misread, before the training begins.

    A class with over 99 % of the labelled pixels: VOC's background has 73 %, ADE20K's commonest
    class a fifth. It is what is left of labels that were read as something else, and gives the
    score that others met: one class right, the rest 0, so a mean IU of 1/21 = 0.048 on VOC. Void
    over half of all pixels: VOC has 5 %; that there is none means nothing, since SBD has none. In
    20 images or more: fewer than a fifth of the classes, or training and validation labels whose
    shares of the classes differ by more than half (half the sum of the differences). Halves of 20
    drawn from real VOC images differ by 0.34 at most, those of 50 by 0.23; ids shifted by one, in
    one of the splits, by 0.7.

    Args:
        splits: by name, each with `images`, `pixels` by class and `void_pixels`; see
            `records.split_info`.

    Returns:
        At most one finding, "labels".
    """
    seen, shares = [], {}
    for split, info in splits.items():
        pixels = np.array(list(info["pixels"].values()), np.float64)
        labelled, void = pixels.sum(), info["void_pixels"]
        if void > labelled:
            seen.append(
                f"{void / (labelled + void):.1%} of the pixels of {split} are void (5 % on VOC)"
            )
        if not labelled:
            continue
        most, present = int(pixels.argmax()), int((pixels > 0).sum())
        if pixels[most] > 0.99 * labelled:
            seen.append(
                f"{pixels[most] / labelled:.2%} of the labelled pixels of {split} are "
                f"`{list(info['pixels'])[most]}`"
            )
        elif present < len(pixels) / 5 and info["images"] >= 20:
            seen.append(
                f"only {present} of {len(pixels)} classes occur in the {info['images']} "
                f"images of {split}"
            )
        if info["images"] >= 20:
            shares[split] = pixels / labelled
    if len(shares) == 2:
        (one, first), (other, second) = shares.items()
        distance = np.abs(first - second).sum() / 2
        if distance > 0.5:
            most = int(np.abs(first - second).argmax())
            name = list(splits[one]["pixels"])[most]
            seen.append(
                f"the classes of {one} and {other} are shared out differently (by {distance:.0%}): "
                f"`{name}` has {first[most]:.1%} of the pixels of {one} and {second[most]:.1%} of "
                f"those of {other}"
            )
    if not seen:
        return []
    return [
        Finding(
            "labels",
            f"{'; '.join(seen)}. Either the data are like that, or labels are misread: colours or "
            "grey values taken for class numbers, numbers shifted by one, 255 for a class. Look "
            "at the pictures that the stage `records` makes, or at what `fcn doctor` says of the "
            "label folder; the classes and the data set are chosen in `records`.",
        )
    ]


FEW = 50
"""Validation images below which a good verdict means little."""


def from_little(splits: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """What a validation split cannot say: it has too few images, or never shows a class.

    Args:
        splits: "val" among them, each with `images` and `pixels` by class; see
            `records.split_info`.

    Returns:
        Any of "few_images" (fewer than `FEW`) and "unseen_classes".
    """
    images, pixels = splits["val"]["images"], splits["val"]["pixels"]
    findings = []
    if images < FEW:
        text = (
            f"validation has {images} image{'s' * (images != 1)}, fewer than {FEW}: with so "
            "few, a problem may stay unseen, and other images would give other scores. Add images, "
            "or read the scores with their intervals."
        )
        findings.append(Finding("few_images", text))
    unseen = [name for name, count in pixels.items() if not count]
    if unseen:
        text = (
            f"no validation image shows {len(unseen)} of {len(pixels)} classes: "
            f"{enumeration(unseen)}. Their IU is not known, and the mean IU is that of the other "
            "classes. Add images of them to the validation list."
        )
        findings.append(Finding("unseen_classes", text))
    return findings


VOC_PIXELS = 187_500
"""Of an image of 500 x 375, as most of VOC's are."""


def usual_rate(recipe: TrainSpec, pixels: float) -> float:
    """The published rate of FCN-32s, as it comes out for another recipe.

    That is 1e-10 on the sum of an image's 187 500 pixels, with momentum 0.99. A weight's change for
    a lasting gradient is rate x gradient / (1 - momentum), and a mean's gradient is that of the sum
    divided by the pixels. For Adam, which scales gradients itself, 1e-4.

    Args:
        recipe: the training.
        pixels: of a step's images together.

    Example:
        >>> from fcn.spec import TrainSpec
        >>> heavy = TrainSpec("sgd", 1e-10, 0.99, 5e-4, 2.0, "sum", 100000, 20, 4000, 1)
        >>> f"{usual_rate(heavy, VOC_PIXELS):.3g}"
        '1e-10'
    """
    if recipe.optimizer == "adam":
        return 1e-4
    rate = 1e-10 * VOC_PIXELS * (1 - recipe.momentum) / (1 - 0.99)
    return rate / pixels if recipe.loss == "sum" else rate


def _lower(recipe: TrainSpec, pixels: float) -> str:
    """The remedy for a rate that is too high."""
    rate = min(recipe.learning_rate / 10, usual_rate(recipe, pixels))
    return f"Lower `learning_rate`, to {rate:.2g} for a try ({_usual(recipe, pixels)})"


def _higher(recipe: TrainSpec, pixels: float) -> str:
    """The remedy for a rate that is too low."""
    rate = max(recipe.learning_rate * 10, usual_rate(recipe, pixels))
    return f"Raise `learning_rate`, to {rate:.2g} for a try ({_usual(recipe, pixels)})"


def _usual(recipe: TrainSpec, pixels: float) -> str:
    what = "Adam" if recipe.optimizer == "adam" else f"`loss: {recipe.loss}`"
    size = f" and {pixels:,.0f} pixels a step" if recipe.loss == "sum" else ""
    return f"{usual_rate(recipe, pixels):.2g} is usual for {what}{size}"


def from_validation(
    histogram: np.ndarray,
    history: Sequence[Mapping[str, float]],
    recipe: TrainSpec,
    pixels: float,
    classes: Sequence[str] = (),
) -> list[Finding]:
    """What a validation shows.

    Args:
        histogram: its confusion (classes, classes), rows true; see `fcn.score.metrics`.
        history: all rows up to now, that of this validation included: `step` with `loss` or with
            `val_mean_iu`.
        recipe: the training.
        pixels: of a step's images together.
        classes: names; without them classes are called by number. The background is the class that
            most pixels are of.

    Returns:
        Any of these. "background", "one_class": at least 99.9 % of the pixels are predicted as one
        class, at two validations in a row after the start (where scores are zero, so the first
        class wins everywhere) or at the last; it scores that class's share of the pixels divided by
        the number of classes (on VOC 0.733 / 21 = 0.0349). "swapped_classes": at least two classes
        are predicted as others so consistently that the IU with those is over 0.5, which nets do
        not come to by themselves. "overfitting": the mean IU of the last three validations lies 5 %
        below that of the best three in a row before them (and 0.01 at least), while the training
        loss fell: means of three, since single validations scatter.
    """
    names = list(classes) or [f"class {n}" for n in range(len(histogram))]
    scores = [
        (row["step"], row["val_mean_iu"])
        for row in history
        if "val_mean_iu" in row and row["step"] > 0
    ]
    losses = [(row["step"], row["loss"]) for row in history if "loss" in row]
    collapsed = _collapsed(histogram, scores, recipe, pixels, names) if scores else []
    return [*collapsed, *_swapped(histogram, names), *_overfitting(scores, losses)]


def _collapsed(
    histogram: np.ndarray,
    scores: Sequence[tuple[float, float]],
    recipe: TrainSpec,
    pixels: float,
    names: Sequence[str],
) -> list[Finding]:
    step, score = scores[-1]
    truth, predicted, total = histogram.sum(1), histogram.sum(0), histogram.sum()
    most, present = int(predicted.argmax()), int((truth > 0).sum())
    if present < 2 or predicted[most] < 0.999 * total:
        return []
    constant = truth.max() / total / present  # the mean IU of the best constant prediction
    if step < recipe.iterations and (len(scores) < 2 or scores[-2][1] > 1.05 * constant):
        return []
    text = (
        f"after {step:.0f} steps {predicted[most] / total:.2%} of the validation pixels are "
        f"predicted as `{names[most]}`, which makes {truth[most] / total:.1%} of the truth: mean "
        f"IU {score:.4f}. "
    )
    if most == truth.argmax():  # which decides what the background is, whatever it is called
        text += (
            "The score layers have learned nothing yet. Likely cause: the rate is too low, or the "
            f"weights that the net starts from are of no use. {_higher(recipe, pixels)}, and check "
            "the scores of the stage before."
        )
        return [Finding("background", text)]
    text += (
        "Likely cause: the rate is too high and the training diverged, or all images give the same "
        f"scores (dead ReLUs, images that are read wrongly). {_lower(recipe, pixels)}, and look at "
        "the pictures that the stage `records` makes in plots/data."
    )
    return [Finding("one_class", text)]


def _swapped(histogram: np.ndarray, names: Sequence[str]) -> list[Finding]:
    union = histogram.sum(1)[:, None] + histogram.sum(0)[None, :] - histogram
    # Above one half each class has no more than one partner.
    pairs = [(true, other) for true, other in np.argwhere(2 * histogram > union) if true != other]
    if len(pairs) < 2:
        return []
    listed = ", ".join(f"`{names[true]}` as `{names[other]}`" for true, other in pairs[:6])
    return [
        Finding(
            "swapped_classes",
            f"{len(pairs)} classes are found in the right places under the wrong names: "
            f"{listed}{' ...' * (len(pairs) > 6)}. Likely the labels of training and validation "
            "number the classes differently (shifted by one, another order, another encoding), or "
            "the parent's did. Compare the pictures of both splits that the stage `records` "
            "makes.",
        )
    ]


def _overfitting(
    scores: Sequence[tuple[float, float]], losses: Sequence[tuple[float, float]]
) -> list[Finding]:
    if len(scores) < 6:
        return []
    means = [sum(score for _, score in scores[n : n + 3]) / 3 for n in range(len(scores) - 2)]
    best = int(np.argmax(means[:-3]))
    (begin, _), (end, _) = scores[best], scores[best + 2]
    then = [loss for step, loss in losses if begin < step <= end]
    now = [loss for step, loss in losses if step > scores[-3][0]]
    if (
        means[best] - means[-1] < max(0.01, 0.05 * means[best])
        or not then
        or not now
        or np.mean(now) >= np.mean(then)
    ):
        return []
    return [
        Finding(
            "overfitting",
            f"validation gets worse while training gets better: mean IU {means[best]:.4f} between "
            f"the steps {begin:.0f} and {end:.0f}, {means[-1]:.4f} since {scores[-3][0]:.0f}; "
            f"training loss {np.mean(then):.6g} then, {np.mean(now):.6g} now. The net "
            f"overfits the training images. Stop earlier (`iterations: {end:.0f}`, or "
            "`keep: best`), lower the rate towards the end (`schedule: poly`), add images, or "
            "use `augment`.",
        )
    ]


def stopped_early(history: Sequence[Mapping[str, float]], recipe: TrainSpec) -> Finding:
    """A training that ended before its last step, as its recipe wants it.

    Args:
        history: all rows: `step` with `loss` or with `val_mean_iu`.
        recipe: the training.
    """
    scores = {row["step"]: row["val_mean_iu"] for row in history if "val_mean_iu" in row}
    best = max(scores, key=scores.__getitem__)
    text = (
        f"ended after {max(scores):.0f} of {recipe.iterations} steps: the mean IU of step "
        f"{best:.0f}, {scores[best]:.4f}, was not exceeded by the {recipe.patience} validations "
        f"after it (`patience`). The weights of step "
        f"{best if recipe.keep == 'best' else max(scores):.0f} are kept (`keep: {recipe.keep}`)."
    )
    return Finding("stopped_early", text)


def not_finite(
    loss: float, step: int, first: int | None, rate: float, recipe: TrainSpec, pixels: float,
    images: Sequence[str] = (), images_before: Sequence[str] = (), kept: int | None = None,
) -> Finding:  # fmt: skip
    """The finding, and the error, of a loss that is no longer finite.

    Args:
        loss: as it was found.
        step: how many steps are done.
        first: the first step, counted from 1, whose scores were not finite; None if that is not
            known.
        rate: at this step.
        recipe: the training.
        pixels: of a step's images together.
        images: ids of the images of step `first`.
        images_before: those of the step before, whose update made the weights that gave such
            scores.
        kept: the step of the last checkpoint; None if there is none.
    """
    text = (
        f"the loss is {loss} after step {step}: the rate {rate:g} is too high for `loss: "
        f"{recipe.loss}`, or the weights that the net starts from are wrong. "
    )
    if first is not None:
        text += f"The scores of step {first} are the first that are not finite"
        text += f"; its images: {_listed(images)}" if images else ""
        text += (
            (f"; those of step {first - 1}, whose update led there: {_listed(images_before)}")
            if images_before
            else ""
        )
        text += ". "
    text += (
        f"The checkpoint of step {kept} is kept. "
        if kept is not None
        else ("There was no checkpoint yet. ")
    )
    text += f"{_lower(recipe, pixels)}; if it stops at the same images again, look at them."
    return Finding("not_finite", text)


def not_saved(
    error: OSError, checkpoint: Path, step: int, kept: int | None, interrupted: bool
) -> Finding:
    """A checkpoint that could not be written: no room on the disk, above all.

    Args:
        error: what the system said.
        checkpoint: its file, where the checkpoint before still is.
        step: that was to be kept.
        kept: the step of the checkpoint before; None if there is none.
        interrupted: whether the training ends here, upon Ctrl-C.

    Returns:
        "checkpoint", or "interrupted", which is said although the other was.
    """
    before = (
        (f"goes on from the checkpoint of step {kept}, which is kept")
        if kept is not None
        else "begins anew"
    )
    if interrupted:
        then = f"What came since then is lost: the next run {before}."
    else:
        then = (
            "The training goes on and tries again later; should it break off before that "
            f"succeeds, the next run {before}."
        )
    text = (
        f"the checkpoint of step {step} could not be written: {unwritten(error, checkpoint)} {then}"
    )
    return Finding("interrupted" if interrupted else "checkpoint", text)


def unwritten(error: OSError, path: Path) -> str:
    """Why `path`, a file or a folder, could not be written, how much room its disk has, and what to
    do, in sentences.
    """
    folder = next((folder for folder in path.absolute().parents if folder.is_dir()), Path("/"))
    free = shutil.disk_usage(folder).free
    return (
        f"{path}: {error.strerror or error}. The disk of {folder} has {free / 1e6:,.1f} MB free. "
        "Make room, or let the folder be a link to one on another disk."
    )


def broken(arrays: Mapping[str, Any]) -> list[str]:
    """Names of the arrays or variables that hold a number that is not finite: no such checkpoint
    may replace a good one.

    Costs one pass over them, a tenth of a second for a gigabyte.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return [name for name, value in arrays.items() if not _finite(np.asarray(value))]


def _finite(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array.sum()))


def _listed(images: Sequence[str]) -> str:
    return ", ".join(images[:20]) + f" and {len(images) - 20} more" * (len(images) > 20)
