"""One model's evaluation: all its numbers, as they are saved and as they are read back."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from fcn import reading
from fcn.compare import Counts, bootstrap
from fcn.errors import UserError
from fcn.io import files
from fcn.score import metrics

CONFUSION, IMAGES, BOUNDARY, CLASSES = "confusion.csv", "images.csv", "boundary.csv", "class_iu.csv"
"""The tables in the folder of an evaluation; the last one is for DVC's plots alone."""
MARK = (CONFUSION, "truth,prediction,pixels,share")
"""What such a folder is known by; see `files.replacing_folder`."""
MOST = 2**25
"""Pairs of image and class that are read: three tables of 256 MiB."""
_AGAIN = "evaluate the model again"

Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=0, le=2**36)]
"""Of a class in an image; as many of as many images as a table can have still add up in int64."""


class Confusion(reading.Model):
    """A row of `confusion.csv`."""

    truth: reading.Name
    prediction: reading.Name
    pixels: Annotated[int, Field(ge=0, le=2**53)]
    share: Share


class Band(reading.Model):
    """A row of `boundary.csv`: the scores within `width` pixels of a boundary."""

    width: Annotated[int, Field(ge=1, le=2**16)]
    mean_iu: Share
    pixel_accuracy: Share


class ImageClass(reading.Model):
    """A row of `images.csv`: a class's pixels in an image: in both, in the truth, in the
    prediction.
    """

    image: Annotated[str, Field(min_length=1, max_length=1024)]
    name: reading.Name = Field(alias="class")
    both: Pixels
    truth: Pixels
    prediction: Pixels

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.both > min(self.truth, self.prediction):
            raise ValueError("0 <= both <= truth and prediction")
        return self


class _Scores(reading.Model):
    pixel_accuracy: Share
    mean_accuracy: Share
    mean_iu: Share
    frequency_weighted_iu: Share


class _Metrics(_Scores):
    boundary_iu: Share | None = None
    upper_bound: Share | None = None
    protocols: dict[reading.Name, _Scores] = Field(default_factory=dict)
    provenance: dict[reading.Name, Annotated[str, Field(max_length=200)] | int]


