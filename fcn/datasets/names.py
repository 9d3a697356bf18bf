"""What names of files, folders and classes say: which split, image or label, background or void."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath

import numpy as np

from fcn.errors import UserError, enumeration
from fcn.io import PICTURES
from fcn.spec import VOID

_VOID = re.compile(
    r"(?i)_*(un-?labell?ed|void|ignored?|ignore[ _-](label|region)|don'?t[ _-]?care)_*"
)
_BACKGROUND = re.compile(r"(?i)_*(background|bg)_*")
_SPLIT = re.compile(r"(?i)(train|val|test)(?:ing|id|idation)?\d*(?:annot)?")
_TOKENS = re.compile(r"[^\W_]+")
_LABEL_FOLDER = re.compile(
    r"(?i)masks?|label(s|l?ed\w*)?|annotations?|\w*annot|segmentation\w*|groundtruth|gt(fine)?"
)
_LABEL_NAMES = {"mask", "masks", "label", "labels", "seg", "segmentation", "gt", "annotation"}
_ROLES = _LABEL_NAMES | {"image", "img", "photo", "rgb", "leftimg8bit", "gtfine", "labelids"}
_COPY = re.compile(r"(.+)_(?:jpe?g|png|bmp|webp|tiff?)\.rf\.[0-9A-Za-z]{8,}", re.IGNORECASE)
_GLUED = re.compile(r"(?i)^(image|img|photo|mask|label)(?=\d)")


def origin(name: str) -> str:
    """The name of the image that Roboflow made a copy of (`cat_jpg.rf.<digits>`); else the name
    itself.
    """
    found = _COPY.fullmatch(name)
    return found[1] if found else name


def is_void(name: str) -> bool:
    """Whether a class is called like pixels that count for nothing."""
    return _VOID.fullmatch(name) is not None


def split_of(path: PurePath) -> str:
    """The split, "train", "val" or "test", that the folders of a relative path name; "" if none."""
    for part in path.parts[:-1]:
        for token in _TOKENS.findall(part):
            if found := _SPLIT.fullmatch(token):
                return found[1].lower()
    return ""


def split_named(name: str) -> str:
    """The split that a name such as "Validation" or "train2017" stands for; "" if none."""
    return split_of(PurePath(name, "x"))


def is_label(path: PurePath, roles: frozenset[str]) -> bool:
    """Whether a relative path is called like a label: `masks/x.png`, `x_mask.png`, `mask_1.png`.

    Args:
        path: of a picture, below the folder of the data set.
        roles: words in small letters that mark a label besides the usual ones.
    """
    for part in path.parts[:-1]:
        for token in _TOKENS.findall(part):
            if _LABEL_FOLDER.fullmatch(token):
                return True
    tokens = [_GLUED.sub(r"\1 ", token).split()[0].lower() for token in _TOKENS.findall(path.stem)]
    return bool({*tokens[:1], *tokens[-1:]} & (_LABEL_NAMES | roles))


def bare(name: str, roles: frozenset[str] = frozenset()) -> str:
    """What is left of a file's name without ending, form of accents, and words for its role.

    Example:
        >>> bare("mask_001"), bare("x_leftImg8bit"), bare("a.jpg")
        ('001', 'x', 'a')
    """
    name = unicodedata.normalize("NFC", name)
    if name.lower().endswith(PICTURES):
        name = name[: name.rfind(".")]
    tokens = [_GLUED.sub("", token) for token in _TOKENS.findall(name)]
    return "_".join(token for token in tokens if token.lower() not in _ROLES | roles) or name


def matched(
    images: Iterable[str], labels: Iterable[str], roles: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Which label belongs to which image: the one of the same name, else the one of the same
    `bare`.

    Returns:
        Labels by image. A name that could belong to several is left out.
    """
    images, labels = list(images), list(labels)
    found = {name: name for name in set(images) & set(labels)}
    there: dict[str, list[str]] = {}
    for label in labels:
        if label not in found:
            there.setdefault(bare(label, roles), []).append(label)
    left = [name for name in images if name not in found]
    times = Counter(bare(name, roles) for name in left)
    for name in left:
        candidates = there.get(bare(name, roles), [])
        if len(candidates) == 1 and times[bare(name, roles)] == 1:
            found[name] = candidates[0]
    return found


def numbered(
    names: Sequence[str], where: object, ground: bool = False
) -> tuple[tuple[str, ...], np.ndarray]:
    """The classes that names of an annotation tool make, the background first, and their values.

    Args:
        names: as the tool has them.
        where: what they stand in, for messages.
        ground: pixels without a label are background, which is a class even if the tool has none.

    Returns:
        Classes by label value; and uint8, the value of each of the names: 255 if it means void.

    Raises:
        UserError: a name twice, none at all, or more than 254.
    """
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise UserError(f"{where}: the same name for more than one class: {enumeration(twice)}")
    behind = [name for name in names if _BACKGROUND.fullmatch(name)][:1]
    first = ["background"] if behind or ground else []
    others = [name for name in names if name not in behind and not is_void(name)]
    classes = [*first, *others]
    if not 2 <= len(classes) < VOID:
        raise UserError(f"{where}: expected 2 to {VOID - 1} classes, got {len(classes)}")
    index = {name: value for value, name in enumerate(classes)} | dict.fromkeys(behind, 0)
    return tuple(classes), np.array([index.get(name, VOID) for name in names], np.uint8)
