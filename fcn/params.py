"""The parameters as frozen, typed dataclasses, built from plain data, with errors that name the key."""

import dataclasses
import math
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fcn.addresses import path_of, public, secret
from fcn.architecture import BACKBONES, VARIANTS
from fcn.datasets.contents import FOLDERS
from fcn.errors import UserError
from fcn.protocols import Evaluate
from fcn.recipe import PRECISIONS, SCHEDULES, TrainSpec

NAME = re.compile(r"\w[\w.-]*")
"""Of a profile or variant: it stands in command lines, paths and MLflow's names."""
NAME_WORDS = "a name of letters, digits, `_`, `.` and `-` that begins with a letter, a digit or `_`"


@dataclass(frozen=True)
class Source:
    """A file to be had.

    Attributes:
        urls: mirrors in order: http(s), or `file:` with a path from the project's root or an absolute one.
        checksums: "md5:...", "sha1:..." or "sha256:...": the file must have one of them. Empty: it is taken as it comes.
    """

    urls: tuple[str, ...]
    checksums: tuple[str, ...]

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
        archives: by the key under which the data set knows it ("voc", "sbd", "ade20k", "folder"): a tar or zip of images and
            labels, or a folder (a `file:` URL).
        weights: the classifier's weights, in any of the formats of `fcn.weights`.
        cross_check: other files with the same weights, which the conversion compares with them; may be empty.
    """

    archives: dict[str, Source]
    weights: Source
    cross_check: tuple[Source, ...]


@dataclass(frozen=True)
class Records:
    """What the stage `records` writes.

    Attributes:
        dataset: a key of `datasets.contents.FOLDERS`: the layout, the splits and their official counts.
        roots: for each of `Download.archives`, the folder inside of it that holds the data set.
        classes: names by label value; none: those that the data set brings along.
        train: the split to train on.
        val: the split to validate on.
        on_bad: what a bad image or label does: "stop" the stage, or "skip" it, counted and named.
        shards: files per split.
        seed: of the order in which the training images are stored, and of splits that are drawn.
    """

    dataset: str
    roots: dict[str, str]
    classes: tuple[str, ...]
    train: str
    val: str
    on_bad: str
    shards: int
    seed: int


@dataclass(frozen=True)
class Model:
    """What all stages' nets have in common; the fields are those of `architecture.ModelSpec`."""

    backbone: str
    width: float
    fc_units: int
    padding: str
    upsampling: str
    dropout: float
    mean_bgr: tuple[float, ...]
    knows: str = ""


@dataclass(frozen=True)
class Profile:
    """One block of params.yaml, by stage; `train` has a recipe per variant."""

    download: Download
    records: Records
    model: Model
    train: dict[str, TrainSpec]
    evaluate: Evaluate

    def __post_init__(self) -> None:
        """Raises UserError where blocks do not fit together."""
        if set(self.records.roots) != set(self.download.archives):
            archives, roots = (", ".join(keys) for keys in (self.download.archives, self.records.roots))
            raise UserError(f"records.roots: expected one for each of download.archives ({archives}); got {roots or 'none'}")


