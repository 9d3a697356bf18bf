"""Getting a published file: over http with resume, from a `file:` URL, and its checksums."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

import requests
import urllib3

from fcn.errors import UserError, shown
from fcn.io.addresses import path_of, public
from fcn.io.disk import check_space
from fcn.io.files import digest

CHUNK = 2**18
TIMEOUT = (20.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes."""
_HEX_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64}
_LATER = {408, 425, 429}
"""Refusals (status 4xx) that say to come again; those of the server itself (5xx) do so too."""


class Interrupted(Exception):
    """A download that did not come to its end for a reason that may pass: it is worth another
    attempt.
    """


def parse_checksums(checksums: Sequence[str], name: str) -> list[tuple[str, str]]:
    """Split each "md5:<hex>", "sha1:<hex>" or "sha256:<hex>" into algorithm and digits.

    Raises UserError for any other form; `name` says in it what the checksum is of.
    """
    parsed = []
    for checksum in checksums:
        algorithm, _, digits = checksum.lower().partition(":")
        if len(digits) != _HEX_DIGITS.get(algorithm) or set(digits) - set("0123456789abcdef"):
            kinds = ", ".join(f"{kind}:<{size} hex digits>" for kind, size in _HEX_DIGITS.items())
            raise UserError(f"checksum of {name}: wanted one of {kinds}, but got {checksum!r}")
        parsed.append((algorithm, digits))
    return parsed


def mismatch(path: str | os.PathLike[str], checksums: Sequence[tuple[str, str]]) -> str | None:
    """Return None if the file has one of `checksums` (algorithm, digits), else what was wanted and
    what it has.
    """
    got = {
        algorithm: digest(path, algorithm)
        for algorithm in dict.fromkeys(kind for kind, _ in checksums)
    }
    if any(got[algorithm] == digits for algorithm, digits in checksums):
        return None
    wanted = " or ".join(f"{algorithm}:{digits}" for algorithm, digits in checksums)
    return (
        f"wanted {wanted}, but got "
        f"{', '.join(f'{algorithm}:{digits}' for algorithm, digits in got.items())}"
    )


def local_path(url: str) -> Path:
    """The file or folder that a `file:` URL names: an absolute path, or one relative to the current
    folder.

    It may be quoted, `my%20voc.tar`. A file that has that very name comes first.
    """
    path = path_of(url)
    return Path(path) if os.path.exists(path) else Path(unquote(path))


def pieces(url: str, part: Path) -> Iterator[tuple[int, int | None]]:
    """Write what `url` gives to `part`, yielding (bytes done, bytes in total) before the first
    piece and after each.

    An http download goes on where an existing `part` ends; the first number yielded says where that
    was. The total is None where the server does not say it. When interrupted, what came stays in
    `part`.

    Args:
        url: http:, https:, or file: with an absolute path or one relative to the current folder.
        part: file to write; its folder exists.

    Raises UserError for what another attempt cannot mend (404, no such file, full disk, unusable
    URL), and `Interrupted` for what may pass (no connection, timeout, 5xx, an answer that ends
    early).
    """
    if url.startswith("file:"):
        yield from _copy(url, part)
    elif url.startswith(("http://", "https://")):
        try:
            yield from _download(url, part)
        except (requests.exceptions.InvalidURL, requests.exceptions.TooManyRedirects) as error:
            # the error itself may name an address with a secret
            raise UserError(public(f"{url}: {error}")) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise Interrupted(f"{public(url)}: {reason(error)}") from None
        except OSError as error:
            if error.errno == errno.ENOSPC:  # the server had not said how much would come
                raise UserError(
                    f"{public(url)}: the disk of {part.parent} is full: make room"
                ) from error
            raise
    else:
        raise UserError(f"{public(url)!r}: wanted an http:, https: or file: URL")


def reason(error: BaseException) -> str:
    """Why a server could not be asked, in the words of whoever looks for the cause."""
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy that HTTP_PROXY or HTTPS_PROXY names does not answer, or refuses"
    if isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.TimeoutError):
        return "the server does not answer"
    text = str(error)
    known = {"resolve": "the server's name is not known", "refused": "the connection was refused"}
    return next((words for key, words in known.items() if key in text), public(shown(text)))


def _copy(url: str, part: Path) -> Iterator[tuple[int, int]]:
    origin = local_path(url)
    if not origin.is_file():
        raise UserError(f"{url}: there is no such file (looked for {origin} in {Path.cwd()})")
    done, total = 0, origin.stat().st_size
    part.unlink(missing_ok=True)
    check_space(part.parent, total, url)
    yield done, total
    with open(origin, "rb") as source, open(part, "wb") as file:
        while chunk := source.read(CHUNK):
            done += file.write(chunk)
            yield done, total


def _download(url: str, part: Path) -> Iterator[tuple[int, int | None]]:
    start = part.stat().st_size if part.is_file() else 0
    # identity: a server that packs an archive once more would spoil ranges and checksum.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        content_range = response.headers.get("Content-Range", "")
        if response.status_code == 416 and content_range == f"bytes */{start}":
            yield start, start  # all of it had come before
            return
        if response.status_code == 416 or (
            response.status_code == 206 and not content_range.startswith(f"bytes {start}-")
        ):
            part.unlink(missing_ok=True)
            how = f"status {response.status_code}, range {content_range!r}"
            raise Interrupted(f"{public(url)}: cannot go on at byte {start} ({how}): starting over")
        if response.status_code not in (200, 206):
            problem = (
                Interrupted
                if response.status_code >= 500 or response.status_code in _LATER
                else UserError
            )
            raise problem(
                f"{public(url)}: the server answered {response.status_code} "
                f"{shown(response.reason)}"
            )
        # 200: the whole file, from its beginning
        done = start if response.status_code == 206 else 0
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdigit() else None
        check_space(part.parent, (total or 0) - done, public(url))
        yield done, total
        with open(part, "r+b" if done else "wb") as file:
            file.seek(done)
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                done += file.write(chunk)
                yield done, total
    if total is not None and done != total:
        raise Interrupted(f"{public(url)}: broke off after {done} of {total} bytes")
