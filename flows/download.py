"""Stage `download`: the images and the classifier's weights as they were published."""

import sys
from pathlib import Path

from prefect import flow

from fcn import archives as unpacking
from fcn import files
from fcn.datasets import contents
from flows import config, stage
from tasks.fetch import fetch, unpack
from tasks.local import match


@flow
def download(raw: Path, from_local: Path | None = None) -> None:
    """Bring in what the profile names, checked, and unpack its images.

    Args:
        raw: folder for archives/, weights/ and images/ of this profile.
        from_local: a file that you have already, or a folder with such files: taken instead of downloading.
    """
    _, profile, _ = config.read()
    wanted, roots = profile.download, profile.records.roots
    have = match(from_local, (*wanted.archives.values(), wanted.weights, *wanted.cross_check))
    for key in wanted.archives:
        files.check_folder(raw / "images" / key, unpacking.MARK, "--raw")
    archives = {key: fetch(source, raw / "archives", have.get(source)) for key, source in wanted.archives.items()}
    for source in (wanted.weights, *wanted.cross_check):
        fetch(source, raw / "weights", have.get(source))
    for key, archive in archives.items():
        inside = [Path(roots[key], name).as_posix() for name in contents.folders(profile.records.dataset, key)]
        unpack(archive, raw / "images" / key, inside)


if __name__ == "__main__":
    sys.exit(stage.main(download))
