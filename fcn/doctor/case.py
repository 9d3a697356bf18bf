"""What is measured of files, pairs and folders, once, for the table of findings to look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from PIL import Image

from fcn.doctor import evidence, near
from fcn.doctor.contents import Content, count
from fcn.doctor.evidence import Labels
from fcn.doctor.layouts import ALONE, PUBLISHED, Found, Item, said
from fcn.doctor.rules import Meaning, judge
from fcn.doctor.turned import unclear
from fcn.errors import UserError
from fcn.pixels import Header, images, stored
from fcn.spec import VOID

MODES = {
    **dict.fromkeys(("indices", "ade20k"), ("P", "L", "1")),
    "sbd": ("GTcls",),
    "colours": ("RGB", "RGBA", "P", "L", "1"),
}
"""How `labels.read` takes labels of an encoding to be stored."""


@dataclass(frozen=True)
class Look:
    """What is in an item's files, as far as they can be read.

    Attributes:
        item: the files.
        header: of the image.
        thumbnail: of the image, see `fcn.doctor.near`; None: it cannot be read.
        content: of the label; None: it cannot be read.
        bad_image, bad_label: why it cannot be read; "" if it can, or is not there.
        doubt: why the label may be turned otherwise than the image; "" if there is none.
    """

    item: Item
    header: Header | None = None
    thumbnail: np.ndarray | None = None
    content: Content | None = None
    bad_image: str = ""
    bad_label: str = ""
    doubt: str = ""


@dataclass(frozen=True)
class Row:
    """How often a class occurs.

    Attributes:
        name: of the class; "" for a value or colour that is none.
        raw: how the labels say it: values or colours (#rrggbb), several if they are smeared.
        pixels: how many.
        files: in how many labels.
        most: the label that has most of it; "" if none has.
    """

    name: str
    raw: str
    pixels: int
    files: int
    most: str


@dataclass(frozen=True)
class Case:
    """All that is known of what is examined; what does not apply is empty.

    Attributes:
        looks: of each pair.
        folder: what was found there.
        classes: how many there are; None: unknown.
        names: of the classes, by label value; empty: unknown.
        table: colours 0xRRGGBB by class, if classes.txt has them.
        encoding: how labels should be stored, a key of `labels.ENCODINGS`; None: unknown.
        rows: classes by their index, then what is no class.
        void: pixels of void.
    """

    looks: Sequence[Look] = ()
    folder: Found = field(default_factory=Found)
    classes: int | None = None
    names: Sequence[str] = ()
    table: tuple[int, ...] = ()
    encoding: str | None = None
    rows: Sequence[Row] = ()
    void: int = 0

    @cached_property
    def contents(self) -> list[Content]:
        """Of the labels that can be read."""
        return [each.content for each in self.looks if each.content is not None]

    @cached_property
    def labels(self) -> Labels:
        """Those that have what is meant: colours, or values."""
        some = self.contents
        coloured = any(each.values is None for each in some) or evidence.palettes_mean(some)
        wanted = self.encoding == "colours" and any(each.colours is not None for each in some)
        form = "colours" if coloured or wanted else "values"
        those = [each for each in some if getattr(each, form) is not None]
        return Labels(those, form, self.classes, self.table, self.encoding)

    @cached_property
    def meaning(self) -> Meaning:
        """What the labels are."""
        return judge(self.labels)

    @property
    def photographs(self) -> bool:
        """They are no labels."""
        return self.meaning.kind == "photographs"

    @cached_property
    def smeared(self) -> frozenset[int]:
        """The `id` of each content that was smoothed."""
        return frozenset(map(id, [] if self.photographs else evidence.smeared(self.contents)))

    @property
    def modes(self) -> tuple[str, ...]:
        """How the labels should be stored."""
        return MODES["colours" if self.meaning.form == "colours" else self.encoding or "indices"]

    def odd(self, content: Content) -> bool:
        """Whether a label is stored otherwise.

        Args:
            content: of the label.
        """
        return content.mode not in (*self.modes, *(() if self.encoding else ("GTcls",)))

    def as_greys(self, content: Content) -> bool:
        """Whether three equal channels hold the values.

        Args:
            content: of the label.
        """
        return content.kind == "rgb" and self.meaning.form == "values"

    @property
    def set(self) -> tuple[Item, ...]:
        """What belongs to a data set: no labels alone."""
        return self.folder.items if self.folder.layout.images else ()

    @cached_property
    def palettes(self) -> evidence.Remark | None:
        """What is to be said of palettes where only the indices count."""
        indices = self.labels.form == "values"
        return evidence.palettes(self.contents, self.classes) if indices else None

    @cached_property
    def alike(self) -> list[tuple[str, str]]:
        """Ids of images that are nearly the same: of train and val, or without lists any."""
        ids = {each.item.id: each.thumbnail for each in self.looks if each.thumbnail is not None}
        if self.folder.layout.name in (*PUBLISHED, ALONE.name):
            return []
        if self.split:
            train, val = (self.by_list[name] for name in ("train", "val"))
            parts = [[(id, ids[id]) for id in sorted(part & set(ids))] for part in (train, val)]
            return list(near.pairs(*parts))
        every = list(ids.items())
        return [pair for pair in near.pairs(every, every) if pair[0] < pair[1]]

    @property
    def by_list(self) -> dict[str, frozenset[str]]:
        """The ids of each list, by its name."""
        return {path.stem: ids for path, ids in self.folder.lists.items()}

    @property
    def split(self) -> bool:
        """Lists say what is trained and what validated on."""
        return {"train", "val"} <= set(self.by_list)

    def void_lists(self) -> Iterator[tuple[str, str]]:
        """Lists without a labelled pixel, and words on each."""
        for path, ids in self.folder.lists.items():
            contents = [each.content for each in self.looks if each.item.id in ids and each.content]
            keys = [getattr(each, self.meaning.form) for each in contents]
            known = keys and self.meaning.classes and all(each is not None for each in keys)
            if known and all((self.meaning.assign(each) == VOID).all() for each in keys):
                yield str(path), f"every pixel of its {len(keys)} labels is void"


def look(item: Item) -> Look:
    """Reads both files of an item, or the one that is there."""
    seen = Look(item)
    picture = label = None
    if item.image is not None:
        try:
            seen = replace(seen, header=images.header(item.image, images.longest))
            picture = images.read(item.image)
            seen = replace(seen, thumbnail=near.thumbnail(Image.fromarray(picture)))
        except UserError as error:
            seen = replace(seen, bad_image=said(item.image, error))
    if item.label is not None:
        try:
            label = stored(item.label, item.draw)
            seen = replace(seen, content=count(item.label, label))
        except UserError as error:
            seen = replace(seen, bad_label=said(item.label, error))
    if seen.header and picture is not None and label is not None:
        seen = replace(seen, doubt=unclear(seen.header, picture, label.pixels))
    return seen
