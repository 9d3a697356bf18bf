"""The archive that VOC's evaluation server scores: made from labels, and
checked before it is sent.
"""

import gzip
import io
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from fcn.datasets import voc
from fcn.errors import UserError, enumeration, shown
from fcn.io import archives, containers, files
from fcn.pixels import images, labels
from fcn.spec import palette

CLASSES = len(voc.CLASSES)


def place(challenge: str = "VOC2012", competition: str = "comp6") -> str:
    """Where the server looks for the images in the archive.

    Args:
        challenge: "VOC2011" or "VOC2012".
        competition: "comp6", trained on other data too, which a net that began with ImageNet's
            weights is; or "comp5", on the challenge's own data alone.
    """
    return f"results/{challenge}/Segmentation/{competition}_test_cls"


def from_folder(
    folder: Path, listed: Sequence[tuple[str, Path]]
) -> Iterable[tuple[str, np.ndarray]]:
    """Reads predicted labels, `<folder>/<id>.png`, as `fcn.predict.predictions.write` and others
    leave them.

    Args:
        folder: of palette or 8-bit grey PNGs of class indices; what is not listed is not looked at.
        listed: id and image of all that are wanted.

    Yields:
        The id and its labels, uint8 (H, W), in the order of the list.

    Raises:
        UserError: one is missing, has another size than its image, or holds anything but 0..20.
    """
    absent = [name for name, _ in listed if not (folder / f"{name}.png").is_file()]
    if absent:
        raise UserError(
            f"{folder}: {len(absent)} of {len(listed)} predictions are not there: "
            f"{enumeration(absent)}"
        )
    for name, image in listed:
        yield name, labels.read(folder / f"{name}.png", CLASSES, images.header(image).stored)


def pack(
    out: Path,
    predicted: Iterable[tuple[str, np.ndarray]],
    listed: Sequence[tuple[str, Path]],
    where: str = place(),
) -> None:
    """Writes the archive and checks it; the same labels give the same bytes.

    Args:
        out: the `.tgz` to write; it appears complete and checked, or not at all.
        predicted: ids and labels, uint8 (H, W), of the classes 0..20.
        listed: id and image of all that the server expects.
        where: see `place`.

    Raises:
        UserError: labels that the server does not take, see `check`.
    """
    with files.replacing_file(out) as temporary:
        with (
            open(temporary, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for name, values in predicted:
                picture = io.BytesIO()
                labels.to_image(values).save(picture, "PNG")
                member = tarfile.TarInfo(f"{where}/{name}.png")  # of no owner, and of the year 1970
                member.size = picture.tell()
                picture.seek(0)
                archive.addfile(member, picture)
        _check(temporary, listed, where, out)


def check(archive: Path, listed: Sequence[tuple[str, Path]], where: str = place()) -> None:
    """Looks for all that the server would refuse or score wrong.

    The development kit's own scorer (VOCevalseg.m) stops at a missing image, at another size than
    the image's and at a value above 20, so also at 255: a submission has no void.

    Args:
        archive: a tar, plain or compressed with gzip.
        listed: id and image of all that the server expects.
        where: see `place`.

    Raises:
        UserError: it is damaged or no tar; an image is missing, there twice, or not wanted; a link,
            or a name that leads outside; no palette PNG in VOC's colours, another size than its
            image, a value that is no class. Ten are named.
    """
    _check(archive, listed, where, archive)


def _check(archive: Path, listed: Sequence[tuple[str, Path]], where: str, called: Path) -> None:
    """`check`, with messages that call the archive as the user does."""
    if not archive.is_file():
        raise UserError(f"{called}: no such file")
    kind = files.sniff(archive)
    if kind not in ("a gzip archive", "a tar archive"):
        raise UserError(f"{called}: expected a tar or a tgz, but it is {kind}")
    sizes = {f"{where}/{name}.png": images.header(image).stored for name, image in listed}
    with tempfile.TemporaryDirectory() as folder:
        try:
            found, wrong = _taken(archive, sizes, Path(folder))
        except archives.DAMAGE as error:
            if isinstance(error, UserError):
                raise UserError(f"{called}: {error}") from error
            raise UserError(
                f"{called}: damaged, it cannot be read to its end: {error or type(error).__name__}"
            ) from error
        absent = [name for name in sizes if name not in found]
        if absent:
            wrong.append(f"{len(absent)} of {len(sizes)} images are missing: {enumeration(absent)}")
        wrong += [
            f"{name}: {fault}"
            for name, path in found.items()
            if (fault := _fault(path, sizes[name]))
        ]
    if wrong:
        more = [f"and {len(wrong) - 10} more"] if len(wrong) > 10 else []
        raise UserError(f"{called}: the server would not take it:", *wrong[:10], *more)


def _taken(
    archive: Path, sizes: Mapping[str, tuple[int, int]], folder: Path
) -> tuple[dict[str, Path], list[str]]:
    """The images wanted, saved under numbers, and what is wrong with the names."""
    found: dict[str, Path] = {}
    wrong = []
    largest = max(2 * width * height for width, height in sizes.values()) + 2**16
    with containers.opened(archive) as members:
        for number, member in enumerate(members):
            called, name = shown(member.name), str(PurePosixPath(member.name))
            if member.size > largest:
                raise UserError(
                    f"{called}: {member.size} bytes, more than a label of any of the images has"
                )
            if member.kind == "other":
                wrong.append(f"{called}: a link or a device, not a file")
            elif PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                wrong.append(f"{called}: a name that leads outside of the archive")
            elif member.kind == "folder":
                continue
            elif name not in sizes:
                wrong.append(
                    f"{called}: not one of the images, which are called "
                    f"{next(iter(sizes))} and so on"
                )
            elif name in found:
                wrong.append(f"{called}: there more than once")
            else:
                found[name] = folder / f"{number}.png"
                member.save(found[name])
    return found, wrong


def _fault(path: Path, size: tuple[int, int]) -> str | None:
    """What is wrong with an image, in words."""
    try:
        with images.opened(path, images.MASKS) as image:
            if image.format != "PNG" or image.mode != "P":
                return f"expected a palette PNG (mode P), got {image.format} of mode {image.mode}"
            if image.size != size:
                return f"{image.size[0]}x{image.size[1]} pixels, its image has {size[0]}x{size[1]}"
            used = np.unique(np.asarray(image)).tolist()
            colours = np.reshape(image.getpalette("RGB") or [], (-1, 3))
    except UserError as error:
        return f"no picture that can be read ({error.__cause__})"
    if used[-1] >= CLASSES:
        return f"value {used[-1]}, expected 0..{CLASSES - 1}" + (
            ": a submission has no void" if used[-1] == 255 else ""
        )
    wrong = [
        value
        for value in used
        if value >= len(colours) or (colours[value] != palette()[value]).any()
    ]
    return f"value {wrong[0]} has not VOC's colour: is it a palette of VOC's?" if wrong else None
