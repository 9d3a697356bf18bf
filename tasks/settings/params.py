"""The parameters as frozen, typed dataclasses, checked by pydantic, with errors that name the key.

A parameter is declared here, or in `fcn.spec.recipe`, `fcn.spec.augment` and `fcn.spec.protocols`,
with all that is allowed for it; whoever adds one writes one line with its type and its bounds.
Bounds above are where memory or time would end otherwise.
"""

import dataclasses
import inspect
import json
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import annotated_types as at

from fcn.datasets import DATASETS
from fcn.errors import UserError
from fcn.spec import (
    BACKBONES,
    CHECKED,
    VARIANTS,
    Evaluate,
    ModelSpec,
    Seed,
    Source,
    Text,
    TrainSpec,
    allowed,
    one_of,
    that,
    type_at,
)

NAME = re.compile(r"\w[\w.-]*")
"""Of a profile or variant: it stands in command lines, paths and MLflow's names."""
FOLDER = re.compile(rf"{NAME.pattern}(/{NAME.pattern})*")
"""Of a model that a variant starts from: names with strokes between them, from the project's root.
"""
NAME_WORDS = "a name of letters, digits, `_`, `.` and `-` that begins with a letter, a digit or `_`"

Classes = Annotated[
    tuple[Text, ...],
    that(
        lambda names: len(names) != 1 and len(names) <= 255 and len(set(names)) == len(names),
        "2 to 255 different names, or none: []",
    ),
]


@dataclass(frozen=True)
class Download:
    """What the stage `download` fetches.

    Attributes:
        archives: by the key under which the data set knows it ("voc", "sbd", "ade20k", "folder"): a
            tar or zip of images and labels, or a folder (a `file:` URL).
        weights: the classifier's weights, in any of the formats of `fcn.weights`.
        cross_check: other files with the same weights, which the conversion compares with them; may
            be empty.
    """

    __pydantic_config__ = CHECKED

    archives: Annotated[dict[str, Source], that(len, "at least one archive")]
    weights: Source
    cross_check: tuple[Source, ...]


@dataclass(frozen=True)
class Records:
    """What the stage `records` writes.

    Attributes:
        dataset: a key of `datasets.catalog.DATASETS`: the layout, the splits and their official
            counts.
        roots: for each of `Download.archives`, the folder inside of it that holds the data set.
        classes: names by label value; none: those that the data set brings along.
        train: the split to train on.
        val: the split to validate on.
        on_bad: what a bad image or label does: "stop" the stage, or "skip" it, counted and named.
        shards: files per split.
        seed: of the order in which the training images are stored, and of splits that are drawn.
    """

    __pydantic_config__ = CHECKED

    dataset: Annotated[str, one_of(DATASETS)]
    roots: dict[str, Text]
    classes: Classes
    train: Text
    val: Text
    on_bad: Literal["stop", "skip"]
    shards: Annotated[int, at.Ge(1), at.Le(10_000)]
    seed: Seed


@dataclass(frozen=True)
class Model:
    """What all stages' nets have in common; `ModelSpec` says what each of it is."""

    __pydantic_config__ = CHECKED

    backbone: Annotated[str, one_of(BACKBONES)]
    width: Annotated[float, at.Gt(0), at.Le(4)]
    fc_units: Annotated[int, at.Ge(1), at.Le(16_384)]
    padding: Literal["caffe", "same"]
    upsampling: Literal["fixed", "learned"]
    dropout: Annotated[float, at.Ge(0), at.Lt(1)]
    mean_bgr: Annotated[
        tuple[Annotated[float, at.Ge(0), at.Le(255)], ...],
        that(lambda v: len(v) == 3, "three numbers: blue, green, red"),
    ]
    knows: Annotated[
        str, that(lambda v: v.isprintable() and len(v) <= 300, "one line of at most 300 letters")
    ] = ""


@dataclass(frozen=True)
class Profile:
    """A block of `profiles`, by stage; `train` has a recipe per variant.

    Attributes:
        chain: the `variants` to train, and what each starts from; none: those of the paper, one
            after the other.
    """

    __pydantic_config__ = CHECKED

    download: Download
    records: Records
    model: Model
    train: dict[Annotated[str, one_of(VARIANTS)], TrainSpec]
    evaluate: Evaluate
    chain: dict[str, str] = dataclasses.field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        """Raises UserError where blocks do not fit together."""
        if set(self.records.roots) != set(self.download.archives):
            archives, roots = (
                ", ".join(keys) for keys in (self.download.archives, self.records.roots)
            )
            raise UserError(
                "records.roots: expected one for each of download.archives "
                f"({archives}); got {roots or 'none'}"
            )


@dataclass(frozen=True)
class Settings(Profile):
    """All that is set: what params.yaml chooses, with what it changes, as it comes out.

    Attributes:
        profile: its name.
        variants: what is trained, in this order, and what each starts from: "models/vgg.npz"; the
            model of a variant before it, "models/fcn32s"; or another model of the same variant, a
            folder such as "fcn/pretrained/voc20".
    """

    profile: Annotated[str, that(NAME.fullmatch, NAME_WORDS)]
    variants: dict[str, str]

    def __post_init__(self) -> None:
        """Raises UserError for a variant without a recipe, or that begins
        with what it cannot have.
        """
        super().__post_init__()
        lines = self.chain or {
            variant: f"models/{VARIANTS[variant].parent or 'vgg.npz'}" for variant in self.train
        }
        possible = ", ".join(f"`{key}: {value}`" for key, value in lines.items())
        ready = {"models/vgg.npz"}
        for variant, parent in self.variants.items():
            # a folder from elsewhere: it is read when the training begins
            own = not parent.startswith("models/")
            if variant not in lines or (
                not own and (lines[variant] != parent or parent not in ready)
            ):
                raise UserError(
                    f"variants: `{variant}: {parent}` does not fit the profile {self.profile}, "
                    f"which can train, in this order, {possible}; each needs the one that it "
                    f"starts from. `--set profile={self.profile}` writes them"
                )
            ready.add(f"models/{variant}")
        if not self.variants:
            raise UserError(f"variants: expected at least one line of {possible}; got none")


def reference(kind: Any = Profile, above: str = "") -> Iterator[tuple[str, str, str, str]]:
    """All keys below a dataclass: the key, what it may be, its default, and what it is, from where
    it is declared.
    """
    doc = inspect.getdoc(ModelSpec if kind is Model else kind) or ""
    for field in dataclasses.fields(kind):
        of, extra = type_at(kind, (field.name,))
        key = f"{above}{field.name}"
        while typing.get_origin(of) in (dict, tuple) and dataclasses.is_dataclass(
            type_at(of, (0,))[0]
        ):
            key += ".<name>" if typing.get_origin(of) is dict else "[n]"
            of, extra = type_at(of, (0,))
        if dataclasses.is_dataclass(of):
            yield from reference(of, f"{key}.")
            continue
        if typing.get_origin(of) is dict:
            key += ".<name>"
            of, extra = type_at(of, (0,))
        said = re.search(rf"^    {field.name}: (.*(?:\n {{8}}.*)*)", doc, re.MULTILINE)
        given = field.default_factory() if callable(field.default_factory) else field.default
        shown = "" if given is dataclasses.MISSING else json.dumps(given)
        yield key, allowed(of, extra), shown, " ".join(said[1].split()) if said else ""
