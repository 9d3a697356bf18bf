"""Images and labels in two folders that belong together by their names; splits of them: lists, or
shares drawn by a seed.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from fcn.datasets.names import matched, origin
from fcn.datasets.pairs import DatasetSpec, Pair, read_ids
from fcn.errors import CONTROL, UserError, enumeration
from fcn.io import PICTURES, walk

IMAGES = PICTURES
_SHARE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")


def shown(path: Path) -> str:
    """A path for messages, whose bytes that are no UTF-8 are escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def nameable(path: Path) -> bool:
    """Whether the name is UTF-8: others stand in no list and in no record."""
    return shown(path) == str(path)


def refuse_unnameable(folder: Path, paths: Iterable[Path]) -> None:
    """Raises UserError for names that are no UTF-8; ten are named."""
    odd = sorted(shown(path) for path in paths if not nameable(path))
    if odd:
        raise UserError(
            f"{folder}: names that are no UTF-8: {enumeration(odd)}. Rename them "
            "(convmv -f latin1 -t utf8)"
        )


def by_stem(folder: Path, suffixes: Collection[str]) -> dict[str, Path]:
    """The files of a folder and of those below it, by their name without suffix, in the order of
    the names.

    Args:
        folder: where to look; what begins with a dot is left out, as file managers leave such files
            behind.
        suffixes: in small letters, with the dot; the files' may be in large ones.

    Raises:
        UserError: no such folder, no such files in it, names that are no UTF-8, or two that differ
            by their suffix or folder only.
    """
    if not folder.is_dir():
        there = (
            sorted(path.name for path in folder.parent.glob("*")) if folder.parent.is_dir() else []
        )
        raise UserError(
            f"{folder}: no such folder; {folder.parent} holds {enumeration(there) or 'nothing'}"
        )
    files = list(walk(folder))
    refuse_unnameable(folder, (path for path in files if path.suffix.lower() in suffixes))
    found: dict[str, Path] = {}
    twice = set()
    for path in sorted(path for path in files if path.suffix.lower() in suffixes):
        if path.stem in found:
            twice |= {str(found[path.stem].relative_to(folder)), str(path.relative_to(folder))}
        found[path.stem] = path
    if twice:
        raise UserError(
            f"{folder}: the same name more than once: {enumeration(sorted(twice))}. "
            "Which label is for which?"
        )
    if not found:
        others = sorted({path.suffix or path.name for path in files})
        raise UserError(
            f"{folder}: expected files of the kinds {', '.join(suffixes)}, found "
            f"{', '.join(others) or 'no files at all'}"
        )
    return dict(sorted(found.items()))


def aligned(images: Mapping[str, Path], labels: Mapping[str, Path]) -> dict[str, Path]:
    """Labels under the names of their images, where these differ by words such as `_mask`; see
    `names.matched`.
    """
    found = {labels[label]: image for image, label in matched(images, labels).items()}
    return {found.get(path, name): path for name, path in labels.items()}


def pairs(
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    names: Sequence[str],
    encoding: str,
    where: str,
) -> list[Pair]:
    """The pairs of some names.

    Args:
        images: by name, see `by_stem`.
        labels: by name.
        names: of the images wanted.
        encoding: of the labels.
        where: what lists the names, for messages.

    Raises:
        UserError: names without an image or without a label, or with control characters; ten are
            named.
    """
    odd = [repr(name) for name in names if CONTROL.search(name)]
    if odd:
        raise UserError(
            f"{where}: expected names without control characters, got "
            f"{enumeration(odd)}: rename these files"
        )
    for files, kind in ((images, "image"), (labels, "label")):
        lacking = [name for name in names if name not in files]
        if lacking:
            folder = next(iter(files.values())).parent
            raise UserError(
                f"{where}: {len(lacking)} names have no {kind} in {folder}: {enumeration(lacking)}"
            )
    return [Pair(name, images[name], labels[name], encoding) for name in names]


def splits(
    root: Path,
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    encoding: str,
    asked: DatasetSpec,
) -> dict[str, list[Pair]]:
    """Training and validation set: two lists, or two shares.

    Args:
        root: folder that has the lists, `<name>.txt` with one name of an image (without suffix) per
            line.
        images: by name, see `by_stem`.
        labels: by name.
        encoding: of the labels.
        asked: of which both splits are names of lists, or both are shares such as "80%"; the
            training share is taken from the front of the order, the validation share from its back.

    Raises:
        UserError: see `pairs` and `draw`; no such list; or for shares, a label without an image.
    """
    shares = [share(text) for text in asked.splits.values()]
    if None in shares:
        if shares != [None, None]:
            raise UserError(
                f"records.train: {asked.train}, records.val: {asked.val}: expected two lists or "
                "two shares such as 80% and 20%, since a share is drawn from all images, those of "
                "the list among them"
            )
        return {
            purpose: pairs(
                images, labels, read_list(root, name), encoding, str(root / f"{name}.txt")
            )
            for purpose, name in asked.splits.items()
        }
    lonely = sorted(set(labels) - set(images))
    if lonely:
        raise UserError(f"{root}: {len(lonely)} labels have no image: {enumeration(lonely)}")
    drawn = draw(list(images), asked.train, asked.val, asked.seed)
    return {
        purpose: pairs(images, labels, names, encoding, str(root))
        for purpose, names in drawn.items()
    }


def read_list(root: Path, name: str) -> list[str]:
    """The names of the list `<name>.txt`.

    Raises:
        UserError: there is none; or see `read_ids`.
    """
    path = root / f"{name}.txt"
    if not path.is_file():
        raise UserError(
            f"{path}: no such list. Put it there with the name of an image per line, without "
            "suffix, before the download (it takes train.txt and val.txt along); or give shares "
            "such as 80% and 20%"
        )
    return read_ids(path)


def share(text: str) -> Fraction | None:
    """The share that "80%" or "12.5 %" is of a whole, exactly; None for anything else, which is the
    name of a list.
    """
    found = _SHARE.fullmatch(text)
    return Fraction(found[1]) / 100 if found else None


def draw(names: Sequence[str], train: str, val: str, seed: int) -> dict[str, list[str]]:
    """Two sets that share nothing, drawn by a seed.

    The order is that of the hashes of seed and name, so it depends on neither library nor machine,
    and a new image changes the place of no other one. What a tool has made of one image, by its
    name, is not divided.

    Args:
        names: of all images.
        train: share such as "80%", taken from the front of the order.
        val: share, taken from its back.
        seed: of the order.

    Raises:
        UserError: more than the whole, or a share without an image.
    """
    first, last = share(train) or Fraction(0), share(val) or Fraction(0)
    words = f"records.train: {train}, records.val: {val}"
    if first + last > 1:
        raise UserError(f"{words}: together more than 100 %")

    def place(name: str) -> tuple[bytes, str]:
        return hashlib.sha256(f"{seed}:{origin(name)}".encode()).digest(), name

    order = sorted(names, key=place)
    end, start = (int(part * len(order) + Fraction(1, 2)) for part in (first, 1 - last))
    borders = [n for n in range(1, len(order)) if origin(order[n]) != origin(order[n - 1])]
    if 0 < end < len(order) and borders:
        end = min(borders, key=lambda n: abs(n - end))
        start = end if first + last == 1 else max(start, end)
    if end < 1 or start >= len(order):
        raise UserError(
            f"{words}: of {len(order)} images these are {end} and "
            f"{len(order) - start}, expected at least one each"
        )
    return {"train": order[:end], "val": order[start:]}
