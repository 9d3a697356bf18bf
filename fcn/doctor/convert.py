"""Labels of any kind, written anew as palette images of class indices."""

from pathlib import Path

import numpy as np

from fcn.doctor.diagnosis import Diagnosis
from fcn.doctor.findings import KINDS
from fcn.doctor.layouts import Draw
from fcn.errors import UserError
from fcn.io import files
from fcn.pixels import labels

_UNCLEAR = ("nothing", "sparse", "out_of_range", "unknown_colours", "photographs")


def convert(diagnosis: Diagnosis, out: Path) -> int:
    """Writes labels as indices: 8-bit PNGs with VOC's palette, 255 for void, of the same names.

    Of smeared labels, what is near to no class becomes void.

    Args:
        diagnosis: which says what the labels are; the labels themselves stay as they are.
        out: folder to make; it appears when all are written.

    Returns:
        How many were written.

    Raises:
        UserError: `out` has files in it; or it is not clear what the labels mean, or a label cannot
            be read.
    """
    files.check_folder(out)
    reason = unclear(diagnosis)
    if reason:
        raise UserError(f"{diagnosis.path}: cannot be converted: {reason}")
    written = 0
    with files.replacing_folder(out) as folder:
        for item in diagnosis.items:
            if item.label is not None:
                target = folder / f"{item.id}.png"
                if target.exists():
                    raise UserError(
                        f"{item.label}: cannot be converted: there is another label {item.id}"
                    )
                target.parent.mkdir(parents=True, exist_ok=True)
                labels.to_image(_classes(item.label, item.draw, diagnosis)).save(target)
                written += 1
    return written


def unclear(diagnosis: Diagnosis) -> str:
    """Why it is not clear what class each pixel is of; "" if it is."""
    meaning, kinds = diagnosis.meaning, {finding.kind for finding in diagnosis.findings}
    if meaning.kind in ("indices", "ade20k") and "smeared" in kinds:
        return f"{KINDS['smeared'].title} (a mixture of two classes looks like a third one)"
    if meaning.classes and meaning.kind not in _UNCLEAR:
        return ""
    title = KINDS[meaning.kind].title if meaning.kind in KINDS else meaning.kind
    return f"{title} ({meaning.words})"


def _classes(path: Path, draw: Draw, diagnosis: Diagnosis) -> np.ndarray:
    found = labels.stored(path, draw)
    keys, positions = np.unique(found.pixels, return_inverse=True)
    meant = found.values(keys) if diagnosis.meaning.form == "values" else found.colours(keys)
    classes = diagnosis.meaning.assign(meant) if meant is not None else np.array([-1])
    if (classes < 0).any():
        raise UserError(
            f"{path}: cannot be converted with the others: it is stored in another way "
            f"({found.format}, {found.mode})"
        )
    return classes.astype(np.uint8)[positions].reshape(found.pixels.shape)
