"""What a profile will cost, told before it begins: downloads, disk, memory, hours by stage."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from fcn.datasets import official
from fcn.spec import ModelSpec, Source, operations, parameters
from tasks.settings import Settings

PUBLISHED = {
    "VOCtrainval_25-May-2011.tar": 1.7e9,
    "VOCtrainval_11-May-2012.tar": 2.0e9,
    "benchmark.tgz": 1.4e9,
    "ADEChallengeData2016.zip": 0.97e9,
    "VGG_ILSVRC_16_layers.caffemodel": 0.553e9,
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5": 0.059e9,
}
"""Bytes of the files that the profiles fetch, by name: rounded, and not asked of their servers."""
COUNTS = {**official.COUNTS, "ade20k": {"training": 20_210, "validation": 2_000}}
"""Images by data set and split, before the records are there to be counted."""
SIZE = (375, 500)
"""Height and width that images are taken to have: most of VOC's."""
RECORD = 110_000
"""Bytes of such an image and its label in the records."""
UNPACKED = 2.0
"""An archive and its tree, in bytes of the archive: photographs do not shrink."""
PASSES = 3
"""Of an inference in a step of training: forward, gradients of maps, gradients of weights."""
GPU = {"float32": 40e12, "bfloat16": 200e12}
"""Operations per second that a large GPU is taken to reach; nobody has measured it here."""
SECONDS = 20.0


@dataclass(frozen=True)
class Stage:
    """One stage's hours: here, and on a GPU of `GPU`. None: the number of images is not known."""

    name: str
    hours: float | None
    gpu: float | None


@dataclass(frozen=True)
class Estimate:
    """Bytes and hours of a profile.

    Attributes:
        download: of archives and weights; those in `unknown` not counted.
        unknown: files of which no size is known.
        disk: when all is done, and a checkpoint.
        memory: most that a stage takes, on a CPU.
        stages: those that compute, in their order.
    """

    download: float
    unknown: tuple[str, ...]
    disk: float
    memory: float
    stages: tuple[Stage, ...]


def estimate(settings: Settings, rates: dict[str, float], root: Path = Path()) -> Estimate:
    """What the chosen profile will cost.

    Args:
        settings: params.yaml.
        rates: operations per second of this machine by precision, see `measured`.
        root: of the workspace, where local files are looked for.
    """
    sizes = {source.urls[0]: _size(source, root) for source in _sources(settings)}
    download = sum(size for size in sizes.values() if size)
    archives = sum(_size(each, root) or 0 for each in settings.download.archives.values())
    spec = _spec(settings, next(iter(settings.train)))
    weights = 4.0 * parameters(spec)
    counts = COUNTS.get(settings.records.dataset, {})
    split = settings.records
    images = {name: counts.get(name, 0) for name in (split.train, split.val)}
    disk = (
        download + (UNPACKED - 1) * archives
        + RECORD * sum(images.values())
        + weights * (1 + len(settings.variants)) + 4 * weights
    )  # fmt: skip
    return Estimate(
        download,
        tuple(url for url, size in sizes.items() if size is None),
        disk,
        5 * weights + 1e9,
        tuple(_stages(settings, rates, images[split.val])),
    )


def _sources(settings: Settings) -> list[Source]:
    given = settings.download
    return [*given.archives.values(), given.weights, *given.cross_check]


def _size(source: Source, root: Path) -> float | None:
    for url in source.urls:
        if url.startswith("file:"):
            path = root / url.removeprefix("file:")
            if path.is_file():
                return float(path.stat().st_size)
        elif found := PUBLISHED.get(url.rsplit("/", 1)[-1]):
            return found
    return None


def _spec(settings: Settings, variant: str) -> ModelSpec:
    # How many classes there are, the data say; it is no matter for the cost.
    classes = tuple(settings.records.classes) or ("background", "thing")
    return ModelSpec(variant=variant, classes=classes, **asdict(settings.model))


