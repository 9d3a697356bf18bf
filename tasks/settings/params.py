"""The parameters as frozen, typed dataclasses, checked by pydantic, with errors that name the key.

A parameter is declared here, or in `fcn.spec.recipe`, `fcn.spec.augment` and `fcn.spec.protocols`, with all that
is allowed for it; whoever adds one writes one line with its type and its bounds. Bounds above are
where memory or time would end otherwise.
"""

import dataclasses
import difflib
import functools
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import annotated_types as at
from pydantic import AfterValidator, TypeAdapter, ValidationError

from fcn.datasets import FOLDERS
from fcn.errors import UserError
from fcn.io import path_of, public, secret
from fcn.reading import quoted
from fcn.spec import BACKBONES, CHECKED, VARIANTS, Evaluate, Seed, TrainSpec

NAME = re.compile(r"\w[\w.-]*")
"""Of a profile or variant: it stands in command lines, paths and MLflow's names."""
FOLDER = re.compile(rf"{NAME.pattern}(/{NAME.pattern})*")
"""Of a model that a variant starts from: names with strokes between them, from the project's root."""
NAME_WORDS = "a name of letters, digits, `_`, `.` and `-` that begins with a letter, a digit or `_`"

Place = tuple[str | int, ...]
"""Where a value stands: keys and, in lists, numbers."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like `name`, for a message: "did you mean `sample`?"."""
    found = difflib.get_close_matches(name, [*known], n=1, cutoff=0.0)
    return f"did you mean `{found[0]}`?" if found else ""


@dataclass(frozen=True)
class _That:
    """A condition, and in words what is expected."""

    test: Callable[[Any], Any]
    words: str

    def __call__(self, value: Any) -> Any:
        if not self.test(value):
            raise ValueError(self.words)
        return value


def _that(test: Callable[[Any], Any], words: str) -> AfterValidator:
    return AfterValidator(_That(test, words))


def _one_of(known: Iterable[str]) -> AfterValidator:
    names = tuple(known)
    return _that(names.__contains__, f"one of {', '.join(names)}")


Url = Annotated[str, at.MaxLen(4096)]
Urls = Annotated[tuple[Url, ...], _that(lambda urls: 0 < len(urls) <= 100, "at least one URL, and at most 100")]
Text = Annotated[str, at.MaxLen(1000)]
Classes = Annotated[
    tuple[Text, ...],
    _that(
        lambda names: len(names) != 1 and len(names) <= 255 and len(set(names)) == len(names),
        "2 to 255 different names, or none: []",
    ),
]


@dataclass(frozen=True)
class Source:
    """A file to be had.

    Attributes:
        urls: mirrors in order: http(s), or `file:` with a path from the project's root or an
            absolute one.
        checksums: "md5:...", "sha1:..." or "sha256:...": the file must have one of them. Empty: it
            is taken as it comes.
    """

    __pydantic_config__ = CHECKED

    urls: Urls
    checksums: tuple[Text, ...]

    def __post_init__(self) -> None:
        """Raises UserError for a URL with a password or a token: it would stand in git, dvc.lock and every log."""
        for n, url in enumerate(self.urls):
            if what := secret(url):
                raise UserError(
                    f"urls[{n}]: {public(url)} holds {what}, which would be written to git and dvc.lock. Put user and password "
                    "into ~/.netrc (or the file that NETRC names), or fetch the file yourself and name it by --from-local"
                )
            if not url.startswith("file:") and self._name_of(url) in ("", ".", ".."):
                raise UserError(f"urls[{n}]: expected a URL that ends in the name of a file, got {public(url)!r}")

    @staticmethod
    def _name_of(url: str) -> str:
        return path_of(url).rsplit("/", 1)[-1]

    @property
    def name(self) -> str:
        """The file's name, which is that of its first URL."""
        return self._name_of(self.urls[0])


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

    archives: Annotated[dict[str, Source], _that(len, "at least one archive")]
    weights: Source
    cross_check: tuple[Source, ...]