class Evaluation:
    """The numbers of one model on one split.

    `save` writes them; an instance reads each part when it is first asked for, and raises UserError
    where that part is missing or damaged.

    Attributes:
        file: the metrics file; None where there is none.
        folder: of the tables, and of `predictions/`; None where it is not on this machine.
        name: of the model's variant or folder, for people.
        where: its source, for people.
    """

    def __init__(
        self,
        file: Path | None,
        folder: Path | None = None,
        name: str = "",
        where: str = "",
        shown: str = "",
    ) -> None:
        """Reads nothing yet; `shown` is what messages call `images.csv`, if not by its path."""
        self.file = file
        self.folder = folder
        self.name = name
        self.where = where
        self._shown = shown

    @staticmethod
    def save(
        file: Path,
        folder: Path,
        content: Mapping[str, Any],
        histogram: np.ndarray,
        bands: Sequence[tuple[int, float, float]],
        counts: Counts,
    ) -> None:
        """Writes the metrics file, and the tables into a folder that is there.

        Args:
            file: of the metrics.
            folder: of the tables.
            content: `pixel_accuracy`, `mean_accuracy`, `mean_iu`, `frequency_weighted_iu`;
                `boundary_iu` and `upper_bound` where there are any; `protocols`, the four scores of
                each by name; `provenance`.
            histogram: int64 (C, C), valid pixels by truth and prediction.
            bands: (width, mean IU, pixel accuracy) within so many pixels of a boundary.
            counts: of every image; their classes name those of `histogram`.
        """
        files.write_json(file, content)
        names = counts.classes
        ius, accuracies = metrics.class_iu(histogram), metrics.class_accuracy(histogram)
        rows = [
            (name, round(float(iu), 6), "" if np.isnan(accuracy) else round(float(accuracy), 6))
            for name, iu, accuracy in zip(names, ius, accuracies, strict=True)
            if not np.isnan(iu)
        ]
        files.write_csv(folder / CLASSES, ("class", "iu", "accuracy"), rows)
        totals = np.maximum(histogram.sum(1), 1)
        cells = [
            (truth, name, int(histogram[i, j]), round(float(histogram[i, j] / totals[i]), 6))
            for i, truth in enumerate(names)
            for j, name in enumerate(names)
        ]
        files.write_csv(folder / CONFUSION, tuple(Confusion.model_fields), cells)
        near = [(width, round(iu, 6), round(accuracy, 6)) for width, iu, accuracy in bands]
        files.write_csv(folder / BOUNDARY, tuple(Band.model_fields), near)
        there = np.argwhere(counts.truth + counts.prediction > 0).tolist()
        tables = (counts.both, counts.truth, counts.prediction)
        pixels = [
            (counts.images[i], names[j], *(int(table[i, j]) for table in tables)) for i, j in there
        ]
        files.write_csv(folder / IMAGES, ("image", "class", "both", "truth", "prediction"), pixels)

    @cached_property
    def content(self) -> dict[str, Any]:
        """What the metrics file holds, see `save`; a key that is not in the file is not there."""
        if self.file is None:
            return {}
        found = reading.read_json(self.file, _Metrics, "run the stage `evaluate` again")
        return found.model_dump(exclude_unset=True)

    @property
    def scores(self) -> dict[str, float]:
        """The four scores by name, 0..1; none without a file."""
        return {name: self.content[name] for name in _Scores.model_fields if self.file}

    @property
    def provenance(self) -> dict[str, Any]:
        """Split, data set, protocol, model: what was scored, and how; empty without a file."""
        found: dict[str, Any] = self.content.get("provenance", {})
        return found

    @cached_property
    def _matrix(self) -> tuple[tuple[str, ...], np.ndarray]:
        path = self._table(CONFUSION)
        rows = reading.read_csv(path, Confusion, _AGAIN)
        names = tuple(dict.fromkeys(row.truth for row in rows))
        pairs = [(truth, name) for truth in names for name in names]
        if [(row.truth, row.prediction) for row in rows] != pairs or not names:
            raise UserError(
                f"{path}: expected a row for each class with each class, in one order; {_AGAIN}"
            )
        return names, np.array([row.pixels for row in rows]).reshape(len(names), len(names))

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names by label value."""
        return self._matrix[0]

    @property
    def confusion(self) -> np.ndarray:
        """Valid pixels by truth and prediction, int64 (C, C)."""
        return self._matrix[1]

    @property
    def shares(self) -> np.ndarray:
        """The same as shares of the true class's pixels, float64 (C, C); 0 where it has none."""
        return np.asarray(self.confusion / np.maximum(self.confusion.sum(1, keepdims=True), 1))

    @property
    def class_iu(self) -> dict[str, float]:
        """IU by class, without those that are in neither truth nor prediction."""
        return self._known(metrics.class_iu(self.confusion))

    @property
    def class_accuracy(self) -> dict[str, float]:
        """Accuracy by class, without those that the truth does not have."""
        return self._known(metrics.class_accuracy(self.confusion))

    @cached_property
    def bands(self) -> list[Band]:
        """The scores near boundaries, by width; empty where the labels have no boundary."""
        return reading.read_csv(self._table(BOUNDARY), Band, _AGAIN)

    @cached_property
    def interval(self) -> bootstrap.Score | None:
        """The mean IU of these images and of other draws of such; None without `images.csv`."""
        there = self.folder is not None and (self.folder / IMAGES).is_file()
        return bootstrap.scores(self.counts)["mean_iu"] if there else None

    @cached_property
    def counts(self) -> Counts:
        """Pixels of every class in every image."""
        path = self._table(IMAGES)
        where = self._shown or str(path)
        cells: dict[tuple[str, str], tuple[int, int, int]] = {}
        for row in reading.read_csv(path, ImageClass, _AGAIN, where=where):
            if (row.image, row.name) in cells:
                raise UserError(
                    f"{where}: {row.image!r}, {row.name!r} came before: expected each once; "
                    f"{_AGAIN}"
                )
            cells[row.image, row.name] = (row.both, row.truth, row.prediction)
        if not cells:
            raise UserError(f"{where}: expected a row per image and class, got none; {_AGAIN}")
        images, classes = (tuple(dict.fromkeys(pair[at] for pair in cells)) for at in (0, 1))
        if len(images) * len(classes) > MOST:
            raise UserError(
                f"{where}: expected at most {MOST} pairs of image and class, got {len(images)} "
                f"images of {len(classes)} classes"
            )
        rows, columns = ({name: at for at, name in enumerate(names)} for names in (images, classes))
        tables = np.zeros((3, len(images), len(classes)), np.int64)
        for (image, name), pixels in cells.items():
            tables[:, rows[image], columns[name]] = pixels
        return Counts(images, classes, *tables)

    @cached_property
    def image_ius(self) -> dict[str, dict[str, float]]:
        """IU of every class by image, of the classes that its truth or its prediction has."""
        counts = self.counts
        either = counts.truth + counts.prediction - counts.both
        return {
            image: {
                counts.classes[j]: float(counts.both[i, j] / either[i, j])
                for j in np.flatnonzero(either[i])
            }
            for i, image in enumerate(counts.images)
        }

    @property
    def mean_ius(self) -> dict[str, float]:
        """Mean IU of each image, for ranking them: their mean is not the mean IU of the set."""
        return {image: float(np.mean([*by.values()])) for image, by in self.image_ius.items()}

    def _table(self, name: str) -> Path:
        assert self.folder is not None, "only scores were asked for"
        return self.folder / name

    def _known(self, values: np.ndarray) -> dict[str, float]:
        named = zip(self.classes, values.tolist(), strict=True)
        return {name: round(value, 6) for name, value in named if not np.isnan(value)}
