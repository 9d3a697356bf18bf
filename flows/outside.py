"""Folders of images outside of the project: noted below data/own, where DVC
sees that they change.
"""

import hashlib
from pathlib import Path

from fcn.errors import UserError
from fcn.io import download, files
from tasks.settings import config

NOTE = Path("data/own/.outside")
"""The stage `download` depends on the folder that it lies in."""


def note() -> None:
    """Write a digest of names, sizes and times of each folder that a `file:` URL of the profile
    names.

    Without such folders there is no note. What is wrong with the settings, others say.
    """
    try:
        sources = config.read().download.archives.values()
    except UserError:
        return
    urls = [url for source in sources for url in source.urls if url.startswith("file:")]
    inside = Path.cwd().resolve()
    folders = [path for path in map(download.local_path, urls) if path.is_dir()]
    outside = [
        path for path in folders if not path.resolve().is_relative_to(inside) or files.links(path)
    ]
    text = "".join(f"{path} {_digest(path)}\n" for path in outside)
    if not text:
        NOTE.unlink(missing_ok=True)
    elif not NOTE.is_file() or NOTE.read_text(encoding="utf-8") != text:
        with files.replacing_file(NOTE) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _digest(folder: Path) -> str:
    """Of the files of a folder, links followed, without reading them."""
    found = hashlib.sha256()
    for path in files.walk(folder):
        if path.exists():
            status = path.stat()
            found.update(
                f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(
                    "utf-8", "surrogateescape"
                )
            )
    return found.hexdigest()
