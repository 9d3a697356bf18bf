"""Stage `download`: the images and the classifier's weights as they were published."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from fcn.io import archives as unpacking
from fcn.io import contents, files
from fcn.io import download as downloads
from fcn.spec import Source
from flows.runner import stage
from tasks.fetch import fetch, unpack
from tasks.local import match
from tasks.settings import config
from tasks.tracking import root


def download(raw: Path, settings: Path = config.PARAMS, from_local: Path | None = None) -> None:
    """Bring in what the profile names, checked, and unpack its images.

    Args:
        raw: folder for archives/, weights/ and images/ of this profile.
        settings: what is set: params.yaml, or the settings.json that came out of it.
        from_local: a file that you have already, or a folder with such files: taken instead of
            downloading.
    """
    profile = config.read(settings)
    wanted, roots = profile.download, profile.records.roots
    have = match(from_local, (*wanted.archives.values(), wanted.weights, *wanted.cross_check))
    for key in wanted.archives:
        files.check_folder(raw / "images" / key, unpacking.MARK, "--raw")
    archives = {
        key: _had(source, raw / "archives", have) for key, source in wanted.archives.items()
    }
    for source in (wanted.weights, *wanted.cross_check):
        _had(source, raw / "weights", have)
    for key, archive in archives.items():
        inside = [
            Path(roots[key], name).as_posix()
            for name in contents.folders(profile.records.dataset, key)
        ]
        unpack(archive, raw / "images" / key, inside, contents.ENDINGS.get(key, ()))


def _had(source: Source, folder: Path, have: Mapping[Source, Path]) -> Path:
    """A file, fetched; for an experiment that DVC runs in a copy of the checkout, from the
    checkout, if that has it.

    Such a copy has what git has: no download, and nothing of one's own.
    """
    checkout = root()
    there = checkout / folder / source.name
    local = have.get(source) or (there if checkout != Path.cwd() and there.is_file() else None)
    if checkout != Path.cwd():
        source = replace(source, urls=tuple(_from(checkout, url) for url in source.urls))
    return fetch(source, folder, local)


def _from(root: Path, url: str) -> str:
    """A relative `file:` URL of what is no file here, as that of the checkout."""
    if (
        not url.startswith("file:")
        or (path := downloads.local_path(url)).is_absolute()
        or path.is_file()
    ):
        return url
    return f"file:{quote(str(root / path))}"


if __name__ == "__main__":
    sys.exit(stage.main(download))
