"""What of an address may be shown, and what an address must not hold where it is written down."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlsplit

from fcn.errors import LINE

SHORTEST = 4
"""Characters of a secret that `without` looks for: a shorter one stands in any text by chance."""
_ALLOWED = {
    *(
        "download",
        "dl",
        "export",
        "confirm",
        "id",
        "file",
        "filename",
        "fileid",
        "name",
        "path",
        "raw",
        "inline",
    ),
    *(
        "format",
        "type",
        "version",
        "v",
        "ref",
        "ref_type",
        "rev",
        "revision",
        "branch",
        "tag",
        "persistentid",
    ),
}
"""Names in queries of public files, as data archives and code hosts have them: these alone may be
written down."""

_NAME = (
    r"(?<![\w.-])[\w.-]*(?:token|secret|passw\w*|pwd|credential|signature|auth(?:orization|entication)?|jwt|bearer|"
    r"session[-_.]?(?:id)?|(?:api|access|private)[-_.]?key|\bpass|\bsig|[-_.](?:pass|sig))s?"
)
_NAMED = re.compile(_NAME, re.IGNORECASE)
_VALUE = re.compile(
    rf"(?i)({_NAME})(=|['\"]\s*[:=]\s*)(?!\.\.\.)(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s\"'&,;]+)"
)
_HEADER = re.compile(r"(?i)(authorization|cookie)(['\"]?\s*[:=])(?!\s*\.\.\.)[^\n]+")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+(?!\.\.\.)\S*[\d=._~+/-]\S*")
# A password with a blank in it: what follows `//user:` is no port, and there is an @ later in the
# line.
_BLANK = re.compile(r"(?<=//)[^\s/:@\[]+:(?!\d{1,5}\b)[^\s@]*[ \t][^\n@]{0,200}@(?=\S)")
# Up to the last @ before a blank, since a password that was not encoded may have any other
# character. After three strokes comes a path of this machine, and no user.
_USER = re.compile(r"(?i)((?<!/)//(?!/)|(?<=:)\\\\|%2F%2F)\S*(?:@|%40)")
_BARE = re.compile(r"(?<![\w/:@.+-])(?!mailto:)[\w.+%-]+:[^\s@/:'\"][^\s@/]*@(?=[\w\[])")
_ADDRESS = re.compile(r"(?i):(?://|\\\\)|%3A%2F%2F")
_CLOSING = "'\">)]},.;:"
"""What may stand after an address and not belong to it."""
_TAIL = re.compile(r"(?<=[^?#;])(\?|[#;](?=[\w.%-]+=))(?!\.\.\.).+")
_TAIL_OF_ADDRESS = re.compile(r"(?i)(?<=[^?#;])([?#;]|%3F|%23|%3B)(?!\.\.\.).+")
_LONGEST = 2 * LINE


def public(text: str) -> str:
    """A text for messages and records, its addresses without user and password, and without what
    follows `?`, `#` or `;`.

    A query may be a signature or a token under any name, so all of it becomes `?...`. Outside of
    addresses, the values of what is named like a secret (`token=`, `Authorization:`) become `...`,
    too. Of a line, 8000 characters are looked at and returned.

    Args:
        text: of one line or several.

    Example:
        >>> public("GET https://me:word@example.org/a.tar?key=1 failed")
        'GET https://example.org/a.tar?... failed'
    """
    return "\n".join(_public(line[:_LONGEST]) for line in text.split("\n"))


def _public(text: str) -> str:
    text = _BEARER.sub(r"\1 ...", _HEADER.sub(r"\1\2 ...", text))
    text = _BARE.sub("", _USER.sub(r"\1", _BLANK.sub("", text)))
    text = re.sub(r"\S+", lambda word: _tail(word[0]), text)
    return _VALUE.sub(r"\1\2...", text)


def _tail(word: str) -> str:
    """A word without what follows the first `?`, `#` or `;`; what closes a bracket or a sentence
    stays.
    """
    bare = word.rstrip(_CLOSING)
    return (_TAIL_OF_ADDRESS if _ADDRESS.search(bare) else _TAIL).sub(r"\1...", bare) + word[
        len(bare) :
    ]


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with `...` in place of each of the `secrets`, wherever they stand; for values that
    are known to be such.

    Args:
        text: of any length.
        secrets: values of `SHORTEST` characters or more; shorter ones are left where they are.
    """
    for value in sorted(secrets, key=len, reverse=True):  # one may be part of another
        if len(value) >= SHORTEST:
            text = text.replace(value, "...")
    return text


def secret(url: str) -> str | None:
    """What there is in a URL that must not stand in a file or a log: words for a message, without
    the secret; or None.

    Of a query, only names that addresses of public files are known to have may be written down.

    Args:
        url: an address, or anything.
    """
    url = url.strip().replace("\\", "/")
    local = url.lower().startswith("file:")
    try:
        parts = urlsplit(url)
        # raises for what is no number, as the half of a password that has a stroke in it
        _ = parts.port
        user = "@" in parts.netloc or (not local and not parts.netloc and "@" in parts.path)
    except ValueError:  # no URL: whoever uses it says so, but for a password in it
        user = "@" in url
        return "a user or a password" if user else None
    if user:
        return "a user or a password"
    if local:  # a path of this machine, in which these are characters as others
        return _named_secret(f"{parts.query}&{parts.fragment}")
    if named := _named_secret(parts.query):
        return named
    if any(
        name.lower() not in _ALLOWED for name, _ in parse_qsl(parts.query, keep_blank_values=True)
    ):
        return "what may be a secret, after the `?`"
    if parts.fragment:
        return "what may be a secret, after the `#`"
    return "what may be a secret, after the `;`" if ";" in parts.path else None


def _named_secret(query: str) -> str | None:
    """The first name that is one of secrets; what has no value may be the secret itself, and is not
    named.
    """
    names = [name for part in query.split("&") for name, given, _ in [part.partition("=")] if given]
    return next((f"a secret, `{name}`" for name in names if _NAMED.fullmatch(name)), None)


LOCAL = ("localhost", "127.0.0.1", "::1")


def sparing(environment: Mapping[str, str]) -> dict[str, str]:
    """What to set so that no proxy is asked for a server of this machine.

    Args:
        environment: environment variables.

    Returns:
        `no_proxy` and `NO_PROXY`: what they are, and this machine; nothing where there is no proxy.
    """
    proxies = ("http_proxy", "https_proxy", "all_proxy")
    if not any(value and name.lower() in proxies for name, value in environment.items()):
        return {}
    direct = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    hosts = [host.strip() for host in direct.split(",") if host.strip()]
    if "*" not in hosts:
        hosts += [host for host in LOCAL if host not in hosts]
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(hosts))


def path_of(url: str) -> str:
    """The path in a URL, quoted as it is there. In a `file:` address it is all that follows: a name
    may hold ? and #.

    Args:
        url: an address, or a path as it is.

    Example:
        >>> path_of("https://example.org/a/b.tar?x=1"), path_of("file:photos/what?.zip")
        ('/a/b.tar', 'photos/what?.zip')
    """
    rest = url.removeprefix("file:")
    if rest == url:
        return urlsplit(url).path
    return f"/{rest[2:].partition('/')[2]}" if rest.startswith("//") else rest
