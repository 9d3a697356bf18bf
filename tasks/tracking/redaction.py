"""The secrets that this process was given, kept out of what it prints, logs and records."""

import contextlib
import functools
import netrc
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fcn.io import public, without

VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "PREFECT_API_KEY",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_SERVER_API_AUTH_STRING",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
"""Of the environment: each holds a secret, or `user:secret`."""
ADDRESSES = (
    "MLFLOW_TRACKING_URI",
    "PREFECT_API_URL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
)
"""Of the environment: each may hold a password."""


def hidden(text: str) -> str:
    """The text with `...` in place of the secrets of the environment and of ~/.netrc, and with its
    addresses `public`.
    """
    return without(public(without(text, known())), known())


def known() -> frozenset[str]:
    """The values that must not be shown."""
    given = [os.environ[name] for name in VARIABLES if os.environ.get(name)]
    found = {part for value in given for part in (value, value.partition(":")[2])}
    for name in ADDRESSES:
        with contextlib.suppress(ValueError):  # no address
            password = urlsplit(os.environ.get(name, "")).password or ""
            found |= {password, unquote(password)}
    for path in filter(None, (os.environ.get("NETRC"), "~/.netrc", "~/_netrc")):
        with contextlib.suppress(OSError, RuntimeError):  # no such file; no home
            file = Path(path).expanduser()
            found |= _passwords(file, file.stat().st_mtime_ns)
    return frozenset(found - {""})


@functools.lru_cache(maxsize=8)
def _passwords(file: Path, changed: int) -> frozenset[str]:
    """Of a netrc, as it was when it was `changed`."""
    try:
        return frozenset(
            password for _, _, password in netrc.netrc(str(file)).hosts.values() if password
        )
    except (OSError, ValueError, netrc.NetrcParseError):
        return frozenset()
