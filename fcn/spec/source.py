"""A file that is published somewhere: where it is, and by what it is known."""

from dataclasses import dataclass
from typing import Annotated

import annotated_types as at

from fcn.errors import UserError
from fcn.io import path_of, public, secret
from fcn.spec.bounds import CHECKED
from fcn.spec.checking import that

Url = Annotated[str, at.MaxLen(4096)]
Urls = Annotated[
    tuple[Url, ...], that(lambda urls: 0 < len(urls) <= 100, "at least one URL, and at most 100")
]
Text = Annotated[str, at.MaxLen(1000)]


@dataclass(frozen=True)
class Source:
    """A file to be had.

    Attributes:
        urls: mirrors in order: http(s), or `file:` with a path from the project's root or an
            absolute one.
        checksums: "md5:...", "sha1:..." or "sha256:...": the file must have one of them. Empty: it
            is taken as it comes.
    """

    __pydantic_config__ = CHECKED

    urls: Urls
    checksums: tuple[Text, ...]

    def __post_init__(self) -> None:
        """Raises UserError for a URL with a password or a token: it would stand in git, dvc.lock
        and every log.
        """
        for n, url in enumerate(self.urls):
            if what := secret(url):
                raise UserError(
                    f"urls[{n}]: {public(url)} holds {what}, which would be written to git and "
                    "dvc.lock. Put user and password into ~/.netrc (or the file that NETRC "
                    "names), or fetch the file yourself and name it by --from-local"
                )
            if not url.startswith("file:") and self._name_of(url) in ("", ".", ".."):
                raise UserError(
                    f"urls[{n}]: expected a URL that ends in the name of a file, got "
                    f"{public(url)!r}"
                )

    @staticmethod
    def _name_of(url: str) -> str:
        return path_of(url).rsplit("/", 1)[-1]

    @property
    def name(self) -> str:
        """The file's name, which is that of its first URL."""
        return self._name_of(self.urls[0])
