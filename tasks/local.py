"""Files that the user has already, found among those that a profile names."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from fcn.errors import UserError
from fcn.io import download, path_of
from fcn.spec import Source


def match(local: Path | None, sources: Iterable[Source]) -> dict[Source, Path]:
    """Says which of `sources` the user has, as `tasks.fetch.fetch` takes it; what is not found is
    downloaded.

    Args:
        local: a folder, in which files of the names in the sources' URLs are looked for; or a file,
            which is the source with such a name, or else the one whose checksum it has. None:
            nothing.
        sources: all files of the profile.

    Returns:
        Files by source. Nobody has checked those that were found by name.

    Raises:
        UserError: there is no such file or folder, or it is and has none of the sources.
    """
    if local is None:
        return {}
    sources = list(sources)
    try:
        return _match(local, sources)
    except OSError as error:
        raise UserError(f"{local}: cannot be read: {error.strerror}") from error


def _match(local: Path, sources: list[Source]) -> dict[Source, Path]:
    if local.is_dir():
        found = {
            s: local / name
            for s in sources
            for name in reversed(_names(s))
            if (local / name).is_file()
        }
    elif local.is_file():
        with local.open("rb") as file:
            file.read(1)
        found = {s: local for s in sources if local.name in _names(s)} or {
            s: local for s in sources if _is_it(local, s)
        }
    else:
        there = "expected a file or a folder, got a device or a pipe"
        raise UserError(
            f"{local}: {there if local.exists() else 'there is no such file or folder'}"
        )
    if not found:
        names = ", ".join(name for source in sources for name in _names(source))
        raise UserError(
            f"{local}: expected one of the profile's files ({names}), by name or by "
            "checksum; found none"
        )
    return found


def _names(source: Source) -> list[str]:
    """The file's names at its URLs, the first one first."""
    paths = [path for url in source.urls for path in (path_of(url), unquote(path_of(url)))]
    return list(dict.fromkeys(path.rsplit("/", 1)[-1] for path in paths))


def _is_it(path: Path, source: Source) -> bool:
    checksums = download.parse_checksums(source.checksums, source.name)
    return bool(checksums) and download.mismatch(path, checksums) is None
