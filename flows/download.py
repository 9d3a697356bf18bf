"""Stage `download`: the images and the classifier's weights as they were published."""

import shlex
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from fcn.errors import UserError
from fcn.io import archives as unpacking
from fcn.io import contents, files
from fcn.io import download as downloads
from fcn.spec import Source
from tasks import reach
from tasks.fetch import fetch, unpack
from tasks.local import match
from tasks.settings import Settings, config
from tasks.tracking import dvcfiles, root


def download(raw: Path, settings: Path = config.PARAMS) -> None:
    """Bring in what the profile names, checked, and unpack its images.

    Args:
        raw: folder for archives/, weights/ and images/ of this profile.
        settings: what is set: params.yaml, or the settings.json that came out of it.
    """
    profile = config.read(settings)
    wanted, roots = profile.download, profile.records.roots
    for key in wanted.archives:
        files.check_folder(raw / "images" / key, unpacking.MARK, "--raw")
    reach.check(profile.profile, _missing(profile, raw))
    archives = {key: _had(source, raw / "archives") for key, source in wanted.archives.items()}
    for source in (wanted.weights, *wanted.cross_check):
        _had(source, raw / "weights")
    for key, archive in archives.items():
        inside = [
            Path(roots[key], name).as_posix()
            for name in contents.folders(profile.records.dataset, key)
        ]
        unpack(archive, raw / "images" / key, inside, contents.ENDINGS.get(key, ()))


def check(profile: Settings, local: Path | None = None) -> None:
    """Say at once, before anything starts, that there is no network to download a profile's files.

    Args:
        profile: what is set.
        local: see `bring`.

    Raises:
        UserError: see `reach.check` and `match`.
    """
    raw = _folder(profile.profile)
    have = match(local, _places(profile, raw))
    reach.check(profile.profile, [each for each in _missing(profile, raw) if each not in have])


def _places(profile: Settings, raw: Path) -> dict[Source, Path]:
    """The files that a profile names, and the folder of each."""
    wanted = profile.download
    archives = {source: raw / "archives" for source in wanted.archives.values()}
    return archives | {source: raw / "weights" for source in (wanted.weights, *wanted.cross_check)}


def _missing(profile: Settings, raw: Path) -> list[Source]:
    """The files of a profile that are to be downloaded."""
    return [
        source
        for source, folder in _places(profile, raw).items()
        if not any((base / folder / source.name).is_file() for base in (Path.cwd(), root()))
    ]


def _folder(profile: str) -> Path:
    """The folder that dvc.yaml gives to the stage `download` for a profile.

    Raises:
        UserError: dvc.yaml is not as DVC wants it.
    """
    stages = dvcfiles.plain(Path("dvc.yaml"), dvcfiles.STAGES)["stages"]
    words = shlex.split(stages["download"]["cmd"])
    return Path(words[words.index("--raw") + 1].replace("${profile}", profile))


def bring(profile: Settings, local: Path) -> list[Path]:
    """Take files of a profile that the user has, in place of downloading them.

    Args:
        profile: what is set.
        local: a file, or a folder with files of the names in the profile's URLs.

    Returns:
        Where they are now.

    Raises:
        UserError: none of the profile's files is there, or one has another checksum.
    """
    folders = _places(profile, _folder(profile.profile))
    return [fetch(source, folders[source], path) for source, path in match(local, folders).items()]


def _had(source: Source, folder: Path) -> Path:
    """A file, fetched; for an experiment that DVC runs in a copy of the checkout, from the
    checkout, if that has it.

    Such a copy has what git has: no download, and nothing of one's own.
    """
    checkout = root()
    there = checkout / folder / source.name
    local = there if checkout != Path.cwd() and there.is_file() else None
    if checkout != Path.cwd():
        source = replace(source, urls=tuple(_from(checkout, url) for url in source.urls))
    try:
        return fetch(source, folder, local)
    except downloads.Interrupted as error:
        raise UserError(
            f"{source.name}: {error}. The same command tries again, and goes on with what has "
            f"come. Or download {source.name} elsewhere, and type `fcn repro --from-local FOLDER`"
        ) from error


def _from(root: Path, url: str) -> str:
    """A relative `file:` URL of what is no file here, as that of the checkout."""
    if (
        not url.startswith("file:")
        or (path := downloads.local_path(url)).is_absolute()
        or path.is_file()
    ):
        return url
    return f"file:{quote(str(root / path))}"