# What a value must satisfy beyond its type, by the name of its field: a test and its words.
_RANGES: dict[str, tuple[Any, str]] = {
    "urls": (lambda v: len(v) > 0, "at least one URL"),
    "archives": (lambda v: len(v) > 0, "at least one archive"),
    "classes": (lambda v: len(v) != 1 and len(v) <= 255 and len(set(v)) == len(v), "2 to 255 different names, or none: []"),
    "dataset": (lambda v: v in FOLDERS, f"one of {', '.join(FOLDERS)}"),
    "on_bad": (lambda v: v in ("stop", "skip"), "stop or skip"),
    "shards": (lambda v: v >= 1, "at least 1"),
    "backbone": (lambda v: v in BACKBONES, f"one of {', '.join(BACKBONES)}"),
    "padding": (lambda v: v in ("caffe", "same"), "caffe or same"),
    "upsampling": (lambda v: v in ("fixed", "learned"), "fixed or learned"),
    "width": (lambda v: v > 0, "above 0"),
    "fc_units": (lambda v: v >= 1, "at least 1"),
    "dropout": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "mean_bgr": (lambda v: len(v) == 3, "three numbers: blue, green, red"),
    "knows": (lambda v: v.isprintable() and len(v) <= 300, "one line of at most 300 letters"),
    "train": (lambda v: not isinstance(v, dict) or set(v) <= set(VARIANTS), f"recipes for {', '.join(VARIANTS)}"),
    "optimizer": (lambda v: v in ("sgd", "adam", "adamw"), "sgd, adam or adamw"),
    "rates": (lambda v: all(rate >= 0 for rate in v.values()), "factors of at least 0"),
    "warmup": (lambda v: v >= 0, "at least 0"),
    "clip_norm": (lambda v: v >= 0, "at least 0"),
    "validate_images": (lambda v: v >= 0, "at least 0"),
    "loss": (lambda v: v in ("sum", "mean"), "sum or mean"),
    "schedule": (lambda v: v in SCHEDULES, f"one of {', '.join(SCHEDULES)}"),
    "batch": (lambda v: v >= 1, "at least 1"),
    "accumulate": (lambda v: v >= 1, "at least 1"),
    "precision": (lambda v: v in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
    "learning_rate": (lambda v: v > 0, "above 0"),
    "momentum": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "weight_decay": (lambda v: v >= 0, "at least 0"),
    "bias_rate": (lambda v: v >= 0, "at least 0"),
    "iterations": (lambda v: v >= 1, "at least 1"),
    "log_every": (lambda v: v >= 1, "at least 1"),
    "validate_every": (lambda v: v >= 1, "at least 1"),
    "overlays": (lambda v: v >= 1, "at least 1"),
    "seed": (lambda v: 0 <= v < 2**31, "0 to 2147483647"),
}

OPTIONAL = ("rates", "warmup", "clip_norm", "new_layers", "validate_images", "knows")
"""Keys that most recipes, or nets, do without."""

_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def select(data: Any, where: str = "params.yaml") -> tuple[str, Profile, tuple[str, ...]]:
    """Picks the profile that `data["profile"]` names and checks it.

    Args:
        data: what the YAML file holds: `profile`, `variants` and `profiles`.
        where: name of the file, for messages.

    Returns:
        The profile's name, its parameters, and the variants to train, in order.

    Raises:
        UserError: the profile does not exist, a variant has no recipe in it or starts from the wrong weights, or a key is
            unknown, missing, of the wrong type or out of range; the message names the key with its full path, what is
            expected and what came.
    """
    if not isinstance(data, Mapping) or not {"profile", "variants", "profiles"} <= set(data):
        raise UserError(f"{where}: expected the keys `profile`, `variants` and `profiles`")
    if not isinstance(data["profiles"], Mapping):
        raise UserError(f"{where}: profiles: expected keys with values, got {data['profiles']!r}")
    name, profiles = data["profile"], data["profiles"]
    if not isinstance(name, str) or name not in profiles:
        raise UserError(f"{where}: profile: expected one of {', '.join(map(str, profiles))}; got {name!r}")
    if not NAME.fullmatch(name):
        raise UserError(f"{where}: profile: expected {NAME_WORDS}; got {name!r}")
    profile: Profile = parse(Profile, profiles[name], f"{where}: profiles.{name}")
    variants = parse(dict[str, str], data["variants"], f"{where}: variants")
    _check_variants(variants, name, profile, where)
    return name, profile, tuple(variants)


def _check_variants(variants: Mapping[str, str], name: str, profile: Profile, where: str) -> None:
    """Each variant that is trained has a recipe and starts from its parent, which is trained before it."""
    lines = {variant: VARIANTS[variant].parent or "vgg.npz" for variant in profile.train}
    ready = {"vgg.npz"}
    for variant, parent in variants.items():
        if lines.get(variant) != parent or parent not in ready:
            raise UserError(
                f"{where}: variants: `{variant}: {parent}` does not fit the profile {name}, which can train, in this order:",
                *(f"  {key}: {value}" for key, value in lines.items()),
                "A variant needs the one that it starts from. Write the lines that you want below `variants:`.",
            )
        ready.add(variant)
    if not variants:
        raise UserError(f"{where}: variants: expected at least one line such as `fcn32s: vgg.npz`")


def parse(kind: Any, value: Any, path: str) -> Any:
    """Turns plain data into `kind`: a dataclass, `tuple[X, ...]`, `dict[str, X]`, int, float, str or bool.

    Args:
        kind: the type wanted.
        value: mappings, lists and scalars, as YAML gives them.
        path: where the value stands, for messages.

    Returns:
        An instance of `kind`.

    Raises:
        UserError: see `select`.
    """
    if dataclasses.is_dataclass(kind):
        return _parse_fields(kind, value, path)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise UserError(f"{path}: expected a list, got {public(repr(value))}")
        return tuple(parse(arguments[0], item, f"{path}[{n}]") for n, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise UserError(f"{path}: expected keys with values, got {value!r}")
        return {str(key): parse(arguments[1], item, f"{path}.{key}") for key, item in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UserError(f"{path}: expected {_WORDS[kind]}, got {public(repr(value))}{_hint(kind, value)}")
    if kind is float and not math.isfinite(value):
        raise UserError(f"{path}: expected a finite number, got {value!r}")
    return value


def _parse_fields(kind: Any, value: Any, path: str) -> Any:
    if not isinstance(value, Mapping):
        raise UserError(f"{path}: expected keys with values, got {value!r}")
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    optional = {f.name for f in dataclasses.fields(kind) if f.name in OPTIONAL}
    unknown, missing = [k for k in value if k not in names], [n for n in names if n not in {*value, *optional}]
    if unknown:
        raise UserError(f"{path}: unknown key {unknown[0]!r}; the keys here are {', '.join(names)}")
    if missing:
        raise UserError(f"{path}.{missing[0]}: missing")
    values = {}
    for name in names:
        if name not in value:
            continue
        values[name] = parse(hints[name], value[name], f"{path}.{name}")
        fits, words = _RANGES.get(name, (lambda _: True, ""))
        if not fits(values[name]):
            came = ", ".join(value[name]) if isinstance(value[name], Mapping) else repr(value[name])
            raise UserError(f"{path}.{name}: expected {words}; got {came}")
    try:
        return kind(**values)
    except UserError as error:
        raise UserError(f"{path}.{error}") from None


def _hint(kind: Any, value: Any) -> str:
    if kind is float and isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return ""
        mantissa, _, exponent = f"{float(value):.9e}".partition("e")
        mantissa = mantissa.rstrip("0") + "0" * mantissa.rstrip("0").endswith(".")
        return f" as a text: YAML takes a number with an exponent only with a point and a sign: write {mantissa}e{exponent}"
    return ""
