"""Stage `records`: images and labels as TFRecord files, and a look at them."""

from pathlib import Path

from fcn.datasets import folds
from fcn.input import MARK
from fcn.io import files
from fcn.records import MARK as LOOK
from tasks.look import look
from tasks.settings import config
from tasks.write_records import write_records


def records(
    raw: Path,
    out: Path,
    plots: Path,
    images: int,
    settings: Path = config.PARAMS,
    fold: str | None = None,
) -> None:
    """Check every pair of image and label, write the records, and show what is in them.

    Args:
        raw: folder of the profile, with images/.
        out: folder to write.
        plots: folder to write: classes, sizes and a contact sheet.
        images: how many the contact sheet has.
        settings: what is set: params.yaml, or the settings.json that came out of it.
        fold: such as 2/5, in place of the profile's division; see `fcn folds`.
    """
    profile = config.read(settings)
    part = folds.numbers(fold) if fold else None
    files.check_folder(out, MARK, "--out")
    files.check_folder(plots, LOOK, "--plots")
    write_records(raw / "images", profile.records, out, part)
    look(out, plots, images)
