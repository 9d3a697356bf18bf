"""What a training and an evaluation leave beside the weights, as it is read back: scores, and rows
of tables.

`fcn.train.fit`, `fcn.evaluate.score` and `fcn.records.look` write these files; columns have the
order of the fields here.
"""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from fcn import reading

Share = Annotated[float, Field(ge=0, le=1)]
Step = Annotated[int, Field(ge=0, le=2**53)]
Pixels = Annotated[int, Field(ge=0, le=2**36)]
"""Of a class in an image; as many of as many images as a table can have still add up in int64."""
_AGAIN = "run the stage that makes it again"


class Loss(reading.Model):
    """A row of `history.csv`."""

    model_config = ConfigDict(allow_inf_nan=True)  # a lost training is drawn as far as it goes

    step: Step
    loss: float


class Validation(reading.Model):
    """A row of `validation.csv`."""

    model_config = ConfigDict(allow_inf_nan=True)

    step: Step
    pixel_accuracy: float
    mean_accuracy: float
    mean_iu: float
    frequency_weighted_iu: float


class ClassIU(reading.Model):
    """A row of `class_iu.csv`; a class that no truth has has no accuracy."""

    name: reading.Name = Field(alias="class")
    iu: Share
    accuracy: Share | None = None


class Confusion(reading.Model):
    """A row of `confusion.csv`."""

    truth: reading.Name
    prediction: reading.Name
    pixels: Step
    share: Share


class Boundary(reading.Model):
    """A row of `boundary.csv`."""

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


class ClassShare(reading.Model):
    """A row of the data's `classes.csv`."""

    name: reading.Name = Field(alias="class")
    split: reading.Name
    images: Step
    pixels: Step
    share: Share


class Size(reading.Model):
    """A row of the data's `sizes.csv`."""

    split: reading.Name
    width: Annotated[int, Field(ge=1, le=2**16)]
    height: Annotated[int, Field(ge=1, le=2**16)]
    images: Annotated[int, Field(ge=1, le=2**36)]


class _Scores(reading.Model):
    pixel_accuracy: Share
    mean_accuracy: Share
    mean_iu: Share
    frequency_weighted_iu: Share


class Metrics(_Scores):
    """What `metrics/<variant>.json` holds, see `fcn.evaluate.score.run`."""

    boundary_iu: Share | None = None
    upper_bound: Share | None = None
    protocols: dict[reading.Name, _Scores] = Field(default_factory=dict)
    provenance: dict[reading.Name, Annotated[str, Field(max_length=200)] | int]


def metrics(path: Path) -> dict[str, Any]:
    """What a metrics file holds; a key that is not in the file is not there.

    Raises:
        UserError: no such file, or no scores in it.
    """
    return reading.read_json(path, Metrics, "run the stage `evaluate` again").model_dump(
        exclude_unset=True
    )


def table(path: Path, kind: type[reading.Row]) -> list[reading.Row]:
    """The rows of one of these tables.

    Raises:
        UserError: no such file, other columns, or a row that is none.
    """
    return reading.read_csv(path, kind, _AGAIN)
