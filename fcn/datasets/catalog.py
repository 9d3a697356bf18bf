"""All data sets by name, and how to get one."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from fcn.datasets import ade20k, folder, official, sets, voc
from fcn.datasets.pairs import DatasetSpec, Listing, leaks
from fcn.errors import UserError, enumeration
from fcn.io import contents

DATASETS: dict[str, Callable[[DatasetSpec], Listing]] = {
    "voc": voc.load,
    "voc2011": partial(official.load, "voc2011"),
    "voc2012": partial(official.load, "voc2012"),
    "ade20k": ade20k.load,
    "folder": folder.load,
    **{
        found.name: import_module(f"{sets.__name__}.{found.name}").DATASET.load
        for found in iter_modules(sets.__path__)
    },
}
"""What makes a listing of what is asked; which archives it needs is said by `contents.archives`."""


def open(  # not the builtin: `fcn.datasets.open`
    dataset: str,
    root: str | Path | Mapping[str, str | Path],
    train: str = "train",
    val: str = "val",
    classes: Sequence[str] = (),
    seed: int = 0,
) -> Listing:
    """Opens a data set: its classes, and the pairs of image and label of two of its splits.

    Args:
        dataset: a key of `DATASETS`: "voc2012", "ade20k", "camvid", "folder", ...
        root: the folder that holds it; of a data set in several archives, the folders by their
            keys: `{"voc": "VOCdevkit/VOC2012", "sbd": "benchmark_RELEASE/dataset"}`.
        train: the split to train on; what there are says fcn/datasets/README.md. Of "folder" and
            "ade20k" also a share of all images, "80%".
        val: the split to validate on, likewise.
        classes: names by label value; none: the data set's own.
        seed: of splits that are drawn.

    Returns:
        A `Listing`; `.examples("val")` reads the images and labels.

    Raises:
        UserError: see `load`.

    Example:
        >>> import fcn, numpy as np, tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> folder = tempfile.TemporaryDirectory()
        >>> for name in ("images", "masks"):
        ...     (Path(folder.name) / name).mkdir()
        >>> for name in ("a", "b"):
        ...     Image.new("RGB", (30, 20)).save(Path(folder.name, "images", f"{name}.png"))
        ...     Image.new("L", (30, 20), 1).save(Path(folder.name, "masks", f"{name}.png"))
        >>> data = fcn.datasets.open("folder", folder.name, "50%", "50%", ("sky", "sea"))
        >>> data.classes, [len(pairs) for pairs in data.splits.values()]
        (('sky', 'sea'), [1, 1])
        >>> image, label = next(data.examples("val"))
        >>> image.shape, label.shape, label.max()
        ((20, 30, 3), (20, 30), np.uint8(1))
        >>> folder.cleanup()
    """
    key = next(iter(contents.archives(dataset)))
    given = root if isinstance(root, Mapping) else {key: root}
    roots = {key: Path(path) for key, path in given.items()}
    return load(dataset, DatasetSpec(roots, classes, train, val, seed))


def load(dataset: str, asked: DatasetSpec) -> Listing:
    """The pairs of a data set's training and validation set, and its classes.

    Args:
        dataset: a key of `DATASETS`.
        asked: see also the data set's own `load`.

    Raises:
        UserError: no such data set or archive; something is missing, or is not as many as it
            officially is; or the two sets share an image.
    """
    if dataset not in DATASETS:
        raise UserError(f"records.dataset: expected one of {', '.join(DATASETS)}; got {dataset}")
    for key, root in asked.roots.items():
        wanted = contents.folders(dataset, key)
        if not root.is_dir():
            wanted = ("images", "masks") if dataset == "folder" else wanted
            there = sorted(path.name for path in root.parent.glob("*"))
            raise UserError(
                f"records.roots: {key}: {root} is no folder; {root.parent} holds "
                f"{enumeration(there) or 'nothing'}. Expected: the folder inside of the archive "
                f"that holds {', '.join(wanted)}"
            )
    if not asked.roots:
        raise UserError(
            "records.roots: empty; expected the folder of "
            f"{' or '.join(contents.archives(dataset))}"
        )
    listing = DATASETS[dataset](asked)
    leaks(listing.splits["train"], listing.splits["val"])
    return listing