def _stages(settings: Settings, rates: dict[str, float], validated: int) -> Iterator[Stage]:
    def stage(name: str, work: float, precision: str) -> Stage:
        return Stage(name, work / rates[precision] / 3600, work / GPU[precision] / 3600)

    for variant in settings.variants:
        recipe, spec = settings.train[variant], _spec(settings, variant)
        crop = recipe.augment.crop
        step = PASSES * recipe.batch * operations(spec, *((crop, crop) if crop else SIZE))
        times = recipe.iterations // recipe.validate_every + 1
        looked = min(validated, recipe.validate_images or validated)
        work = recipe.iterations * step + times * looked * operations(spec, *SIZE)
        yield stage(f"train@{variant}", work, recipe.precision)
        name, passes = f"evaluate@{variant}", 1 + len(settings.evaluate.protocols)
        if validated:
            work = passes * validated * operations(spec, *SIZE)
            yield stage(name, work, settings.evaluate.precision)
        else:
            yield Stage(name, None, None)


def measured(precision: str, seconds: float = SECONDS / 2) -> float:
    """Operations per second of this machine, in convolutions as VGG's third block has them.

    Args:
        precision: "float32" or "bfloat16".
        seconds: how long to measure, after a first call that does not count.
    """
    import keras
    import numpy as np

    height, width, depth = -(-SIZE[0] // 4), -(-SIZE[1] // 4), 256
    maps = keras.Input((height, width, depth), dtype=precision)
    layer = keras.layers.Conv2D(depth, 3, padding="same", dtype=precision)
    net = keras.Model(maps, layer(layer(maps)))
    image = np.ones((1, height, width, depth), np.float32)
    net.predict_on_batch(image)
    done, begin = 0, time.perf_counter()
    while (spent := time.perf_counter() - begin) < seconds:
        net.predict_on_batch(image)
        done += 1
    return done * 2 * 2.0 * height * width * 9 * depth * depth / spent


def told(found: Estimate, rates: dict[str, float], profile: str) -> Iterator[str]:
    """The estimate in lines."""
    free = shutil.disk_usage(".").free
    speed = ", ".join(f"{rate / 1e12:.2g} TFLOP/s in {name}" for name, rate in rates.items())
    yield f"Profile {profile}. This machine makes {speed} in convolutions."
    yield ""
    more = f", and of unknown size {', '.join(found.unknown)}" if found.unknown else ""
    yield f"download  {found.download / 1e9:8.2f} GB{more}"
    yield f"disk      {found.disk / 1e9:8.2f} GB, of which {free / 1e9:.0f} are free here"
    yield f"memory    {found.memory / 1e9:8.2f} GB at most"
    yield ""
    width = max(len(stage.name) for stage in found.stages)
    yield f"{'stage':{width}}  {'hours here':>12}  {'on a GPU':>12}"
    for stage in found.stages:
        yield f"{stage.name:{width}}  {_hours(stage.hours):>12}  {_hours(stage.gpu):>12}"
    total = sum(stage.hours or 0 for stage in found.stages)
    gpu = sum(stage.gpu or 0 for stage in found.stages)
    yield f"{'together':{width}}  {_hours(total):>12}  {_hours(gpu):>12}"
    yield ""
    taken = " and ".join(f"{rate / 1e12:.0f} TFLOP/s in {name}" for name, rate in GPU.items())
    yield (
        f"Assumed: images of {SIZE[1]}x{SIZE[0]}; a step of training costs {PASSES} inferences; a "
        f"GPU reaches {taken}, which nobody has measured here. Right within a factor of two; what "
        "a small net costs beside its operations is not in it."
    )


def _hours(hours: float | None) -> str:
    if hours is None:
        return "unknown"
    return (
        f"{hours:.1f}" if hours >= 1 else f"{60 * hours:.0f} min" if hours > 1 / 60 else "< 1 min"
    )