@dataclass(frozen=True)
class Records:
    """What the stage `records` writes.

    Attributes:
        dataset: a key of `datasets.contents.FOLDERS`: the layout, the splits and their official
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

    dataset: Annotated[str, _one_of(FOLDERS)]
    roots: dict[str, Text]
    classes: Classes
    train: Text
    val: Text
    on_bad: Literal["stop", "skip"]
    shards: Annotated[int, at.Ge(1), at.Le(10_000)]
    seed: Seed


@dataclass(frozen=True)
class Model:
    """What all stages' nets have in common; the fields are those of `architecture.ModelSpec`.

    Attributes:
        backbone: the classifier that the net is made of.
        width: factor on the filters of the convolutions; 1 is the published net.
        fc_units: filters of the dense layers; 4096 in VGG, 500 in LeNet.
        padding: "caffe", the authors' border around the image and no padding after it; or "same", which pads every layer by
            just what it needs, at less than half the work (VGG alone).
        upsampling: "fixed" bilinear (PAMI) or "learned": the inner deconvolutions are trained, the last stays fixed (CVPR).
        dropout: share of fc6's and fc7's values dropped in training, 0.5 in the paper; 0 for LeNet, which has none.
        mean_bgr: subtracted from the image, in units of 0..255; zeros for LeNet, which takes grey without a mean.
        knows: a sentence for whoever uses the net: what it was trained on, and what it cannot do. predict and the page show it.
    """

    __pydantic_config__ = CHECKED

    backbone: Annotated[str, _one_of(BACKBONES)]
    width: Annotated[float, at.Gt(0), at.Le(4)]
    fc_units: Annotated[int, at.Ge(1), at.Le(16_384)]
    padding: Literal["caffe", "same"]
    upsampling: Literal["fixed", "learned"]
    dropout: Annotated[float, at.Ge(0), at.Lt(1)]
    mean_bgr: Annotated[
        tuple[Annotated[float, at.Ge(0), at.Le(255)], ...], _that(lambda v: len(v) == 3, "three numbers: blue, green, red")
    ]
    knows: Annotated[str, _that(lambda v: v.isprintable() and len(v) <= 300, "one line of at most 300 letters")] = ""


@dataclass(frozen=True)
class Profile:
    """A block of `profiles`, by stage; `train` has a recipe per variant.

    Attributes:
        chain: the `variants` to train, and what each starts from; none: those of the paper, one after the other.
    """

    __pydantic_config__ = CHECKED

    download: Download
    records: Records
    model: Model
    train: dict[Annotated[str, _one_of(VARIANTS)], TrainSpec]
    evaluate: Evaluate
    chain: dict[str, str] = dataclasses.field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        """Raises UserError where blocks do not fit together."""
        if set(self.records.roots) != set(self.download.archives):
            archives, roots = (", ".join(keys) for keys in (self.download.archives, self.records.roots))
            raise UserError(f"records.roots: expected one for each of download.archives ({archives}); got {roots or 'none'}")


@dataclass(frozen=True)
class Settings(Profile):
    """All that is set: what params.yaml chooses, with what it changes, as it comes out.

    Attributes:
        profile: its name.
        variants: what is trained, in this order, and what each starts from: "models/vgg.npz"; the model of a variant before
            it, "models/fcn32s"; or another model of the same variant, a folder such as "fcn/pretrained/voc20".
    """

    profile: Annotated[str, _that(NAME.fullmatch, NAME_WORDS)]
    variants: dict[str, str]

    def __post_init__(self) -> None:
        """Raises UserError for a variant without a recipe, or that begins with what it cannot have."""
        super().__post_init__()
        lines = self.chain or {variant: f"models/{VARIANTS[variant].parent or 'vgg.npz'}" for variant in self.train}
        possible = ", ".join(f"`{key}: {value}`" for key, value in lines.items())
        ready = {"models/vgg.npz"}
        for variant, parent in self.variants.items():
            own = not parent.startswith("models/")  # a folder from elsewhere: it is read when the training begins
            if variant not in lines or (not own and (lines[variant] != parent or parent not in ready)):
                raise UserError(
                    f"variants: `{variant}: {parent}` does not fit the profile {self.profile}, which can "
                    f"train, in this order, {possible}; each needs the one that it starts from. "
                    f"`--set profile={self.profile}` writes them"
                )
            ready.add(f"models/{variant}")
        if not self.variants:
            raise UserError(f"variants: expected at least one line of {possible}; got none")


def reference(kind: Any = Profile, above: str = "") -> Iterator[tuple[str, str, str, str]]:
    """All keys below a dataclass: the key, what it may be, its default, and what it is, from where it is declared."""
    doc = inspect.getdoc(kind) or ""
    for field in dataclasses.fields(kind):
        of, extra = _at(kind, (field.name,))
        key = f"{above}{field.name}"
        while typing.get_origin(of) in (dict, tuple) and dataclasses.is_dataclass(_at(of, (0,))[0]):
            key += ".<name>" if typing.get_origin(of) is dict else "[n]"
            of, extra = _at(of, (0,))
        if dataclasses.is_dataclass(of):
            yield from reference(of, f"{key}.")
            continue
        if typing.get_origin(of) is dict:
            key += ".<name>"
            of, extra = _at(of, (0,))
        said = re.search(rf"^    {field.name}: (.*(?:\n {{8}}.*)*)", doc, re.MULTILINE)
        given = field.default_factory() if callable(field.default_factory) else field.default
        shown = "" if given is dataclasses.MISSING else json.dumps(given)
        yield key, allowed(of, extra), shown, " ".join(said[1].split()) if said else ""


def parse(kind: Any, value: Any, path: str) -> Any:
    """Turns plain data into `kind`: a dataclass, `tuple[X, ...]`, `dict[str, X]`, int, float, str
    or bool.

    Args:
        kind: the type wanted.
        value: mappings, lists and scalars, as YAML gives them.
        path: where the value stands, for messages.

    Returns:
        An instance of `kind`.

    Raises:
        UserError: a key is unknown, missing, of the wrong type or out of range. The message has a
            line for each of them, which names the key with its full path, what is expected and what
            came.
    """
    found, faults = checked(kind, value)
    if faults:
        raise UserError(*(f"{path}{dotted(place)}: {words}" for place, words in faults))
    return found


def checked(kind: Any, value: Any) -> tuple[Any, list[tuple[Place, str]]]:
    """The same without raising: an instance of `kind` or None, and all faults, each with its place."""
    try:
        # Of JSON, pydantic takes lists for tuples and mappings for dataclasses, and no text for a number.
        return _adapter(kind).validate_json(json.dumps(value)), []
    except ValidationError as error:
        faults = [fault for each in error.errors(include_url=False) for fault in _faults(kind, each)]
        return None, [*dict.fromkeys(faults)]


def dotted(place: Place) -> str:
    """A place as the end of a path: `.train.fcn32s`, `.urls[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _faults(kind: Any, error: Any) -> Iterator[tuple[Place, str]]:
    """What pydantic found, as one fault, or as many as the fields' own checks name."""
    place = tuple(part for part in error["loc"] if part != "[key]")
    if error["type"] == "missing":
        yield place, "missing"
    elif error["type"] == "unexpected_keyword_argument":
        keys = [field.name for field in dataclasses.fields(_at(kind, place[:-1])[0])]
        yield place, f"unknown key, {nearest(str(place[-1]), keys)} The keys here are {', '.join(keys)}"
    elif isinstance(raised := error.get("ctx", {}).get("error"), UserError):
        for line in str(raised).splitlines():
            key, _, words = line.partition(": ")
            below = [int(part) if part.isdecimal() else part for part in re.findall(r"[^.\[\]]+", key)]
            yield (*place, *below), words
    else:
        of, extra = _at(kind, place)
        expected = str(raised) if raised else allowed(of, () if error["type"] == "tuple_type" else extra)
        yield place, f"expected {expected}; got {came(error['input'])}"


def _at(kind: Any, place: Iterable[str | int]) -> tuple[Any, tuple[Any, ...]]:
    """The type of what stands at a place of `kind`, and what is said of it besides."""
    extra: tuple[Any, ...] = ()
    for part in (None, *place):
        if part is not None:
            if dataclasses.is_dataclass(kind):
                kind = typing.get_type_hints(kind, include_extras=True)[str(part)]
            else:  # dict[str, X] or tuple[X, ...]
                kind = typing.get_args(kind)[1 if typing.get_origin(kind) is dict else 0]
        extra = ()
        if typing.get_origin(kind) is Annotated:
            kind, *extra_list = typing.get_args(kind)
            extra = tuple(extra_list)
    return kind, extra


_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
_BOUNDS = {at.Gt: "above {0.gt}", at.Ge: "at least {0.ge}", at.Lt: "below {0.lt}", at.Le: "at most {0.le}"}
_BOUNDS[at.MaxLen] = "{0.max_length} characters at most"


def allowed(kind: Any, extra: Iterable[Any] = ()) -> str:
    """What a value of this type may be, in words: "a number, above 0 and at most 4"."""
    for each in extra:
        if isinstance(each, AfterValidator) and isinstance(each.func, _That):
            return each.func.words
    if typing.get_origin(kind) is Literal:
        *names, last = map(str, typing.get_args(kind))
        return f"{', '.join(names)} or {last}"
    if dataclasses.is_dataclass(kind) or typing.get_origin(kind) is dict:
        return "keys with values"
    if typing.get_origin(kind) is tuple:
        return "a list"
    bounds = [_BOUNDS[type(each)].format(each) for each in extra if type(each) in _BOUNDS]
    return ", ".join([_WORDS[kind], *filter(None, [" and ".join(bounds)])])


def came(value: Any) -> str:
    """A value for a message: short, without secrets and control characters."""
    return public(quoted(value))
