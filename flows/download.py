"""Stage `download`: the archive of images and the classifier's weights, as published."""

import sys
from pathlib import Path

from prefect import flow

from fcn.datasets import voc
from flows import config, stage
from tasks.fetch import fetch, unpack


@flow
def download(raw: Path) -> None:
    """Fetch, check and unpack what the profile names.

    Args:
        raw: folder of the profile; archives/ and weights/ are kept and checked again, images/ is made anew.
    """
    _, profile = config.read()
    archive = fetch(profile.download.images, raw / "archives")
    for source in (profile.download.weights, *profile.download.cross_check):
        fetch(source, raw / "weights")
    unpack(archive, raw / "images", [f"{profile.records.root}/{folder}" for folder in voc.FOLDERS])


if __name__ == "__main__":
    sys.exit(stage.main(download))
