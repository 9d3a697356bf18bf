"""What of an address may be shown, and what an address must not hold where it is written down."""

import re
from urllib.parse import parse_qsl, urlsplit

_USER = re.compile(r"(?<=//)[^\s/?#'\"<>]*@")
_QUERY = re.compile(r"(?<=[^\s?])\?[^\s'\"<>)\]]+")
_SECRETS = re.compile(
    r"(?i)(.*[-_.])?(token|secret|signature|sig|password|passwd|pwd|credentials?|auth|authorization|api[-_]?key|access[-_]?key)"
)


def public(text: str) -> str:
    """A text for messages and records, its addresses without user and password, and without what follows a `?`.

    A query may be a signature or a token under any name, so all of it becomes `?...`.
    """
    return _QUERY.sub("?...", _USER.sub("", text))


def secret(url: str) -> str | None:
    """What there is in a URL that must not stand in a file or a log: words for a message, without the secret; or None."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "file":
            return None
        if parts.password is not None or (parts.username and parts.scheme in ("http", "https")):
            return "a user or a password"
    except ValueError:  # no URL: whoever uses it says so
        return None
    found = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if _SECRETS.fullmatch(name)]
    return f"a secret, `{found[0]}`" if found else None


def path_of(url: str) -> str:
    """The path in a URL, quoted as it is there. In a `file:` address it is all that follows: a name may hold ? and #."""
    rest = url.removeprefix("file:")
    if rest == url:
        return urlsplit(url).path
    return f"/{rest[2:].partition('/')[2]}" if rest.startswith("//") else rest
